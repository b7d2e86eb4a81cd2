"""AV1: open bitstream units, the sequence header, and av1C.

A temporal unit is a run of OBUs in the low-overhead format (AV1 §5.2): each one with
its size, the last one perhaps without.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError

from .av1_sequence import (
    ColorConfig,
    OperatingPoint,
    SequenceHeader,
    decode_sequence_header,
)
from .bits import BitReader, BitWriter
from .codec import Codec
from .parameters import VideoParameters

__all__ = [
    "Av1CodecConfigurationRecord",
    "ColorConfig",
    "Obu",
    "ObuType",
    "OperatingPoint",
    "SequenceHeader",
    "av1c_from_sequence_header",
    "codec_string",
    "decode_av1c",
    "decode_leb128",
    "decode_sequence_header",
    "encode_av1c",
    "encode_leb128",
    "encode_obu",
    "is_random_access",
    "join_obus",
    "parameters",
    "parameters_from_sequence_header",
    "sequence_header",
    "split_obus",
    "strip_temporal_delimiters",
]

MAX_OBUS = 4096
"""OBUs accepted in one temporal unit."""

_PROFILES = ("Main", "High", "Professional")


class ObuType(enum.IntEnum):
    """obu_type (AV1 §6.2.2)."""

    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    TILE_GROUP = 4
    METADATA = 5
    FRAME = 6
    REDUNDANT_FRAME_HEADER = 7
    TILE_LIST = 8
    PADDING = 15


@attrs.define
class Obu:
    """One open bitstream unit, its size field taken away."""

    obu_type: int
    payload: bytes
    temporal_id: int | None = None
    """None without an extension header."""
    spatial_id: int | None = None
    """None without an extension header."""


@attrs.frozen
class Av1CodecConfigurationRecord:
    """AV1CodecConfigurationRecord (AV1-ISOBMFF §2.3.3)."""

    profile: int
    level: int
    """seq_level_idx_0."""
    tier: int
    high_bitdepth: bool
    twelve_bit: bool
    monochrome: bool
    subsampling_x: bool
    subsampling_y: bool
    chroma_sample_position: int
    initial_presentation_delay: int | None
    """Frames, 1 to 16; None if not declared."""
    config_obus: bytes
    """OBUs with sizes: a sequence header, perhaps metadata; may be empty."""

    @property
    def bit_depth(self) -> int:
        """Bits of a sample."""
        return 8 + 2 * self.high_bitdepth + 2 * self.twelve_bit


def decode_leb128(data: bytes, position: int = 0) -> tuple[int, int]:
    """Return a leb128 number and the position behind it.

    Source: AV1 §4.10.5.

    Raises:
        ProtocolError: Cut short, longer than 8 octets or above 32 bits.
    """
    source = "AV1 §4.10.5"
    value = 0
    for index in range(8):
        if position + index >= len(data):
            raise ProtocolError("leb128 cut short", code="truncated", source=source)
        octet = data[position + index]
        value |= (octet & 0x7F) << (7 * index)
        if octet < 0x80:
            if value > 0xFFFFFFFF:
                raise ProtocolError("leb128 above 32 bits", source=source)
            return value, position + index + 1
    raise ProtocolError("leb128 longer than 8 octets", source=source)


def encode_leb128(value: int) -> bytes:
    """Encode a number of up to 32 bits in as few octets as it takes.

    Source: AV1 §4.10.5.

    Raises:
        UsageError: ``value`` does not fit 32 bits.
    """
    if not 0 <= value <= 0xFFFFFFFF:
        raise UsageError(f"{value} does not fit leb128")
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def split_obus(data: bytes) -> list[Obu]:
    """Return the OBUs of a temporal unit.

    Source: AV1 §5.3.

    Raises:
        ProtocolError: Cut short, the forbidden bit is set, or more than `MAX_OBUS`.
    """
    source = "AV1 §5.3"
    obus: list[Obu] = []
    position, end = 0, len(data)
    while position < end:
        if len(obus) >= MAX_OBUS:
            raise ProtocolError(f"over {MAX_OBUS} OBUs", code="limit", source=source)
        head = data[position]
        position += 1
        if head & 0x80:
            raise ProtocolError("obu_forbidden_bit is set", source=source)
        temporal_id: int | None = None
        spatial_id: int | None = None
        if head & 4:
            if position >= end:
                raise ProtocolError("OBU cut short", code="truncated", source=source)
            temporal_id, spatial_id = data[position] >> 5, data[position] >> 3 & 3
            position += 1
        size = end - position
        if head & 2:
            size, position = decode_leb128(data, position)
        if size > end - position:
            raise ProtocolError("OBU passes the end", code="truncated", source=source)
        payload = data[position : position + size]
        obus.append(Obu(head >> 3 & 15, payload, temporal_id, spatial_id))
        position += size
    return obus


def encode_obu(obu: Obu, *, has_size: bool = True) -> bytes:
    """Encode one OBU, with its size unless told otherwise (RTP leaves it out).

    Source: AV1 §5.3.
    """
    extension = obu.temporal_id is not None or obu.spatial_id is not None
    head = bytes([obu.obu_type << 3 | extension << 2 | has_size << 1])
    if extension:
        head += bytes([(obu.temporal_id or 0) << 5 | (obu.spatial_id or 0) << 3])
    if has_size:
        head += encode_leb128(len(obu.payload))
    return head + obu.payload


def join_obus(obus: Iterable[Obu]) -> bytes:
    """Return the OBUs as a temporal unit, each with its size. Source: AV1 §5.2."""
    return b"".join(map(encode_obu, obus))


def strip_temporal_delimiters(data: bytes) -> bytes:
    """Return a temporal unit as ISO BMFF and E-RTMP carry it: without delimiters.

    Source: AV1-ISOBMFF §2.4 (temporal delimiters and tile lists are left out).

    Raises:
        ProtocolError: The unit is malformed.
    """
    # The common case, a delimiter in front of everything else, costs no rebuild.
    if data.startswith(b"\x12\0"):
        data = data[2:]
    obus = split_obus(data)
    unwanted = (ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST)
    if not any(obu.obu_type in unwanted for obu in obus):
        return data
    return join_obus(obu for obu in obus if obu.obu_type not in unwanted)


def sequence_header(temporal_unit: bytes) -> SequenceHeader | None:
    """Return the first sequence header of a temporal unit, or None.

    Raises:
        ProtocolError: The unit or the header is malformed.
    """
    for obu in split_obus(temporal_unit):
        if obu.obu_type == ObuType.SEQUENCE_HEADER:
            return decode_sequence_header(obu.payload)
    return None


def is_random_access(temporal_unit: bytes) -> bool:
    """Tell whether decoding can begin here: sequence header and shown key frame.

    A malformed unit is no place to begin.

    Source: AV1 §7.6.2.
    """
    try:
        obus = split_obus(temporal_unit)
    except ProtocolError:
        return False
    still = seen = False
    for obu in obus:
        if obu.obu_type == ObuType.SEQUENCE_HEADER and obu.payload:
            # reduced_still_picture_header: frames have no type, all are key frames.
            seen, still = True, bool(obu.payload[0] >> 3 & 1)
        elif obu.obu_type in (ObuType.FRAME, ObuType.FRAME_HEADER) and obu.payload:
            # show_existing_frame 0, frame_type KEY_FRAME (0), show_frame 1.
            return seen and (still or obu.payload[0] >> 4 == 1)
    return False


def level_name(level_idx: int) -> str:
    """Return the name of a level, for example ``"3.1"``. Source: AV1 §A.3."""
    if level_idx == 31:
        return "Maximum"
    return f"{2 + (level_idx >> 2)}.{level_idx & 3}"


def codec_string(header: SequenceHeader) -> str:
    """Return for example ``av01.0.04M.08``; the long form where its rest matters.

    Source: AV1-ISOBMFF §5.
    """
    color, point = header.color, header.operating_points[0]
    short = (
        f"av01.{header.profile}.{point.level_idx:02}{'MH'[point.tier]}"
        f".{color.bit_depth:02}"
    )
    colour = (
        color.color_primaries,
        color.transfer_characteristics,
        color.matrix_coefficients,
    )
    plain = color.chroma == "4:2:0" and not color.full_range
    if plain and all(value in (1, 2) for value in colour):
        return short
    position = color.chroma_sample_position
    third = position if color.subsampling_x and color.subsampling_y else 0
    return (
        f"{short}.{color.monochrome:d}"
        f".{color.subsampling_x:d}{color.subsampling_y:d}{third}"
        f".{colour[0]:02}.{colour[1]:02}.{colour[2]:02}.{color.full_range:d}"
    )


def parameters_from_sequence_header(header: SequenceHeader) -> VideoParameters:
    """Return the track parameters that a sequence header gives."""
    return VideoParameters(
        Codec.AV1,
        header.max_frame_width,
        header.max_frame_height,
        _PROFILES[header.profile],
        level_name(header.operating_points[0].level_idx),
        header.frame_rate,
        header.color.bit_depth,
        header.color.chroma,
        codec_string(header),
    )


def parameters(av1c: bytes) -> VideoParameters:
    """Return the track parameters of a configuration record.

    Without a sequence header in it, width and height are 0: only the stream tells.

    Source: AV1-ISOBMFF §2.3.

    Raises:
        ProtocolError: The record or its sequence header is malformed.
    """
    record = decode_av1c(av1c)
    header = sequence_header(record.config_obus)
    if header is not None:
        return parameters_from_sequence_header(header)
    if record.profile >= len(_PROFILES):
        raise ProtocolError(f"profile {record.profile}", source="AV1 §6.4.1")
    subsampling = (record.subsampling_x, record.subsampling_y)
    chroma = {(True, True): "4:2:0", (True, False): "4:2:2"}.get(subsampling, "4:4:4")
    return VideoParameters(
        Codec.AV1,
        0,
        0,
        _PROFILES[record.profile],
        level_name(record.level),
        None,
        record.bit_depth,
        "4:0:0" if record.monochrome else chroma,
        f"av01.{record.profile}.{record.level:02}{'MH'[record.tier]}"
        f".{record.bit_depth:02}",
    )


def decode_av1c(data: bytes) -> Av1CodecConfigurationRecord:
    """Decode an AV1CodecConfigurationRecord (body of the ``av1C`` box).

    Source: AV1-ISOBMFF §2.3.3.

    Raises:
        ProtocolError: Marker or version is wrong, or cut short.
    """
    source = "AV1-ISOBMFF §2.3.3"
    reader = Reader(data, source=source)
    bits = BitReader(reader.take(4), source=source)
    if bits.u(8) != 0x81:
        raise bits.error("av1C marker or version", code="version")
    profile, level, tier = bits.u(3), bits.u(5), bits.u(1)
    depths = bits.flag(), bits.flag()
    mono, sub_x, sub_y, position = bits.flag(), bits.flag(), bits.flag(), bits.u(2)
    bits.skip(3)
    delay_present, delay = bits.flag(), bits.u(4)
    return Av1CodecConfigurationRecord(
        profile,
        level,
        tier,
        *depths,
        mono,
        sub_x,
        sub_y,
        position,
        delay + 1 if delay_present else None,
        reader.rest(),
    )


def encode_av1c(record: Av1CodecConfigurationRecord) -> bytes:
    """Encode an AV1CodecConfigurationRecord (body of the ``av1C`` box).

    Source: AV1-ISOBMFF §2.3.3.

    Raises:
        UsageError: A field does not fit its width.
    """
    bits = BitWriter().u(8, 0x81).u(3, record.profile).u(5, record.level)
    bits.u(1, record.tier).flag(record.high_bitdepth).flag(record.twelve_bit)
    bits.flag(record.monochrome).flag(record.subsampling_x)
    bits.flag(record.subsampling_y).u(2, record.chroma_sample_position).u(3, 0)
    delay = record.initial_presentation_delay
    bits.flag(delay is not None).u(4, 0 if delay is None else delay - 1)
    return bits.getvalue() + record.config_obus


def av1c_from_sequence_header(payload: bytes) -> bytes:
    """Build an av1C body around a sequence header.

    Source: AV1-ISOBMFF §2.3.

    Args:
        payload: Payload of the sequence header OBU.

    Raises:
        ProtocolError: The sequence header is malformed.
    """
    header = decode_sequence_header(payload)
    point, color = header.operating_points[0], header.color
    return encode_av1c(
        Av1CodecConfigurationRecord(
            header.profile,
            point.level_idx,
            point.tier,
            color.bit_depth > 8,
            color.bit_depth == 12,
            color.monochrome,
            color.subsampling_x,
            color.subsampling_y,
            color.chroma_sample_position,
            None,
            encode_obu(Obu(ObuType.SEQUENCE_HEADER, payload)),
        )
    )
