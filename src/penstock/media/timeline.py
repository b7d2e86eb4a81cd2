"""One publication's time: unwrapped, monotonic, the same zero for all tracks.

The ingest hands in what stands on the wire; everything behind it sees only ints that
never wrap, never run backwards and go on where the last publication of the stream
ended. RTMP gives milliseconds; the audio clock is rebuilt from the exact length of the
frames, because 23, 23, 24 ms is not what 1,024 samples of 44,100 Hz last.
"""

from __future__ import annotations

from sansmedia.sansio import unwrap

from .timestamp import milliseconds, rescale

__all__ = ["AudioClock", "MillisecondTimeline", "TransportTimeline"]

_JUMP_FORWARD_S = 10
_JUMP_BACK_S = 3
_GAP_MS = 20
"""Put between what a jump or a new publisher separates."""
_INTERLEAVE_S = 2.0
"""So long after a jump another track may still be where the clock was before."""
_KEEP_START_BELOW_S = 60
"""A publication that starts below keeps its own zero."""
_AUDIO_TOLERANCE_S = 0.06


class WrappingTimeline:
    """Maps timestamps that wrap, all of one clock, onto the stream's time.

    Args:
        origin_ms: Where the stream's time stands; 0 for the first publication.
    """

    rate: int
    """Ticks a second."""
    bits: int
    """Width of a timestamp on the wire."""
    start_s: float = 0.0
    """Where a publication begins that does not keep its own zero."""

    def __init__(self, origin_ms: int = 0) -> None:
        self.jumps = 0
        """How often the publisher's clock jumped."""
        self._last = origin_ms * self.rate // 1000
        self._origin = self._last
        self._gap = _GAP_MS * self.rate // 1000
        self._offset: int | None = None
        self._old_offset: int | None = None
        self._jumped_at = 0.0
        self._unwrapped = 0
        self._last_arrival = 0.0

    @property
    def last_ms(self) -> int:
        """The latest time given out."""
        return self._last * 1000 // self.rate

    def map(self, timestamp: int, now: float) -> int:
        """Return the stream time of a wire timestamp in ticks, never negative.

        Args:
            timestamp: As it stands on the wire.
            now: When it arrived: a jump is one only if the clock on the wall did
                not make it too.
        """
        if self._offset is None:
            self._start(timestamp, now)
            return self._last
        unwrapped = self._nearest(timestamp, self._unwrapped)
        waited_s = now - self._last_arrival
        self._last_arrival = now
        time = self._settle(unwrapped, waited_s, now)
        self._unwrapped = unwrapped
        self._last = max(self._last, time)
        return max(time, 0)

    def _start(self, timestamp: int, now: float) -> None:
        self._unwrapped = timestamp
        self._last_arrival = now
        if self._origin:
            self._offset = self._origin + self._gap - timestamp
        elif timestamp < _KEEP_START_BELOW_S * self.rate:
            self._offset = 0
        else:
            self._offset = int(self.start_s * self.rate) - timestamp
        self._last = timestamp + self._offset

    def _nearest(self, timestamp: int, reference: int) -> int:
        return unwrap(timestamp, reference, self.bits)

    def _settle(self, unwrapped: int, waited_s: float, now: float) -> int:
        """Apply the offset that makes sense: today's, the old one, or a new one."""
        assert self._offset is not None
        time = unwrapped + self._offset
        if not self._is_jump(time - self._last, waited_s):
            return time
        if self._old_offset is not None and now - self._jumped_at < _INTERLEAVE_S:
            # The other track has not jumped yet: its messages arrive interleaved.
            old = unwrapped + self._old_offset
            if not self._is_jump(old - self._last, waited_s):
                return old
        self.jumps += 1
        self._jumped_at = now
        self._old_offset = self._offset
        self._offset = self._last + self._gap - unwrapped
        return self._last + self._gap

    def _is_jump(self, step: int, waited_s: float) -> bool:
        if step < -_JUMP_BACK_S * self.rate:
            return True
        return step > _JUMP_FORWARD_S * self.rate and waited_s < step / self.rate / 2


class MillisecondTimeline(WrappingTimeline):
    """Maps the 32-bit millisecond timestamps of RTMP."""

    rate = 1000
    bits = 32

    def _nearest(self, timestamp: int, reference: int) -> int:
        unwrapped = unwrap(timestamp, reference, 32)
        if abs(unwrapped - reference) > _JUMP_FORWARD_S * 1000:
            # FFmpeg leaves the highest bit out: its clock wraps after 24.8 days.
            short = unwrap(timestamp & 0x7FFFFFFF, reference, 31)
            if abs(short - reference) <= _JUMP_BACK_S * 1000:
                return short
        return unwrapped


class TransportTimeline(WrappingTimeline):
    """Maps the 33-bit timestamps of an MPEG-TS program: 90,000 ticks a second.

    They wrap after 26.5 hours (ISO 13818-1 §2.4.3.7).
    """

    rate = 90_000
    bits = 33
    start_s = 1.0
    """Sound may lie before the first picture: nothing must fall below zero."""


class AudioClock:
    """Gives audio frames exact times in samples from rounded ones.

    Args:
        sample_rate: Ticks a second of the result.
        timeline_rate: Ticks a second of what comes in.
    """

    def __init__(self, sample_rate: int, timeline_rate: int = 1000) -> None:
        self._rate = sample_rate
        self._timeline_rate = timeline_rate
        self._tolerance = int(sample_rate * _AUDIO_TOLERANCE_S)
        self._next: int | None = None

    def next(self, time: int, duration: int | None) -> int:
        """Return the decoding time of a frame in samples.

        Args:
            time: What the timeline says, in its ticks.
            duration: Exact length of this frame in samples, if the codec fixes it.
        """
        wanted = rescale(time, self._timeline_rate, self._rate)
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
