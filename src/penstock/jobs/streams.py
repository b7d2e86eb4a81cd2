"""What FFmpeg says of a stream: ``Stream #0:1(deu): Audio: aac (LC), 44100 Hz``."""

from __future__ import annotations

import re

import attrs

__all__ = ["StreamInfo", "channels_of", "decode_stream_line"]

# Source: `dump_stream_format` (libavformat) and `avcodec_string` (libavcodec) of
# FFmpeg 5 to 9. The language stands as the file gives it.
_STREAM = re.compile(
    r"\s*Stream #([0-9]{1,4}):([0-9]{1,4})(?:\[0x[0-9a-f]+\])?(?:\(([^()]*)\))?: "
    r"(Video|Audio|Subtitle|Data|Attachment|Unknown): (.*)"
)
_LANGUAGE = re.compile(r"[A-Za-z]{3}")
_CODEC = re.compile(r"[A-Za-z0-9_.-]+")
_PROFILE = re.compile(r"\S+ \(([^()\[\]/]+)\)")
_PIX_FMT = re.compile(r"([a-z][a-z0-9_]*)(?:\(.*)?")
_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})(?: .*)?")
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(k?) (fps|tbr)(?: .*)?")
_HERTZ = re.compile(r"([0-9]{1,9}) Hz")
_KBPS = re.compile(r"([0-9]{1,12}) kb/s(?: .*)?")
_SAMPLE_FORMAT = re.compile(r"(?:u8|s16|s32|s64|flt|dbl)p?(?: .*)?")
_DISPOSITIONS = re.compile(r"(?: \([a-z _]{1,32}\)){1,20}$")  # bounded: else quadratic

_CHANNELS = {
    "mono": 1,
    "stereo": 2,
    "downmix": 2,
    "binaural": 2,
    "quad": 4,
    "hexagonal": 6,
    "octagonal": 8,
    "cube": 8,
    "hexadecagonal": 16,
}
_POINTS = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,2}){1,2})(?:\(.*\))?")
_COUNTED = re.compile(r"([0-9]{1,5}) channels?(?: .*)?")
_AMBISONIC = re.compile(r"ambisonic ([0-9]{1,2})")
_NAMED = re.compile(r"[A-Z]{2,4}[0-9]?(?:\+[A-Z]{2,4}[0-9]?)*")


@attrs.frozen
class StreamInfo:
    """A stream of an input or an output; 0 and "" stand for what is not known."""

    index: int
    """Number of the input or output."""
    stream: int
    """Number of the stream in it."""
    kind: str
    """``video``, ``audio``, ``subtitle``, ``data``, ``attachment`` or ``unknown``."""
    codec: str
    profile: str = ""
    language: str = "und"
    """Three letters."""
    url: str = ""
    """As FFmpeg prints it."""
    format: str = ""
    """Name of the container's format, of a demuxer several with commas."""
    coder: str = ""
    """Name of the decoder or encoder, ``copy`` where there is none."""
    duration_s: float = 0.0
    bitrate_bps: int = 0
    frame_rate: float = 0.0
    """Frames a second, on the average or, if that is missing, as FFmpeg guesses."""
    pix_fmt: str = ""
    width: int = 0
    height: int = 0
    sample_rate: int = 0
    layout: str = ""
    channels: int = 0


def channels_of(layout: str) -> int:
    """Return how many channels a layout by FFmpeg's naming has, 0 if unknown."""
    if layout in _CHANNELS:
        return _CHANNELS[layout]
    if match := _POINTS.fullmatch(layout):
        # 5.1(side), 7.1.4: the numbers are those of each kind of loudspeaker.
        return sum(int(number) for number in match[1].split("."))
    if match := _COUNTED.fullmatch(layout):
        return int(match[1])
    if match := _AMBISONIC.fullmatch(layout):
        return (int(match[1]) + 1) ** 2
    if _NAMED.fullmatch(layout):
        return layout.count("+") + 1
    return 0


def decode_stream_line(text: str) -> StreamInfo | None:
    """Return what a line says of a stream, or None if it is of another kind.

    Args:
        text: One line without prefixes; the address, format, coder and duration stand
            in other lines.
    """
    match = _STREAM.fullmatch(text)
    if match is None:
        return None
    codec, *fields = _fields(_DISPOSITIONS.sub("", match[5]))
    name = _CODEC.match(codec)
    profile = _PROFILE.match(codec)
    language = match[3] or ""
    info = StreamInfo(
        index=int(match[1]),
        stream=int(match[2]),
        kind=match[4].lower(),
        codec="" if name is None or name[0] == "none" else name[0],
        profile="" if profile is None else profile[1],
        language=language.lower() if _LANGUAGE.fullmatch(language) else "und",
    )
    info = attrs.evolve(info, bitrate_bps=_bitrate_bps(fields))
    if info.kind == "audio":
        return _with_sound(info, fields)
    if info.kind in ("video", "subtitle"):
        return _with_picture(info, fields)
    return info


def _fields(text: str) -> list[str]:
    """Split at commas, not at those in parentheses: ``yuv420p(tv, progressive)``."""
    fields, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        if letter in "([":
            depth += 1
        elif letter in ")]":
            depth = max(0, depth - 1)
        elif letter == "," and depth == 0:
            fields.append(text[begin:place].strip())
            begin = place + 1
    fields.append(text[begin:].strip())
    return fields


def _bitrate_bps(fields: list[str]) -> int:
    for field in fields:
        if match := _KBPS.fullmatch(field):
            return int(match[1]) * 1000
    return 0


def _with_picture(info: StreamInfo, fields: list[str]) -> StreamInfo:
    pix_fmt = ""
    if info.kind == "video" and fields and (match := _PIX_FMT.fullmatch(fields[0])):
        pix_fmt = "" if match[1] in ("none", "unknown") else match[1]
    width = height = 0
    rates: dict[str, float] = {}
    for field in fields:
        if not width and (match := _SIZE.fullmatch(field)):
            width, height = int(match[1]), int(match[2])
        elif match := _RATE.fullmatch(field):
            rates[match[3]] = float(match[1]) * (1000 if match[2] else 1)
    # A guess of thousands is the time base of a stream with irregular pictures.
    guess = rates.get("tbr", 0.0)
    rate = rates.get("fps", guess if guess < 1000 else 0.0)
    return attrs.evolve(
        info, pix_fmt=pix_fmt, width=width, height=height, frame_rate=rate
    )


def _with_sound(info: StreamInfo, fields: list[str]) -> StreamInfo:
    for place, field in enumerate(fields):
        if match := _HERTZ.fullmatch(field):
            layout = fields[place + 1] if place + 1 < len(fields) else ""
            if _SAMPLE_FORMAT.fullmatch(layout) or _KBPS.fullmatch(layout):
                layout = ""
            return attrs.evolve(
                info,
                sample_rate=int(match[1]),
                layout=layout,
                channels=channels_of(layout),
            )
    return info
