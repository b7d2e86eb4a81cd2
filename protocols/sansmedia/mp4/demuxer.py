"""Reads fragmented MP4 from a stream of octets, in any segmentation."""

from __future__ import annotations

import re
from collections import deque
from typing import TypeAlias

import attrs

from sansmedia.sansio import ProtocolError

from .boxes import Box, BoxHeader, decode_box_header, decode_boxes
from .limits import Limits
from .moof_wire import SampleBudget, SampleLocation, decode_movie_fragment
from .moov_wire import Movie, decode_movie
from .tracks import Mp4Track

__all__ = [
    "InitSegment",
    "MediaSample",
    "Mp4Demuxer",
    "Mp4DemuxerStatistics",
    "Mp4Event",
]

_LANDMARK = re.compile(rb"moof|moov|styp|ftyp")
_FOUR_CC = re.compile(rb"[ -~\xa9][ -~]{3}")
_UNTIL_END = 1 << 64


@attrs.frozen
class InitSegment:
    """A ``moov`` came: what follows belongs to these tracks."""

    tracks: tuple[Mp4Track, ...]
    """The tracks whose codec is known and that are not damaged."""


@attrs.define
class MediaSample:
    """One sample, times in ticks of its track and moved by its edit list."""

    track_id: int
    """Which track of the last `InitSegment`."""
    dts: int
    """Decoding time."""
    pts: int
    """Presentation time."""
    duration: int
    """How long it is shown or heard."""
    random_access: bool
    """Decoding can begin here."""
    payload: bytes
    """The frame as the sample entry says (length-prefixed NAL units, ...)."""


Mp4Event: TypeAlias = InitSegment | MediaSample


@attrs.define
class Mp4DemuxerStatistics:
    """What a demuxer has seen so far."""

    boxes: int = 0
    """Boxes at the top level, whole."""
    damaged: int = 0
    """Boxes that were refused, tracks among them, and places where no box began."""
    octets_skipped: int = 0
    """Octets passed over while looking for a box after damage."""
    samples: int = 0
    """Samples given out."""
    samples_missing: int = 0
    """Samples announced by ``moof`` that no ``mdat`` brought."""
    samples_unknown: int = 0
    """Samples of tracks whose codec is not known, or that are damaged."""
    media_skipped: int = 0
    """``mdat`` boxes that no ``moof`` announced: files that are not fragmented."""


class Mp4Demuxer:
    """A transform from octets of fragmented MP4 to `InitSegment` and `MediaSample`.

    Damage is counted in `statistics`, never raised; after it the demuxer looks for the
    next ``moof``, ``moov``, ``styp`` or ``ftyp``. It holds at most one box, and gives
    samples out when their ``mdat`` is whole::

        demuxer = Mp4Demuxer()
        for data in source:
            for event in demuxer.feed(data):
                ...

    Limits: `Limits`; every declared size is judged before it is waited for.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._buffer = bytearray()
        self._offset = 0
        self._skip = 0
        self._is_lost = False
        self._movie: Movie | None = None
        self._known: frozenset[int] = frozenset()
        self._decode_times: dict[int, int] = {}
        self._announced: deque[SampleLocation] = deque()
        self._budget = SampleBudget(self._limits)
        self._statistics = Mp4DemuxerStatistics()

    @property
    def pending_bytes(self) -> int:
        """Octets held because their box is not whole yet."""
        return len(self._buffer)

    def statistics(self) -> Mp4DemuxerStatistics:
        """Return a copy of the counters."""
        return attrs.evolve(self._statistics)

    def feed(self, data: bytes) -> list[Mp4Event]:
        """Take the next octets; return what has become whole, in stream order."""
        self._buffer += data
        events: list[Mp4Event] = []
        while self._buffer and self._step(events):
            pass
        return events

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count

    def _step(self, events: list[Mp4Event]) -> bool:
        if self._skip:
            count = min(self._skip, len(self._buffer))
            self._skip -= count
            self._drop(count)
            return True
        if self._is_lost:
            return self._find_landmark()
        try:
            header = decode_box_header(self._buffer)
        except ProtocolError:
            self._lose()
            return True
        if header is None:
            return False
        if header.kind == b"mdat":
            return self._take_media(header, events)
        if header.kind in (b"moov", b"moof"):
            return self._take_header_box(header, events)
        if (
            _FOUR_CC.fullmatch(header.kind) is None
            or header.size > self._limits.max_box_size
        ):
            self._lose()
            return True
        self._pass_over(header)
        return True

    def _lose(self) -> None:
        self._statistics.damaged += 1
        self._statistics.octets_skipped += 1
        self._is_lost = True
        self._drop(1)

    def _find_landmark(self) -> bool:
        found = _LANDMARK.search(self._buffer, 4)
        # Without a landmark the last seven octets may still be the start of one.
        count = found.start() - 4 if found else max(len(self._buffer) - 7, 0)
        self._statistics.octets_skipped += count
        self._drop(count)
        self._is_lost = found is None
        return found is not None

    def _pass_over(self, header: BoxHeader) -> None:
        self._statistics.boxes += 1
        self._skip = header.size or _UNTIL_END

    def _take_media(self, header: BoxHeader, events: list[Mp4Event]) -> bool:
        if not self._announced:
            self._statistics.media_skipped += 1
            self._pass_over(header)
            return True
        if not header.size or header.size > self._limits.max_box_size + 16:
            self._statistics.damaged += 1
            self._pass_over(header)
            return True
        if len(self._buffer) < header.size:
            return False
        self._give_out(header, events)
        self._statistics.boxes += 1
        self._drop(header.size)
        return True

    def _give_out(self, header: BoxHeader, events: list[Mp4Event]) -> None:
        # They are sorted by offset and each is looked at once, or a run of empty mdat
        # boxes would cost the number of samples each.
        start = self._offset + header.header_size
        end = self._offset + header.size
        announced = self._announced
        with memoryview(self._buffer) as view:
            while announced and announced[0].offset + (announced[0].size > 0) <= end:
                sample = announced.popleft()
                if sample.offset < start or sample.offset + sample.size > end:
                    self._statistics.samples_missing += 1
                    continue
                position = sample.offset - self._offset
                payload = bytes(view[position : position + sample.size])
                events.append(self._media_sample(sample, payload))
                self._statistics.samples += 1

    @staticmethod
    def _media_sample(sample: SampleLocation, payload: bytes) -> MediaSample:
        return MediaSample(
            sample.track_id,
            sample.dts,
            sample.pts,
            sample.duration,
            sample.random_access,
            payload,
        )

    def _take_header_box(self, header: BoxHeader, events: list[Mp4Event]) -> bool:
        if not header.size:
            self._lose()
            return True
        if header.size > self._limits.max_header_box_size:
            self._statistics.damaged += 1
            self._forget_announced()
            self._pass_over(header)
            return True
        if len(self._buffer) < header.size:
            return False
        data = bytes(self._buffer[: header.size])
        self._forget_announced()
        try:
            (box,) = decode_boxes(data, self._limits, forgiving=[b"trak"])
            if header.kind == b"moov":
                self._take_movie(box, events)
            else:
                self._take_fragment(box)
        except ProtocolError:
            self._statistics.damaged += 1
        self._statistics.boxes += 1
        self._drop(header.size)
        return True

    def _forget_announced(self) -> None:
        self._statistics.samples_missing += len(self._announced)
        self._announced.clear()

    def _take_movie(self, box: Box, events: list[Mp4Event]) -> None:
        # Samples must never be read by the tracks of an older moov.
        self._movie = None
        self._decode_times = {}
        self._movie = decode_movie(box, self._limits)
        self._statistics.damaged += self._movie.damaged_tracks
        self._known = frozenset(track.track_id for track in self._movie.tracks)
        events.append(InitSegment(self._movie.tracks))

    def _take_fragment(self, box: Box) -> None:
        if self._movie is None:
            raise ProtocolError("moof before moov", source="ISO 14496-12 §8.8.4")
        samples = decode_movie_fragment(
            box,
            self._offset,
            self._movie.extends,
            self._decode_times,
            self._budget,
        )
        known = [sample for sample in samples if sample.track_id in self._known]
        known.sort(key=lambda sample: sample.offset)
        self._announced.extend(known)
        self._statistics.samples_unknown += len(samples) - len(self._announced)
