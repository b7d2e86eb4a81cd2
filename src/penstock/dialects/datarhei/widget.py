"""How many watch a process, for pages that anybody may show."""

from __future__ import annotations

from penstock.control.jobs import Exec, JobControl, JobError, JobErrorCode

from .answers import Answer, Failure, as_json
from .requests import Request
from .sessions import SessionBook
from .site import Route

__all__ = ["widget_routes"]

_COLLECTOR = "hls"


def widget_routes(jobs: JobControl, book: SessionBook) -> list[Route]:
    """Return the route of the widget, which asks for no login.

    Args:
        jobs: Tells what a process does.
        book: Counts who watches.
    """

    async def show(request: Request) -> Answer:
        try:
            job = await jobs.job(request.arguments[0])
        except JobError as error:
            if error.code is not JobErrorCode.UNKNOWN:
                raise
            details = "unknown process"
            raise Failure(404, "Unknown process ID", details) from error
        prefix = job.spec.reference
        rows = book.rows(_COLLECTOR)
        state = job.state
        is_running = state is not None and state.exec is Exec.RUNNING
        return as_json(
            {
                "current_sessions": sum(r.reference.startswith(prefix) for r in rows),
                "total_sessions": book.closed_of(_COLLECTOR, prefix),
                "uptime": int(state.since) if state and is_running else 0,
            }
        )

    return [Route("GET", "/api/v3/widget/process/{id}", show, is_open=True)]
