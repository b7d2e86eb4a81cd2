"""RTCP's reports, source descriptions, farewells and APP packets.

Source: RFC 3550 §6.4.1, RFC 3550 §6.4.2, RFC 3550 §6.5, RFC 3550 §6.6, RFC 3550 §6.7.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

__all__ = [
    "ApplicationDefined",
    "Goodbye",
    "ReceiverReport",
    "ReportBlock",
    "SdesChunk",
    "SdesItem",
    "SdesType",
    "SenderReport",
    "SourceDescription",
]

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
GOODBYE: Final = 203
APPLICATION_DEFINED: Final = 204

# RFC 3550 §6.4.1:  |                 SSRC                  |
#                   | fraction lost |   cumulative lost     |
#                   |   extended highest sequence number    |
#                   |          interarrival jitter          |
#                   |               last SR                 |
#                   |         delay since last SR           |
_BLOCK: Final = struct.Struct(">IIIIII")
_BLOCK_SIZE: Final = 24
_HEADER: Final = struct.Struct(">BBH")


@attrs.define
class ReportBlock:
    """How well one source is received. Source: RFC 3550 §6.4.1."""

    ssrc: int
    """Whose packets these are."""
    fraction_lost: int = 0
    """Lost since the last report, in units of 1/256."""
    cumulative_lost: int = 0
    """24 bits, signed; duplicates make it smaller."""
    highest_sequence: int = 0
    """32 bits: cycles and the highest sequence number."""
    jitter: int = 0
    """In ticks of the source's clock."""
    last_sr: int = 0
    """The middle 32 bits of the last sender report's NTP time; 0 if there was none."""
    delay_since_last_sr: int = 0
    """In units of 1/65,536 s."""


@attrs.define
class SenderReport:
    """What a source has sent, and which RTP time is which wall time.

    Source: RFC 3550 §6.4.1.
    """

    ssrc: int
    ntp_time: int
    """64 bits: seconds since 1900 and their fraction."""
    rtp_time: int
    """32 bits: the same moment in the source's RTP clock."""
    packet_count: int = 0
    """32 bits, wraps."""
    octet_count: int = 0
    """32 bits, wraps; payloads alone."""
    reports: list[ReportBlock] = attrs.field(factory=list)
    """Up to 31."""
    extension: bytes = b""
    """What a profile adds; whole words."""


@attrs.define
class ReceiverReport:
    """How well somebody receives. Source: RFC 3550 §6.4.2."""

    ssrc: int
    reports: list[ReportBlock] = attrs.field(factory=list)
    """Up to 31."""
    extension: bytes = b""
    """What a profile adds; whole words."""


class SdesType(enum.IntEnum):
    """What an item of a source description says. Source: RFC 3550 §6.5."""

    CNAME = 1
    NAME = 2
    EMAIL = 3
    PHONE = 4
    LOC = 5
    TOOL = 6
    NOTE = 7
    PRIV = 8
    RTP_STREAM_ID = 12
    """Source: RFC 8852 §3.1."""
    REPAIRED_RTP_STREAM_ID = 13
    """Source: RFC 8852 §3.2."""
    MID = 15
    """Source: RFC 9143 §15."""


@attrs.define
class SdesItem:
    """One item; UTF-8, but nobody checks. Source: RFC 3550 §6.5."""

    type: int
    """`SdesType`, or another number."""
    value: bytes
    """Up to 255 octets."""

    @property
    def text(self) -> str:
        """The value as text, with marks where it is no UTF-8."""
        return self.value.decode("utf-8", "replace")


@attrs.define
class SdesChunk:
    """The items of one source. Source: RFC 3550 §6.5."""

    ssrc: int
    items: list[SdesItem] = attrs.field(factory=list)

    def item(self, kind: int) -> str | None:
        """Return the text of the first item of a type, or None."""
        return next((item.text for item in self.items if item.type == kind), None)


@attrs.define
class SourceDescription:
    """Who the sources are. Source: RFC 3550 §6.5."""

    chunks: list[SdesChunk] = attrs.field(factory=list)
    """Up to 31."""


@attrs.define
class Goodbye:
    """Sources that are no longer active. Source: RFC 3550 §6.6."""

    ssrcs: list[int]
    """Up to 31."""
    reason: bytes = b""
    """Up to 255 octets, UTF-8, but nobody checks."""


@attrs.define
class ApplicationDefined:
    """A packet of an application's own. Source: RFC 3550 §6.7."""

    subtype: int
    """0 to 31."""
    ssrc: int
    name: bytes
    """4 octets."""
    data: bytes = b""
    """Whole words."""


def packet(count: int, kind: int, body: bytes) -> bytes:
    """Return one RTCP packet.

    Args:
        count: 0 to 31; the meaning is the type's.
        kind: The packet type.
        body: What follows the first word; whole words.

    Raises:
        UsageError: Something does not fit.

    Source: RFC 3550 §6.4.1.
    """
    words, odd = divmod(len(body), 4)
    if odd or words > 0xFFFF or not 0 <= count <= 31:
        raise UsageError(f"RTCP packet {kind} of {len(body)} octets, count {count}")
    return _HEADER.pack(0x80 | count, kind, words) + body


def _decode_blocks(reader: Reader, count: int) -> list[ReportBlock]:
    octets = reader.take(count * _BLOCK_SIZE)
    blocks = []
    for ssrc, loss, highest, jitter, last_sr, delay in _BLOCK.iter_unpack(octets):
        lost = loss & 0xFFFFFF
        if lost & 0x800000:
            lost -= 1 << 24
        blocks.append(
            ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay)
        )
    return blocks


def _encode_blocks(blocks: list[ReportBlock]) -> bytes:
    try:
        return b"".join(
            _BLOCK.pack(
                block.ssrc,
                block.fraction_lost << 24 | block.cumulative_lost & 0xFFFFFF,
                block.highest_sequence,
                block.jitter,
                block.last_sr,
                block.delay_since_last_sr,
            )
            for block in blocks
        )
    except struct.error as error:
        raise UsageError(f"report block: {error}") from None


def decode_sender_report(count: int, body: bytes) -> SenderReport:
    """Decode the body of a sender report. Source: RFC 3550 §6.4.1."""
    reader = Reader(body, source="RFC 3550 §6.4.1")
    ssrc, ntp_time, rtp_time = reader.u32(), reader.u64(), reader.u32()
    packets, octets = reader.u32(), reader.u32()
    blocks = _decode_blocks(reader, count)
    rest = reader.rest()
    return SenderReport(ssrc, ntp_time, rtp_time, packets, octets, blocks, rest)


def encode_sender_report(report: SenderReport) -> bytes:
    """Encode a sender report. Source: RFC 3550 §6.4.1."""
    writer = Writer().u32(report.ssrc).u64(report.ntp_time).u32(report.rtp_time)
    writer.u32(report.packet_count & 0xFFFFFFFF).u32(report.octet_count & 0xFFFFFFFF)
    writer.put(_encode_blocks(report.reports)).put(report.extension)
    return packet(len(report.reports), SENDER_REPORT, writer.getvalue())


def decode_receiver_report(count: int, body: bytes) -> ReceiverReport:
    """Decode the body of a receiver report. Source: RFC 3550 §6.4.2."""
    reader = Reader(body, source="RFC 3550 §6.4.2")
    ssrc = reader.u32()
    blocks = _decode_blocks(reader, count)
    return ReceiverReport(ssrc, blocks, reader.rest())


def encode_receiver_report(report: ReceiverReport) -> bytes:
    """Encode a receiver report. Source: RFC 3550 §6.4.2."""
    writer = Writer().u32(report.ssrc)
    writer.put(_encode_blocks(report.reports)).put(report.extension)
    return packet(len(report.reports), RECEIVER_REPORT, writer.getvalue())


def decode_source_description(count: int, body: bytes) -> SourceDescription:
    """Decode the body of a source description. Source: RFC 3550 §6.5."""
    reader = Reader(body, source="RFC 3550 §6.5")
    chunks = []
    for _ in range(count):
        chunk = SdesChunk(reader.u32())
        while kind := reader.u8():
            chunk.items.append(SdesItem(kind, reader.take(reader.u8())))
        # The null octet is followed by others up to the next word.
        reader.skip(-reader.position % 4)
        chunks.append(chunk)
    return SourceDescription(chunks)


def encode_source_description(description: SourceDescription) -> bytes:
    """Encode a source description. Source: RFC 3550 §6.5."""
    writer = Writer()
    for chunk in description.chunks:
        writer.u32(chunk.ssrc)
        for item in chunk.items:
            if not item.type:
                raise UsageError("an item of type 0 ends the list")
            writer.u8(item.type).u8(len(item.value)).put(item.value)
        writer.put(bytes(4 - len(writer) % 4))
    return packet(len(description.chunks), SOURCE_DESCRIPTION, writer.getvalue())


def decode_goodbye(count: int, body: bytes) -> Goodbye:
    """Decode the body of a BYE. Source: RFC 3550 §6.6."""
    reader = Reader(body, source="RFC 3550 §6.6")
    ssrcs = [reader.u32() for _ in range(count)]
    reason = reader.take(reader.u8()) if reader.remaining else b""
    return Goodbye(ssrcs, reason)


def encode_goodbye(goodbye: Goodbye) -> bytes:
    """Encode a BYE. Source: RFC 3550 §6.6."""
    writer = Writer()
    for ssrc in goodbye.ssrcs:
        writer.u32(ssrc)
    if goodbye.reason:
        writer.u8(len(goodbye.reason)).put(goodbye.reason)
        writer.put(bytes(-len(writer) % 4))
    return packet(len(goodbye.ssrcs), GOODBYE, writer.getvalue())


def decode_application_defined(count: int, body: bytes) -> ApplicationDefined:
    """Decode the body of an APP packet. Source: RFC 3550 §6.7."""
    reader = Reader(body, source="RFC 3550 §6.7")
    return ApplicationDefined(count, reader.u32(), reader.take(4), reader.rest())


def encode_application_defined(application: ApplicationDefined) -> bytes:
    """Encode an APP packet. Source: RFC 3550 §6.7."""
    if len(application.name) != 4:
        raise UsageError("the name of an APP packet has 4 octets")
    writer = Writer().u32(application.ssrc).put(application.name).put(application.data)
    return packet(application.subtype, APPLICATION_DEFINED, writer.getvalue())


def require_words(body: bytes, size: int, source: str) -> int:
    """Return how many entries of ``size`` octets ``body`` is.

    Raises:
        ProtocolError: It is no whole number of them.
    """
    count, rest = divmod(len(body), size)
    if rest:
        raise ProtocolError(
            f"entries of {size} octets in {len(body)}", code="truncated", source=source
        )
    return count
