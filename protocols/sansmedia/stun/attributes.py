"""The values of the attributes that have a form of their own.

Attributes that are plain text (USERNAME, REALM, NONCE, SOFTWARE, ALTERNATE-DOMAIN) are
read with `decode_text`; 32 and 64-bit integers with `decode_u32` and `decode_u64`.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .constants import MAGIC_COOKIE, ErrorCode

__all__ = [
    "Address",
    "ErrorReason",
    "PasswordAlgorithmEntry",
    "decode_address",
    "decode_error_code",
    "decode_password_algorithms",
    "decode_text",
    "decode_u32",
    "decode_u64",
    "decode_unknown_attributes",
    "decode_xor_address",
    "encode_address",
    "encode_error_code",
    "encode_password_algorithms",
    "encode_unknown_attributes",
    "encode_xor_address",
]

Address: TypeAlias = tuple[str, int]
"""Host as text (IPv4 dotted, IPv6 compressed) and port."""

_IPV4: Final = 1
_IPV6: Final = 2
_FAMILY_PORT: Final = struct.Struct(">BBH")
_COOKIE: Final = MAGIC_COOKIE.to_bytes(4, "big")
_MAX_TEXT: Final = 763
"""Octets that a reader has to take. Source: RFC 8489 §14.3, §14.9, §14.10, §14.14."""

_REASONS: Final[dict[int, str]] = {
    ErrorCode.TRY_ALTERNATE: "Try Alternate",
    ErrorCode.BAD_REQUEST: "Bad Request",
    ErrorCode.UNAUTHENTICATED: "Unauthenticated",
    ErrorCode.UNKNOWN_ATTRIBUTE: "Unknown Attribute",
    ErrorCode.STALE_NONCE: "Stale Nonce",
    ErrorCode.ROLE_CONFLICT: "Role Conflict",
    ErrorCode.SERVER_ERROR: "Server Error",
}


# A session's peer stays where it is, and taking a text apart costs more (1 to 6 us)
# than everything else in an answer to a consent check but the two digests.
@lru_cache(maxsize=4096)
def _packed(host: str) -> bytes:
    try:
        return ipaddress.ip_address(host).packed
    except ValueError:
        raise UsageError(f"{host!r} is no IP address") from None


@lru_cache(maxsize=4096)
def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def encode_address(address: Address) -> bytes:
    """Write MAPPED-ADDRESS or ALTERNATE-SERVER. Source: RFC 8489 §14.1, §14.15.

    Raises:
        UsageError: The host is no IP address or the port no port.
    """
    host, port = address
    packed = _packed(host)
    if not 0 <= port <= 0xFFFF:
        raise UsageError(f"{port} is no port")
    return _FAMILY_PORT.pack(0, _IPV4 if len(packed) == 4 else _IPV6, port) + packed


def decode_address(value: bytes) -> Address:
    """Read MAPPED-ADDRESS or ALTERNATE-SERVER. Source: RFC 8489 §14.1, §14.15.

    Raises:
        ProtocolError: The family is unknown, or the size is not that of the family.
    """
    size = len(value)
    family = value[1] if size > 1 else 0
    if (family, size) not in ((_IPV4, 8), (_IPV6, 20)):
        raise ProtocolError("address of unknown form", source="RFC 8489 §14.1")
    return _text(value[4:]), value[2] << 8 | value[3]


def encode_xor_address(address: Address, transaction_id: bytes) -> bytes:
    """Write XOR-MAPPED-ADDRESS. Source: RFC 8489 §14.2."""
    return _xor(encode_address(address), transaction_id)


def decode_xor_address(value: bytes, transaction_id: bytes) -> Address:
    """Read XOR-MAPPED-ADDRESS. Source: RFC 8489 §14.2.

    Raises:
        ProtocolError: As `decode_address`.
    """
    if len(value) not in (8, 20):
        raise ProtocolError("address of unknown form", source="RFC 8489 §14.2")
    return decode_address(_xor(value, transaction_id))


def _xor(value: bytes, transaction_id: bytes) -> bytes:
    mask = _COOKIE[:2] + _COOKIE + transaction_id
    count = len(value) - 2
    mixed = int.from_bytes(value[2:], "big") ^ int.from_bytes(mask[:count], "big")
    return value[:2] + mixed.to_bytes(count, "big")


@attrs.frozen
class ErrorReason:
    """The value of ERROR-CODE."""

    code: int
    """300 to 699; `ErrorCode` names some."""
    reason: str = ""
    """For people."""


def encode_error_code(code: int, reason: str | None = None) -> bytes:
    """Write ERROR-CODE; known codes bring their own reason. Source: RFC 8489 §14.8.

    Raises:
        UsageError: The code is not 300 to 699.
    """
    if not 300 <= code <= 699:
        raise UsageError(f"{code} is no error code")
    if reason is None:
        reason = _REASONS.get(code, "")
    text = reason.encode()
    return Writer().u16(0).u8(code // 100).u8(code % 100).put(text).getvalue()


def decode_error_code(value: bytes) -> ErrorReason:
    """Read ERROR-CODE. Source: RFC 8489 §14.8.

    Raises:
        ProtocolError: The class is not 3 to 6, the number above 99, or the reason no
            UTF-8 of at most 763 octets.
    """
    reader = Reader(value, source="RFC 8489 §14.8")
    reader.skip(2)
    # The upper bits are reserved and ignored.
    hundreds = reader.u8() & 7
    number = reader.u8()
    if not 3 <= hundreds <= 6 or number > 99:
        raise ProtocolError("no error code", source="RFC 8489 §14.8")
    return ErrorReason(hundreds * 100 + number, decode_text(reader.rest()))


def encode_unknown_attributes(types: Iterable[int]) -> bytes:
    """Write UNKNOWN-ATTRIBUTES. Source: RFC 8489 §14.13."""
    writer = Writer()
    for attribute_type in types:
        writer.u16(attribute_type)
    return writer.getvalue()


def decode_unknown_attributes(value: bytes) -> Sequence[int]:
    """Read UNKNOWN-ATTRIBUTES. Source: RFC 8489 §14.13.

    Raises:
        ProtocolError: The size is odd.
    """
    reader = Reader(value, source="RFC 8489 §14.13")
    types = []
    while reader.remaining:
        types.append(reader.u16())
    return types


@attrs.frozen
class PasswordAlgorithmEntry:
    """One entry of PASSWORD-ALGORITHMS, and the value of PASSWORD-ALGORITHM."""

    algorithm: int
    """`PasswordAlgorithm` names the known ones."""
    parameters: bytes = b""
    """Empty for all known ones."""


def encode_password_algorithms(entries: Iterable[PasswordAlgorithmEntry]) -> bytes:
    """Write PASSWORD-ALGORITHMS, or PASSWORD-ALGORITHM with its one entry.

    Source: RFC 8489 §14.11, §14.12.
    """
    writer = Writer()
    for entry in entries:
        writer.u16(entry.algorithm).u16(len(entry.parameters)).put(entry.parameters)
        writer.put(bytes(-len(entry.parameters) % 4))
    return writer.getvalue()


def decode_password_algorithms(value: bytes) -> Sequence[PasswordAlgorithmEntry]:
    """Read PASSWORD-ALGORITHMS, or PASSWORD-ALGORITHM. Source: RFC 8489 §14.11, §14.12.

    Raises:
        ProtocolError: An entry passes the end.
    """
    reader = Reader(value, source="RFC 8489 §14.11")
    entries = []
    while reader.remaining:
        algorithm, length = reader.u16(), reader.u16()
        entries.append(PasswordAlgorithmEntry(algorithm, reader.take(length)))
        # An attribute's value ends before its padding, and so may the last entry.
        reader.skip(min(-length % 4, reader.remaining))
    return entries


def decode_text(value: bytes) -> str:
    """Read the text of an attribute. Source: RFC 8489 §14.3, §14.9, §14.10, §14.14.

    Raises:
        ProtocolError: It is no UTF-8, or longer than a reader has to take.
    """
    if len(value) > _MAX_TEXT:
        raise ProtocolError("text is too long", code="limit", source="RFC 8489 §14.3")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ProtocolError("text is no UTF-8", source="RFC 8489 §14.3") from None


def decode_u32(value: bytes) -> int:
    """Read the value of PRIORITY. Source: RFC 8445 §16.1.

    Raises:
        ProtocolError: It has not 4 octets.
    """
    return _integer(value, 4)


def decode_u64(value: bytes) -> int:
    """Read the value of ICE-CONTROLLED or ICE-CONTROLLING. Source: RFC 8445 §16.1.

    Raises:
        ProtocolError: It has not 8 octets.
    """
    return _integer(value, 8)


def _integer(value: bytes, size: int) -> int:
    if len(value) != size:
        raise ProtocolError(f"integer has not {size} octets", source="RFC 8445 §16.1")
    return int.from_bytes(value, "big")
