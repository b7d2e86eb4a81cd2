"""How much reordering is tolerated before a loss is reported.

Source: libsrt's SRTO_LOSSMAXTTL and pktReorderTolerance.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["ReorderTolerance"]

_ORDERED_TO_DECREASE: Final = 50
_EARLY_TO_DECREASE: Final = 10


class ReorderTolerance:
    """Holds loss reports back for some packets; learns how many from what comes.

    Args:
        most: Packets that are waited for at most; 0 reports every loss at once.
    """

    __slots__ = (
        "_early",
        "_fresh",
        "_most",
        "_ordered",
        "_packets",
        "distance",
        "tolerance",
    )

    def __init__(self, most: int) -> None:
        self.tolerance = most
        """Packets that are waited for at present."""
        self.distance = 0
        """The farthest that a packet came out of order."""
        self._most = most
        self._fresh: deque[tuple[int, int, int]] = deque()
        self._packets = 0
        self._ordered = 0
        self._early = 0

    def hold_back(self, low: int, high: int) -> bool:
        """Tell whether the report of a new loss is held back."""
        if not self.tolerance:
            return False
        self._fresh.append((low, high, self._packets + self.tolerance))
        return True

    def count(self) -> list[tuple[int, int]]:
        """Count a packet; return the ranges that were held back for long enough."""
        self._packets += 1
        fresh = self._fresh
        due = []
        while fresh and fresh[0][2] < self._packets:
            low, high, _ = fresh.popleft()
            due.append((low, high))
        return due

    def in_order(self) -> None:
        """Take it that a packet came in order, or was sent again."""
        self._ordered += 1
        if self._ordered >= _ORDERED_TO_DECREASE:
            self._ordered = 0
            self._decrease()

    def out_of_order(self, sequence: int, highest: int) -> None:
        """Take it that a packet came late by itself, not because it was sent again."""
        distance = highest - sequence
        self.distance = max(self.distance, distance)
        grown = distance > self.tolerance
        if grown:
            self.tolerance = min(distance, self._most)
        if not self.tolerance:
            return
        self._ordered = 0
        if grown:
            self._early = 0
        elif self._left(sequence) > 2:
            self._early += 1
            if self._early >= _EARLY_TO_DECREASE:
                self._early = 0
                self._decrease()

    def _left(self, sequence: int) -> int:
        """Return for how many packets the report of one would still be held back."""
        for low, high, until in self._fresh:
            if low <= sequence <= high:
                return until - self._packets
        return 0

    def _decrease(self) -> None:
        if self.tolerance > 0:
            self.tolerance -= 1
            self.distance = max(self.distance - 1, 0)
