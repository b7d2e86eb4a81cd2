"""Our peer and aiortc's call each other over loopback, both ways and in all roles."""

from __future__ import annotations

import asyncio
import datetime
import importlib
import os
from collections.abc import Callable
from fractions import Fraction
from types import ModuleType
from typing import Any

import attrs
import av
import pytest
from sansmedia.dtls import generate_certificate
from sansmedia.ice import IceConfig, host_candidate
from sansmedia.rtp import RtpPacket
from sansmedia.rtp.payloads import Vp8Packetiser, vp8
from sansmedia.sansio import Datagram, Terminated, TerminationCause
from sansmedia.sansio.testing import SeededDice
from sansmedia.sdp import (
    Capabilities,
    Direction,
    NegotiatedSession,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    Setup,
    apply_answer,
    decode_session,
    encode_session,
    make_answer,
    make_offer,
)
from sansmedia.webrtc import (
    Connected,
    KeyFrameRequested,
    MediaReceived,
    PacketsMissed,
    Peer,
    PeerConfig,
    SenderReportReceived,
    SendStream,
    SendStreamConfig,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_DEADLINE_S = 30.0
_LOSS = 0.1
_FEEDBACK = ("nack", "nack pli")
_PACKETS = 100
_SOURCES = (
    SendSource(kind="audio", ssrc=10, cname="c", stream="s", track="a"),
    SendSource(kind="video", ssrc=20, rtx_ssrc=21, cname="c", stream="s", track="v"),
)


@pytest.fixture
def aiortc(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An independent peer in Python, on loopback alone, which it would ignore."""
    try:
        module = importlib.import_module("aiortc")
    except ImportError:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("aiortc is missing")
        pytest.skip("aiortc is missing")
    ice = importlib.import_module("aioice.ice")
    monkeypatch.setattr(ice, "get_host_addresses", lambda *_, **__: ["127.0.0.1"])
    return module


@attrs.define
class _Packet:
    number: int
    payload: bytes
    timestamp: int
    marker: bool


class _Live(asyncio.DatagramProtocol):
    """Our peer, its socket and its clock; a part of the media is lost both ways."""

    def __init__(self, *, controlling: bool) -> None:
        self.loop = asyncio.get_running_loop()
        certificate = generate_certificate(
            os.urandom, not_before=datetime.datetime.now(tz=datetime.UTC)
        )
        self.peer = Peer(
            PeerConfig(certificate=certificate, ice=IceConfig(controlling=controlling)),
            dice=os.urandom,
            now=self.loop.time(),
        )
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self.changed = asyncio.Event()
        self.end: Terminated | None = None
        self.heard: dict[str, list[RtpPacket]] = {"audio": [], "video": []}
        self.reports: set[str] = set()
        self.react: Callable[[object], None] = lambda event: None
        self.lost = 0
        self._dice = SeededDice(1)
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        self._transport, _ = await self.loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._local = self._transport.get_extra_info("sockname")[:2]
        self.peer.add_local_candidate(host_candidate(self._local), now=self.loop.time())

    def connect(self, session: NegotiatedSession) -> None:
        self.peer.connect(session, now=self.loop.time())
        self._pump()

    def datagram_received(self, data: bytes, address: Any) -> None:
        if not self._is_lost(data):
            now = self.loop.time()
            came = Datagram(data, address[:2], self._local, now)
            self.peer.receive_datagrams([came], now)
            self._pump()

    def _is_lost(self, data: bytes) -> bool:
        is_media = 127 < data[0] < 192 and not 191 < data[1] < 224
        lost = is_media and self._dice.chance(_LOSS)
        self.lost += lost
        return lost

    def send(self, packets: list[bytes]) -> None:
        path = self.peer.path
        for packet in packets:
            if path is not None and not self._is_lost(packet):
                self._transport.sendto(packet, path.peer)

    def _fire(self) -> None:
        self.peer.handle_timeout(self.loop.time())
        self._pump()

    def _pump(self) -> None:
        peer = self.peer
        while (event := peer.next_event()) is not None:
            if isinstance(event, Connected):
                self.connected.set()
            elif isinstance(event, MediaReceived):
                self.heard[event.stream.media.kind] += event.packets
            elif isinstance(event, SenderReportReceived):
                self.reports.add(event.stream.media.kind)
            elif isinstance(event, Terminated):
                self.end = event
                self.ended.set()
            self.react(event)
            self.changed.set()
        for datagram in peer.datagrams_to_send():
            self._transport.sendto(datagram.data, datagram.peer)
        if self._timer is not None:
            self._timer.cancel()
        at = peer.next_timeout()
        if at is not None:
            self._timer = self.loop.call_at(at, self._fire)

    def close(self) -> None:
        self.peer.close("done", now=self.loop.time())
        self._pump()
        self._transport.close()


def _fits(kind: str, encoding: str, rate: int, channels: int, fmtp: str) -> bool:
    return encoding.lower() in ("opus", "vp8")


async def _negotiate(
    aiortc: ModuleType, connection: Any, live: _Live, direction: Direction, how: str
) -> None:
    """Exchange descriptions: we answer as DTLS client or server, or we offer."""
    if how == "we offer":
        sends = direction.sends
        offer = make_offer(
            [
                OfferedMedia(
                    kind="audio",
                    codecs=(
                        OfferedCodec(encoding="opus", clock_rate=48_000, channels=2),
                    ),
                    source=_SOURCES[0] if sends else None,
                ),
                OfferedMedia(
                    kind="video",
                    codecs=(
                        OfferedCodec(
                            encoding="VP8",
                            clock_rate=90_000,
                            feedback=_FEEDBACK,
                            rtx=True,
                        ),
                    ),
                    source=_SOURCES[1] if sends else None,
                ),
            ],
            direction=direction,
            transport=live.peer.transport(),
            session_id=1,
        )
        await connection.setRemoteDescription(
            aiortc.RTCSessionDescription(encode_session(offer), "offer")
        )
        await connection.setLocalDescription(await connection.createAnswer())
        theirs = decode_session(connection.localDescription.sdp)
        live.connect(apply_answer(offer, theirs))
        return
    await connection.setLocalDescription(await connection.createOffer())
    plan = make_answer(
        decode_session(connection.localDescription.sdp),
        capabilities=Capabilities(
            direction=direction,
            match=_fits,
            feedback={"video": _FEEDBACK, "audio": ()},
        ),
        transport=live.peer.transport(
            Setup.ACTIVE if how == "DTLS client" else Setup.PASSIVE
        ),
        session_id=1,
        sources=_SOURCES if direction.sends else (),
    )
    live.connect(plan.session)
    await connection.setRemoteDescription(
        aiortc.RTCSessionDescription(encode_session(plan.answer), "answer")
    )


def _picture(number: int) -> av.VideoFrame:
    frame = av.VideoFrame(160, 120, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes((number * 3 % 256,)) * plane.buffer_size)
    return frame


def _camera(aiortc: ModuleType) -> Any:
    class Camera(aiortc.mediastreams.VideoStreamTrack):  # type: ignore[misc, name-defined] # untyped
        async def recv(self) -> Any:
            timestamp, base = await self.next_timestamp()
            frame = _picture(timestamp // 3000)
            frame.pts, frame.time_base = timestamp, base
            return frame

    return Camera()


_every_role = pytest.mark.parametrize("how", ["DTLS client", "DTLS server", "we offer"])


@_every_role
def test_aiortc_publishes_to_us(aiortc: ModuleType, how: str) -> None:
    """RFC 4585 §6.2.1, RFC 4588 §4: a tenth is lost, and asked for again."""

    async def talk() -> _Live:
        live = _Live(controlling=how == "we offer")
        await live.open()
        connection = aiortc.RTCPeerConnection()
        connection.addTrack(aiortc.mediastreams.AudioStreamTrack())
        connection.addTrack(_camera(aiortc))
        if how != "we offer":
            for transceiver in connection.getTransceivers():
                transceiver.direction = "sendonly"
        await _negotiate(aiortc, connection, live, Direction.RECVONLY, how)
        await live.connected.wait()
        while min(map(len, live.heard.values())) < _PACKETS or live.reports != {
            "audio",
            "video",
        }:
            live.changed.clear()
            await live.changed.wait()
        await connection.close()
        await live.ended.wait()
        live.close()
        return live

    live = asyncio.run(asyncio.wait_for(talk(), _DEADLINE_S))
    assert live.end is not None
    assert live.end.cause is TerminationCause.PEER
    assert live.lost > 5
    receiver = live.peer.receiver
    assert receiver is not None
    video = next(s for s in receiver.streams if s.media.kind == "video")
    assert video.repaired > 0
    numbers = {packet.sequence for packet in live.heard["video"]}
    # What was lost last had no time to come again; and loss hits repairs as well.
    assert len(numbers) >= 0.95 * (
        (live.heard["video"][-1].sequence - live.heard["video"][0].sequence) & 0xFFFF
    )
    assert all(packet.payload for packet in live.heard["audio"])
    first = min(live.heard["video"], key=lambda packet: packet.timestamp)
    assert vp8.is_key_frame_start(first.payload)
    assert live.peer.statistics().unauthentic == 0


def _pictures(count: int) -> list[bytes]:
    """Encode moving pictures as VP8, a key frame every 15."""
    encoder: Any = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 160, 120, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.gop_size = 15
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    made = []
    for number in range(count):
        frame = _picture(number)
        frame.pts = number
        made += [bytes(packet) for packet in encoder.encode(frame)]
    return made


class _Broadcast:
    """Sends pictures and silence in real time, and again what was missed."""

    def __init__(self, live: _Live) -> None:
        self.live = live
        self.requests = 0
        self.missed = 0
        self._sent: dict[tuple[int, int], _Packet] = {}
        self._streams: dict[str, SendStream] = {}
        peer = live.peer
        assert peer.session is not None
        assert peer.sealer is not None
        for media in peer.session.active:
            codec = media.codecs[0]
            assert media.ssrc is not None
            config = SendStreamConfig(
                media.ssrc,
                codec.payload_type,
                codec.clock_rate,
                media.rtx_ssrc,
                codec.rtx_payload_type,
            )
            self._streams[media.kind] = SendStream(
                config, sealer=peer.sealer, dice=os.urandom
            )
            self._streams[media.kind].begin("live", 0, 0)
        live.react = self._react

    def _react(self, event: object) -> None:
        if isinstance(event, PacketsMissed):
            for stream in self._streams.values():
                if stream.config.ssrc == event.ssrc:
                    self.missed += len(event.sequences)
                    self.live.send(stream.resend(event.sequences, self._find(stream)))
        elif isinstance(event, KeyFrameRequested):
            self.requests += 1

    def _find(self, stream: SendStream) -> Callable[[object, int], _Packet | None]:
        return lambda _, number: self._sent.get((stream.config.ssrc, number))

    def _write(self, kind: str, packets: list[_Packet]) -> None:
        stream = self._streams[kind]
        for packet in packets:
            self._sent[stream.config.ssrc, packet.number] = packet
        self.live.send(stream.write(packets))

    def resent(self) -> int:
        return self._streams["video"].counters.resent

    async def run(self, pictures: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        packetiser = Vp8Packetiser()
        number = 0
        for at, picture in enumerate(pictures):
            payloads = packetiser.packetise(picture, 1100)
            packets = [
                _Packet(number + n, payload, at * 3000, n == len(payloads) - 1)
                for n, payload in enumerate(payloads)
            ]
            number += len(packets)
            self._write("video", packets)
            self._write("audio", [_Packet(at, b"\xf8\xff\xfe", at * 1600, False)])
            due: asyncio.Future[None] = loop.create_future()
            loop.call_later(1 / 30, due.set_result, None)
            await due


@_every_role
def test_aiortc_watches_us(aiortc: ModuleType, how: str) -> None:
    """RFC 4588 §4: it decodes what it missed at first."""
    pictures = _pictures(120)

    async def talk() -> tuple[_Broadcast, int, Any]:
        live = _Live(controlling=how == "we offer")
        await live.open()
        connection = aiortc.RTCPeerConnection()
        tracks: asyncio.Queue[Any] = asyncio.Queue()
        connection.on("track", tracks.put_nowait)
        if how != "we offer":
            for kind in ("audio", "video"):
                connection.addTransceiver(kind, direction="recvonly")
        await _negotiate(aiortc, connection, live, Direction.SENDONLY, how)
        await live.connected.wait()
        both = [await tracks.get(), await tracks.get()]
        (video,) = [track for track in both if track.kind == "video"]
        broadcast = _Broadcast(live)
        sending = asyncio.create_task(broadcast.run(pictures))
        watched = 0
        while watched < 80:
            frame = await video.recv()
            assert (frame.width, frame.height) == (160, 120)
            watched += 1
        await sending
        (receiver,) = [r for r in connection.getReceivers() if r.track is video]
        stats = await receiver.getStats()
        live.close()
        await connection.close()
        return broadcast, watched, stats

    broadcast, watched, stats = asyncio.run(asyncio.wait_for(talk(), _DEADLINE_S))
    assert watched >= 80
    assert broadcast.live.lost > 5
    assert broadcast.missed > 0
    # It keeps one record a track, the newest stream's: that of retransmissions.
    (inbound,) = [s for s in stats.values() if s.type == "inbound-rtp"]
    assert (inbound.ssrc, inbound.packetsReceived > 0) == (21, True)
    assert broadcast.resent() > 0
