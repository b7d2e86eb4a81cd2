"""Commands and queries over the server's FFmpeg jobs.

A job is answered as a `JobView`; what is wrong with a wish is a `JobError` of
`penstock.jobs.errors`, whose code says what and whose text is for a person.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.probe_output import ProbeResult
from penstock.jobs.progress import Progress, StreamProgress
from penstock.jobs.run_log import LogLine, RunReport
from penstock.jobs.samples import AvEnd, AvStream
from penstock.jobs.skills import CodecSkill, FFmpegSkills, FormatSkill, VersionSkill
from penstock.jobs.spec import (
    CleanupRule,
    JobInput,
    JobLimits,
    JobOutput,
    JobSpec,
    new_id,
)
from penstock.jobs.state import Exec, JobState, Order
from penstock.jobs.streams import StreamInfo
from penstock.storage.globs import GlobError, compile_glob

__all__ = [
    "AvEnd",
    "AvStream",
    "CleanupRule",
    "CodecSkill",
    "Exec",
    "FFmpegSkills",
    "FormatSkill",
    "GlobError",
    "JobCommand",
    "JobControl",
    "JobError",
    "JobErrorCode",
    "JobInput",
    "JobLimits",
    "JobOutput",
    "JobSpec",
    "JobState",
    "JobView",
    "LogLine",
    "Order",
    "ProbeResult",
    "Progress",
    "RunReport",
    "StreamInfo",
    "StreamProgress",
    "VersionSkill",
    "compile_glob",
    "new_id",
]


class JobCommand(enum.Enum):
    """What an owner may tell a job."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELOAD = "reload"


@attrs.frozen
class JobView:
    """One job at a moment."""

    spec: JobSpec
    """As its owner wrote it."""
    created_at: int
    """Unix time."""
    updated_at: int
    """Unix time of the last change of `spec`."""
    metadata: Mapping[str, Any]
    """What owners keep with it: JSON values by key."""
    state: JobState | None = None
    """None if it was not asked for."""
    report: RunReport | None = None
    """Of the run that is on or was the last; None if it was not asked for."""
    history: tuple[RunReport, ...] = ()
    """Of the runs before, the oldest first."""
    problem: str = ""
    """Why it cannot run: what it refers to has gone, or may not be used any more."""


class JobControl(Protocol):
    """All jobs of one server."""

    async def jobs(
        self,
        chosen: Callable[[JobSpec], bool] | None = None,
        *,
        state: bool = True,
        report: bool = True,
    ) -> list[JobView]:
        """Return every job, ascending by id.

        Args:
            chosen: Says which ones; it is asked often, so it must be quick.
            state: Whether the views tell what the jobs do.
            report: Whether they tell what the jobs printed.
        """
        ...

    async def job(self, job_id: str) -> JobView:
        """Return one job. Raises: JobError UNKNOWN."""
        ...

    async def create_job(self, spec: JobSpec) -> JobView:
        """Keep a job, and start it if it wants that.

        Raises:
            JobError: It cannot be made; EXISTS, LIMIT or NOT_KEPT among others.
        """
        ...

    async def update_job(
        self, job_id: str, change: Callable[[JobSpec], JobSpec]
    ) -> JobView:
        """Put another job in a job's place; its order goes over, and a run is ended.

        Args:
            job_id: Which one.
            change: Makes the new one of the old one; what it raises is raised. It is
                called while nobody else changes the job. The id may be another.

        Raises:
            JobError: UNKNOWN, or the new one cannot be made: then nothing has changed.
        """
        ...

    async def delete_job(self, job_id: str) -> None:
        """Stop a job and forget it. Raises: JobError UNKNOWN or NOT_KEPT."""
        ...

    async def command_job(self, job_id: str, command: JobCommand) -> None:
        """Tell a job what to do; returns when it has happened.

        A program that does not stop is killed after 5 s; nobody else waits for it.

        Raises:
            JobError: UNKNOWN, LIMIT, NOT_KEPT, or why the job cannot run.
        """
        ...

    async def probe_job(self, job_id: str) -> ProbeResult:
        """Look at a job's inputs with an FFmpeg of its own, for 20 s at most.

        Raises: JobError UNKNOWN, or why the job cannot run.
        """
        ...

    async def put_job_metadata(self, job_id: str, key: str, value: object) -> None:
        """Keep a JSON value with a job; None forgets it.

        Raises: JobError UNKNOWN, TOO_LARGE or NOT_KEPT.
        """
        ...

    async def metadata(self) -> Mapping[str, Any]:
        """Return the values that are kept with no job."""
        ...

    async def put_metadata(self, key: str, value: object) -> None:
        """Keep a JSON value; None forgets it. Raises: JobError TOO_LARGE, NOT_KEPT."""
        ...

    async def skills(self, *, again: bool = False) -> FFmpegSkills:
        """Return what FFmpeg can do, as it was found at the start.

        Args:
            again: Ask FFmpeg once more.
        """
        ...
