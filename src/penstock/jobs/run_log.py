"""What a job printed: the beginning and the end of each run, and the runs before."""

from __future__ import annotations

from collections import deque

import attrs

__all__ = ["LogLine", "RunHistory", "RunLog", "RunReport"]

PRELUDE_FIRST = 100
"""Lines kept from the beginning of a prelude."""
PRELUDE_LAST = 50
"""Lines kept from its end; between them stands how many are missing."""


@attrs.frozen
class LogLine:
    """A line of a run's log."""

    at: int
    """Unix time in whole seconds."""
    text: str


@attrs.frozen
class RunReport:
    """What one run printed."""

    created_at: int
    """Unix time of its start, or of the job's creation if it never ran."""
    prelude: tuple[str, ...] = ()
    """Lines before the first progress line, all if they were 150 or fewer."""
    log: tuple[LogLine, ...] = ()
    """The last lines, those of the prelude among them."""


@attrs.define(eq=False)
class RunLog:
    """Collect one run's lines; progress lines do not belong here."""

    created_at: int
    """Unix time in whole seconds."""
    max_lines: int = attrs.field(default=50, validator=attrs.validators.ge(0))
    """How many of the last lines are kept."""
    last_line: str = ""
    """The newest line."""
    _is_prelude: bool = attrs.field(default=True, init=False)
    _first: list[str] = attrs.field(factory=list, init=False)
    _last: deque[str] = attrs.field(init=False)
    _missing: int = attrs.field(default=0, init=False)
    _log: deque[LogLine] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._last = deque(maxlen=PRELUDE_LAST)
        self._log = deque(maxlen=self.max_lines)

    def add(self, line: str, at: int) -> None:
        """Take a line that came at ``at`` (Unix time in whole seconds)."""
        self.last_line = line
        self._log.append(LogLine(at, line))
        if not self._is_prelude:
            return
        if len(self._first) < PRELUDE_FIRST:
            self._first.append(line)
            return
        self._missing += len(self._last) == PRELUDE_LAST
        self._last.append(line)

    def end_prelude(self) -> None:
        """Say that the first progress line has come."""
        self._is_prelude = False

    @property
    def prelude(self) -> tuple[str, ...]:
        """The lines before the first progress line, shortened in the middle."""
        marker = [f"... truncated {self._missing} lines ..."] if self._missing else []
        return (*self._first, *marker, *self._last)

    def report(self) -> RunReport:
        """Return what came so far."""
        return RunReport(self.created_at, self.prelude, tuple(self._log))


@attrs.define(eq=False)
class RunHistory:
    """The run that is on, or was the last, and reports of those before it."""

    current: RunLog
    max_runs: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """How many runs before the current one are kept."""
    _past: deque[RunReport] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._past = deque(maxlen=self.max_runs)

    @property
    def past(self) -> tuple[RunReport, ...]:
        """Runs before the current one, the oldest first."""
        return tuple(self._past)

    def begin(self, created_at: int) -> RunLog:
        """Start a run; the one before becomes history if it printed anything."""
        if self.current.prelude:
            self._past.append(self.current.report())
        self.current = RunLog(created_at, self.current.max_lines)
        return self.current

    def succeeded_by(self, created_at: int) -> RunHistory:
        """Return the history of a job that replaces this one.

        Reports of ended runs go over; what the aborted run printed does not.
        """
        history = RunHistory(RunLog(created_at, self.current.max_lines), self.max_runs)
        history._past.extend(self._past)
        return history
