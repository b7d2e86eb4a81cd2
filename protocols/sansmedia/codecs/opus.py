"""Opus: the identification header, its form in ISO BMFF, and packet durations.

Opus always decodes at 48 kHz; every duration here counts samples at that rate.
"""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .codec import Codec
from .parameters import AudioParameters

__all__ = [
    "SAMPLE_RATE",
    "OpusHead",
    "decode_dops",
    "decode_opus_head",
    "encode_dops",
    "encode_opus_head",
    "packet_channels",
    "packet_duration",
    "parameters",
]

SAMPLE_RATE = 48000
"""Rate of every Opus time stamp."""
MAX_PACKET_DURATION = 5760
"""Samples in one packet: 120 ms (RFC 6716 §3.2.5)."""

_MAGIC = b"OpusHead"
_FRAME_DURATIONS = (
    *(480, 960, 1920, 2880) * 3,
    *(480, 960) * 2,
    *(120, 240, 480, 960) * 4,
)
"""Samples a frame by TOC configuration 0 to 31 (RFC 6716 Table 2)."""


@attrs.frozen
class OpusHead:
    """The identification header (RFC 7845 §5.1)."""

    channels: int
    pre_skip: int = 312
    """Samples at 48 kHz to drop at the start."""
    input_sample_rate: int = 48000
    """Of the original, for information; 0: unknown."""
    output_gain: int = 0
    """Q7.8 decibels, signed."""
    mapping_family: int = 0
    stream_count: int = 1
    coupled_count: int = 0
    """How many of the streams are stereo; for family 0 one less than channels."""
    channel_mapping: bytes = b""
    """Decoded channel of each output channel; empty for family 0."""
    version: int = 1


def _read_mapping(reader: Reader, head: OpusHead) -> OpusHead:
    """Read from the mapping family on, alike in both forms (RFC 7845 §5.1.1)."""
    family = reader.u8()
    if family == 0:
        if head.channels > 2:
            raise ProtocolError(
                f"{head.channels} channels in mapping family 0",
                source="RFC 7845 §5.1.1",
            )
        return attrs.evolve(head, coupled_count=head.channels - 1)
    streams, coupled = reader.u8(), reader.u8()
    mapping = reader.take(head.channels)
    if not streams or coupled > streams or streams + coupled > 255:
        raise ProtocolError("impossible stream counts", source="RFC 7845 §5.1.1")
    if any(value != 255 and value >= streams + coupled for value in mapping):
        raise ProtocolError("mapping names no channel", source="RFC 7845 §5.1.1")
    return attrs.evolve(
        head,
        mapping_family=family,
        stream_count=streams,
        coupled_count=coupled,
        channel_mapping=mapping,
    )


def _write_mapping(writer: Writer, head: OpusHead) -> bytes:
    writer.u8(head.mapping_family)
    if head.mapping_family:
        if len(head.channel_mapping) != head.channels:
            raise UsageError("a mapping entry for each channel, no more and no less")
        writer.u8(head.stream_count).u8(head.coupled_count).put(head.channel_mapping)
    return writer.getvalue()


def _signed16(value: int) -> int:
    return value - 0x10000 if value & 0x8000 else value


def decode_opus_head(data: bytes) -> OpusHead:
    """Decode an identification header, magic included.

    Source: RFC 7845 §5.1.

    Raises:
        ProtocolError: Wrong magic, an incompatible version, no channels, an impossible
            mapping, or cut short.
    """
    source = "RFC 7845 §5.1"
    reader = Reader(data, source=source)
    if reader.take(8) != _MAGIC:
        raise ProtocolError("no OpusHead", source=source)
    version, channels = reader.u8(), reader.u8()
    if version & 0xF0:
        raise ProtocolError(f"version {version}", code="version", source=source)
    if not channels:
        raise ProtocolError("no channels", source=source)
    pre_skip, rate = reader.u16_le(), reader.u32_le()
    head = OpusHead(channels, pre_skip, rate, _signed16(reader.u16_le()))
    return _read_mapping(reader, attrs.evolve(head, version=version))


def encode_opus_head(head: OpusHead) -> bytes:
    """Encode an identification header, magic included. Source: RFC 7845 §5.1."""
    writer = Writer().put(_MAGIC).u8(head.version).u8(head.channels)
    writer.put(head.pre_skip.to_bytes(2, "little")).u32_le(head.input_sample_rate)
    writer.put((head.output_gain & 0xFFFF).to_bytes(2, "little"))
    return _write_mapping(writer, head)


def decode_dops(data: bytes) -> OpusHead:
    """Decode an OpusSpecificBox (body of the ``dOps`` box).

    Source: Opus in ISO BMFF §4.3.2.

    Raises:
        ProtocolError: Another version, no channels, an impossible mapping, cut short.
    """
    source = "Opus in ISO BMFF §4.3.2"
    reader = Reader(data, source=source)
    version, channels = reader.u8(), reader.u8()
    if version:
        raise ProtocolError(f"dOps version {version}", code="version", source=source)
    if not channels:
        raise ProtocolError("no channels", source=source)
    pre_skip, rate = reader.u16(), reader.u32()
    head = OpusHead(channels, pre_skip, rate, _signed16(reader.u16()))
    return _read_mapping(reader, head)


def encode_dops(head: OpusHead) -> bytes:
    """Encode an OpusSpecificBox (body of ``dOps``). Source: Opus in ISO BMFF §4.3.2."""
    writer = Writer().u8(0).u8(head.channels).u16(head.pre_skip)
    writer.u32(head.input_sample_rate).u16(head.output_gain & 0xFFFF)
    return _write_mapping(writer, head)


def packet_channels(packet: bytes) -> int:
    """Return 1 or 2: what the packet codes, whatever the track puts out.

    Source: RFC 6716 §3.1.

    Raises:
        ProtocolError: The packet is empty.
    """
    if not packet:
        raise ProtocolError("empty packet", code="truncated", source="RFC 6716 §3.1")
    return 2 if packet[0] & 4 else 1


def packet_duration(packet: bytes) -> int:
    """Return the samples, at 48 kHz, that a packet decodes to.

    Source: RFC 6716 §3.1, §3.2.

    Raises:
        ProtocolError: Empty, cut short before its frame count, no frames, or longer
            than 120 ms.
    """
    source = "RFC 6716 §3"
    if not packet:
        raise ProtocolError("empty packet", code="truncated", source=source)
    toc = packet[0]
    code = toc & 3
    if code == 3:
        if len(packet) < 2:
            raise ProtocolError("no frame count", code="truncated", source=source)
        count = packet[1] & 0x3F
    else:
        count = 2 if code else 1
    duration = count * _FRAME_DURATIONS[toc >> 3]
    if not 0 < duration <= MAX_PACKET_DURATION:
        raise ProtocolError(f"packet of {duration} samples", source=source)
    return duration


def parameters(opus_head: bytes) -> AudioParameters:
    """Return the track parameters of an identification header.

    Source: RFC 7845 §5.1.

    Raises:
        ProtocolError: The header is malformed.
    """
    head = decode_opus_head(opus_head)
    return AudioParameters(Codec.OPUS, SAMPLE_RATE, head.channels, "", None, "opus")
