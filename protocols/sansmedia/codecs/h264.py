"""H.264: parameter sets, slice headers up to the picture order, and avcC.

Units are single NAL units without start code or length (`sansmedia.codecs.nal` takes
access units apart). The parameter sets are decoded in `sansmedia.codecs.h264_sets`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .bits import BitReader
from .codec import Codec
from .h264_sets import Pps, Sps, decode_pps, decode_sps
from .nal import unescape_rbsp
from .parameters import CHROMA_FORMATS, VideoParameters
from .sei import recovery_count

__all__ = [
    "AvcDecoderConfigurationRecord",
    "Pps",
    "SliceHeader",
    "SliceType",
    "Sps",
    "UnitType",
    "avcc_from_parameter_sets",
    "decode_avcc",
    "decode_pps",
    "decode_slice_header",
    "decode_sps",
    "encode_avcc",
    "is_parameter_set",
    "is_random_access",
    "level_name",
    "parameters",
    "parameters_from_sps",
    "profile_name",
    "recovery_point",
    "slice_parameter_set_id",
    "unit_type",
]

MAX_SLICE_PREFIX = 96
"""Octets of a slice that are looked at; a header up to its picture order fits."""

_PROFILE_NAMES = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4 Intra",
    83: "Scalable Baseline",
    86: "Scalable High",
    118: "Multiview High",
    128: "Stereo High",
    134: "MFC High",
    135: "MFC Depth High",
    138: "Multiview Depth High",
    139: "Enhanced Multiview Depth High",
}
_INTRA_PROFILES = {
    110: "High 10 Intra",
    122: "High 4:2:2 Intra",
    244: "High 4:4:4 Intra",
}


class UnitType(enum.IntEnum):
    """nal_unit_type values that matter here (H.264 Table 7-1)."""

    SLICE = 1
    PARTITION_A = 2
    PARTITION_B = 3
    PARTITION_C = 4
    IDR = 5
    SEI = 6
    SPS = 7
    PPS = 8
    ACCESS_UNIT_DELIMITER = 9
    END_OF_SEQUENCE = 10
    END_OF_STREAM = 11
    FILLER = 12
    SPS_EXTENSION = 13
    PREFIX = 14
    SUBSET_SPS = 15


class SliceType(enum.IntEnum):
    """slice_type modulo 5 (H.264 Table 7-6)."""

    P = 0
    B = 1
    I = 2  # noqa: E741 - the specification's name
    SP = 3
    SI = 4


@attrs.define
class SliceHeader:
    """A slice header up to what orders the pictures (H.264 §7.3.3)."""

    first_mb_in_slice: int
    slice_type: SliceType
    pps_id: int
    frame_num: int
    field_pic: bool
    bottom_field: bool
    idr_pic_id: int | None
    """None unless the picture is an IDR picture."""
    pic_order_cnt_lsb: int | None
    """None unless pic_order_cnt_type is 0."""
    delta_pic_order_cnt_bottom: int
    delta_pic_order_cnt: tuple[int, int]
    nal_ref_idc: int


@attrs.frozen
class AvcDecoderConfigurationRecord:
    """AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1)."""

    profile: int
    compatibility: int
    level: int
    length_size: int
    """Octets of the length before each unit: 1, 2 or 4."""
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    chroma_format: int | None = None
    """None if the record ends after its picture parameter sets."""
    bit_depth_luma: int = 8
    bit_depth_chroma: int = 8
    sps_ext: tuple[bytes, ...] = ()


def unit_type(unit: bytes) -> int:
    """Return nal_unit_type, 0 (unspecified) for an empty unit."""
    return unit[0] & 0x1F if unit else 0


def is_parameter_set(unit: bytes) -> bool:
    """Tell whether the unit is a (subset) SPS, SPS extension or PPS."""
    return unit_type(unit) in (
        UnitType.SPS,
        UnitType.PPS,
        UnitType.SPS_EXTENSION,
        UnitType.SUBSET_SPS,
    )


def is_random_access(units: Iterable[bytes]) -> bool:
    """Tell whether the access unit is an IDR picture. Source: H.264 §7.4.1.2.4."""
    return any(unit and unit[0] & 0x1F == UnitType.IDR for unit in units)


def recovery_point(units: Iterable[bytes]) -> int | None:
    """Return recovery_frame_cnt of the access unit's recovery point message.

    A damaged message counts as none: it is advice, not needed to decode.

    Source: H.264 §D.1.8.
    """
    messages = (unit[1:] for unit in units if unit_type(unit) == UnitType.SEI)
    return recovery_count(messages, BitReader.ue)


def _slice_bits(unit: bytes) -> BitReader:
    if unit_type(unit) not in (UnitType.SLICE, UnitType.PARTITION_A, UnitType.IDR):
        raise ProtocolError("not a coded slice", source="H.264 §7.3.3")
    return BitReader(unescape_rbsp(unit[1:MAX_SLICE_PREFIX]), source="H.264 §7.3.3")


def slice_parameter_set_id(unit: bytes) -> int:
    """Return pic_parameter_set_id of a slice, to choose `decode_slice_header`'s sets.

    Source: H.264 §7.3.3.

    Raises:
        ProtocolError: Not a slice, or cut short.
    """
    bits = _slice_bits(unit)
    bits.ue()
    bits.ue(9)
    return bits.ue(255)


def decode_slice_header(unit: bytes, sps: Sps, pps: Pps) -> SliceHeader:
    """Decode a slice header up to its picture order count.

    Source: H.264 §7.3.3.

    Args:
        unit: The slice with its NAL unit header; its first octets are enough.
        sps: The active sequence parameter set.
        pps: The picture parameter set that the slice names.

    Raises:
        ProtocolError: Not a slice, cut short, or it names another ``pps``.
    """
    bits = _slice_bits(unit)
    first_mb, slice_type, pps_id = bits.ue(), bits.ue(9), bits.ue(255)
    if pps_id != pps.pps_id:
        raise bits.error(f"slice names PPS {pps_id}, not {pps.pps_id}")
    if sps.separate_colour_plane:
        bits.skip(2)
    frame_num = bits.u(sps.log2_max_frame_num)
    field_pic = not sps.frame_mbs_only and bits.flag()
    bottom_field = field_pic and bits.flag()
    idr_pic_id = bits.ue(65535) if unit_type(unit) == UnitType.IDR else None
    lsb: int | None = None
    delta_bottom = 0
    delta = (0, 0)
    both_fields = pps.bottom_field_pic_order_in_frame_present and not field_pic
    if sps.pic_order_cnt_type == 0:
        lsb = bits.u(sps.log2_max_pic_order_cnt_lsb)
        delta_bottom = bits.se() if both_fields else 0
    elif sps.pic_order_cnt_type == 1 and not sps.delta_pic_order_always_zero:
        delta = (bits.se(), bits.se() if both_fields else 0)
    return SliceHeader(
        first_mb,
        SliceType(slice_type % 5),
        pps_id,
        frame_num,
        field_pic,
        bottom_field,
        idr_pic_id,
        lsb,
        delta_bottom,
        delta,
        unit[0] >> 5 & 3,
    )


def profile_name(profile_idc: int, constraint_flags: int) -> str:
    """Return the name of a profile. Source: H.264 §A.2."""
    if profile_idc == 66 and constraint_flags & 0x40:
        return "Constrained Baseline"
    if profile_idc in _INTRA_PROFILES and constraint_flags & 0x10:
        return _INTRA_PROFILES[profile_idc]
    return _PROFILE_NAMES.get(profile_idc, f"Profile {profile_idc}")


def level_name(profile_idc: int, constraint_flags: int, level_idc: int) -> str:
    """Return the name of a level, for example ``"3.1"`` or ``"1b"``.

    Source: H.264 §A.3.1, §7.4.2.1.1 (level_idc 11 with constraint_set3_flag).
    """
    old = profile_idc in (66, 77, 88)
    if level_idc == 9 or (old and level_idc == 11 and constraint_flags & 0x10):
        return "1b"
    whole, tenth = divmod(level_idc, 10)
    return f"{whole}.{tenth}" if tenth else str(whole)


def parameters_from_sps(sps: Sps) -> VideoParameters:
    """Return the track parameters that a sequence parameter set gives."""
    return VideoParameters(
        Codec.H264,
        sps.width,
        sps.height,
        profile_name(sps.profile_idc, sps.constraint_flags),
        level_name(sps.profile_idc, sps.constraint_flags, sps.level_idc),
        sps.frame_rate,
        sps.bit_depth_luma,
        CHROMA_FORMATS[sps.chroma_format_idc],
        f"avc1.{sps.profile_idc:02X}{sps.constraint_flags:02X}{sps.level_idc:02X}",
    )


def parameters(avcc: bytes) -> VideoParameters:
    """Return the track parameters by the first SPS of a configuration record.

    Source: ISO 14496-15 §5.3.3.1, RFC 6381 §3.3.

    Raises:
        ProtocolError: The record or its SPS is malformed, or there is no SPS.
    """
    record = decode_avcc(avcc)
    if not record.sps:
        raise ProtocolError("no SPS in the record", source="ISO 14496-15 §5.3.3.1")
    return parameters_from_sps(decode_sps(record.sps[0]))


def _read_units(reader: Reader, count: int) -> tuple[bytes, ...]:
    return tuple(reader.take(reader.u16()) for _ in range(count))


def decode_avcc(data: bytes) -> AvcDecoderConfigurationRecord:
    """Decode an AVCDecoderConfigurationRecord (body of the ``avcC`` box).

    The trailing fields of the High profiles may be missing, as older writers leave
    them out; octets behind the record are passed over.

    Source: ISO 14496-15 §5.3.3.1.2.

    Raises:
        ProtocolError: Unknown version, length size 3, or cut short.
    """
    source = "ISO 14496-15 §5.3.3.1"
    reader = Reader(data, source=source)
    version = reader.u8()
    if version != 1:
        raise ProtocolError(f"avcC version {version}", code="version", source=source)
    profile, compatibility, level = reader.u8(), reader.u8(), reader.u8()
    length_size = (reader.u8() & 3) + 1
    if length_size == 3:
        raise ProtocolError("NAL unit length size 3", source=source)
    sps = _read_units(reader, reader.u8() & 0x1F)
    pps = _read_units(reader, reader.u8())
    record = AvcDecoderConfigurationRecord(
        profile, compatibility, level, length_size, sps, pps
    )
    if profile in (66, 77, 88) or reader.remaining < 4:
        return record
    chroma, luma, depth = reader.u8() & 3, reader.u8() & 7, reader.u8() & 7
    extensions = _read_units(reader, reader.u8())
    return attrs.evolve(
        record,
        chroma_format=chroma,
        bit_depth_luma=8 + luma,
        bit_depth_chroma=8 + depth,
        sps_ext=extensions,
    )


def encode_avcc(record: AvcDecoderConfigurationRecord) -> bytes:
    """Encode an AVCDecoderConfigurationRecord (body of the ``avcC`` box).

    Source: ISO 14496-15 §5.3.3.1.2.

    Raises:
        UsageError: A field does not fit its width.
    """
    if record.length_size not in (1, 2, 4) or len(record.sps) > 31:
        raise UsageError("length size or SPS count does not fit avcC")
    writer = Writer().u8(1).u8(record.profile).u8(record.compatibility)
    writer.u8(record.level).u8(0xFC | (record.length_size - 1))
    writer.u8(0xE0 | len(record.sps))
    for unit in record.sps:
        writer.u16(len(unit)).put(unit)
    writer.u8(len(record.pps))
    for unit in record.pps:
        writer.u16(len(unit)).put(unit)
    if record.chroma_format is not None:
        writer.u8(0xFC | record.chroma_format)
        writer.u8(0xF8 | (record.bit_depth_luma - 8))
        writer.u8(0xF8 | (record.bit_depth_chroma - 8)).u8(len(record.sps_ext))
        for unit in record.sps_ext:
            writer.u16(len(unit)).put(unit)
    return writer.getvalue()


def avcc_from_parameter_sets(
    sps: Sequence[bytes], pps: Sequence[bytes], *, sps_ext: Sequence[bytes] = ()
) -> bytes:
    """Build an avcC body, with lengths of 4 octets, from parameter sets.

    Source: ISO 14496-15 §5.3.3.1.

    Args:
        sps: One to 31 sequence parameter sets with their NAL unit headers.
        pps: Up to 255 picture parameter sets.
        sps_ext: Sequence parameter set extensions, if any.

    Raises:
        ProtocolError: The first SPS is malformed, or there is none.
    """
    source = "ISO 14496-15 §5.3.3.1"
    if not sps:
        raise ProtocolError("no SPS to describe", source=source)
    if len(sps) > 31 or len(pps) > 255 or len(sps_ext) > 255:
        raise ProtocolError("too many parameter sets", code="limit", source=source)
    if any(len(unit) > 0xFFFF for unit in (*sps, *pps, *sps_ext)):
        raise ProtocolError("parameter set too long", code="limit", source=source)
    first = decode_sps(sps[0])
    record = AvcDecoderConfigurationRecord(
        first.profile_idc,
        first.constraint_flags,
        first.level_idc,
        4,
        tuple(sps),
        tuple(pps),
    )
    if first.profile_idc not in (66, 77, 88):
        record = attrs.evolve(
            record,
            chroma_format=first.chroma_format_idc,
            bit_depth_luma=first.bit_depth_luma,
            bit_depth_chroma=first.bit_depth_chroma,
            sps_ext=tuple(sps_ext),
        )
    return encode_avcc(record)
