"""What an FFmpeg can do, read from its own lists (``-codecs``, ``-formats``, ...).

Each ``decode_*`` takes the standard output of one call, with or without
``-hide_banner``, ignores lines of another shape and never raises. FFmpeg 5 to 9 differ
in the width of the flags, in a third column for formats and in a blank before a closing
parenthesis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from .stderr import decode_banner_version

__all__ = [
    "LISTS",
    "CodecSkill",
    "CoderSkill",
    "FFmpegSkills",
    "FilterSkill",
    "FormatSkill",
    "FormatSkills",
    "LibraryVersion",
    "ProtocolSkills",
    "VersionSkill",
    "decode_codecs",
    "decode_coders",
    "decode_filters",
    "decode_formats",
    "decode_hwaccels",
    "decode_protocols",
    "decode_skills",
    "decode_version",
]

LISTS = (
    "version",
    "codecs",
    "encoders",
    "decoders",
    "formats",
    "protocols",
    "filters",
    "hwaccels",
    "devices",
)
"""The options, without their dash, whose output ``decode_skills`` takes."""

_KINDS = {"V": "video", "A": "audio", "S": "subtitle", "D": "data", "T": "attachment"}

_LIBRARY = re.compile(
    r"\s*(lib[a-z]+) +([0-9]+\. *[0-9]+\. *[0-9]+) / +([0-9]+\. *[0-9]+\. *[0-9]+)\s*"
)
# "=" in place of a name belongs to the legend above each list.
_CODEC = re.compile(r" ([D.])([E.])([VASDT])[I.][L.][S.] (?!= )(\S+)(?: +(\S.*))?")
_CODERS = re.compile(r" ?\((encoders|decoders): ([^()]*)\)")
_CODER = re.compile(r" ([VAS])([F.])([S.])([X.])[B.][D.] (?!= )(\S+)(?: +(\S.*))?")
_OF_CODEC = re.compile(r" \(codec ([^\s()]+)\)$")
_FORMAT = re.compile(r" ([D ])([E ])[d ]? +(?!= )(\S+)(?: +(\S.*)?)?")
_FILTER = re.compile(r" [T.][S.]C?\.? +(\S+) +([AVN|]+)->([AVN|]+)(?: +(\S.*))?")


@attrs.frozen
class LibraryVersion:
    """One of FFmpeg's libraries; versions as printed, blanks and all."""

    name: str
    compiled: str
    linked: str


@attrs.frozen
class VersionSkill:
    """What ``-version`` says."""

    text: str = ""
    """The version as printed, ``n9.0.2-17-g2a571b6068``."""
    number: tuple[int, int, int] | None = None
    """None if the build is of no release."""
    compiler: str = ""
    configuration: str = ""
    libraries: tuple[LibraryVersion, ...] = ()


@attrs.frozen
class CodecSkill:
    """A codec, with the names of its encoders and decoders."""

    name: str
    description: str
    kind: str
    """``video``, ``audio``, ``subtitle``, ``data`` or ``attachment``."""
    encoders: tuple[str, ...] = ()
    decoders: tuple[str, ...] = ()


@attrs.frozen
class CoderSkill:
    """An encoder or a decoder."""

    name: str
    description: str
    kind: str
    codec: str
    """Name of what it codes, often its own."""
    is_experimental: bool = False


@attrs.frozen
class FormatSkill:
    """A container format or a device."""

    name: str
    """Several, with commas, for some demuxers."""
    description: str


@attrs.frozen
class FormatSkills:
    """Formats, or devices, by direction."""

    demuxers: tuple[FormatSkill, ...] = ()
    muxers: tuple[FormatSkill, ...] = ()


@attrs.frozen
class ProtocolSkills:
    """Names of protocols, by direction."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@attrs.frozen
class FilterSkill:
    """A filter; what goes in and out is a letter each: A, V, N (any), | (none)."""

    name: str
    description: str
    inputs: str
    outputs: str


@attrs.frozen
class FFmpegSkills:
    """All that one FFmpeg says of itself."""

    version: VersionSkill = VersionSkill()
    codecs: tuple[CodecSkill, ...] = ()
    encoders: tuple[CoderSkill, ...] = ()
    decoders: tuple[CoderSkill, ...] = ()
    formats: FormatSkills = FormatSkills()
    """Devices are among them."""
    protocols: ProtocolSkills = ProtocolSkills()
    filters: tuple[FilterSkill, ...] = ()
    hwaccels: tuple[str, ...] = ()
    devices: FormatSkills = FormatSkills()
    problem: str = ""
    """Why jobs cannot run with it, "" if they can."""


def decode_version(text: str) -> VersionSkill:
    """Return what ``ffmpeg -version`` says."""
    version = compiler = configuration = ""
    number = None
    libraries = []
    for line in text.splitlines():
        bare = line.strip()
        if not version and bare.startswith("ffmpeg version "):
            version, number = bare.split()[2], decode_banner_version(bare)
        elif bare.startswith("built with "):
            compiler = bare.removeprefix("built with ")
        elif bare.startswith("configuration:"):
            configuration = bare.removeprefix("configuration:").strip()
        elif match := _LIBRARY.fullmatch(line):
            libraries.append(LibraryVersion(match[1], match[2], match[3]))
    return VersionSkill(version, number, compiler, configuration, tuple(libraries))


def decode_codecs(text: str) -> tuple[CodecSkill, ...]:
    """Return what ``ffmpeg -codecs`` lists.

    A codec whose only coder has its name is listed without ``(encoders: ...)``.
    """
    codecs = []
    for match in _matches(_CODEC, text):
        name, description = match[4], match[5] or ""
        coders = {kind: tuple(n.split()) for kind, n in _CODERS.findall(description)}
        codecs.append(
            CodecSkill(
                name,
                _CODERS.sub("", description).strip(),
                _KINDS[match[3]],
                encoders=coders.get("encoders", (name,)) if match[2] == "E" else (),
                decoders=coders.get("decoders", (name,)) if match[1] == "D" else (),
            )
        )
    return tuple(codecs)


def decode_coders(text: str) -> tuple[CoderSkill, ...]:
    """Return what ``ffmpeg -encoders`` or ``ffmpeg -decoders`` lists."""
    coders = []
    for match in _matches(_CODER, text):
        name, description = match[5], match[6] or ""
        codec = _OF_CODEC.search(description)
        coders.append(
            CoderSkill(
                name,
                _OF_CODEC.sub("", description).strip(),
                _KINDS[match[1]],
                codec=name if codec is None else codec[1],
                is_experimental=match[4] == "X",
            )
        )
    return tuple(coders)


def decode_formats(text: str) -> FormatSkills:
    """Return what ``ffmpeg -formats`` or ``ffmpeg -devices`` lists.

    Devices are among the formats; FFmpeg 5 does not mark them, later ones do.
    """
    demuxers, muxers = [], []
    for match in _matches(_FORMAT, text):
        skill = FormatSkill(match[3], (match[4] or "").rstrip())
        if match[1] == "D":
            demuxers.append(skill)
        if match[2] == "E":
            muxers.append(skill)
    return FormatSkills(tuple(demuxers), tuple(muxers))


def decode_protocols(text: str) -> ProtocolSkills:
    """Return what ``ffmpeg -protocols`` lists."""
    names: dict[str, list[str]] = {"Input:": [], "Output:": []}
    current: list[str] | None = None
    for line in text.splitlines():
        if line.strip() in names:
            current = names[line.strip()]
        elif current is not None and line.startswith("  ") and line.strip():
            current.append(line.strip())
    return ProtocolSkills(tuple(names["Input:"]), tuple(names["Output:"]))


def decode_filters(text: str) -> tuple[FilterSkill, ...]:
    """Return what ``ffmpeg -filters`` lists."""
    return tuple(
        FilterSkill(match[1], match[4] or "", match[2], match[3])
        for match in _matches(_FILTER, text)
    )


def decode_hwaccels(text: str) -> tuple[str, ...]:
    """Return what ``ffmpeg -hwaccels`` lists."""
    _, heading, rest = text.partition("Hardware acceleration methods:")
    return tuple(rest.split()) if heading else ()


def decode_skills(outputs: Mapping[str, str]) -> FFmpegSkills:
    """Return all views of what FFmpeg printed.

    Args:
        outputs: Standard output by option, of ``LISTS``; what is missing reads empty.
    """
    return FFmpegSkills(
        version=decode_version(outputs.get("version", "")),
        codecs=decode_codecs(outputs.get("codecs", "")),
        encoders=decode_coders(outputs.get("encoders", "")),
        decoders=decode_coders(outputs.get("decoders", "")),
        formats=decode_formats(outputs.get("formats", "")),
        protocols=decode_protocols(outputs.get("protocols", "")),
        filters=decode_filters(outputs.get("filters", "")),
        hwaccels=decode_hwaccels(outputs.get("hwaccels", "")),
        devices=decode_formats(outputs.get("devices", "")),
    )


def _matches(shape: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    for line in text.splitlines():
        if match := shape.fullmatch(line):
            yield match
