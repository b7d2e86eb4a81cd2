"""FLAC: STREAMINFO and where containers keep it."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError, Reader

from .bits import BitReader, BitWriter
from .codec import Codec
from .parameters import AudioParameters

__all__ = [
    "StreamInfo",
    "decode_streaminfo",
    "encode_streaminfo",
    "parameters",
    "streaminfo_of",
]

STREAMINFO_SIZE = 34
"""Octets of STREAMINFO without its block header."""

_SOURCE = "RFC 9639 §8.2"


@attrs.frozen
class StreamInfo:
    """The STREAMINFO metadata block (RFC 9639 §8.2)."""

    min_block_size: int
    max_block_size: int
    min_frame_size: int
    """0: unknown."""
    max_frame_size: int
    """0: unknown."""
    sample_rate: int
    channels: int
    bits_per_sample: int
    total_samples: int
    """0: unknown."""
    md5: bytes
    """Of the unencoded samples; zeros: unknown."""


def decode_streaminfo(data: bytes) -> StreamInfo:
    """Decode the 34 octets of STREAMINFO.

    Source: RFC 9639 §8.2.

    Raises:
        ProtocolError: Cut short, a rate of 0, or fewer than 4 bits a sample.
    """
    reader = Reader(data, source=_SOURCE)
    bits = BitReader(reader.take(18), source=_SOURCE)
    info = StreamInfo(
        bits.u(16),
        bits.u(16),
        bits.u(24),
        bits.u(24),
        bits.u(20),
        bits.u(3) + 1,
        bits.u(5) + 1,
        bits.u(36),
        reader.take(16),
    )
    if not info.sample_rate or info.bits_per_sample < 4:
        raise ProtocolError("no rate or no bits", source=_SOURCE)
    return info


def encode_streaminfo(info: StreamInfo) -> bytes:
    """Encode the 34 octets of STREAMINFO. Source: RFC 9639 §8.2."""
    bits = BitWriter().u(16, info.min_block_size).u(16, info.max_block_size)
    bits.u(24, info.min_frame_size).u(24, info.max_frame_size)
    bits.u(20, info.sample_rate).u(3, info.channels - 1)
    bits.u(5, info.bits_per_sample - 1).u(36, info.total_samples)
    return bits.getvalue() + info.md5


def streaminfo_of(configuration: bytes) -> bytes:
    """Return the 34 octets of STREAMINFO, whichever way a container wraps them.

    They come alone, as a metadata block, or as a block after the ``fLaC`` marker.

    Source: RFC 9639 §6, §8.1.

    Raises:
        ProtocolError: The first block is no STREAMINFO, or cut short.
    """
    data = configuration.removeprefix(b"fLaC")
    if len(configuration) == STREAMINFO_SIZE:
        return configuration
    reader = Reader(data, source=_SOURCE)
    if reader.u8() & 0x7F or reader.u24() != STREAMINFO_SIZE:
        raise ProtocolError("STREAMINFO does not come first", source="RFC 9639 §8.1")
    return reader.take(STREAMINFO_SIZE)


def parameters(configuration: bytes) -> AudioParameters:
    """Return the track parameters of a configuration in any form of `streaminfo_of`.

    Source: RFC 9639 §8.2.

    Raises:
        ProtocolError: The configuration is malformed.
    """
    info = decode_streaminfo(streaminfo_of(configuration))
    fixed = info.min_block_size == info.max_block_size
    return AudioParameters(
        Codec.FLAC,
        info.sample_rate,
        info.channels,
        "",
        info.max_block_size if fixed else None,
        "flac",
    )
