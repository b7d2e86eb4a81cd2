"""What a stream_type and its descriptors stand for."""

from __future__ import annotations

import enum

from sansmedia.codecs import Codec

from .descriptors import (
    Descriptor,
    DescriptorTag,
    find_descriptor,
    metadata_format,
    registration_of,
)

__all__ = ["DataFormat", "StreamType", "identify"]


class StreamType(enum.IntEnum):
    """stream_type values that matter here (ISO 13818-1 §2.4.4.9)."""

    MPEG1_AUDIO = 0x03
    MPEG2_AUDIO = 0x04
    PRIVATE_PES = 0x06
    ADTS = 0x0F
    LATM = 0x11
    METADATA_PES = 0x15
    H264 = 0x1B
    H265 = 0x24
    ATSC_AC3 = 0x81
    ATSC_EAC3 = 0x87


class DataFormat(enum.Enum):
    """What a track carries that is neither picture nor sound."""

    KLV = "klv"
    """SMPTE 336 key-length-value, related to the pictures by nearness alone."""
    KLV_SYNCHRONOUS = "klv_synchronous"
    """The same in metadata access units with times of their own."""
    ID3 = "id3"
    """ID3 tags, as HTTP Live Streaming has them."""


_BY_TYPE: dict[int, Codec] = {
    StreamType.MPEG1_AUDIO: Codec.MP3,
    StreamType.MPEG2_AUDIO: Codec.MP3,
    StreamType.ADTS: Codec.AAC,
    StreamType.LATM: Codec.AAC,
    StreamType.H264: Codec.H264,
    StreamType.H265: Codec.H265,
    StreamType.ATSC_AC3: Codec.AC3,
    StreamType.ATSC_EAC3: Codec.EAC3,
}
_BY_REGISTRATION: dict[bytes, Codec | DataFormat] = {
    b"AC-3": Codec.AC3,
    b"EAC3": Codec.EAC3,
    b"Opus": Codec.OPUS,
    b"AV01": Codec.AV1,
    b"AV1G": Codec.AV1,  # GStreamer's own mapping: OBUs without start codes
    b"HEVC": Codec.H265,
    b"KLVA": DataFormat.KLV,
}
_BY_DVB_TAG = (
    (DescriptorTag.DVB_AC3, Codec.AC3),
    (DescriptorTag.DVB_ENHANCED_AC3, Codec.EAC3),
)
_BY_METADATA = {
    b"KLVA": DataFormat.KLV_SYNCHRONOUS,
    b"ID3 ": DataFormat.ID3,
}


def identify(
    stream_type: int, descriptors: tuple[Descriptor, ...]
) -> Codec | DataFormat | None:
    """Return what a stream carries, or None if this library does not know it.

    Source: ISO 13818-1 §2.4.4.9; ATSC A/52 §A.3, §A.4 (AC-3 and E-AC-3 by stream_type
    in ATSC, by descriptor in DVB).

    Args:
        stream_type: From the PMT.
        descriptors: Of the stream, from the PMT.
    """
    if stream_type == StreamType.METADATA_PES:
        identifier = metadata_format(descriptors) or registration_of(descriptors)
        return _BY_METADATA.get(identifier)
    if stream_type == StreamType.PRIVATE_PES:
        known = _BY_REGISTRATION.get(registration_of(descriptors))
        if known is not None:
            return known
        for tag, codec in _BY_DVB_TAG:
            if find_descriptor(descriptors, tag) is not None:
                return codec
        return None
    return _BY_TYPE.get(stream_type)
