"""Codec ids of FLV and Enhanced RTMP, on one scale, and the codecs they mean.

A codec id is an ``int`` as ``onMetaData`` writes it: the FourCC read big-endian
("av01" is 0x61763031), or the legacy number where no FourCC exists. H.264 is
`VideoCodecId.AVC` whether it came as legacy codec 7 or as "avc1", so consumers have one
name for it; a number nobody here knows stays itself and can be passed on.
"""

from __future__ import annotations

import enum
from typing import Final

from sansmedia.codecs.codec import Codec

__all__ = [
    "AudioCodecId",
    "VideoCodecId",
    "audio_codec",
    "audio_codec_id",
    "fourcc",
    "fourcc_text",
    "video_codec",
    "video_codec_id",
]


def fourcc(text: str) -> int:
    """Return the number of a FourCC: ``fourcc("Opus") == 0x4F707573``.

    Source: E-RTMP v2 "Enhancing onMetaData".
    """
    return int.from_bytes(text.encode("latin-1"), "big")


def fourcc_text(codec_id: int) -> str:
    """Return the four characters of a FourCC, or the number of a legacy codec."""
    if codec_id < 0x100:
        return str(codec_id)
    return codec_id.to_bytes(4, "big").decode("latin-1")


class VideoCodecId(enum.IntEnum):
    """VideoFourCc, and the VideoCodecId values that no FourCC replaces.

    Source: E-RTMP v2 "Enhanced Video", FLV 10.1 §E.4.3.1.
    """

    SORENSON_H263 = 2
    SCREEN = 3
    VP6 = 4
    VP6_ALPHA = 5
    SCREEN_V2 = 6
    AVC = 0x61766331
    """"avc1", and legacy codec 7."""
    HEVC = 0x68766331
    """"hvc1", and codec 12 of the Chinese extension to the legacy form."""
    AV1 = 0x61763031
    VP9 = 0x76703039
    VP8 = 0x76703038
    VVC = 0x76766331


class AudioCodecId(enum.IntEnum):
    """AudioFourCc, and the SoundFormat values that no FourCC replaces.

    Source: E-RTMP v2 "Enhanced Audio", FLV 10.1 §E.4.2.1.
    """

    PCM_PLATFORM_ENDIAN = 0
    ADPCM = 1
    PCM_LITTLE_ENDIAN = 3
    NELLYMOSER_16K = 4
    NELLYMOSER_8K = 5
    NELLYMOSER = 6
    G711_A_LAW = 7
    G711_MU_LAW = 8
    SPEEX = 11
    MP3_8K = 14
    NATIVE = 15
    AAC = 0x6D703461
    """"mp4a", and legacy format 10."""
    MP3 = 0x2E6D7033
    """".mp3", and legacy format 2."""
    OPUS = 0x4F707573
    FLAC = 0x664C6143
    AC3 = 0x61632D33
    EAC3 = 0x65632D33


LEGACY_VIDEO: Final[tuple[int, ...]] = (
    *range(7),
    VideoCodecId.AVC,
    *range(8, 12),
    VideoCodecId.HEVC,
    *range(13, 16),
)
"""Codec id of each legacy VideoCodecId."""
LEGACY_AUDIO: Final[tuple[int, ...]] = (
    *range(2),
    AudioCodecId.MP3,
    *range(3, 10),
    AudioCodecId.AAC,
    *range(11, 16),
)
"""Codec id of each legacy SoundFormat; 9 marks the enhanced form and is no codec."""

_VIDEO: Final[dict[int, Codec]] = {
    VideoCodecId.AVC: Codec.H264,
    VideoCodecId.HEVC: Codec.H265,
    VideoCodecId.AV1: Codec.AV1,
    VideoCodecId.VP9: Codec.VP9,
    VideoCodecId.VP8: Codec.VP8,
}
_AUDIO: Final[dict[int, Codec]] = {
    AudioCodecId.AAC: Codec.AAC,
    AudioCodecId.MP3: Codec.MP3,
    AudioCodecId.MP3_8K: Codec.MP3,
    AudioCodecId.OPUS: Codec.OPUS,
    AudioCodecId.FLAC: Codec.FLAC,
    AudioCodecId.AC3: Codec.AC3,
    AudioCodecId.EAC3: Codec.EAC3,
    AudioCodecId.G711_A_LAW: Codec.PCM_ALAW,
    AudioCodecId.G711_MU_LAW: Codec.PCM_MULAW,
    AudioCodecId.SPEEX: Codec.SPEEX,
}
_VIDEO_IDS: Final = {codec: VideoCodecId(number) for number, codec in _VIDEO.items()}
_AUDIO_IDS: Final = {
    codec: AudioCodecId(number)
    for number, codec in _AUDIO.items()
    if number != AudioCodecId.MP3_8K
}


def video_codec(codec_id: int) -> Codec | None:
    """Return the codec of a video codec id, or None for one not carried here."""
    return _VIDEO.get(codec_id)


def audio_codec(codec_id: int) -> Codec | None:
    """Return the codec of an audio codec id, or None for one not carried here."""
    return _AUDIO.get(codec_id)


def video_codec_id(codec: Codec) -> VideoCodecId | None:
    """Return the codec id to write for a video codec, or None if FLV has none."""
    return _VIDEO_IDS.get(codec)


def audio_codec_id(codec: Codec) -> AudioCodecId | None:
    """Return the codec id to write for an audio codec, or None if FLV has none."""
    return _AUDIO_IDS.get(codec)
