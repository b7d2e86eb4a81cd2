from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.jobs.progress import Progress, ProgressTracker
from penstock.jobs.progress_pipe import ProgressPipe
from penstock.jobs.samples import ProgressSample
from penstock.jobs.streams import StreamInfo

VIDEO = StreamInfo(0, 0, "video", "h264")
OTHER_VIDEO = StreamInfo(0, 1, "video", "h264")
AUDIO = StreamInfo(0, 2, "audio", "aac")


def test_blocks_of_the_pipe_are_read(recorded: Callable[[str], bytes]) -> None:
    pipe = ProgressPipe()
    lines = recorded("progress").decode().splitlines()
    samples = [s for line in lines if (s := pipe.feed(line)) is not None]
    assert len(samples) >= 3
    last = samples[-1]
    assert last.frame == 50
    assert last.is_last
    assert not samples[0].is_last
    assert last.stream_qs == ((0, 0, -1.0), (0, 1, -1.0))
    assert last.time_s == pytest.approx(2.0, abs=0.05)
    assert last.size_bytes is not None
    assert last.time_s is not None
    assert last.size_bytes > 50_000
    assert last.bitrate_bps == pytest.approx(last.size_bytes * 8 / last.time_s, rel=0.1)
    assert (last.dup, last.drop) == (0, 0)
    assert pipe.ignored_lines == 0


def test_what_the_pipe_does_not_know_is_none() -> None:
    pipe = ProgressPipe()
    for line in (
        *("frame=0", "fps=0.00", "bitrate=N/A", "total_size=N/A", "speed=N/A"),
        *("out_time_us=-9223372036854775807", "nonsense", "=x"),
    ):
        assert pipe.feed(line) is None
    assert pipe.feed("progress=continue") == ProgressSample(frame=0, fps=0.0)
    assert pipe.ignored_lines == 2


def test_a_block_is_bounded() -> None:
    pipe = ProgressPipe()
    for number in range(1000):
        pipe.feed(f"stream_0_{number}_q=1.0")
    sample = pipe.feed("progress=end")
    assert sample is not None
    assert len(sample.stream_qs) == 256
    assert pipe.ignored_lines == 744


def test_before_the_first_report_all_is_zero() -> None:
    tracker = ProgressTracker(10.0)
    assert tracker.view(12.0, [VIDEO], [VIDEO]) == Progress()


def test_averages_are_those_of_a_young_run() -> None:
    tracker = ProgressTracker(10.0)
    for half in range(1, 9):
        tracker.update(
            ProgressSample(frame=half * 12, size_bytes=half * 50_000, time_s=half / 2),
            10.0 + half / 2,
        )
    progress = tracker.view(14.0)
    assert (progress.frame, progress.size_bytes, progress.time_s) == (96, 400_000, 4.0)
    assert progress.fps == pytest.approx(24.0)
    assert progress.bitrate_bps == pytest.approx(800_000)


def test_averages_forget_what_is_older_than_the_window() -> None:
    tracker = ProgressTracker(0.0)
    for second in range(1, 61):
        frame = second * 10 if second <= 30 else 300 + (second - 30) * 50
        tracker.update(ProgressSample(frame=frame), float(second))
    assert tracker.view(60.0).fps == pytest.approx(50.0)
    assert tracker.view(75.0).fps == pytest.approx(25.0)
    assert tracker.view(200.0).fps == 0.0


@pytest.mark.slow
def test_reports_without_end_keep_few_marks() -> None:
    tracker = ProgressTracker(0.0)
    for tick in range(20_000):
        tracker.update(ProgressSample(frame=tick), tick / 200)
    assert tracker.marks <= 64
    assert tracker.view(100.0).fps == pytest.approx(200, rel=0.02)


def test_counts_from_two_sources_never_go_back() -> None:
    tracker = ProgressTracker(0.0)
    tracker.update(ProgressSample(frame=10, size_bytes=1500, dup=1, drop=2), 1.0)
    tracker.update(ProgressSample(frame=9, size_bytes=1024), 1.1)
    progress = tracker.view(1.1)
    assert (progress.frame, progress.size_bytes) == (10, 1500)
    assert (progress.dup, progress.drop) == (1, 2)


def test_a_report_that_says_nothing_keeps_what_was_said() -> None:
    tracker = ProgressTracker(0.0)
    tracker.update(ProgressSample(qs=(21.5,), time_s=3.0, speed=0.98), 1.0)
    tracker.update(ProgressSample(qs=(-1.0,)), 2.0)
    progress = tracker.view(2.0)
    assert (progress.q, progress.time_s, progress.speed) == (21.5, 3.0, 0.98)


def test_sound_alone_advances_a_run() -> None:
    tracker = ProgressTracker(5.0)
    assert tracker.advanced_at == 5.0
    tracker.update(ProgressSample(size_bytes=0, time_s=0.5), 6.0)
    assert tracker.advanced_at == 6.0
    tracker.update(ProgressSample(size_bytes=0, time_s=0.5), 7.0)
    assert tracker.advanced_at == 6.0
    tracker.update(ProgressSample(size_bytes=100, time_s=0.5), 8.0)
    assert tracker.advanced_at == 8.0


def test_streams_have_what_ffmpeg_tells_of_each() -> None:
    tracker = ProgressTracker(0.0)
    tracker.update(
        ProgressSample(frame=50, qs=(23.0, 30.0), stream_qs=((0, 0, 23.0), (0, 1, 30))),
        2.0,
    )
    progress = tracker.view(2.0, [AUDIO], [VIDEO, OTHER_VIDEO, AUDIO])
    assert [(s.frame, s.fps, s.q) for s in progress.outputs] == [
        (50, 25.0, 23.0),
        (0, 0.0, 30.0),
        (0, 0.0, 0.0),
    ]
    assert [s.info for s in progress.inputs] == [AUDIO]
