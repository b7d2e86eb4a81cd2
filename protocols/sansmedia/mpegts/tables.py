"""Which programs there are, by the PAT and the PMTs that came."""

from __future__ import annotations

import attrs

from sansmedia.codecs import Codec
from sansmedia.sansio import ProtocolError

from .descriptors import language_of
from .events import ProgramMap, ProgramRemoved, Track
from .limits import Limits
from .packets import NULL_PID, PAT_PID
from .psi import (
    PAT_TABLE,
    PMT_TABLE,
    ElementaryStream,
    ProgramMapSection,
    Section,
    decode_pat,
    decode_pmt,
    decode_section,
)
from .streams import DataFormat, identify

__all__ = ["ProgramTables", "TableStatistics"]

_FIRST_FREE_PID = 0x10
"""Those below are reserved (ISO 13818-1 §2.4.3.3)."""


@attrs.define
class TableStatistics:
    """What `ProgramTables` has seen."""

    sections: int = 0
    """Sections of a PAT or PMT that were taken, repetitions among them."""
    crc_errors: int = 0
    """Sections with a wrong CRC."""
    sections_damaged: int = 0
    """Sections that were malformed in spite of a right CRC."""
    sections_unknown: int = 0
    """PMTs of programs that are not in the PAT, and tables of other kinds."""
    tracks_refused: int = 0
    """Streams left out of programs: over a limit, or a PID that is not theirs."""


class ProgramTables:
    """Takes sections; says what has changed.

    Source: ISO 13818-1 §2.4.4.3, §2.4.4.8.

    Limits: ``max_programs``, ``max_tracks``.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # What was taken last, so that a repetition costs a comparison and no CRC.
        self._taken: dict[tuple[int, bytes], bytes] = {}
        self._pat_key: tuple[int, int, int] | None = None
        self._pat_parts: dict[int, dict[int, int]] = {}
        self.pmt_pids: dict[int, int] = {}
        """PID of the PMT by program_number, as the PAT has it."""
        self.programs: dict[int, ProgramMap] = {}
        """Programs whose PMT has come."""
        self.statistics = TableStatistics()

    def feed(self, pid: int, data: bytes) -> list[ProgramMap | ProgramRemoved]:
        """Take a section that came on a PID; return what it changes."""
        key = pid, data[:1] + data[3:5] + data[6:7]
        if self._taken.get(key) == data:
            self.statistics.sections += 1
            return []
        if not data[1] & 0x80:
            self.statistics.sections_unknown += 1
            return []
        try:
            section = decode_section(data)
            if not section.current:
                return []
            if pid == PAT_PID:
                changes = self._take_pat(section)
            else:
                changes = self._take_pmt(pid, section)
        except ProtocolError as error:
            if error.code == "crc":
                self.statistics.crc_errors += 1
            else:
                self.statistics.sections_damaged += 1
            return []
        if changes is None:
            self.statistics.sections_unknown += 1
            return []
        self.statistics.sections += 1
        self._taken[key] = data
        return changes

    def _take_pat(self, section: Section) -> list[ProgramMap | ProgramRemoved] | None:
        if section.table_id != PAT_TABLE:
            return None
        programs = dict(decode_pat(section).programs)
        key = section.table_id_extension, section.version, section.last_number
        if key != self._pat_key:
            self._pat_key = key
            self._pat_parts = {}
            self._taken = {k: v for k, v in self._taken.items() if k[0] != PAT_PID}
        kept = list(programs.items())[: self._limits.max_programs]
        self._pat_parts[section.number] = dict(kept)
        if len(self._pat_parts) <= section.last_number:
            return []
        merged: dict[int, int] = {}
        for _, part in sorted(self._pat_parts.items()):
            merged |= part
        return self._apply(dict(list(merged.items())[: self._limits.max_programs]))

    def _apply(self, programs: dict[int, int]) -> list[ProgramMap | ProgramRemoved]:
        for number, pid in self.pmt_pids.items():
            if programs.get(number) != pid:
                self._taken = {k: v for k, v in self._taken.items() if k[0] != pid}
        self.pmt_pids = programs
        removed = [number for number in self.programs if number not in programs]
        for number in removed:
            del self.programs[number]
        return [ProgramRemoved(number) for number in removed]

    def _take_pmt(
        self, pid: int, section: Section
    ) -> list[ProgramMap | ProgramRemoved] | None:
        number = section.table_id_extension
        if section.table_id != PMT_TABLE or self.pmt_pids.get(number) != pid:
            return None
        program = self._program(decode_pmt(section), section.version)
        before = self.programs.get(number)
        self.programs[number] = program
        if before is not None:
            before = attrs.evolve(before, version=program.version)
        return [] if before == program else [program]

    def _program(self, section: ProgramMapSection, version: int) -> ProgramMap:
        own = dict(self.programs)
        own.pop(section.program_number, None)
        room = self._limits.max_tracks - sum(len(p.tracks) for p in own.values())
        reserved = {NULL_PID, *self.pmt_pids.values()}
        tracks: dict[int, Track] = {}
        for stream in section.streams:
            if (
                len(tracks) >= room
                or stream.pid < _FIRST_FREE_PID
                or stream.pid in reserved
                or stream.pid in tracks
            ):
                self.statistics.tracks_refused += 1
            else:
                tracks[stream.pid] = _track(stream)
        return ProgramMap(
            section.program_number,
            version,
            section.pcr_pid,
            tuple(tracks.values()),
            section.descriptors,
        )


def _track(stream: ElementaryStream) -> Track:
    what = identify(stream.stream_type, stream.descriptors)
    return Track(
        stream.pid,
        stream.stream_type,
        what if isinstance(what, Codec) else None,
        what if isinstance(what, DataFormat) else None,
        language_of(stream.descriptors),
        stream.descriptors,
    )
