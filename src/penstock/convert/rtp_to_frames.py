"""RTP payloads of one track into frames, for everything that is not RTP."""

from __future__ import annotations

import attrs
from sansmedia.codecs import Codec, h264, h265, opus, parameters
from sansmedia.rtp.payloads import Depacketiser, Fmtp, PayloadFormat
from sansmedia.rtp.payloads import Frame as RtpFrame
from sansmedia.sansio import ProtocolError

from penstock.media import Frame, Track, TrackKind

from .describe import completed, is_complete

__all__ = ["RtpToFrames"]

_OPUS_HEAD = opus.encode_opus_head(opus.OpusHead(channels=2))


class RtpToFrames:
    """Converts one track of a publication.

    Args:
        track_id: Number within its kind.
        kind: What it carries.
        format: How payloads carry it.
        fmtp: What the sender said of it.
        channels: Of its rtpmap.
        epoch: Number of the publication, noted in each frame.
        group: See `Track.group`.
        name: See `Track.name`.
    """

    def __init__(
        self,
        track_id: int,
        kind: TrackKind,
        format: PayloadFormat,
        *,
        fmtp: Fmtp | None = None,
        channels: int = 1,
        epoch: int = 0,
        group: str = "",
        name: str = "",
    ) -> None:
        self.damaged = 0
        """Frames whose headers or parameter sets could not be read."""
        self.track = Track(
            track_id,
            kind,
            format.codec,
            format.clock_rate or 48_000,
            group=group,
            name=name,
        )
        """As far as it is known by now."""
        if format.codec is Codec.OPUS:
            # What WebRTC calls Opus is stereo at 48 kHz, whatever is inside.
            # RFC 7587 §7.
            self._configure(_OPUS_HEAD)
        elif kind is TrackKind.AUDIO:
            self.track = attrs.evolve(
                self.track,
                parameters=parameters(format.codec, b""),
            )
        self._depacketiser: Depacketiser = format.make_depacketiser(
            fmtp, channels=channels
        )
        self._epoch = epoch
        self._sequence = 0
        self._last_dts = -1
        self._announced = False
        self._sets: tuple[bytes, ...] = ()

    @property
    def needs_key_frame(self) -> bool:
        """Nothing can be decoded until the next one: time to ask the publisher."""
        return self._depacketiser.needs_key_frame

    @property
    def dropped(self) -> int:
        """Frames of which something was missing."""
        return self._depacketiser.statistics().dropped_frames

    def feed(
        self, payload: bytes, timestamp: int, marker: bool, *, gap: bool
    ) -> list[RtpFrame]:
        """Take one payload in order; return the frames that it completes.

        Args:
            payload: After the RTP header.
            timestamp: 32 bits.
            marker: Of the header.
            gap: Packets are missing before this one.
        """
        return self._depacketiser.feed(payload, timestamp, marker, gap)

    def announced(self, frame: RtpFrame) -> Track | None:
        """Return the track if ``frame`` tells something new of it, or is the first."""
        changed = False
        if self.track.is_video and frame.random_access:
            try:
                changed = self._describe(frame)
            except ProtocolError:
                self.damaged += 1
        if self._announced and not changed:
            return None
        if not self._is_known:
            return None
        self._announced = True
        return self.track

    @property
    def _is_known(self) -> bool:
        """True once decoders could be set up for the track."""
        if self.track.codec in (Codec.H264, Codec.H265):
            return bool(self.track.configuration)
        return is_complete(self.track)

    def _describe(self, frame: RtpFrame) -> bool:
        codec = self.track.codec
        if codec in (Codec.H264, Codec.H265):
            sets = frame.parameter_sets
            if not sets or sets == self._sets:
                return False
            configuration = _configuration(codec, sets)
            self._sets = sets
            if configuration == self.track.configuration:
                return False
            self._configure(configuration)
            return True
        known = self.track.parameters
        # Sizes of VP8, VP9 and AV1 stand in their key frames.
        bare = attrs.evolve(self.track, configuration=b"", parameters=None)
        track = completed(bare, frame.payload)
        if track.parameters is None or track.parameters == known:
            return False
        self.track = attrs.evolve(track, generation=self.track.generation + 1)
        return True

    def _configure(self, configuration: bytes) -> None:
        assert self.track.codec is not None
        self.track = attrs.evolve(
            self.track,
            configuration=configuration,
            generation=self.track.generation + bool(self.track.configuration),
            parameters=parameters(self.track.codec, configuration),
        )

    def frame(self, frame: RtpFrame, pts: int, now: float) -> Frame | None:
        """Return a frame of the engine; None if nobody could decode it.

        Args:
            frame: From `feed`.
            pts: Its presentation time in ticks on the stream's zero.
            now: When its last packet arrived.
        """
        if not (self._announced and frame.decodable):
            return None
        self._sequence += 1
        # Pictures out of order need time to be decoded: dts must not pass pts.
        dts = max(self._last_dts + 1, pts)
        self._last_dts = dts
        return Frame(
            self.track,
            dts,
            max(dts, pts),
            frame.payload,
            random_access=frame.random_access,
            sequence=self._sequence,
            epoch=self._epoch,
            duration=frame.duration or None,
            temporal_layer=frame.temporal_layer,
            received_at=now,
        )


def _configuration(codec: Codec, sets: tuple[bytes, ...]) -> bytes:
    """Return avcC or hvcC. Raises: ProtocolError."""
    if codec is Codec.H264:
        kinds = h264.UnitType
        of = {kind: [s for s in sets if h264.unit_type(s) == kind] for kind in kinds}
        return h264.avcc_from_parameter_sets(of[kinds.SPS], of[kinds.PPS])
    hevc = h265.UnitType
    by_kind = {kind: [s for s in sets if h265.unit_type(s) == kind] for kind in hevc}
    return h265.hvcc_from_parameter_sets(
        by_kind[hevc.VPS], by_kind[hevc.SPS], by_kind[hevc.PPS], complete=False
    )
