"""The UDP socket that carries WebRTC and SRT: batches in, runs out."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from sansmedia.sansio import Datagram

from penstock.net.udp import UdpPort, bind_udp

_DEADLINE_S = 60.0


@pytest.fixture
async def ports() -> AsyncIterator[tuple[UdpPort, UdpPort]]:
    pair = (UdpPort(bind_udp("0.0.0.0:0")), UdpPort(bind_udp("127.0.0.1:0")))
    yield pair
    for port in pair:
        port.close()


async def _drain(port: UdpPort, count: int) -> list[Datagram]:
    received: list[Datagram] = []
    with trio.fail_after(_DEADLINE_S):
        while len(received) < count:
            await port.wait_readable()
            received += port.drain(trio.current_time())
    return received


async def test_a_run_arrives_datagram_by_datagram_in_order(
    ports: tuple[UdpPort, UdpPort],
) -> None:
    sender, receiver = ports
    run = [bytes([n]) * 1_000 for n in range(100)] + [b"short", b"x" * 1_200, b"end"]
    assert sender.send_run(run, ("127.0.0.1", receiver.port), None)
    received = await _drain(receiver, len(run))
    assert [datagram.data for datagram in received] == run
    assert {datagram.peer for datagram in received} == {("127.0.0.1", sender.port)}
    assert sender.statistics.datagrams_sent == len(run)
    assert sender.statistics.octets_sent == sum(map(len, run))
    assert receiver.statistics.octets_received == sum(map(len, run))


async def test_empty_datagrams_pass(ports: tuple[UdpPort, UdpPort]) -> None:
    sender, receiver = ports
    assert sender.send_run([b"", b"", b"a"], ("127.0.0.1", receiver.port), None)
    assert [d.data for d in await _drain(receiver, 3)] == [b"", b"", b"a"]


async def test_a_datagram_tells_where_it_was_sent_to_and_when(
    ports: tuple[UdpPort, UdpPort],
) -> None:
    receiver, sender = ports
    before = trio.current_time()
    assert sender.send(Datagram(b"x", ("127.0.0.1", receiver.port)))
    (datagram,) = await _drain(receiver, 1)
    assert datagram.local == ("127.0.0.1", receiver.port)
    assert before - 0.01 <= datagram.at <= trio.current_time()


async def test_the_answer_leaves_by_the_address_that_was_asked(
    ports: tuple[UdpPort, UdpPort],
) -> None:
    receiver, sender = ports
    # Every address of 127/8 is this machine's; by itself the kernel would choose .1.
    assert sender.send(Datagram(b"x", ("127.0.0.7", receiver.port)))
    (asked,) = await _drain(receiver, 1)
    assert asked.local == ("127.0.0.7", receiver.port)
    assert receiver.send(Datagram(b"y", asked.peer, asked.local))
    (answer,) = await _drain(sender, 1)
    assert answer.peer == ("127.0.0.7", receiver.port)


async def test_both_families_share_a_socket() -> None:
    port = UdpPort(bind_udp("[::]:0"))
    four = UdpPort(bind_udp("127.0.0.1:0"))
    six = UdpPort(bind_udp("[::1]:0"))
    try:
        four.send(Datagram(b"4", ("127.0.0.1", port.port)))
        six.send(Datagram(b"6", ("::1", port.port)))
        asked = sorted(await _drain(port, 2), key=lambda datagram: datagram.data)
        assert [d.peer for d in asked] == [
            ("127.0.0.1", four.port),
            ("::1", six.port),
        ]
        assert [d.local for d in asked] == [
            ("127.0.0.1", port.port),
            ("::1", port.port),
        ]
        for datagram in asked:
            assert port.send_run([b"a" * 9, b"b" * 9], datagram.peer, datagram.local)
        assert [d.data for d in await _drain(four, 2)] == [b"a" * 9, b"b" * 9]
        assert [d.data for d in await _drain(six, 2)] == [b"a" * 9, b"b" * 9]
    finally:
        for each in (port, four, six):
            each.close()


class _Reluctant:
    """A socket that refuses to send as it is told."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.refuse_with: int | None = None
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendmsg(
        self,
        segments: list[bytes],
        ancillary: list[tuple[int, int, bytes]],
        flags: int,
        address: tuple[str, int],
    ) -> int:
        self.calls.append(len(segments))
        segmented = any(item[0] == socket.IPPROTO_UDP for item in ancillary)
        code = self.refuse_with
        if code == errno.EIO and not segmented:
            code = None
        if code is not None:
            raise OSError(code, "no")
        return self._sock.sendmsg(segments, ancillary, flags, address)


@pytest.fixture
def reluctant(
    ports: tuple[UdpPort, UdpPort],
) -> tuple[UdpPort, UdpPort, _Reluctant]:
    sender, receiver = ports
    wrapped = _Reluctant(sender.sock)
    sender.sock = wrapped  # type: ignore[assignment] # a stand-in
    return sender, receiver, wrapped


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
async def test_what_the_kernel_refuses_goes_later_in_order(
    reluctant: tuple[UdpPort, UdpPort, _Reluctant], code: int
) -> None:
    sender, receiver, sock = reluctant
    target = ("127.0.0.1", receiver.port)
    sock.refuse_with = code
    assert sender.send_run([b"1", b"2"], target, None)
    sock.refuse_with = None
    assert sender.send_run([b"3"], target, None)
    assert sender.residue_octets == 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run_flush)
        assert [d.data for d in await _drain(receiver, 3)] == [b"1", b"2", b"3"]
        nursery.cancel_scope.cancel()
    assert sender.residue_octets == 0
    assert sender.statistics.dropped == 0


async def test_a_full_residue_drops_whole_runs_and_counts_them(
    reluctant: tuple[UdpPort, UdpPort, _Reluctant],
) -> None:
    sender, receiver, sock = reluctant
    sock.refuse_with = errno.EAGAIN
    run = [bytes(1_000)] * 60
    target = ("127.0.0.1", receiver.port)
    outcomes = [sender.send_run(run, target, None) for _ in range(20)]
    assert outcomes.count(False) == 3
    assert outcomes.index(False) == 17
    assert sender.residue_octets <= 1 << 20
    assert sender.statistics.dropped == 3 * len(run)


async def test_without_segmentation_datagrams_go_one_by_one(
    reluctant: tuple[UdpPort, UdpPort, _Reluctant],
) -> None:
    sender, receiver, sock = reluctant
    sock.refuse_with = errno.EIO
    target = ("127.0.0.1", receiver.port)
    assert sender.send_run([b"1", b"2", b"3"], target, None)
    assert [d.data for d in await _drain(receiver, 3)] == [b"1", b"2", b"3"]
    sock.calls.clear()
    assert sender.send_run([b"4", b"5"], target, None)
    assert sock.calls == [1, 1]
    await _drain(receiver, 2)


async def test_no_way_to_a_peer_is_counted_and_costs_nobody_else(
    ports: tuple[UdpPort, UdpPort],
) -> None:
    sender, receiver = ports
    # The kernel refuses broadcast without being asked for it: EACCES.
    assert not sender.send(Datagram(b"x", ("255.255.255.255", 9)))
    assert sender.statistics.unreachable == 1
    assert sender.send(Datagram(b"y", ("127.0.0.1", receiver.port)))
    assert [d.data for d in await _drain(receiver, 1)] == [b"y"]


async def test_a_closed_peer_does_not_disturb_the_reader(
    ports: tuple[UdpPort, UdpPort],
) -> None:
    sender, receiver = ports
    gone = UdpPort(bind_udp("127.0.0.1:0"))
    target = ("127.0.0.1", gone.port)
    gone.close()
    sender.send(Datagram(b"x", target))
    receiver.send(Datagram(b"y", ("127.0.0.1", sender.port)))
    assert [d.data for d in await _drain(sender, 1)] == [b"y"]
