"""Transport packets: 188 octets with a PID, a counter, perhaps an adaptation field."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .pes import TIMESTAMP_BITS

__all__ = [
    "NULL_PACKET",
    "NULL_PID",
    "PACKET_SIZE",
    "PAT_PID",
    "PCR_RATE",
    "AdaptationField",
    "Packet",
    "decode_packet",
    "encode_adaptation_field",
    "encode_packet",
]

PACKET_SIZE = 188
"""Octets of a transport packet."""
PAT_PID = 0
"""The PID of the program association table."""
NULL_PID = 0x1FFF
"""The PID of packets that carry nothing."""
NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
"""A packet that fills a constant rate (ISO 13818-1 §2.4.3.3)."""
PCR_RATE = 27_000_000
"""Ticks a second of a PCR."""
PCR_MODULUS = 300 << TIMESTAMP_BITS
"""A PCR wraps here."""


@attrs.define
class AdaptationField:
    """What stands in front of the payload (ISO 13818-1 §2.4.3.4)."""

    discontinuity: bool = False
    """discontinuity_indicator: the clock or the counter starts anew."""
    random_access: bool = False
    """random_access_indicator: decoding can begin with this packet's PES packet."""
    pcr: int | None = None
    """Program clock reference, 27 MHz ticks; wraps at `PCR_MODULUS`."""


@attrs.define
class Packet:
    """One transport packet (ISO 13818-1 §2.4.3.2)."""

    pid: int
    """Packet identifier, 13 bits."""
    continuity: int
    """continuity_counter, 4 bits."""
    payload: bytes | None
    """None if the packet has none, so that its counter does not count."""
    unit_start: bool = False
    """payload_unit_start_indicator: a PES packet or section begins here."""
    adaptation: AdaptationField | None = None
    """None without an adaptation field."""
    transport_error: bool = False
    """transport_error_indicator: somebody on the way knows of damage."""
    scrambling: int = 0
    """transport_scrambling_control; 0: not scrambled."""


def decode_adaptation_field(field: bytes) -> AdaptationField:
    """Decode an adaptation field, its length taken away; may be empty.

    Source: ISO 13818-1 §2.4.3.4, §2.4.3.5.

    Raises:
        ProtocolError: The PCR passes its end.
    """
    if not field:
        return AdaptationField()
    flags = field[0]
    pcr = None
    if flags & 0x10:
        if len(field) < 7:
            raise ProtocolError(
                "PCR cut short", code="truncated", source="ISO 13818-1 §2.4.3.5"
            )
        word = int.from_bytes(field[1:7], "big")
        pcr = 300 * (word >> 15) + (word & 0x1FF)
    return AdaptationField(bool(flags & 0x80), bool(flags & 0x40), pcr)


def encode_adaptation_field(field: AdaptationField, size: int = 0) -> bytes:
    """Return an adaptation field with its length, stuffed to ``size`` octets.

    Source: ISO 13818-1 §2.4.3.4, §2.4.3.5.

    Args:
        field: What it says.
        size: Octets in all; one octet alone says nothing but its length.

    Raises:
        UsageError: The field does not fit ``size``.
    """
    flags = field.discontinuity << 7 | field.random_access << 6
    body = b""
    if field.pcr is not None:
        base, extension = divmod(field.pcr % PCR_MODULUS, 300)
        flags |= 0x10
        body = (base << 15 | 0x7E00 | extension).to_bytes(6, "big")
    if size == 1 and not flags:
        return b"\0"
    least = 2 + len(body)
    size = size or least
    if not least <= size <= PACKET_SIZE - 4:
        raise UsageError(f"an adaptation field of {size} octets")
    return bytes((size - 1, flags)) + body + b"\xff" * (size - least)


def decode_packet(data: bytes) -> Packet:
    """Decode one packet of 188 octets.

    `TransportDemuxer` does not use it: it goes through headers in bulk.

    Source: ISO 13818-1 §2.4.3.2, §2.4.3.3.

    Raises:
        ProtocolError: Another size, no sync byte, or an impossible adaptation field.
    """
    source = "ISO 13818-1 §2.4.3.2"
    if len(data) != PACKET_SIZE or data[0] != 0x47:
        raise ProtocolError("not a transport packet", source=source)
    word = int.from_bytes(data[1:4], "big")
    packet = Packet(
        word >> 8 & 0x1FFF,
        word & 15,
        None,
        bool(word & 0x400000),
        None,
        bool(word & 0x800000),
        word >> 6 & 3,
    )
    start = 4
    if word & 0x20:
        start = 5 + data[4]
        if start > PACKET_SIZE:
            raise ProtocolError("adaptation field passes the end", source=source)
        packet.adaptation = decode_adaptation_field(data[5:start])
    if word & 0x10:
        packet.payload = data[start:]
    return packet


def encode_packet(packet: Packet) -> bytes:
    """Return the 188 octets of a packet, stuffed by its adaptation field.

    Source: ISO 13818-1 §2.4.3.2, §2.4.3.3.

    Raises:
        UsageError: The payload is too long.
    """
    payload = packet.payload or b""
    room = PACKET_SIZE - 4 - len(payload)
    field = b""
    if packet.adaptation is not None or room:
        field = encode_adaptation_field(packet.adaptation or AdaptationField(), room)
    word = (
        0x47 << 24
        | packet.transport_error << 23
        | packet.unit_start << 22
        | packet.pid << 8
        | packet.scrambling << 6
        | bool(field) << 5
        | (packet.payload is not None) << 4
        | packet.continuity
    )
    return word.to_bytes(4, "big") + field + payload
