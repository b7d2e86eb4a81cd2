"""Whether jobs can run with an FFmpeg, by what it says of itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest
import trio

from penstock.jobs.child import Spawner
from penstock.jobs.command_line import arguments
from penstock.jobs.job import Job
from penstock.jobs.program import Judge
from penstock.jobs.run_log import RunHistory, RunLog
from penstock.jobs.spec import JobInput, JobOutput, JobSpec
from penstock.jobs.state import Exec

StandIn = Callable[..., Path]


@pytest.mark.parametrize(
    ("banner", "problem"),
    [
        ("ffmpeg version n9.0.2-17-g2a571b6068 Copyright", ""),
        ("ffmpeg version 5.0 Copyright", ""),
        ("ffmpeg version N-117771-g07904231cb Copyright", ""),
        ("ffmpeg version 4.4.2 Copyright", "is FFmpeg 4.4.2: jobs need 5.0 or newer"),
        ("GNU bash, version 5.2", "is no FFmpeg: jobs cannot run"),
    ],
)
async def test_an_ffmpeg_is_judged_by_its_version(
    stand_in: StandIn, banner: str, problem: str
) -> None:
    path = str(stand_in("", banner))
    said = await Judge().problem(path)
    assert said == (f"{path} {problem}" if problem else "")


async def test_a_program_is_asked_once_until_it_is_another(
    stand_in: StandIn, tmp_path: Path
) -> None:
    judge = Judge()
    count = tmp_path / "asked"
    asked = f"ffmpeg version 4.4'; echo x >>'{count}"
    old = str(stand_in("", asked))
    for _ in range(3):
        assert "4.4" in await judge.problem(old)
    assert count.read_text() == "x\n"
    assert await judge.problem(str(stand_in(""))) == ""
    os.remove(old)
    assert await judge.problem(old) == (
        f"{old}: No such file or directory: jobs cannot run"
    )


async def test_the_ffmpeg_that_comes_with_us_will_do() -> None:
    assert await Judge().problem(imageio_ffmpeg.get_ffmpeg_exe()) == ""


async def test_a_job_fails_with_the_verdict_and_starts_nothing(
    stand_in: StandIn, tmp_path: Path
) -> None:
    spec = JobSpec("id", (JobInput("in", "x"),), (JobOutput("out", "-"),))
    job = Job(spec, arguments(spec), RunHistory(RunLog(1)))
    path = str(stand_in(f"touch {tmp_path}/ran"))

    async def judge() -> str:
        return "too old"

    job.judge = judge
    async with trio.open_nursery() as nursery:
        nursery.start_soon(job.run, Spawner(), lambda: path, tmp_path)
        with trio.fail_after(60):
            while job.state().exec is not Exec.FAILED:  # noqa: ASYNC110 - tells nobody
                await trio.sleep(0.005)
        assert job.state().last_line == "too old"
        nursery.cancel_scope.cancel()
    assert not (tmp_path / "ran").exists()
