"""A unit: the smallest piece of a wire form that may stand alone on a connection."""

from __future__ import annotations

from typing import Protocol

import attrs

from penstock.media import Frame, Track, TrackKind

__all__ = ["Converter", "Form", "Unit"]


@attrs.frozen
class Form:
    """One wire form of a stream; viewers with equal forms share their bytes."""

    format: str
    """"rtmp", "flv" or "mp4"."""
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
