"""Relays over SRT and UDP: pulls, pushes, rendezvous, and payloads unread.

Sources: libsrt srt-live-transmit.md §Medium, RFC 2250 §2.
"""

from __future__ import annotations

import re
import socket
from typing import Any

import attrs
import pytest
import trio
from sansmedia.mpegts import Demuxer, MediaFrame
from sansmedia.srt import ConnectionEstablished, SrtOptions

from penstock.net.udp import UdpPort, bind_udp
from penstock.sessions import relay as relay_module
from penstock.sessions.srt_port import SrtPort
from penstock.sessions.ts_forward import run_ts_forward
from penstock.settings import RelaySettings, SrtSettings

SECRET = "a passphrase of some length"
SHOW = "#!::r=live/show,m=publish"


@pytest.fixture(autouse=True)
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(relay_module, "_LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(relay_module, "_LOOK_S", 0.02)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def is_live(server: Any, name: str) -> bool:
    return any(
        stream.is_live
        for key, stream in server.engine.registry.streams.items()
        if str(key) == name
    )


async def feed(publisher: Any, clip: Any) -> None:
    """Publish at about the clip's own pace, until cancelled."""
    while True:
        await publisher.send(clip.pictures(1))
        await trio.sleep(0.03)


async def test_a_pull_publishes_what_it_is_sent(
    running_server: Any, settings_of: Any, make_peer: Any, clip: Any, nursery: Any
) -> None:
    async with running_server() as origin:
        publisher = await make_peer(origin)
        await publisher.call(SHOW)
        nursery.start_soon(feed, publisher, clip)
        port = origin.ports["srt"]
        relays = [
            RelaySettings(
                source=f"srt://127.0.0.1:{port}?streamid=live/show&latency=20",
                destination="live/copy",
            )
        ]
        async with running_server(settings_of(relay=relays)) as edge:
            await edge.wait_until(lambda: is_live(edge, "live/copy"))
            viewer = await make_peer(edge)
            await viewer.call("live/copy")
            assert await viewer.receive_frames(5)
            nursery.cancel_scope.cancel()


async def test_a_push_is_encrypted_and_named_by_its_stream_id(
    running_server: Any, settings_of: Any, make_peer: Any, clip: Any, nursery: Any
) -> None:
    guarded = SrtSettings(listen="127.0.0.1:0", publish_passphrase=SECRET)
    async with running_server(settings_of(srt=guarded)) as target:
        port = target.ports["srt"]
        url = f"srt://127.0.0.1:{port}?streamid=publish:copy&passphrase={SECRET}"
        relays = [RelaySettings(source="live/show", destination=url)]
        async with running_server(settings_of(relay=relays)) as origin:
            publisher = await make_peer(origin)
            await publisher.call(SHOW)
            nursery.start_soon(feed, publisher, clip)
            await target.wait_until(lambda: is_live(target, "live/copy"))
            nursery.cancel_scope.cancel()


async def test_a_refused_push_says_why_and_is_tried_again(
    running_server: Any,
    settings_of: Any,
    make_peer: Any,
    clip: Any,
    nursery: Any,
    log_lines: Any,
) -> None:
    guarded = SrtSettings(listen="127.0.0.1:0", publish_passphrase=SECRET)
    async with running_server(settings_of(srt=guarded)) as target:
        url = f"srt://127.0.0.1:{target.ports['srt']}?streamid=publish:copy:me:hunter2"
        relays = [RelaySettings(source="live/show", destination=url)]
        async with running_server(settings_of(relay=relays)) as origin:
            publisher = await make_peer(origin)
            await publisher.call(SHOW)
            nursery.start_soon(feed, publisher, clip)

            def failures() -> list[str]:
                return [line for line in log_lines() if "relay failed" in line]

            await origin.wait_until(lambda: len(failures()) >= 2)
            assert "passphrase" in failures()[0]
            assert not [line for line in log_lines() if "hunter2" in line]
            nursery.cancel_scope.cancel()


async def test_a_listening_relay_takes_one_caller(
    running_server: Any, settings_of: Any, make_peer: Any, clip: Any
) -> None:
    port = free_udp_port()
    relays = [
        RelaySettings(
            source=f"srt://127.0.0.1:{port}?mode=listener", destination="live/show"
        )
    ]
    async with running_server(settings_of(relay=relays)) as server:
        elsewhere = attrs.evolve(server, ports={"srt": port})
        publisher = await make_peer(elsewhere)
        with trio.fail_after(60):
            while not isinstance(await publisher.call(""), ConnectionEstablished):
                pass
        second = await make_peer(elsewhere)
        assert not isinstance(await second.call(""), ConnectionEstablished)
        await publisher.send(clip.pictures(12))
        await server.wait_until(lambda: is_live(server, "live/show"))


async def test_two_relays_meet_in_rendezvous(
    running_server: Any, settings_of: Any, make_peer: Any, clip: Any, nursery: Any
) -> None:
    one, other = free_udp_port(), free_udp_port()
    meet = "srt://127.0.0.1:{}?mode=rendezvous&localport={}&adapter=127.0.0.1"
    pull = RelaySettings(source=meet.format(one, other), destination="live/copy")
    push = RelaySettings(source="live/show", destination=meet.format(other, one))
    async with (
        running_server(settings_of(relay=[push])) as origin,
        running_server(settings_of(relay=[pull])) as edge,
    ):
        publisher = await make_peer(origin)
        await publisher.call(SHOW)
        nursery.start_soon(feed, publisher, clip)
        await edge.wait_until(lambda: is_live(edge, "live/copy"))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("header", [b"", bytes([0x80, 33]) + bytes(10)])
async def test_ts_over_udp_is_published(
    running_server: Any, settings_of: Any, make_peer: Any, clip: Any, header: bytes
) -> None:
    port = free_udp_port()
    relays = [RelaySettings(source=f"udp://127.0.0.1:{port}", destination="live/show")]
    async with running_server(settings_of(relay=relays)) as server:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            with trio.fail_after(60):
                while not is_live(server, "live/show"):
                    for payload in clip.pictures(2):
                        await sock.sendto(header + payload, ("127.0.0.1", port))
                    await trio.sleep(0.02)
            (session,) = server.engine.registry.sessions.values()
            assert session.protocol == "ts-udp"


@pytest.mark.parametrize("group", ["127.0.0.1", "239.255.7.9"])
async def test_a_stream_leaves_over_udp(
    running_server: Any,
    settings_of: Any,
    make_peer: Any,
    clip: Any,
    nursery: Any,
    group: str,
) -> None:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind((group, 0))
        port = sock.getsockname()[1]
        if group != "127.0.0.1":
            own = socket.inet_aton("127.0.0.1")
            member = socket.inet_aton(group) + own
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        url = f"udp://{group}:{port}?localaddr=127.0.0.1&pkt_size=940"
        relays = [RelaySettings(source="live/show", destination=url)]
        async with running_server(settings_of(relay=relays)) as server:
            publisher = await make_peer(server)
            await publisher.call(SHOW)
            nursery.start_soon(feed, publisher, clip)
            demuxer, frames = Demuxer(), 0
            with trio.fail_after(60):
                while frames < 10:
                    data = await sock.recv(65_535)
                    assert len(data) <= 940
                    events = demuxer.feed(data)
                    frames += sum(isinstance(event, MediaFrame) for event in events)
            nursery.cancel_scope.cancel()


async def test_multicast_is_received(
    running_server: Any, settings_of: Any, clip: Any
) -> None:
    port = free_udp_port()
    url = f"udp://@239.255.7.10:{port}?localaddr=127.0.0.1&sources=127.0.0.1"
    relays = [RelaySettings(source=url, destination="live/show")]
    async with running_server(settings_of(relay=relays)) as server:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            own = socket.inet_aton("127.0.0.1")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            with trio.fail_after(60):
                while not is_live(server, "live/show"):
                    for payload in clip.pictures(2):
                        await sock.sendto(payload, ("239.255.7.10", port))
                    await trio.sleep(0.02)


class Sender:
    """A caller that has something to send."""

    def __init__(self) -> None:
        self.opened = trio.Event()

    def handle(self, event: object, now: float) -> None:
        if isinstance(event, ConnectionEstablished):
            self.opened.set()

    def fail(self, error: Exception) -> None:
        raise error

    def check_link(self, address: str) -> None:
        raise AssertionError("no group here")


async def test_payloads_pass_unread_between_two_addresses(
    nursery: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    inlet, outlet = free_udp_port(), free_udp_port()
    codes: list[int] = []

    async def forward() -> None:
        codes.append(
            await run_ts_forward(
                f"srt://127.0.0.1:{inlet}?mode=listener&latency=20",
                f"udp://127.0.0.1:{outlet}",
            )
        )

    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", outlet))
        nursery.start_soon(forward)
        port, sender = SrtPort(UdpPort(bind_udp("127.0.0.1:0"))), Sender()
        await nursery.start(port.run)
        socket_id = port.call(("127.0.0.1", inlet), SrtOptions(), sender)
        with trio.fail_after(60):
            await sender.opened.wait()
            sent = [bytes([number]) * (number + 1) for number in range(50)]
            port.endpoint.send(socket_id, sent, now=trio.current_time())
            port.attend()
            assert [await sock.recv(2_000) for _ in sent] == sent
            port.leave(socket_id, "enough")
            while not codes:  # noqa: ASYNC110 - nothing tells it
                await trio.sleep(0.005)
        port.close()
    assert codes == [0]
    assert re.search("source ended", capsys.readouterr().err)
