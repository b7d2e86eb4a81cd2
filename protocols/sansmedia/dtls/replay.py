"""The anti-replay window of one epoch. Source: RFC 6347 §4.1.2.6."""

from __future__ import annotations

__all__ = ["ReplayWindow"]

_SIZE = 64
_MASK = (1 << _SIZE) - 1


class ReplayWindow:
    """Remembers which of the last 64 sequence numbers have come."""

    __slots__ = ("_bitmap", "_highest")

    def __init__(self) -> None:
        self._highest = -1
        self._bitmap = 0

    def is_fresh(self, sequence: int) -> bool:
        """Tell whether a number is new; changes nothing."""
        age = self._highest - sequence
        return age < 0 or (age < _SIZE and not self._bitmap >> age & 1)

    def mark(self, sequence: int) -> None:
        """Note a number, once its record has proved authentic."""
        age = self._highest - sequence
        if age >= 0:
            self._bitmap |= 1 << age
        else:
            self._bitmap = (self._bitmap << -age | 1) & _MASK if -age < _SIZE else 1
            self._highest = sequence
