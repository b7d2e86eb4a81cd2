"""Records on the wire, in the form that every version begins with.

The form of encrypted DTLS 1.3 records differs: their first octet is 001xxxxx, and this
is where they would be told apart.
"""

from __future__ import annotations

import struct

import attrs

from sansmedia.sansio import ProtocolError, Reader

from .constants import ContentType

__all__ = ["HEADER_SIZE", "Record", "decode_record", "encode_record"]

# RFC 6347 §4.1
#    0       1       3       5               11      13
#   +-------+-------+-------+---------------+-------+-----------
#   | type  |version| epoch |sequence_number| length| fragment
#   +-------+-------+-------+---------------+-------+-----------
_HEADER = struct.Struct(">BHHHIH")
HEADER_SIZE = _HEADER.size
"""Octets before a record's fragment."""
_MAX_FRAGMENT = (1 << 14) + 2048
_MAJOR = 0xFE00
_TYPES = {int(kind): kind for kind in ContentType}


@attrs.define
class Record:
    """One record as it stands in a datagram."""

    type: ContentType
    version: int
    epoch: int
    sequence: int
    """48 bits, its own count in each epoch."""
    fragment: bytes
    """Protected, unless the epoch is 0."""


def decode_record(reader: Reader) -> Record:
    """Take the next record off a datagram.

    Source: RFC 6347 §4.1, RFC 5246 §6.2.3 on the largest length.

    Raises:
        ProtocolError: What follows is no record of DTLS 1.0 to 1.2; the rest of the
            datagram cannot be read either.
    """
    kind = _TYPES.get(reader.u8())
    version = reader.u16()
    if kind is None or version & 0xFF00 != _MAJOR:
        raise ProtocolError("not a DTLS record", source="RFC 6347 §4.1")
    epoch = reader.u16()
    sequence = reader.u16() << 32 | reader.u32()
    length = reader.u16()
    if length > _MAX_FRAGMENT:
        raise ProtocolError("the record is too long", source="RFC 5246 §6.2.3")
    return Record(kind, version, epoch, sequence, reader.take(length))


def encode_record(record: Record) -> bytes:
    """Return a record's octets."""
    header = _HEADER.pack(
        record.type,
        record.version,
        record.epoch,
        record.sequence >> 32,
        record.sequence & 0xFFFFFFFF,
        len(record.fragment),
    )
    return header + record.fragment
