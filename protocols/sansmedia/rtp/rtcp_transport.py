"""Feedback about when each packet of a transport came.

Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1, RFC 8888 §3.1.
"""

from __future__ import annotations

import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .rtcp_feedback import TRANSPORT_FEEDBACK
from .rtcp_reports import packet

__all__ = [
    "CongestionFeedback",
    "PacketArrival",
    "StreamArrivals",
    "TransportFeedback",
]

CCFB: Final = 11
TRANSPORT_CC: Final = 15

DELTA_S: Final = 0.00025
"""One tick of a delta. Source: draft-holmer-rmcat-transport-wide-cc-extensions-01
§3.1.5."""
REFERENCE_TICKS: Final = 256
"""Ticks of a delta in one of the reference time, 64 ms."""

_SOURCE: Final = "draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1"
_CCFB_SOURCE: Final = "RFC 8888 §3.1"
_LONGEST_RUN: Final = 0x1FFF
_MOST_PACKETS: Final = 4_096
_NOT_RECEIVED, _SMALL_DELTA, _LARGE_DELTA = 0, 1, 2
_I16: Final = struct.Struct(">h")
_MOST_REPORTS: Final = 16_384


@attrs.define
class TransportFeedback:
    """Which packets of a transport came, and when (TWCC).

    Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
    """

    sender_ssrc: int
    media_ssrc: int
    base_sequence: int
    """Transport-wide sequence number of the first packet, 16 bits."""
    reference_time: int
    """24 bits, signed, in units of 64 ms on a clock of the receiver's."""
    feedback_count: int
    """8 bits, wraps: counts these messages."""
    deltas: list[int | None]
    """For each packet from the first on None if it did not come, or the ticks of
    250 µs, 16 bits signed, since the one that came before, or since the reference."""

    def arrivals(self) -> list[tuple[int, float | None]]:
        """Return (sequence number, seconds on the receiver's clock or None)."""
        ticks = self.reference_time * REFERENCE_TICKS
        found: list[tuple[int, float | None]] = []
        sequence = self.base_sequence
        for delta in self.deltas:
            if delta is None:
                found.append((sequence, None))
            else:
                ticks += delta
                found.append((sequence, ticks * DELTA_S))
            sequence = sequence + 1 & 0xFFFF
        return found


def decode_transport_feedback(body: bytes) -> TransportFeedback:
    """Decode TWCC feedback: 15 µs for 100 packets.

    Raises:
        ProtocolError: It is cut short, has a reserved symbol, or tells of more than
            4,096 packets (code ``limit``): two octets can stand for 8,191.

    Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
    """
    reader = Reader(body, source=_SOURCE)
    sender, media = reader.u32(), reader.u32()
    base, count = reader.u16(), reader.u16()
    reference, number = reader.i24(), reader.u8()
    if count > _MOST_PACKETS:
        raise ProtocolError(
            f"feedback on {count} packets", code="limit", source=_SOURCE
        )
    symbols: list[int] = []
    while len(symbols) < count:
        chunk = reader.u16()
        if not chunk & 0x8000:
            # a run length
            run = min(chunk & _LONGEST_RUN, count - len(symbols))
            symbols += [chunk >> 13] * run
        elif chunk & 0x4000:
            # a status vector, 7 symbols of 2 bits
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            # a status vector, 14 symbols of 1 bit
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    del symbols[count:]
    octets = reader.rest()
    deltas: list[int | None] = []
    position = 0
    try:
        for symbol in symbols:
            if symbol == _SMALL_DELTA:
                deltas.append(octets[position])
                position += 1
            elif symbol == _NOT_RECEIVED:
                deltas.append(None)
            elif symbol == _LARGE_DELTA:
                deltas.append(_I16.unpack_from(octets, position)[0])
                position += 2
            else:
                raise ProtocolError("reserved packet status", source=_SOURCE)
    except (IndexError, struct.error):
        raise ProtocolError(
            "receive deltas cut short", code="truncated", source=_SOURCE
        ) from None
    return TransportFeedback(sender, media, base, reference, number, deltas)


def encode_transport_feedback(feedback: TransportFeedback) -> bytes:
    """Encode TWCC feedback, in the chunks that take the least room or nearly so.

    Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
    """
    symbols = []
    octets = bytearray()
    for delta in feedback.deltas:
        if delta is None:
            symbols.append(_NOT_RECEIVED)
        elif 0 <= delta <= 0xFF:
            symbols.append(_SMALL_DELTA)
            octets.append(delta)
        elif -0x8000 <= delta <= 0x7FFF:
            symbols.append(_LARGE_DELTA)
            octets += _I16.pack(delta)
        else:
            raise UsageError(f"a delta of {delta} ticks")
    writer = Writer().u32(feedback.sender_ssrc).u32(feedback.media_ssrc)
    writer.u16(feedback.base_sequence).u16(len(symbols)).i24(feedback.reference_time)
    writer.u8(feedback.feedback_count & 0xFF)
    for chunk in _chunks(symbols):
        writer.u16(chunk)
    writer.put(octets)
    writer.put(bytes(-len(writer) % 4))
    return packet(TRANSPORT_CC, TRANSPORT_FEEDBACK, writer.getvalue())


def _chunks(symbols: list[int]) -> list[int]:
    """Return packet status chunks.

    Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.3, §3.1.4.
    """
    end = len(symbols)
    run_ends = [end] * end
    for at in range(end - 2, -1, -1):
        same = symbols[at] == symbols[at + 1]
        run_ends[at] = run_ends[at + 1] if same else at + 1
    chunks = []
    position = 0
    while position < end:
        symbol, run_end = symbols[position], run_ends[position]
        # A vector holds 14 symbols if none has a large delta, else 7: a run as long as
        # that, or up to the end, takes no more room by itself.
        room = 7 if symbol == _LARGE_DELTA else 14
        if run_end - position >= room or run_end == end:
            run = min(run_end - position, _LONGEST_RUN)
            chunks.append(symbol << 13 | run)
            position += run
            continue
        window = symbols[position : position + 14]
        chunk, width, shift = 0x8000, 1, 13
        if _LARGE_DELTA in window:
            window = window[:7]
            chunk, width, shift = 0xC000, 2, 12
        for value in window:
            chunk |= value << shift
            shift -= width
        chunks.append(chunk)
        position += len(window)
    return chunks


@attrs.define
class PacketArrival:
    """One packet of a stream that came. Source: RFC 8888 §3.1."""

    ecn: int = 0
    """The two ECN bits of its IP header."""
    offset: int | None = None
    """How long before the report, in units of 1/1,024 s; None if that is not known."""


@attrs.define
class StreamArrivals:
    """The packets of one stream. Source: RFC 8888 §3.1."""

    ssrc: int
    first_sequence: int
    """16 bits."""
    packets: list[PacketArrival | None]
    """From the first on; None did not come. Up to 16,384."""


@attrs.define
class CongestionFeedback:
    """Which packets of which streams came, and when. Source: RFC 8888 §3.1."""

    sender_ssrc: int
    streams: list[StreamArrivals]
    report_time: int
    """The middle 32 bits of the NTP time at which the report was made."""


_OFFSET_UNKNOWN: Final = 0x1FFF
_OFFSET_LARGEST: Final = 0x1FFD
_OFFSET_BEYOND: Final = 0x1FFE
"""8,189/1,024 s or more. Source: RFC 8888 §3.1."""


def decode_congestion_feedback(body: bytes) -> CongestionFeedback:
    """Decode congestion control feedback. Source: RFC 8888 §3.1."""
    reader = Reader(body, source=_CCFB_SOURCE)
    sender = reader.u32()
    streams = []
    while reader.remaining > 4:
        ssrc, first, count = reader.u32(), reader.u16(), reader.u16()
        if count > _MOST_REPORTS:
            raise ProtocolError(f"{count} reports", code="limit", source=_CCFB_SOURCE)
        packets: list[PacketArrival | None] = []
        for _ in range(count):
            word = reader.u16()
            if word & 0x8000:
                offset = word & 0x1FFF
                packets.append(
                    PacketArrival(
                        word >> 13 & 3, None if offset == _OFFSET_UNKNOWN else offset
                    )
                )
            else:
                packets.append(None)
        reader.skip(count % 2 * 2)
        streams.append(StreamArrivals(ssrc, first, packets))
    return CongestionFeedback(sender, streams, reader.u32())


def encode_congestion_feedback(feedback: CongestionFeedback) -> bytes:
    """Encode congestion control feedback. Source: RFC 8888 §3.1."""
    writer = Writer().u32(feedback.sender_ssrc)
    for stream in feedback.streams:
        if len(stream.packets) > _MOST_REPORTS:
            raise UsageError(f"{len(stream.packets)} packets in one report")
        writer.u32(stream.ssrc).u16(stream.first_sequence).u16(len(stream.packets))
        for arrival in stream.packets:
            if arrival is None:
                writer.u16(0)
                continue
            offset = arrival.offset
            if offset is None:
                offset = _OFFSET_UNKNOWN
            elif offset > _OFFSET_LARGEST:
                offset = _OFFSET_BEYOND
            writer.u16(0x8000 | (arrival.ecn & 3) << 13 | offset)
        writer.put(bytes(len(stream.packets) % 2 * 2))
    writer.u32(feedback.report_time)
    return packet(CCFB, TRANSPORT_FEEDBACK, writer.getvalue())
