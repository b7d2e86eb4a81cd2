"""A track: one elementary stream of a publication and how to decode it."""

from __future__ import annotations

import enum

import attrs
from sansmedia.codecs import AudioParameters, Codec, VideoParameters

__all__ = ["Track", "TrackKind"]


class TrackKind(enum.Enum):
    """What a track carries."""

    VIDEO = "video"
    AUDIO = "audio"
    DATA = "data"

    # Members are one of a kind; Enum's own takes 0.15 µs, some ten times a packet run.
    __hash__ = object.__hash__


@attrs.frozen(eq=False)
class Track:
    """One elementary stream. A new configuration makes a new `Track`."""

    id: int
    """Number within its kind, as the ingest numbers them; 0 is the main one."""
    kind: TrackKind
    codec: Codec | None
    """None for data tracks, and for codecs that are only passed on."""
    clock_rate: int
    """Ticks a second of `Frame.dts`: video 90,000, audio its sample rate."""
    configuration: bytes = b""
    """avcC, hvcC, av1C, vpcC, AudioSpecificConfig, OpusHead, STREAMINFO; or empty."""
    generation: int = 0
    """Counts the configurations of this track within its publication."""
    parameters: VideoParameters | AudioParameters | None = None
    """What the configuration says, decoded once."""
    wire_codec: int = 0
    """The ingest's own codec number, so that a codec nobody here knows can leave by
    the protocol it came by."""
    stream_type: int = 0
    """The publisher's own type of the stream in MPEG-TS, where it came in one."""
    data_format: str = ""
    """Of a data track: "" for AMF (RTMP), "klv", "klv_synchronous" or "id3"."""
    group: str = ""
    """Alternates of one source (simulcast, multitrack) share a group."""
    language: str = ""
    name: str = ""
    metadata: bytes = b""
    """The codec-independent extra of the ingest: E-RTMP colorInfo (AMF)."""
    channel_layout: bytes = b""
    """E-RTMP multichannel configuration body, passed on as it came."""

    @property
    def is_video(self) -> bool:
        """True for a video track."""
        return self.kind is TrackKind.VIDEO

    @property
    def is_audio(self) -> bool:
        """True for an audio track."""
        return self.kind is TrackKind.AUDIO
