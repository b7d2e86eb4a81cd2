"""FFmpeg as it runs: what it prints, read while it prints it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import attrs
import pytest

from penstock.jobs.lines import LineSplitter
from penstock.jobs.progress import Progress, ProgressTracker
from penstock.jobs.progress_pipe import ProgressPipe
from penstock.jobs.run_log import RunLog
from penstock.jobs.skills import LISTS, decode_skills
from penstock.jobs.stderr import StderrReader

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SECONDS = 2
VIDEO = f"-f lavfi -re -i testsrc=size=320x180:rate=25:duration={SECONDS}"
AUDIO = f"-f lavfi -re -i sine=sample_rate=48000:duration={SECONDS}"
X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"
CASES = {
    "av": f"{VIDEO} {AUDIO} {X264} -c:a aac -f mpegts",
    "level": f"-loglevel level+info {VIDEO} {AUDIO} {X264} -c:a aac -f mpegts",
    "audio": f"{AUDIO} -c:a aac -f adts",
    "filter": f"{VIDEO} {VIDEO} -filter_complex hstack {X264} -f mpegts",
}


@pytest.fixture(params=["ffmpeg5", "ffmpeg9"])
def ffmpeg(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@attrs.frozen
class Watched:
    code: int
    last: Progress
    while_running: list[Progress]
    reader: StderrReader
    log: RunLog
    size: int


def watch(command: list[str], target: Path, *, with_pipe: bool) -> Watched:
    """Run FFmpeg and read it as it prints, from standard error or from the pipe."""
    reader, pipe, splitter = StderrReader(), ProgressPipe(), LineSplitter()
    started = time.monotonic()
    tracker, log, seen = ProgressTracker(started), RunLog(0), []
    read, write = os.pipe()
    options = ["-progress", f"pipe:{write}", "-nostats"] if with_pipe else []
    process = subprocess.Popen(
        [command[0], "-nostdin", "-y", *options, *command[1:], str(target)],
        stderr=subprocess.DEVNULL if with_pipe else write,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        pass_fds=[write],
    )
    os.close(write)
    with open(read, "rb", buffering=0) as stream:
        while data := stream.read(4096):
            for line in splitter.feed(data):
                sample = pipe.feed(line) if with_pipe else reader.feed(line)
                now = time.monotonic()
                if sample is not None:
                    log.end_prelude()
                    tracker.update(sample, now)
                    seen.append(tracker.view(now, reader.inputs, reader.outputs))
                elif not with_pipe:
                    log.add(line, 0)
    code = process.wait(60)
    last = tracker.view(time.monotonic(), reader.inputs, reader.outputs)
    return Watched(code, last, seen, reader, log, target.stat().st_size)


@pytest.mark.parametrize("with_pipe", [False, True], ids=["stderr", "pipe"])
@pytest.mark.parametrize("case", CASES)
def test_totals_are_those_of_the_file(
    ffmpeg: str, tmp_path: Path, case: str, with_pipe: bool
) -> None:
    run = watch([ffmpeg, *CASES[case].split()], tmp_path / "out", with_pipe=with_pipe)
    assert run.code == 0
    assert len(run.while_running) >= 3
    assert run.last.frame == (0 if case == "audio" else SECONDS * 25)
    assert run.last.time_s == pytest.approx(SECONDS, abs=0.1)
    # Standard error rounds to KiB.
    assert run.last.size_bytes == pytest.approx(run.size, abs=1024)
    assert run.last.speed > 0
    assert run.last.bitrate_bps > 0
    assert (run.last.fps > 0) == (case != "audio")
    sizes = [progress.size_bytes for progress in run.while_running]
    assert sizes == sorted(sizes)
    if not with_pipe:
        kinds = [entry.info.kind for entry in run.last.outputs]
        expected = {"audio": ["audio"], "filter": ["video"]}
        assert kinds == expected.get(case, ["video", "audio"])
        assert run.reader.version is not None
        assert run.reader.version >= (5, 0, 0)
        assert any("Stream mapping:" in line for line in run.log.prelude)
        assert not any("bitrate= " in line.text for line in run.log.report().log)


def test_what_it_can_do_is_read(ffmpeg: str, environment: dict[str, str]) -> None:
    outputs = {
        name: subprocess.run(
            [ffmpeg, "-hide_banner", f"-{name}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=environment,
        ).stdout
        for name in LISTS
    }
    skills = decode_skills(outputs)
    assert skills.version.number is not None
    assert len(skills.version.libraries) >= 7
    encoders = {encoder.name for encoder in skills.encoders}
    decoders = {decoder.name for decoder in skills.decoders}
    assert {"libx264", "aac", "libopus"} <= encoders
    # Two lists say the same, and no line of either was lost.
    assert encoders >= {name for codec in skills.codecs for name in codec.encoders}
    assert decoders >= {name for codec in skills.codecs for name in codec.decoders}
    assert len(skills.codecs) > 450
    assert len(skills.filters) > 450
    assert len(skills.formats.demuxers) > 300
    assert len(skills.formats.muxers) > 150
    assert {"rtmp", "srt"} <= set(skills.protocols.outputs)
