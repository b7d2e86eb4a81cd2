"""Extended reports: round trips for receivers, and what else peers tell.

Source: RFC 3611 §2, RFC 3611 §3, RFC 3611 §4.4, RFC 3611 §4.5.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .rtcp_reports import packet, require_words

__all__ = [
    "DelaySinceLastReport",
    "DlrrBlock",
    "ExtendedReport",
    "ReferenceTimeBlock",
    "UnknownReportBlock",
]

EXTENDED_REPORT: Final = 207
_REFERENCE_TIME: Final = 4
_DLRR: Final = 5


@attrs.define
class ReferenceTimeBlock:
    """When a receiver made this report, by its own clock. Source: RFC 3611 §4.4."""

    ntp_time: int
    """64 bits."""


@attrs.define
class DelaySinceLastReport:
    """How long a receiver's reference time lay here. Source: RFC 3611 §4.5."""

    ssrc: int
    """The receiver."""
    last_report: int
    """The middle 32 bits of its reference time; 0 if there was none."""
    delay: int
    """In units of 1/65,536 s."""


@attrs.define
class DlrrBlock:
    """The answers to reference times. Source: RFC 3611 §4.5."""

    entries: list[DelaySinceLastReport]


@attrs.define
class UnknownReportBlock:
    """A block that is not read here. Source: RFC 3611 §3."""

    type: int
    type_specific: int
    """8 bits."""
    body: bytes
    """Whole words."""


_Block: TypeAlias = ReferenceTimeBlock | DlrrBlock | UnknownReportBlock


@attrs.define
class ExtendedReport:
    """XR. Source: RFC 3611 §2."""

    ssrc: int
    blocks: list[_Block] = attrs.field(factory=list)


def decode_extended_report(body: bytes) -> ExtendedReport:
    """Decode the body of an XR. Source: RFC 3611 §2, RFC 3611 §3."""
    reader = Reader(body, source="RFC 3611 §3")
    report = ExtendedReport(reader.u32())
    while reader.remaining:
        kind, specific = reader.u8(), reader.u8()
        report.blocks.append(
            _decode_block(kind, specific, reader.take(reader.u16() * 4))
        )
    return report


def _decode_block(kind: int, specific: int, body: bytes) -> _Block:
    if kind == _REFERENCE_TIME:
        if len(body) != 8:
            raise ProtocolError("reference time of odd size", source="RFC 3611 §4.4")
        return ReferenceTimeBlock(int.from_bytes(body, "big"))
    if kind == _DLRR:
        count = require_words(body, 12, "RFC 3611 §4.5")
        reader = Reader(body)
        entries = [
            DelaySinceLastReport(reader.u32(), reader.u32(), reader.u32())
            for _ in range(count)
        ]
        return DlrrBlock(entries)
    return UnknownReportBlock(kind, specific, body)


def encode_extended_report(report: ExtendedReport) -> bytes:
    """Encode an XR. Source: RFC 3611 §2, RFC 3611 §3."""
    writer = Writer().u32(report.ssrc)
    for block in report.blocks:
        match block:
            case ReferenceTimeBlock():
                writer.u8(_REFERENCE_TIME).u8(0).u16(2).u64(block.ntp_time)
            case DlrrBlock():
                writer.u8(_DLRR).u8(0).u16(3 * len(block.entries))
                for entry in block.entries:
                    writer.u32(entry.ssrc).u32(entry.last_report).u32(entry.delay)
            case UnknownReportBlock():
                words, odd = divmod(len(block.body), 4)
                if odd:
                    raise UsageError("a report block has whole words")
                writer.u8(block.type).u8(block.type_specific).u16(words)
                writer.put(block.body)
    return packet(0, EXTENDED_REPORT, writer.getvalue())
