"""When a job is looked at again.

Jobs that are looked at wake together, on the ticks of one clock: a loop that wakes
once for fifty of them does less than one that wakes fifty times.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

__all__ = ["LOOK_S", "Pace"]

LOOK_S: Final = 1.0
"""Between two looks at a program that says little."""
_TICK_S: Final = 0.25
_SHORT_S: Final = 0.02
"""Between two looks at the very first, and at one that says much."""
_LITTLE: Final = 4_096
"""Octets a look: two reports have 700."""
_MUCH: Final = 16_384
"""A pipe holds 65,536, and a program whose pipe is full stands still."""


@attrs.define(eq=False)
class Pace:
    """Says when the next look is due, by what the last one has found."""

    _wait_s: float = _SHORT_S

    def next_look(self, octets: int, now: float) -> float:
        """Return when to look again.

        Args:
            octets: What was there to read.
            now: Seconds on the loop's clock.
        """
        if octets > _MUCH:
            self._wait_s = _SHORT_S
        elif octets < _LITTLE:
            self._wait_s = min(2 * self._wait_s, LOOK_S)
        due = now + self._wait_s
        if self._wait_s < LOOK_S:
            return due
        return math.floor(due / _TICK_S) * _TICK_S
