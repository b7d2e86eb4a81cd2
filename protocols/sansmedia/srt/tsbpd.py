"""Delivery by time stamps: the peer's clock on ours, and its drift.

Source: SRT draft-01 §4.5 and §4.7.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DriftTracer", "TsbpdClock"]

_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 1 << 31
_SPAN: Final = 1000
_MOST: Final = 0.005


class DriftTracer:
    """Averages drift over 1,000 samples; what exceeds 5 ms moves the time base."""

    __slots__ = ("_count", "_sum", "drift")

    def __init__(self) -> None:
        self.drift = 0.0
        """Seconds that delivery is corrected by, at most 5 ms either way at first."""
        self._sum = 0.0
        self._count = 0

    def add(self, sample: float) -> float:
        """Take a sample; return by how many seconds the time base shall move."""
        self._sum += sample
        self._count += 1
        if self._count < _SPAN:
            return 0.0
        self.drift = self._sum / self._count
        self._sum = 0.0
        self._count = 0
        if abs(self.drift) <= _MOST:
            return 0.0
        excess = _MOST if self.drift > 0 else -_MOST
        self.drift -= excess
        return excess


class TsbpdClock:
    """Maps the peer's timestamps to our clock.

    A timestamp is 32 bits wide and wraps every 71 minutes and 35 seconds. Instead of
    watching for the wrap (SRT draft-01 §4.5.1.1) it is unwrapped around what the peer's
    clock must show now, so that silence of any length does no harm.

    Args:
        timestamp: One of the peer's, in microseconds.
        at: When it came.
        latency: Seconds from sending to delivery.
        trace_drift: Whether the drift of both clocks is followed.
    """

    __slots__ = ("_first_rtt", "_tracer", "base", "latency")

    def __init__(
        self, timestamp: int, at: float, latency: float, *, trace_drift: bool
    ) -> None:
        self.base = at - timestamp / 1e6
        """When the peer's timestamps began, on our clock."""
        self.latency = latency
        """Seconds from sending to delivery."""
        self._tracer = DriftTracer() if trace_drift else None
        self._first_rtt: float | None = None

    @property
    def drift(self) -> float:
        """Seconds that delivery is corrected by at present."""
        return 0.0 if self._tracer is None else self._tracer.drift

    def expected(self, now: float) -> int:
        """Return the unwrapped timestamp that the peer would give now."""
        return int((now - self.base) * 1e6)

    def due(self, now: float) -> int:
        """Return the latest unwrapped timestamp that is to be delivered by now."""
        # A tenth of a microsecond against the fractions that floats lose.
        return int((now - self.base - self.latency - self.drift) * 1e6 + 0.1)

    def delivery_time(self, timestamp: int) -> float:
        """Return when a packet with this unwrapped timestamp is due."""
        return self.base + self.latency + self.drift + timestamp / 1e6

    def source_time(self, timestamp: int) -> float:
        """Return when a packet with this unwrapped timestamp came from its source."""
        return self.base + timestamp / 1e6

    def begin_samples(self) -> None:
        """Take the next sample for the first of another path."""
        self._first_rtt = None

    def add_sample(self, timestamp: int, at: float, rtt: float) -> None:
        """Take the timestamp of an answer that came at ``at``, ``rtt`` measured by it.

        Half of what the round trip grew since the first sample is taken for delay of
        the path, not for drift.
        """
        if self._tracer is None:
            return
        if self._first_rtt is None:
            self._first_rtt = rtt
        reference = self.expected(at)
        unwrapped = reference + ((timestamp - reference + _HALF) & _MASK) - _HALF
        sample = at - self.source_time(unwrapped) - (rtt - self._first_rtt) / 2
        self.base += self._tracer.add(sample)
