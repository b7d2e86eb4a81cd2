"""How far a run is: totals, averages of the last 30 s, and its streams."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import attrs

from .samples import AvStream, ProgressSample, StreamCounts
from .streams import StreamInfo

__all__ = ["Progress", "ProgressTracker", "StreamProgress"]

WINDOW_S = 30.0
"""What averages cover; less while the run is younger."""
_STEP_S = 0.5
"""FFmpeg reports twice a second; reports that come faster share a mark."""


@attrs.frozen
class StreamProgress:
    """A stream of a run and what is known of its progress; 0 if unknown.

    FFmpeg counts for all streams together. Only the quantiser comes for each video
    stream (with ``-progress``), and frames for the first video stream of the outputs.
    The rest is what an FFmpeg with JSON lines tells.
    """

    info: StreamInfo
    frame: int = 0
    fps: float = 0.0
    q: float = 0.0
    keyframe: int = 0
    frame_rates: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """See `StreamCounts`."""
    packet: int = 0
    pps: float = 0.0
    """Packets a second, average of the window."""
    size_bytes: int = 0
    bitrate_bps: float = 0.0
    """Average of the window."""
    extradata_bytes: int = 0
    playout: AvStream | None = None


@attrs.frozen
class Progress:
    """How far a run is; all 0 and empty before its first report."""

    inputs: tuple[StreamProgress, ...] = ()
    outputs: tuple[StreamProgress, ...] = ()
    frame: int = 0
    packet: int = 0
    """0 with FFmpeg as it is published, which counts none."""
    fps: float = 0.0
    """Frames a second, average of the window."""
    q: float = 0.0
    """Quantiser of the first video stream, the last one that was not negative."""
    size_bytes: int = 0
    time_s: float = 0.0
    """Seconds of media."""
    bitrate_bps: float = 0.0
    """Average of the window, by wall time."""
    speed: float = 0.0
    """Media time by wall time, as FFmpeg reckons it."""
    drop: int = 0
    dup: int = 0


@attrs.frozen
class _Mark:
    at: float
    frame: int
    size_bytes: int
    streams: tuple[tuple[int, int, int], ...] = ()
    """Frames, packets and octets of each stream that is counted."""


@attrs.define(eq=False)
class ProgressTracker:
    """Add up the reports of one run, from standard error, a pipe, or both.

    Counts never go back: sizes on standard error are cut to whole KiB, those from the
    pipe are exact, and both may come.
    """

    started: float
    """When the run began, seconds on the clock of ``now``."""
    advanced_at: float = attrs.field(init=False)
    """When frames, size or time last rose: what a stale run is told by. Where each
    stream is counted, the one that has stood longest tells, among sound and pictures
    that are written."""
    reports: int = 0
    """How many came."""
    _total: Progress = attrs.field(factory=Progress, init=False)
    _stream_qs: dict[tuple[int, int], float] = attrs.field(factory=dict, init=False)
    _marks: deque[_Mark] = attrs.field(factory=deque, init=False)
    _inputs: tuple[StreamCounts, ...] = attrs.field(default=(), init=False)
    _outputs: tuple[StreamCounts, ...] = attrs.field(default=(), init=False)
    _streams_advanced_at: list[float] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.advanced_at = self.started
        self._marks.append(_Mark(self.started, 0, 0))

    @property
    def marks(self) -> int:
        """How many moments averages stand on, two a second of the window."""
        return len(self._marks)

    def update(self, sample: ProgressSample, now: float) -> None:
        """Take a report that came at ``now`` (seconds)."""
        old = self._total
        new = attrs.evolve(
            old,
            frame=max(old.frame, sample.frame or 0),
            packet=max(old.packet, sample.packet or 0),
            size_bytes=max(old.size_bytes, sample.size_bytes or 0),
            dup=max(old.dup, sample.dup or 0),
            drop=max(old.drop, sample.drop or 0),
            time_s=old.time_s if sample.time_s is None else max(0.0, sample.time_s),
            speed=old.speed if sample.speed is None else max(0.0, sample.speed),
            q=_newest_q(sample, old.q),
        )
        for index, stream, q in sample.stream_qs:
            if q >= 0 and len(self._stream_qs) < 1000:
                self._stream_qs[index, stream] = q
        if sample.outputs:
            self._take_streams(sample, now)
        elif (
            new.frame > old.frame
            or new.size_bytes > old.size_bytes
            or new.time_s > old.time_s
        ):
            self.advanced_at = now
        self.reports += 1
        self._total = new
        counted = (*self._inputs, *self._outputs)
        streams = tuple((one.frame, one.packet, one.size_bytes) for one in counted)
        self._mark(_Mark(now, new.frame, new.size_bytes, streams))

    def _take_streams(self, sample: ProgressSample, now: float) -> None:
        """Note what each stream has counted, and how long the slowest has stood."""
        before, self._outputs = self._outputs, sample.outputs
        self._inputs = sample.inputs
        if len(before) != len(sample.outputs):
            # The first report, which all streams are measured from.
            before = tuple(StreamCounts(one.info) for one in sample.outputs)
            self._streams_advanced_at = [self.started] * len(before)
        times = self._streams_advanced_at
        for place, (old, new) in enumerate(zip(before, sample.outputs, strict=True)):
            if new.frame > old.frame or new.packet > old.packet:
                times[place] = now
        # Subtitles and data come when there is something to say.
        paced = [
            at
            for at, one in zip(times, sample.outputs, strict=True)
            if one.info.kind in ("video", "audio")
        ]
        self.advanced_at = min(paced or times)

    def view(
        self,
        now: float,
        inputs: Iterable[StreamInfo] = (),
        outputs: Iterable[StreamInfo] = (),
    ) -> Progress:
        """Return how far the run is at ``now``, with its streams' entries.

        Averages fall while no report comes.
        """
        if not self.reports:
            return self._total
        total = self._total
        base = self._base(now)
        elapsed = now - base.at
        fps = bitrate_bps = 0.0
        if elapsed > 0:
            fps = (total.frame - base.frame) / elapsed
            bitrate_bps = (total.size_bytes - base.size_bytes) * 8 / elapsed
        total = attrs.evolve(total, fps=fps, bitrate_bps=bitrate_bps)
        if self._outputs:
            counted = self._counted(base, elapsed)
            count = len(self._inputs)
            return attrs.evolve(total, inputs=counted[:count], outputs=counted[count:])
        return attrs.evolve(
            total,
            inputs=tuple(StreamProgress(info) for info in inputs),
            outputs=self._guessed(outputs, total.frame, fps),
        )

    def _counted(self, base: _Mark, elapsed: float) -> tuple[StreamProgress, ...]:
        """Return what streams are, by their own counts and those of the base."""
        counts = (*self._inputs, *self._outputs)
        nothing = ((0, 0, 0),) * len(counts)
        then = base.streams if len(base.streams) == len(counts) else nothing
        seconds = elapsed if elapsed > 0 else math.inf
        return tuple(
            StreamProgress(
                one.info,
                frame=one.frame,
                fps=max(0, one.frame - frame) / seconds,
                q=one.q,
                keyframe=one.keyframe,
                frame_rates=one.frame_rates,
                packet=one.packet,
                pps=max(0, one.packet - packet) / seconds,
                size_bytes=one.size_bytes,
                bitrate_bps=max(0, one.size_bytes - size) * 8 / seconds,
                extradata_bytes=one.extradata_bytes,
                playout=one.playout,
            )
            for one, (frame, packet, size) in zip(counts, then, strict=True)
        )

    def _guessed(
        self, outputs: Iterable[StreamInfo], frame: int, fps: float
    ) -> tuple[StreamProgress, ...]:
        entries = []
        is_counted = True
        for info in outputs:
            q = self._stream_qs.get((info.index, info.stream), 0.0)
            if info.kind == "video" and is_counted:
                entries.append(StreamProgress(info, frame, fps, q))
                is_counted = False
            else:
                entries.append(StreamProgress(info, q=q))
        return tuple(entries)

    def _mark(self, mark: _Mark) -> None:
        marks = self._marks
        # The first mark stands for the beginning and is never replaced.
        if len(marks) > 1 and mark.at - marks[-2].at < _STEP_S:
            marks.pop()
        marks.append(mark)
        while len(marks) > 1 and marks[1].at <= mark.at - WINDOW_S:
            marks.popleft()

    def _base(self, now: float) -> _Mark:
        """Return the newest mark that is a window old, or the oldest there is."""
        begin = now - WINDOW_S
        base = self._marks[0]
        for mark in self._marks:
            if mark.at > begin:
                break
            base = mark
        return base


def _newest_q(sample: ProgressSample, old: float) -> float:
    """Return the first quantiser that is one: FFmpeg writes -1 (or -0) for none."""
    return next((q for q in sample.qs if q >= 0), old) + 0.0
