"""VP8: the frame header."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError

from .codec import Codec
from .parameters import VideoParameters, check_size

__all__ = [
    "FrameHeader",
    "decode_frame_header",
    "is_random_access",
    "parameters_from_frame_header",
]

_START_CODE = b"\x9d\x01\x2a"
_SOURCE = "RFC 6386 §9.1"


@attrs.define
class FrameHeader:
    """Frame tag, and the start of a key frame (RFC 6386 §9.1)."""

    key_frame: bool
    version: int
    """0 to 3: which reconstruction and loop filter."""
    show_frame: bool
    first_partition_size: int
    width: int = 0
    """0 unless a key frame."""
    height: int = 0
    """0 unless a key frame."""
    horizontal_scale: int = 0
    """0: none, 1: 5/4, 2: 5/3, 3: 2."""
    vertical_scale: int = 0
    """0: none, 1: 5/4, 2: 5/3, 3: 2."""


def decode_frame_header(data: bytes) -> FrameHeader:
    """Decode the uncompressed chunk at the front of a frame: 3 or 10 octets.

    Source: RFC 6386 §9.1, §19.1.

    Raises:
        ProtocolError: Cut short, no start code, or a picture beyond `MAX_DIMENSION`.
    """
    if len(data) < 3:
        raise ProtocolError("frame tag cut short", code="truncated", source=_SOURCE)
    tag = int.from_bytes(data[:3], "little")
    header = FrameHeader(not tag & 1, tag >> 1 & 7, bool(tag & 16), tag >> 5)
    if not header.key_frame:
        return header
    if len(data) < 10:
        raise ProtocolError("key frame cut short", code="truncated", source=_SOURCE)
    if data[3:6] != _START_CODE:
        raise ProtocolError("no key frame start code", source=_SOURCE)
    width = int.from_bytes(data[6:8], "little")
    height = int.from_bytes(data[8:10], "little")
    header.width, header.horizontal_scale = width & 0x3FFF, width >> 14
    header.height, header.vertical_scale = height & 0x3FFF, height >> 14
    check_size(header.width, header.height, source=_SOURCE)
    return header


def is_random_access(frame: bytes) -> bool:
    """Tell whether the frame is a key frame. Source: RFC 6386 §9.1."""
    return len(frame) >= 10 and not frame[0] & 1 and frame[3:6] == _START_CODE


def parameters_from_frame_header(header: FrameHeader) -> VideoParameters:
    """Return the track parameters that a key frame gives."""
    return VideoParameters(
        Codec.VP8,
        header.width,
        header.height,
        f"Profile {header.version}",
        "",
        None,
        8,
        "4:2:0",
        "vp8",
    )
