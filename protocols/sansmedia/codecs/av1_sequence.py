"""The AV1 sequence header; `sansmedia.codecs.av1` gives these names again."""

from __future__ import annotations

from fractions import Fraction

import attrs

from .bits import BitReader
from .parameters import check_size, nominal_rate

__all__ = [
    "ColorConfig",
    "OperatingPoint",
    "SequenceHeader",
    "decode_sequence_header",
]

_SRGB = (1, 13, 0)
"""BT.709 primaries, sRGB transfer, identity matrix: always 4:4:4."""


@attrs.frozen
class ColorConfig:
    """color_config (AV1 §5.5.2)."""

    bit_depth: int
    monochrome: bool
    color_primaries: int
    transfer_characteristics: int
    matrix_coefficients: int
    full_range: bool
    subsampling_x: bool
    subsampling_y: bool
    chroma_sample_position: int

    @property
    def chroma(self) -> str:
        """One of `CHROMA_FORMATS`."""
        if self.monochrome:
            return "4:0:0"
        if not self.subsampling_x:
            return "4:4:4"
        return "4:2:0" if self.subsampling_y else "4:2:2"


@attrs.frozen
class OperatingPoint:
    """One choice of layers with what it takes to decode it."""

    idc: int
    """Layers: temporal in bits 0 to 7, spatial in bits 8 to 11; 0: everything."""
    level_idx: int
    tier: int


@attrs.frozen
class SequenceHeader:
    """sequence_header_obu (AV1 §5.5.1)."""

    profile: int
    still_picture: bool
    reduced_still_picture_header: bool
    time_scale: int
    """0 without timing information."""
    units_in_display_tick: int
    ticks_per_picture: int
    """0 unless pictures come at equal intervals."""
    operating_points: tuple[OperatingPoint, ...]
    max_frame_width: int
    max_frame_height: int
    color: ColorConfig
    film_grain_params_present: bool

    @property
    def frame_rate(self) -> Fraction | None:
        """Pictures a second; None unless they come at equal intervals."""
        return nominal_rate(
            self.time_scale, self.units_in_display_tick * self.ticks_per_picture
        )


def _decode_color(bits: BitReader, profile: int) -> ColorConfig:
    high = bits.flag()
    twelve = profile == 2 and high and bits.flag()
    depth = 12 if twelve else 10 if high else 8
    mono = profile != 1 and bits.flag()
    colour = (2, 2, 2)
    if bits.flag():
        colour = (bits.u(8), bits.u(8), bits.u(8))
    if mono:
        return ColorConfig(depth, True, *colour, bits.flag(), True, True, 0)
    position = 0
    if colour == _SRGB:
        full_range, sub_x, sub_y = True, False, False
        if profile == 0:
            raise bits.error("identity matrix in the Main profile")
    else:
        full_range = bits.flag()
        sub_x, sub_y = profile != 1, profile == 0
        if profile == 2 and depth == 12:
            sub_x = bits.flag()
            sub_y = sub_x and bits.flag()
        if sub_x and sub_y:
            position = bits.u(2)
    bits.skip(1)
    return ColorConfig(depth, False, *colour, full_range, sub_x, sub_y, position)


def _decode_operating_points(
    bits: BitReader, delay_length: int
) -> tuple[OperatingPoint, ...]:
    """Read the operating points; ``delay_length`` 0 means no decoder model."""
    display_delay_present = bits.flag()
    points: list[OperatingPoint] = []
    for _ in range(bits.u(5) + 1):
        idc, level = bits.u(12), bits.u(5)
        tier = bits.u(1) if level > 7 else 0
        if delay_length and bits.flag():
            bits.skip(2 * delay_length + 1)
        if display_delay_present and bits.flag():
            bits.skip(4)
        points.append(OperatingPoint(idc, level, tier))
    return tuple(points)


def _skip_tools(bits: BitReader) -> None:
    """Pass over the tools that a reduced still picture header leaves out."""
    bits.skip(4)
    order_hint = bits.flag()
    if order_hint:
        bits.skip(2)
    screen_content = 2 if bits.flag() else bits.u(1)
    if screen_content and not bits.flag():
        bits.skip(1)
    if order_hint:
        bits.skip(3)


def decode_sequence_header(payload: bytes) -> SequenceHeader:
    """Decode a sequence header.

    Source: AV1 §5.5.

    Args:
        payload: The OBU without header and size.

    Raises:
        ProtocolError: Cut short, a reserved profile, or a picture beyond
            `MAX_DIMENSION`.
    """
    bits = BitReader(payload, source="AV1 §5.5")
    profile = bits.u(3)
    if profile > 2:
        raise bits.error(f"reserved profile {profile}")
    still, reduced = bits.flag(), bits.flag()
    units_in_tick = time_scale = ticks_per_picture = 0
    delay_length = 0
    if reduced:
        points: tuple[OperatingPoint, ...] = (OperatingPoint(0, bits.u(5), 0),)
    else:
        if bits.flag():
            units_in_tick, time_scale = bits.u(32), bits.u(32)
            if bits.flag():
                # uvlc() differs from ue(v) in one code, a rate below one a year.
                ticks_per_picture = bits.ue() + 1
            if bits.flag():
                delay_length = bits.u(5) + 1
                bits.skip(32 + 5 + 5)
        points = _decode_operating_points(bits, delay_length)
    width_bits, height_bits = bits.u(4) + 1, bits.u(4) + 1
    width, height = bits.u(width_bits) + 1, bits.u(height_bits) + 1
    check_size(width, height, source="AV1 §5.5")
    if not reduced and bits.flag():
        bits.skip(7)
    bits.skip(3)
    if not reduced:
        _skip_tools(bits)
    bits.skip(3)
    color = _decode_color(bits, profile)
    return SequenceHeader(
        profile,
        still,
        reduced,
        time_scale,
        units_in_tick,
        ticks_per_picture,
        points,
        width,
        height,
        color,
        bits.flag(),
    )
