"""Supplemental enhancement information, the same list in H.264 and H.265."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sansmedia.sansio import ProtocolError, Reader

from .bits import BitReader
from .nal import unescape_rbsp

__all__ = ["MAX_MESSAGES", "MAX_PAYLOAD_TYPE", "recovery_count", "sei_payload"]

MAX_MESSAGES = 64
"""Messages looked at in one SEI unit."""

MAX_PAYLOAD_TYPE = 1 << 16
"""Numbers of payloadType that are counted up to; all that exist have one octet."""

_RECOVERY_POINT = 6
_SOURCE = "H.264 §7.3.2.3.1"


def _coded_number(reader: Reader, maximum: int) -> int:
    value = 0
    while (octet := reader.u8()) == 0xFF:
        value += 255
        # Judged here, or megabytes of ff_byte would be counted one by one.
        if value > maximum:
            raise ProtocolError(
                f"more than {maximum} in ff_byte", code="limit", source=_SOURCE
            )
    return value + octet


def sei_payload(rbsp: bytes, payload_type: int) -> bytes | None:
    """Return the first message of ``payload_type``, or None.

    Source: H.264 §7.3.2.3.1, H.265 §7.3.5.

    Args:
        rbsp: The SEI unit after its header, emulation prevention removed.
        payload_type: For example 6, a recovery point.

    Raises:
        ProtocolError: ``"truncated"`` if a message passes the end, ``"limit"`` for a
            type above `MAX_PAYLOAD_TYPE` or a size above that of the unit.
    """
    reader = Reader(rbsp, source=_SOURCE)
    for _ in range(MAX_MESSAGES):
        if reader.remaining < 2:
            return None
        kind = _coded_number(reader, MAX_PAYLOAD_TYPE)
        payload = reader.take(_coded_number(reader, len(rbsp)))
        if kind == payload_type:
            return payload
    return None


def recovery_count(
    units: Iterable[bytes], read: Callable[[BitReader], int]
) -> int | None:
    """Return the count that begins the first recovery point message, or None.

    A damaged message counts as none: it is advice, not needed to decode.

    Source: H.264 §D.1.8, H.265 §D.2.8.

    Args:
        units: SEI units after their headers, emulation prevention in place.
        read: How the count is coded: `BitReader.ue` or `BitReader.se`.
    """
    for unit in units:
        try:
            payload = sei_payload(unescape_rbsp(unit), _RECOVERY_POINT)
            if payload is not None:
                return read(BitReader(payload))
        except ProtocolError:
            continue
    return None
