"""Look at a job's inputs: a run of FFmpeg without an output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from .child import Spawner
from .lines import LineBudget, LineSplitter
from .probe_output import MAX_PROBE_LINES, ProbeResult, read_probe

__all__ = ["probe"]

_LIMIT_S: Final = 20.0
_GRACE_S: Final = 2.0
_LAST_WORDS_S: Final = 1.0
_PIECE: Final = 65_536


async def probe(
    spawner: Spawner, program: str, words: Sequence[str], folder: Path
) -> ProbeResult:
    """Return what FFmpeg says of inputs, within 20 s and what it takes to end it.

    Args:
        spawner: Starts programs.
        program: Path of FFmpeg.
        words: Its arguments, inputs only.
        folder: Where it runs.
    """
    try:
        child = await spawner.start([program, *words], folder=folder)
    except OSError as error:
        return ProbeResult((), (f"{error.filename or program}: {error.strerror}",))
    lines: list[str] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read, child.errors, lines)
            with trio.move_on_after(_LIMIT_S) as limit:
                await child.wait()
            if limit.cancelled_caught:
                child.interrupt()
                with trio.move_on_after(_GRACE_S):
                    await child.wait()
            nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_S
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            child.kill()
            await child.wait()
            await child.aclose()
    return read_probe(lines)


async def _read(errors: trio.lowlevel.FdStream, lines: list[str]) -> None:
    splitter, budget = LineSplitter(), LineBudget(MAX_PROBE_LINES)
    while data := await errors.receive_some(_PIECE):
        now = trio.current_time()
        lines += [line for line in splitter.feed(data) if budget.admit(now)]
        del lines[MAX_PROBE_LINES:]
    lines += splitter.flush()
