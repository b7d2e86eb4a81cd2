from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from penstock.jobs.lines import LineSplitter
from penstock.jobs.probe_output import MAX_PROBE_LINES, read_probe
from penstock.jobs.samples import ProgressSample, decode_progress_line
from penstock.jobs.stderr import (
    StderrReader,
    StreamMapping,
    decode_banner_version,
    decode_mapping_line,
    split_prefixes,
)
from penstock.jobs.streams import channels_of, decode_stream_line

Recorded = Callable[[str], bytes]


@attrs.frozen
class Run:
    reader: StderrReader
    samples: list[ProgressSample]
    log: list[str]


def read(data: bytes) -> Run:
    reader, splitter = StderrReader(), LineSplitter()
    samples, log = [], []
    for line in splitter.feed(data) + splitter.flush():
        sample = reader.feed(line)
        if sample is None:
            log.append(line)
        else:
            samples.append(sample)
    return Run(reader, samples, log)


@pytest.mark.parametrize("case", ["av", "level"])
def test_picture_and_sound_are_read_with_levels_and_without(
    recorded: Recorded, case: str
) -> None:
    run = read(recorded(case))
    assert run.reader.version in {(5, 1, 9), (9, 0, 2)}
    picture, sound = run.reader.inputs
    assert (picture.index, picture.kind, picture.pix_fmt) == (0, "video", "rgb24")
    assert (picture.url, picture.format) == (
        "testsrc=size=320x180:rate=25:duration=2",
        "lavfi",
    )
    assert (sound.index, sound.codec, sound.bitrate_bps) == (1, "pcm_s16le", 705_000)
    video, audio = run.reader.outputs
    assert (video.codec, video.coder, video.pix_fmt) == ("h264", "libx264", "yuv420p")
    assert (video.width, video.height, video.frame_rate) == (320, 180, 25)
    assert (audio.stream, audio.codec, audio.profile) == (1, "aac", "LC")
    assert (audio.sample_rate, audio.layout, audio.channels) == (44100, "mono", 1)
    assert (audio.coder, audio.language, audio.format) == ("aac", "und", "flv")
    assert len(run.samples) >= 3
    last = run.samples[-1]
    assert (last.frame, last.size_bytes, last.is_last) == (50, 54 * 1024, True)
    assert last.time_s == pytest.approx(2.0, abs=0.05)
    assert last.bitrate_bps == pytest.approx(221_000, rel=0.02)
    assert not any("bitrate= " in line for line in run.log)


def test_sound_alone_has_progress(recorded: Recorded) -> None:
    run = read(recorded("audio"))
    last = run.samples[-1]
    assert (last.frame, last.fps, last.qs) == (None, None, ())
    assert last.size_bytes == 18 * 1024
    assert len(run.samples) >= 3
    assert not any(line.startswith("size=") for line in run.log)


def test_filter_graphs_have_progress_and_mappings(recorded: Recorded) -> None:
    run = read(recorded("filter"))
    assert [(o.kind, o.coder) for o in run.reader.outputs] == [
        ("video", "libx264"),
        ("video", "libx264"),
        ("audio", "aac"),
    ]
    assert [(m.source, m.target) for m in run.reader.mappings] == [
        ((0, 0), None),
        ((1, 0), None),
        (None, (0, 0)),
        (None, (0, 1)),
        ((2, 0), (0, 2)),
    ]
    assert attrs.evolve(
        run.samples[-1], fps=0, time_s=0, size_bytes=0, bitrate_bps=0, speed=0
    ) == ProgressSample(
        frame=50,
        fps=0,
        qs=(-1, -1),
        time_s=0,
        size_bytes=0,
        bitrate_bps=0,
        speed=0,
        is_last=True,
    )
    assert [sample.is_last for sample in run.samples[-2:]] == [False, True]


def test_several_outputs_are_in_order_of_their_number(recorded: Recorded) -> None:
    outputs = read(recorded("outputs")).reader.outputs
    assert [(o.index, o.stream, o.format, o.coder) for o in outputs] == [
        (0, 0, "mpegts", "libx264"),
        (0, 1, "mpegts", "aac"),
        (1, 0, "null", "libx264"),
        (2, 0, "ogg", "libopus"),
    ]


def test_languages_and_subtitles_are_read(recorded: Recorded) -> None:
    run = read(recorded("languages"))
    for streams in (run.reader.inputs, run.reader.outputs):
        assert [(s.kind, s.codec, s.language, s.coder) for s in streams] == [
            ("video", "h264", "und", "copy"),
            ("audio", "aac", "deu", "copy"),
            ("audio", "aac", "fra", "copy"),
            ("subtitle", "subrip", "deu", "copy"),
            ("subtitle", "subrip", "fra", "copy"),
        ]
    assert {s.duration_s for s in run.reader.inputs} == {2.02}


def test_a_data_stream_is_read(recorded: Recorded) -> None:
    run = read(recorded("data"))
    assert [(s.kind, s.codec) for s in run.reader.outputs] == [
        ("video", "h264"),
        ("data", ""),
    ]
    # Addresses of elementary streams and start times stand in no way.
    assert [s.bitrate_bps for s in run.reader.inputs] == [0, 71_000, 70_000, 0]


def test_a_missing_input_declares_nothing(recorded: Recorded) -> None:
    run = read(recorded("missing"))
    assert run.samples == []
    assert run.reader.inputs == run.reader.outputs == ()
    assert "No such file or directory" in run.log[-1]


def test_without_statistics_the_last_line_alone_is_progress(recorded: Recorded) -> None:
    (sample,) = read(recorded("nostats")).samples
    assert sample.frame == 50
    assert sample.size_bytes is None
    assert sample.is_last


def test_a_probe_lists_all_inputs(recorded: Recorded) -> None:
    splitter = LineSplitter()
    result = read_probe(splitter.feed(recorded("probe")))
    assert [s.kind for s in result.streams] == [
        *("video", "audio", "audio", "subtitle", "subtitle", "audio"),
    ]
    assert (result.streams[-1].layout, result.streams[-1].channels) == ("5.1", 6)
    assert result.streams[0].coder == ""
    assert result.log[-1] == "At least one output file must be specified"


def test_a_probe_keeps_a_bounded_log() -> None:
    assert len(read_probe(["x"] * 5000).log) == MAX_PROBE_LINES


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("plain", ("", "plain")),
        ("[info]   Duration: N/A", ("info", "  Duration: N/A")),
        ("[libx264 @ 0x55d0] [info] using", ("info", "using")),
        ("[vost#0:0/libx264 @ 0x1] [enc:libx264 @ 0x2] x", ("", "x")),
        ("[tls @ 000001f] [error] x", ("error", "x")),
        ("[a] b", ("", "[a] b")),
        ("[info]x", ("", "[info]x")),
    ],
)
def test_prefixes_are_split(line: str, parts: tuple[str, str]) -> None:
    assert split_prefixes(line) == parts


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("5.1.9-0+deb12u1", (5, 1, 9)),
        ("n9.0.2-17-g2a571b6068-20260930", (9, 0, 2)),
        ("7.1", (7, 1, 0)),
        ("6.0-static", (6, 0, 0)),
        ("N-117771-g07904231cb", None),
        ("git-2020-01-01-abc", None),
        ("2026-01-01-git-abc", None),
    ],
)
def test_versions_are_read(version: str, number: tuple[int, int, int] | None) -> None:
    text = f"ffmpeg version {version} Copyright (c) 2000-2026 the FFmpeg developers"
    assert decode_banner_version(text) == number


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (
            "frame=  139 fps= 23 q=8.0 size=     307kB time=00:00:05.38 "
            "bitrate= 467.2kbits/s dup=1 drop=2 speed=0.972x",
            {"frame": 139, "dup": 1, "drop": 2, "size_bytes": 314_368, "speed": 0.972},
        ),
        (
            "size=N/A time=-00:00:00.02 bitrate=N/A speed=N/A",
            {"size_bytes": None, "time_s": -0.02, "speed": None, "frame": None},
        ),
        (
            "frame=    9 fps=0.0 q=-0.0 size=N/A time=100:00:01.50 bitrate=N/A "
            "speed=1.21e+03x elapsed=0:00:01.00",
            {"time_s": 360_001.5, "speed": 1210.0, "qs": (0.0,)},
        ),
    ],
)
def test_progress_lines_are_read(line: str, fields: dict[str, object]) -> None:
    sample = decode_progress_line(line)
    assert sample is not None
    assert {name: getattr(sample, name) for name in fields} == fields


@pytest.mark.parametrize(
    "line",
    [
        "frame I:1     Avg QP:20.00  size:  5006",
        "frame=1",
        "size=12",
        "  frame=  139 fps= 23 q=8.0 size= 307kB time=00:00:05.38 bitrate=N/A",
        "[out#0/flv @ 0x1] video:34KiB audio:17KiB",
    ],
)
def test_other_lines_are_no_progress(line: str) -> None:
    assert decode_progress_line(line) is None


@pytest.mark.parametrize(
    ("layout", "channels"),
    [
        *[("mono", 1), ("stereo", 2), ("5.1(side)", 6), ("7.1.4", 12), ("22.2", 24)],
        *[("quad", 4), ("2 channels", 2), ("1 channels (FL)", 1), ("FL+FR+LFE", 3)],
        *[("ambisonic 1", 4), ("", 0), ("what", 0)],
    ],
)
def test_layouts_have_their_channels(layout: str, channels: int) -> None:
    assert channels_of(layout) == channels


def test_a_stream_line_with_everything_is_read() -> None:
    stream = decode_stream_line(
        "  Stream #1:2[0x3](ENG): Video: hevc (Main 10) (hvc1 / 0x31637668), "
        "yuv420p10le(tv, bt2020nc/bt2020/smpte2084), 3840x2160 [SAR 1:1 DAR 16:9], "
        "24000 kb/s, 59.94 fps, 59.94 tbr, 60k tbn (default) (forced)"
    )
    assert stream is not None
    assert (stream.index, stream.stream, stream.language) == (1, 2, "eng")
    assert (stream.codec, stream.profile) == ("hevc", "Main 10")
    assert (stream.pix_fmt, stream.width, stream.height) == ("yuv420p10le", 3840, 2160)
    assert (stream.bitrate_bps, stream.frame_rate) == (24_000_000, 59.94)


def test_a_stream_line_of_many_parentheses_is_read_at_once() -> None:
    stream = decode_stream_line(f"  Stream #0:0: Video: h264{' (a)' * 200_000}x")
    assert stream is not None
    assert stream.codec == "h264"


def test_a_language_of_another_shape_is_undetermined() -> None:
    stream = decode_stream_line("  Stream #0:0(de-AT): Audio: opus, 48000 Hz, fltp")
    assert stream is not None
    assert (stream.language, stream.layout, stream.sample_rate) == ("und", "", 48000)


def test_metadata_that_looks_like_a_stream_is_none() -> None:
    run = read(
        b"Input #0, flv, from 'a':\n"
        b"    title           : Stream #0:0: Video: h264\n"
        b"                    : Stream #0:1: Video: h264\n"
        b"  Stream #7:0: Video: h264\n"
    )
    assert run.reader.inputs == ()


def test_the_number_of_declared_streams_is_bounded() -> None:
    lines = [b"Input #0, flv, from 'a':"]
    lines += [b"  Stream #0:%d: Data: x" % number for number in range(5000)]
    lines += [b"Stream mapping:"]
    lines += [b"  Stream #0:%d -> #0:0 (copy)" % number for number in range(5000)]
    reader = read(b"\n".join(lines)).reader
    assert len(reader.inputs) == len(reader.mappings) == 1000


def test_a_mapping_names_the_coders() -> None:
    line = "  Stream #0:1 -> #2:3 (h264 (h264_cuvid) -> hevc (native))"
    assert decode_mapping_line(line) == StreamMapping(
        (0, 1), (2, 3), "h264_cuvid", "hevc"
    )
