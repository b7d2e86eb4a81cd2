"""The JSON that a patched FFmpeg prints instead of a progress line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.jobs.json_lines import JsonLine, JsonLineReader
from penstock.jobs.probe_output import read_probe
from penstock.jobs.progress import Progress, ProgressTracker
from penstock.jobs.samples import AvEnd, AvStream, ProgressSample
from penstock.jobs.stderr import StderrReader
from penstock.jobs.streams import StreamInfo

PICTURE = {
    "url": "playout:rtmp://h/x",
    "format": "flv",
    "index": 0,
    "stream": 0,
    "type": "video",
    "codec": "h264",
    "coder": "h264",
    "bitrate_kbps": 1822,
    "duration_sec": 10.005,
    "language": "und",
    "fps": 26.0,
    "pix_fmt": "yuv420p",
    "width": 640,
    "height": 360,
}
WRITTEN = PICTURE | {"url": "-", "coder": "libx264"}
SOUND = {
    "url": "-",
    "format": "flv",
    "index": 0,
    "stream": 1,
    "type": "audio",
    "codec": "aac",
    "coder": "aac",
    "language": "deu",
    "sampling_hz": 44100,
    "layout": "stereo",
    "channels": 2,
}
PLAYOUT = {
    "id": "playout:rtmp://h/x",
    "url": "rtmp://h/x",
    "stream": 0,
    "queue": 140,
    "aqueue": 3,
    "dup": 1,
    "drop": 2,
    "enc": 4,
    "looping": True,
    "looping_runtime": 7,
    "duplicating": False,
    "gop": "none",
    "input": {"state": "running", "packet": 148, "size_kb": 1529, "time": 5},
    "output": {"state": "idle", "packet": 8, "size_kb": 128, "time": 1},
    "swap": {"url": "", "status": "waiting"},
}


def report(number: int, *, sound: int | None = None) -> dict[str, Any]:
    """Return the report of half a second, as a recording of datarhei was fed."""
    heard = number if sound is None else sound
    return {
        "inputs": [
            {
                "index": 0,
                "stream": 0,
                "frame": 13 * number,
                "keyframe": number,
                "framerate": {"min": 25.0, "max": 26.5, "avg": 25.75},
                "packet": 13 * number,
                "size_kb": 100 * number,
            }
        ],
        "outputs": [
            {
                "index": 0,
                "stream": 0,
                "frame": 13 * number,
                "keyframe": number,
                "packet": 13 * number,
                "q": 21.5,
                "size_kb": 50 * number,
                "extradata_size_bytes": 41,
            },
            {
                "index": 0,
                "stream": 1,
                "frame": 22 * heard,
                "packet": 22 * heard,
                "size_bytes": 1500 * heard,
            },
        ],
        "frame": 13 * number,
        "packet": 13 * number,
        "q": 21.5,
        "size_kb": 150 * number,
        "time": f"0h0m{number / 2}s",
        "speed": 1.01,
        "dup": 1,
        "drop": 2,
    }


def line(name: str, value: object, prefix: str = "") -> str:
    return f"{prefix}{name}:{json.dumps(value, separators=(',', ':'))}"


def begun(prefix: str = "") -> JsonLineReader:
    reader = JsonLineReader()
    assert reader.feed(line("ffmpeg.inputs", [PICTURE], prefix)) == JsonLine()
    assert reader.feed(line("ffmpeg.mapping", {"graphs": []}, prefix)) == JsonLine()
    assert reader.feed(line("ffmpeg.outputs", [WRITTEN, SOUND], prefix)) == JsonLine()
    assert reader.feed(line("avstream.progress", PLAYOUT, prefix)) == JsonLine()
    return reader


def sample_of(reader: JsonLineReader, value: object) -> ProgressSample | None:
    told = reader.feed(line("ffmpeg.progress", value))
    assert told is not None
    return told.sample


@pytest.mark.parametrize("prefix", ["", "[info] "])
def test_streams_are_as_they_are_declared(prefix: str) -> None:
    reader = begun(prefix)
    assert reader.inputs == (
        StreamInfo(
            0,
            0,
            "video",
            "h264",
            url="playout:rtmp://h/x",
            format="flv",
            coder="h264",
            duration_s=10.005,
            bitrate_bps=1_822_000,
            frame_rate=26.0,
            pix_fmt="yuv420p",
            width=640,
            height=360,
        ),
    )
    picture, sound = reader.outputs
    assert (picture.coder, sound.language, sound.channels) == ("libx264", "deu", 2)


def test_what_was_recorded_of_datarhei_comes_out() -> None:
    reader, tracker = begun(), ProgressTracker(0.0)
    for number in range(1, 13):
        sample = sample_of(reader, report(number))
        assert sample is not None
        tracker.update(sample, number / 2)
    progress = tracker.view(6.0)
    assert (progress.frame, progress.packet, progress.fps) == (156, 156, 26.0)
    assert (progress.q, progress.time_s, progress.speed) == (21.5, 6.0, 1.01)
    assert (progress.drop, progress.dup) == (2, 1)
    assert (progress.size_bytes // 1024, progress.bitrate_bps / 1024) == (1800, 2400)
    picture, sound = progress.outputs
    assert (picture.fps, picture.pps, picture.keyframe, picture.q) == (26, 26, 12, 21.5)
    assert (picture.size_bytes // 1024, picture.bitrate_bps / 1024) == (600, 800)
    assert picture.extradata_bytes == 41
    assert (sound.size_bytes // 1024, sound.bitrate_bps / 1024) == (17, 23.4375)
    (source,) = progress.inputs
    assert source.frame_rates == (25.0, 26.5, 25.75)
    assert source.size_bytes // 1024 == 1200
    assert source.playout == AvStream(
        input=AvEnd("running", 148, 5, 1529 * 1024),
        output=AvEnd("idle", 8, 1, 128 * 1024),
        aqueue=3,
        queue=140,
        dup=1,
        drop=2,
        enc=4,
        is_looping=True,
        looping_s=7,
        is_duplicating=False,
        gop="none",
    )


def test_averages_of_streams_are_of_the_last_half_minute() -> None:
    reader, tracker = begun(), ProgressTracker(0.0)
    for number in range(1, 101):
        sample = sample_of(reader, report(min(number, 60)))
        assert sample is not None
        tracker.update(sample, number / 2)
    progress = tracker.view(50.0)
    # 20 of the 60 reports with news are within the window.
    assert progress.outputs[0].fps == pytest.approx(20 * 13 / 30)
    assert progress.fps == progress.outputs[0].pps


def test_one_stream_that_stands_still_is_no_progress() -> None:
    reader, tracker = begun(), ProgressTracker(0.0)
    for number in range(1, 13):
        sample = sample_of(reader, report(number, sound=min(number, 4)))
        assert sample is not None
        tracker.update(sample, number / 2)
    assert tracker.advanced_at == 2.0


def test_subtitles_may_keep_silent() -> None:
    reader, tracker = begun(), ProgressTracker(0.0)
    subtitles = SOUND | {"type": "subtitle"}
    reader.feed(line("ffmpeg.outputs", [WRITTEN, subtitles]))
    for number in range(1, 13):
        sample = sample_of(reader, report(number, sound=0))
        assert sample is not None
        tracker.update(sample, number / 2)
    assert tracker.advanced_at == 6.0


@pytest.mark.parametrize(
    "value",
    [
        report(1) | {"outputs": report(1)["outputs"][:1]},
        report(1) | {"inputs": []},
        report(1) | {"inputs": None},
        {},
        [],
        None,
    ],
)
def test_a_report_of_other_streams_is_dropped(value: Any) -> None:
    assert sample_of(begun(), value) is None


def test_a_report_before_the_streams_is_dropped() -> None:
    assert sample_of(JsonLineReader(), report(1)) is None
    empty = report(1) | {"inputs": [], "outputs": []}
    assert sample_of(JsonLineReader(), empty) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0h1m2.5s", 62.5),
        ("1h0m0.0s", 3600.0),
        ("-0h0m1.5s", -1.5),
        ("9.92s", 9.92),
        ("1m", None),
        ("N/A", None),
        (5, None),
    ],
)
def test_times_are_durations_of_go(text: Any, seconds: float | None) -> None:
    sample = sample_of(begun(), report(1) | {"time": text})
    assert sample is not None
    assert sample.time_s == seconds


def test_odd_values_count_nothing() -> None:
    odd = {"frame": True, "packet": -1, "size_kb": "9", "speed": 1e308, "dup": 10**400}
    sample = sample_of(begun(), report(1) | odd)
    assert sample is not None
    assert (sample.frame, sample.packet, sample.size_bytes) == (0, 0, 0)
    assert (sample.speed, sample.dup) == (0.0, 0)


def test_other_lines_are_left_to_others() -> None:
    reader = JsonLineReader()
    for text in (
        "",
        "frame= 1",
        "ffmpeg.other:{}",
        "[x @ 0x1] Opening 'ffmpeg.inputs:",
    ):
        assert reader.feed(text) is None


def test_a_probe_takes_the_streams_that_are_declared() -> None:
    lines = ["Input #0, flv, from 'x':", line("ffmpeg.inputs", [PICTURE]), "the end"]
    result = read_probe(lines)
    assert [stream.codec for stream in result.streams] == ["h264"]
    assert result.log == ("Input #0, flv, from 'x':", "the end")


NAMES = (
    *("ffmpeg.inputs", "ffmpeg.outputs", "ffmpeg.progress", "ffmpeg.mapping"),
    "avstream.progress",
)
KEYS = st.sampled_from(
    [*report(1), *report(1)["outputs"][0], *PICTURE, *PLAYOUT, "framerate", "min"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES), VALUES.map(json.dumps) | st.text(max_size=20)
        ),
        max_size=8,
    )
)
def test_any_lines_are_taken(lines: list[tuple[str, str]]) -> None:
    reader, tracker, other = begun(), ProgressTracker(0.0), StderrReader()
    for number, (name, text) in enumerate(lines):
        told = reader.feed(f"{name}:{text}")
        assert told is not None
        if told.sample is not None:
            tracker.update(told.sample, float(number))
    progress = tracker.view(10.0, other.inputs, other.outputs)
    assert isinstance(progress, Progress)
    json.dumps([progress.fps, progress.speed, progress.time_s], allow_nan=False)


def test_a_nest_of_brackets_is_no_report() -> None:
    reader = begun()
    assert reader.feed("ffmpeg.progress:" + "[" * 8000) == JsonLine()
    assert reader.feed("ffmpeg.inputs:" + "[" * 3000 + "]" * 3000) == JsonLine()
