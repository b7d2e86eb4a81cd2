"""A deterministic source of randomness: one seed pins every choice of a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["SeededDice"]

T = TypeVar("T")

_MASK = (1 << 64) - 1


class SeededDice:
    """The SplitMix64 generator; an instance is a `Dice`, so machines take it as one.

    Not for keys: whoever knows the seed knows every octet.

    Args:
        seed: Any integer; its low 64 bits count.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def __call__(self, count: int) -> bytes:
        """Return ``count`` octets."""
        words = -(-count // 8)
        drawn = b"".join(self.u64().to_bytes(8, "big") for _ in range(words))
        return drawn[:count]

    def u64(self) -> int:
        """Return an unsigned 64-bit integer."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """Return an integer in ``[0, bound)``; ``bound`` is at least 1."""
        return self.u64() % bound

    def between(self, low: int, high: int) -> int:
        """Return an integer in ``[low, high]``."""
        return low + self.below(high - low + 1)

    def uniform(self) -> float:
        """Return a float in ``[0, 1)``."""
        return (self.u64() >> 11) / (1 << 53)

    def chance(self, probability: float) -> bool:
        """Return True with that probability; one draw, whatever the probability."""
        return self.uniform() < probability

    def choice(self, items: Sequence[T]) -> T:
        """Return one of ``items``, which is not empty."""
        return items[self.below(len(items))]
