"""Bonding groups with libsrt's, in both roles, while a link is cut.

libsrt is built without bonding almost everywhere. ``SRT_BONDING_TOOLS`` names a folder
with `srt-test-live` of libsrt 1.5.5, built with ``-DENABLE_BONDING=ON
-DENABLE_AEAD_API_PREVIEW=ON -DENABLE_TESTING=ON``, with its one call that sets
``SRTO_SENDER`` removed: the program as it comes cannot send as a group.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sansmedia.sansio import Datagram
from sansmedia.srt import (
    ConnectionRequested,
    CryptoMode,
    Endpoint,
    GroupClosed,
    GroupEstablished,
    Groups,
    GroupType,
    MemberActivated,
    MessagesReceived,
    SrtOptions,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]
_RELAY = Path(__file__).parents[3] / "bench" / "relay.py"
_MESSAGES = 1200
_INTERVAL = 0.005
_CUT = 3.0
_SECRET = "correct horse battery"
_NAMES = {GroupType.BROADCAST: "broadcast", GroupType.BACKUP: "backup"}


@pytest.fixture
def live() -> str:
    folder = os.environ.get("SRT_BONDING_TOOLS")
    if folder is None:
        pytest.skip("SRT_BONDING_TOOLS names no build of libsrt with bonding")
    return str(Path(folder) / "srt-test-live")


def _udp(port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind(("127.0.0.1", port))
    made.setblocking(False)
    return made


def _free_port() -> int:
    with _udp() as one:
        port: int = one.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(*command: str, quiet: bool = False) -> Iterator[subprocess.Popen[str]]:
    log = open(os.environ.get("SRT_BONDING_LOG", os.devnull), "a")  # noqa: SIM115
    with (
        log,
        subprocess.Popen(
            command,
            stdout=log if quiet else subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            if process.stdout is not None:
                process.stdout.read()


@contextlib.contextmanager
def _relays(
    port: int, delays: tuple[float, ...], cut: int | None
) -> Iterator[list[int]]:
    """Two ways to a port; one of them is cut some seconds after its first datagram."""
    with contextlib.ExitStack() as stack:
        ports = []
        for number, delay in enumerate(delays):
            outage = ["--outage", f"{_CUT}:1000"] if number == cut else []
            process = stack.enter_context(
                _running(
                    sys.executable,
                    str(_RELAY),
                    "--listen",
                    "127.0.0.1:0",
                    "--to",
                    f"127.0.0.1:{port}",
                    "--delay",
                    str(delay),
                    *outage,
                )
            )
            assert process.stdout is not None
            ports.append(int(process.stdout.readline().split()[-1].rsplit(":")[-1]))
        yield ports


class _Driver:
    """Any number of sockets, an endpoint for each, and groups over all."""

    def __init__(self, count: int, react: Callable[..., None] | None = None) -> None:
        self.now = time.monotonic()
        self.sockets = [_udp() for _ in range(count)]
        self.ports = [one.getsockname()[1] for one in self.sockets]
        self.endpoints = [Endpoint(dice=os.urandom, now=self.now) for _ in range(count)]
        self.groups = Groups(dice=os.urandom)
        self.events: list[tuple[float, Any]] = []
        self.got: list[bytes] = []
        self.other: dict[socket.socket, Callable[[bytes], None]] = {}
        self._react = react

    @property
    def machines(self) -> list[Endpoint | Groups]:
        return [*self.endpoints, self.groups]

    def pump(self, until: float, tick: Callable[[], float] = lambda: 1e9) -> None:
        """Run until a time; ``tick`` works on the side and says when it wants more."""
        while True:
            self.now = time.monotonic()
            again = tick()
            self._drain()
            if self.now >= until:
                return
            deadlines = [again, until]
            for machine in self.machines:
                deadline = machine.next_timeout()
                if deadline is not None:
                    deadlines.append(deadline)
            wait = max(0.0, min(deadlines) - time.monotonic())
            ready, _, _ = select.select([*self.sockets, *self.other], [], [], wait)
            self.now = time.monotonic()
            for one in ready:
                self._read(one)
            for machine in self.machines:
                deadline = machine.next_timeout()
                if deadline is not None and deadline <= self.now:
                    machine.handle_timeout(self.now)

    def _read(self, one: socket.socket) -> None:
        batch: list[Datagram] = []
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while len(batch) < 64:
                data, peer = one.recvfrom(2048)
                batch.append(Datagram(data, peer, None, self.now))
        if one in self.other:
            for datagram in batch:
                self.other[one](datagram.data)
        elif batch:
            endpoint = self.endpoints[self.sockets.index(one)]
            endpoint.receive_datagrams(batch, self.now)

    def _drain(self) -> None:
        for endpoint in self.endpoints:
            while (event := endpoint.next_event()) is not None:
                if self.groups.take(endpoint, event, now=self.now):
                    continue
                self.events.append((self.now, event))
                if self._react is not None:
                    self._react(self, endpoint, event)
        while (told := self.groups.next_event()) is not None:
            if isinstance(told, MessagesReceived):
                self.got += [message.data for message in told.messages]
            else:
                self.events.append((self.now, told))
        for endpoint, one in zip(self.endpoints, self.sockets, strict=True):
            for datagram in endpoint.datagrams_to_send():
                with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                    one.sendto(datagram.data, datagram.peer)

    def told(self, kind: type) -> list[Any]:
        return [event for _, event in self.events if isinstance(event, kind)]

    def close(self) -> None:
        for one in (*self.sockets, *self.other):
            one.close()


def _message(number: int) -> bytes:
    return number.to_bytes(4) * 329


def _sender(send: Callable[[bytes], object], begin: float) -> Callable[[], float]:
    """Return a tick that sends numbered messages, evenly."""
    state = {"number": 0}

    def tick() -> float:
        now = time.monotonic()
        while state["number"] < _MESSAGES:
            due = begin + state["number"] * _INTERVAL
            if due > now:
                return due
            send(_message(state["number"]))
            state["number"] += 1
        return 1e9

    return tick


def _numbers(messages: list[bytes]) -> list[int]:
    assert all(message == message[:4] * 329 for message in messages)
    return [int.from_bytes(message[:4]) for message in messages]


_KINDS = pytest.mark.parametrize("kind", GroupType, ids=lambda kind: _NAMES[kind])
_KEYS = pytest.mark.parametrize(
    "mode", [None, CryptoMode.AES_CTR, CryptoMode.AES_GCM], ids=["plain", "ctr", "gcm"]
)


def _options(mode: CryptoMode | None, **more: Any) -> SrtOptions:
    if mode is None:
        return SrtOptions(rcv_latency=0.3, peer_latency=0.3, **more)
    return SrtOptions(
        rcv_latency=0.3,
        peer_latency=0.3,
        passphrase=_SECRET,
        pbkeylen=16,
        crypto_mode=mode,
        **more,
    )


def _query(mode: CryptoMode | None) -> str:
    if mode is None:
        return "latency=300"
    number = 1 if mode is CryptoMode.AES_CTR else 2
    return f"latency=300&passphrase={_SECRET}&pbkeylen=16&cryptomode={number}"


@_KINDS
@_KEYS
def test_libsrts_group_calls_us_and_loses_a_link(
    live: str, kind: GroupType, mode: CryptoMode | None
) -> None:
    def react(driver: _Driver, endpoint: Endpoint, event: Any) -> None:
        if isinstance(event, ConnectionRequested):
            driver.groups.accept(endpoint, event, options, now=driver.now)

    options = _options(mode, group_connect=True)
    driver = _Driver(1, react)
    driver.endpoints[0].listen(options, now=driver.now)
    udp = _free_port()
    with _relays(driver.ports[0], (0.01, 0.03), cut=0) as ports, _udp() as source:
        nodes = ",".join(
            f"127.0.0.1:{port}?weight={2 - number}" for number, port in enumerate(ports)
        )
        uri = f"srt:////group?type={_NAMES[kind]}&{_query(mode)}&nodes={nodes}"
        with _running(live, f"udp://127.0.0.1:{udp}", uri, quiet=True):
            begin = driver.now + 1.5
            tick = _sender(lambda data: source.sendto(data, ("127.0.0.1", udp)), begin)
            driver.pump(begin + _MESSAGES * _INTERVAL + 1, tick)
            (established,) = driver.told(GroupEstablished)
            made = driver.groups.group(established.group_id)
            print([(round(at - begin, 3), event) for at, event in driver.events])
            print(made.statistics(driver.now) if made else None)
    driver.close()
    assert _numbers(driver.got) == list(range(_MESSAGES))


@_KINDS
@_KEYS
def test_our_group_calls_libsrt_and_loses_a_link(
    live: str, kind: GroupType, mode: CryptoMode | None
) -> None:
    driver = _Driver(2)
    port = _free_port()
    sink = _udp()
    got: list[bytes] = []
    driver.other[sink] = got.append
    listen = f"srt://127.0.0.1:{port}?mode=listener&groupconnect=1&{_query(mode)}"
    out = f"udp://127.0.0.1:{sink.getsockname()[1]}"
    with (
        _running(live, listen, out, quiet=True),
        _relays(port, (0.01, 0.03), cut=0) as ports,
    ):
        driver.pump(time.monotonic() + 0.5)
        group = driver.groups.create(kind, _options(mode), now=driver.now)
        for number, endpoint in enumerate(driver.endpoints):
            driver.groups.connect(
                group,
                endpoint,
                ("127.0.0.1", ports[number]),
                weight=2 - number,
                now=driver.now,
            )
        begin = driver.now + 1.0
        tick = _sender(
            lambda data: driver.groups.send(group, [data], now=time.monotonic()), begin
        )
        driver.pump(begin + _MESSAGES * _INTERVAL + 1, tick)
        print([(round(at - begin, 3), event) for at, event in driver.events])
        made = driver.groups.group(group)
        print(made.statistics(driver.now) if made else None)
    driver.close()
    assert _numbers(got) == list(range(_MESSAGES))
    if kind is GroupType.BACKUP:
        assert driver.told(MemberActivated)
    assert not driver.told(GroupClosed)


@_KINDS
def test_we_send_to_a_group_of_libsrt_that_loses_a_link(
    live: str, kind: GroupType
) -> None:
    def react(driver: _Driver, endpoint: Endpoint, event: Any) -> None:
        if isinstance(event, ConnectionRequested):
            driver.groups.accept(endpoint, event, options, now=driver.now)

    options = _options(None, group_connect=True)
    driver = _Driver(1, react)
    driver.endpoints[0].listen(options, now=driver.now)
    sink = _udp()
    got: list[bytes] = []
    driver.other[sink] = got.append
    out = f"udp://127.0.0.1:{sink.getsockname()[1]}"
    with _relays(driver.ports[0], (0.01, 0.03), cut=0) as ports:
        nodes = ",".join(
            f"127.0.0.1:{port}?weight={2 - number}" for number, port in enumerate(ports)
        )
        uri = f"srt:////group?type={_NAMES[kind]}&{_query(None)}&nodes={nodes}"
        with _running(live, uri, out, quiet=True):
            begin = driver.now + 1.5
            driver.pump(begin - 0.2)
            (established,) = driver.told(GroupEstablished)

            def send(data: bytes) -> None:
                driver.groups.send(established.group_id, [data], now=time.monotonic())

            driver.pump(begin + _MESSAGES * _INTERVAL + 1, _sender(send, begin))
    driver.close()
    assert _numbers(got) == list(range(_MESSAGES))


@_KINDS
def test_libsrt_sends_to_a_group_of_ours_that_loses_a_link(
    live: str, kind: GroupType
) -> None:
    driver = _Driver(2)
    port, udp = _free_port(), _free_port()
    listen = f"srt://127.0.0.1:{port}?mode=listener&groupconnect=1&{_query(None)}"
    with (
        _running(live, f"udp://127.0.0.1:{udp}", listen, quiet=True),
        _relays(port, (0.01, 0.03), cut=0) as ports,
        _udp() as source,
    ):
        driver.pump(time.monotonic() + 0.5)
        group = driver.groups.create(kind, _options(None), now=driver.now)
        for number, endpoint in enumerate(driver.endpoints):
            address = ("127.0.0.1", ports[number])
            driver.groups.connect(
                group, endpoint, address, weight=2 - number, now=driver.now
            )
        begin = driver.now + 1.0
        tick = _sender(lambda data: source.sendto(data, ("127.0.0.1", udp)), begin)
        driver.pump(begin + _MESSAGES * _INTERVAL + 1, tick)
    driver.close()
    assert _numbers(driver.got) == list(range(_MESSAGES))
