"""One run of a job's program, from its start to its end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import trio

from .child import Child, Ended, Identity, Spawner
from .command_line import with_progress
from .json_lines import JsonLineReader
from .lines import LineBudget, LineSplitter
from .progress import Progress, ProgressTracker
from .progress_pipe import ProgressPipe
from .run_log import RunLog
from .samples import ProgressSample
from .state import Exec
from .stderr import StderrReader

__all__ = ["Run"]

_PIECE = 65_536
_FLOOD_LINES = 2_000
"""Lines a second that are looked at; what is more is read and counted."""
_REST_S = 0.002
"""Between two pieces of a flood: it fills its pipe meanwhile, and others work."""
_LAST_WORDS_S = 1.0
"""For what is left in its pipes once it is gone."""
_END_OF_REPORT = b"\nprogress="
_GRACE_S = 5.0
"""From SIGINT to SIGKILL."""


def _newest(reports: bytes) -> bytes:
    """Return what follows the last report but one, if there are more."""
    last = reports.rfind(_END_OF_REPORT)
    begin = reports.rfind(_END_OF_REPORT, 0, max(last, 0))
    return reports[begin + 1 :]


def _outcome(ended: Ended, last_line: str) -> Exec:
    """Return what an end is called: FFmpeg answers SIGINT and SIGTERM with 255.

    From 7 on it says what failed with the last octet of the error, and EPERM, -1, is
    255 as well: what a refusal over RTMP is to it.
    """
    if ended.signal:
        return Exec.KILLED
    if ended.code == 255 and last_line.endswith(f": {os.strerror(errno.EPERM)}"):
        return Exec.FAILED
    return Exec.FINISHED if ended.code in (0, 255) else Exec.FAILED


@attrs.define(eq=False)
class Run:
    """One run.

    `execute` is its whole life; the rest may be asked at any time.
    """

    log: RunLog
    """Where its lines go."""
    on_state: Callable[[Exec], None]
    """Told of each state but the first, which is `Exec.STARTING`."""
    wall: Callable[[], float]
    """Gives Unix time."""
    on_program: Callable[[Identity | None], None] = lambda _: None
    """Told which program runs, and None when it is gone."""
    child: Child | None = None
    """The program, while there is one."""
    lost_lines: int = 0
    """Lines of floods that nobody has looked at."""
    _reader: StderrReader = attrs.field(factory=StderrReader, init=False)
    _json: JsonLineReader = attrs.field(factory=JsonLineReader, init=False)
    _tracker: ProgressTracker = attrs.field(init=False)
    _budget: LineBudget = attrs.field(init=False)
    _splitter: LineSplitter = attrs.field(factory=LineSplitter, init=False)
    _blocks: ProgressPipe = attrs.field(factory=ProgressPipe, init=False)
    _stop: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        now = trio.current_time()
        self._tracker = ProgressTracker(now)
        self._budget = LineBudget(_FLOOD_LINES)

    @property
    def advanced_at(self) -> float:
        """When it last got on, on the loop's clock."""
        return self._tracker.advanced_at

    def progress(self, now: float) -> Progress:
        """Return how far it is."""
        if self.child is None:
            return Progress()
        return self._tracker.view(now, self._reader.inputs, self._reader.outputs)

    def stop(self) -> None:
        """Ask the program to end; it is killed if it will not within 5 s."""
        self._stop.set()

    async def execute(
        self, spawner: Spawner, program: str, words: Sequence[str], folder: Path
    ) -> Exec:
        """Start the program and stay until it is gone; return how it ended.

        Cancelled, it is gone as well by the time this raises.

        Args:
            spawner: Starts programs.
            program: Path of FFmpeg.
            words: Its arguments.
            folder: Where it runs.
        """
        try:
            self.child = child = await spawner.start(
                [program],
                folder=folder,
                progress=lambda number: with_progress(tuple(words), number),
            )
        except OSError as error:
            self._note(f"{error.filename or program}: {error.strerror}")
            return Exec.FAILED
        try:
            self.on_program(child.identity)
            self.on_state(Exec.RUNNING)
            return await self._accompany(child)
        finally:
            self.child = None
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                child.kill()
                await child.wait()
                await child.aclose()
            self.on_program(None)

    async def _accompany(self, child: Child) -> Exec:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_errors, child)
            ending = trio.CancelScope()

            async def end_on_request() -> None:
                with ending:
                    await self._stop.wait()
                    self.on_state(Exec.FINISHING)
                    child.interrupt()
                    await trio.sleep(_GRACE_S)
                    child.kill()

            nursery.start_soon(end_on_request)
            ended = await child.wait()
            self.look(trio.current_time())
            ending.cancel()
            # Its pipes end with the last of its group; who has left the group does not
            # keep the run.
            nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_S
        return _outcome(ended, self.log.last_line)

    async def _read_errors(self, child: Child) -> None:
        splitter = LineSplitter()
        while data := await child.errors.receive_some(_PIECE):
            self._take(splitter.feed(data))
            # What is printed after the first report is no prelude any more.
            self.look(trio.current_time())
            if len(data) == _PIECE:
                await trio.sleep(_REST_S)
        self._take(splitter.flush())

    def _take(self, lines: list[str]) -> None:
        now = trio.current_time()
        for line in lines:
            if not self._budget.admit(now):
                self.lost_lines += 1
                continue
            told = self._json.feed(line)
            sample = self._reader.feed(line) if told is None else told.sample
            if sample is not None:
                self._advance(sample, now)
            elif told is None:
                self._note(line)
            elif self._json.outputs:
                self.log.end_prelude()

    def look(self, now: float) -> int:
        """Read how far the program is; call it until the run has ended.

        Returns:
            How many octets there were to read.
        """
        if self.child is None:
            return 0
        data = self.child.read_progress()
        sample = None
        for line in self._splitter.feed(_newest(data)):
            sample = self._blocks.feed(line) or sample
        # Counts only grow, so the newest report says all that older ones say.
        if sample is not None:
            self._advance(sample, now)
        return len(data)

    def _advance(self, sample: ProgressSample, now: float) -> None:
        self.log.end_prelude()
        self._tracker.update(sample, now)

    def _note(self, line: str) -> None:
        self.log.add(line, int(self.wall()))
