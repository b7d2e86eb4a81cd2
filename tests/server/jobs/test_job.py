"""A job's life: order, states, ends, reconnects, limits, and floods of words."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import trio

from penstock.jobs.child import Spawner
from penstock.jobs.command_line import arguments
from penstock.jobs.counters import available_cpus
from penstock.jobs.job import Job
from penstock.jobs.run_log import RunHistory, RunLog
from penstock.jobs.spec import JobInput, JobLimits, JobOutput, JobSpec
from penstock.jobs.state import Exec, Order

ENDS = (JobInput("in", "x"),), (JobOutput("out", "-"),)
Running = Callable[..., AbstractAsyncContextManager[Job]]


@pytest.fixture
def running(tmp_path: Path, stand_in: Callable[[str], Path]) -> Iterator[Running]:
    """Run a job whose program is a script of the shell; ``$3`` is its first word."""
    spawner = Spawner()

    @asynccontextmanager
    async def run(script: str, **wishes: Any) -> AsyncIterator[Job]:
        program = stand_in(script)
        spec = JobSpec("id", *ENDS, **({"autostart": False} | wishes))
        job = Job(spec, arguments(spec), RunHistory(RunLog(1)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job.run, spawner, lambda: str(program), tmp_path)
            yield job
            nursery.cancel_scope.cancel()

    yield run
    spawner.close()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - the job tells nobody
            await trio.sleep(0.005)


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("exit 0", Exec.FINISHED),
        ("exit 255", Exec.FINISHED),
        ("exit 1", Exec.FAILED),
        ("kill -TERM $$", Exec.KILLED),
    ],
)
async def test_an_end_has_its_name(running: Running, script: str, state: Exec) -> None:
    async with running(f"echo said >&2; {script}") as job:
        assert job.state().exec is Exec.FINISHED
        assert job.state().order is Order.STOP
        job.start()
        await until(lambda: job.state().last_line == "said")
        await until(lambda: not job.state().exec.is_on)
        now = job.state()
        assert (now.exec, now.order, now.reconnect) == (state, Order.START, None)
        assert (now.memory, now.cpu) == (0, 0.0)
        assert now.command == ("-i", "x", "-")
        # Another start is another run, though the order was there.
        job.start()
        await until(lambda: len(job.history.past) == 1)


async def test_a_refusal_is_no_answer_to_a_signal(running: Running) -> None:
    # FFmpeg 9 whose input over RTMP was refused.
    said = "[fatal] Error opening input files: Operation not permitted"
    async with running(f"echo '{said}' >&2; exit 255") as job:
        job.start()
        await until(lambda: job.state().exec is Exec.FAILED)
        assert job.state().last_line == said


async def test_a_program_that_is_none_fails_and_says_why(
    running: Running, tmp_path: Path
) -> None:
    async with running("") as job:
        (tmp_path / "program").unlink()
        job.start()
        await until(lambda: job.state().exec is Exec.FAILED)
        assert job.state().last_line.endswith("program: No such file or directory")


async def test_a_stop_asks_first_and_takes_what_was_said_last(
    running: Running,
) -> None:
    script = (
        "trap 'echo bye >&2; exit 255' INT; echo up >&2; while :; do sleep 0.01; done"
    )
    async with running(script, autostart=True, reconnect=True) as job:
        await until(lambda: job.state().last_line == "up")
        assert job.state().exec is Exec.RUNNING
        job.stop()
        await job.wait_stopped()
        state = job.state()
        assert (state.exec, state.order) == (Exec.FINISHED, Order.STOP)
        assert state.last_line == "bye"
        assert state.reconnect is None
        await trio.sleep(0.05)
        assert not job.state().exec.is_on


async def test_what_ignores_the_question_is_killed_after_5_s(
    running: Running, autojump_clock: trio.testing.MockClock
) -> None:
    # The clock of the test jumps while the program lives by the real one.
    script = "trap '' INT; echo up >&2; while :; do sleep 0.01; done"
    async with running(script) as job:
        job.start()
        autojump_clock.autojump_threshold = 0.3
        while job.state().last_line != "up":  # noqa: ASYNC110 - the job tells nobody
            await trio.sleep(0.001)
        begun = trio.current_time()
        job.stop()
        await job.wait_stopped()
        # Once it is killed, real time may pass until it is gone.
        assert 5.0 <= trio.current_time() - begun < 10.0
        assert job.state().exec is Exec.KILLED


async def test_a_reconnect_waits_and_can_be_cut_short_or_called_off(
    running: Running,
) -> None:
    async with running("exit 1", reconnect=True, reconnect_delay=100) as job:
        job.start()
        await until(lambda: job.state().reconnect is not None)
        left = job.state().reconnect
        assert left is not None
        assert 90 < left <= 100
        runs = job.history.current
        # That is what a restart would lead to.
        job.restart()
        await trio.sleep(0.05)
        assert job.history.current is runs
        job.start()
        await until(lambda: job.history.current is not runs)
        await until(lambda: job.state().reconnect is not None)
        job.stop()
        assert job.state().reconnect is None
        assert job.state().exec is Exec.FAILED


async def test_a_restart_is_another_run_whether_or_not_it_reconnects(
    running: Running,
) -> None:
    async with running("echo $$ >&2; exec sleep 100") as job:
        job.restart()
        await trio.sleep(0.05)
        assert job.child is None
        job.start()
        await until(lambda: job.state().last_line != "")
        first = job.state().last_line
        job.restart()
        await until(lambda: job.state().last_line not in ("", first))
        assert job.state().exec is Exec.RUNNING
        assert job.history.past[0].prelude == (first,)


async def test_a_restart_of_a_job_that_reconnects_waits_its_delay(
    running: Running,
) -> None:
    script = "trap 'exit 255' INT; echo x >&2; while :; do sleep 0.01; done"
    async with running(script, reconnect=True, reconnect_delay=1) as job:
        job.start()
        await until(lambda: job.state().last_line != "")
        run = job.history.current
        began = trio.current_time()
        job.restart()
        await until(lambda: job.state().reconnect is not None)
        assert (job.order, job.exec) == (Order.START, Exec.FINISHED)
        assert job.history.current is run
        await until(lambda: job.history.current is not run)
        assert trio.current_time() - began >= 1


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, "all"),
        ({"cpu.max": "max 100000\n"}, "all"),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "99900000 100000\n"}, "all"),
        ({"cpu.max": "0 0\n"}, "all"),
        ({"cpu/cpu.cfs_quota_us": "25000\n"}, "all"),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "all"),
        ({"cpu/cpu.cfs_quota_us": "25000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 0.5),
    ],
)
def test_a_container_has_the_cores_that_it_may_use(
    tmp_path: Path, files: dict[str, str], cores: Any
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    every = len(os.sched_getaffinity(0))
    assert available_cpus(tmp_path) == (every if cores == "all" else cores)


async def test_a_job_that_dies_at_once_again_and_again_costs_nobody_anything(
    running: Running,
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with running("echo x >&2; exit 1", reconnect=True) as job:
        job.start()
        for _ in range(10):
            log = job.history.current
            await until(lambda log=log: job.history.current is not log)  # type: ignore[misc]
        assert len(job.history.past) == 3
        job.stop()
        await job.wait_stopped()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


async def test_a_flood_of_words_is_bounded_and_others_work(running: Running) -> None:
    async with running("exec yes 'a line that says nothing new' >&2") as job:
        job.start()
        await until(lambda: job.state().exec is Exec.RUNNING)
        with trio.fail_after(60):
            for _ in range(50):
                await trio.sleep(0.001)
        await until(lambda: len(job.history.current.report().log) == 50)
        assert len(job.history.current.prelude) == 151
        job.stop()
        await job.wait_stopped()


async def test_no_end_of_line_costs_no_more_than_a_line(running: Running) -> None:
    script = "echo up >&2; exec tr '\\0' x </dev/zero >&2"
    async with running(script) as job:
        job.start()
        await until(lambda: job.state().last_line == "up")
        await trio.sleep(0.5)
        assert job.history.current.prelude == ("up",)
        job.stop()
        await job.wait_stopped()
        assert max(map(len, job.history.current.prelude)) == 8192


async def test_who_leaves_the_group_does_not_keep_the_run(running: Running) -> None:
    script = "setsid sleep 30 & while ! grep -q sleep /proc/$!/cmdline; do :; done"
    async with running(f"{script}; echo last >&2") as job:
        job.start()
        with trio.fail_after(25):
            await until(lambda: job.state().last_line == "last")
            await until(lambda: not job.state().exec.is_on)
        assert job.state().exec is Exec.FINISHED


@pytest.mark.slow
async def test_limits_and_silence_end_a_run(running: Running) -> None:
    busy = "while :; do :; done"
    for script, wishes, reason in (
        (busy, {"limits": JobLimits(cpu_percent=1.0)}, "too much CPU"),
        (busy, {"limits": JobLimits(memory=1)}, "too much memory"),
        (busy, {"limits": JobLimits(cpu_percent=-5.0)}, "nothing"),
        ("exec sleep 100", {"stale_timeout": 1}, "no progress"),
    ):
        async with running(script, **wishes) as job:
            job.start()
            if reason == "nothing":
                await trio.sleep(1.5)
                assert not job.stopped_for
                continue
            await until(lambda job=job: bool(job.stopped_for))  # type: ignore[misc]
            assert job.stopped_for == reason
            await job.wait_stopped()
            assert job.state().order is Order.START


async def test_nothing_is_left_when_the_server_stops(running: Running) -> None:
    async with running("exec sleep 100") as job:
        job.start()
        await until(lambda: job.child is not None)
        assert job.child is not None
        pid = job.child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
async def test_a_real_ffmpeg_gets_on_and_ends_well(tmp_path: Path) -> None:
    spawner = Spawner()
    spec = JobSpec(
        "id",
        (JobInput("in", "testsrc=s=160x90:r=25", ("-f", "lavfi", "-re")),),
        (JobOutput("out", "-", ("-c:v", "libx264", "-f", "null")),),
        options=("-loglevel", "level+info"),
    )
    job = Job(spec, arguments(spec), RunHistory(RunLog(1)))
    program = str(imageio_ffmpeg.get_ffmpeg_exe())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(job.run, spawner, lambda: program, tmp_path)
        await until(lambda: job.state().progress.frame > 20)
        state = job.state()
        assert state.exec is Exec.RUNNING
        assert [one.info.codec for one in state.progress.outputs] == ["h264"]
        assert "-progress" not in state.command
        job.stop()
        await job.wait_stopped()
        assert job.state().exec is Exec.FINISHED
        nursery.cancel_scope.cancel()
    spawner.close()
