"""One publication's time: unwrapped, monotonic, the same zero for all tracks.

The ingest hands in what stands on the wire; everything behind it sees only ints that
never wrap, never run backwards and go on where the last publication of the stream
ended. RTMP gives milliseconds; the audio clock is rebuilt from the exact length of the
frames, because 23, 23, 24 ms is not what 1,024 samples of 44,100 Hz last.
"""

from __future__ import annotations

from sansmedia.sansio import unwrap

from .timestamp import milliseconds, rescale

__all__ = ["AudioClock", "MillisecondTimeline"]

_JUMP_FORWARD_MS = 10_000
_JUMP_BACK_MS = 3_000
_GAP_MS = 20
"""Put between what a jump or a new publisher separates."""
_INTERLEAVE_S = 2.0
"""So long after a jump another track may still be where the clock was before."""
_KEEP_START_BELOW_MS = 60_000
"""A publication that starts below keeps its own zero."""
_AUDIO_TOLERANCE_S = 0.06


class MillisecondTimeline:
    """Maps the 32-bit millisecond timestamps of one publication.

    Args:
        origin_ms: Where the stream's time stands; 0 for the first publication.
    """

    def __init__(self, origin_ms: int = 0) -> None:
        self.last_ms = origin_ms
        """The latest time given out."""
        self.jumps = 0
        """How often the publisher's clock jumped."""
        self._origin_ms = origin_ms
        self._offset_ms: int | None = None
        self._old_offset_ms: int | None = None
        self._jumped_at = 0.0
        self._unwrapped = 0
        self._last_arrival = 0.0

    def map(self, timestamp_ms: int, now: float) -> int:
        """Return the stream time of a wire timestamp in ms, never negative.

        Args:
            timestamp_ms: 32-bit wrapped milliseconds.
            now: When it arrived: a jump is one only if the clock on the wall did
                not make it too.
        """
        if self._offset_ms is None:
            self._start(timestamp_ms, now)
            return self.last_ms
        unwrapped = self._nearest(timestamp_ms)
        waited_ms = (now - self._last_arrival) * 1000
        self._last_arrival = now
        stream_ms = self._settle(unwrapped, waited_ms, now)
        self._unwrapped = unwrapped
        self.last_ms = max(self.last_ms, stream_ms)
        return max(stream_ms, 0)

    def _start(self, timestamp_ms: int, now: float) -> None:
        self._unwrapped = timestamp_ms
        self._last_arrival = now
        if self._origin_ms:
            self._offset_ms = self._origin_ms + _GAP_MS - timestamp_ms
        elif timestamp_ms < _KEEP_START_BELOW_MS:
            self._offset_ms = 0
        else:
            self._offset_ms = -timestamp_ms
        self.last_ms = timestamp_ms + self._offset_ms

    def _nearest(self, timestamp_ms: int) -> int:
        unwrapped = unwrap(timestamp_ms, self._unwrapped, 32)
        if abs(unwrapped - self._unwrapped) > _JUMP_FORWARD_MS:
            # FFmpeg leaves the highest bit out: its clock wraps after 24.8 days.
            short = unwrap(timestamp_ms & 0x7FFFFFFF, self._unwrapped, 31)
            if abs(short - self._unwrapped) <= _JUMP_BACK_MS:
                return short
        return unwrapped

    def _settle(self, unwrapped: int, waited_ms: float, now: float) -> int:
        """Apply the offset that makes sense: today's, the old one, or a new one."""
        assert self._offset_ms is not None
        stream_ms = unwrapped + self._offset_ms
        if not self._is_jump(stream_ms - self.last_ms, waited_ms):
            return stream_ms
        if self._old_offset_ms is not None and now - self._jumped_at < _INTERLEAVE_S:
            # The other track has not jumped yet: its messages arrive interleaved.
            old_ms = unwrapped + self._old_offset_ms
            if not self._is_jump(old_ms - self.last_ms, waited_ms):
                return old_ms
        self.jumps += 1
        self._jumped_at = now
        self._old_offset_ms = self._offset_ms
        self._offset_ms = self.last_ms + _GAP_MS - unwrapped
        return self.last_ms + _GAP_MS

    @staticmethod
    def _is_jump(step_ms: int, waited_ms: float) -> bool:
        if step_ms < -_JUMP_BACK_MS:
            return True
        return step_ms > _JUMP_FORWARD_MS and waited_ms < step_ms / 2


class AudioClock:
    """Gives audio frames exact times in samples from rounded milliseconds.

    Args:
        sample_rate: Ticks a second of the result.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._tolerance = int(sample_rate * _AUDIO_TOLERANCE_S)
        self._next: int | None = None

    def next(self, time_ms: int, duration: int | None) -> int:
        """Return the decoding time of a frame in samples.

        Args:
            time_ms: What the timeline says.
            duration: Exact length of this frame in samples, if the codec fixes it.
        """
        wanted = rescale(time_ms, 1000, self._rate)
        predicted = self._next
        if predicted is None or abs(wanted - predicted) > self._tolerance:
            # A gap, or a clock that drifted: follow the wire, never backwards.
            dts = wanted if predicted is None else max(wanted, predicted - 1)
        else:
            dts = predicted
        if duration is None:
            dts = wanted if predicted is None else max(wanted, predicted)
            self._next = dts + 1
        else:
            self._next = dts + duration
        return dts

    def milliseconds(self, dts: int) -> int:
        """Return ``dts`` in ms, rounded."""
        return milliseconds(dts, self._rate)
