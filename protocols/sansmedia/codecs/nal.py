"""The two forms in which NAL units travel, and emulation prevention.

Everything here runs on whole access units in the way of every frame, so the search
is left to `bytes` methods; there is no loop over octets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sansmedia.sansio import ProtocolError, UsageError

__all__ = [
    "MAX_UNITS",
    "START_CODE",
    "escape_rbsp",
    "join_annexb",
    "join_length_prefixed",
    "split_annexb",
    "split_length_prefixed",
    "unescape_rbsp",
]

START_CODE = b"\0\0\0\1"
"""The start code with its zero_byte, as `join_annexb` writes it."""
MAX_UNITS = 8192
"""NAL units accepted in one access unit; each costs us more than its octets."""

_SAMPLE_SOURCE = "ISO 14496-15 §5.3.4.2"
_NEEDS_ESCAPE = re.compile(rb"\0\0(?=[\0-\3])")


def split_annexb(data: bytes, *, max_units: int = MAX_UNITS) -> list[bytes]:
    """Return the NAL units of a byte stream, start codes and padding removed.

    Octets before the first start code belong to no unit and are passed over.

    Source: H.264 §B.1, H.265 §B.2.

    Args:
        data: Byte stream with start codes of 3 or 4 octets in any mixture.
        max_units: How many units to accept.

    Raises:
        ProtocolError: ``code="limit"`` for more than ``max_units`` units.
    """
    units: list[bytes] = []
    start = data.find(b"\0\0\1")
    while start >= 0:
        start += 3
        end = data.find(b"\0\0\1", start)
        # A unit never ends in zero, so zeros here are trailing_zero_8bits or the
        # zero_byte of the next start code.
        unit = (data[start:] if end < 0 else data[start:end]).rstrip(b"\0")
        if unit:
            if len(units) >= max_units:
                raise ProtocolError(
                    f"more than {max_units} NAL units",
                    code="limit",
                    source="H.264 §B.1",
                )
            units.append(unit)
        start = end
    return units


def join_annexb(units: Iterable[bytes]) -> bytes:
    """Return the units as a byte stream with start codes of 4 octets.

    Source: H.264 §B.1, H.265 §B.2.
    """
    parts: list[bytes] = []
    for unit in units:
        parts.append(START_CODE)
        parts.append(unit)
    return b"".join(parts)


def split_length_prefixed(
    data: bytes, length_size: int = 4, *, max_units: int = MAX_UNITS
) -> list[bytes]:
    """Return the NAL units of a sample; units of length 0 are passed over.

    Source: ISO 14496-15 §5.3.4.2.

    Args:
        data: One sample: each unit after its length.
        length_size: Octets of a length: 1, 2 or 4.
        max_units: How many units to accept.

    Raises:
        ProtocolError: ``"truncated"`` if a unit passes the end, ``"limit"`` for more
            than ``max_units`` units.
    """
    units: list[bytes] = []
    position, end = 0, len(data)
    while position < end:
        start = position + length_size
        if start > end:
            raise ProtocolError(
                "NAL unit length cut short", code="truncated", source=_SAMPLE_SOURCE
            )
        position = start + int.from_bytes(data[position:start], "big")
        if position > end:
            raise ProtocolError(
                f"NAL unit passes the end by {position - end} octets",
                code="truncated",
                source=_SAMPLE_SOURCE,
            )
        if position > start:
            if len(units) >= max_units:
                raise ProtocolError(
                    f"more than {max_units} NAL units",
                    code="limit",
                    source=_SAMPLE_SOURCE,
                )
            units.append(data[start:position])
    return units


def join_length_prefixed(units: Iterable[bytes], length_size: int = 4) -> bytes:
    """Return the units as one sample, each after its length.

    Source: ISO 14496-15 §5.3.4.2.

    Raises:
        UsageError: A unit is too long for ``length_size`` octets.
    """
    limit = 1 << (8 * length_size)
    parts: list[bytes] = []
    for unit in units:
        if len(unit) >= limit:
            raise UsageError(
                f"{len(unit)} octets do not fit a {length_size}-octet length"
            )
        parts.append(len(unit).to_bytes(length_size, "big"))
        parts.append(unit)
    return b"".join(parts)


def unescape_rbsp(data: bytes) -> bytes:
    """Return ``data`` without emulation_prevention_three_byte.

    Source: H.264 §7.3.1, H.265 §7.3.1.1.
    """
    return data.replace(b"\0\0\3", b"\0\0")


def escape_rbsp(data: bytes) -> bytes:
    """Return ``data`` with emulation_prevention_three_byte where it is due.

    Source: H.264 §7.4.1.1, H.265 §7.4.2.
    """
    escaped = _NEEDS_ESCAPE.sub(b"\0\0\3", data)
    return escaped + b"\3" if escaped.endswith(b"\0\0") else escaped
