"""Whatever comes, in whatever pieces: the same result, no exception, little memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.jobs.lines import LineBudget, LineSplitter
from penstock.jobs.probe_output import read_probe
from penstock.jobs.progress import ProgressTracker
from penstock.jobs.progress_pipe import ProgressPipe
from penstock.jobs.samples import decode_progress_line
from penstock.jobs.skills import LISTS, decode_skills
from penstock.jobs.stderr import StderrReader

LIMIT = 40

# Bytes that look like what FFmpeg prints get deeper than noise.
WORDS = [
    *["Input #0, flv, from 'a':", "Output #0, flv, to 'b':", "  Duration: "],
    *["  Stream #0:0", "(deu)", ": Video: ", ": Audio: ", "h264", "yuv420p(", "1x1"],
    *[", ", "25 fps", "9k tbr", "44100 Hz", "5.1(side)", "69 kb/s", "Stream mapping:"],
    *["  Stream #0:0 -> #0:0 (", "copy)", "[info] ", "[a @ 0x1] ", "frame=", "1 fps="],
    *["q=", "Lsize=", "size=", "kB ", "KiB ", "time=", "00:00:01.00 ", "bitrate="],
    *["kbits/s ", "speed=", "x", "N/A ", "9" * 30, "-", ".", "e+99", "progress=end"],
    *["out_time_us=", "stream_0_0_q=", "total_size=", "\r", "\n", "\r\n", " DEV.L. "],
    *["ffmpeg version n9.0.2-17-g", " (encoders: ", ")", "Input:\n  ", "->", "\0", "²"],
]
TEXT = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=5))).map("".join)
BYTES = st.one_of(st.binary(), TEXT.map(lambda text: text.encode("utf-8", "replace")))
SEGMENTS = st.lists(BYTES, max_size=6)


@pytest.mark.slow
@given(SEGMENTS)
def test_lines_do_not_depend_on_the_segmentation(segments: list[bytes]) -> None:
    whole, pieces, octets = (LineSplitter(LIMIT) for _ in range(3))
    data = b"".join(segments)
    expected = whole.feed(data) + whole.flush()
    lines = []
    for segment in segments:
        lines += pieces.feed(segment)
        assert pieces.pending_bytes <= LIMIT
    single = [line for octet in data for line in octets.feed(bytes([octet]))]
    assert lines + pieces.flush() == expected
    assert single + octets.flush() == expected
    for other in (pieces, octets):
        assert other.lines == whole.lines == len(expected)
        assert other.cut_lines == whole.cut_lines
        assert other.dropped_bytes == whole.dropped_bytes
    assert all(line and len(line) <= LIMIT for line in expected)
    kept = [piece[:LIMIT] for piece in data.replace(b"\r", b"\n").split(b"\n") if piece]
    assert expected == [piece.decode("utf-8", "replace") for piece in kept]


def test_a_line_without_end_costs_its_limit() -> None:
    splitter = LineSplitter()
    for _ in range(1000):
        assert splitter.feed(b"x" * 65536) == []
        assert splitter.pending_bytes == splitter.max_bytes
    assert splitter.dropped_bytes == 65536 * 1000 - splitter.max_bytes
    assert splitter.flush() == ["x" * splitter.max_bytes]
    assert (splitter.lines, splitter.cut_lines, splitter.flush()) == (1, 1, [])


def test_a_flood_of_lines_is_counted() -> None:
    budget = LineBudget(per_second=3)
    assert [budget.admit(7.0 + tick / 10) for tick in range(5)] == [True] * 3 + [
        False,
        False,
    ]
    assert budget.admit(8.0)
    assert budget.dropped == 2


@pytest.mark.slow
@given(TEXT, st.floats(0, 100))
def test_no_text_raises(text: str, now: float) -> None:
    reader, pipe, tracker = StderrReader(), ProgressPipe(), ProgressTracker(0.0)
    before = tracker.view(now)
    for line in text.splitlines():
        for sample in (reader.feed(line), pipe.feed(line)):
            if sample is not None:
                tracker.update(sample, now)
                after = tracker.view(now, reader.inputs, reader.outputs)
                assert after.frame >= before.frame
                assert after.size_bytes >= before.size_bytes
                assert after.time_s >= 0
                before = after
    for stream in (*reader.inputs, *reader.outputs):
        assert len(stream.language) == 3
        assert min(stream.width, stream.channels, stream.bitrate_bps) >= 0
    assert read_probe(text.splitlines()).streams == reader.inputs
    decode_skills(dict.fromkeys(LISTS, text))


@pytest.mark.slow
@given(data=st.data())
def test_damaged_recordings_raise_nothing(
    data: st.DataObject, recordings: list[bytes]
) -> None:
    recording = bytearray(data.draw(st.sampled_from(recordings)))
    for _ in range(data.draw(st.integers(1, 20))):
        place = data.draw(st.integers(0, len(recording)))
        recording[place : place + data.draw(st.integers(0, 8))] = data.draw(BYTES)
    reader, pipe, splitter = StderrReader(), ProgressPipe(), LineSplitter()
    for line in splitter.feed(bytes(recording)) + splitter.flush():
        reader.feed(line)
        pipe.feed(line)
    decode_skills(dict.fromkeys(LISTS, recording.decode("utf-8", "replace")))


@given(st.integers(0, 10**18 - 1), st.integers(0, 10**9), st.integers(0, 9999))
def test_progress_lines_say_what_was_written(
    frame: int, size_kib: int, hundredths: int
) -> None:
    clock = f"{hundredths // 6000:02}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"
    for unit in ("kB", "KiB"):
        sample = decode_progress_line(
            f"frame={frame:5} fps= 25 q=-1.0 Lsize={size_kib:8}{unit} time=00:{clock} "
            "bitrate= 1.5kbits/s speed=   1x"
        )
        assert sample is not None
        assert sample.frame == frame
        assert sample.size_bytes == size_kib * 1024
        assert sample.time_s is not None
        assert abs(sample.time_s - hundredths / 100) < 1e-6
        assert (sample.bitrate_bps, sample.speed) == (1500.0, 1.0)
