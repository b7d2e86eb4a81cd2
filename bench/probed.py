"""penstock with a stopwatch in its event loop: ``python probed.py OUT serve ...``.

At the end OUT gets four lists as JSON, every entry (when, seconds) on the monotonic
clock: ``lag``, how late a task is that wakes every 10 ms; ``pass``, how long a pass of
the loop took from one look at the sockets to the next; ``step``, how long one task held
the loop in one go, with the task's name; ``gc``, how long a garbage collection took
(inside a step), with its generation.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from penstock.cli import main

_PROBE_S = 0.010
_WORTH_KEEPING_S = 0.0005
"""Shorter steps and passes are counted only."""


class Stopwatch(trio.abc.Instrument):
    """Notes how late and how busy the loop is."""

    def __init__(self) -> None:
        self.lag: list[tuple[float, float]] = []
        self.passes: list[tuple[float, float]] = []
        self.steps: list[tuple[float, float, str]] = []
        self.collections: list[tuple[float, float, int]] = []
        self._pass_began = 0.0
        self._collection_began = 0.0
        self._step_began = 0.0

    def before_run(self) -> None:
        gc.callbacks.append(self._on_collection)

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._collection_began = now
        elif now - self._collection_began >= _WORTH_KEEPING_S:
            took = now - self._collection_began
            self.collections.append((now, took, info["generation"]))

    async def probe(self) -> None:
        """Note every 10 ms how late that is, until cancelled."""
        while True:
            due = trio.current_time() + _PROBE_S
            await trio.sleep_until(due)
            late = trio.current_time() - due
            self.lag.append((time.monotonic(), max(0.0, late)))

    def after_io_wait(self, timeout: float) -> None:
        self._pass_began = time.monotonic()

    def before_io_wait(self, timeout: float) -> None:
        now = time.monotonic()
        if self._pass_began and now - self._pass_began >= _WORTH_KEEPING_S:
            self.passes.append((now, now - self._pass_began))

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._step_began = time.monotonic()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        now = time.monotonic()
        if now - self._step_began >= _WORTH_KEEPING_S:
            self.steps.append((now, now - self._step_began, task.name))


def run() -> int:
    """Run penstock with a stopwatch and write down what it saw."""
    out = Path(sys.argv[1])
    stopwatch = Stopwatch()
    trio_run = trio.run

    async def watched(serve: Callable[[], Awaitable[int]]) -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stopwatch.probe)
            code = await serve()
            nursery.cancel_scope.cancel()
        return code

    def watched_run(serve: Callable[[], Awaitable[int]]) -> int:
        return trio_run(watched, serve, instruments=[stopwatch])

    trio.run = watched_run  # type: ignore[assignment] # all that penstock's cli uses
    try:
        return main(sys.argv[2:])
    finally:
        seen = {
            "lag": stopwatch.lag,
            "pass": stopwatch.passes,
            "step": stopwatch.steps,
            "gc": stopwatch.collections,
        }
        out.write_text(json.dumps(seen))


if __name__ == "__main__":
    sys.exit(run())
