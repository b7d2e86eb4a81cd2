"""AAC in LATM, the multiplex of MPEG-4 audio, and LOAS, its framing.

One programme, one layer, whole frames: all that broadcasters and FFmpeg send.
"""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .aac import read_asc
from .bits import BitReader, BitWriter

__all__ = [
    "LOAS_HEADER_SIZE",
    "StreamMuxConfig",
    "decode_audio_mux_element",
    "decode_loas_length",
    "encode_loas",
]

LOAS_HEADER_SIZE = 3
"""Octets of syncword and audioMuxLengthBytes."""

_SYNC = 0x2B7
_SOURCE = "ISO 14496-3 §1.7.3"


@attrs.frozen
class StreamMuxConfig:
    """StreamMuxConfig of one programme and layer (ISO 14496-3 §1.7.3.1)."""

    asc: bytes
    """AudioSpecificConfig, moved to an octet border."""
    sub_frames: int = 1
    """Frames in each AudioMuxElement."""
    other_data_bits: int = 0
    """Bits behind the frames that are no audio."""


def decode_loas_length(data: bytes, position: int = 0) -> int:
    """Return the octets of the AudioMuxElement behind a LOAS header.

    Source: ISO 14496-3 §1.7.2.

    Raises:
        ProtocolError: Cut short, or no syncword.
    """
    word = int.from_bytes(data[position : position + LOAS_HEADER_SIZE], "big")
    if len(data) - position < LOAS_HEADER_SIZE:
        raise ProtocolError(
            "LOAS header cut short", code="truncated", source="ISO 14496-3 §1.7.2"
        )
    if word >> 13 != _SYNC:
        raise ProtocolError("no LOAS syncword", source="ISO 14496-3 §1.7.2")
    return word & 0x1FFF


def _read_value(bits: BitReader) -> int:
    """Read LatmGetValue (ISO 14496-3 §1.7.3.1)."""
    count = bits.u(2) + 1
    return bits.u(8 * count)


def _read_configuration(bits: BitReader, version: int) -> bytes:
    """Read an AudioSpecificConfig and give its bits from an octet border on."""
    size = _read_value(bits) if version else None
    start = bits.position
    if size is None:
        read_asc(bits, to_the_end=False)
        size = bits.position - start
        bits.position = start
    pad = -size % 8
    return (bits.u(size) << pad).to_bytes((size + pad) // 8, "big")


def _read_stream_mux_config(bits: BitReader) -> StreamMuxConfig:
    version = bits.u(1)
    if version and bits.u(1):
        raise bits.error("audioMuxVersionA is reserved", code="unsupported")
    if version:
        _read_value(bits)
    bits.skip(1)
    sub_frames, programmes, layers = bits.u(6) + 1, bits.u(4), bits.u(3)
    if programmes or layers:
        raise bits.error("more than one programme or layer", code="unsupported")
    asc = _read_configuration(bits, version)
    if bits.u(3):
        raise bits.error("frames of fixed length", code="unsupported")
    bits.skip(8)
    other = 0
    if bits.flag():
        if version:
            other = _read_value(bits)
        else:
            more = True
            while more:
                more = bits.flag()
                other = other << 8 | bits.u(8)
                if other > 1 << 16:
                    raise bits.error("other data without end", code="limit")
    if bits.flag():
        bits.skip(8)
    return StreamMuxConfig(asc, sub_frames, other)


def decode_audio_mux_element(
    data: bytes, config: StreamMuxConfig | None
) -> tuple[StreamMuxConfig, list[bytes]]:
    """Return configuration and frames of an AudioMuxElement with muxConfigPresent.

    Source: ISO 14496-3 §1.7.3.1.

    Args:
        data: What stands behind the LOAS header.
        config: The one before, for elements that carry none.

    Raises:
        ProtocolError: Cut short, ``"unsupported"`` for several programmes or layers,
            or there is no configuration.
    """
    bits = BitReader(data, source=_SOURCE)
    if not bits.flag():
        config = _read_stream_mux_config(bits)
    if config is None:
        raise bits.error("no StreamMuxConfig yet", code="state")
    frames: list[bytes] = []
    for _ in range(config.sub_frames):
        size = 0
        octet = 255
        while octet == 255:
            octet = bits.u(8)
            size += octet
        frames.append(bits.u(8 * size).to_bytes(size, "big"))
    return config, frames


def encode_loas(asc: bytes, frame: bytes) -> bytes:
    """Return one frame in LOAS, its configuration with it.

    Source: ISO 14496-3 §1.7.2, §1.7.3.1.

    Args:
        asc: AudioSpecificConfig; an extension behind it is left out, as LATM without
            lengths has no place for one.
        frame: One raw frame.

    Raises:
        ProtocolError: The configuration is malformed.
        UsageError: The frame is too long for LOAS.
    """
    reader = BitReader(asc, source=_SOURCE)
    read_asc(reader, to_the_end=False)
    size = reader.position
    reader.position = 0
    bits = BitWriter().u(1, 0).u(1, 0).u(1, 1).u(6, 0).u(4, 0).u(3, 0)
    bits.u(size, reader.u(size)).u(3, 0).u(8, 0xFF).u(1, 0).u(1, 0)
    for _ in range(len(frame) // 255):
        bits.u(8, 255)
    element = bits.u(8, len(frame) % 255).put(frame).getvalue()
    if len(element) > 0x1FFF:
        raise UsageError(f"{len(element)} octets do not fit LOAS")
    return (_SYNC << 13 | len(element)).to_bytes(LOAS_HEADER_SIZE, "big") + element
