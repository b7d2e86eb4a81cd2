"""The round-trip time, as both sides of a connection estimate it.

Source: SRT draft-01 §4.10.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["AckWindow", "RoundTrip"]

_FIRST_RTT: Final = 0.1
_FIRST_VARIANCE: Final = 0.05
_FIRST_RTT_US: Final = 100_000
_FIRST_VARIANCE_US: Final = 50_000
# libsrt keeps as many acknowledgements in mind.
_WINDOW: Final = 1024


class RoundTrip:
    """Smoothed round-trip time and its variance, in seconds."""

    __slots__ = ("is_measured", "rtt", "variance")

    def __init__(self) -> None:
        self.rtt = _FIRST_RTT
        """Smoothed."""
        self.variance = _FIRST_VARIANCE
        """Of the samples."""
        self.is_measured = False
        """Whether these are more than what everybody begins with."""

    def add(self, sample: float) -> None:
        """Take a sample that we measured; the first replaces the initial guess."""
        if self.is_measured:
            self.variance += (abs(sample - self.rtt) - self.variance) / 4
            self.rtt += (sample - self.rtt) / 8
        else:
            self.rtt = sample
            self.variance = sample / 2
            self.is_measured = True

    def adopt(self, rtt_us: int, variance_us: int, *, receiving: bool) -> None:
        """Take what the peer measured and reports.

        A side that only sends has no measurement of its own and takes the report as
        it is; one that receives as well smooths both together.

        Args:
            rtt_us: The peer's smoothed round-trip time, in microseconds.
            variance_us: Its variance.
            receiving: Whether we measure as well.
        """
        initial = rtt_us == _FIRST_RTT_US and variance_us == _FIRST_VARIANCE_US
        if initial:
            return
        rtt, variance = rtt_us / 1e6, variance_us / 1e6
        if not self.is_measured or not receiving:
            self.rtt = rtt
            self.variance = variance
            self.is_measured = True
            return
        self.variance += (abs(rtt - self.rtt) - self.variance) / 4
        self.rtt += (rtt - self.rtt) / 8


class AckWindow:
    """Full acknowledgements that were sent and not answered yet."""

    __slots__ = ("_sent",)

    def __init__(self) -> None:
        self._sent: OrderedDict[int, tuple[int, float]] = OrderedDict()

    def store(self, number: int, sequence: int, now: float) -> None:
        """Remember an acknowledgement; the oldest gives way."""
        self._sent[number] = (sequence, now)
        if len(self._sent) > _WINDOW:
            self._sent.popitem(last=False)

    def acknowledge(self, number: int) -> tuple[int, float] | None:
        """Return the sequence number and time of one, and forget the older ones."""
        if number not in self._sent:
            return None
        while True:
            oldest, entry = self._sent.popitem(last=False)
            if oldest == number:
                return entry
