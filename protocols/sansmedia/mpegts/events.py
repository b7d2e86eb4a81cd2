"""What a transport stream tells: programs, clocks, PES packets, frames."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansmedia.codecs import AudioParameters, Codec, VideoParameters
from sansmedia.codecs.nal import join_length_prefixed

from .descriptors import Descriptor
from .streams import DataFormat

__all__ = [
    "Configuration",
    "Event",
    "MediaFrame",
    "PcrSample",
    "PesPacket",
    "ProgramMap",
    "ProgramRemoved",
    "Track",
    "TransportEvent",
]


@attrs.frozen
class Track:
    """One elementary stream of a program."""

    pid: int
    """Its PID, which every frame names."""
    stream_type: int
    """stream_type of the PMT."""
    codec: Codec | None
    """None for data, and for what this library does not know."""
    data_format: DataFormat | None = None
    """None for picture and sound, and for what this library does not know."""
    language: str = "und"
    """Three letters of ISO 639-2."""
    descriptors: tuple[Descriptor, ...] = ()
    """All of them as they stand in the PMT."""


@attrs.frozen
class ProgramMap:
    """A program has come or changed: these are its tracks from here on."""

    program_number: int
    """1 to 65,535."""
    version: int
    """version_number of the PMT."""
    pcr_pid: int
    """The PID that carries its clock; 0x1FFF: none."""
    tracks: tuple[Track, ...]
    """In the order of the PMT."""
    descriptors: tuple[Descriptor, ...] = ()
    """Those of the program."""


@attrs.frozen
class ProgramRemoved:
    """A program is no longer in the PAT."""

    program_number: int
    """The number of an earlier `ProgramMap`."""


@attrs.define
class PcrSample:
    """A program clock reference came by."""

    program_number: int
    """Whose clock."""
    pcr: int
    """27 MHz ticks; wraps after 26.5 hours, with the 33 bits of its base."""
    discontinuity: bool = False
    """discontinuity_indicator: the clock starts anew here, and PTS and DTS with it."""


@attrs.define
class PesPacket:
    """A PES packet, whole or damaged, its header taken away."""

    pid: int
    """Which track."""
    stream_id: int
    """0xE0 video, 0xC0 audio, 0xBD private, 0xFC metadata."""
    pts: int | None
    """90 kHz ticks, 33-bit wrapped."""
    dts: int | None
    """The same; the PTS where there is no other."""
    payload: bytes
    """The piece of the elementary stream."""
    length: int
    """PES_packet_length; 0: it went up to the next one."""
    random_access: bool = False
    """random_access_indicator stood in front of it."""
    data_alignment: bool = False
    """data_alignment_indicator."""
    damaged: bool = False
    """Packets of it are missing, or it is shorter than it says."""
    after_loss: bool = False
    """Packets were lost between the one before and this one."""


@attrs.frozen
class Configuration:
    """What a decoder needs to know, before the first frame and at each change."""

    pid: int
    """Which track."""
    codec: Codec
    """What it is for."""
    generation: int
    """1 at first; frames name the one that they belong to."""
    data: bytes
    """Body of avcC, hvcC, av1C, dac3, dec3; AudioSpecificConfig; OpusHead; empty for
    MP3."""
    parameters: VideoParameters | AudioParameters
    """Size or rate and channels, profile, for a dashboard."""


@attrs.define
class MediaFrame:
    """One access unit or frame of a track."""

    pid: int
    """Which track."""
    pts: int | None
    """90 kHz ticks, 33-bit wrapped; None until the first time of the track."""
    dts: int | None
    """The same; what `Unwrapper` takes."""
    payload: bytes
    """As the codec has it: see `Demuxer`."""
    generation: int = 0
    """Of the `Configuration` that it belongs to; 0: none yet."""
    random_access: bool = True
    """Decoding can begin here."""
    duration: int | None = None
    """Sound: samples at its own rate (Opus: at 48 kHz), where the codec fixes it."""
    timed: bool = True
    """Its time stood in a PES header; otherwise it was counted on from the last one."""
    damaged: bool = False
    """Octets of it are missing or wrong."""
    after_loss: bool = False
    """Something of the track was lost in front of it."""
    trim: tuple[int, int] = (0, 0)
    """Opus: samples to drop at its start and end."""
    units: list[bytes] | None = None
    """H.264, H.265: the NAL units of ``payload``."""

    def length_prefixed(self, without: frozenset[int] = frozenset()) -> bytes:
        """Return the NAL units each after a length of 4 octets, as MP4 and FLV do.

        Source: ISO 14496-15 §5.3.4.2.

        Args:
            without: First octets of units to leave out, for example 0x09 for the
                access unit delimiter of H.264, 0x46 for that of H.265.
        """
        units = self.units or []
        if without:
            units = [unit for unit in units if unit[0] not in without]
        return join_length_prefixed(units)


TransportEvent: TypeAlias = ProgramMap | ProgramRemoved | PcrSample | PesPacket
"""What `TransportDemuxer` gives."""

Event: TypeAlias = ProgramMap | ProgramRemoved | PcrSample | Configuration | MediaFrame
"""What `Demuxer` gives."""
