"""Loss reports and drop requests, read and written.

Source: SRT draft-01 §3.2.5, §3.2.9 and appendix A.
"""

# A loss report is a list of these (SRT draft-01 appendix A):
#
#  |0|                 Lost packet sequence number                 |
#
#  |1|         Range of lost packets from sequence number          |
#  |0|                    Up to sequence number                    |
#
# A drop request has the message number in its header and, as its field, the first
# and the last sequence number (SRT draft-01 §3.2.9).

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from sansmedia.sansio import ProtocolError

from .constants import MAX_SEQUENCE_NUMBER

__all__ = [
    "decode_drop_request",
    "decode_losses",
    "encode_drop_request",
    "encode_losses",
]

_RANGE_BIT: Final = 0x8000_0000
_HALF: Final = 1 << 30
_PAIR: Final = struct.Struct(">II")


def _span(low: int, high: int) -> int:
    """Return how many numbers a range holds, or 0 if it runs backwards."""
    distance = (high - low) & MAX_SEQUENCE_NUMBER
    return 0 if distance >= _HALF else distance + 1


def decode_losses(field: bytes, *, longest: int) -> tuple[list[tuple[int, int]], int]:
    """Read a loss report.

    Args:
        field: The control information field.
        longest: Packets that one range may span; more cannot have been under way.

    Returns:
        The ranges as wrapped numbers, both ends included, and how many entries were
        refused: those that run backwards or span more than ``longest``.

    Raises:
        ProtocolError: ``short`` if the field is empty or no whole words, or ends
            within a range.
    """
    if not field or len(field) % 4:
        raise ProtocolError(
            f"{len(field)} octets are no loss report",
            code="short",
            source="SRT draft-01 §3.2.5",
        )
    words = struct.unpack(f">{len(field) // 4}I", field)
    ranges: list[tuple[int, int]] = []
    refused = 0
    position = 0
    while position < len(words):
        low = high = words[position]
        position += 1
        if low & _RANGE_BIT:
            if position == len(words):
                raise ProtocolError(
                    "a loss report ends within a range",
                    code="short",
                    source="SRT draft-01 §3.2.5",
                )
            low &= MAX_SEQUENCE_NUMBER
            high = words[position]
            position += 1
        if high & _RANGE_BIT or not 0 < _span(low, high) <= longest:
            refused += 1
        else:
            ranges.append((low, high))
    return ranges, refused


def encode_losses(ranges: Iterable[tuple[int, int]], *, size: int) -> bytes:
    """Write a loss report of at most ``size`` octets; what comes first has its place.

    Args:
        ranges: Numbers to report, both ends included; higher bits are cut off.
        size: Octets of the field at most.
    """
    words: list[int] = []
    most = size // 4
    for low, high in ranges:
        if low == high:
            words.append(low & MAX_SEQUENCE_NUMBER)
        else:
            words.append(low & MAX_SEQUENCE_NUMBER | _RANGE_BIT)
            words.append(high & MAX_SEQUENCE_NUMBER)
        if len(words) >= most - 1:
            break
    return struct.pack(f">{len(words)}I", *words)


def decode_drop_request(field: bytes, *, longest: int) -> tuple[int, int]:
    """Read the range of a drop request: first and last number, wrapped.

    Raises:
        ProtocolError: ``short`` without both numbers; ``range`` if they run backwards
            or span more than ``longest`` packets.
    """
    if len(field) < _PAIR.size:
        raise ProtocolError(
            f"{len(field)} octets are no drop request",
            code="short",
            source="SRT draft-01 §3.2.9",
        )
    low, high = _PAIR.unpack_from(field)
    if (low | high) & _RANGE_BIT or not 0 < _span(low, high) <= longest:
        raise ProtocolError(
            "a drop request for no range",
            code="range",
            source="SRT draft-01 §3.2.9",
        )
    return low, high


def encode_drop_request(low: int, high: int) -> bytes:
    """Write the range of a drop request; higher bits are cut off."""
    return _PAIR.pack(low & MAX_SEQUENCE_NUMBER, high & MAX_SEQUENCE_NUMBER)
