"""What a WebRTC publisher sends into its stream: packets as they are, and frames.

Payloads go to viewers of RTP in the step in which they came. Beside that they are put
in order and become frames, for every other protocol, the cache and the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from sansmedia.rtp import Gap, JitterBuffer, RtpPacket, SenderReport, unix_from_ntp
from sansmedia.rtp.payloads import PayloadFormat, payload_format
from sansmedia.sansio import ProtocolError, unwrap
from sansmedia.webrtc import ReceiveStream

from penstock import log
from penstock.convert.rtp_to_frames import RtpToFrames
from penstock.engine.packet_ring import Packet, PacketRing
from penstock.engine.stream import Publication, Stream
from penstock.media import Track, TrackKind
from penstock.media.rtp_timeline import RtpTimeline

__all__ = ["RtpIngest"]

_FIRST_REQUESTS_S = 0.5
"""Until the first key frame a publisher is asked this often."""


@attrs.define(eq=False)
class _Track:
    """One incoming stream on its way into the engine."""

    source: ReceiveStream
    format: PayloadFormat
    converter: RtpToFrames
    ring: PacketRing
    buffer: JitterBuffer
    ssrc: int
    """Whose numbers and times these are."""
    number: int | None = None
    """The last packet's, unwrapped."""
    timestamp: int = 0
    gap: bool = False
    has_key: bool = False
    wanted: bool = False
    """A viewer waits for a key frame."""
    asked_at: float = float("-inf")
    damaged: int = 0


class RtpIngest:
    """RTP of one publication into its stream. Nothing here waits.

    Args:
        stream: Where it goes.
        publication: Whose it is.
        request_key_frame: Asks the publisher for a key frame of one of its streams.
        interval_s: How often at most.
    """

    def __init__(
        self,
        stream: Stream,
        publication: Publication,
        *,
        request_key_frame: Callable[[ReceiveStream], None],
        interval_s: Callable[[], float],
    ) -> None:
        timeline = publication.timeline
        assert isinstance(timeline, RtpTimeline)
        self._timeline = timeline
        self._stream = stream
        self._publication = publication
        self._request = request_key_frame
        self._interval_s = interval_s
        self._tracks: dict[ReceiveStream, _Track] = {}
        self._told: set[tuple[ReceiveStream, str]] = set()
        self._now = 0.0
        self._outlet = stream.open_packets()
        self._outlet.request_key_frame = self._viewer_asks

    # -- input ------------------------------------------------------------------------

    def take(self, source: ReceiveStream, packets: list[RtpPacket], now: float) -> None:
        """Forward and convert a run of packets of one stream."""
        self._now = now
        track = self._tracks.get(source)
        if track is None or track.format is not payload_format(source.codec.encoding):
            made = self._begin(source, now)
            if made is None:
                return
            track = made
        elif track.ssrc != source.ssrc:
            self._renew(track)
        self._forward(track, packets, now)
        self._take_products(track, track.buffer.feed(packets, now), now)

    def report(self, source: ReceiveStream, report: SenderReport, now: float) -> None:
        """Take what ties a stream's clock to the publisher's wall clock."""
        self._timeline.report(
            source, unix_from_ntp(report.ntp_time), report.rtp_time, now
        )

    def tick(self, now: float) -> float | None:
        """Give up what has been waited for too long; return when to be called next."""
        self._now = now
        deadlines: list[float] = []
        for track in self._tracks.values():
            if track.wanted:
                # It was too soon when it was asked for, or is lost on its way.
                self._ask(track, now, self._interval_s())
            at = track.buffer.next_timeout()
            if at is not None and at <= now:
                self._take_products(track, track.buffer.handle_timeout(now), now)
                at = track.buffer.next_timeout()
            if at is not None:
                deadlines.append(at)
        return min(deadlines, default=None)

    # -- tracks -----------------------------------------------------------------------

    def _begin(self, source: ReceiveStream, now: float) -> _Track | None:
        codec, media = source.codec, source.media
        format = payload_format(codec.encoding)
        if format is None:
            return None
        kind = TrackKind.VIDEO if media.kind == "video" else TrackKind.AUDIO
        layers = media.rids or tuple(map(str, range(len(media.simulcast_ssrcs))))
        number = layers.index(source.rid) if source.rid in layers else 0
        try:
            fmtp = format.decode_fmtp(codec.fmtp)
        except ProtocolError:
            fmtp = None
        converter = RtpToFrames(
            number,
            kind,
            format,
            fmtp=fmtp,
            channels=codec.channels,
            epoch=self._publication.epoch,
            group="simulcast" if layers else "",
            name=source.rid,
        )
        ring = self._outlet.ring_of(converter.track, codec.clock_rate, now)
        track = _Track(source, format, converter, ring, JitterBuffer(), source.ssrc)
        self._tracks[source] = track
        if (source, codec.encoding) not in self._told:
            # Once each: a sender may change its codec with every packet.
            self._told.add((source, codec.encoding))
            log.info(
                "track",
                session=self._publication.session.id,
                stream=str(self._stream.key),
                kind=kind.value,
                codec=codec.encoding,
                layer=source.rid or None,
            )
        return track

    def _renew(self, track: _Track) -> None:
        """Take up the numbers of a sender that goes on under another SSRC."""
        track.ssrc = track.source.ssrc
        track.number = None
        track.buffer = JitterBuffer()
        track.gap = True
        self._outlet.restart(track.ring)

    def _forward(self, track: _Track, packets: list[RtpPacket], now: float) -> None:
        """Hand payloads to viewers of RTP, numbered as the publisher numbers them."""
        is_key = track.format.is_key_frame_start
        is_video = track.converter.track.is_video
        run: list[Packet] = []
        for packet in packets:
            last = track.number
            if last is None:
                number, timestamp = packet.sequence, packet.timestamp
                self._place(track, timestamp, timestamp, now)
            else:
                number = unwrap(packet.sequence, last, 16)
                timestamp = unwrap(packet.timestamp, track.timestamp, 32)
            payload = packet.payload
            # Padding alone is passed on too: its number would be missed.
            key = is_video and bool(payload) and is_key(payload)
            if last is None or number > last:
                track.number, track.timestamp = number, timestamp
                if key:
                    track.has_key, track.wanted = True, False
            run.append(Packet(number, payload, timestamp, packet.marker, key))
        self._outlet.push_packets(track.ring, run, now)
        if is_video and not track.has_key:
            self._ask(track, now, _FIRST_REQUESTS_S)

    def _place(self, track: _Track, timestamp: int, unwrapped: int, now: float) -> int:
        """Return where a timestamp stands in the stream's time; the ring learns it.

        Viewers' reports are made of that, so the ring has to know with the first
        packet, before there is a frame.
        """
        ring = track.ring
        pts = self._timeline.map(track.source, ring.rate, timestamp, now)
        ring.offset_s = (pts - unwrapped) / ring.rate
        return pts

    def _take_products(
        self, track: _Track, products: Iterable[RtpPacket | Gap], now: float
    ) -> None:
        converter = track.converter
        for product in products:
            if isinstance(product, Gap):
                track.gap = True
                continue
            gap, track.gap = track.gap, False
            for made in converter.feed(
                product.payload, product.timestamp, product.marker, gap=gap
            ):
                known = converter.announced(made)
                if known is not None:
                    self._announce(track, known, now)
                unwrapped = unwrap(made.timestamp, track.timestamp, 32)
                pts = self._place(track, made.timestamp, unwrapped, now)
                frame = converter.frame(made, pts, now)
                if frame is not None:
                    self._stream.push(frame)
        if converter.needs_key_frame and converter.track.is_video and track.has_key:
            self._ask(track, now, self._interval_s())
        damaged = converter.damaged + converter.dropped
        if damaged != track.damaged:
            self._stream.damaged += damaged - track.damaged
            track.damaged = damaged

    def _announce(self, track: _Track, known: Track, now: float) -> None:
        track.ring.track = known
        self._stream.announce(known, now)

    # -- key frames -------------------------------------------------------------------

    def _viewer_asks(self, wanted: Track) -> None:
        for track in self._tracks.values():
            known = track.converter.track
            if (known.kind, known.id) == (wanted.kind, wanted.id):
                track.wanted = True
                self._ask(track, self._now, self._interval_s())

    def _ask(self, track: _Track, now: float, interval_s: float) -> None:
        if now - track.asked_at >= interval_s:
            track.asked_at = now
            self._request(track.source)
