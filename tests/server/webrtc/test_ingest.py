"""What a publisher's packets become on their way to viewers, packet by packet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from sansmedia.rtp import ReceptionStatistics, RtpPacket
from sansmedia.rtp.payloads import Vp8Packetiser
from sansmedia.sdp import Direction, NegotiatedCodec, NegotiatedMedia
from sansmedia.webrtc import ReceiveStream

from penstock.engine.packet_outlet import PacketOutlet
from penstock.engine.packet_ring import Packet, PacketRing
from penstock.engine.packet_viewer import PacketViewer
from penstock.engine.session import Session, StreamKey
from penstock.engine.stream import Stream, StreamPolicy
from penstock.engine.unit import Conversions
from penstock.media import TrackKind
from penstock.media.rtp_timeline import RtpTimeline
from penstock.sessions.rtp_ingest import RtpIngest

_CODEC = NegotiatedCodec(
    payload_type=96, encoding="VP8", clock_rate=90_000, feedback=("nack pli",)
)
_MEDIA = NegotiatedMedia(
    index=0, mid="0", kind="video", direction=Direction.RECVONLY, codecs=(_CODEC,)
)


@attrs.define(eq=False)
class _Sink:
    """Takes everything."""

    packets: list[Packet] = attrs.field(factory=list)
    began_s: list[float] = attrs.field(factory=list)
    """Stream times of the packets that it began with."""

    def select(self, kind: TrackKind, rings: Sequence[PacketRing]) -> PacketRing | None:
        return next((ring for ring in rings if ring.track.kind is kind), None)

    def begin(self, ring: PacketRing, packet: Packet, edge: int | None) -> None:
        self.began_s.append(packet.timestamp / ring.rate + ring.offset_s)

    def write(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        self.packets += packets

    def write_late(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        self.packets += packets


class _Publisher:
    """A publisher of pictures, and one viewer of them."""

    def __init__(self) -> None:
        session = _session()
        stream = Stream(
            StreamKey("default", "live", "a"),
            StreamPolicy(),
            conversions=Conversions(
                _nothing, lambda track: None, lambda track, to: None
            ),
            start_task=lambda task, name: lambda: None,
            created_at=0.0,
            tc_url="",
        )
        session.stream = stream
        self.asked: list[float] = []
        self.now = 0.0
        self.source = ReceiveStream(
            0x1000,
            _MEDIA,
            _CODEC,
            reception=ReceptionStatistics(0x1000, 90_000),
            nacks=None,
        )
        self.publication = stream.publish(session, 0.0, RtpTimeline)
        self.ingest = RtpIngest(
            stream,
            self.publication,
            request_key_frame=lambda source: self.asked.append(self.now),
            interval_s=lambda: 1.0,
        )
        self.outlet: PacketOutlet = stream.open_packets()
        self.sink = _Sink()
        self.viewer = PacketViewer(self.sink)
        stream.attach_packets(self.viewer, _session(), 0.0)

    def send(self, sequence: int, payload: bytes, timestamp: int | None = None) -> None:
        at = sequence * 3_000 if timestamp is None else timestamp
        packet = RtpPacket(
            96, sequence & 0xFFFF, at & 0xFFFFFFFF, self.source.ssrc, payload, True
        )
        self.ingest.take(self.source, [packet], self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass as `_keep_time` does."""
        end = self.now + seconds
        while self.now < end:
            self.now = round(self.now + 0.05, 2)
            self.ingest.tick(self.now)

    def numbers(self) -> list[int]:
        return [packet.number for packet in self.sink.packets]


def _nothing(form: Any) -> Any:
    raise AssertionError("nobody watches another form")


def _session() -> Session:
    return Session(
        protocol="whip", address="", port=0, wire=None, started_at=0, started=0
    )


def _picture(*, key: bool = False) -> bytes:
    head = bytes((0x10 if key else 0x11, 0, 0))
    if key:
        head += b"\x9d\x01\x2a\x40\x00\x30\x00"
    (payload,) = Vp8Packetiser().packetise(head + bytes(30), 1_160)
    return payload


@pytest.fixture
async def publisher() -> _Publisher:
    return _Publisher()


async def test_padding_holds_its_place_for_viewers_too(publisher: _Publisher) -> None:
    """A gap would be asked for, and H.264 not decoded over it. RFC 3550 §5.1."""
    publisher.send(1, _picture(key=True))
    publisher.send(2, b"")
    publisher.send(3, _picture())
    assert publisher.numbers() == [1, 2, 3]


async def test_a_request_too_soon_after_another_is_made_later(
    publisher: _Publisher,
) -> None:
    publisher.send(1, _picture(key=True))
    publisher.pass_time(5)
    publisher.asked.clear()
    publisher.viewer.key_frame_wanted()
    publisher.send(2, _picture(key=True))
    publisher.viewer.key_frame_wanted()
    assert publisher.asked == [5.0]
    publisher.pass_time(0.5)
    assert publisher.asked == [5.0]
    publisher.pass_time(0.5)
    assert publisher.asked == [5.0, 6.0]


async def test_a_request_is_repeated_until_a_key_frame_comes(
    publisher: _Publisher,
) -> None:
    """It goes by UDP: nobody says that it was lost."""
    publisher.send(1, _picture(key=True))
    publisher.pass_time(5)
    publisher.asked.clear()
    publisher.viewer.key_frame_wanted()
    publisher.pass_time(2)
    assert publisher.asked == [5.0, 6.0, 7.0]
    publisher.send(2, _picture(key=True))
    publisher.pass_time(5)
    assert publisher.asked == [5.0, 6.0, 7.0]


async def test_numbers_of_another_ssrc_are_others(publisher: _Publisher) -> None:
    """RFC 3550 §8.2: a sender may change it, and all its numbers with it."""
    publisher.send(5_000, _picture(key=True))
    publisher.send(5_001, _picture())
    publisher.source.ssrc = 0x2000
    publisher.send(4_000, _picture(key=True), 7)
    publisher.send(4_001, _picture(), 3_007)
    assert publisher.numbers() == [5_000, 5_001, 4_000, 4_001]
    assert publisher.publication.frames == 4


async def test_the_first_packet_has_its_place_in_the_streams_time(
    publisher: _Publisher,
) -> None:
    """Or reports to viewers who have waited for it would be hours off."""
    publisher.send(1, _picture(key=True), 0xC0000000)
    publisher.source.ssrc = 0x2000
    publisher.pass_time(5)
    publisher.send(2, _picture(key=True), 0x40000000)
    assert publisher.sink.began_s == pytest.approx([0.0, 5.0])


async def test_packets_keep_their_order_over_the_wraps(publisher: _Publisher) -> None:
    """RFC 3550 §5.1: numbers after 65,536 packets, times at 90 kHz after 13 hours."""
    for n in range(15):
        at = 0xFFFFFFFF - 15_000 + n * 3_000
        publisher.send(65_530 + n, _picture(key=not n), at)
    assert publisher.numbers() == list(range(65_530, 65_545))
    times = [packet.timestamp for packet in publisher.sink.packets]
    assert {b - a for a, b in itertools.pairwise(times)} == {3_000}
