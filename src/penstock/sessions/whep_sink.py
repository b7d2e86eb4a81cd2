"""One WHEP viewer's packets: its headers, its keys, its way to the socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import attrs
import trio
from sansmedia.codecs import Codec
from sansmedia.rtp import SenderReport, ntp_from_unix
from sansmedia.rtp.payloads import PictureOffsets, continue_after, vp8, vp9
from sansmedia.sdp import NegotiatedMedia
from sansmedia.webrtc import Peer, SendStream, SendStreamConfig, fitting_codec

from penstock.engine.packet_ring import Packet, PacketRing
from penstock.media import TrackKind

from .webrtc_port import Traffic, WebRtcPort

__all__ = ["WhepSink"]

_SPEED = 30
"""Cached pictures are re-timed to 1.1 ms each: a decoder takes them as they come, and
a player shows them as fast as it can."""
_ANCHOR_ERROR_S = 0.2
"""A publisher's clock that has drifted this far from ours moves the reports."""


@attrs.define(eq=False)
class _Lane:
    """One negotiated section that we send in."""

    media: NegotiatedMedia
    stream: SendStream
    ring: PacketRing | None = None
    sent_at: float | None = None
    has_picture_ids: bool = False
    """What is being sent has numbers of its own: VP8, VP9."""
    last: bytes | None = None
    """Where it has, the payload sent last, as the peer has it."""
    rewrite: Callable[[bytes], bytes] | None = None
    muted: bool = False


class WhepSink:
    """Where one peer's packets go; a `PacketSink`.

    Args:
        peer: Connected: it has keys.
        port: Sends packets.
        traffic: Counts what is sent.
        dice: Randomness for first numbers.
    """

    def __init__(
        self,
        peer: Peer,
        port: WebRtcPort,
        traffic: Traffic,
        *,
        dice: Callable[[int], bytes],
    ) -> None:
        assert peer.sealer is not None
        assert peer.session is not None
        self._peer = peer
        self._port = port
        self._traffic = traffic
        self.layer = ""
        """Name of the video track to send; "" for the main one."""
        self.unfit: Codec | None = None
        """A codec of the stream that the peer cannot take: it misses a track."""
        self._anchor: tuple[float, float] | None = None
        """A moment on the stream's clock, and when it was on ours."""
        self._lanes: dict[TrackKind, _Lane] = {}
        for media in peer.session.active:
            if media.ssrc is None:
                continue
            kind = TrackKind.VIDEO if media.kind == "video" else TrackKind.AUDIO
            codec = media.codecs[0]
            config = SendStreamConfig(
                ssrc=media.ssrc,
                payload_type=codec.payload_type,
                rate=codec.clock_rate,
                rtx_ssrc=media.rtx_ssrc,
                rtx_payload_type=codec.rtx_payload_type,
            )
            stream = SendStream(config, sealer=peer.sealer, dice=dice)
            self._lanes[kind] = _Lane(media, stream)

    # -- what to send -----------------------------------------------------------------

    def select(self, kind: TrackKind, rings: Sequence[PacketRing]) -> PacketRing | None:
        """Choose the wanted layer, else the first track that the peer can take."""
        lane = self._lanes.get(kind)
        if lane is None or lane.muted:
            return None
        of_kind = [ring for ring in rings if ring.track.kind is kind]
        fitting = [ring for ring in of_kind if self._fits(lane, ring.track.codec)]
        if of_kind and not fitting:
            self.unfit = of_kind[0].track.codec
        if kind is TrackKind.VIDEO and self.layer:
            for ring in fitting:
                if ring.track.name == self.layer:
                    return ring
        return fitting[0] if fitting else None

    @staticmethod
    def _fits(lane: _Lane, codec: Codec | None) -> bool:
        return codec is not None and fitting_codec(lane.media, codec) is not None

    def mute(self, kind: TrackKind, *, muted: bool) -> None:
        """Leave one kind out, or take it up again."""
        lane = self._lanes.get(kind)
        if lane is not None:
            lane.muted = muted

    # -- packets ----------------------------------------------------------------------

    def begin(self, ring: PacketRing, packet: Packet, edge: int | None) -> None:
        """Make ready to send a track from ``packet`` on."""
        lane = self._lanes[ring.track.kind]
        codec = ring.track.codec
        assert codec is not None
        format = fitting_codec(lane.media, codec)
        assert format is not None
        lane.stream.config = attrs.evolve(
            lane.stream.config,
            payload_type=format.payload_type,
            rtx_payload_type=format.rtx_payload_type,
            rate=format.clock_rate,
        )
        now = trio.current_time()
        elapsed = 0
        if lane.sent_at is not None:
            elapsed = int((now - lane.sent_at) * format.clock_rate)
        if lane.ring is None or lane.ring.track.codec is not codec:
            lane.last = None
        lane.has_picture_ids = codec in (Codec.VP8, Codec.VP9)
        lane.rewrite = _continued(codec, lane.last, packet.payload)
        lane.stream.begin(
            ring.source,
            packet.number,
            packet.timestamp,
            elapsed=elapsed,
            edge=edge,
            speed=_SPEED if edge is not None else 1,
            rewrite=lane.rewrite,
        )
        lane.ring = ring
        live = packet.timestamp if edge is None else edge
        self._note_anchor(ring, live, now)

    def _note_anchor(self, ring: PacketRing, timestamp: int, now: float) -> None:
        stream_s = timestamp / ring.rate + ring.offset_s
        if self._anchor is not None:
            expected = self._anchor[0] + now - self._anchor[1]
            if abs(stream_s - expected) < _ANCHOR_ERROR_S:
                return
        self._anchor = stream_s, now

    def write(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        """Send packets of a track that has begun, in order."""
        lane = self._lanes[ring.track.kind]
        lane.sent_at = trio.current_time()
        self._send(lane.stream.write(packets))
        if lane.has_picture_ids:
            # Padding has none to go on from.
            for packet in reversed(packets):
                if packet.payload:
                    rewrite = lane.rewrite
                    payload = packet.payload
                    lane.last = payload if rewrite is None else rewrite(payload)
                    break

    def write_late(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        """Send packets that belong before what was sent already."""
        lane = self._lanes[ring.track.kind]
        if lane.stream.is_at(ring.source):
            self._send(lane.stream.write_late(packets))

    def resend(self, ssrc: int, sequences: Sequence[int]) -> None:
        """Send again what the peer misses, as far as it is kept."""
        for lane in self._lanes.values():
            if lane.stream.config.ssrc == ssrc:
                self._send(lane.stream.resend(sequences, _find))

    def _send(self, packets: Sequence[bytes]) -> None:
        path = self._peer.path
        if path is not None and packets:
            self._traffic.bytes_sent += self._port.send_run(path, packets)

    def video_ssrc(self) -> int | None:
        """Return the SSRC that pictures go under."""
        lane = self._lanes.get(TrackKind.VIDEO)
        return None if lane is None else lane.stream.config.ssrc

    # -- reports ----------------------------------------------------------------------

    def report(self, now: float) -> None:
        """Send what ties our streams to each other: about once a second."""
        anchor = self._anchor
        if anchor is None:
            return
        ntp = ntp_from_unix(time.time())
        stream_s = anchor[0] + now - anchor[1]
        for lane in self._lanes.values():
            ring = lane.ring
            if ring is None or lane.sent_at is None:
                continue
            source = (stream_s - ring.offset_s) * ring.rate
            timestamp = lane.stream.timestamp_at(source)
            if timestamp is None:
                continue
            counters = lane.stream.counters
            report = SenderReport(
                lane.stream.config.ssrc,
                ntp,
                timestamp,
                counters.packets & 0xFFFFFFFF,
                counters.octets & 0xFFFFFFFF,
                [],
            )
            self._peer.send_rtcp([report], now=now)


def _continued(
    codec: Codec, last: bytes | None, first: bytes
) -> Callable[[bytes], bytes] | None:
    """Return what makes picture ids go on behind ``last``; None if nothing has to."""
    if last is None or codec not in (Codec.VP8, Codec.VP9):
        return None
    form = vp8 if codec is Codec.VP8 else vp9
    offsets = continue_after(form.picture_ids(last), form.picture_ids(first))
    if offsets == PictureOffsets():
        return None
    return partial(form.rewrite, offsets=offsets)


def _find(source: object, number: int) -> Packet | None:
    return source.get(number) if isinstance(source, dict) else None
