"""Reads a transport stream up to its PES packets.

This is the hot path of everything that takes MPEG-TS in. Packets that do nothing but go
on with a PES packet, nine of ten in video, are compared by their header as one number
with the one expected next, and their payloads are cut out together when something else
comes: 0.2 us a packet, where taking each apart costs 2.
"""

from __future__ import annotations

import struct

import attrs

from sansmedia.sansio import ProtocolError

from .events import PcrSample, PesPacket, ProgramMap, ProgramRemoved, TransportEvent
from .limits import Limits
from .packets import NULL_PID, PACKET_SIZE, PAT_PID, decode_adaptation_field
from .pes import decode_pes_header
from .psi import SectionAssembler
from .sync import PacketAligner, Run
from .tables import ProgramTables

__all__ = ["TransportDemuxer", "TransportStatistics"]

_HEADERS = struct.Struct(">I184x")
_PES_PREFIX = b"\0\0\1"
_TRUSTED = 8
"""PES packets that have ended with stuffing, until it is taken for the end."""
# Streams whose PES packets are no media: padding, program stream tables, and so on.
_NO_MEDIA = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))


@attrs.define
class TransportStatistics:
    """What a `TransportDemuxer` has seen so far."""

    packets: int = 0
    """Packets with a sync byte where it should be."""
    null_packets: int = 0
    """Packets that only fill a constant rate."""
    packets_unknown: int = 0
    """Packets of PIDs that no table names: also those before the first PAT and PMT."""
    sync_losses: int = 0
    """How often packets were no longer where they should be."""
    sync_bytes_damaged: int = 0
    """Packets dropped for their sync byte alone."""
    octets_skipped: int = 0
    """Octets in which no packet was found."""
    transport_errors: int = 0
    """Packets dropped for their transport_error_indicator."""
    packets_malformed: int = 0
    """Packets dropped for an impossible adaptation field."""
    scrambled: int = 0
    """Packets dropped because they are scrambled."""
    continuity_errors: int = 0
    """Places where packets of a PID are missing."""
    duplicates: int = 0
    """Packets that came twice, as they may."""
    sections: int = 0
    """Sections of PAT and PMT taken, repetitions among them."""
    crc_errors: int = 0
    """Sections with a wrong CRC."""
    sections_damaged: int = 0
    """Sections that were incomplete or malformed."""
    sections_unknown: int = 0
    """PMTs of programs that are not in the PAT, and tables of other kinds."""
    tracks_refused: int = 0
    """Streams left out of programs: over a limit, or a PID that is not theirs."""
    pes_packets: int = 0
    """PES packets given out, damaged ones among them."""
    pes_damaged: int = 0
    """PES packets of which something is missing, given out or not."""
    pes_too_long: int = 0
    """PES packets dropped for a limit."""


@attrs.define(eq=False)
class _Stream:
    """One PID with PES packets."""

    pid: int
    next_header: int = -1
    """The header of a packet that goes on with the payload and nothing else."""
    collecting: bool = False
    parts: list[bytes] = attrs.field(factory=list)
    size: int = 0
    cost: int = 0
    """Octets that count as held."""
    needed: int = 0
    """Octets that the PES packet says it has; 0: up to the next, -1: not known yet."""
    random_access: bool = False
    damaged: bool = False
    after_loss: bool = False
    lost: bool = False
    """Something is missing in front of the next PES packet."""
    stuffed: bool = False
    """The last packet was stuffed, as one at the end of a PES packet is."""
    trust: int = 0
    """How often stuffing was the end, of PES packets that do not say their length."""
    cut: bool = False
    """The last PES packet was taken to end with stuffing."""
    last_payload: bytes = b""


@attrs.define(eq=False)
class _Tables:
    """One PID with sections."""

    pid: int
    next_header: int = -1
    last_payload: bytes = b""
    assembler: SectionAssembler = attrs.field(factory=SectionAssembler)


def _following(header: int) -> int:
    """Return the header of the next packet that only goes on."""
    return (header & 0xFFBFFF00) | 0x10 | (header + 1 & 15)


def _is_stuffed(payload: bytes, flags: int) -> bool:
    """Tell whether an adaptation field has more octets than what it says needs.

    Args:
        payload: Of the packet.
        flags: Of the adaptation field; 0 without one.
    """
    said = 2 + 6 * (flags >> 4 & 1)
    return len(payload) < 184 and not flags & 0x0F and len(payload) != 184 - said


class TransportDemuxer:
    """A transform from octets to `ProgramMap`, `PesPacket` and the like.

    `Demuxer` stands on it and makes frames of the PES packets; take this one for what
    `Demuxer` does not know. Damage is counted in `statistics`, never raised.

    A PES packet that does not say its length ends where the next one begins, a picture
    later. Muxers stuff its last packet, which tells it at once: that is relied on as
    soon as it has been so for eight of a track, and no longer if it is not.

    Source: ISO 13818-1 §2.4.3.2, §2.4.3.6.

    Limits: `Limits`; ``pending_bytes`` stays below ``max_pending_bytes``, and for each
    track and table a packet or section more.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._aligner = PacketAligner()
        self._tables = ProgramTables(self._limits)
        self._pids: dict[int, _Stream | _Tables] = {PAT_PID: _Tables(PAT_PID)}
        self._clocks: dict[int, list[int]] = {}
        self._held = 0
        self._last_pid = -1
        self._statistics = TransportStatistics()
        self._sections_damaged = 0

    @property
    def pending_bytes(self) -> int:
        """Octets held of packets, sections and PES packets that are not whole."""
        sections = sum(
            state.assembler.pending_bytes
            for state in self._pids.values()
            if isinstance(state, _Tables)
        )
        return self._aligner.pending_bytes + self._held + sections

    def statistics(self) -> TransportStatistics:
        """Return a copy of the counters."""
        tables = self._tables.statistics
        broken = sum(
            state.assembler.damaged
            for state in self._pids.values()
            if isinstance(state, _Tables)
        )
        return attrs.evolve(
            self._statistics,
            sync_losses=self._aligner.sync_losses,
            sync_bytes_damaged=self._aligner.sync_bytes_damaged,
            octets_skipped=self._aligner.octets_skipped,
            sections=tables.sections,
            crc_errors=tables.crc_errors,
            sections_damaged=tables.sections_damaged + self._sections_damaged + broken,
            sections_unknown=tables.sections_unknown,
            tracks_refused=tables.tracks_refused,
        )

    def feed(self, data: bytes) -> list[TransportEvent]:
        """Take the next octets; return what has become whole, in stream order."""
        events: list[TransportEvent] = []
        for run in self._aligner.feed(data):
            self._walk(run, events)
        return events

    def flush(self) -> list[TransportEvent]:
        """Take the end of the stream; return what was waiting for more.

        A stream that begins afterwards finds programs and counters as they are.
        """
        events: list[TransportEvent] = []
        for run in self._aligner.feed(b"", final=True):
            self._walk(run, events)
        for state in self._pids.values():
            if isinstance(state, _Stream):
                self._finish(state, events)
                state.next_header = -1
            else:
                state.assembler.drop()
                state.next_header = -1
        return events

    # -- packets -------------------------------------------------------------------

    def _walk(self, run: Run, events: list[TransportEvent]) -> None:
        """Go through packets that stand one behind the other."""
        buffer, at = run.packed()
        size = run.count * PACKET_SIZE
        self._statistics.packets += run.count
        if run.after_loss:
            self._suspect()
        pids = self._pids
        expected = -1
        current: _Stream | None = None
        begin = at
        for (header,) in _HEADERS.iter_unpack(memoryview(buffer)[at : at + size]):
            if header == expected:
                expected = header + 1 if header & 15 != 15 else header - 15
            else:
                if current is not None:
                    if at > begin:
                        self._go_on(current, buffer, begin, at, expected, events)
                    current = None
                state = pids.get(header >> 8 & 0x1FFF)
                if isinstance(state, _Stream):
                    if header == state.next_header:
                        begin = at
                        expected = header + 1 if header & 15 != 15 else header - 15
                    else:
                        self._take(state, header, buffer, at, events)
                        begin = at + PACKET_SIZE
                        expected = state.next_header
                    current = state
                else:
                    self._take_other(state, header, buffer, at, events)
                    expected = -1
            at += PACKET_SIZE
        if current is not None and at > begin:
            self._go_on(current, buffer, begin, at, expected, events)
        self._last_pid = int.from_bytes(buffer[at - 187 : at - 185], "big") & 0x1FFF

    def _suspect(self) -> None:
        """Note that the last packet before lost octets is not what it seems."""
        state = self._pids.get(self._last_pid)
        if isinstance(state, _Stream):
            if state.collecting:
                state.damaged = True
            else:
                state.lost = True
        elif state is not None:
            state.assembler.drop()

    def _go_on(
        self,
        state: _Stream,
        buffer: bytes,
        begin: int,
        end: int,
        expected: int,
        events: list[TransportEvent],
    ) -> None:
        """Take packets that do nothing but go on with a PES packet."""
        state.next_header = expected
        if state.stuffed or state.cut:
            self._mistrust(state)
        if not state.collecting:
            state.last_payload = buffer[end - 184 : end]
            return
        payloads = [buffer[p + 4 : p + 188] for p in range(begin, end, PACKET_SIZE)]
        state.last_payload = payloads[-1]
        state.parts += payloads
        self._grow(state, 184 * len(payloads), events)

    def _grow(self, state: _Stream, size: int, events: list[TransportEvent]) -> None:
        state.size += size
        if state.needed < 0 and state.size >= 6:
            self._learn_length(state)
        if state.needed > 0:
            # What it says it has was counted when it said so.
            if state.size >= state.needed:
                self._finish(state, events)
            return
        state.cost += size
        self._held += size
        self._judge(state)

    def _learn_length(self, state: _Stream) -> None:
        head = b"".join(state.parts)
        length = head[4] << 8 | head[5]
        state.needed = 6 + length if length else 0
        if length:
            self._held += state.needed - state.cost
            state.cost = state.needed
            self._judge(state)

    def _judge(self, state: _Stream) -> None:
        """Drop a PES packet that costs too much."""
        if (
            state.cost > self._limits.max_pes_size
            or self._held > self._limits.max_pending_bytes
        ):
            self._statistics.pes_too_long += 1
            self._forget(state)
            state.lost = True

    def _take(
        self,
        state: _Stream,
        header: int,
        buffer: bytes,
        at: int,
        events: list[TransportEvent],
    ) -> None:
        """Take a packet of a PID with PES packets that does more than go on."""
        payload, flags = self._open(header, buffer, at, events)
        if payload is None:
            return
        continuity = self._check_continuity(state, header, payload, flags)
        if continuity is None:
            return
        if not continuity:
            if state.collecting:
                state.damaged = True
            else:
                state.lost = True
        if header & 0xC0:
            self._statistics.scrambled += 1
            state.damaged = True
            return
        state.last_payload = payload
        if header & 0x400000:
            if state.stuffed and continuity and not state.needed:
                state.trust += 1
            # A PES packet whose end is not known ends here, and whether the packets
            # that are missing were its own cannot be told.
            self._finish(state, events)
            self._begin(state, payload, flags)
            if state.collecting:
                state.after_loss = state.after_loss or not continuity
                self._grow(state, len(payload), events)
        else:
            if state.stuffed or state.cut:
                self._mistrust(state)
            if state.collecting:
                state.parts.append(payload)
                self._grow(state, len(payload), events)
        if state.collecting and not state.needed and _is_stuffed(payload, flags):
            state.stuffed = True
            if state.trust >= _TRUSTED:
                self._finish(state, events)
                state.cut = True

    @staticmethod
    def _mistrust(state: _Stream) -> None:
        """Note that a PES packet went on behind stuffing."""
        state.trust = -1 << 30
        state.lost = state.lost or state.cut
        state.stuffed = state.cut = False

    def _open(
        self, header: int, buffer: bytes, at: int, events: list[TransportEvent]
    ) -> tuple[bytes | None, int]:
        """Return payload (None: nothing to go on with) and adaptation field flags."""
        if header & 0x800000:
            self._statistics.transport_errors += 1
            return None, 0
        if not header & 0x30:
            self._statistics.packets_malformed += 1
            return None, 0
        if not header & 0x20:
            return buffer[at + 4 : at + PACKET_SIZE], 0
        length = buffer[at + 4]
        # With a payload there is room for 182 octets, without one they are 183.
        if length > (182 if header & 0x10 else 183):
            self._statistics.packets_malformed += 1
            return None, 0
        start = at + 5 + length
        flags = buffer[at + 5] if length else 0
        if flags & 0x10:
            self._take_pcr(header >> 8 & 0x1FFF, buffer[at + 5 : start], events)
        if not header & 0x10:
            return None, flags
        return buffer[start : at + PACKET_SIZE], flags

    def _take_pcr(self, pid: int, field: bytes, events: list[TransportEvent]) -> None:
        programs = self._clocks.get(pid)
        if programs is None:
            return
        try:
            adaptation = decode_adaptation_field(field)
        except ProtocolError:
            self._statistics.packets_malformed += 1
            return
        if adaptation.pcr is not None:
            for number in programs:
                sample = PcrSample(number, adaptation.pcr, adaptation.discontinuity)
                events.append(sample)

    def _check_continuity(
        self, state: _Stream | _Tables, header: int, payload: bytes, flags: int
    ) -> bool | None:
        """Return whether no packet is missing; None for one that came twice.

        Source: ISO 13818-1 §2.4.3.3 (continuity_counter).
        """
        before = state.next_header
        again = before >= 0 and header & 15 == (before - 1) & 15
        if again and payload == state.last_payload:
            self._statistics.duplicates += 1
            return None
        state.next_header = _following(header)
        if before < 0 or header & 15 == before & 15:
            return True
        if not flags & 0x80:
            self._statistics.continuity_errors += 1
            return False
        # Announced: what is missing was never sent, unless it would have gone on.
        return bool(header & 0x400000)

    # -- PES packets ---------------------------------------------------------------

    def _begin(self, state: _Stream, payload: bytes, flags: int) -> None:
        if not _PES_PREFIX.startswith(payload[:3]):
            self._statistics.pes_damaged += 1
            state.lost = True
            return
        state.collecting = True
        state.stuffed = state.cut = False
        state.parts.append(payload)
        state.needed = -1
        state.random_access = bool(flags & 0x40)
        state.damaged = False
        state.after_loss = state.lost
        state.lost = False

    def _forget(self, state: _Stream) -> None:
        self._held -= state.cost
        state.collecting = False
        state.parts = []
        state.size = state.cost = state.needed = 0

    def _finish(self, state: _Stream, events: list[TransportEvent]) -> None:
        """Give out the PES packet that was collected."""
        if not state.collecting:
            return
        parts, size, needed = state.parts, state.size, state.needed
        self._forget(state)
        try:
            try:
                header = decode_pes_header(parts[0])
            except ProtocolError:
                parts = [b"".join(parts)]
                header = decode_pes_header(parts[0])
        except ProtocolError:
            self._statistics.pes_damaged += 1
            state.lost = True
            return
        if header.stream_id in _NO_MEDIA:
            return
        damaged = state.damaged or size < needed
        parts[0] = parts[0][header.size :]
        payload = b"".join(parts)
        if 0 < needed < size:
            payload = payload[: max(needed - header.size, 0)]
        self._statistics.pes_packets += 1
        self._statistics.pes_damaged += damaged
        events.append(
            PesPacket(
                state.pid,
                header.stream_id,
                header.pts,
                header.dts,
                payload,
                header.length,
                state.random_access,
                header.data_alignment,
                damaged,
                state.after_loss,
            )
        )

    # -- tables --------------------------------------------------------------------

    def _take_other(
        self,
        state: _Tables | None,
        header: int,
        buffer: bytes,
        at: int,
        events: list[TransportEvent],
    ) -> None:
        """Take a packet with sections, or of a PID that carries a clock or nothing."""
        if state is None:
            pid = header >> 8 & 0x1FFF
            if pid == NULL_PID:
                self._statistics.null_packets += 1
            elif pid in self._clocks:
                self._open(header, buffer, at, events)
            else:
                self._statistics.packets_unknown += 1
            return
        payload, flags = self._open(header, buffer, at, events)
        if payload is None:
            return
        continuity = self._check_continuity(state, header, payload, flags)
        if continuity is None:
            return
        if not continuity:
            state.assembler.drop()
        state.last_payload = payload
        for section in state.assembler.feed(payload, bool(header & 0x400000)):
            before = self._tables.pmt_pids
            changes = self._tables.feed(state.pid, section)
            if changes or self._tables.pmt_pids is not before:
                self._apply(changes, events)

    def _apply(
        self,
        changes: list[ProgramMap | ProgramRemoved],
        events: list[TransportEvent],
    ) -> None:
        """Follow PIDs that are new, and finish those that are gone."""
        tracks: dict[int, int] = {}
        self._clocks = {}
        for number, program in self._tables.programs.items():
            self._clocks.setdefault(program.pcr_pid, []).append(number)
            for track in program.tracks:
                tracks[track.pid] = track.stream_type
        tables = {PAT_PID, *self._tables.pmt_pids.values()}
        self._clocks.pop(NULL_PID, None)
        for pid, state in list(self._pids.items()):
            if isinstance(state, _Stream) and (pid not in tracks or pid in tables):
                self._finish(state, events)
                del self._pids[pid]
            elif isinstance(state, _Tables) and pid not in tables:
                self._sections_damaged += state.assembler.damaged
                del self._pids[pid]
        for pid in tables:
            self._pids.setdefault(pid, _Tables(pid))
        for pid in tracks:
            self._pids.setdefault(pid, _Stream(pid))
        events.extend(changes)
