"""An SRT caller over a real socket, and a small transport stream to send."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
from sansmedia.codecs import Codec
from sansmedia.mpegts import Demuxer, MediaFrame, Muxer, MuxTrack
from sansmedia.sansio import Datagram
from sansmedia.srt import (
    Closed,
    ConnectionEstablished,
    ConnectionRejected,
    Endpoint,
    EndpointEvent,
    Groups,
    GroupsEvent,
    MessagesReceived,
    SrtOptions,
)

CODECS = Path(__file__).parent.parent.parent / "data" / "codecs"
AVC = (CODECS / "h264_high_1080.bin").read_bytes()
AAC = (CODECS / "aac_lc_44100_2.bin").read_bytes()
_LOOK_S = 0.02
_IDR = bytes.fromhex("0000000565888084ff")
_SLICE = bytes.fromhex("00000004419a0203")


class Clip:
    """An endless transport stream: 30 pictures a second, each tenth a key frame."""

    def __init__(self) -> None:
        self._muxer = Muxer(
            [MuxTrack(256, Codec.H264, AVC), MuxTrack(257, Codec.AAC, AAC)]
        )
        self._numbers = itertools.count()

    def pictures(self, count: int) -> list[bytes]:
        """Return payloads of the next pictures and their sounds."""
        data = b""
        for _ in range(count):
            number = next(self._numbers)
            is_key = number % 10 == 0
            payload = _IDR if is_key else _SLICE
            at = number * 3_000
            data += self._muxer.write(256, payload, at, random_access=is_key)
            data += self._muxer.write(257, b"sound %d" % number, at)
        return [data[n : n + 1316] for n in range(0, len(data), 1316)]


class SrtPeer:
    """One caller.

    Args:
        port: Of the server, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        self.endpoint = Endpoint(dice=os.urandom, now=trio.current_time())
        self.socket_id = 0
        self.received = b""
        """Of the transport stream."""
        self.groups: Groups | None = None
        self._events: list[EndpointEvent | GroupsEvent] = []
        self._news = trio.Event()

    async def bind(self) -> None:
        """Take a free port."""
        await self._sock.bind(("127.0.0.1", 0))

    async def run(self) -> None:
        """Carry datagrams and keep time, until cancelled."""
        own = self._sock.getsockname()
        while True:
            await self.flush()
            deadline = self.endpoint.next_timeout() or float("inf")
            data = b""
            # A command may have brought the deadline closer meanwhile.
            with trio.move_on_at(min(deadline, trio.current_time() + _LOOK_S)):
                try:
                    data, _ = await self._sock.recvfrom(65_535)
                except trio.ClosedResourceError:
                    return
            now = trio.current_time()
            if data:
                batch = [Datagram(data, self._server, own, now)]
                self.endpoint.receive_datagrams(batch, now)
            elif deadline <= now:
                self.endpoint.handle_timeout(now)
            self._collect(now)

    async def flush(self) -> None:
        """Send what is due."""
        for datagram in self.endpoint.datagrams_to_send():
            await self._sock.sendto(datagram.data, datagram.peer)

    def _collect(self, now: float) -> None:
        groups = self.groups
        if groups is not None:
            groups.handle_timeout(now)
        while (event := self.endpoint.next_event()) is not None:
            if groups is not None and groups.take(self.endpoint, event, now=now):
                continue
            if isinstance(event, MessagesReceived):
                self.received += b"".join(m.data for m in event.messages)
            self._tell(event)
        while groups is not None and (news := groups.next_event()) is not None:
            self._tell(news)

    def _tell(self, event: EndpointEvent | GroupsEvent) -> None:
        self._events.append(event)
        self._news.set()
        self._news = trio.Event()

    async def wait_for(self, *kinds: type) -> EndpointEvent | GroupsEvent:
        """Return the first event of these kinds, and forget those before it."""
        with trio.fail_after(60):
            while True:
                while self._events:
                    event = self._events.pop(0)
                    if isinstance(event, kinds):
                        return event
                await self._news.wait()

    async def call(
        self, stream_id: str, **options: object
    ) -> EndpointEvent | GroupsEvent:
        """Connect; return the outcome."""
        chosen = SrtOptions(stream_id=stream_id, rcv_latency=0.02, **options)  # type: ignore[arg-type]
        self.socket_id = self.endpoint.connect(
            self._server, chosen, now=trio.current_time()
        )
        await self.flush()
        return await self.wait_for(ConnectionEstablished, ConnectionRejected)

    async def send(self, payloads: list[bytes]) -> None:
        """Send payloads."""
        self.endpoint.send(self.socket_id, payloads, now=trio.current_time())
        await self.flush()

    async def receive_frames(self, count: int) -> list[MediaFrame]:
        """Return the first frames of what has been received."""
        with trio.fail_after(60):
            while True:
                events = Demuxer().feed(self.received)
                frames = [event for event in events if isinstance(event, MediaFrame)]
                if len(frames) >= count:
                    return frames[:count]
                await self._news.wait()

    async def end(self) -> Closed:
        """Wait for the server to end the connection."""
        event = await self.wait_for(Closed)
        assert isinstance(event, Closed)
        return event

    async def hang_up(self) -> None:
        """Say goodbye."""
        self.endpoint.close_connection(self.socket_id, now=trio.current_time())
        await self.flush()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


MakePeer = Callable[[object], Awaitable[SrtPeer]]


@pytest.fixture
async def make_peer(nursery: trio.Nursery) -> AsyncIterator[MakePeer]:
    """Make callers of a running server."""
    peers: list[SrtPeer] = []

    async def make(server: object) -> SrtPeer:
        peer = SrtPeer(server.ports["srt"])  # type: ignore[attr-defined] # RunningServer
        peers.append(peer)
        await peer.bind()
        nursery.start_soon(peer.run)
        return peer

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture
def clip() -> Clip:
    """A transport stream."""
    return Clip()
