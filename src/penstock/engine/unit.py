"""A unit: the smallest piece of a wire form that may stand alone on a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs
from sansmedia.codecs import Codec

from penstock.media import Frame, Track, TrackKind

from .derived import Transcoder

if TYPE_CHECKING:
    from .packet_outlet import Packetiser

__all__ = ["Conversions", "Converter", "Form", "Unit"]

_RTP_SOUND = {Codec.OPUS, Codec.PCM_ALAW, Codec.PCM_MULAW}
_TS_SOUND = {Codec.AAC, Codec.MP3, Codec.AC3, Codec.EAC3}


@attrs.frozen
class Form:
    """One wire form of a stream; viewers with equal forms share their bytes."""

    format: str
    """"rtmp", "flv", "mp4", "ts" or "rtp"."""
    framing: str = "raw"
    """"raw", "chunked" (HTTP/1.1) or "websocket"."""
    video: bool = True
    audio: bool = True
    multitrack: bool = False
    """Carry more than the main track of each kind (E-RTMP clients that said so)."""
    nanoseconds: bool = False
    """Carry times finer than milliseconds (E-RTMP clients that said so)."""
    side_info: bool = True
    """Carry E-RTMP packets that only describe media: HDR, the layout of channels."""
    opus: bool = False
    """FLV: carry Opus also if the publisher's protocol was not FLV itself."""

    def sound_for(self, track: Track) -> Codec | None:
        """Return the codec that a track of sound must be turned into; None for none.

        Browsers know no AAC in WebRTC. Opus in FLV is for players that said so, and
        for those of a publisher who sent it in FLV; with MPEG-TS it is the same.
        """
        codec = track.codec
        if self.format == "rtp":
            return None if codec in _RTP_SOUND else Codec.OPUS
        if self.format == "ts":
            return None if codec in _TS_SOUND or track.stream_type else Codec.AAC
        if self.format == "mp4" or self.opus or track.wire_codec:
            return None
        return Codec.AAC if codec is Codec.OPUS else None


@attrs.define(eq=False)
class Unit:
    """One message, tag or fragment in its final bytes."""

    data: bytes
    time: float
    """Decoding time in seconds on the stream's zero."""
    key: bool = False
    """A viewer may start here, after ``config``."""
    config: bytes = b""
    """On key units: what a decoder needs before this unit."""
    kind: TrackKind | None = None
    """What it carries; None for headers and metadata."""
    offset: int = 0
    """Octets of the ring before this unit, since the outlet began."""


class Converter(Protocol):
    """Frames of one stream into units of one wire form."""

    @property
    def header(self) -> bytes:
        """What every connection gets once, before anything else."""
        ...

    @property
    def ended(self) -> str:
        """A reason why this form cannot go on (viewers must start anew), or ""."""
        ...

    def begin(self) -> None:
        """A new publication begins; its tracks come next."""
        ...

    def announce(self, track: Track) -> list[Unit]:
        """Take a track before its first frame, or its new configuration."""
        ...

    def convert(self, frame: Frame) -> list[Unit]:
        """Return the units of one frame; often one, sometimes none or several."""
        ...

    def metadata(self, values: dict[str, object]) -> list[Unit]:
        """Take new stream metadata (onMetaData)."""
        ...

    def finish(self) -> list[Unit]:
        """The publication is over: return what was waiting for more to come."""
        ...


@attrs.frozen
class Conversions:
    """What makes wire forms; the engine is given it, `penstock.convert` has it."""

    converter: Callable[[Form], Converter]
    """Gives the converter of a wire form."""
    packetiser: Callable[[Track], Packetiser | None]
    """Gives what makes RTP payloads of a track; None if nothing can."""
    transcoder: Callable[[Track, Codec], Transcoder | None]
    """Gives what turns a track into another codec; None if nothing can."""
