"""Reads ``moof``: where the samples of a fragment lie, and when they are due.

Source: ISO 14496-12 §8.8.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import attrs

from sansmedia.sansio import ProtocolError, Reader

from .boxes import Box
from .limits import Limits
from .moov_wire import TrackExtends

__all__ = ["SampleBudget", "SampleLocation", "decode_movie_fragment"]

_SOURCE = "ISO 14496-12 §8.8"
_NON_SYNC = 0x010000


@attrs.define
class SampleLocation:
    """One sample that ``mdat`` will bring."""

    track_id: int
    offset: int
    """Octets from the start of the stream."""
    size: int
    dts: int
    pts: int
    duration: int
    random_access: bool


@attrs.frozen
class _Header:
    track_id: int
    base_data_offset: int | None
    is_moof_based: bool
    duration: int
    size: int
    flags: int


def decode_movie_fragment(
    moof: Box,
    moof_offset: int,
    extends: Mapping[int, TrackExtends],
    decode_times: dict[int, int],
    budget: SampleBudget,
) -> list[SampleLocation]:
    """Decode the tree of a ``moof`` into the samples it announces, in its order.

    Source: ISO 14496-12 §8.8.4 to §8.8.12.

    Args:
        moof: The box with its children.
        moof_offset: Octets of the stream before it.
        extends: Defaults of every track of the ``moov``.
        decode_times: Where each track goes on without ``tfdt``; brought up to date,
            unless an error is raised.
        budget: Number and size of samples are judged; the same for a whole stream.
    Raises: ProtocolError ``truncated``, ``malformed`` or ``limit``.
    """
    budget.begin(moof_offset)
    times = dict(decode_times)
    samples: list[SampleLocation] = []
    previous_end = moof_offset
    for traf in moof.every(b"traf"):
        header = _decode_header(traf, extends)
        if header.base_data_offset is not None:
            base = header.base_data_offset
        else:
            base = moof_offset if header.is_moof_based else previous_end
        track_id = header.track_id
        tfdt = traf.first(b"tfdt")
        if tfdt is not None:
            times[track_id] = _decode_decode_time(tfdt.payload)
        previous_end = base
        for trun in traf.every(b"trun"):
            previous_end, times[track_id] = _decode_run(
                trun.payload,
                header,
                base=base,
                previous_end=previous_end,
                decode_time=times.get(track_id, 0),
                shift=extends[track_id].shift,
                budget=budget,
                samples=samples,
            )
    decode_times.update(times)
    return samples


class SampleBudget:
    """What is left of the limits in a fragment, and of its octets in a stream.

    A run whose samples have everything from the defaults announces thousands of them
    in twenty octets. Sound streams bring an octet for each sample at least, so one
    fragment's worth may be ahead of the octets that came, and no more.
    """

    __slots__ = ("_ahead", "_limits", "_octets", "_samples")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ahead = limits.max_samples
        self._samples = 0
        self._octets = 0

    def begin(self, moof_offset: int) -> None:
        """Begin a fragment that so many octets of the stream came before."""
        self._samples = min(self._limits.max_samples, self._ahead + moof_offset)
        self._octets = self._limits.max_box_size

    def take_samples(self, count: int) -> None:
        """Charge ``count`` samples, before anything is made for them."""
        self._samples -= count
        if self._samples < 0:
            raise ProtocolError("too many samples", code="limit", source=_SOURCE)
        self._ahead -= count

    def take_octets(self, count: int) -> None:
        """Charge the octets of one sample."""
        # Samples may lie over each other: without this, a small mdat could be copied
        # out once for each of them.
        self._octets -= count
        if self._octets < 0:
            raise ProtocolError("samples too large", code="limit", source=_SOURCE)


def _decode_header(traf: Box, extends: Mapping[int, TrackExtends]) -> _Header:
    source = "ISO 14496-12 §8.8.7"
    box = traf.first(b"tfhd")
    if box is None:
        raise ProtocolError("traf without tfhd", source=source)
    reader = Reader(box.payload, source=source)
    flags = reader.u32() & 0xFFFFFF
    track_id = reader.u32()
    if track_id not in extends:
        raise ProtocolError("a fragment of a track that is not there", source=source)
    defaults = extends[track_id]
    base_data_offset = reader.u64() if flags & 0x01 else None
    if flags & 0x02:
        reader.skip(4)
    return _Header(
        track_id,
        base_data_offset,
        bool(flags & 0x020000),
        reader.u32() if flags & 0x08 else defaults.duration,
        reader.u32() if flags & 0x10 else defaults.size,
        reader.u32() if flags & 0x20 else defaults.flags,
    )


def _decode_decode_time(body: bytes) -> int:
    reader = Reader(body, source="ISO 14496-12 §8.8.12")
    return reader.u64() if reader.u32() >> 24 == 1 else reader.u32()


def _signed(value: int) -> int:
    return value - (1 << 32) if value & 0x80000000 else value


def _decode_run(
    body: bytes,
    header: _Header,
    *,
    base: int,
    previous_end: int,
    decode_time: int,
    shift: int,
    budget: SampleBudget,
    samples: list[SampleLocation],
) -> tuple[int, int]:
    reader = Reader(body, source="ISO 14496-12 §8.8.8")
    head = reader.u32()
    version, flags = head >> 24, head & 0xFFFFFF
    count = reader.u32()
    budget.take_samples(count)
    offset = base + _signed(reader.u32()) if flags & 0x01 else previous_end
    first_flags = reader.u32() if flags & 0x04 else None
    fields = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    columns = _columns(reader, count, fields)
    durations, sizes, sample_flags, composition_offsets = columns
    for index in range(count):
        duration = durations[index] if durations else header.duration
        size = sizes[index] if sizes else header.size
        budget.take_octets(size)
        if index == 0 and first_flags is not None:
            access_flags = first_flags
        else:
            access_flags = sample_flags[index] if sample_flags else header.flags
        composition = composition_offsets[index] if composition_offsets else 0
        if version:
            composition = _signed(composition)
        dts = decode_time + shift
        samples.append(
            SampleLocation(
                header.track_id,
                offset,
                size,
                dts,
                dts + composition,
                duration,
                not access_flags & _NON_SYNC,
            )
        )
        offset += size
        decode_time += duration
    return offset, decode_time


def _columns(reader: Reader, count: int, fields: list[bool]) -> list[tuple[int, ...]]:
    # The table is taken whole, so its size is judged before anything is made of it.
    width = sum(fields)
    table = struct.unpack(f">{width * count}I", reader.take(4 * width * count))
    columns = []
    position = 0
    for present in fields:
        columns.append(table[position::width] if present else ())
        position += present
    return columns
