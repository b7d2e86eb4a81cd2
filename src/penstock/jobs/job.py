"""The life of one job: its order, its runs, and what is between them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from penstock import log

from .child import Child, Identity, Spawner
from .counters import available_cpus, count
from .pace import LOOK_S, Pace
from .progress import Progress
from .run import Run
from .run_log import RunHistory, RunLog
from .spec import JobLimits, JobSpec
from .state import Exec, JobState, Order

__all__ = ["Job"]

_MEASURE_S: Final = LOOK_S / 2
"""At least so long between two readings of what a program uses."""
_SHORT_S: Final = 1.0
"""A run that was shorter did nothing: ..."""
_PAUSE_S: Final = 0.25
"""... the next one waits at least so long, or they would take a core."""


@attrs.define(eq=False)
class _Usage:
    """What a program uses."""

    memory: int = 0
    cpu: float = 0.0
    _spent_s: float | None = None
    _at: float = 0.0

    def look(self, pid: int, now: float) -> None:
        """Read the kernel's counters; a program that is gone uses nothing."""
        counters = count(pid)
        if counters is None:
            self.memory, self.cpu = 0, 0.0
            return
        self.memory = counters.memory
        if self._spent_s is not None and now > self._at:
            spent = counters.cpu_s - self._spent_s
            self.cpu = spent / (now - self._at) / available_cpus()
        self._spent_s, self._at = counters.cpu_s, now


class _Excess:
    """Says when something has been above its limit for too long."""

    def __init__(self, limit: float, wait: float) -> None:
        self._limit = limit
        self._wait = wait
        self._since: float | None = None

    def is_too_long(self, value: float, now: float) -> bool:
        if self._limit <= 0 or value <= self._limit:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._wait


async def _no_problem() -> str:
    return ""


class Job:
    """One job, until it is deleted.

    Args:
        spec: As it was resolved.
        words: Its command line, without the program.
        history: What it has printed so far.
        wall: Gives Unix time.
    """

    def __init__(
        self,
        spec: JobSpec,
        words: tuple[str, ...],
        history: RunHistory,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.spec = spec
        self.words = words
        self.history = history
        self.order = Order.START if spec.autostart else Order.STOP
        self.exec = Exec.FINISHED
        self.stopped_for = ""
        """Why the last run was stopped, if that was not its owner's wish."""
        self.on_program: Callable[[Identity | None], None] = lambda _: None
        """Told which program runs, and None when it is gone."""
        self.judge: Callable[[], Awaitable[str]] = _no_problem
        """Says why no program may run at present, "" if it may."""
        self.ends: Counter[Exec] = Counter()
        """Runs that have ended; the jobs of a supervisor share one."""
        self._is_short = self._was_short = False
        """Whether the last run was too short to be worth a line, and the one before."""
        self._wall = wall
        self._changed_at = trio.current_time()
        self._run: Run | None = None
        self._usage = _Usage()
        self._starts_at: float | None = None
        self._wants_run = self.order is Order.START
        self._wake = trio.Event()
        self._news = trio.Event()

    # -- commands ----------------------------------------------------------------------

    def start(self) -> None:
        """Let it run: at once, unless it does."""
        self.order = Order.START
        if not self.exec.is_on:
            self._go()

    def restart(self) -> None:
        """Let it run anew: after its delay if it reconnects, at once if it does not.

        Nothing for a job that is to stand, or waits for its next run already.
        """
        if self.order is Order.STOP or self._starts_at is not None:
            return
        if self._run is None or not self.spec.reconnect:
            self._go()
        if self._run is not None:
            self._run.stop()

    def stop(self, reason: str = "") -> None:
        """Let it end; `wait_stopped` says when it has.

        Args:
            reason: For its log, if that is not its owner's wish.
        """
        self._explain(reason)
        self.order = Order.STOP
        self._wants_run = False
        self._starts_at = None
        if self._run is not None:
            self._run.stop()

    async def wait_stopped(self) -> None:
        """Wait until there is no program."""
        while self.exec.is_on:
            await self._news.wait()

    def _go(self) -> None:
        self._wants_run = True
        self._wake.set()

    # -- views -------------------------------------------------------------------------

    def state(self) -> JobState:
        """Return what it does."""
        now = trio.current_time()
        run = self._run
        waits = self._starts_at
        return JobState(
            self.order,
            self.exec,
            now - self._changed_at,
            None if waits is None else max(waits - now, 0.0),
            self.history.current.last_line,
            Progress() if run is None else run.progress(now),
            self._usage.memory,
            self._usage.cpu,
            self.words,
        )

    @property
    def child(self) -> Child | None:
        """Its program, if one runs."""
        return None if self._run is None else self._run.child

    # -- life --------------------------------------------------------------------------

    async def run(
        self, spawner: Spawner, program: Callable[[], str], folder: Path
    ) -> None:
        """Do what the order says, until cancelled; then no program is left.

        Args:
            spawner: Starts programs.
            program: Gives the path of FFmpeg, for each run.
            folder: Where programs run.
        """
        while True:
            if not self._wants_run:
                with trio.move_on_at(self._next_start()):
                    await self._wake.wait()
                self._wake = trio.Event()
                if trio.current_time() >= self._next_start():
                    self._wants_run = True
                continue
            self._wants_run = False
            self._starts_at = None
            began = trio.current_time()
            await self._run_once(spawner, program(), folder)
            if self.order is Order.START and self.spec.reconnect:
                delay = float(self.spec.reconnect_delay)
                if trio.current_time() < began + _SHORT_S:
                    delay = max(delay, _PAUSE_S)
                self._starts_at = trio.current_time() + delay

    def _next_start(self) -> float:
        return float("inf") if self._starts_at is None else self._starts_at

    async def _run_once(self, spawner: Spawner, program: str, folder: Path) -> None:
        self.stopped_for = ""
        began = trio.current_time()
        report: RunLog = self.history.begin(int(self._wall()))
        run = self._run = Run(report, self._change, self._wall, self.on_program)
        self._change(Exec.STARTING)
        self._say("job starts")
        outcome = Exec.KILLED
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, run)
                problem = await self.judge()
                if problem:
                    report.add(problem, int(self._wall()))
                    outcome = Exec.FAILED
                else:
                    outcome = await run.execute(spawner, program, self.words, folder)
                nursery.cancel_scope.cancel()
        finally:
            self._run = None
            self._usage = _Usage()
            self.ends[outcome] += 1
            self._change(outcome)
            seconds = trio.current_time() - began
            self._is_short = seconds < _SHORT_S
            self._say(
                "job ended",
                outcome=outcome.value,
                reason=self.stopped_for or None,
                seconds=round(seconds, 1),
            )

    def _say(self, message: str, **fields: object) -> None:
        """Log what happens; of a job that ends at once again and again, once."""
        if self._is_short and self._was_short:
            return
        self._was_short = self._is_short
        log.info(message, job=self.spec.id, **fields)

    async def _watch(self, run: Run) -> None:
        """Stop a program that hangs, or takes more than it may."""
        limits: JobLimits = self.spec.limits
        cpu = _Excess(limits.cpu_percent / 100, limits.wait_for)
        memory = _Excess(limits.memory * (1 << 20), limits.wait_for)
        stale_s = self.spec.stale_timeout
        pace = Pace()
        measured_at = now = trio.current_time()
        while True:
            await trio.sleep_until(pace.next_look(run.look(now), now))
            now = trio.current_time()
            if run.child is None or now - measured_at < _MEASURE_S:
                continue
            self._usage.look(run.child.pid, now)
            measured_at = now
            for reason, is_over in (
                ("no progress", bool(stale_s) and now - run.advanced_at > stale_s),
                ("too much CPU", cpu.is_too_long(self._usage.cpu, now)),
                ("too much memory", memory.is_too_long(self._usage.memory, now)),
            ):
                if is_over:
                    self._explain(reason)
                    run.stop()

    def _explain(self, reason: str) -> None:
        """Note why a run is ended, where its owner will look."""
        if reason and self._run is not None and not self.stopped_for:
            self.stopped_for = reason
            self._run.log.add(f"stopped: {reason}", int(self._wall()))

    def _change(self, state: Exec) -> None:
        self.exec = state
        self._changed_at = trio.current_time()
        news, self._news = self._news, trio.Event()
        news.set()
