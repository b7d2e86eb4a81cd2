"""FFmpeg's standard error: progress lines told from log lines, streams read on the way.

FFmpeg 5 to 9 are read alike, with ``-loglevel level+...`` too.
"""

from __future__ import annotations

import re

import attrs

from .samples import ProgressSample, decode_clock_s, decode_progress_line
from .streams import StreamInfo, decode_stream_line

__all__ = [
    "StderrReader",
    "StreamMapping",
    "decode_banner_version",
    "decode_mapping_line",
    "split_prefixes",
]

_MAX_STREAMS = 1000
"""Streams of inputs and outputs together that one run may declare."""

_LEVELS = "quiet|panic|fatal|error|warning|info|verbose|debug|trace"
_PREFIX = re.compile(rf"\[(?:({_LEVELS})|[^\[\]]{{1,256}} @ (?:0x)?[0-9a-fA-F]+)\] ")
_BANNER = re.compile(r"ff(?:mpeg|probe) version (\S+)")
_NUMBER = re.compile(r"n?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?(?![0-9.])")
_HEADER = re.compile(
    r"(?:(Input)|Output) #([0-9]{1,4}), (\S+), (?:from|to) '(.*?)(?:':)?"
)
_DURATION = re.compile(r"\s+Duration: ([^,]+), .*")
_MAPPING = "Stream mapping:"
# (copy), (h264 (native) -> h264 (libx264)): what stands in the second parentheses
# names the coder unless it is FFmpeg's own, which has the codec's name.
_DIRECT = re.compile(
    r"\s*Stream #([0-9]{1,4}):([0-9]{1,4}) -> #([0-9]{1,4}):([0-9]{1,4})"
    r"(?: \[sync #[0-9:]+\])?(?: \((?:(copy)|(\S+) \((\S+)\) -> (\S+) \((\S+)\))\))?"
)
_TO_FILTER = re.compile(r"\s*Stream #([0-9]{1,4}):([0-9]{1,4}) \((\S+)\) -> (\S.*)")
_FROM_FILTER = re.compile(r"\s*(\S.*?) -> Stream #([0-9]{1,4}):([0-9]{1,4}) \((\S+)\)")


@attrs.frozen
class StreamMapping:
    """A line of the ``Stream mapping:`` block; streams are (file, stream)."""

    source: tuple[int, int] | None
    """None for the end of a filter graph."""
    target: tuple[int, int] | None
    """None for the beginning of a filter graph."""
    decoder: str = ""
    encoder: str = ""
    """``copy`` if nothing is encoded."""
    filter: str = ""
    """The graph's first or last filter, as FFmpeg prints it."""


def split_prefixes(line: str) -> tuple[str, str]:
    """Return the level ("" if not given) of a line, and the line without prefixes.

    ``[libx264 @ 0x55d0] [info] using SAR=1/1`` is ("info", "using SAR=1/1").
    """
    level, begin = "", 0
    while match := _PREFIX.match(line, begin):
        level = match[1] or level
        begin = match.end()
    return level, line[begin:]


def decode_banner_version(text: str) -> tuple[int, int, int] | None:
    """Return the version in the first line that FFmpeg prints, or None.

    Builds from a repository put an ``n`` in front (``n9.0.2-17-g2a571b6068``); those of
    no release at all (``N-117771-g07904231cb``, ``git-2020-01-01``) have no number.
    """
    match = _BANNER.match(text)
    number = None if match is None else _NUMBER.match(match[1])
    if number is None:
        return None
    return int(number[1]), int(number[2]), int(number[3] or 0)


def decode_mapping_line(text: str) -> StreamMapping | None:
    """Return what a line of the ``Stream mapping:`` block says, None if it is none."""
    if match := _DIRECT.fullmatch(text):
        decoder = encoder = match[5] or ""
        if match[6]:
            decoder = match[6] if match[7] == "native" else match[7]
            encoder = match[8] if match[9] == "native" else match[9]
        return StreamMapping(
            (int(match[1]), int(match[2])),
            (int(match[3]), int(match[4])),
            decoder,
            encoder,
        )
    if match := _TO_FILTER.fullmatch(text):
        source = (int(match[1]), int(match[2]))
        return StreamMapping(source, None, decoder=match[3], filter=match[4])
    if match := _FROM_FILTER.fullmatch(text):
        target = (int(match[2]), int(match[3]))
        return StreamMapping(None, target, encoder=match[4], filter=match[1])
    return None


@attrs.frozen
class _Header:
    is_input: bool
    index: int
    format: str
    url: str
    duration_s: float = 0.0


@attrs.define(eq=False)
class StderrReader:
    """Read one run's standard error, line by line; nothing that comes raises.

    Streams are declared until FFmpeg has opened its last output, sometimes after the
    first progress lines; ask when they are wanted.
    """

    version: tuple[int, int, int] | None = None
    """By the banner; None before it, with ``-hide_banner``, and without a number."""
    _streams: dict[tuple[bool, int, int], StreamInfo] = attrs.field(
        factory=dict, init=False
    )
    _mappings: list[StreamMapping] = attrs.field(factory=list, init=False)
    _header: _Header | None = attrs.field(default=None, init=False)
    _in_mapping: bool = attrs.field(default=False, init=False)

    @property
    def inputs(self) -> tuple[StreamInfo, ...]:
        """The streams of all inputs, by input and stream."""
        return self._sorted(is_input=True)

    @property
    def outputs(self) -> tuple[StreamInfo, ...]:
        """The streams of all outputs, by output and stream."""
        return self._sorted(is_input=False)

    @property
    def mappings(self) -> tuple[StreamMapping, ...]:
        """How streams go from inputs to outputs, in FFmpeg's order."""
        return tuple(self._mappings)

    def feed(self, line: str) -> ProgressSample | None:
        """Take a line; return what it reports if it is a progress line.

        Returns:
            None for a line that belongs into the log.
        """
        _, text = split_prefixes(line)
        sample = decode_progress_line(text)
        if sample is None:
            self._read(text)
        return sample

    def _read(self, text: str) -> None:
        if match := _HEADER.fullmatch(text):
            self._in_mapping = False
            is_input = match[1] is not None
            self._header = _Header(is_input, int(match[2]), match[3], match[4])
        elif text == _MAPPING:
            self._in_mapping, self._header = True, None
        elif self._in_mapping and (mapping := decode_mapping_line(text)):
            if len(self._mappings) < _MAX_STREAMS:
                self._mappings.append(mapping)
        elif self._header is not None:
            self._read_below(self._header, text)
        elif self.version is None:
            self.version = decode_banner_version(text)

    def _read_below(self, header: _Header, text: str) -> None:
        """Read a line below the header of an input or output."""
        if match := _DURATION.fullmatch(text):
            duration_s = decode_clock_s(match[1])
            self._header = attrs.evolve(header, duration_s=max(0.0, duration_s or 0.0))
        elif (stream := decode_stream_line(text)) and stream.index == header.index:
            key = header.is_input, stream.index, stream.stream
            if key in self._streams or len(self._streams) < _MAX_STREAMS:
                self._streams[key] = attrs.evolve(
                    stream,
                    url=header.url,
                    format=header.format,
                    duration_s=header.duration_s,
                )

    def _sorted(self, *, is_input: bool) -> tuple[StreamInfo, ...]:
        coders = self._coders(is_input=is_input)
        return tuple(
            attrs.evolve(stream, coder=coders.get(key[1:], ""))
            for key, stream in sorted(self._streams.items())
            if key[0] is is_input
        )

    def _coders(self, *, is_input: bool) -> dict[tuple[int, int], str]:
        coders: dict[tuple[int, int], str] = {}
        for mapping in self._mappings:
            place = mapping.source if is_input else mapping.target
            if place is not None:
                coder = mapping.decoder if is_input else mapping.encoder
                coders.setdefault(place, coder)
        return coders
