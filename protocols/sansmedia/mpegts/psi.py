"""Program specific information: sections, the PAT and the PMT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .crc import crc32
from .descriptors import Descriptor, decode_descriptors, encode_descriptors

__all__ = [
    "MAX_SECTION_SIZE",
    "ElementaryStream",
    "ProgramAssociation",
    "ProgramMapSection",
    "Section",
    "SectionAssembler",
    "decode_pat",
    "decode_pmt",
    "decode_section",
    "encode_pat",
    "encode_pmt",
]

MAX_SECTION_SIZE = 1024
"""Octets of a PAT or PMT section, header included (ISO 13818-1 §2.4.4.4)."""
PAT_TABLE, PMT_TABLE = 0, 2


@attrs.frozen
class Section:
    """One section with the long header, its CRC checked (ISO 13818-1 §2.4.4.11)."""

    table_id: int
    """0: PAT, 2: PMT."""
    table_id_extension: int
    """transport_stream_id of a PAT, program_number of a PMT."""
    version: int
    """version_number, 5 bits."""
    current: bool
    """current_next_indicator: this one counts already."""
    number: int
    """section_number."""
    last_number: int
    """last_section_number."""
    body: bytes
    """What stands between header and CRC."""


@attrs.frozen
class ProgramAssociation:
    """One section of the PAT (ISO 13818-1 §2.4.4.3)."""

    transport_stream_id: int
    """Any number."""
    programs: Mapping[int, int]
    """PID of the PMT by program_number; the network PID is left out."""


@attrs.frozen
class ElementaryStream:
    """One stream of a PMT (ISO 13818-1 §2.4.4.8)."""

    stream_type: int
    """stream_type."""
    pid: int
    """elementary_PID."""
    descriptors: tuple[Descriptor, ...] = ()
    """ES_info."""


@attrs.frozen
class ProgramMapSection:
    """A PMT (ISO 13818-1 §2.4.4.8)."""

    program_number: int
    """Which program."""
    pcr_pid: int
    """PCR_PID; 0x1FFF: none."""
    streams: tuple[ElementaryStream, ...]
    """In the order of the table."""
    descriptors: tuple[Descriptor, ...] = ()
    """program_info."""


def decode_section(data: bytes) -> Section:
    """Decode a section of a PAT or PMT and check its CRC.

    Source: ISO 13818-1 §2.4.4.3, §2.4.4.8, §2.4.4.11.

    Args:
        data: From table_id to CRC_32, no more and no less.

    Raises:
        ProtocolError: ``"crc"`` if the checksum is wrong; cut short, or the short form.
    """
    source = "ISO 13818-1 §2.4.4.11"
    if crc32(data):
        raise ProtocolError("wrong CRC", code="crc", source=source)
    reader = Reader(data, source=source)
    table_id, length = reader.u8(), reader.u16()
    if not length & 0x8000 or length & 0xFFF != reader.remaining:
        raise ProtocolError("not a section of the long form", source=source)
    extension, flags = reader.u16(), reader.u8()
    number, last = reader.u8(), reader.u8()
    body = reader.take(reader.remaining - 4)
    version, current = flags >> 1 & 0x1F, bool(flags & 1)
    return Section(table_id, extension, version, current, number, last, body)


def _encode_section(
    table_id: int, extension: int, version: int, number: int, last: int, body: bytes
) -> bytes:
    size = len(body) + 9
    if size + 3 > MAX_SECTION_SIZE:
        raise UsageError(f"a section of {size + 3} octets")
    writer = Writer().u8(table_id).u16(0xB000 | size).u16(extension)
    writer.u8(0xC1 | version << 1).u8(number).u8(last).put(body)
    section = writer.getvalue()
    return section + crc32(section).to_bytes(4, "big")


def decode_pat(section: Section) -> ProgramAssociation:
    """Decode the body of a PAT section.

    Source: ISO 13818-1 §2.4.4.3.

    Raises:
        ProtocolError: Another table, or cut short.
    """
    source = "ISO 13818-1 §2.4.4.3"
    if section.table_id != PAT_TABLE:
        raise ProtocolError(f"table {section.table_id} in the PAT", source=source)
    reader = Reader(section.body, source=source)
    programs: dict[int, int] = {}
    while reader.remaining:
        number, pid = reader.u16(), reader.u16() & 0x1FFF
        if number:
            programs[number] = pid
    return ProgramAssociation(section.table_id_extension, programs)


def encode_pat(
    transport_stream_id: int, programs: Mapping[int, int], version: int = 0
) -> bytes:
    """Return a PAT of one section. Source: ISO 13818-1 §2.4.4.3.

    Args:
        transport_stream_id: 16 bits.
        programs: PID of the PMT by program_number.
        version: version_number, 5 bits.
    """
    writer = Writer()
    for number, pid in programs.items():
        writer.u16(number).u16(0xE000 | pid)
    return _encode_section(
        PAT_TABLE, transport_stream_id, version, 0, 0, writer.getvalue()
    )


def decode_pmt(section: Section) -> ProgramMapSection:
    """Decode the body of a PMT section.

    Source: ISO 13818-1 §2.4.4.8.

    Raises:
        ProtocolError: Another table, cut short, or a damaged loop.
    """
    source = "ISO 13818-1 §2.4.4.8"
    if section.table_id != PMT_TABLE:
        raise ProtocolError(f"table {section.table_id} in a PMT", source=source)
    reader = Reader(section.body, source=source)
    pcr_pid = reader.u16() & 0x1FFF
    descriptors = decode_descriptors(reader.take(reader.u16() & 0xFFF))
    streams: list[ElementaryStream] = []
    while reader.remaining:
        stream_type, pid = reader.u8(), reader.u16() & 0x1FFF
        info = decode_descriptors(reader.take(reader.u16() & 0xFFF))
        streams.append(ElementaryStream(stream_type, pid, info))
    return ProgramMapSection(
        section.table_id_extension, pcr_pid, tuple(streams), descriptors
    )


def encode_pmt(
    program_number: int,
    pcr_pid: int,
    streams: Iterable[ElementaryStream],
    descriptors: Iterable[Descriptor] = (),
    version: int = 0,
) -> bytes:
    """Return a PMT. Source: ISO 13818-1 §2.4.4.8.

    Raises:
        UsageError: It does not fit one section.
    """
    info = encode_descriptors(descriptors)
    writer = Writer().u16(0xE000 | pcr_pid).u16(0xF000 | len(info)).put(info)
    for stream in streams:
        info = encode_descriptors(stream.descriptors)
        writer.u8(stream.stream_type).u16(0xE000 | stream.pid)
        writer.u16(0xF000 | len(info)).put(info)
    return _encode_section(PMT_TABLE, program_number, version, 0, 0, writer.getvalue())


class SectionAssembler:
    """Sections out of the packets of one PID.

    Limits: holds less than `MAX_SECTION_SIZE` octets and one packet.
    """

    __slots__ = ("_buffer", "_is_open", "damaged")

    def __init__(self) -> None:
        self._buffer = b""
        self._is_open = False
        self.damaged = 0
        """Sections that were begun and not completed, and those that are too long."""

    @property
    def pending_bytes(self) -> int:
        """Octets held of a section that is not whole."""
        return len(self._buffer)

    def drop(self) -> None:
        """Forget a section that is not whole: packets of it were lost."""
        self.damaged += self._is_open
        self._buffer, self._is_open = b"", False

    def feed(self, payload: bytes, unit_start: bool) -> Iterator[bytes]:
        """Take the payload of a packet; yield sections that have become whole.

        Source: ISO 13818-1 §2.4.4.1, §2.4.4.2.

        Args:
            payload: Of the packet, pointer_field included.
            unit_start: payload_unit_start_indicator.
        """
        if not unit_start:
            if self._is_open:
                self._buffer += payload
                yield from self._take()
            return
        pointer = payload[0] if payload else 0
        if self._is_open:
            self._buffer += payload[1 : 1 + pointer]
            yield from self._take()
            self.drop()
        self._buffer, self._is_open = payload[1 + pointer :], True
        yield from self._take()

    def _take(self) -> Iterator[bytes]:
        while self._buffer and self._buffer[0] != 0xFF:
            if len(self._buffer) < 3:
                return
            size = 3 + (int.from_bytes(self._buffer[1:3], "big") & 0xFFF)
            if size > MAX_SECTION_SIZE:
                self.drop()
                return
            if len(self._buffer) < size:
                return
            section, self._buffer = self._buffer[:size], self._buffer[size:]
            yield section
        # Nothing or stuffing up to the end of the packet: the next one begins anew.
        self._buffer, self._is_open = b"", False
