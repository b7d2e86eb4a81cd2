"""PES packets: their header, and the 33-bit times in it."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError, UsageError, unwrap

__all__ = [
    "CLOCK_RATE",
    "TIMESTAMP_BITS",
    "PesHeader",
    "Unwrapper",
    "decode_pes_header",
    "encode_pes_header",
]

CLOCK_RATE = 90_000
"""Ticks a second of PTS and DTS."""
TIMESTAMP_BITS = 33
"""Width of PTS, DTS and program_clock_reference_base: they wrap after 26.5 hours."""
MAX_HEADER_SIZE = 9 + 255
"""Octets of a PES header with the longest optional part."""

_SOURCE = "ISO 13818-1 §2.4.3.6"
_MASK = (1 << TIMESTAMP_BITS) - 1
# Streams whose PES packets have nothing but a length in front (ISO 13818-1 §2.4.3.7).
_BARE = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))


@attrs.define
class PesHeader:
    """The header of a PES packet (ISO 13818-1 §2.4.3.6)."""

    stream_id: int
    """0xE0 video, 0xC0 audio, 0xBD private, 0xFC metadata."""
    length: int
    """PES_packet_length; 0: the packet goes up to the next one."""
    size: int
    """Octets of this header."""
    pts: int | None = None
    """90 kHz ticks, 33-bit wrapped; None if there is none."""
    dts: int | None = None
    """90 kHz ticks, 33-bit wrapped; the PTS where there is no other."""
    data_alignment: bool = False
    """data_alignment_indicator: the payload begins with an access unit."""


def _decode_timestamp(data: bytes, position: int) -> int:
    """Return a PTS or DTS; the marker bits between its three parts are ignored."""
    word = int.from_bytes(data[position : position + 5], "big")
    return word >> 3 & 0x1C0000000 | word >> 2 & 0x3FFF8000 | word >> 1 & 0x7FFF


def _encode_timestamp(prefix: int, value: int) -> bytes:
    value &= _MASK
    word = (
        prefix << 36
        | (value & 0x1C0000000) << 3
        | (value & 0x3FFF8000) << 2
        | (value & 0x7FFF) << 1
        | 0x100010001
    )
    return word.to_bytes(5, "big")


def decode_pes_header(data: bytes) -> PesHeader:
    """Decode the header at the front of a PES packet.

    Source: ISO 13818-1 §2.4.3.6, §2.4.3.7.

    Raises:
        ProtocolError: No start code, or cut short.
    """
    if data[:3] != b"\0\0\1":
        raise ProtocolError("no packet_start_code_prefix", source=_SOURCE)
    if len(data) < 6:
        raise ProtocolError("PES header cut short", code="truncated", source=_SOURCE)
    stream_id, length = data[3], data[4] << 8 | data[5]
    if stream_id in _BARE:
        return PesHeader(stream_id, length, 6)
    if len(data) < 9 or len(data) < 9 + data[8]:
        raise ProtocolError("PES header cut short", code="truncated", source=_SOURCE)
    if data[6] & 0xC0 != 0x80:
        raise ProtocolError("not a PES header of MPEG-2", source=_SOURCE)
    header = PesHeader(stream_id, length, 9 + data[8], None, None, bool(data[6] & 4))
    flags = data[7] >> 6
    if flags & 2 and data[8] >= 5:
        header.pts = header.dts = _decode_timestamp(data, 9)
        if flags & 1 and data[8] >= 10:
            header.dts = _decode_timestamp(data, 14)
    return header


def encode_pes_header(
    stream_id: int,
    size: int,
    pts: int | None = None,
    dts: int | None = None,
    *,
    data_alignment: bool = True,
) -> bytes:
    """Return the header of a PES packet.

    Source: ISO 13818-1 §2.4.3.6.

    Args:
        stream_id: One that has a header with flags.
        size: Octets of the payload. Above what 16 bits can say the length is 0, which
            is for video alone.
        pts: 90 kHz ticks, any int; written modulo ``2**33``.
        dts: The same; left out where it is the PTS.
        data_alignment: data_alignment_indicator.

    Raises:
        UsageError: A DTS without a PTS.
    """
    times = b""
    flags = 0
    if pts is None:
        if dts is not None:
            raise UsageError("a DTS needs a PTS")
    elif dts is None or (pts - dts) & _MASK == 0:
        flags, times = 0x80, _encode_timestamp(2, pts)
    else:
        flags, times = 0xC0, _encode_timestamp(3, pts) + _encode_timestamp(1, dts)
    length = 3 + len(times) + size
    if length > 0xFFFF:
        length = 0
    head = (0, 0, 1, stream_id, length >> 8, length & 0xFF)
    alignment = 0x84 if data_alignment else 0x80
    return bytes((*head, alignment, flags, len(times))) + times


class Unwrapper:
    """Turns 33-bit times into ints that never wrap.

    One for each program, so that all its tracks agree how often the clock has wrapped::

        unwrapper = Unwrapper()
        dts = unwrapper.advance(frame.dts)
        pts = unwrapper.near(frame.pts)

    Args:
        bits: Width of the times; 33, or 42 for none at all.
    """

    __slots__ = ("_bits", "epoch", "last")

    def __init__(self, bits: int = TIMESTAMP_BITS) -> None:
        self._bits = bits
        self.last: int | None = None
        """The latest result of `advance`; None before the first, and after
        `discontinuity`."""
        self.epoch = 0
        """How many discontinuities there were."""

    def advance(self, value: int) -> int:
        """Return the time nearest to the last one, and remember it."""
        self.last = self.near(value)
        return self.last

    def near(self, value: int) -> int:
        """Return the time nearest to the last one, and do not remember it."""
        if self.last is None:
            return value
        return unwrap(value, self.last, self._bits)

    def discontinuity(self) -> None:
        """Begin a new time base: what comes next is related to nothing before."""
        if self.last is not None:
            self.epoch += 1
        self.last = None
