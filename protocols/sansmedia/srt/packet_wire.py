"""Headers of SRT packets, read and written.

Source: SRT draft-01 §3.
"""

# Data packet (SRT draft-01 §3.1):
#
#   0                   1                   2                   3
#   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#  +-+-+-+-+-+-+-+-+-+-+-+-+- SRT Header +-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |0|                    Packet Sequence Number                   |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |P P|O|K K|R|                   Message Number                  |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |                           Timestamp                           |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |                     Destination Socket ID                     |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#
# A control packet (SRT draft-01 §3.2) has 1, its type (15 bits) and subtype (16 bits)
# in the first word and "type-specific information" in the second.

from __future__ import annotations

import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError

from .constants import HEADER_SIZE

__all__ = [
    "CONTROL_BIT",
    "HEADER",
    "KEY_SHIFT",
    "MESSAGE_FIRST",
    "MESSAGE_IN_ORDER",
    "MESSAGE_LAST",
    "MESSAGE_NUMBER_MASK",
    "MESSAGE_RETRANSMITTED",
    "MESSAGE_SOLO",
    "ControlPacket",
    "DataPacket",
    "decode_packet",
    "encode_control",
    "encode_data",
]

HEADER: Final = struct.Struct(">IIII")
CONTROL_BIT: Final = 0x8000_0000
MESSAGE_FIRST: Final = 0x8000_0000
MESSAGE_LAST: Final = 0x4000_0000
MESSAGE_SOLO: Final = MESSAGE_FIRST | MESSAGE_LAST
MESSAGE_IN_ORDER: Final = 0x2000_0000
KEY_SHIFT: Final = 27
MESSAGE_RETRANSMITTED: Final = 0x0400_0000
MESSAGE_NUMBER_MASK: Final = 0x03FF_FFFF


@attrs.define
class DataPacket:
    """One data packet, whole; its payload may be encrypted."""

    sequence: int
    """Packet sequence number, 31 bits."""
    message: int
    """The second word as it stands: position, order, key, retransmitted, number."""
    timestamp: int
    """Microseconds since the sender's connection began, 32 bits wrapped."""
    destination: int
    """The receiver's socket id."""
    payload: bytes
    """What comes after the header."""

    @property
    def key(self) -> int:
        """Which key encrypted it: 0 none, 1 even, 2 odd (3: a filter's packet)."""
        return self.message >> KEY_SHIFT & 3

    @property
    def is_retransmitted(self) -> bool:
        """Whether the sender sent it before."""
        return bool(self.message & MESSAGE_RETRANSMITTED)

    @property
    def message_number(self) -> int:
        """Which message it belongs to, 26 bits."""
        return self.message & MESSAGE_NUMBER_MASK


@attrs.define
class ControlPacket:
    """One control packet, whole; what its information field means depends on the type.

    The type is a plain int: unknown ones are for the receiver to ignore.
    """

    type: int
    """A `ControlType`, or a number that nobody knows."""
    subtype: int
    """0 but in user-defined packets."""
    information: int
    """The type-specific word: an acknowledgement's number, a message number."""
    timestamp: int
    """Microseconds since the sender's connection began, 32 bits wrapped."""
    destination: int
    """The receiver's socket id; 0 asks for a listener."""
    information_field: bytes
    """The control information field (CIF)."""


def decode_packet(data: bytes) -> DataPacket | ControlPacket:
    """Read one datagram.

    Raises:
        ProtocolError: ``short`` if it is no whole header.
    """
    if len(data) < HEADER_SIZE:
        raise ProtocolError(
            f"{len(data)} octets are no SRT packet",
            code="short",
            source="SRT draft-01 §3",
        )
    first, second, timestamp, destination = HEADER.unpack_from(data)
    if first & CONTROL_BIT:
        return ControlPacket(
            first >> 16 & 0x7FFF,
            first & 0xFFFF,
            second,
            timestamp,
            destination,
            data[HEADER_SIZE:],
        )
    return DataPacket(first, second, timestamp, destination, data[HEADER_SIZE:])


def encode_data(packet: DataPacket) -> bytes:
    """Write a data packet."""
    return (
        HEADER.pack(
            packet.sequence, packet.message, packet.timestamp, packet.destination
        )
        + packet.payload
    )


def encode_control(packet: ControlPacket) -> bytes:
    """Write a control packet."""
    return (
        HEADER.pack(
            CONTROL_BIT | packet.type << 16 | packet.subtype,
            packet.information,
            packet.timestamp,
            packet.destination,
        )
        + packet.information_field
    )
