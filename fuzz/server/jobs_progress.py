"""Reports of progress, from a pipe and from standard error, added up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from penstock.jobs.lines import LineSplitter
from penstock.jobs.progress import WINDOW_S, Progress, ProgressTracker
from penstock.jobs.progress_pipe import ProgressPipe
from penstock.jobs.samples import ProgressSample, decode_progress_line
from penstock.jobs.stderr import StderrReader
from penstock.jobs.streams import StreamInfo

_VIDEO = StreamInfo(0, 0, "video", "h264")


def one_input(data: bytes) -> None:
    # Counts never go back, whatever two sources say and when; what is shown is finite
    # and not negative; averages stand on a bounded number of moments; a report says
    # the same as the lines of its block, in any order of the keys.
    step = data[0] / 64 if data else 0.0
    splitter = LineSplitter()
    lines = splitter.feed(data[1:]) + splitter.flush()
    reader, pipe, tracker = StderrReader(), ProgressPipe(), ProgressTracker(10.0)
    now = 10.0
    before = tracker.view(now)
    blocks: list[list[str]] = [[]]
    for line in lines:
        now += step
        for sample in (reader.feed(line), pipe.feed(line)):
            if sample is None:
                continue
            tracker.update(sample, now)
            after = tracker.view(now + step, (_VIDEO,), (*reader.outputs, _VIDEO))
            _check(before, after, sample)
            assert tracker.marks <= 2 * WINDOW_S + 3
            assert 10.0 <= tracker.advanced_at <= now
            before = after
        blocks[-1].append(line)
        if "=" in line and line.partition("=")[0].strip() == "progress":
            blocks.append([])
    later = tracker.view(now + 2 * WINDOW_S)
    assert (later.fps, later.bitrate_bps) == (0.0, 0.0)
    for block in blocks[:-1]:
        keys = [line.partition("=")[0].strip() for line in block]
        if len(set(keys)) == len(keys) < 200:
            assert _read(block) == _read((*sorted(block[:-1]), block[-1]))


def _read(block: Sequence[str]) -> list[object]:
    """Return what a block says, apart from the order of its streams."""
    pipe = ProgressPipe()
    samples = [sample for line in block if (sample := pipe.feed(line))]
    (sample,) = samples
    figures = (sample.frame, sample.size_bytes, sample.time_s, sample.speed)
    return [*figures, sample.is_last, sorted(sample.stream_qs)]


def _check(before: Progress, after: Progress, sample: ProgressSample) -> None:
    assert after.frame >= max(before.frame, sample.frame or 0)
    assert after.size_bytes >= max(before.size_bytes, sample.size_bytes or 0)
    assert after.dup >= before.dup
    assert after.drop >= before.drop
    outputs = after.outputs
    for figure in (
        *(after.fps, after.q, after.time_s, after.bitrate_bps, after.speed),
        *(stream.q for stream in outputs),
    ):
        assert 0 <= figure < math.inf
    counted = [stream for stream in outputs if stream.info.kind == "video"]
    assert counted[0].frame == after.frame
    assert not any(stream.frame for stream in counted[1:])
    # One form of a report is not taken for the other.
    assert decode_progress_line("progress=continue") is None
