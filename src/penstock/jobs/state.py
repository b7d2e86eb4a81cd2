"""What a job is told to do, and what it does."""

from __future__ import annotations

import enum

import attrs

from .progress import Progress

__all__ = ["Exec", "JobState", "Order"]


class Exec(enum.Enum):
    """What a job's program does."""

    FINISHED = "finished"
    STARTING = "starting"
    RUNNING = "running"
    FINISHING = "finishing"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_on(self) -> bool:
        """Whether there is a program."""
        return self in (Exec.STARTING, Exec.RUNNING, Exec.FINISHING)


class Order(enum.Enum):
    """What the owner wants."""

    START = "start"
    STOP = "stop"


@attrs.frozen
class JobState:
    """What a job does at a moment."""

    order: Order
    exec: Exec
    since: float
    """Seconds that it has been in that state."""
    reconnect: float | None
    """Seconds to the next start, if one is waited for."""
    last_line: str
    progress: Progress = attrs.field(factory=Progress)
    memory: int = 0
    """Octets in use, 0 without a program."""
    cpu: float = 0.0
    """Share of all cores together over the last second, 0 to 1."""
    command: tuple[str, ...] = ()
    """Arguments, as its owner wants them."""
