"""Access units of H.264 and H.265 out of PES packets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import attrs

from sansmedia.codecs import Codec, h264, h265
from sansmedia.codecs.nal import split_annexb
from sansmedia.sansio import ProtocolError

from .assembler import Assembler, Product
from .events import MediaFrame, PesPacket
from .limits import Limits
from .pes import TIMESTAMP_BITS

__all__ = ["NalAssembler"]

_START = b"\0\0\1"
_MASK = (1 << TIMESTAMP_BITS) - 1
_SPLIT_LENGTH = 0xF000
"""A PES packet that says it is longer may have been cut for what 16 bits can say."""
_TRUSTED = 2
"""PES packets in a row that begin with an access unit, until they are taken for whole;
eight times as many after one that does not."""
_MAX_SETS = 64
_MAX_SET_SIZE = 1 << 14

OTHER, PICTURE, FIRST, PREFIX, DELIMITER = range(5)
"""What a NAL unit is to the border of access units: nothing, a further slice, the first
slice of a picture, something that stands in front of pictures, a delimiter."""


def _h264_kinds() -> bytes:
    kinds = bytearray(32)
    for kind in (1, 2, 3, 4, 5):
        kinds[kind] = PICTURE
    for kind in (6, 7, 8, *range(14, 19)):
        kinds[kind] = PREFIX
    kinds[9] = DELIMITER
    return bytes(kinds)


def _h265_kinds() -> bytes:
    kinds = bytearray(64)
    for kind in range(32):
        kinds[kind] = PICTURE
    for kind in (32, 33, 34, 39, *range(41, 45), *range(48, 56)):
        kinds[kind] = PREFIX
    kinds[35] = DELIMITER
    return bytes(kinds)


_H264_KINDS, _H265_KINDS = _h264_kinds(), _h265_kinds()


def _h264_kind(head: bytes) -> int:
    """Return what a unit is by its first octets. Source: H.264 §7.4.1.2.3."""
    kind = _H264_KINDS[head[0] & 0x1F]
    # first_mb_in_slice 0 is a single bit.
    if kind == PICTURE and len(head) > 1 and head[1] & 0x80:
        return FIRST
    return kind


def _h265_kind(head: bytes) -> int:
    """Return what a unit is by its first octets. Source: H.265 §7.4.2.4.4."""
    if head[0] & 1 or (len(head) > 1 and head[1] & 0xF8):
        return OTHER  # another layer belongs to the picture of the first
    kind = _H265_KINDS[head[0] >> 1 & 0x3F]
    if kind == PICTURE and len(head) > 2 and head[2] & 0x80:
        return FIRST
    return kind


def _is_no_rest(pes: PesPacket) -> bool:
    """Tell whether a PES packet is a damaged one rather than the rest of a unit."""
    begins_with_unit = pes.payload.startswith((_START, b"\0" + _START))
    return pes.damaged or (pes.data_alignment and not begins_with_unit)


@attrs.define(eq=False)
class _Mark:
    """Where a PES packet begins in what is held."""

    at: int
    pes: PesPacket
    used: bool = False
    """Its time has gone to the first access unit that begins in it."""


class NalAssembler(Assembler):
    """H.264 and H.265; payloads are access units as they came, with start codes.

    Most senders put one access unit into each PES packet. Once one has been seen to do
    so, its units are given out at the end of their packet; others are given out when
    the next one begins.

    Source: ISO 13818-1 §2.14.1, §2.17.1.
    """

    def __init__(self, pid: int, codec: Codec, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._kind: Callable[[bytes], int] = _h265_kind
        self._is_set: Callable[[bytes], bool] = h265.is_parameter_set
        if codec is Codec.H264:
            self._kind, self._is_set = _h264_kind, h264.is_parameter_set
        self._buffer = bytearray()
        self._marks: list[_Mark] = []
        self._scanned = 0
        self._has_picture = False
        self._starts: list[int] = []
        # PES packets in a row that began with an access unit, and how many it takes.
        self._begun, self._trusted = 0, _TRUSTED
        self._lost = False
        self._sets: dict[tuple[int, int], bytes] = {}
        self._seen_sets: list[bytes] = []
        self._dts: int | None = None
        self._interval = 0

    @property
    def held(self) -> int:
        """Octets held."""
        return len(self._buffer)

    def drop(self) -> None:
        """Forget what is held."""
        self.octets_skipped += len(self._buffer)
        self._clear()
        self._lost = True

    def _clear(self) -> None:
        self._buffer = bytearray()
        self._marks, self._starts = [], []
        self._scanned, self._has_picture = 0, False

    def flush(self) -> list[Product]:
        """Return what was waiting for more."""
        products: list[Product] = []
        self._scan(final=True)
        self._give_all(products, keep=False)
        return products

    def feed(self, pes: PesPacket) -> list[Product]:
        """Take a PES packet; return what is whole."""
        products: list[Product] = []
        if pes.after_loss:
            # What was lost may have been the rest of what is held, where access units
            # go over the ends of their packets.
            for mark in self._marks:
                if self._trusted > _TRUSTED or mark.pes.length >= _SPLIT_LENGTH:
                    mark.pes.damaged = True
            products += self.flush()
            self._lost = True
        begins = self._begins(pes.payload)
        if begins:
            products += self.flush()
            self._begun += 1
        elif self._buffer and self._trusted == _TRUSTED and _is_no_rest(pes):
            products += self.flush()
        elif not self._buffer or self._begun < self._trusted:
            self._begun, self._trusted = 0, 8 * _TRUSTED
        may_go_on = self._begun < self._trusted or pes.length >= _SPLIT_LENGTH
        if begins and not may_go_on:
            units = self._split(pes.payload)
            if self._count(units) == 1:
                self._give_out(pes.payload, units, pes, pes.damaged, products)
                return products
        self._marks.append(_Mark(len(self._buffer), pes))
        self._buffer += pes.payload
        if len(self._buffer) > self.limits.max_pes_size:
            self.frames_dropped += 1
            self.drop()
            return products
        self._scan(final=False)
        self._give_all(products, keep=may_go_on)
        return products

    def _begins(self, data: bytes) -> bool:
        """Tell whether the first unit of a PES packet begins an access unit."""
        at = data.find(_START, 0, 16)
        if at < 0 or data[:at].strip(b"\0"):
            return False
        # A zero_byte at the end of what is held belongs to the unit that begins here,
        # and a unit that is not there to be judged yet may be one with it.
        held = self._buffer
        if held.endswith(b"\0") or held.find(_START, self._scanned) >= 0:
            return False
        kind = self._kind(data[at + 3 : at + 6] or b"\xff")
        if kind == DELIMITER:
            return True
        return kind >= FIRST and (self._has_picture or not self._buffer)

    def _split(self, data: bytes) -> list[bytes]:
        try:
            return split_annexb(data)
        except ProtocolError:
            self._lost = True
            return []

    def _count(self, units: list[bytes]) -> int:
        """Return how many access units begin among these NAL units."""
        count, has_picture = 0, True
        for unit in units:
            kind = self._kind(unit[:3])
            if kind == DELIMITER or (kind >= FIRST and has_picture):
                count += 1
                has_picture = kind == FIRST
            elif kind in (PICTURE, FIRST):
                has_picture = True
        return count

    def _scan(self, *, final: bool) -> None:
        """Find where access units begin in what is held."""
        buffer = self._buffer
        at = buffer.find(_START, self._scanned)
        while at >= 0:
            head = bytes(buffer[at + 3 : at + 6])
            if len(head) < 3 and not final:
                self._scanned = at
                return
            kind = self._kind(head) if head else OTHER
            fresh = not self._starts or self._has_picture
            if kind == DELIMITER or (kind >= FIRST and fresh):
                # zero_byte belongs to the unit behind it.
                start = at - 1 if at and not buffer[at - 1] else at
                self._starts.append(start)
                self._has_picture = False
            if kind in (PICTURE, FIRST):
                self._has_picture = True
            at = buffer.find(_START, at + 3)
        self._scanned = max(self._scanned, len(buffer) - 3)

    def _give_all(self, products: list[Product], *, keep: bool) -> None:
        """Give out the access units that are held, perhaps but the last."""
        starts = self._starts
        # What stands in front of the first one belongs to nothing; a start code may
        # be cut.
        unused = starts[0] if starts else max(len(self._buffer) - 3 * keep, 0)
        if unused:
            self.octets_skipped += unused
            self._lost = self._lost or self.generation > 0
        ends = [*starts[1:], len(self._buffer)]
        for start, end in list(zip(starts, ends, strict=False))[: -1 if keep else None]:
            payload = bytes(self._buffer[start:end])
            damaged = False
            own: _Mark | None = None
            for number, mark in enumerate(self._marks):
                if mark.at <= start + 3:
                    own = mark
                following = self._marks[number + 1 : number + 2]
                if mark.at < end and not (following and following[0].at <= start):
                    damaged = damaged or mark.pes.damaged
            pes = None if own is None or own.used else own.pes
            if own is not None:
                own.used = True
            self._give_out(payload, self._split(payload), pes, damaged, products)
        if not keep:
            self._clear()
            return
        self._cut(starts[-1] if starts else unused)

    def _cut(self, count: int) -> None:
        """Forget the first octets of what is held."""
        if not count:
            return
        del self._buffer[:count]
        self._scanned = max(self._scanned - count, 0)
        self._starts = [start - count for start in self._starts[-1:]]
        for mark in self._marks:
            mark.at = max(mark.at - count, 0)
        # Of those that begin at or before the first octet the last one counts.
        before = [mark for mark in self._marks if not mark.at][:-1]
        self._marks = [mark for mark in self._marks if mark not in before]

    def _give_out(
        self,
        payload: bytes,
        units: list[bytes],
        pes: PesPacket | None,
        damaged: bool,
        products: list[Product],
    ) -> None:
        pts = dts = None
        if pes is not None:
            pts, dts = pes.pts, pes.dts
        timed = pts is not None
        if dts is None and self._dts is not None:
            pts = dts = (self._dts + self._interval) & _MASK
        elif dts is not None and self._dts is not None:
            step = (dts - self._dts) & _MASK
            if step < 900_000:
                self._interval = step
        if dts is not None:
            self._dts = dts
        self._learn(units, products)
        products.append(
            MediaFrame(
                self.pid,
                pts,
                dts,
                payload,
                self.generation,
                self._is_random_access(units),
                None,
                timed,
                damaged,
                self._lost,
                units=units,
            )
        )
        self._lost = False

    def _is_random_access(self, units: list[bytes]) -> bool:
        if self.codec is Codec.H265:
            return h265.is_random_access(units)
        if h264.is_random_access(units):
            return True
        # An open group of pictures has no IDR picture, but says where to enter.
        has_set = any(unit[0] & 0x1F == h264.UnitType.SPS for unit in units)
        return has_set and h264.recovery_point(units) == 0

    def _learn(self, units: list[bytes], products: list[Product]) -> None:
        """Take parameter sets; announce a configuration if they are new."""
        sets = [unit for unit in units if self._is_set(unit)]
        if not sets or sets == self._seen_sets:
            return
        self._seen_sets = sets
        with suppress(ProtocolError):
            keyed = {self._key(unit): unit for unit in sets}
            changed = any(self._sets.get(k, unit) != unit for k, unit in keyed.items())
            # What is not repeated with a set that has changed belonged to the old.
            if changed and any(map(self._is_sps, sets)):
                self._sets = {}
            merged = {**self._sets, **keyed}
            if len(merged) > _MAX_SETS or max(map(len, sets)) > _MAX_SET_SIZE:
                return
            self._sets = merged
            self._configure(products)

    def _is_sps(self, unit: bytes) -> bool:
        if self.codec is Codec.H264:
            return unit[0] & 0x1F == h264.UnitType.SPS
        return unit[0] >> 1 & 0x3F == h265.UnitType.SPS

    def _key(self, unit: bytes) -> tuple[int, int]:
        """Return type and id of a parameter set."""
        if self.codec is Codec.H264:
            kind = h264.unit_type(unit)
            if kind == h264.UnitType.SPS:
                return kind, h264.decode_sps(unit).sps_id
            if kind == h264.UnitType.PPS:
                return kind, h264.decode_pps(unit).pps_id
            return kind, 0
        kind = h265.unit_type(unit)
        if kind == h265.UnitType.VPS:
            return kind, h265.decode_vps(unit).vps_id
        if kind == h265.UnitType.SPS:
            return kind, h265.decode_sps(unit).sps_id
        return kind, h265.decode_pps(unit).pps_id

    def _of(self, kind: int) -> list[bytes]:
        return [unit for key, unit in sorted(self._sets.items()) if key[0] == kind]

    def _configure(self, products: list[Product]) -> None:
        if self.codec is Codec.H264:
            sps, pps = self._of(h264.UnitType.SPS), self._of(h264.UnitType.PPS)
            if not sps or not pps:
                return
            extensions = self._of(h264.UnitType.SPS_EXTENSION)
            data = h264.avcc_from_parameter_sets(sps, pps, sps_ext=extensions)
            if data != self.configuration:
                self.configure(data, h264.parameters(data), products)
            return
        vps, sps, pps = (
            self._of(kind)
            for kind in (h265.UnitType.VPS, h265.UnitType.SPS, h265.UnitType.PPS)
        )
        if vps and sps and pps:
            data = h265.hvcc_from_parameter_sets(vps, sps, pps)
            if data != self.configuration:
                self.configure(data, h265.parameters(data), products)
