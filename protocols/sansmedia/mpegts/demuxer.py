"""Reads a transport stream up to its frames."""

from __future__ import annotations

import attrs

from sansmedia.codecs import Codec

from .assembler import Assembler, Product
from .audio import (
    AdtsAssembler,
    DolbyAssembler,
    LatmAssembler,
    MpegAudioAssembler,
    OpusAssembler,
)
from .av1 import Av1Assembler
from .data import Id3Assembler, KlvAssembler, MetadataAssembler
from .events import (
    Event,
    MediaFrame,
    PesPacket,
    ProgramMap,
    ProgramRemoved,
    Track,
    TransportEvent,
)
from .limits import Limits
from .streams import DataFormat, StreamType
from .transport import TransportDemuxer, TransportStatistics
from .video import NalAssembler

__all__ = ["Demuxer", "DemuxerStatistics", "make_assembler"]


@attrs.define
class DemuxerStatistics:
    """What a `Demuxer` has seen so far."""

    transport: TransportStatistics
    """Packets, sections and PES packets."""
    frames: int = 0
    """Frames given out."""
    frames_damaged: int = 0
    """Those of them of which something is missing."""
    frames_dropped: int = 0
    """Frames that were damaged beyond use, or too large."""
    octets_unused: int = 0
    """Octets of elementary streams that belong to no frame."""
    pes_unknown: int = 0
    """PES packets of tracks that this library does not know."""


def make_assembler(track: Track, limits: Limits | None = None) -> Assembler | None:
    """Return what makes frames of a track's PES packets; None if it is not known."""
    limits = limits or Limits()
    match track.codec or track.data_format:
        case (Codec.H264 | Codec.H265) as codec:
            return NalAssembler(track.pid, codec, limits)
        case Codec.AAC:
            if track.stream_type == StreamType.LATM:
                return LatmAssembler(track.pid, Codec.AAC, limits)
            return AdtsAssembler(track.pid, Codec.AAC, limits)
        case Codec.OPUS:
            return OpusAssembler(track.pid, Codec.OPUS, limits, track.descriptors)
        case Codec.AV1:
            return Av1Assembler(track.pid, Codec.AV1, limits)
        case Codec.MP3:
            return MpegAudioAssembler(track.pid, Codec.MP3, limits)
        case (Codec.AC3 | Codec.EAC3) as codec:
            return DolbyAssembler(track.pid, codec, limits)
        case DataFormat.KLV:
            return KlvAssembler(track.pid, None, limits)
        case DataFormat.KLV_SYNCHRONOUS:
            return MetadataAssembler(track.pid, None, limits)
        case DataFormat.ID3:
            return Id3Assembler(track.pid, None, limits)
        case _:
            return None


class Demuxer:
    """A transform from octets to `ProgramMap`, `Configuration`, `MediaFrame`.

    Octets come in any segmentation. Damage is counted in `statistics`, never raised;
    what is not damaged comes out::

        demuxer = Demuxer()
        for data in source:
            for event in demuxer.feed(data):
                ...
        events = demuxer.flush()

    The payload of a `MediaFrame` by codec:

    - H.264, H.265: the access unit as it came, with start codes; its NAL units beside;
    - AV1: a temporal unit, OBUs with sizes, without delimiters;
    - AAC: a raw frame; Opus: a packet; MP3, AC-3, E-AC-3: a frame with its header;
    - KLV: an item with key and length, or a metadata access unit; ID3: a tag.

    A track's `Configuration` comes before the first frame that needs it.

    Limits: `Limits`; ``pending_bytes`` stays below twice ``max_pending_bytes``, and for
    each track a packet more.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._transport = TransportDemuxer(self._limits)
        self._tracks: dict[int, Track] = {}
        self._assemblers: dict[int, Assembler] = {}
        self._programs: dict[int, ProgramMap] = {}
        self._held = 0
        self._gone = DemuxerStatistics(TransportStatistics())

    @property
    def pending_bytes(self) -> int:
        """Octets held of what is not whole."""
        return self._transport.pending_bytes + self._held

    def statistics(self) -> DemuxerStatistics:
        """Return a copy of the counters."""
        counters = attrs.evolve(self._gone, transport=self._transport.statistics())
        for assembler in self._assemblers.values():
            self._count_gone(assembler, counters)
        return counters

    @staticmethod
    def _count_gone(assembler: Assembler, counters: DemuxerStatistics) -> None:
        counters.frames_dropped += assembler.frames_dropped
        counters.octets_unused += assembler.octets_skipped

    def feed(self, data: bytes) -> list[Event]:
        """Take the next octets; return what has become whole, in stream order."""
        return self._assemble(self._transport.feed(data))

    def flush(self) -> list[Event]:
        """Take the end of the stream; return what was waiting for more."""
        events = self._assemble(self._transport.flush())
        for assembler in self._assemblers.values():
            self._flush(assembler, events)
        return events

    def _assemble(self, found: list[TransportEvent]) -> list[Event]:
        events: list[Event] = []
        for event in found:
            if isinstance(event, PesPacket):
                self._take(event, events)
                continue
            if isinstance(event, ProgramMap):
                self._programs[event.program_number] = event
                self._follow(events)
            elif isinstance(event, ProgramRemoved):
                self._programs.pop(event.program_number, None)
                self._follow(events)
            events.append(event)
        return events

    def _take(self, pes: PesPacket, events: list[Event]) -> None:
        assembler = self._assemblers.get(pes.pid)
        if assembler is None:
            self._gone.pes_unknown += 1
            return
        before = assembler.held
        products = assembler.feed(pes)
        self._held += assembler.held - before
        if self._held > self._limits.max_pending_bytes:
            before = assembler.held
            assembler.drop()
            self._held += assembler.held - before
        self._note(products, events)

    def _note(self, products: list[Product], events: list[Event]) -> None:
        for product in products:
            if isinstance(product, MediaFrame):
                self._gone.frames += 1
                self._gone.frames_damaged += product.damaged
        events += products

    def _flush(self, assembler: Assembler, events: list[Event]) -> None:
        before = assembler.held
        self._note(assembler.flush(), events)
        self._held += assembler.held - before

    def _follow(self, events: list[Event]) -> None:
        """Begin the tracks that are new, and finish those that are gone or changed."""
        tracks: dict[int, Track] = {}
        for program in self._programs.values():
            for track in program.tracks:
                tracks.setdefault(track.pid, track)
        for pid, old in self._tracks.items():
            new = tracks.get(pid)
            if new is not None and _same_form(old, new):
                continue
            assembler = self._assemblers.pop(pid, None)
            if assembler is not None:
                self._flush(assembler, events)
                self._count_gone(assembler, self._gone)
        self._tracks = tracks
        for pid, track in tracks.items():
            if pid not in self._assemblers:
                made = make_assembler(track, self._limits)
                if made is not None:
                    self._assemblers[pid] = made


def _same_form(one: Track, other: Track) -> bool:
    """Tell whether frames of both are made in the same way."""
    return (one.codec, one.data_format, one.stream_type) == (
        other.codec,
        other.data_format,
        other.stream_type,
    ) and (one.codec is not Codec.OPUS or one.descriptors == other.descriptors)
