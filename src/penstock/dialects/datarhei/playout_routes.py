"""Playout: what another FFmpeg than the published one offers for an input.

It shows a picture or a loop while a source is missing, and is told so by a port of its
own. FFmpeg as it is published has none of it, so no input ever has a playout.
"""

from __future__ import annotations

from typing import Final

from penstock.control.jobs import JobControl, JobError

from .answers import Answer, Failure
from .requests import Request
from .site import Route

__all__ = ["playout_routes"]

_PATHS: Final = (
    ("GET", "status"),
    ("GET", "reopen"),
    ("GET", "keyframe/{name*}"),
    ("GET", "errorframe/encode"),
    ("PUT", "errorframe/{name*}"),
    ("POST", "errorframe/{name*}"),
    ("PUT", "stream"),
)


def playout_routes(jobs: JobControl) -> list[Route]:
    """Return the routes of playout, which all say that there is none."""

    async def refuse(request: Request) -> Answer:
        job_id, input_id, *_ = request.arguments
        details = f"no playout for input ID '{input_id}' and process '{job_id}'"
        try:
            await jobs.job(job_id)
        except JobError:
            details = "unknown process"
        raise Failure(404, "Unknown process or input", details)

    begin = "/api/v3/process/{id}/playout/{inputid}"
    return [Route(method, f"{begin}/{path}", refuse) for method, path in _PATHS]
