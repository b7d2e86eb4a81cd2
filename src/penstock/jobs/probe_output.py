"""What a run without an output says about its inputs."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .json_lines import JsonLineReader
from .stderr import StderrReader
from .streams import StreamInfo

__all__ = ["ProbeResult", "read_probe"]

MAX_PROBE_LINES = 1000
"""FFmpeg needs a few lines a stream; more comes only from a broken input."""


@attrs.frozen
class ProbeResult:
    """Streams of all inputs, and all that FFmpeg printed."""

    streams: tuple[StreamInfo, ...]
    log: tuple[str, ...]
    """At most ``MAX_PROBE_LINES`` lines."""


def read_probe(lines: Iterable[str]) -> ProbeResult:
    """Read what FFmpeg prints when it is given inputs and no output.

    It lists their streams and ends with an error, which is not one here.

    Args:
        lines: Standard error, as ``LineSplitter`` splits it.
    """
    reader, told = StderrReader(), JsonLineReader()
    log: list[str] = []
    for line in lines:
        if told.feed(line) is not None:
            continue
        reader.feed(line)
        if len(log) < MAX_PROBE_LINES:
            log.append(line)
    return ProbeResult(told.inputs or reader.inputs, tuple(log))
