"""The blocks of ``key=value`` lines that FFmpeg writes for ``-progress``."""

from __future__ import annotations

import re

import attrs

from .samples import (
    ProgressSample,
    decode_bitrate_bps,
    decode_count,
    decode_float,
)

__all__ = ["ProgressPipe"]

_MAX_KEYS = 256
"""A block has a dozen keys and one a video stream."""
_Q = re.compile(r"stream_([0-9]{1,4})_([0-9]{1,4})_q")
_TIME = re.compile(r"-?[0-9]{1,18}")


@attrs.define(eq=False)
class ProgressPipe:
    """Collect lines into blocks; each ends with ``progress=continue`` or ``end``."""

    ignored_lines: int = 0
    """Lines of another shape, or beyond what a block may hold."""
    _block: dict[str, str] = attrs.field(factory=dict, init=False)

    def feed(self, line: str) -> ProgressSample | None:
        """Take one line; return the block if that was its last."""
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key:
            self.ignored_lines += 1
            return None
        if key == "progress":
            block, self._block = self._block, {}
            return _sample(block, value == "end")
        if len(self._block) < _MAX_KEYS:
            self._block[key] = value
        else:
            self.ignored_lines += 1
        return None


def _sample(block: dict[str, str], is_last: bool) -> ProgressSample:
    stream_qs = []
    for key, value in block.items():
        match = _Q.fullmatch(key)
        number = None if match is None else decode_float(value)
        if match is not None and number is not None:
            stream_qs.append((int(match[1]), int(match[2]), number))
    # "out_time_ms" is in microseconds as well, a slip that FFmpeg keeps for old
    # readers; "out_time" is the same once more.
    time_us = block.get("out_time_us", "")
    return ProgressSample(
        frame=decode_count(block.get("frame", "")),
        fps=decode_float(block.get("fps", "")),
        qs=tuple(q for _, _, q in stream_qs),
        stream_qs=tuple(stream_qs),
        size_bytes=decode_count(block.get("total_size", "")),
        # Nineteen digits: AV_NOPTS_VALUE, which some versions print for "none yet".
        time_s=int(time_us) / 1_000_000 if _TIME.fullmatch(time_us) else None,
        bitrate_bps=decode_bitrate_bps(block.get("bitrate", "")),
        speed=decode_float(block.get("speed", "").removesuffix("x")),
        dup=decode_count(block.get("dup_frames", "")),
        drop=decode_count(block.get("drop_frames", "")),
        is_last=is_last,
    )
