"""Video usability information: the part that H.264 and H.265 have in common."""

from __future__ import annotations

import attrs

from .bits import BitReader

__all__ = ["SAMPLE_ASPECT_RATIOS", "Vui", "decode_vui_head"]

SAMPLE_ASPECT_RATIOS: tuple[tuple[int, int], ...] = (
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
)
"""aspect_ratio_idc 0 to 16 (H.264 Table E-1, H.265 Table E.1)."""

_EXTENDED_SAR = 255


@attrs.frozen
class Vui:
    """The usability information that a server has a use for (annex E of each)."""

    sample_aspect_ratio: tuple[int, int] | None = None
    """Width and height of a sample; None if unspecified."""
    full_range: bool = False
    colour_primaries: int = 2
    transfer_characteristics: int = 2
    matrix_coefficients: int = 2
    units_in_tick: int = 0
    """0 without timing information."""
    time_scale: int = 0
    """0 without timing information."""
    fixed_frame_rate: bool = False
    """H.264 only."""
    max_num_reorder_frames: int | None = None
    """H.264 only; None if there is no bitstream restriction."""
    max_dec_frame_buffering: int | None = None
    """H.264 only; None if there is no bitstream restriction."""
    field_seq: bool = False
    """H.265 only: each picture is a field."""
    min_spatial_segmentation_idc: int = 0
    """H.265 only."""


def decode_vui_head(bits: BitReader) -> Vui:
    """Read from aspect_ratio_info_present_flag to the chroma sample locations.

    Source: H.264 §E.1.1, H.265 §E.2.1.

    Raises:
        ProtocolError: Cut short or out of range.
    """
    ratio: tuple[int, int] = (0, 0)
    if bits.flag():
        idc = bits.u(8)
        if idc == _EXTENDED_SAR:
            ratio = (bits.u(16), bits.u(16))
        elif idc < len(SAMPLE_ASPECT_RATIOS):
            ratio = SAMPLE_ASPECT_RATIOS[idc]
    if bits.flag():
        bits.skip(1)
    full_range, colour = False, (2, 2, 2)
    if bits.flag():
        bits.skip(3)
        full_range = bits.flag()
        if bits.flag():
            colour = (bits.u(8), bits.u(8), bits.u(8))
    if bits.flag():
        bits.ue(5)
        bits.ue(5)
    return Vui(ratio if all(ratio) else None, full_range, *colour)
