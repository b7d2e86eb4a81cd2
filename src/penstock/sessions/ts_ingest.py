"""What a publisher sends in MPEG-TS into its stream, whatever carries it."""

from __future__ import annotations

from sansmedia.codecs import Codec
from sansmedia.flv.fourcc import AudioCodecId, VideoCodecId
from sansmedia.mpegts import Demuxer, ProgramMap

from penstock import log
from penstock.convert.ts_to_frames import TsToFrames
from penstock.engine.stream import Publication, Stream
from penstock.media.timeline import TransportTimeline

__all__ = ["TsIngest"]

_FLV_IDS = {
    Codec.H264: VideoCodecId.AVC,
    Codec.H265: int.from_bytes(b"hvc1", "big"),
    Codec.AV1: int.from_bytes(b"av01", "big"),
    Codec.AAC: AudioCodecId.AAC,
    Codec.MP3: AudioCodecId.MP3,
    Codec.OPUS: AudioCodecId.AAC,  # what players of FLV are given of it
    Codec.AC3: int.from_bytes(b"ac-3", "big"),
    Codec.EAC3: int.from_bytes(b"ec-3", "big"),
}
"""What ``onMetaData`` calls them: the form in which a publisher tells its tracks."""
_COUNT_S = 1.0
"""How often the demuxer's counters are looked at."""


class TsIngest:
    """A transport stream of one publication into its stream. Nothing here waits.

    Args:
        stream: Where frames go.
        publication: Whose they are.
    """

    def __init__(self, stream: Stream, publication: Publication) -> None:
        self._stream = stream
        self._publication = publication
        timeline = publication.timeline
        assert isinstance(timeline, TransportTimeline)
        self._demuxer = Demuxer()
        self._converter = TsToFrames(timeline, epoch=publication.epoch)
        self._damaged = 0
        self._counted_at = float("-inf")
        self._told: set[int] = set()

    def take(self, data: bytes, now: float) -> None:
        """Push the frames of a piece of the transport stream, of any size."""
        stream, converter = self._stream, self._converter
        for event in self._demuxer.feed(data):
            frame = converter.convert(event, now)
            for track in converter.announced():
                stream.announce(track, now)
            if frame is not None:
                stream.push(frame)
            elif type(event) is ProgramMap:
                self._tell(event, now)
        if now - self._counted_at >= _COUNT_S:
            self._counted_at = now
            self._count_damage()

    def _count_damage(self) -> None:
        counts = self._demuxer.statistics()
        damaged = self._converter.damaged + counts.frames_dropped
        count = damaged - self._damaged
        if not count:
            return
        if not self._damaged:
            log.warning(
                "damaged media",
                session=self._publication.session.id,
                stream=str(self._stream.key),
                reason="packets of the transport stream are missing or wrong",
            )
        self._damaged = damaged
        self._stream.damaged += count

    def _tell(self, program: ProgramMap, now: float) -> None:
        """Say what a program has: to converters what to wait for, and to the log."""
        codecs = {track.codec for track in program.tracks if track.codec is not None}
        values = {
            "videocodecid" if codec.is_video else "audiocodecid": float(number)
            for codec in codecs
            if (number := _FLV_IDS.get(codec)) is not None
        }
        if values:
            self._stream.set_metadata(dict(values), now)
        for track in program.tracks:
            if track.pid in self._told or len(self._told) >= 64:
                continue
            self._told.add(track.pid)
            known = track.codec or track.data_format
            log.info(
                "track",
                session=self._publication.session.id,
                stream=str(self._stream.key),
                pid=track.pid,
                codec=f"unknown type {track.stream_type:#04x}"
                if known is None
                else known.value,
                language=None if track.language == "und" else track.language,
            )
