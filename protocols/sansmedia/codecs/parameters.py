"""What a player, a dashboard or a container wants to know about a track."""

from __future__ import annotations

from fractions import Fraction

import attrs

from sansmedia.sansio import ProtocolError

from .codec import Codec

__all__ = [
    "CHROMA_FORMATS",
    "MAX_DIMENSION",
    "MAX_FRAME_RATE",
    "AudioParameters",
    "VideoParameters",
    "check_size",
    "nominal_rate",
]

MAX_DIMENSION = 16384
"""Widest and tallest picture accepted, in luma samples."""
MAX_FRAME_RATE = 1000
"""A declared rate above this is taken for no declaration at all."""
CHROMA_FORMATS = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
"""Names of chroma_format_idc 0 to 3 (H.264 §6.2, H.265 §6.2)."""


@attrs.frozen
class VideoParameters:
    """Size, profile and rate of a video track."""

    codec: Codec
    width: int
    """Luma samples after cropping; 0 if the configuration does not say."""
    height: int
    """Luma samples after cropping; 0 if the configuration does not say."""
    profile: str
    """The specification's name, for example ``"High 4:2:2"``."""
    level: str
    """The specification's name, for example ``"3.1"``; empty if not declared."""
    frame_rate: Fraction | None
    """Nominal frames (not fields) a second; None if not declared."""
    bit_depth: int
    """Bits of a luma sample."""
    chroma: str
    """One of `CHROMA_FORMATS`, or ``"4:4:0"`` (VP9 only)."""
    rfc6381: str
    """The value for a ``codecs`` parameter, sample entry first."""


@attrs.frozen
class AudioParameters:
    """Rate, channels and framing of an audio track."""

    codec: Codec
    sample_rate: int
    """Samples a second as a decoder puts them out."""
    channels: int
    """Channels as a decoder puts them out."""
    profile: str
    """The specification's name, for example ``"LC"``; empty if there is none."""
    frame_samples: int | None
    """Samples a frame, counted at ``sample_rate``; None if frames vary."""
    rfc6381: str
    """The value for a ``codecs`` parameter, sample entry first."""


def check_size(width: int, height: int, *, source: str) -> None:
    """Refuse an empty picture, or one wider or taller than `MAX_DIMENSION`.

    Raises:
        ProtocolError: ``code="limit"`` if too large, ``"malformed"`` if empty.
    """
    if width < 1 or height < 1:
        raise ProtocolError(f"empty picture of {width}x{height}", source=source)
    if width > MAX_DIMENSION or height > MAX_DIMENSION:
        raise ProtocolError(
            f"picture of {width}x{height} exceeds {MAX_DIMENSION}",
            code="limit",
            source=source,
        )


def nominal_rate(time_scale: int, units_in_tick: int) -> Fraction | None:
    """Return ``time_scale / units_in_tick``, or None if that is no credible rate."""
    if time_scale < 1 or units_in_tick < 1:
        return None
    rate = Fraction(time_scale, units_in_tick)
    return rate if rate <= MAX_FRAME_RATE else None
