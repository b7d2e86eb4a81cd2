"""FEC packets of the built-in packet filter, read and written.

Source: libsrt packet-filtering-and-fec.md §FEC Packet Header.
"""

#   0                   1                   2                   3
#   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |0|                    Packet Sequence Number                   |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |FF |O|KK |R|                 Message Number = 0                |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |                      Time Stamp Recovery                      |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |                     Destination Socket ID                     |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |  Group index  | Flags Recovery|        Length Recovery        |
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |                    Payload Recovery...                        |
#
# Every "recovery" field is the exclusive or of that field of the group's packets; the
# payloads are filled up with zeros before.

from __future__ import annotations

import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError

from .packet_wire import KEY_SHIFT, MESSAGE_NUMBER_MASK, MESSAGE_SOLO, DataPacket

__all__ = ["FEC_HEADER_SIZE", "ROW_INDEX", "FecPacket", "decode_fec", "encode_fec"]

FEC_HEADER_SIZE: Final = 4
"""Octets before the payload recovery; a data packet has as many less at most."""
ROW_INDEX: Final = 0xFF
"""The group index of every row: -1 in eight bits."""

_FEC_HEADER: Final = struct.Struct(">BBH")


@attrs.define
class FecPacket:
    """What an FEC packet tells of its group."""

    sequence: int
    """Of the last packet in the group."""
    group_index: int
    """`ROW_INDEX`, or the column counted from 0."""
    flags: int
    """Flags recovery: keys, 2 bits of them used."""
    length: int
    """Length recovery, 16 bits."""
    timestamp: int
    """Time stamp recovery, 32 bits."""
    payload: bytes
    """Payload recovery: as long as the largest payload that its sender may send."""


def decode_fec(packet: DataPacket) -> FecPacket:
    """Read an FEC packet, which came as a data packet.

    Raises:
        ProtocolError: ``fec-number`` if it has a message number, ``fec-short`` if it
            does not hold the FEC header and something behind it.
    """
    if packet.message & MESSAGE_NUMBER_MASK:
        raise ProtocolError(
            "a packet with a message number is no FEC packet",
            code="fec-number",
            source="libsrt packet-filtering-and-fec.md §FEC Packet Header",
        )
    data = packet.payload
    if len(data) <= FEC_HEADER_SIZE:
        raise ProtocolError(
            f"{len(data)} octets are no FEC packet",
            code="fec-short",
            source="libsrt packet-filtering-and-fec.md §FEC Packet Header",
        )
    group_index, flags, length = _FEC_HEADER.unpack_from(data)
    return FecPacket(
        packet.sequence,
        group_index,
        flags,
        length,
        packet.timestamp,
        data[FEC_HEADER_SIZE:],
    )


def encode_fec(fec: FecPacket, key: int, destination: int) -> DataPacket:
    """Write an FEC packet.

    Args:
        fec: What to tell.
        key: Which key encrypts data packets at this moment, 0 to 2.
        destination: The peer's socket id.
    """
    # DEVIATION(libsrt-1.5.1): the text wants key bits of 0, the order flag of the data
    # packets and the retransmission flag; libsrt writes the key of the moment and none
    # of the flags (tests/data/srt/fec-encrypted). Receivers look at none of them.
    return DataPacket(
        fec.sequence,
        MESSAGE_SOLO | key << KEY_SHIFT,
        fec.timestamp,
        destination,
        _FEC_HEADER.pack(fec.group_index, fec.flags, fec.length) + fec.payload,
    )
