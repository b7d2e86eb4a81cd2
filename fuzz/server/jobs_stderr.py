"""FFmpeg's standard error: streams, mappings and progress out of any lines."""

from __future__ import annotations

import math

from penstock.jobs.lines import LineSplitter
from penstock.jobs.probe_output import MAX_PROBE_LINES, read_probe
from penstock.jobs.run_log import PRELUDE_FIRST, PRELUDE_LAST, RunLog
from penstock.jobs.stderr import StderrReader, split_prefixes
from penstock.jobs.streams import StreamInfo

_KINDS = {"video", "audio", "subtitle", "data", "attachment", "unknown"}
_MAX_STREAMS = 1000


def one_input(data: bytes) -> None:
    # Levels and contexts in front of lines change nothing; streams are in order, each
    # once, their figures finite and not negative; a probe sees the streams of the
    # inputs; the log of a run holds the lines that are no progress, none of it longer
    # than allowed.
    splitter = LineSplitter()
    lines = splitter.feed(data) + splitter.flush()
    reader, prefixed = StderrReader(), StderrReader()
    log = RunLog(0, max_lines=7)
    noted = []
    for line in lines:
        _, text = split_prefixes(line)
        assert split_prefixes(text) == ("", text)
        assert line.endswith(text)
        sample = reader.feed(line)
        assert prefixed.feed(f"[libx264 @ 0x55d0] [info] {text}") == sample
        if sample is None:
            noted.append(line)
            log.add(line, 0)
        else:
            log.end_prelude()
            for figure in (sample.fps, sample.time_s, sample.bitrate_bps, *sample.qs):
                assert figure is None or math.isfinite(figure)
            for count in (sample.frame, sample.size_bytes, sample.dup, sample.drop):
                assert count is None or count >= 0
    assert (reader.inputs, reader.outputs) == (prefixed.inputs, prefixed.outputs)
    assert (reader.mappings, reader.version) == (prefixed.mappings, prefixed.version)
    for streams in (reader.inputs, reader.outputs):
        _check_streams(streams)
    assert len(reader.inputs) + len(reader.outputs) <= _MAX_STREAMS
    assert len(reader.mappings) <= _MAX_STREAMS
    probe = read_probe(lines)
    assert probe.streams == reader.inputs
    assert probe.log == tuple(lines[:MAX_PROBE_LINES])
    report = log.report()
    assert [line.text for line in report.log] == noted[-7:]
    assert len(report.prelude) <= PRELUDE_FIRST + 1 + PRELUDE_LAST
    assert list(report.prelude[:PRELUDE_FIRST]) == noted[: len(report.prelude)][:100]


def _check_streams(streams: tuple[StreamInfo, ...]) -> None:
    places = [(stream.index, stream.stream) for stream in streams]
    assert places == sorted(set(places))
    for stream in streams:
        assert stream.kind in _KINDS
        assert len(stream.language) == 3
        assert stream.language == stream.language.lower()
        for figure in (
            *(stream.duration_s, stream.bitrate_bps, stream.frame_rate),
            *(stream.width, stream.height, stream.sample_rate, stream.channels),
        ):
            assert 0 <= figure < math.inf
