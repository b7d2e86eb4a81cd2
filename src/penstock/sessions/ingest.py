"""What a publisher sends into its stream: the same for listeners and relays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sansmedia.rtmp import MediaMessage

from penstock import log
from penstock.convert.flv_to_frames import FlvToFrames
from penstock.engine.stream import Publication, Stream
from penstock.media import Frame
from penstock.media.timeline import MillisecondTimeline

__all__ = ["FlvIngest"]


class FlvIngest:
    """FLV messages of one publication into its stream. Nothing here waits.

    Args:
        stream: Where frames go.
        publication: Whose they are.
    """

    def __init__(self, stream: Stream, publication: Publication) -> None:
        self._stream = stream
        self._publication = publication
        timeline = publication.timeline
        assert isinstance(timeline, MillisecondTimeline)
        self._converter = FlvToFrames(timeline, epoch=publication.epoch)
        self._damaged = 0
        """Of the converter's damage, what the stream has counted."""
        self._has_told = False

    def take_media(self, messages: Iterable[MediaMessage], now: float) -> None:
        """Push the frames of a run of messages."""
        for message in messages:
            self._push(self._converter.convert(message, now), now)
        damaged = self._converter.damaged - self._damaged
        if damaged:
            self._damaged += damaged
            self.take_damage(self._converter.damage_reason, damaged)

    def take_data(self, timestamp_ms: int, payload: bytes, now: float) -> None:
        """Push an AMF data message as a frame of the data track."""
        self._push([self._converter.data(timestamp_ms, payload, now)], now)

    def take_metadata(self, values: Mapping[str, object], now: float) -> None:
        """Hand on what ``onMetaData`` says."""
        self._stream.set_metadata(dict(values), now)

    def take_damage(self, reason: str, count: int = 1) -> None:
        """Count what could not be read; one log line a publication."""
        if not self._has_told:
            self._has_told = True
            log.warning(
                "damaged media",
                session=self._publication.session.id,
                stream=str(self._stream.key),
                reason=reason,
            )
        self._stream.damaged += count

    def _push(self, frames: list[Frame], now: float) -> None:
        for track in self._converter.announced():
            self._stream.announce(track, now)
        for frame in frames:
            self._stream.push(frame)
