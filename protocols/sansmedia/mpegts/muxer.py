"""Writes a transport stream, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansmedia.sansio import UsageError

from .mux_tracks import (
    MuxTrack,
    Packer,
    elementary_stream,
    make_packer,
    program_descriptors,
    stream_id,
)
from .packets import (
    NULL_PACKET,
    PACKET_SIZE,
    PCR_RATE,
    AdaptationField,
    encode_adaptation_field,
)
from .pes import CLOCK_RATE, encode_pes_header
from .psi import encode_pat, encode_pmt

__all__ = ["Muxer", "MuxerConfig", "MuxerStatistics"]

_PCR_PER_TICK = PCR_RATE // CLOCK_RATE
_PCR_OCTET = 10
"""The octet of its packet whose time a PCR tells (ISO 13818-1 §2.4.2.2)."""
_GROUP_SIZE = 0xF000
_BACK_90K = 5 * CLOCK_RATE
"""Times this far back come from another clock; tracks stray less from each other."""
_FIRST_PID, _LAST_PID = 0x10, 0x1FFE


@attrs.frozen
class MuxerConfig:
    """How a `Muxer` writes; times in 90 kHz ticks."""

    tables_interval_90k: int = 9_000
    """Longest time between two PAT and PMT."""
    pcr_interval_90k: int = 3_600
    """Longest time between two PCRs, as far as frames come that often."""
    delay_90k: int = 63_000
    """How much earlier than its DTS a frame enters the decoder: DTS less PCR."""
    offset_90k: int = 90_000
    """Added to all times, so that a stream may begin with times around 0."""
    group_90k: int = 0
    """Sound that one PES packet may hold; 0: one frame each."""
    constant_rate_bps: int = 0
    """Rate of the whole stream, kept by null packets; 0: as the frames come."""
    most_null_90k: int = 180_000
    """With a constant rate: a longer gap begins a new clock instead of being filled."""
    transport_stream_id: int = 1
    """In the PAT."""
    first_pmt_pid: int = 0x1000
    """PID of the first program's PMT; the others follow."""
    version: int = 0
    """version_number of the first PMTs."""


@attrs.define
class MuxerStatistics:
    """What a `Muxer` has written so far."""

    packets: int = 0
    """All packets."""
    null_packets: int = 0
    """Packets that only fill the constant rate."""
    pes_packets: int = 0
    """PES packets."""
    tables: int = 0
    """How often PAT and PMT were written."""
    late: int = 0
    """With a constant rate: frames that it was too low for, so that they come after
    their DTS."""


@attrs.define(eq=False)
class _Output:
    """One PID."""

    track: MuxTrack
    packer: Packer
    stream_id: int
    headers: list[bytes]
    """The 16 headers of packets that are all payload, again and again."""
    counter: int = 0
    """Of the next packet with a payload."""
    sent: int = 15
    """Of the last one."""
    restarted: bool = False
    """The next packet says that its counter or clock starts anew."""
    group: list[bytes] = attrs.field(factory=list)
    group_size: int = 0
    group_pts: int = 0
    group_end: int = 0


@attrs.define(eq=False)
class _Program:
    """One program."""

    number: int
    pmt_pid: int
    pcr: _Output
    has_video: bool
    pmt: bytes = b""
    counter: int = 0
    last_pcr: int | None = None
    """90 kHz ticks, not wrapped."""


def _is_over(passed: int, interval: int) -> bool:
    """Tell whether so much time has passed, or time has begun anew.

    Tracks do not come in the order of their times to the tick.
    """
    return passed >= interval or passed < -_BACK_90K


def _headers(pid: int) -> list[bytes]:
    one = [(0x47000010 | pid << 8 | n).to_bytes(4, "big") for n in range(16)]
    return one * 32


class Muxer:
    """Frames in, packets out, all as pure octets: muxed once, sent to many.

    What `write` returns is whole packets. PAT and PMT stand in front of every random
    access frame of a picture, so that a player can join there::

        tracks = [MuxTrack(256, Codec.H264, avcc), MuxTrack(257, Codec.AAC, asc)]
        muxer = Muxer(tracks)
        for frame in frames:
            send(muxer.write(pid, frame, pts, dts, random_access=key))
        send(muxer.flush())

    Times are 90 kHz ticks, any ints; they are written modulo ``2**33``.

    Args:
        tracks: At least one.
        config: How to write.

    Raises:
        UsageError: Tracks or configuration that cannot be written.
    """

    def __init__(
        self, tracks: Sequence[MuxTrack], config: MuxerConfig | None = None
    ) -> None:
        self._config = config or MuxerConfig()
        self._outputs: dict[int, _Output] = {}
        self._programs: dict[int, _Program] = {}
        self._version = self._config.version
        self._pat_version = self._config.version
        self._pat = b""
        self._pat_counter = 0
        self._tables_at: int | None = None
        self._clock_start: int | None = None
        self._clock_position = 0
        self._statistics = MuxerStatistics()
        self._set_tracks(tracks)

    def statistics(self) -> MuxerStatistics:
        """Return a copy of the counters."""
        return attrs.evolve(self._statistics)

    @property
    def pending_bytes(self) -> int:
        """Octets of grouped sound that are not written yet."""
        return sum(output.group_size for output in self._outputs.values())

    # -- commands ------------------------------------------------------------------

    def write(
        self,
        pid: int,
        frame: bytes,
        pts: int,
        dts: int | None = None,
        *,
        random_access: bool = False,
    ) -> bytes:
        """Return the packets of a frame, tables and clock with it where they are due.

        Args:
            pid: Of a track.
            frame: As its track says: length-prefixed NAL units, OBUs, raw AAC, ...
            pts: Presentation time, 90 kHz.
            dts: Decoding time, 90 kHz; the same where it is left out.
            random_access: Decoding can begin here. Pictures only: with sound alone it
                always can.

        Raises:
            UsageError: No such track, or a frame that its form cannot carry.
            ProtocolError: The units of the frame are malformed.
        """
        output = self._outputs.get(pid)
        if output is None:
            raise UsageError(f"no track has PID {pid}")
        piece = output.packer(frame, random_access)
        offset = self._config.offset_90k
        pts += offset
        dts = pts if dts is None else dts + offset
        is_key = random_access and output.track.is_video
        parts: list[bytes] = []
        self._end_groups(parts, None if is_key else dts)
        if self._config.group_90k and not output.track.is_video:
            self._group(output, piece, pts, parts)
        else:
            self._write_pes(output, piece, pts, dts, is_key, parts)
        return b"".join(parts)

    def flush(self) -> bytes:
        """Return the packets of sound that was waiting for more to go with it."""
        parts: list[bytes] = []
        self._end_groups(parts, None)
        return b"".join(parts)

    def reconfigure(self, tracks: Sequence[MuxTrack]) -> bytes:
        """Write other tracks from here on; return what was waiting.

        Counters of PIDs that stay go on, and the PMT gets another version.

        Raises:
            UsageError: Tracks that cannot be written; nothing has changed then.
        """
        waiting = self.flush()
        self._version = self._version + 1 & 31
        before = set(self._programs)
        try:
            self._set_tracks(tracks)
        except UsageError:
            self._version = self._version - 1 & 31
            raise
        if set(self._programs) != before:
            self._pat_version = self._pat_version + 1 & 31
            self._pat = self._encode_pat()
        self._tables_at = None
        return waiting

    def discontinuity(self) -> bytes:
        """Let a new clock begin with the next frame; return what was waiting.

        The next packet of each PID sets discontinuity_indicator, and so does the next
        PCR (ISO 13818-1 §2.4.3.5).
        """
        waiting = self.flush()
        for output in self._outputs.values():
            output.restarted = True
        for program in self._programs.values():
            program.last_pcr = None
        self._clock_start = None
        self._tables_at = None
        return waiting

    # -- tracks and tables ---------------------------------------------------------

    def _set_tracks(self, tracks: Sequence[MuxTrack]) -> None:
        if not tracks:
            raise UsageError("a transport stream needs a track")
        by_program: dict[int, list[MuxTrack]] = {}
        for track in tracks:
            by_program.setdefault(track.program_number, []).append(track)
        first = self._config.first_pmt_pid
        pmt_pids = {number: first + at for at, number in enumerate(by_program)}
        pids = [*(track.pid for track in tracks), *pmt_pids.values()]
        if len(set(pids)) < len(pids) or not all(
            _FIRST_PID <= pid <= _LAST_PID for pid in pids
        ):
            raise UsageError(f"PIDs {pids} are not all different and free")
        if not all(0 < number <= 0xFFFF for number in by_program):
            raise UsageError("program numbers are 1 to 65,535")
        outputs: dict[int, _Output] = {}
        kinds: dict[int, int] = {}
        for track in tracks:
            base = stream_id(track, 0)
            number = kinds.get(base, 0)
            kinds[base] = number + 1
            output = _Output(
                track, make_packer(track), stream_id(track, number), _headers(track.pid)
            )
            old = self._outputs.get(track.pid)
            if old is not None:
                output.counter, output.sent = old.counter, old.sent
                output.restarted = old.restarted
                if old.track == track:
                    output.packer = old.packer
            outputs[track.pid] = output
        programs = {
            number: self._make_program(number, pmt_pids[number], own, outputs)
            for number, own in by_program.items()
        }
        self._outputs, self._programs = outputs, programs
        self._pat = self._encode_pat()

    def _encode_pat(self) -> bytes:
        programs = {p.number: p.pmt_pid for p in self._programs.values()}
        return encode_pat(self._config.transport_stream_id, programs, self._pat_version)

    def _make_program(
        self,
        number: int,
        pmt_pid: int,
        tracks: list[MuxTrack],
        outputs: dict[int, _Output],
    ) -> _Program:
        clock = next((track for track in tracks if track.is_video), tracks[0])
        has_video = clock.is_video
        program = _Program(number, pmt_pid, outputs[clock.pid], has_video)
        program.pmt = encode_pmt(
            number,
            clock.pid,
            map(elementary_stream, tracks),
            program_descriptors(tracks, number),
            self._version,
        )
        old = self._programs.get(number)
        if old is not None:
            program.counter, program.last_pcr = old.counter, old.last_pcr
        return program

    def _write_tables(self, parts: list[bytes]) -> None:
        self._statistics.tables += 1
        self._pat_counter = self._write_section(0, self._pat_counter, self._pat, parts)
        for program in self._programs.values():
            program.counter = self._write_section(
                program.pmt_pid, program.counter, program.pmt, parts
            )

    def _write_section(
        self, pid: int, counter: int, section: bytes, parts: list[bytes]
    ) -> int:
        data = b"\0" + section
        for at in range(0, len(data), 184):
            start = 0 if at else 0x400000
            header = 0x47000010 | start | pid << 8 | counter
            piece = data[at : at + 184].ljust(184, b"\xff")
            self._emit(header.to_bytes(4, "big") + piece, parts)
            counter = counter + 1 & 15
        return counter

    # -- grouped sound -------------------------------------------------------------

    def _group(
        self, output: _Output, piece: bytes, pts: int, parts: list[bytes]
    ) -> None:
        if output.group and output.group_size + len(piece) > _GROUP_SIZE:
            self._end_group(output, parts)
        if not output.group:
            output.group_pts = pts
        output.group.append(piece)
        output.group_size += len(piece)
        output.group_end = pts

    def _end_groups(self, parts: list[bytes], now: int | None) -> None:
        """Write the groups that may wait no longer; all of them without a time."""
        if not self._config.group_90k:
            return
        for output in self._outputs.values():
            waited = 0 if now is None else now - output.group_pts
            is_due = now is None or _is_over(waited, self._config.group_90k)
            if output.group and is_due:
                self._end_group(output, parts)

    def _end_group(self, output: _Output, parts: list[bytes]) -> None:
        piece, pts = b"".join(output.group), output.group_pts
        output.group, output.group_size = [], 0
        self._write_pes(output, piece, pts, pts, False, parts)

    # -- packets -------------------------------------------------------------------

    def _write_pes(
        self,
        output: _Output,
        piece: bytes,
        pts: int,
        dts: int,
        is_key: bool,
        parts: list[bytes],
    ) -> None:
        header = encode_pes_header(output.stream_id, len(piece), pts, dts)
        if not header[4] and not header[5] and not output.track.is_video:
            raise UsageError(f"a PES packet of {len(piece)} octets that is no picture")
        self._statistics.pes_packets += 1
        program = self._programs[output.track.program_number]
        due = self._tables_at is None or _is_over(
            dts - self._tables_at, self._config.tables_interval_90k
        )
        if self._config.constant_rate_bps:
            self._keep_time(dts, parts)
        if due or is_key:
            self._tables_at = dts
            self._write_tables(parts)
        pcr = self._next_pcr(program, output, dts, parts)
        field = AdaptationField(output.restarted, is_key or not program.has_video, pcr)
        output.restarted = False
        self._write_packets(output, header + piece, field, parts)

    def _next_pcr(
        self, program: _Program, output: _Output, dts: int, parts: list[bytes]
    ) -> int | None:
        """Return the PCR for a frame's packet, or put another track's in front."""
        if self._config.constant_rate_bps:
            return None  # told by position, in packets of their own
        now = dts - self._config.delay_90k
        last = program.last_pcr
        if last is not None and now - last < -_BACK_90K:
            # Times begin anew without having been announced.
            program.pcr.restarted = True
            last = None
        if output is program.pcr:
            # Sound may have brought the clock further than the pictures are.
            program.last_pcr = now if last is None else max(now, last)
            return program.last_pcr * _PCR_PER_TICK
        if last is None or now - last >= self._config.pcr_interval_90k:
            program.last_pcr = now
            self._emit(self._pcr_packet(program, now * _PCR_PER_TICK), parts)
        return None

    @staticmethod
    def _pcr_packet(program: _Program, pcr: int) -> bytes:
        """Return a packet with a PCR and nothing else, which no counter counts."""
        output = program.pcr
        field = AdaptationField(output.restarted, False, pcr)
        output.restarted = False
        header = 0x47000020 | output.track.pid << 8 | output.sent
        return header.to_bytes(4, "big") + encode_adaptation_field(field, 184)

    def _write_packets(
        self, output: _Output, data: bytes, field: AdaptationField, parts: list[bytes]
    ) -> None:
        """Cut a PES packet into transport packets.

        The middle of a large one is headers and pieces taken from two lists in turn,
        0.2 us a packet.
        """
        first: list[bytes] = []
        counter = output.counter
        plain = not (
            field.discontinuity or field.random_access or field.pcr is not None
        )
        size = 0 if plain else 2 + 6 * (field.pcr is not None)
        room = min(184 - size, len(data))
        start = 0
        if not plain or room < 184:
            stuffed = encode_adaptation_field(field, 184 - room)
            first = [self._first_header(output, counter), stuffed, data[:room]]
        else:
            first = [self._first_header(output, counter, with_field=False), data[:184]]
        start = room
        counter += 1
        left = len(data) - start
        full, tail = divmod(left, 184)
        middle = [b""] * (2 * full)
        at = counter & 15
        headers = output.headers
        while full > len(headers) - at:
            headers = output.headers = headers * 2
        middle[0::2] = headers[at : at + full]
        end = start + 184 * full
        middle[1::2] = [data[p : p + 184] for p in range(start, end, 184)]
        counter += full
        last: list[bytes] = []
        if tail:
            header = 0x47000030 | output.track.pid << 8 | counter & 15
            stuffing = encode_adaptation_field(AdaptationField(), 184 - tail)
            last = [header.to_bytes(4, "big"), stuffing, data[end:]]
            counter += 1
        output.counter = counter & 15
        self._emit(b"".join([*first, *middle, *last]), parts, output)
        output.sent = output.counter - 1 & 15

    @staticmethod
    def _first_header(
        output: _Output, counter: int, *, with_field: bool = True
    ) -> bytes:
        kind = 0x47400030 if with_field else 0x47400010
        return (kind | output.track.pid << 8 | counter).to_bytes(4, "big")

    def _emit(
        self, packets: bytes, parts: list[bytes], output: _Output | None = None
    ) -> None:
        """Append packets, with a constant rate the clock between them."""
        if not self._config.constant_rate_bps:
            self._statistics.packets += len(packets) // PACKET_SIZE
            parts.append(packets)
            return
        for at in range(0, len(packets), PACKET_SIZE):
            self._tick(parts)
            packet = packets[at : at + PACKET_SIZE]
            self._put(packet, parts)
            if output is not None:
                output.sent = packet[3] & 15

    # -- constant rate -------------------------------------------------------------

    def _put(self, packet: bytes, parts: list[bytes]) -> None:
        self._statistics.packets += 1
        self._clock_position += 1
        parts.append(packet)

    def _now(self, octet: int = 0) -> int:
        """Return the clock at an octet of the next packet, 27 MHz."""
        octets = self._clock_position * PACKET_SIZE + octet
        passed = octets * 8 * PCR_RATE // self._config.constant_rate_bps
        return (self._clock_start or 0) + passed

    def _tick(self, parts: list[bytes]) -> None:
        """Write the PCRs that are due. Source: ISO 13818-1 §2.4.2.2, §2.7.2."""
        for program in self._programs.values():
            now = self._now(_PCR_OCTET)
            last = program.last_pcr
            interval = self._config.pcr_interval_90k * _PCR_PER_TICK
            if last is None or now - last >= interval:
                program.last_pcr = now
                self._put(self._pcr_packet(program, now), parts)

    def _keep_time(self, dts: int, parts: list[bytes]) -> None:
        """Write null packets up to the time at which a frame enters the decoder."""
        due = (dts - self._config.delay_90k) * _PCR_PER_TICK
        gap = self._config.most_null_90k * _PCR_PER_TICK
        if self._clock_start is None or not (
            -gap - self._config.delay_90k * _PCR_PER_TICK < due - self._now() < gap
        ):
            if self._clock_start is not None:
                for output in self._outputs.values():
                    output.restarted = True
            for program in self._programs.values():
                program.last_pcr = None
            self._clock_start, self._clock_position = due, 0
        while self._now() < due:
            self._tick(parts)
            self._statistics.null_packets += 1
            self._put(NULL_PACKET, parts)
        self._statistics.late += self._now() > dts * _PCR_PER_TICK
