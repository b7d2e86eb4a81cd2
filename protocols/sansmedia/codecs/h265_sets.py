"""H.265 parameter sets: VPS, SPS, PPS.

`sansmedia.codecs.h265` gives these names again beside everything else of H.265.
"""

from __future__ import annotations

from fractions import Fraction

import attrs

from sansmedia.sansio import ProtocolError

from .bits import BitReader
from .nal import unescape_rbsp
from .parameters import check_size, nominal_rate
from .vui import Vui, decode_vui_head

__all__ = [
    "Pps",
    "ProfileTierLevel",
    "Sps",
    "Vps",
    "decode_pps",
    "decode_sps",
    "decode_vps",
]

MAX_DELTA_POCS = 16
"""Pictures in a short-term reference picture set (H.265 §A.4.2: MaxDpbSize)."""

_VPS, _SPS, _PPS = 32, 33, 34


@attrs.frozen
class ProfileTierLevel:
    """The general part of profile_tier_level (H.265 §7.3.3)."""

    profile_space: int
    tier: int
    """0: Main, 1: High."""
    profile_idc: int
    compatibility: int
    """32 flags: general_profile_compatibility_flag[0] is the highest bit."""
    constraints: int
    """48 bits, general_progressive_source_flag the highest."""
    level_idc: int
    """Thirty times the level."""


@attrs.frozen
class Vps:
    """A video parameter set (H.265 §7.3.2.1)."""

    vps_id: int
    max_sub_layers: int
    temporal_id_nesting: bool
    profile_tier_level: ProfileTierLevel
    units_in_tick: int
    """0 without timing information."""
    time_scale: int
    """0 without timing information."""

    @property
    def frame_rate(self) -> Fraction | None:
        """Pictures a second; None without timing information."""
        return nominal_rate(self.time_scale, self.units_in_tick)


@attrs.frozen
class Sps:
    """A sequence parameter set (H.265 §7.3.2.2)."""

    vps_id: int
    max_sub_layers: int
    temporal_id_nesting: bool
    profile_tier_level: ProfileTierLevel
    sps_id: int
    chroma_format_idc: int
    separate_colour_plane: bool
    width: int
    """Luma samples inside the conformance window."""
    height: int
    """Luma samples inside the conformance window."""
    coded_width: int
    coded_height: int
    bit_depth_luma: int
    bit_depth_chroma: int
    log2_max_pic_order_cnt_lsb: int
    max_num_reorder_pics: int
    """Of the highest sub-layer."""
    max_dec_pic_buffering: int
    """Of the highest sub-layer."""
    log2_ctb_size: int
    vui: Vui | None

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames a second by the VUI; a tick is a picture, which may be a field."""
        if self.vui is None:
            return None
        pictures = 2 if self.vui.field_seq else 1
        return nominal_rate(self.vui.time_scale, pictures * self.vui.units_in_tick)


@attrs.frozen
class Pps:
    """What slices and hvcC need of a picture parameter set (H.265 §7.3.2.3)."""

    pps_id: int
    sps_id: int
    dependent_slice_segments_enabled: bool
    output_flag_present: bool
    num_extra_slice_header_bits: int
    tiles_enabled: bool
    entropy_coding_sync_enabled: bool


def _rbsp(unit: bytes, wanted: int, source: str) -> BitReader:
    if len(unit) < 2 or unit[0] >> 1 & 0x3F != wanted:
        raise ProtocolError(f"not a NAL unit of type {wanted}", source=source)
    return BitReader(unescape_rbsp(unit[2:]), source=source)


def _decode_profile_tier_level(
    bits: BitReader, max_sub_layers: int
) -> ProfileTierLevel:
    general = ProfileTierLevel(
        bits.u(2), bits.u(1), bits.u(5), bits.u(32), bits.u(48), bits.u(8)
    )
    if max_sub_layers > 1:
        present = bits.u(16)
        for index in range(max_sub_layers - 1):
            bits.skip(88 * (present >> (15 - 2 * index) & 1))
            bits.skip(8 * (present >> (14 - 2 * index) & 1))
    return general


def _sub_layers(bits: BitReader) -> int:
    count = bits.u(3) + 1
    if count > 7:
        raise bits.error("more than 7 temporal sub-layers")
    return count


def _decode_ordering(bits: BitReader, max_sub_layers: int) -> tuple[int, int]:
    """Return max_dec_pic_buffering and max_num_reorder_pics of the last sub-layer."""
    buffering = reorder = 0
    for _ in range(max_sub_layers if bits.flag() else 1):
        buffering, reorder = bits.ue(15) + 1, bits.ue(15)
        bits.ue()
    return buffering, reorder


def decode_vps(unit: bytes) -> Vps:
    """Decode a video parameter set up to its timing information.

    Source: H.265 §7.3.2.1.

    Args:
        unit: The NAL unit with its header, emulation prevention still in place.

    Raises:
        ProtocolError: Not a VPS, cut short or out of range.
    """
    bits = _rbsp(unit, _VPS, "H.265 §7.3.2.1")
    vps_id = bits.u(4)
    bits.skip(8)
    max_sub_layers = _sub_layers(bits)
    nesting = bits.flag()
    bits.skip(16)
    general = _decode_profile_tier_level(bits, max_sub_layers)
    _decode_ordering(bits, max_sub_layers)
    layers = bits.u(6) + 1
    bits.skip(bits.ue(1023) * layers)
    units_in_tick = time_scale = 0
    if bits.flag():
        units_in_tick, time_scale = bits.u(32), bits.u(32)
    return Vps(vps_id, max_sub_layers, nesting, general, units_in_tick, time_scale)


def _skip_scaling_list_data(bits: BitReader) -> None:
    """Pass over scaling_list_data (H.265 §7.3.4)."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.ue(5)
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 16 << (2 * size))):
                bits.se()


_PictureSet = tuple[list[int], list[int]]


def _predict_set(bits: BitReader, reference: _PictureSet) -> _PictureSet:
    """Derive a reference picture set from another (H.265 §7.4.8, 7-61 and 7-62)."""
    negative, positive = reference
    sign = bits.flag()
    delta = (bits.ue(32767) + 1) * (-1 if sign else 1)
    use: list[bool] = []
    for _ in range(len(negative) + len(positive) + 1):
        used = bits.flag()
        use.append(used or bits.flag())
    shifted_negative = [
        poc + delta
        for poc, kept in zip(negative, use[: len(negative)], strict=True)
        if kept
    ]
    shifted_positive = [
        poc + delta
        for poc, kept in zip(positive, use[len(negative) : -1], strict=True)
        if kept
    ]
    own = [delta] if use[-1] else []
    below = [*reversed(shifted_positive), *own, *shifted_negative]
    above = [*reversed(shifted_negative), *own, *shifted_positive]
    return [poc for poc in below if poc < 0], [poc for poc in above if poc > 0]


def _explicit_set(bits: BitReader) -> _PictureSet:
    counts = bits.ue(MAX_DELTA_POCS), bits.ue(MAX_DELTA_POCS)
    lists: list[list[int]] = []
    for count, sign in zip(counts, (-1, 1), strict=True):
        poc, pocs = 0, []
        for _ in range(count):
            poc += sign * (bits.ue(32767) + 1)
            bits.skip(1)
            pocs.append(poc)
        lists.append(pocs)
    return lists[0], lists[1]


def _skip_short_term_sets(bits: BitReader) -> None:
    """Pass over st_ref_pic_set() of an SPS; each may hang on the one before."""
    previous: _PictureSet = ([], [])
    for index in range(bits.ue(64)):
        if index and bits.flag():
            previous = _predict_set(bits, previous)
        else:
            previous = _explicit_set(bits)
        if len(previous[0]) + len(previous[1]) > MAX_DELTA_POCS:
            raise bits.error("reference picture set too large", code="limit")


def _skip_sub_layer_hrd(bits: BitReader, cpb_count: int, sub_pic: bool) -> None:
    for _ in range(cpb_count):
        for _ in range(4 if sub_pic else 2):
            bits.ue()
        bits.skip(1)


def _skip_hrd(bits: BitReader, max_sub_layers: int) -> None:
    """Pass over hrd_parameters( 1, ... ) (H.265 §E.2.2)."""
    nal, vcl = bits.flag(), bits.flag()
    sub_pic = False
    if nal or vcl:
        sub_pic = bits.flag()
        bits.skip(19 if sub_pic else 0)
        bits.skip(8)
        bits.skip(4 if sub_pic else 0)
        bits.skip(15)
    for _ in range(max_sub_layers):
        fixed_general = bits.flag()
        fixed_within = fixed_general or bits.flag()
        low_delay = False
        if fixed_within:
            bits.ue(2047)
        else:
            low_delay = bits.flag()
        cpb_count = 1 if low_delay else bits.ue(31) + 1
        for present in (nal, vcl):
            if present:
                _skip_sub_layer_hrd(bits, cpb_count, sub_pic)


def _decode_vui(bits: BitReader, max_sub_layers: int) -> Vui:
    head = decode_vui_head(bits)
    bits.skip(1)
    field_seq = bits.flag()
    bits.skip(1)
    if bits.flag():
        for _ in range(4):
            bits.ue()
    units_in_tick = time_scale = 0
    if bits.flag():
        units_in_tick, time_scale = bits.u(32), bits.u(32)
        if bits.flag():
            bits.ue()
        if bits.flag():
            _skip_hrd(bits, max_sub_layers)
    segmentation = 0
    if bits.flag():
        bits.skip(3)
        segmentation = bits.ue(4095)
    return attrs.evolve(
        head,
        units_in_tick=units_in_tick,
        time_scale=time_scale,
        field_seq=field_seq,
        min_spatial_segmentation_idc=segmentation,
    )


def _decode_size(bits: BitReader, chroma_array_type: int) -> tuple[int, int, int, int]:
    """Return width and height in the window, then as coded (H.265 §7.4.3.2.1)."""
    source = "H.265 §7.3.2.2"
    coded_width, coded_height = bits.ue(), bits.ue()
    check_size(coded_width, coded_height, source=source)
    width, height = coded_width, coded_height
    if bits.flag():
        unit_x = 2 if chroma_array_type in (1, 2) else 1
        unit_y = 2 if chroma_array_type == 1 else 1
        width -= unit_x * (bits.ue() + bits.ue())
        height -= unit_y * (bits.ue() + bits.ue())
        check_size(width, height, source=source)
    return width, height, coded_width, coded_height


def _skip_coding_tools(bits: BitReader, log2_max_lsb: int) -> None:
    """Pass over what lies between the coding block sizes and the VUI."""
    for _ in range(4):
        bits.ue(32)
    if bits.flag() and bits.flag():
        _skip_scaling_list_data(bits)
    bits.skip(2)
    if bits.flag():
        bits.skip(8)
        bits.ue(2)
        bits.ue(3)
        bits.skip(1)
    _skip_short_term_sets(bits)
    if bits.flag():
        bits.skip(bits.ue(32) * (log2_max_lsb + 1))
    bits.skip(2)


def decode_sps(unit: bytes) -> Sps:
    """Decode a sequence parameter set of the base layer.

    Source: H.265 §7.3.2.2, §E.2.1.

    Args:
        unit: The NAL unit with its header, emulation prevention still in place.

    Raises:
        ProtocolError: Not an SPS, cut short, out of range, or a picture beyond
            `MAX_DIMENSION`.
    """
    bits = _rbsp(unit, _SPS, "H.265 §7.3.2.2")
    vps_id, max_sub_layers, nesting = bits.u(4), _sub_layers(bits), bits.flag()
    general = _decode_profile_tier_level(bits, max_sub_layers)
    sps_id = bits.ue(15)
    chroma = bits.ue(3)
    separate = chroma == 3 and bits.flag()
    size = _decode_size(bits, 0 if separate else chroma)
    luma_depth, chroma_depth = 8 + bits.ue(8), 8 + bits.ue(8)
    log2_max_lsb = bits.ue(12) + 4
    buffering, reorder = _decode_ordering(bits, max_sub_layers)
    log2_min_block = bits.ue(3) + 3
    log2_ctb_size = log2_min_block + bits.ue(3)
    _skip_coding_tools(bits, log2_max_lsb)
    return Sps(
        vps_id,
        max_sub_layers,
        nesting,
        general,
        sps_id,
        chroma,
        separate,
        *size,
        luma_depth,
        chroma_depth,
        log2_max_lsb,
        reorder,
        buffering,
        log2_ctb_size,
        _decode_vui(bits, max_sub_layers) if bits.flag() else None,
    )


def decode_pps(unit: bytes) -> Pps:
    """Decode a picture parameter set up to entropy_coding_sync_enabled_flag.

    Source: H.265 §7.3.2.3.

    Raises:
        ProtocolError: Not a PPS, cut short or out of range.
    """
    bits = _rbsp(unit[:64], _PPS, "H.265 §7.3.2.3")
    pps_id, sps_id = bits.ue(63), bits.ue(15)
    dependent, output, extra = bits.flag(), bits.flag(), bits.u(3)
    bits.skip(2)
    bits.ue(15)
    bits.ue(15)
    bits.se()
    bits.skip(2)
    if bits.flag():
        bits.ue(3)
    bits.se()
    bits.se()
    bits.skip(4)
    return Pps(pps_id, sps_id, dependent, output, extra, bits.flag(), bits.flag())
