"""MPEG-TS into frames: what a demuxer gives, on the stream's time."""

from __future__ import annotations

import attrs
from sansmedia.codecs import Codec, VideoParameters
from sansmedia.mpegts import (
    Configuration,
    Event,
    MediaFrame,
    PcrSample,
    ProgramMap,
    ProgramRemoved,
)
from sansmedia.mpegts import Track as TransportTrack
from sansmedia.sansio import serial_distance

from penstock.media import Frame, Track, TrackKind
from penstock.media.timeline import AudioClock, TransportTimeline

__all__ = ["TsToFrames"]

_CLOCK_RATE = 90_000
_BITS = 33
_VIDEO = frozenset({Codec.H264, Codec.H265, Codec.AV1})
_MAX_TRACKS = 32
# What stands in the configuration, delimiters and filler: no part of a frame.
_LEFT_OUT = {
    Codec.H264: frozenset(
        octet for octet in range(256) if octet & 0x1F in (7, 8, 9, 12, 13)
    ),
    Codec.H265: frozenset(
        octet for octet in range(256) if octet >> 1 & 0x3F in (32, 33, 34, 35, 38)
    ),
}
_NOTHING: frozenset[int] = frozenset()


@attrs.define(eq=False)
class _TrackState:
    """One elementary stream on its way into the engine."""

    source: TransportTrack
    track: Track
    clock: AudioClock | None = None
    generation: int = 0
    """Of the demuxer's configuration that the track has; 0: none yet."""
    last_dts: int = -1
    has_key: bool = False


class TsToFrames:
    """Converts what the demuxer tells of one publication.

    A stream has one program here: the first that comes with something to see or hear.

    Args:
        timeline: The publication's time.
        epoch: Number of the publication, noted in each frame.
    """

    def __init__(self, timeline: TransportTimeline, *, epoch: int) -> None:
        self.damaged = 0
        """Frames that were left out because octets of them are missing or wrong."""
        self._timeline = timeline
        self._epoch = epoch
        self._sequence = 0
        self._program: int | None = None
        self._tracks: dict[int, _TrackState] = {}
        self._announced: list[Track] = []

    def announced(self) -> list[Track]:
        """Return the tracks that are new or have a new configuration, once."""
        announced, self._announced = self._announced, []
        return announced

    def convert(self, event: Event, now: float) -> Frame | None:
        """Return the frame that an event is, if it is one that can be used."""
        if type(event) is MediaFrame:
            return self._frame(event, now)
        match event:
            case Configuration():
                self._configure(event)
            case ProgramMap():
                self._take_map(event)
            case ProgramRemoved() if event.program_number == self._program:
                self._program = None
            case PcrSample() | _:
                pass  # PTS and DTS are enough: viewers get clocks of their own
        return None

    # -- tracks -----------------------------------------------------------------------

    def _take_map(self, program: ProgramMap) -> None:
        usable = [track for track in program.tracks if _kind(track) is not None]
        if not any(_kind(track) is not TrackKind.DATA for track in usable):
            return
        if self._program not in (None, program.program_number):
            return
        self._program = program.program_number
        kept: dict[int, _TrackState] = {}
        for source in usable:
            old = self._tracks.get(source.pid)
            if old is not None and old.source.codec is source.codec:
                old.source = source
                kept[source.pid] = old
        for source in usable:
            if source.pid not in kept and len(kept) < _MAX_TRACKS:
                kept[source.pid] = self._begin(source, kept)
        self._tracks = kept

    def _begin(
        self, source: TransportTrack, kept: dict[int, _TrackState]
    ) -> _TrackState:
        """Return a new track; it takes the place of one that has gone."""
        kind = _kind(source)
        assert kind is not None
        taken = {s.track.id for s in kept.values() if s.track.kind is kind}
        number = next(n for n in range(_MAX_TRACKS) if n not in taken)
        former = next(
            (
                state
                for state in self._tracks.values()
                if state.track.kind is kind and state.track.id == number
            ),
            None,
        )
        track = Track(
            number,
            kind,
            source.codec,
            _CLOCK_RATE,
            generation=0 if former is None else former.track.generation + 1,
            stream_type=source.stream_type,
            data_format="" if source.data_format is None else source.data_format.value,
            group="" if kind is TrackKind.DATA else kind.value,
            language="" if source.language == "und" else source.language,
        )
        state = _TrackState(source, track)
        if former is not None and former.last_dts >= 0:
            ticks = former.last_dts * _CLOCK_RATE
            state.last_dts = -(-ticks // former.track.clock_rate)
        if kind is TrackKind.DATA:
            self._announced.append(track)
        return state

    def _configure(self, event: Configuration) -> None:
        state = self._tracks.get(event.pid)
        if state is None:
            return
        described = event.parameters
        rate = _CLOCK_RATE
        if not isinstance(described, VideoParameters):
            rate = described.sample_rate
            if event.codec is Codec.OPUS:
                rate = 48_000
        old = state.track
        first = state.generation == 0
        state.generation = event.generation
        state.track = attrs.evolve(
            old,
            codec=event.codec,
            clock_rate=rate,
            configuration=event.data,
            parameters=described,
            generation=old.generation + (0 if first else 1),
        )
        if rate != old.clock_rate and state.last_dts >= 0:
            state.last_dts = -(-state.last_dts * rate // old.clock_rate)
        if not state.track.is_video and (state.clock is None or rate != old.clock_rate):
            state.clock = AudioClock(rate, _CLOCK_RATE)
        self._announced.append(state.track)

    # -- frames -----------------------------------------------------------------------

    def _frame(self, made: MediaFrame, now: float) -> Frame | None:
        state = self._tracks.get(made.pid)
        if state is None or made.dts is None or made.pts is None:
            return None
        if made.damaged:
            self.damaged += 1
            return None
        track = state.track
        if track.kind is TrackKind.DATA:
            time = self._timeline.map(made.dts, now)
            dts = pts = max(time, state.last_dts)
            payload = made.payload
        elif not state.generation:
            return None
        elif track.is_video:
            if not state.has_key:
                if not made.random_access:
                    return None  # nobody can decode it
                state.has_key = True
            dts = max(self._timeline.map(made.dts, now), state.last_dts)
            pts = dts + serial_distance(made.dts, made.pts, _BITS)
            payload = made.payload
            if made.units is not None:
                assert track.codec is not None
                payload = made.length_prefixed(_LEFT_OUT.get(track.codec, _NOTHING))
                if not payload:
                    return None
        else:
            assert state.clock is not None
            time = self._timeline.map(made.dts, now)
            dts = pts = max(state.clock.next(time, made.duration), state.last_dts)
            payload = made.payload
        state.last_dts = dts
        self._sequence += 1
        return Frame(
            track,
            dts,
            pts,
            payload,
            random_access=made.random_access,
            sequence=self._sequence,
            epoch=self._epoch,
            duration=made.duration,
            received_at=now,
        )


def _kind(track: TransportTrack) -> TrackKind | None:
    if track.codec in _VIDEO:
        return TrackKind.VIDEO
    if track.codec is not None:
        return TrackKind.AUDIO
    return None if track.data_format is None else TrackKind.DATA
