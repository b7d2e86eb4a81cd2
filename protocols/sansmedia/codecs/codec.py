"""The names of the codecs that this project carries."""

from __future__ import annotations

import enum

__all__ = ["Codec"]


class Codec(enum.Enum):
    """A codec, whatever container or protocol carries it."""

    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"
    VP8 = "vp8"
    VP9 = "vp9"
    AAC = "aac"
    OPUS = "opus"
    MP3 = "mp3"
    FLAC = "flac"
    AC3 = "ac3"
    EAC3 = "eac3"
    PCM_ALAW = "pcm_alaw"
    PCM_MULAW = "pcm_mulaw"
    G722 = "g722"
    SPEEX = "speex"

    @property
    def is_video(self) -> bool:
        """True for a picture codec, False for a sound codec."""
        return self in _VIDEO


_VIDEO = frozenset({Codec.H264, Codec.H265, Codec.AV1, Codec.VP8, Codec.VP9})
