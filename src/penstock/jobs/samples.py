"""One report of FFmpeg about how far it is, in whichever of its two forms it came."""

from __future__ import annotations

import re

import attrs

from .streams import StreamInfo

__all__ = [
    "AvEnd",
    "AvStream",
    "ProgressSample",
    "StreamCounts",
    "decode_bitrate_bps",
    "decode_clock_s",
    "decode_count",
    "decode_float",
    "decode_progress_line",
]

# Nineteen digits and more are no count, and Python refuses to read thousands of them.
_COUNT = re.compile(r"[0-9]{1,18}")
_FLOAT = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{0,18})?(?:e[+-]?[0-9]{1,2})?")
_CLOCK = re.compile(r"(-?)([0-9]{1,9}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,9})?)")
_BITRATE = re.compile(r"(.*)kbits/s")

# "frame=" is missing without video; "L" marks FFmpeg's last report, before "size" or,
# with several video streams, before the last "q".
_START = re.compile(r"(?:frame=\s*[0-9]+\s+fps=|L?size=)")
_FIELD = re.compile(r"(?<![a-z])(L?)([a-z]{1,16})=\s*(\S+)")
_SIZE = re.compile(r"([0-9]{1,18})(?:kB|KiB)")


@attrs.frozen
class AvEnd:
    """What went into a playout, or comes out of it."""

    state: str = ""
    """``running`` or ``idle``."""
    packet: int = 0
    time_s: int = 0
    size_bytes: int = 0


@attrs.frozen
class AvStream:
    """What a patched FFmpeg's demuxer ``playout`` does for an input."""

    input: AvEnd = AvEnd()
    output: AvEnd = AvEnd()
    aqueue: int = 0
    queue: int = 0
    dup: int = 0
    drop: int = 0
    enc: int = 0
    is_looping: bool = False
    looping_s: int = 0
    is_duplicating: bool = False
    gop: str = ""


@attrs.frozen
class StreamCounts:
    """What one stream has counted, as only an FFmpeg with JSON lines tells."""

    info: StreamInfo
    frame: int = 0
    keyframe: int = 0
    packet: int = 0
    size_bytes: int = 0
    extradata_bytes: int = 0
    q: float = 0.0
    frame_rates: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The least, the most and the average between key frames."""
    playout: AvStream | None = None


@attrs.frozen
class ProgressSample:
    """What one report says; None stands for what it does not say (``N/A``)."""

    frame: int | None = None
    """Frames of the first video stream of the outputs."""
    fps: float | None = None
    """By FFmpeg's reckoning, from its start on."""
    qs: tuple[float, ...] = ()
    """Quantiser of each video stream of the outputs, -1 where there is none."""
    stream_qs: tuple[tuple[int, int, float], ...] = ()
    """The same as (output, stream, quantiser), where the form tells which is whose."""
    size_bytes: int | None = None
    """Size of the first output, in whole KiB from a line on standard error."""
    time_s: float | None = None
    """How far the outputs are, seconds of media."""
    bitrate_bps: float | None = None
    speed: float | None = None
    """Media time by wall time."""
    dup: int | None = None
    drop: int | None = None
    is_last: bool = False
    """FFmpeg ends after this one."""
    packet: int | None = None
    """Packets of the first video stream of the outputs; FFmpeg as it is published
    counts none."""
    inputs: tuple[StreamCounts, ...] = ()
    """Each stream of the inputs, ..."""
    outputs: tuple[StreamCounts, ...] = ()
    """... and of the outputs; empty where nobody counts them."""


def decode_count(text: str) -> int | None:
    """Return a whole number of at most 18 digits, or None."""
    return int(text) if _COUNT.fullmatch(text) else None


def decode_float(text: str) -> float | None:
    """Return a number as C prints it, or None for anything else, infinities too."""
    return float(text) if _FLOAT.fullmatch(text) else None


def decode_clock_s(text: str) -> float | None:
    """Return the seconds of ``[-]HH:MM:SS.ff``, or None."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    seconds = int(match[2]) * 3600 + int(match[3]) * 60 + float(match[4])
    return -seconds if match[1] else seconds


def decode_bitrate_bps(text: str) -> float | None:
    """Return bits a second of ``398.4kbits/s``, where k is 1000, or None."""
    match = _BITRATE.fullmatch(text)
    number = None if match is None else decode_float(match[1])
    return None if number is None else number * 1000


def decode_progress_line(text: str) -> ProgressSample | None:
    """Return what a progress line on standard error says, or None for any other.

    Source: ``print_report`` of FFmpeg 5 to 9: ``frame= 139 fps= 23 q=8.0 size= 307kB
    time=00:00:05.38 bitrate= 467.2kbits/s dup=0 drop=2 speed=0.97x``; since 7 in
    ``KiB``, since 8 with ``elapsed=``; without video it begins with ``size=``.

    Args:
        text: One line without the prefixes that ``split_prefixes`` takes off.
    """
    if not _START.match(text):
        return None
    fields: dict[str, str] = {}
    qs = []
    is_last = False
    for match in _FIELD.finditer(text):
        mark, name, value = match.groups()
        is_last = is_last or bool(mark)
        if name == "q":
            number = decode_float(value)
            if number is not None:
                qs.append(number)
        else:
            fields.setdefault(name, value)
    if not {"size", "time", "bitrate"} <= fields.keys():
        return None
    size = _SIZE.fullmatch(fields["size"])
    return ProgressSample(
        frame=decode_count(fields.get("frame", "")),
        fps=decode_float(fields.get("fps", "")),
        qs=tuple(qs),
        size_bytes=None if size is None else int(size[1]) * 1024,
        time_s=decode_clock_s(fields["time"]),
        bitrate_bps=decode_bitrate_bps(fields["bitrate"]),
        speed=decode_float(fields.get("speed", "").removesuffix("x")),
        dup=decode_count(fields.get("dup", "")),
        drop=decode_count(fields.get("drop", "")),
        is_last=is_last,
    )
