"""Arithmetic on media time: the only place where clocks are converted."""

from __future__ import annotations

__all__ = ["milliseconds", "rescale"]


def rescale(value: int, source_rate: int, target_rate: int) -> int:
    """Return ``value`` ticks of ``source_rate`` in ticks of ``target_rate``.

    Rounds to the nearest tick, halves up, so that a value converted to a finer clock
    and back is unchanged.
    """
    if source_rate == target_rate:
        return value
    return (value * target_rate * 2 + source_rate) // (source_rate * 2)


def milliseconds(value: int, rate: int) -> int:
    """Return ``value`` ticks of ``rate`` in whole milliseconds, rounded."""
    if rate == 90_000:
        return (value + 45) // 90
    return (value * 2000 + rate) // (rate * 2)
