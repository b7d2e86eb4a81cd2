"""An SRT endpoint on a plain socket, and libsrt's programs beside it."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import pytest
from sansmedia.sansio import Datagram
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.endpoint import Endpoint
from sansmedia.srt.endpoint_events import ConnectionEstablished, ConnectionRequested
from sansmedia.srt.options import SrtOptions

DEADLINE_S = 8.0
CHUNK = 1316
HOST = "127.0.0.1"


def _missing(what: str) -> None:
    if os.environ.get("TEST_REQUIRE_PEERS") == "1":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def program(name: str) -> str:
    """Return a peer's path, or skip the test (fail it if peers are required)."""
    if name == "ffmpeg9":
        try:
            bundled: str = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            _missing("imageio-ffmpeg")
        return bundled
    found = shutil.which(name)
    if found is None:
        _missing(name)
    return found or ""


def free_port() -> int:
    """Return a UDP port that nobody has at present."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def payloads(count: int) -> list[bytes]:
    """Return messages that look like MPEG-TS and differ."""
    return [
        (b"\x47" + number.to_bytes(4, "big") + bytes(183)).ljust(CHUNK, b"\x47")
        for number in range(count)
    ]


Do: TypeAlias = Callable[[Endpoint, float], object]


class Node:
    """Runs one endpoint in a thread, accepts callers, and keeps what comes."""

    def __init__(
        self,
        options: SrtOptions | None = None,
        *,
        decide: Callable[[Endpoint, ConnectionRequested, float], object] | None = None,
    ) -> None:
        self.options = options or SrtOptions()
        self.events: list[Any] = []
        self.messages: list[bytes] = []
        self._decide = decide or (
            lambda endpoint, event, now: endpoint.accept(event.request_id, now=now)
        )
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((HOST, 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.endpoint = Endpoint(dice=os.urandom, now=time.monotonic())
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._changed = threading.Condition()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, what: Do) -> None:
        """Run a command in the endpoint's thread of control."""
        with self._lock:
            what(self.endpoint, time.monotonic())
        self._waker.send(b"x")

    def send(self, messages: Sequence[bytes], *, gap: float = 0.002) -> None:
        """Send messages on the only connection, evenly paced."""
        [established] = self.of(ConnectionEstablished)
        begin = time.monotonic()
        for number, message in enumerate(messages):
            pause = begin + number * gap - time.monotonic()
            if pause > 0:
                self._ends.wait(pause)
            self.do(lambda e, n, m=message: e.send(established.socket_id, [m], now=n))  # type: ignore[misc] # a lambda's default

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind so far."""
        with self._lock:
            return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            with self._changed:
                self._changed.wait(0.05)
            assert time.monotonic() < deadline, self.events[-5:]

    def wait_event(self, kind: type[Any]) -> Any:
        """Wait for an event and return the first of its kind."""
        self.wait_for(lambda: self.of(kind))
        return self.of(kind)[0]

    def stop(self) -> None:
        """End it."""
        self._ends.set()
        self._waker.send(b"x")
        self._thread.join(5)
        self._socket.close()
        self._wake.close()
        self._waker.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            with self._lock:
                heard = self._turn(time.monotonic())
                deadline = self.endpoint.next_timeout()
            if heard:
                with self._changed:
                    self._changed.notify_all()
            wait = 0.1 if deadline is None else deadline - time.monotonic()
            readable, _, _ = select.select(
                [self._socket, self._wake], [], [], min(max(wait, 0.0), 0.1)
            )
            if self._wake in readable:
                self._wake.recv(1000)

    def _turn(self, now: float) -> bool:
        batch: list[Datagram] = []
        while len(batch) < 64:
            try:
                data, peer = self._socket.recvfrom(2048)
            except OSError:
                break
            batch.append(Datagram(data, peer, at=now))
        if batch:
            self.endpoint.receive_datagrams(batch, now)
        self.endpoint.handle_timeout(now)
        heard = False
        while (event := self.endpoint.next_event()) is not None:
            heard = True
            if isinstance(event, MessagesReceived):
                self.messages += [message.data for message in event.messages]
            else:
                self.events.append(event)
            if isinstance(event, ConnectionRequested):
                self._decide(self.endpoint, event, now)
        for datagram in self.endpoint.datagrams_to_send():
            try:
                self._socket.sendto(datagram.data, datagram.peer)
            except OSError:
                continue
        return heard


class Peer:
    """One program of libsrt's, with octets going in or out by pipes."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.received = b""
        self.complaints = b""
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        stdout = self._process.stdout
        while stdout and (octets := os.read(stdout.fileno(), 65536)):
            self.received += octets

    def _listen(self) -> None:
        stderr = self._process.stderr
        while stderr and (octets := os.read(stderr.fileno(), 65536)):
            self.complaints += octets

    def send(self, messages: Sequence[bytes], *, gap: float = 0.002) -> None:
        """Give octets to send, evenly paced."""
        stdin = self._process.stdin
        assert stdin is not None
        begin = time.monotonic()
        pause = threading.Event()
        for number, message in enumerate(messages):
            pause.wait(max(0.0, begin + number * gap - time.monotonic()))
            stdin.write(message)
            stdin.flush()

    def finish(self) -> None:
        """Let it end by itself once its input has."""
        if self._process.stdin:
            self._process.stdin.close()

    def wait(self) -> int:
        """Wait for its end."""
        return self._process.wait(DEADLINE_S)

    def stop(self) -> None:
        """End it."""
        process = self._process
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        for reader in self._readers:
            reader.join(5)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


MakeNode: TypeAlias = Callable[..., Node]
MakePeer: TypeAlias = Callable[..., Peer]


@pytest.fixture
def make_node() -> Iterator[MakeNode]:
    """Make endpoints that end with the test."""
    made: list[Node] = []

    def make(options: SrtOptions | None = None, **more: Any) -> Node:
        made.append(Node(options, **more))
        return made[-1]

    yield make
    for node in made:
        node.stop()


@pytest.fixture
def make_peer() -> Iterator[MakePeer]:
    """Start programs that end with the test."""
    made: list[Peer] = []

    def make(name: str, url: str, *, sends: bool) -> Peer:
        path = program(name)
        if name == "srt-live-transmit":
            ways = ["file://con", url] if sends else [url, "file://con"]
            command = [path, "-chunk", str(CHUNK), *ways]
        else:
            command = [path, "-v", "error", "-nostdin", "-flush_packets", "1"]
            raw = ["-f", "data", "-i"]
            if sends:
                # Reads its standard input as it comes, in packets of TS.
                command = [path, "-v", "error", "-f", "data", "-i", "pipe:0"]
                command += ["-map", "0", "-c", "copy", "-f", "data", url]
            else:
                command += [*raw, url, "-map", "0", "-c", "copy", "-f", "data"]
                command += ["pipe:1"]
        made.append(Peer(command))
        return made[-1]

    yield make
    for peer in made:
        peer.stop()


@pytest.fixture
def make_payloads() -> Callable[[int], list[bytes]]:
    """Make messages that differ."""
    return payloads


@pytest.fixture
def port() -> int:
    """A free UDP port."""
    return free_port()
