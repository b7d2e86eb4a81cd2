"""Packets within packets: retransmissions and redundant blocks.

Source: RFC 4588 §4, RFC 2198 §3, RFC 5109 §7.3.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .packet import RtpPacket

__all__ = [
    "RedBlock",
    "decode_red",
    "encode_red",
    "unwrap_red",
    "unwrap_rtx",
    "wrap_rtx",
]

_LARGEST_OFFSET: Final = 0x3FFF
_LARGEST_BLOCK: Final = 0x3FF
_RED_SOURCE: Final = "RFC 2198 §3"


def unwrap_rtx(packet: RtpPacket, ssrc: int, payload_type: int) -> RtpPacket | None:
    """Return the packet that a retransmission carries; None if it carries nothing.

    Args:
        packet: As it came on the retransmission stream.
        ssrc: Of the original stream.
        payload_type: The ``apt`` of the retransmission's payload type.

    Raises:
        ProtocolError: There is no original sequence number.

    Source: RFC 4588 §4.
    """
    payload = packet.payload
    if len(payload) < 2:
        # Browsers probe the path with padding on this stream.
        if not payload:
            return None
        raise ProtocolError(
            "no original sequence number", code="truncated", source="RFC 4588 §4"
        )
    return RtpPacket(
        payload_type,
        payload[0] << 8 | payload[1],
        packet.timestamp,
        ssrc,
        payload[2:],
        packet.marker,
        packet.extension_profile,
        packet.extension,
        packet.csrcs,
    )


def wrap_rtx(
    packet: RtpPacket, *, ssrc: int, payload_type: int, sequence: int
) -> RtpPacket:
    """Return a packet for the retransmission stream; extensions are kept.

    Args:
        packet: The original.
        ssrc: Of the retransmission stream.
        payload_type: Of the retransmission stream.
        sequence: Its next sequence number.

    Source: RFC 4588 §4.
    """
    return RtpPacket(
        payload_type,
        sequence & 0xFFFF,
        packet.timestamp,
        ssrc,
        packet.sequence.to_bytes(2, "big") + packet.payload,
        packet.marker,
        packet.extension_profile,
        packet.extension,
        packet.csrcs,
    )


@attrs.define
class RedBlock:
    """One block of a redundant payload. Source: RFC 2198 §3."""

    payload_type: int
    data: bytes
    """A redundant block has 1,023 octets at the most."""
    timestamp_offset: int = 0
    """How much older than the packet's timestamp it is, 14 bits; 0 in the last."""


def decode_red(payload: bytes) -> list[RedBlock]:
    """Return the blocks, the primary one last.

    Raises:
        ProtocolError: A header or a block passes the end.

    Source: RFC 2198 §3.
    """
    #  0                   1                   2                   3
    # |F|  block PT   |      timestamp offset     |   block length    |
    headers: list[tuple[int, int, int]] = []
    position, end = 0, len(payload)
    while True:
        if position == end:
            raise _red_cut_short()
        octet = payload[position]
        if octet < 0x80:
            position += 1
            break
        if position + 4 > end:
            raise _red_cut_short()
        word = int.from_bytes(payload[position : position + 4], "big")
        headers.append((octet & 0x7F, word >> 10 & 0x3FFF, word & 0x3FF))
        position += 4
    blocks = []
    for payload_type, offset, size in headers:
        if position + size > end:
            raise _red_cut_short()
        data = payload[position : position + size]
        blocks.append(RedBlock(payload_type, data, offset))
        position += size
    blocks.append(RedBlock(octet, payload[position:]))
    return blocks


def _red_cut_short() -> ProtocolError:
    return ProtocolError(
        "redundant block cut short", code="truncated", source=_RED_SOURCE
    )


def encode_red(blocks: Sequence[RedBlock]) -> bytes:
    """Encode blocks, the primary one last.

    Raises:
        UsageError: There is none, or a block, an offset or a type does not fit.

    Source: RFC 2198 §3.
    """
    if not blocks:
        raise UsageError("a redundant payload has a primary block")
    primary = blocks[-1]
    headers = bytearray()
    for block in blocks[:-1]:
        if (
            not 0 <= block.timestamp_offset <= _LARGEST_OFFSET
            or len(block.data) > _LARGEST_BLOCK
            or not 0 <= block.payload_type < 128
        ):
            raise UsageError(f"{len(block.data)} octets, {block.timestamp_offset} ago")
        word = (0x80 | block.payload_type) << 24 | block.timestamp_offset << 10
        headers += (word | len(block.data)).to_bytes(4, "big")
    if primary.timestamp_offset or not 0 <= primary.payload_type < 128:
        raise UsageError("the primary block is of the packet's own time")
    headers.append(primary.payload_type)
    return b"".join((headers, *(block.data for block in blocks)))


def unwrap_red(
    packet: RtpPacket, fec_payload_types: Set[int] = frozenset()
) -> list[RtpPacket]:
    """Return the packets that a redundant one carries, oldest first.

    The redundant blocks of audio are those of the packets just before, which is how
    browsers send them; so they have the sequence numbers before this one's, and a
    jitter buffer drops those it has had. A block of forward error correction becomes a
    packet without payload, which holds its place in the sequence.

    Args:
        packet: With the payload type of RED.
        fec_payload_types: What cannot be used here, ULPFEC.

    Raises:
        ProtocolError: A header or a block passes the end.

    Source: RFC 2198 §3, RFC 5109 §7.3.
    """
    blocks = decode_red(packet.payload)
    primary = blocks.pop()
    packets = []
    for age, block in zip(range(len(blocks), 0, -1), blocks, strict=True):
        if block.data and block.payload_type not in fec_payload_types:
            packets.append(
                RtpPacket(
                    block.payload_type,
                    packet.sequence - age & 0xFFFF,
                    packet.timestamp - block.timestamp_offset & 0xFFFFFFFF,
                    packet.ssrc,
                    block.data,
                )
            )
    packets.append(
        RtpPacket(
            primary.payload_type,
            packet.sequence,
            packet.timestamp,
            packet.ssrc,
            b"" if primary.payload_type in fec_payload_types else primary.data,
            packet.marker,
            packet.extension_profile,
            packet.extension,
            packet.csrcs,
        )
    )
    return packets
