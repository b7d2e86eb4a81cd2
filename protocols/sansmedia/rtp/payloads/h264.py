"""H.264 payloads (RFC 6184): single units, STAP-A and FU-A.

That is the non-interleaved mode, packetization-mode 1, which everybody speaks; mode 0
is the part of it without STAP-A and FU-A. The interleaved mode's packets (STAP-B,
MTAP, FU-B) are damage here: no program in the field sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sansmedia.codecs import h264
from sansmedia.codecs.h264 import UnitType
from sansmedia.codecs.nal import split_length_prefixed
from sansmedia.sansio import ProtocolError

from .frame import Layer, check_payload_size
from .nal_units import _OCTET, NalDepacketiser, aggregate, split_aggregate

__all__ = [
    "H264Depacketiser",
    "H264Packetiser",
    "is_frame_start",
    "is_key_frame_start",
    "layer",
    "packetise",
]

_STAP_A: Final = 24
_FU_A: Final = 28
_INTERLEAVED: Final = (25, 26, 27, 29)
_MAX_LOOKED_AT: Final = 16
"""Units of one packet that the inspectors look at."""
_SOURCE: Final = "RFC 6184 §5.2"

# What a receiver does without: a marker does the delimiter's work, and padding was made
# for constant-rate channels.
_UNWANTED: Final = (UnitType.ACCESS_UNIT_DELIMITER, UnitType.FILLER)
_SETS: Final = (
    UnitType.SPS,
    UnitType.PPS,
    UnitType.SPS_EXTENSION,
    UnitType.SUBSET_SPS,
)


def packetise(
    frame: bytes,
    max_size: int,
    *,
    parameter_sets: Iterable[bytes] = (),
    aggregates: bool = True,
) -> list[bytes]:
    """Return the payloads of one access unit, in order.

    Small units share a STAP-A; a unit that does not fit is cut into FU-As of exactly
    ``max_size`` octets, the last one shorter, so that each is one run. Access unit
    delimiters and filler are left out.

    Source: RFC 6184 §5.6, §5.7.1, §5.8.

    Args:
        frame: NAL units after 4-octet lengths.
        max_size: Octets of the largest payload.
        parameter_sets: SPS and PPS to send in front, for a frame where decoding can
            start and that has none itself.
        aggregates: False never writes a STAP-A: each parameter set in its own packet.

    Raises:
        ProtocolError: A length passes the end of the frame.
    """
    # 50 KB of one IDR slice and its sets: 0.22 µs a packet (44 packets).
    check_payload_size(max_size)
    units = [
        unit for unit in split_length_prefixed(frame) if unit[0] & 0x1F not in _UNWANTED
    ]
    units[:0] = parameter_sets
    groups = aggregate(units, 1, max_size) if aggregates else [[u] for u in units]
    payloads: list[bytes] = []
    for group in groups:
        unit = group[0]
        if len(group) > 1:
            payloads.append(_stap_a(group))
        elif len(unit) <= max_size:
            payloads.append(unit)
        else:
            _cut(unit, max_size, payloads)
    return payloads


def _stap_a(units: list[bytes]) -> bytes:
    # F is set if any unit's is, NRI is the highest (RFC 6184 §5.7).
    forbidden, importance = 0, 0
    parts = [b""]
    for unit in units:
        forbidden |= unit[0] & 0x80
        importance = max(importance, unit[0] & 0x60)
        parts.append(len(unit).to_bytes(2, "big"))
        parts.append(unit)
    parts[0] = _OCTET[forbidden | importance | _STAP_A]
    return b"".join(parts)


# RFC 6184 §5.8:  +-+---+-----+-+-+-+-----+----------------
#                 |F|NRI|  28 |S|E|R| type| fragment ...
#                 +-+---+-----+-+-+-+-----+----------------
def _cut(unit: bytes, max_size: int, payloads: list[bytes]) -> None:
    indicator = unit[0] & 0xE0 | _FU_A
    kind = unit[0] & 0x1F
    step = max_size - 2
    end = len(unit)
    payloads.append(bytes((indicator, kind | 0x80)) + unit[1 : 1 + step])
    middle = bytes((indicator, kind))
    last = 1 + step
    while last + step < end:
        payloads.append(middle + unit[last : last + step])
        last += step
    payloads.append(bytes((indicator, kind | 0x40)) + unit[last:])


class H264Packetiser:
    """Packetises access units, with the track's parameter sets before every IDR.

    Args:
        parameter_sets: SPS and PPS from the track's configuration.
        aggregates: See `packetise`.
    """

    __slots__ = ("aggregates", "parameter_sets")

    def __init__(
        self, parameter_sets: Sequence[bytes] = (), *, aggregates: bool = True
    ) -> None:
        self.parameter_sets = tuple(parameter_sets)
        self.aggregates = aggregates

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of one access unit, in order.

        The sets go in front of an IDR picture that brings none itself.

        Raises:
            ProtocolError: A length passes the end of the frame.
        """
        sets: tuple[bytes, ...] = ()
        if self.parameter_sets:
            kinds = {unit[0] & 0x1F for unit in split_length_prefixed(frame)}
            if UnitType.IDR in kinds and UnitType.SPS not in kinds:
                sets = self.parameter_sets
        return packetise(
            frame, max_size, parameter_sets=sets, aggregates=self.aggregates
        )


class H264Depacketiser(NalDepacketiser):
    """Puts access units together again.

    Parameter sets may come in packets of their own, under the picture's timestamp or
    an earlier one, with a marker or without; an IDR picture in any number of slices.
    After a loss a picture is believed if its first slice has first_mb_in_slice 0, so
    SEI messages before it may be missing.

    Source: RFC 6184 §7.1.

    Args:
        limits: What a frame may cost.
        parameter_sets: Sets known already, from sprop-parameter-sets.
        keep_parameter_sets: False leaves them out of `Frame.payload`; they are in
            `Frame.parameter_sets` in any case.
    """

    __slots__ = ()
    _source = _SOURCE
    _needed_sets = frozenset({UnitType.SPS, UnitType.PPS})

    def _take(self, payload: bytes) -> None:
        if not payload:
            return
        kind = payload[0] & 0x1F
        if kind < _STAP_A:
            if self._fragments:
                raise ProtocolError("unit inside a fragmented one", source=_SOURCE)
            self._add(payload)
        elif kind == _FU_A:
            self._take_fragment(payload)
        elif kind == _STAP_A:
            if self._fragments:
                raise ProtocolError("unit inside a fragmented one", source=_SOURCE)
            for unit in split_aggregate(payload, 1, "RFC 6184 §5.7.1"):
                self._add(unit)
        elif kind in _INTERLEAVED:
            raise ProtocolError("interleaved mode", code="unsupported", source=_SOURCE)

    def _take_fragment(self, payload: bytes) -> None:
        if len(payload) < 3:
            raise ProtocolError(
                "fragment without data", code="truncated", source="RFC 6184 §5.8"
            )
        head = payload[1]
        rest = payload[2:]
        if not head & 0x80:
            self._continue_unit(rest, bool(head & 0x40))
            return
        kind = head & 0x1F
        if (
            kind <= UnitType.IDR
            and not self._has_picture
            and not self._begin_picture(rest[0] >= 0x80)
        ):
            return
        unit_header = _OCTET[payload[0] & 0xE0 | kind]
        if head & 0x40:
            # Both bits: forbidden, and harmless.
            self._add(unit_header + rest)
        else:
            self._begin_unit(unit_header, rest)

    def _kind(self, unit: bytes) -> int:
        return unit[0] & 0x1F

    def _add(self, unit: bytes) -> None:
        kind = unit[0] & 0x1F
        if kind <= UnitType.IDR:
            if not kind:
                return
            if len(unit) < 2:
                raise ProtocolError("empty slice", code="truncated", source=_SOURCE)
            if not self._has_picture and not self._begin_picture(unit[1] >= 0x80):
                return
            if kind == UnitType.IDR:
                self._random_access = True
            self._append(unit)
        elif kind in _SETS:
            self._add_set(unit, kind)
        elif kind >= _STAP_A:
            raise ProtocolError("packet inside a packet", source=_SOURCE)
        elif kind not in _UNWANTED:
            self._append(unit)

    def _recovers(self) -> bool:
        return h264.recovery_point(self._units) is not None


def _units_at_start(payload: bytes) -> Iterator[tuple[int, bool]]:
    """Give type and first_mb_in_slice == 0 of each unit that begins here."""
    end = len(payload)
    if end < 2:
        return
    kind = payload[0] & 0x1F
    if kind < _STAP_A:
        yield kind, payload[1] >= 0x80
    elif kind == _FU_A:
        if end > 2 and payload[1] & 0x80:
            yield payload[1] & 0x1F, payload[2] >= 0x80
    elif kind == _STAP_A:
        position = 1
        for _ in range(_MAX_LOOKED_AT):
            if position + 3 >= end:
                return
            size = payload[position] << 8 | payload[position + 1]
            position += 2
            if size:
                yield payload[position] & 0x1F, payload[position + 1] >= 0x80
            position += size


def _may_begin(kind: int, is_first: bool) -> bool:
    return is_first if kind <= UnitType.IDR else kind <= UnitType.SUBSET_SPS


def is_key_frame_start(payload: bytes) -> bool:
    """Tell whether a viewer may begin here: an SPS, or an IDR picture's first slice.

    Where SPS, PPS and IDR travel in packets of their own, the SPS and the IDR both
    answer true; the first of a timestamp is the place to begin.

    Source: RFC 6184 §5.3, §8.4.
    """
    begins = False
    for kind, is_first in _units_at_start(payload):
        if not begins and not _may_begin(kind, is_first):
            return False
        begins = True
        if kind == UnitType.SPS or (kind == UnitType.IDR and is_first):
            return True
    return False


def is_frame_start(payload: bytes) -> bool:
    """Tell whether an access unit may begin here.

    True for a first slice and for every unit that can stand before it (delimiter,
    SEI, parameter sets); the first such packet of a timestamp is the beginning.

    Source: RFC 6184 §5.3.
    """
    for kind, is_first in _units_at_start(payload):
        return _may_begin(kind, is_first)
    return False


def layer(payload: bytes) -> Layer:
    """Return (0, 0): H.264 payloads tell no layers."""
    return (0, 0)
