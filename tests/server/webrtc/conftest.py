"""A client of WHIP and WHEP: peers of our own, over real sockets."""

from __future__ import annotations

import datetime
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio
import trio.testing
from sansmedia import sdp
from sansmedia.dtls import generate_certificate
from sansmedia.ice import (
    FrameReader,
    IceConfig,
    Path,
    TcpType,
    encode_frame,
    host_candidate,
)
from sansmedia.rtp import RtpPacket
from sansmedia.rtp.payloads import Vp8Depacketiser, Vp8Packetiser
from sansmedia.sansio import Datagram
from sansmedia.webrtc import (
    Connected,
    MediaReceived,
    Peer,
    PeerConfig,
    PeerEvent,
    SendStream,
    SendStreamConfig,
    TcpConnectionWanted,
)

from penstock.engine.session import StreamKey
from penstock.net.udp import UdpPort, bind_udp

if TYPE_CHECKING:
    from tests.server.conftest import RunningServer

_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_CERTIFICATE = generate_certificate(os.urandom, not_before=_DAY)
_VIDEO = sdp.SendSource(
    kind="video", ssrc=0x1000, rtx_ssrc=0x1001, cname="c", stream="s", track="v"
)
_AUDIO = sdp.SendSource(kind="audio", ssrc=0x2000, cname="c", stream="s", track="a")
_FEEDBACK = ("nack", "nack pli")
_SDP = {"Content-Type": "application/sdp"}
_FRAGMENT = "application/trickle-ice-sdpfrag"
_KEY = StreamKey("default", "live", "a")

Running = Callable[..., AbstractAsyncContextManager["RunningServer"]]


@attrs.define
class _Source:
    number: int
    payload: bytes
    timestamp: int
    marker: bool = True


def _picture(number: int, *, key: bool = False) -> bytes:
    """Return a VP8 frame of 64x48 that only a header reader believes. RFC 6386 §9.1."""
    tag = 0x10 if key else 0x11
    head = bytes((tag, 0, 0)) + (b"\x9d\x01\x2a\x40\x00\x30\x00" if key else b"")
    return head + number.to_bytes(4, "big") * 10


class Client:
    """A browser without a browser: an offer, a peer, a socket."""

    def __init__(
        self,
        nursery: trio.Nursery,
        http: httpx.AsyncClient,
        url: str,
        *,
        sends: bool,
        over_tcp: bool,
    ) -> None:
        self.http = http
        self.url = url
        self.events: list[PeerEvent] = []
        self.packets: dict[str, list[RtpPacket]] = {"video": [], "audio": []}
        self.location = ""
        self.etag = ""
        self.moved = trio.Event()
        self.hung_up = trio.Event()
        """The server has closed the TCP connection."""
        self._nursery = nursery
        self._sends = sends
        self._streams: dict[int, SendStream] = {}
        self._numbers: dict[int, int] = {}
        self.socket = UdpPort(bind_udp("127.0.0.1:0"))
        self.peer = Peer(
            PeerConfig(certificate=_CERTIFICATE, ice=IceConfig(controlling=True)),
            dice=os.urandom,
            now=trio.current_time(),
        )
        self.connection: trio.SocketStream | None = None
        self._reader = FrameReader()
        tcp_type = TcpType.ACTIVE if over_tcp else None
        self.peer.add_local_candidate(
            host_candidate(("127.0.0.1", self.socket.port), tcp_type=tcp_type),
            now=trio.current_time(),
        )

    def offer(self) -> sdp.SessionDescription:
        sources = (_VIDEO, _AUDIO) if self._sends else (None, None)
        media = [
            sdp.OfferedMedia(
                kind="video",
                codecs=(
                    sdp.OfferedCodec(
                        encoding="VP8", clock_rate=90_000, feedback=_FEEDBACK, rtx=True
                    ),
                    sdp.OfferedCodec(
                        encoding="H264",
                        clock_rate=90_000,
                        fmtp="packetization-mode=1;profile-level-id=42e01f",
                        feedback=_FEEDBACK,
                        rtx=True,
                    ),
                ),
                source=sources[0],
            ),
            sdp.OfferedMedia(
                kind="audio",
                codecs=(
                    sdp.OfferedCodec(encoding="opus", clock_rate=48_000, channels=2),
                ),
                source=sources[1],
            ),
        ]
        direction = sdp.Direction.SENDONLY if self._sends else sdp.Direction.RECVONLY
        return sdp.make_offer(
            media, direction=direction, transport=self.peer.transport(), session_id=1
        )

    async def post(self, **headers: str) -> httpx.Response:
        """Send the offer without taking its answer."""
        body = sdp.encode_session(self.offer())
        return await self.http.post(self.url, content=body, headers=_SDP | headers)

    async def connect(self) -> None:
        """Send the offer, take the answer, and wait until media may flow."""
        offer = self.offer()
        response = await self.http.post(
            self.url, content=sdp.encode_session(offer), headers=_SDP
        )
        assert response.status_code == 201, response.text
        self.location = str(response.url.join(response.headers["location"]))
        self.etag = response.headers.get("etag", "")
        answer = sdp.decode_session(response.text)
        self.peer.connect(sdp.apply_answer(offer, answer), now=trio.current_time())
        self._nursery.start_soon(self._run)
        await self.wait_for(lambda: self.of(Connected))

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(60):
            while not condition():
                await self.moved.wait()

    async def _run(self) -> None:
        while self.socket.sock.fileno() >= 0:
            now = trio.current_time()
            self._flush()
            deadline = self.peer.next_timeout()
            with trio.move_on_at(min(deadline or now + 0.05, now + 0.05)):
                await self.socket.wait_readable()
            now = trio.current_time()
            self.peer.receive_datagrams(self.socket.drain(now), now)
            deadline = self.peer.next_timeout()
            if deadline is not None and deadline <= now:
                self.peer.handle_timeout(now)
            while (event := self.peer.next_event()) is not None:
                self.events.append(event)
                if isinstance(event, TcpConnectionWanted):
                    self._nursery.start_soon(self._open, event)
                if isinstance(event, MediaReceived):
                    self.packets[event.stream.media.kind] += event.packets
            self.moved.set()
            self.moved = trio.Event()

    def _flush(self) -> None:
        for datagram in self.peer.datagrams_to_send():
            self._put(datagram)

    def _put(self, datagram: Datagram) -> None:
        if datagram.transport == "udp":
            self.socket.send(datagram)
        elif self.connection is not None:
            os.write(self.connection.socket.fileno(), encode_frame(datagram.data))

    async def _open(self, wanted: TcpConnectionWanted) -> None:
        """Be the active side of ICE-TCP."""
        self.connection = await trio.open_tcp_stream(*wanted.peer)
        name = self.connection.socket.getsockname()
        path = Path((name[0], name[1]), wanted.peer, "tcp")
        self.peer.tcp_connected(wanted.host, path, now=trio.current_time())
        try:
            async for data in self.connection:
                now = trio.current_time()
                frames = self._reader.feed(bytes(data))
                batch = [
                    Datagram(frame, path.peer, path.local, now, "tcp")
                    for frame in frames
                ]
                for start in range(0, len(batch), 64):
                    self.peer.receive_datagrams(batch[start : start + 64], now)
                self._flush()
            self.hung_up.set()
            await self.connection.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def hang_up(self) -> None:
        """Close the TCP connection."""
        if self.connection is not None:
            self.connection.socket.close()

    def send(self, ssrc: int, payloads: list[bytes], timestamp: int) -> None:
        """Send one frame."""
        stream = self._streams.get(ssrc)
        number = self._numbers.get(ssrc, 1_000)
        if stream is None:
            assert self.peer.session is not None
            assert self.peer.sealer is not None
            (media,) = [m for m in self.peer.session.media if m.ssrc == ssrc]
            codec = media.codecs[0]
            config = SendStreamConfig(ssrc, codec.payload_type, codec.clock_rate)
            stream = SendStream(config, sealer=self.peer.sealer, dice=os.urandom)
            self._streams[ssrc] = stream
            stream.begin("source", number, timestamp)
        last = len(payloads) - 1
        packets = [
            _Source(number + n, payload, timestamp, n == last)
            for n, payload in enumerate(payloads)
        ]
        self._numbers[ssrc] = number + len(payloads)
        assert self.peer.path is not None
        path = self.peer.path
        for packet in stream.write(packets):
            self._put(Datagram(packet, path.peer, path.local, transport=path.transport))

    def sound(self, number: int) -> None:
        """Send 20 ms of silence."""
        self.send(_AUDIO.ssrc, [b"\xfc\xff\xfe"], number * 960)

    def picture(self, number: int, *, key: bool = False) -> None:
        """Send a picture whose bytes tell its number."""
        payloads = Vp8Packetiser().packetise(_picture(number, key=key), 1_160)
        self.send(_VIDEO.ssrc, payloads, number * 3_000)

    def pictures(self) -> list[int]:
        """Return the numbers of the pictures that came whole."""
        depacketiser = Vp8Depacketiser()
        frames = [
            frame
            for packet in self.packets["video"]
            for frame in depacketiser.feed(
                packet.payload, packet.timestamp, packet.marker
            )
        ]
        return [int.from_bytes(frame.payload[-4:], "big") for frame in frames]

    async def patch(self, body: str, **headers: str) -> httpx.Response:
        headers = {"Content-Type": _FRAGMENT} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return await self.http.patch(self.location, content=body, headers=headers)


@attrs.define
class Site:
    server: RunningServer
    http: httpx.AsyncClient
    nursery: trio.Nursery
    clients: list[Client] = attrs.field(factory=list)

    def client(
        self, path: str, *, sends: bool | None = None, over_tcp: bool = False
    ) -> Client:
        url = f"http://127.0.0.1:{self.server.ports['http']}/{path}"
        wanted = path.partition("?")[0].endswith("whip") if sends is None else sends
        client = Client(self.nursery, self.http, url, sends=wanted, over_tcp=over_tcp)
        self.clients.append(client)
        return client

    async def publisher(self, path: str = "live/a/whip") -> Client:
        client = self.client(path)
        await client.connect()
        return client

    async def viewer(self, path: str = "live/a/whep") -> Client:
        client = self.client(path)
        await client.connect()
        return client

    def frames(self) -> int:
        stream = self.server.engine.registry.streams.get(_KEY)
        publication = None if stream is None else stream.publication
        return 0 if publication is None else publication.frames

    async def until(self, condition: Callable[[], object]) -> None:
        await self.server.wait_until(condition)


@pytest.fixture
def webrtc_site(
    running_server: Running,
) -> Callable[..., AbstractAsyncContextManager[Site]]:
    """Run a server, and give what makes clients of it."""

    @asynccontextmanager
    async def run(settings: Any = None) -> AsyncIterator[Site]:
        async with (
            running_server(settings) as server,
            httpx.AsyncClient(timeout=10, trust_env=False) as http,
            trio.open_nursery() as nursery,
        ):
            site = Site(server, http, nursery)
            yield site
            nursery.cancel_scope.cancel()
            for client in site.clients:
                client.socket.close()

    return run
