"""H.265: unit types, slice headers up to the picture order, and hvcC.

Units are single NAL units without start code or length (`sansmedia.codecs.nal` takes
access units apart). The parameter sets are decoded in `sansmedia.codecs.h265_sets`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from contextlib import suppress

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .bits import BitReader
from .codec import Codec
from .h265_sets import (
    Pps,
    ProfileTierLevel,
    Sps,
    Vps,
    decode_pps,
    decode_sps,
    decode_vps,
)
from .nal import unescape_rbsp
from .parameters import CHROMA_FORMATS, VideoParameters
from .sei import recovery_count

__all__ = [
    "HevcDecoderConfigurationRecord",
    "ParameterSetArray",
    "Pps",
    "ProfileTierLevel",
    "SliceHeader",
    "SliceType",
    "Sps",
    "UnitType",
    "Vps",
    "codec_string",
    "decode_hvcc",
    "decode_pps",
    "decode_slice_header",
    "decode_sps",
    "decode_vps",
    "encode_hvcc",
    "hvcc_from_parameter_sets",
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
MAX_SETS = 64
"""Units accepted in a configuration record."""

_PROFILE_NAMES = {
    1: "Main",
    2: "Main 10",
    3: "Main Still Picture",
    4: "RExt",
    5: "High Throughput",
    6: "Multiview Main",
    7: "Scalable Main",
    8: "3D Main",
    9: "SCC",
    10: "Scalable RExt",
    11: "High Throughput SCC",
}


class UnitType(enum.IntEnum):
    """nal_unit_type values that matter here (H.265 Table 7-1)."""

    TRAIL_N = 0
    TRAIL_R = 1
    RADL_N = 6
    RADL_R = 7
    RASL_N = 8
    RASL_R = 9
    BLA_W_LP = 16
    BLA_W_RADL = 17
    BLA_N_LP = 18
    IDR_W_RADL = 19
    IDR_N_LP = 20
    CRA = 21
    RSV_IRAP_VCL23 = 23
    VPS = 32
    SPS = 33
    PPS = 34
    ACCESS_UNIT_DELIMITER = 35
    END_OF_SEQUENCE = 36
    END_OF_BITSTREAM = 37
    FILLER = 38
    PREFIX_SEI = 39
    SUFFIX_SEI = 40


class SliceType(enum.IntEnum):
    """slice_type (H.265 Table 7-7)."""

    B = 0
    P = 1
    I = 2  # noqa: E741 - the specification's name


@attrs.define
class SliceHeader:
    """A slice segment header up to what orders the pictures (H.265 §7.3.6.1)."""

    first_slice_segment_in_pic: bool
    pps_id: int
    slice_segment_address: int
    slice_type: SliceType | None
    """None for a dependent slice segment, which repeats nothing."""
    pic_output: bool
    pic_order_cnt_lsb: int
    """0 for an IDR picture."""
    temporal_id: int
    unit_type: int


@attrs.frozen
class ParameterSetArray:
    """One array of units of one type in hvcC."""

    unit_type: int
    units: tuple[bytes, ...]
    complete: bool = True
    """array_completeness: no further units of this type are in the stream."""


@attrs.frozen
class HevcDecoderConfigurationRecord:
    """HEVCDecoderConfigurationRecord (ISO 14496-15 §8.3.3.1)."""

    profile_tier_level: ProfileTierLevel
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    arrays: tuple[ParameterSetArray, ...]
    length_size: int = 4
    """Octets of the length before each unit: 1, 2 or 4."""
    min_spatial_segmentation_idc: int = 0
    parallelism_type: int = 0
    average_frame_rate: int = 0
    """Frames in 256 seconds; 0: unspecified."""
    constant_frame_rate: int = 0
    temporal_layers: int = 0
    """0: unknown."""
    temporal_id_nested: bool = False

    def units(self, unit_type: int) -> tuple[bytes, ...]:
        """Return all units of a type, for example ``UnitType.SPS``."""
        return tuple(
            unit
            for array in self.arrays
            if array.unit_type == unit_type
            for unit in array.units
        )


def unit_type(unit: bytes) -> int:
    """Return nal_unit_type, 63 (unspecified) for an empty unit."""
    return unit[0] >> 1 & 0x3F if unit else 63


def is_parameter_set(unit: bytes) -> bool:
    """Tell whether the unit is a VPS, SPS or PPS."""
    return UnitType.VPS <= unit_type(unit) <= UnitType.PPS


def is_random_access(units: Iterable[bytes]) -> bool:
    """Tell whether the access unit is an IRAP picture: IDR, BLA or CRA.

    Source: H.265 §3.74, Table 7-1.
    """
    return any(unit and 16 <= unit[0] >> 1 & 0x3F <= 23 for unit in units)


def recovery_point(units: Iterable[bytes]) -> int | None:
    """Return recovery_poc_cnt of the access unit's recovery point message.

    A damaged message counts as none: it is advice, not needed to decode.

    Source: H.265 §D.2.8.
    """
    messages = (unit[2:] for unit in units if unit_type(unit) == UnitType.PREFIX_SEI)
    return recovery_count(messages, BitReader.se)


def _slice_bits(unit: bytes) -> BitReader:
    source = "H.265 §7.3.6.1"
    kind = unit_type(unit)
    if not (kind <= UnitType.RASL_R or 16 <= kind <= UnitType.CRA):
        raise ProtocolError("not a coded slice segment", source=source)
    return BitReader(unescape_rbsp(unit[:MAX_SLICE_PREFIX]), source=source)


def _read_slice_head(bits: BitReader, kind: int) -> tuple[bool, int]:
    bits.skip(16)
    first = bits.flag()
    if kind >= UnitType.BLA_W_LP:
        bits.skip(1)
    return first, bits.ue(63)


def slice_parameter_set_id(unit: bytes) -> int:
    """Return slice_pic_parameter_set_id, to choose `decode_slice_header`'s sets.

    Source: H.265 §7.3.6.1.

    Raises:
        ProtocolError: Not a slice segment, or cut short.
    """
    return _read_slice_head(_slice_bits(unit), unit_type(unit))[1]


def decode_slice_header(unit: bytes, sps: Sps, pps: Pps) -> SliceHeader:
    """Decode a slice segment header up to its picture order count.

    Source: H.265 §7.3.6.1.

    Args:
        unit: The slice segment with its header; its first octets are enough.
        sps: The active sequence parameter set.
        pps: The picture parameter set that the slice names.

    Raises:
        ProtocolError: Not a slice segment, cut short, or it names another ``pps``.
    """
    bits = _slice_bits(unit)
    kind = unit_type(unit)
    first, pps_id = _read_slice_head(bits, kind)
    if pps_id != pps.pps_id:
        raise bits.error(f"slice names PPS {pps_id}, not {pps.pps_id}")
    dependent, address = False, 0
    if not first:
        dependent = pps.dependent_slice_segments_enabled and bits.flag()
        blocks = (-(-sps.coded_width >> sps.log2_ctb_size)) * (
            -(-sps.coded_height >> sps.log2_ctb_size)
        )
        address = bits.u((blocks - 1).bit_length())
    slice_type: SliceType | None = None
    output, lsb = True, 0
    if not dependent:
        bits.skip(pps.num_extra_slice_header_bits)
        slice_type = SliceType(bits.ue(2))
        output = not pps.output_flag_present or bits.flag()
        if sps.separate_colour_plane:
            bits.skip(2)
        if kind not in (UnitType.IDR_W_RADL, UnitType.IDR_N_LP):
            lsb = bits.u(sps.log2_max_pic_order_cnt_lsb)
    temporal_id = (unit[1] & 7) - 1
    if temporal_id < 0:
        raise bits.error("nuh_temporal_id_plus1 is 0")
    return SliceHeader(
        first, pps_id, address, slice_type, output, lsb, temporal_id, kind
    )


def profile_name(general: ProfileTierLevel) -> str:
    """Return the name of a profile. Source: H.265 §A.3."""
    idc = general.profile_idc
    if idc == 0:
        # Encoders that set only the flags mean the lowest profile they are
        # compatible with.
        idc = next(
            (i for i in range(1, 12) if general.compatibility >> (31 - i) & 1), 0
        )
    return _PROFILE_NAMES.get(idc, f"Profile {idc}")


def level_name(level_idc: int) -> str:
    """Return the name of a level, for example ``"4.1"``. Source: H.265 §A.4.1."""
    whole, rest = divmod(level_idc, 30)
    return f"{whole}.{rest // 3}" if rest else str(whole)


def codec_string(general: ProfileTierLevel, *, sample_entry: str = "hvc1") -> str:
    """Return for example ``hvc1.1.6.L93.B0``. Source: ISO 14496-15 §E.3."""
    space = ("", "A", "B", "C")[general.profile_space]
    reversed_flags = int(f"{general.compatibility:032b}"[::-1], 2)
    constraints = general.constraints.to_bytes(6, "big").rstrip(b"\0")
    return ".".join(
        (
            sample_entry,
            f"{space}{general.profile_idc}",
            f"{reversed_flags:X}",
            f"{'LH'[general.tier]}{general.level_idc}",
            *(f"{octet:X}" for octet in constraints),
        )
    )


def parameters_from_sps(sps: Sps, vps: Vps | None = None) -> VideoParameters:
    """Return the track parameters that the parameter sets give.

    Args:
        sps: Size, profile, level, and the rate if its VUI has one.
        vps: Asked for the rate if the SPS has none.
    """
    general = sps.profile_tier_level
    rate = sps.frame_rate
    if rate is None and vps is not None:
        rate = vps.frame_rate
    return VideoParameters(
        Codec.H265,
        sps.width,
        sps.height,
        profile_name(general),
        level_name(general.level_idc),
        rate,
        sps.bit_depth_luma,
        CHROMA_FORMATS[sps.chroma_format_idc],
        codec_string(general),
    )


def parameters(hvcc: bytes) -> VideoParameters:
    """Return the track parameters by the first SPS of a configuration record.

    Source: ISO 14496-15 §8.3.3.1, §E.3.

    Raises:
        ProtocolError: The record or its SPS is malformed, or there is no SPS.
    """
    record = decode_hvcc(hvcc)
    units = record.units(UnitType.SPS)
    if not units:
        raise ProtocolError("no SPS in the record", source="ISO 14496-15 §8.3.3.1")
    sps = decode_sps(units[0])
    for unit in record.units(UnitType.VPS):
        # Asked for the rate alone, so a damaged one costs no more than that.
        with suppress(ProtocolError):
            return parameters_from_sps(sps, decode_vps(unit))
    return parameters_from_sps(sps)


def decode_hvcc(data: bytes) -> HevcDecoderConfigurationRecord:
    """Decode an HEVCDecoderConfigurationRecord (body of the ``hvcC`` box).

    Octets behind the record are passed over.

    Source: ISO 14496-15 §8.3.3.1.2.

    Raises:
        ProtocolError: Unknown version, length size 3, cut short, or more than
            `MAX_SETS` units.
    """
    source = "ISO 14496-15 §8.3.3.1"
    reader = Reader(data, source=source)
    version = reader.u8()
    if version != 1:
        raise ProtocolError(f"hvcC version {version}", code="version", source=source)
    head = reader.u8()
    general = ProfileTierLevel(
        head >> 6,
        head >> 5 & 1,
        head & 0x1F,
        reader.u32(),
        reader.u16() << 32 | reader.u32(),
        reader.u8(),
    )
    segmentation = reader.u16() & 0xFFF
    parallelism, chroma = reader.u8() & 3, reader.u8() & 3
    luma_depth, chroma_depth = 8 + (reader.u8() & 7), 8 + (reader.u8() & 7)
    rate, flags = reader.u16(), reader.u8()
    if flags & 3 == 2:
        raise ProtocolError("NAL unit length size 3", source=source)
    arrays: list[ParameterSetArray] = []
    total = 0
    for _ in range(reader.u8()):
        kind, count = reader.u8(), reader.u16()
        total += count
        if total > MAX_SETS:
            raise ProtocolError(f"over {MAX_SETS} units", code="limit", source=source)
        units = tuple(reader.take(reader.u16()) for _ in range(count))
        arrays.append(ParameterSetArray(kind & 0x3F, units, bool(kind & 0x80)))
    return HevcDecoderConfigurationRecord(
        general,
        chroma,
        luma_depth,
        chroma_depth,
        tuple(arrays),
        (flags & 3) + 1,
        segmentation,
        parallelism,
        rate,
        flags >> 6,
        flags >> 3 & 7,
        bool(flags & 4),
    )


def encode_hvcc(record: HevcDecoderConfigurationRecord) -> bytes:
    """Encode an HEVCDecoderConfigurationRecord (body of the ``hvcC`` box).

    Source: ISO 14496-15 §8.3.3.1.2.

    Raises:
        UsageError: A field does not fit its width.
    """
    if record.length_size not in (1, 2, 4):
        raise UsageError(f"length size {record.length_size}")
    general = record.profile_tier_level
    writer = Writer().u8(1)
    writer.u8(general.profile_space << 6 | general.tier << 5 | general.profile_idc)
    writer.u32(general.compatibility)
    writer.u16(general.constraints >> 32).u32(general.constraints & 0xFFFFFFFF)
    writer.u8(general.level_idc)
    writer.u16(0xF000 | record.min_spatial_segmentation_idc)
    writer.u8(0xFC | record.parallelism_type).u8(0xFC | record.chroma_format)
    writer.u8(0xF8 | (record.bit_depth_luma - 8))
    writer.u8(0xF8 | (record.bit_depth_chroma - 8))
    writer.u16(record.average_frame_rate)
    writer.u8(
        record.constant_frame_rate << 6
        | record.temporal_layers << 3
        | record.temporal_id_nested << 2
        | (record.length_size - 1)
    )
    writer.u8(len(record.arrays))
    for array in record.arrays:
        writer.u8(array.complete << 7 | array.unit_type).u16(len(array.units))
        for unit in array.units:
            writer.u16(len(unit)).put(unit)
    return writer.getvalue()


def _parallelism_type(segmentation: int, pps: Sequence[bytes]) -> int:
    """Return parallelismType: 0 mixed, 1 slices, 2 tiles, 3 wavefront."""
    if not segmentation or not pps:
        return 0
    kinds: set[int] = set()
    for unit in pps:
        decoded = decode_pps(unit)
        if decoded.tiles_enabled and decoded.entropy_coding_sync_enabled:
            kinds.add(0)
        elif decoded.entropy_coding_sync_enabled:
            kinds.add(3)
        else:
            kinds.add(2 if decoded.tiles_enabled else 1)
    return kinds.pop() if len(kinds) == 1 else 0


def hvcc_from_parameter_sets(
    vps: Sequence[bytes],
    sps: Sequence[bytes],
    pps: Sequence[bytes],
    *,
    complete: bool = True,
) -> bytes:
    """Build an hvcC body, with lengths of 4 octets, from parameter sets.

    Source: ISO 14496-15 §8.3.3.1.

    Args:
        vps: Video parameter sets with their NAL unit headers.
        sps: Sequence parameter sets; the first one is described.
        pps: Picture parameter sets.
        complete: Promise that the stream itself brings no others (``hvc1``).

    Raises:
        ProtocolError: A set is malformed, there is no SPS, or there are too many.
    """
    source = "ISO 14496-15 §8.3.3.1"
    if not sps:
        raise ProtocolError("no SPS to describe", source=source)
    units = (*vps, *sps, *pps)
    if len(units) > MAX_SETS or any(len(unit) > 0xFFFF for unit in units):
        raise ProtocolError("parameter sets too large", code="limit", source=source)
    first = decode_sps(sps[0])
    if first.bit_depth_luma > 15 or first.bit_depth_chroma > 15:
        raise ProtocolError("hvcC ends at 15 bits", code="unsupported", source=source)
    segmentation = first.vui.min_spatial_segmentation_idc if first.vui else 0
    arrays = tuple(
        ParameterSetArray(kind, tuple(members), complete)
        for kind, members in (
            (int(UnitType.VPS), vps),
            (int(UnitType.SPS), sps),
            (int(UnitType.PPS), pps),
        )
        if members
    )
    return encode_hvcc(
        HevcDecoderConfigurationRecord(
            first.profile_tier_level,
            first.chroma_format_idc,
            first.bit_depth_luma,
            first.bit_depth_chroma,
            arrays,
            min_spatial_segmentation_idc=segmentation,
            parallelism_type=_parallelism_type(segmentation, pps),
            temporal_layers=first.max_sub_layers,
            temporal_id_nested=first.temporal_id_nesting,
        )
    )
