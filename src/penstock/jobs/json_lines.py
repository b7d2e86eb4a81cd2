"""The JSON that a patched FFmpeg prints on standard error, with ``-jsonstats``.

It knows more than FFmpeg as it is published: counters of every stream of the inputs and
outputs, and what its demuxer ``playout`` does while a source is missing. Its lines take
the place of the progress line, and belong into no log.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import attrs

from .samples import AvEnd, AvStream, ProgressSample, StreamCounts
from .stderr import split_prefixes
from .streams import StreamInfo

__all__ = ["JsonLine", "JsonLineReader"]

_MAX_STREAMS = 1000
_MAX_COUNT = 1 << 63
_KIB = 1024
_NAME = re.compile(r"(ffmpeg\.(?:inputs|outputs|progress|mapping)|avstream\.progress):")
# As Go writes a duration: "0h1m2.5s".
_TIME = re.compile(
    r"(-?)(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?([0-9]{1,9}(?:\.[0-9]{0,9})?)s"
)


@attrs.frozen
class JsonLine:
    """A line of these."""

    sample: ProgressSample | None = None
    """What it reports, if it does."""


@attrs.define(eq=False)
class JsonLineReader:
    """Read one run's lines; what is malformed says nothing, and none of it raises."""

    inputs: tuple[StreamInfo, ...] = ()
    """The streams of all inputs, as they were declared."""
    outputs: tuple[StreamInfo, ...] = ()
    """The streams of all outputs; once they are there, the run has begun."""
    _playouts: dict[str, AvStream] = attrs.field(factory=dict, init=False)

    def feed(self, line: str) -> JsonLine | None:
        """Take a line; return None for one that is something else."""
        # Nearly every line is, so what it costs to tell counts.
        if "ffmpeg." not in line and "avstream." not in line:
            return None
        _, text = split_prefixes(line)
        match = _NAME.match(text)
        if match is None:
            return None
        try:
            document = json.loads(text[match.end() :])
        except (ValueError, RecursionError):
            return JsonLine()
        name = match[1]
        if name == "ffmpeg.inputs":
            self.inputs = _streams(document)
        elif name == "ffmpeg.outputs":
            self.outputs = _streams(document)
        elif name == "avstream.progress":
            self._note_playout(document)
        elif name == "ffmpeg.progress":
            return JsonLine(self._sample(document))
        return JsonLine()

    def _note_playout(self, document: object) -> None:
        of = _members(document)
        url = _text(of.get("id"))
        if url in self._playouts or len(self._playouts) < _MAX_STREAMS:
            self._playouts[url] = _playout(of)

    def _sample(self, document: object) -> ProgressSample | None:
        """Return a report; None if it is about other streams than were declared."""
        of = _members(document)
        inputs, outputs = _items(of.get("inputs")), _items(of.get("outputs"))
        if len(inputs) != len(self.inputs) or len(outputs) != len(self.outputs):
            return None
        if not outputs:
            return None
        return ProgressSample(
            frame=_count(of.get("frame")),
            packet=_count(of.get("packet")),
            qs=(_number(of["q"]),) if "q" in of else (),
            size_bytes=_size(of),
            time_s=_seconds(of.get("time")),
            speed=_number(of.get("speed")),
            dup=_count(of.get("dup")),
            drop=_count(of.get("drop")),
            inputs=tuple(map(self._counts, self.inputs, inputs)),
            outputs=tuple(map(self._counts, self.outputs, outputs)),
        )

    def _counts(self, info: StreamInfo, of: dict[str, Any]) -> StreamCounts:
        rates = _members(of.get("framerate"))
        return StreamCounts(
            info,
            frame=_count(of.get("frame")),
            keyframe=_count(of.get("keyframe")),
            packet=_count(of.get("packet")),
            size_bytes=_size(of),
            extradata_bytes=_count(of.get("extradata_size_bytes")),
            q=_number(of.get("q")),
            frame_rates=(
                _number(rates.get("min")),
                _number(rates.get("max")),
                _number(rates.get("avg")),
            ),
            playout=self._playouts.get(info.url),
        )


def _streams(document: object) -> tuple[StreamInfo, ...]:
    return tuple(_stream(of) for of in _items(document)[:_MAX_STREAMS])


def _stream(of: dict[str, Any]) -> StreamInfo:
    return StreamInfo(
        index=_count(of.get("index")),
        stream=_count(of.get("stream")),
        kind=_text(of.get("type")),
        codec=_text(of.get("codec")),
        language=_text(of.get("language")) or "und",
        url=_text(of.get("url")),
        format=_text(of.get("format")),
        coder=_text(of.get("coder")),
        duration_s=max(0.0, _number(of.get("duration_sec"))),
        bitrate_bps=_count(of.get("bitrate_kbps")) * 1000,
        frame_rate=_number(of.get("fps")),
        pix_fmt=_text(of.get("pix_fmt")),
        width=_count(of.get("width")),
        height=_count(of.get("height")),
        sample_rate=_count(of.get("sampling_hz")),
        layout=_text(of.get("layout")),
        channels=_count(of.get("channels")),
    )


def _playout(of: dict[str, Any]) -> AvStream:
    return AvStream(
        input=_av_end(of.get("input")),
        output=_av_end(of.get("output")),
        aqueue=_count(of.get("aqueue")),
        queue=_count(of.get("queue")),
        dup=_count(of.get("dup")),
        drop=_count(of.get("drop")),
        enc=_count(of.get("enc")),
        is_looping=of.get("looping") is True,
        looping_s=_count(of.get("looping_runtime")),
        is_duplicating=of.get("duplicating") is True,
        gop=_text(of.get("gop")),
    )


def _av_end(value: object) -> AvEnd:
    of = _members(value)
    return AvEnd(
        state=_text(of.get("state")),
        packet=_count(of.get("packet")),
        time_s=_count(of.get("time")),
        size_bytes=_size(of),
    )


# -- values ----------------------------------------------------------------------------


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> Sequence[dict[str, Any]]:
    return [_members(item) for item in value] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    # An int may be larger than any float.
    if not -_MAX_COUNT < value < _MAX_COUNT:
        return 0.0
    return float(value) if math.isfinite(value) else 0.0


def _count(value: object) -> int:
    return max(0, int(_number(value)))


def _size(of: dict[str, Any]) -> int:
    if "size_bytes" in of:
        return _count(of["size_bytes"])
    return int(_number(of.get("size_kb")) * _KIB) if "size_kb" in of else 0


def _seconds(value: object) -> float | None:
    match = _TIME.fullmatch(_text(value))
    if match is None:
        return None
    hours, minutes = int(match[2] or 0), int(match[3] or 0)
    seconds = 3600 * hours + 60 * minutes + float(match[4])
    return -seconds if match[1] else seconds
