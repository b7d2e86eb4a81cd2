"""H.265 payloads (RFC 7798): single units, aggregation packets and fragments.

Without DONL fields: sprop-max-don-diff is 0, as everybody has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sansmedia.codecs import h265
from sansmedia.codecs.h265 import UnitType
from sansmedia.codecs.nal import split_length_prefixed
from sansmedia.sansio import ProtocolError

from .frame import Frame, Layer, check_payload_size
from .nal_units import NalDepacketiser, aggregate, split_aggregate

__all__ = [
    "H265Depacketiser",
    "H265Packetiser",
    "is_frame_start",
    "is_key_frame_start",
    "layer",
    "packetise",
]

_AP: Final = 48
_FU: Final = 49
_PACI: Final = 50
_FIRST_IRAP: Final = 16
_LAST_IRAP: Final = 23
_LAST_VCL: Final = 31
_MAX_LOOKED_AT: Final = 16
"""Units of one packet that the inspectors look at."""
_SOURCE: Final = "RFC 7798 §4.4"
_UNWANTED: Final = (UnitType.ACCESS_UNIT_DELIMITER, UnitType.FILLER)


def packetise(
    frame: bytes, max_size: int, *, parameter_sets: Iterable[bytes] = ()
) -> list[bytes]:
    """Return the payloads of one access unit, in order.

    Small units share an aggregation packet; a unit that does not fit is cut into FUs of
    exactly ``max_size`` octets, the last one shorter. Access unit delimiters and filler
    are left out.

    Source: RFC 7798 §4.4.1, §4.4.2, §4.4.3.

    Args:
        frame: NAL units after 4-octet lengths.
        max_size: Octets of the largest payload.
        parameter_sets: VPS, SPS and PPS to send in front.

    Raises:
        ProtocolError: A length passes the end of the frame, or a unit has no header.
    """
    check_payload_size(max_size)
    units: list[bytes] = list(parameter_sets)
    for unit in split_length_prefixed(frame):
        if len(unit) < 2:
            raise ProtocolError("unit without header", source="H.265 §7.3.1.2")
        if unit[0] >> 1 & 0x3F not in _UNWANTED:
            units.append(unit)
    payloads: list[bytes] = []
    for group in aggregate(units, 2, max_size):
        unit = group[0]
        if len(group) > 1:
            payloads.append(_aggregation_packet(group))
        elif len(unit) <= max_size:
            payloads.append(unit)
        else:
            _cut(unit, max_size, payloads)
    return payloads


def _aggregation_packet(units: list[bytes]) -> bytes:
    # F is set if any unit's is, layer and temporal ids are the lowest of all
    # (RFC 7798 §4.4.2).
    forbidden, layer_id, temporal_id = 0, 63, 7
    parts = [b""]
    for unit in units:
        forbidden |= unit[0] & 0x80
        layer_id = min(layer_id, (unit[0] & 1) << 5 | unit[1] >> 3)
        temporal_id = min(temporal_id, unit[1] & 7)
        parts.append(len(unit).to_bytes(2, "big"))
        parts.append(unit)
    parts[0] = bytes(
        (
            forbidden | _AP << 1 | layer_id >> 5,
            (layer_id & 0x1F) << 3 | temporal_id,
        )
    )
    return b"".join(parts)


# RFC 7798 §4.4.3:  +-+----+-------+---+-+-+------+----------------
#                   |F| 49 |layer  |TID|S|E| type | fragment ...
#                   +-+----+-------+---+-+-+------+----------------
def _cut(unit: bytes, max_size: int, payloads: list[bytes]) -> None:
    header = bytes((unit[0] & 0x81 | _FU << 1, unit[1]))
    kind = unit[0] >> 1 & 0x3F
    step = max_size - 3
    end = len(unit)
    payloads.append(header + bytes((kind | 0x80,)) + unit[2 : 2 + step])
    middle = header + bytes((kind,))
    last = 2 + step
    while last + step < end:
        payloads.append(middle + unit[last : last + step])
        last += step
    payloads.append(header + bytes((kind | 0x40,)) + unit[last:])


class H265Packetiser:
    """Packetises access units, with the track's parameter sets before random access.

    Args:
        parameter_sets: VPS, SPS and PPS from the track's configuration.
    """

    __slots__ = ("parameter_sets",)

    def __init__(self, parameter_sets: Sequence[bytes] = ()) -> None:
        self.parameter_sets = tuple(parameter_sets)

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of one access unit, in order.

        The sets go in front of an IRAP picture that brings none itself.

        Raises:
            ProtocolError: A length passes the end of the frame.
        """
        sets: tuple[bytes, ...] = ()
        if self.parameter_sets:
            kinds = {unit[0] >> 1 & 0x3F for unit in split_length_prefixed(frame)}
            random_access = any(_FIRST_IRAP <= kind <= _LAST_IRAP for kind in kinds)
            if random_access and UnitType.SPS not in kinds:
                sets = self.parameter_sets
        return packetise(frame, max_size, parameter_sets=sets)


class H265Depacketiser(NalDepacketiser):
    """Puts access units together again; like `H264Depacketiser` in all its ways.

    Source: RFC 7798 §6.

    Args:
        limits: What a frame may cost.
        parameter_sets: Sets known already, from sprop-vps, sprop-sps, sprop-pps.
        keep_parameter_sets: False leaves them out of `Frame.payload`; they are in
            `Frame.parameter_sets` in any case.
    """

    __slots__ = ("_temporal_layer",)
    _source = _SOURCE
    _needed_sets = frozenset({UnitType.VPS, UnitType.SPS, UnitType.PPS})

    def _take(self, payload: bytes) -> None:
        if not payload:
            return
        if len(payload) < 3:
            raise ProtocolError("no payload", code="truncated", source=_SOURCE)
        kind = payload[0] >> 1 & 0x3F
        if kind < _AP:
            if self._fragments:
                raise ProtocolError("unit inside a fragmented one", source=_SOURCE)
            self._add(payload)
        elif kind == _FU:
            self._take_fragment(payload)
        elif kind == _AP:
            if self._fragments:
                raise ProtocolError("unit inside a fragmented one", source=_SOURCE)
            for unit in split_aggregate(payload, 2, "RFC 7798 §4.4.2"):
                self._add(unit)
        elif kind == _PACI:
            raise ProtocolError("PACI", code="unsupported", source="RFC 7798 §4.4.4")

    def _take_fragment(self, payload: bytes) -> None:
        if len(payload) < 4:
            raise ProtocolError(
                "fragment without data", code="truncated", source="RFC 7798 §4.4.3"
            )
        head = payload[2]
        rest = payload[3:]
        if not head & 0x80:
            self._continue_unit(rest, bool(head & 0x40))
            return
        kind = head & 0x3F
        if (
            kind <= _LAST_VCL
            and not self._has_picture
            and not self._begin_picture(rest[0] >= 0x80)
        ):
            return
        unit_header = bytes((payload[0] & 0x81 | kind << 1, payload[1]))
        if head & 0x40:
            # Both bits: forbidden, and harmless.
            self._add(unit_header + rest)
        else:
            self._begin_unit(unit_header, rest)

    def _kind(self, unit: bytes) -> int:
        return unit[0] >> 1 & 0x3F

    def _add(self, unit: bytes) -> None:
        if len(unit) < 3:
            raise ProtocolError("empty unit", code="truncated", source=_SOURCE)
        kind = unit[0] >> 1 & 0x3F
        if kind <= _LAST_VCL:
            if not self._has_picture and not self._begin_picture(unit[2] >= 0x80):
                return
            if _FIRST_IRAP <= kind <= _LAST_IRAP:
                self._random_access = True
            self._append(unit)
        elif kind <= UnitType.PPS:
            self._add_set(unit, kind)
        elif kind >= _AP:
            raise ProtocolError("packet inside a packet", source=_SOURCE)
        elif kind not in _UNWANTED:
            self._append(unit)

    def _build(self) -> Frame | None:
        frame = super()._build()
        if frame is None:
            return None
        for unit in reversed(self._units):
            if unit[0] >> 1 & 0x3F <= _LAST_VCL:
                frame.temporal_layer = max(0, (unit[1] & 7) - 1)
                break
        return frame

    def _recovers(self) -> bool:
        return h265.recovery_point(self._units) is not None


def _units_at_start(payload: bytes) -> Iterator[tuple[int, bool]]:
    """Give type and first_slice_segment_in_pic of each unit that begins here."""
    end = len(payload)
    if end < 3:
        return
    kind = payload[0] >> 1 & 0x3F
    if kind < _AP:
        yield kind, payload[2] >= 0x80
    elif kind == _FU:
        if end > 3 and payload[2] & 0x80:
            yield payload[2] & 0x3F, payload[3] >= 0x80
    elif kind == _AP:
        position = 2
        for _ in range(_MAX_LOOKED_AT):
            if position + 4 >= end:
                return
            size = payload[position] << 8 | payload[position + 1]
            position += 2
            if size:
                yield payload[position] >> 1 & 0x3F, payload[position + 2] >= 0x80
            position += size


def _may_begin(kind: int, is_first: bool) -> bool:
    if kind <= _LAST_VCL:
        return is_first
    return kind <= UnitType.ACCESS_UNIT_DELIMITER or kind == UnitType.PREFIX_SEI


def is_key_frame_start(payload: bytes) -> bool:
    """Tell whether a viewer may begin here: VPS, SPS, or an IRAP picture's first slice.

    Where parameter sets travel in packets of their own, several packets of a timestamp
    answer true; the first one is the place to begin.

    Source: RFC 7798 §1.1.4.
    """
    begins = False
    for kind, is_first in _units_at_start(payload):
        if not begins and not _may_begin(kind, is_first):
            return False
        begins = True
        if kind in (UnitType.VPS, UnitType.SPS):
            return True
        if is_first and _FIRST_IRAP <= kind <= _LAST_IRAP:
            return True
    return False


def is_frame_start(payload: bytes) -> bool:
    """Tell whether an access unit may begin here.

    True for a first slice segment and for every unit that can stand before it; the
    first such packet of a timestamp is the beginning.

    Source: RFC 7798 §1.1.4.
    """
    for kind, is_first in _units_at_start(payload):
        return _may_begin(kind, is_first)
    return False


def layer(payload: bytes) -> Layer:
    """Return nuh_layer_id and TemporalId. Source: RFC 7798 §1.1.4."""
    if len(payload) < 2:
        return (0, 0)
    return ((payload[0] & 1) << 5 | payload[1] >> 3, max(0, (payload[1] & 7) - 1))
