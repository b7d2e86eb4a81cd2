"""Seeded damage to good input, for checks that run without a fuzzer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from sansmedia.sansio.contract import Datagram

from .dice import SeededDice

__all__ = ["mutate", "mutate_bytes"]

# Lengths, counts and signs go wrong at these octets first.
_EDGES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)


def mutate_bytes(data: bytes, other: bytes, dice: SeededDice) -> bytes:
    """Return ``data`` with 1 to 4 wounds; ``other`` is what gets spliced in."""
    damaged = bytearray(data)
    for _ in range(dice.between(1, 4)):
        at = dice.below(len(damaged) + 1)
        wound = dice.below(6)
        if wound == 0 and at < len(damaged):
            damaged[at] ^= 1 << dice.below(8)
        elif wound == 1 and at < len(damaged):
            damaged[at] = dice.choice(_EDGES)
        elif wound == 2:
            del damaged[at:]
        elif wound == 3:
            del damaged[at : at + dice.between(1, 16)]
        elif wound == 4:
            damaged[at:at] = dice(dice.between(1, 16))
        else:
            start = dice.below(len(other) + 1)
            damaged[at:at] = other[start : start + dice.between(1, 64)]
    return bytes(damaged)


def mutate(seed: Sequence[Any], other: Sequence[Any], dice: SeededDice) -> Any:  # noqa: ANN401 - as the seed: bytes or a tuple of datagrams
    """Return a damaged copy of a seed: of its octets, or of its datagrams."""
    if isinstance(seed, bytes):
        return mutate_bytes(seed, bytes(other), dice)
    datagrams: list[Datagram] = list(seed)
    for _ in range(dice.between(1, 4)):
        at = dice.below(len(datagrams) + 1)
        wound = dice.below(4)
        if at == len(datagrams) or wound == 0:
            datagrams.insert(at, dice.choice(other))
        elif wound == 1:
            del datagrams[at]
        elif wound == 2:
            datagrams.append(datagrams.pop(at))
        else:
            victim = datagrams[at]
            damaged = mutate_bytes(victim.data, dice.choice(other).data, dice)
            datagrams[at] = attrs.evolve(victim, data=damaged)
    return tuple(datagrams)
