"""Temporal units of AV1 out of PES packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sansmedia.codecs import Codec, av1
from sansmedia.codecs.av1 import Obu, ObuType
from sansmedia.codecs.nal import escape_rbsp, unescape_rbsp
from sansmedia.sansio import ProtocolError

from .assembler import Assembler, Product
from .events import MediaFrame, PesPacket
from .limits import Limits

__all__ = ["Av1Assembler", "join_ts_obus", "split_ts_obus"]

_START = b"\0\0\1"
_LEFT_OUT = (ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST, ObuType.PADDING)


def _units(data: bytes) -> Iterator[bytes]:
    start = data.find(_START)
    while start >= 0:
        end = data.find(_START, start + 3)
        yield data[start + 3 : end if end >= 0 else len(data)]
        start = end


def split_ts_obus(data: bytes) -> list[Obu]:
    """Return the OBUs of a PES packet, with start codes or (as GStreamer does) without.

    Source: AV1-MPEG2-TS §3.2.

    Raises:
        ProtocolError: An OBU is malformed, or there are too many.
    """
    if not data.startswith((_START, b"\0" + _START)):
        return av1.split_obus(data)
    obus: list[Obu] = []
    for unit in _units(data):
        if len(obus) >= av1.MAX_OBUS:
            raise ProtocolError(
                "too many OBUs", code="limit", source="AV1-MPEG2-TS §3.2"
            )
        obus += _one_obu(unescape_rbsp(unit))
    return obus


def _one_obu(unit: bytes) -> list[Obu]:
    """Return the OBU of a unit; octets behind it are passed over."""
    if len(unit) > 1 and unit[0] & 2:
        at = 1 + (unit[0] >> 2 & 1)
        size, at = av1.decode_leb128(unit, at)
        if at + size < len(unit):
            unit = unit[: at + size]
    return av1.split_obus(unit)[:1]


def join_ts_obus(temporal_unit: bytes) -> bytes:
    """Return a temporal unit with start codes, a delimiter in front.

    Source: AV1-MPEG2-TS §3.2.

    Args:
        temporal_unit: OBUs with sizes, with or without a delimiter.

    Raises:
        ProtocolError: The unit is malformed.
    """
    parts = [_START, b"\x12\0"]
    for obu in av1.split_obus(temporal_unit):
        if obu.obu_type not in (ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST):
            parts += (_START, escape_rbsp(av1.encode_obu(obu)))
    return b"".join(parts)


class Av1Assembler(Assembler):
    """AV1; payloads are temporal units: OBUs with sizes, without delimiters.

    The specification puts each frame into a PES packet of its own, shown or not, and
    lets delimiters be left out; others put a whole temporal unit there. A temporal unit
    ends with the frame that is shown, and its time is that frame's.

    Source: AV1-MPEG2-TS §3.2, §3.3, §3.4.
    """

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._obus: list[Obu] = []
        self._held = 0
        self._first: PesPacket | None = None
        self._lost = False
        self._still = False

    @property
    def held(self) -> int:
        """Octets held."""
        return self._held

    def drop(self) -> None:
        """Forget what is held."""
        if self._first is not None:
            self.frames_dropped += 1
            self._lost = True
        self._obus, self._held, self._first = [], 0, None

    def flush(self) -> list[Product]:
        """Return what was waiting for more: nothing, as it would show nothing."""
        self.drop()
        return []

    def feed(self, pes: PesPacket) -> list[Product]:
        """Take a PES packet; return the temporal unit that it completes."""
        products: list[Product] = []
        if pes.after_loss:
            self.drop()
            self._lost = True
        try:
            obus = split_ts_obus(pes.payload)
        except ProtocolError:
            self.drop()
            self.frames_dropped += 1
            self.octets_skipped += len(pes.payload)
            self._lost = True
            return products
        if pes.damaged:
            # What is missing cannot be told from a shorter frame.
            self.drop()
            self.frames_dropped += 1
            self._lost = True
            return products
        if obus and obus[0].obu_type == ObuType.TEMPORAL_DELIMITER:
            self.drop()
        self._obus += obus
        self._held += len(pes.payload)
        self._first = self._first or pes
        if self._held > self.limits.max_pes_size or len(self._obus) > av1.MAX_OBUS:
            self.drop()
        elif any(map(self._is_shown, obus)):
            self._complete(pes, products)
        return products

    def _is_shown(self, obu: Obu) -> bool:
        """Tell whether an OBU shows a frame. Source: AV1 §5.9.2."""
        if obu.obu_type == ObuType.SEQUENCE_HEADER and obu.payload:
            self._still = bool(obu.payload[0] >> 3 & 1)
        if obu.obu_type not in (ObuType.FRAME, ObuType.FRAME_HEADER) or not obu.payload:
            return False
        # show_existing_frame, or show_frame behind two bits of frame_type.
        return self._still or bool(obu.payload[0] & 0x90)

    def _complete(self, last: PesPacket, products: list[Product]) -> None:
        obus = [obu for obu in self._obus if obu.obu_type not in _LEFT_OUT]
        first = self._first or last
        self._obus, self._held, self._first = [], 0, None
        for obu in obus:
            if obu.obu_type == ObuType.SEQUENCE_HEADER:
                with suppress(ProtocolError):
                    data = av1.av1c_from_sequence_header(obu.payload)
                    if data != self.configuration:
                        self.configure(data, av1.parameters(data), products)
        payload = av1.join_obus(obus)
        products.append(
            MediaFrame(
                self.pid,
                last.pts,
                last.pts if first.dts is None else first.dts,
                payload,
                self.generation,
                av1.is_random_access(payload),
                timed=last.pts is not None,
                after_loss=self._lost,
            )
        )
        self._lost = False
