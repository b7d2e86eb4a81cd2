"""H.264 parameter sets: SPS and PPS.

`sansmedia.codecs.h264` gives these names again beside everything else of H.264.
"""

from __future__ import annotations

from fractions import Fraction

import attrs

from sansmedia.sansio import ProtocolError

from .bits import BitReader
from .nal import unescape_rbsp
from .parameters import check_size, nominal_rate
from .vui import Vui, decode_vui_head

__all__ = ["Pps", "Sps", "decode_pps", "decode_sps"]

_SPS, _PPS, _SUBSET_SPS = 7, 8, 15
_CHROMA_PROFILES = frozenset(
    {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
)


@attrs.frozen
class Sps:
    """A sequence parameter set (H.264 §7.3.2.1.1)."""

    profile_idc: int
    constraint_flags: int
    """The octet after profile_idc: constraint_set0_flag is the highest bit."""
    level_idc: int
    sps_id: int
    chroma_format_idc: int
    separate_colour_plane: bool
    bit_depth_luma: int
    bit_depth_chroma: int
    log2_max_frame_num: int
    pic_order_cnt_type: int
    log2_max_pic_order_cnt_lsb: int
    """0 unless pic_order_cnt_type is 0."""
    delta_pic_order_always_zero: bool
    offset_for_non_ref_pic: int
    offset_for_top_to_bottom_field: int
    offset_for_ref_frame: tuple[int, ...]
    max_num_ref_frames: int
    frame_mbs_only: bool
    width: int
    """Luma samples after cropping."""
    height: int
    """Luma samples of a frame after cropping."""
    coded_width: int
    coded_height: int
    vui: Vui | None

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames a second by the VUI: two ticks are a frame (H.264 §E.2.1)."""
        if self.vui is None:
            return None
        return nominal_rate(self.vui.time_scale, 2 * self.vui.units_in_tick)


@attrs.frozen
class Pps:
    """The head of a picture parameter set (H.264 §7.3.2.2)."""

    pps_id: int
    sps_id: int
    entropy_coding_mode: bool
    bottom_field_pic_order_in_frame_present: bool


def _unit_type(unit: bytes) -> int:
    return unit[0] & 0x1F if unit else 0


def _skip_scaling_lists(bits: BitReader, count: int) -> None:
    for index in range(count):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _skip_hrd(bits: BitReader) -> None:
    cpb_count = bits.ue(31) + 1
    bits.skip(8)
    for _ in range(cpb_count):
        bits.ue()
        bits.ue()
        bits.skip(1)
    bits.skip(20)


def _decode_vui(bits: BitReader) -> Vui:
    head = decode_vui_head(bits)
    units_in_tick = time_scale = 0
    fixed = False
    if bits.flag():
        units_in_tick, time_scale, fixed = bits.u(32), bits.u(32), bits.flag()
    nal_hrd = bits.flag()
    if nal_hrd:
        _skip_hrd(bits)
    vcl_hrd = bits.flag()
    if vcl_hrd:
        _skip_hrd(bits)
    if nal_hrd or vcl_hrd:
        bits.skip(1)
    bits.skip(1)
    reorder: int | None = None
    buffering: int | None = None
    if bits.flag():
        bits.skip(1)
        for _ in range(4):
            bits.ue(16)
        reorder, buffering = bits.ue(16), bits.ue(16)
    return attrs.evolve(
        head,
        units_in_tick=units_in_tick,
        time_scale=time_scale,
        fixed_frame_rate=fixed,
        max_num_reorder_frames=reorder,
        max_dec_frame_buffering=buffering,
    )


def _decode_order(bits: BitReader) -> tuple[int, int, bool, int, int, tuple[int, ...]]:
    """Read pic_order_cnt_type and what hangs on it, in the order of `Sps`."""
    kind = bits.ue(2)
    if kind == 0:
        return kind, bits.ue(12) + 4, False, 0, 0, ()
    if kind == 2:
        return kind, 0, False, 0, 0, ()
    always_zero = bits.flag()
    non_ref, top_to_bottom = bits.se(), bits.se()
    offsets = tuple(bits.se() for _ in range(bits.ue(255)))
    return kind, 0, always_zero, non_ref, top_to_bottom, offsets


def _decode_crop(
    bits: BitReader, chroma_array_type: int, frame_mbs_only: bool
) -> tuple[int, int]:
    """Return the luma columns and rows that cropping takes (H.264 §7.4.2.1.1)."""
    left, right, top, bottom = (bits.ue(1 << 16) for _ in range(4))
    unit_x = 2 if chroma_array_type in (1, 2) else 1
    unit_y = (2 if chroma_array_type == 1 else 1) * (1 if frame_mbs_only else 2)
    return (left + right) * unit_x, (top + bottom) * unit_y


def decode_sps(unit: bytes) -> Sps:
    """Decode a sequence parameter set.

    Source: H.264 §7.3.2.1.1, §E.1.1.

    Args:
        unit: The NAL unit with its header, emulation prevention still in place.

    Raises:
        ProtocolError: Not an SPS, cut short, out of range, or a picture beyond
            `MAX_DIMENSION`.
    """
    source = "H.264 §7.3.2.1.1"
    if _unit_type(unit) not in (_SPS, _SUBSET_SPS):
        raise ProtocolError("not a sequence parameter set", source=source)
    bits = BitReader(unescape_rbsp(unit[1:]), source=source)
    profile_idc, flags, level_idc = bits.u(8), bits.u(8), bits.u(8)
    sps_id = bits.ue(31)
    chroma, separate, luma_depth, chroma_depth = 1, False, 8, 8
    if profile_idc in _CHROMA_PROFILES:
        chroma = bits.ue(3)
        separate = chroma == 3 and bits.flag()
        luma_depth, chroma_depth = 8 + bits.ue(6), 8 + bits.ue(6)
        bits.skip(1)
        if bits.flag():
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    log2_max_frame_num = bits.ue(12) + 4
    order = _decode_order(bits)
    max_num_ref_frames = bits.ue(16)
    bits.skip(1)
    columns, rows = bits.ue() + 1, bits.ue() + 1
    frame_mbs_only = bits.flag()
    if not frame_mbs_only:
        bits.skip(1)
    bits.skip(1)
    coded = (16 * columns, 16 * rows * (1 if frame_mbs_only else 2))
    check_size(*coded, source=source)
    crop = (0, 0)
    if bits.flag():
        crop = _decode_crop(bits, 0 if separate else chroma, frame_mbs_only)
    check_size(coded[0] - crop[0], coded[1] - crop[1], source=source)
    return Sps(
        profile_idc,
        flags,
        level_idc,
        sps_id,
        chroma,
        separate,
        luma_depth,
        chroma_depth,
        log2_max_frame_num,
        *order,
        max_num_ref_frames,
        frame_mbs_only,
        coded[0] - crop[0],
        coded[1] - crop[1],
        *coded,
        _decode_vui(bits) if bits.flag() else None,
    )


def decode_pps(unit: bytes) -> Pps:
    """Decode the head of a picture parameter set.

    Source: H.264 §7.3.2.2.

    Raises:
        ProtocolError: Not a PPS, cut short or out of range.
    """
    source = "H.264 §7.3.2.2"
    if _unit_type(unit) != _PPS:
        raise ProtocolError("not a picture parameter set", source=source)
    bits = BitReader(unescape_rbsp(unit[1:33]), source=source)
    return Pps(bits.ue(255), bits.ue(31), bits.flag(), bits.flag())
