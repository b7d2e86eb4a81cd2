"""Serial number arithmetic (RFC 1982) for counters that wrap."""

from __future__ import annotations

__all__ = ["serial_add", "serial_distance", "serial_less", "unwrap"]


def serial_add(value: int, increment: int, bits: int) -> int:
    """Return ``value + increment`` modulo ``2**bits``. Source: RFC 1982 §3.1."""
    return (value + increment) & ((1 << bits) - 1)


def serial_distance(start: int, end: int, bits: int) -> int:
    """Return the signed number of steps from ``start`` to ``end``.

    The result lies in ``[-2**(bits-1), 2**(bits-1) - 1]``: the short way round.
    """
    half = 1 << (bits - 1)
    return ((end - start + half) & ((1 << bits) - 1)) - half


def serial_less(first: int, second: int, bits: int) -> bool:
    """Tell whether ``first`` comes before ``second``. Source: RFC 1982 §3.2."""
    return serial_distance(first, second, bits) > 0


def unwrap(wrapped: int, reference: int, bits: int) -> int:
    """Return the unwrapped integer nearest to ``reference`` that wraps to ``wrapped``.

    Args:
        wrapped: The value as it stands on the wire, ``0 <= wrapped < 2**bits``.
        reference: The last unwrapped value.
        bits: Width of the wire field.
    """
    mask = (1 << bits) - 1
    return reference + serial_distance(reference & mask, wrapped & mask, bits)
