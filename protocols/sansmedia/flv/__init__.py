"""FLV: the file's tags, and the tag bodies that RTMP messages carry too.

Enhanced RTMP v2 whole: FourCC codecs, multitrack, ModEx with nanosecond offsets,
multichannel audio, colour metadata, capability flags. Legacy and enhanced bodies decode
to one model (`VideoBody`, `AudioBody`), and encoding a decoded body gives the same
octets again wherever they were written the usual way.

Sources: "Adobe Flash Video File Format Specification, Version 10.1" (FLV 10.1) and
"Enhanced RTMP (V2)", version v2-2026-01-31-r2 (E-RTMP v2).
"""

from .audio import (
    AudioBody,
    AudioPacket,
    AudioPacketType,
    decode_audio_body,
    encode_audio_body,
)
from .capabilities import (
    ANY_FOURCC,
    CapsExMask,
    FourCcInfoMask,
    VideoFunction,
    fourcc_info,
)
from .channels import (
    AudioChannel,
    AudioChannelMask,
    AudioChannelOrder,
    MultichannelConfig,
    decode_multichannel_config,
    encode_multichannel_config,
)
from .enhanced import AvMultitrackType, ModEx, timestamp_offset_nano
from .fourcc import (
    AudioCodecId,
    VideoCodecId,
    audio_codec,
    audio_codec_id,
    fourcc,
    fourcc_text,
    video_codec,
    video_codec_id,
)
from .metadata import (
    COLOR_INFO,
    ON_META_DATA,
    SET_DATA_FRAME,
    AudioTrackInfo,
    ColorConfig,
    ColorInfo,
    HdrCll,
    HdrMdcv,
    Metadata,
    VideoTrackInfo,
    decode_color_info,
    decode_metadata,
)
from .tags import (
    DemuxerStatistics,
    FlvDemuxer,
    Header,
    Limits,
    Tag,
    TagType,
    encode_header,
    encode_tag,
)
from .video import (
    VideoBody,
    VideoCommand,
    VideoFrameType,
    VideoPacket,
    VideoPacketType,
    decode_video_body,
    encode_video_body,
)

__all__ = [
    "ANY_FOURCC",
    "COLOR_INFO",
    "ON_META_DATA",
    "SET_DATA_FRAME",
    "AudioBody",
    "AudioChannel",
    "AudioChannelMask",
    "AudioChannelOrder",
    "AudioCodecId",
    "AudioPacket",
    "AudioPacketType",
    "AudioTrackInfo",
    "AvMultitrackType",
    "CapsExMask",
    "ColorConfig",
    "ColorInfo",
    "DemuxerStatistics",
    "FlvDemuxer",
    "FourCcInfoMask",
    "HdrCll",
    "HdrMdcv",
    "Header",
    "Limits",
    "Metadata",
    "ModEx",
    "MultichannelConfig",
    "Tag",
    "TagType",
    "VideoBody",
    "VideoCodecId",
    "VideoCommand",
    "VideoFrameType",
    "VideoFunction",
    "VideoPacket",
    "VideoPacketType",
    "VideoTrackInfo",
    "audio_codec",
    "audio_codec_id",
    "decode_audio_body",
    "decode_color_info",
    "decode_metadata",
    "decode_multichannel_config",
    "decode_video_body",
    "encode_audio_body",
    "encode_header",
    "encode_multichannel_config",
    "encode_tag",
    "encode_video_body",
    "fourcc",
    "fourcc_info",
    "fourcc_text",
    "timestamp_offset_nano",
    "video_codec",
    "video_codec_id",
]
