"""A set of sequence numbers, kept as ranges: the loss lists of both sides."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

__all__ = ["SequenceRanges"]


class SequenceRanges:
    """Unwrapped sequence numbers in disjoint ranges, both ends included.

    What a peer reports as lost costs by the number of ranges, never by the numbers
    that a range claims to span.
    """

    __slots__ = ("_highs", "_lows", "count")

    def __init__(self) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        self.count = 0
        """Numbers in the set."""

    def __len__(self) -> int:
        """Return how many ranges there are."""
        return len(self._lows)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._lows, self._highs, strict=True)

    def __contains__(self, sequence: int) -> bool:
        at = bisect_right(self._lows, sequence) - 1
        return at >= 0 and sequence <= self._highs[at]

    @property
    def first(self) -> tuple[int, int] | None:
        """The lowest range, or None."""
        return (self._lows[0], self._highs[0]) if self._lows else None

    def add(self, low: int, high: int) -> int:
        """Put a range in; return how many of its numbers are new."""
        lows, highs = self._lows, self._highs
        # Ranges that touch or overlap melt into one.
        start = bisect_left(highs, low - 1)
        end = bisect_right(lows, high + 1)
        before = 0
        if start < end:
            before = sum(highs[at] - lows[at] + 1 for at in range(start, end))
            low = min(low, lows[start])
            high = max(high, highs[end - 1])
        lows[start:end] = [low]
        highs[start:end] = [high]
        added = high - low + 1 - before
        self.count += added
        return added

    def discard(self, low: int, high: int) -> int:
        """Take a range out; return how many numbers that were."""
        lows, highs = self._lows, self._highs
        start = bisect_left(highs, low)
        end = bisect_right(lows, high)
        if start >= end:
            return 0
        removed = sum(highs[at] - lows[at] + 1 for at in range(start, end))
        kept_lows: list[int] = []
        kept_highs: list[int] = []
        if lows[start] < low:
            kept_lows.append(lows[start])
            kept_highs.append(low - 1)
            removed -= low - lows[start]
        if highs[end - 1] > high:
            kept_lows.append(high + 1)
            kept_highs.append(highs[end - 1])
            removed -= highs[end - 1] - high
        lows[start:end] = kept_lows
        highs[start:end] = kept_highs
        self.count -= removed
        return removed

    def discard_below(self, sequence: int) -> int:
        """Take out everything before ``sequence``; return how many that were."""
        if not self._lows or self._lows[0] >= sequence:
            return 0
        return self.discard(self._lows[0], sequence - 1)

    def within(self, low: int, high: int) -> list[tuple[int, int]]:
        """Return what of a range is in the set, as ranges."""
        lows, highs = self._lows, self._highs
        start = bisect_left(highs, low)
        end = bisect_right(lows, high)
        return [(max(lows[at], low), min(highs[at], high)) for at in range(start, end)]

    def pop_first(self) -> int:
        """Take the lowest number out; the set must not be empty."""
        low = self._lows[0]
        if low == self._highs[0]:
            del self._lows[0]
            del self._highs[0]
        else:
            self._lows[0] = low + 1
        self.count -= 1
        return low

    def clear(self) -> None:
        """Take everything out."""
        self._lows.clear()
        self._highs.clear()
        self.count = 0
