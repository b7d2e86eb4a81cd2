"""What H.264 and H.265 payloads share: units, parameter sets, and cutting up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sansmedia.codecs.nal import join_length_prefixed
from sansmedia.sansio import ProtocolError

from .assembly import VideoDepacketiser
from .frame import Frame, Limits

__all__ = ["NalDepacketiser", "aggregate", "split_aggregate"]

_OCTET: Final = tuple(bytes((value,)) for value in range(256))


class NalDepacketiser(VideoDepacketiser):
    """Collects NAL units; H.264 and H.265 differ in headers and types alone."""

    __slots__ = (
        "_fragments",
        "_keeps_sets",
        "_known_sets",
        "_random_access",
        "_sets",
        "_units",
    )
    _source = ""
    _needed_sets: frozenset[int] = frozenset()
    """Types without which no picture can be decoded."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        parameter_sets: Iterable[bytes] = (),
        keep_parameter_sets: bool = True,
    ) -> None:
        super().__init__(limits)
        self._keeps_sets = keep_parameter_sets
        self._units: list[bytes] = []
        self._fragments: list[bytes] = []
        # Of the one unit that is being put together; empty if there is none.
        self._sets: list[bytes] = []
        self._random_access = False
        self._known_sets = {self._kind(unit) for unit in parameter_sets if unit}

    def _kind(self, unit: bytes) -> int:
        """Return nal_unit_type."""
        return 0

    def _add(self, unit: bytes) -> None:
        """Judge and keep one whole unit."""

    def _recovers(self) -> bool:
        """Tell whether the picture has a recovery point message."""
        return False

    def _add_set(self, unit: bytes, kind: int) -> None:
        self._require_room(self._sets)
        self._known_sets.add(kind)
        self._sets.append(unit)
        if self._keeps_sets:
            self._append(unit)

    def _append(self, unit: bytes) -> None:
        self._require_room(self._units)
        self._units.append(unit)

    def _require_room(self, units: list[bytes]) -> None:
        if len(units) >= self._limits.frame_units:
            raise ProtocolError("too many NAL units", code="limit", source=self._source)

    def _begin_picture(self, is_first_slice: bool) -> bool:
        """Judge the first slice that came; False if it cannot be the first one."""
        if not is_first_slice:
            if self._suspect:
                self._break()
                return False
            if self._timestamp == self._ended_at:
                # The marker stood on a slice that was not the last one. From now on
                # the timestamp alone tells where pictures end: one picture later.
                self._trusts_marker = False
                self._break()
                return False
        self._has_picture = True
        return True

    def _begin_unit(self, header: bytes, rest: bytes) -> None:
        if self._fragments:
            raise ProtocolError("unit begun in another", source=self._source)
        self._fragments = [header, rest]

    def _continue_unit(self, rest: bytes, ends: bool) -> None:
        if not self._fragments:
            raise ProtocolError("fragment of no unit", source=self._source)
        self._fragments.append(rest)
        if ends:
            unit = b"".join(self._fragments)
            self._fragments = []
            self._add(unit)

    def _lose(self) -> None:
        # Parameter sets stay true. What else waits may belong to a lost picture.
        self._fragments = []
        self._units = list(self._sets) if self._keeps_sets else []

    def _build(self) -> Frame | None:
        if self._fragments:
            raise ProtocolError("fragmented unit without end", source=self._source)
        if not self._units and not self._sets:
            return None  # units of types that mean nothing
        return Frame(
            self._timestamp,
            join_length_prefixed(self._units),
            self._random_access,
            parameter_sets=tuple(self._sets),
        )

    def _begins_decoding(self, frame: Frame) -> bool:
        if not self._needed_sets <= self._known_sets:
            return False
        return frame.random_access or self._recovers()

    def _clear(self) -> None:
        self._units = []
        self._sets = []
        self._fragments = []
        self._random_access = False


def split_aggregate(payload: bytes, position: int, source: str) -> list[bytes]:
    """Return the units of an aggregation packet, each after a 16-bit size.

    Raises:
        ProtocolError: A unit passes the end.
    """
    units = []
    end = len(payload)
    while position + 2 <= end:
        start = position + 2
        position = start + (payload[start - 2] << 8 | payload[start - 1])
        if position > end:
            raise ProtocolError("unit passes the end", code="truncated", source=source)
        if position > start:
            units.append(payload[start:position])
    return units


def aggregate(units: list[bytes], header_size: int, max_size: int) -> list[list[bytes]]:
    """Group units in order so that each group fits one aggregation packet.

    A unit that is too long for a packet stands in a group of its own.
    """
    groups: list[list[bytes]] = []
    room = -1
    for unit in units:
        need = len(unit) + 2
        if need <= room:
            groups[-1].append(unit)
            room -= need
        else:
            groups.append([unit])
            room = max_size - header_size - need
    return groups
