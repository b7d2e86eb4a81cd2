"""Elements of header extensions, in their one- and two-octet forms.

Source: RFC 8285 §4.2, RFC 8285 §4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sansmedia.sansio import ProtocolError, UsageError

__all__ = [
    "ONE_BYTE_PROFILE",
    "TWO_BYTE_PROFILE",
    "decode_extensions",
    "encode_extensions",
    "find_extension",
]

ONE_BYTE_PROFILE: Final = 0xBEDE
"""Profile of the one-octet form. Source: RFC 8285 §4.2."""
TWO_BYTE_PROFILE: Final = 0x1000
"""Profile of the two-octet form; its low 4 bits are free. Source: RFC 8285 §4.3."""

_APPBITS: Final = 0x000F
_STOP: Final = 15


def decode_extensions(profile: int | None, body: bytes) -> dict[int, bytes]:
    """Return the elements by their local identifiers.

    Args:
        profile: `RtpPacket.extension_profile`.
        body: `RtpPacket.extension`.

    Returns:
        No elements if the extension is of another kind; of two elements with one
        identifier the first.

    Raises:
        ProtocolError: An element passes the end.

    Source: RFC 8285 §4.2, RFC 8285 §4.3.
    """
    if profile == ONE_BYTE_PROFILE:
        return _decode_one_byte(body)
    if profile is not None and profile & ~_APPBITS == TWO_BYTE_PROFILE:
        return _decode_two_byte(body)
    return {}


def _decode_one_byte(body: bytes) -> dict[int, bytes]:
    # 0.25 µs for one element, 0.6 µs for four: most packets of browsers have some.
    elements: dict[int, bytes] = {}
    position, end = 0, len(body)
    while position < end:
        octet = body[position]
        position += 1
        if not octet:
            continue
        identifier = octet >> 4
        if identifier == _STOP:
            break
        start = position
        position += (octet & 0x0F) + 1
        if position > end:
            raise _cut_short("RFC 8285 §4.2")
        # Identifier 0 with a length is padding of a sort; its octets are passed over.
        if identifier and identifier not in elements:
            elements[identifier] = body[start:position]
    return elements


def _decode_two_byte(body: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    position, end = 0, len(body)
    while position < end:
        identifier = body[position]
        position += 1
        if not identifier:
            continue
        if position == end:
            raise _cut_short("RFC 8285 §4.3")
        start = position + 1
        position = start + body[position]
        if position > end:
            raise _cut_short("RFC 8285 §4.3")
        if identifier not in elements:
            elements[identifier] = body[start:position]
    return elements


def _cut_short(source: str) -> ProtocolError:
    return ProtocolError("extension element cut short", code="truncated", source=source)


def find_extension(profile: int | None, body: bytes, identifier: int) -> bytes | None:
    """Return the value of one element, or None if it is absent or cut short.

    0.2 µs if it comes first; for who wants one number of every packet.

    Args:
        profile: `RtpPacket.extension_profile`.
        body: `RtpPacket.extension`.
        identifier: 1 to 14, or to 255 in the two-octet form.

    Source: RFC 8285 §4.2, RFC 8285 §4.3.
    """
    if profile != ONE_BYTE_PROFILE:
        try:
            return decode_extensions(profile, body).get(identifier)
        except ProtocolError:
            return None
    position, end = 0, len(body)
    while position < end:
        octet = body[position]
        position += 1
        if not octet:
            continue
        start = position
        position += (octet & 0x0F) + 1
        if octet >> 4 == identifier:
            return body[start:position] if position <= end else None
        if octet >> 4 == _STOP:
            break
    return None


def encode_extensions(
    elements: Mapping[int, bytes], *, two_byte: bool = False
) -> tuple[int | None, bytes]:
    """Return profile and body; (None, empty) if there are no elements.

    The one-octet form is taken where it can hold all of them.

    Args:
        elements: Values by local identifier, 1 to 255, up to 255 octets each.
        two_byte: Take the two-octet form in any case; the peer must have agreed.

    Raises:
        UsageError: An identifier or a length fits neither form.

    Source: RFC 8285 §4.2, RFC 8285 §4.3.
    """
    if not elements:
        return None, b""
    body = bytearray()
    if not two_byte and all(
        identifier < _STOP and 1 <= len(value) <= 16
        for identifier, value in elements.items()
    ):
        profile = ONE_BYTE_PROFILE
        for identifier, value in elements.items():
            _check(identifier, value)
            body.append(identifier << 4 | len(value) - 1)
            body += value
    else:
        profile = TWO_BYTE_PROFILE
        for identifier, value in elements.items():
            _check(identifier, value)
            body += bytes((identifier, len(value)))
            body += value
    body += bytes(-len(body) % 4)
    return profile, bytes(body)


def _check(identifier: int, value: bytes) -> None:
    if not 1 <= identifier <= 255 or len(value) > 255:
        raise UsageError(f"{len(value)} octets under identifier {identifier}")
