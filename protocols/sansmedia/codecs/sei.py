"""Supplemental enhancement information, the same list in H.264 and H.265."""

from __future__ import annotations

from sansmedia.sansio import Reader

__all__ = ["MAX_MESSAGES", "sei_payload"]

MAX_MESSAGES = 64
"""Messages looked at in one SEI unit."""


def _coded_number(reader: Reader) -> int:
    value = 0
    while (octet := reader.u8()) == 0xFF:
        value += 255
    return value + octet


def sei_payload(rbsp: bytes, payload_type: int) -> bytes | None:
    """Return the first message of ``payload_type``, or None.

    Source: H.264 §7.3.2.3.1, H.265 §7.3.5.

    Args:
        rbsp: The SEI unit after its header, emulation prevention removed.
        payload_type: For example 6, a recovery point.

    Raises:
        ProtocolError: ``code="truncated"`` if a message passes the end.
    """
    reader = Reader(rbsp, source="H.264 §7.3.2.3.1")
    for _ in range(MAX_MESSAGES):
        if reader.remaining < 2:
            return None
        kind = _coded_number(reader)
        payload = reader.take(_coded_number(reader))
        if kind == payload_type:
            return payload
    return None
