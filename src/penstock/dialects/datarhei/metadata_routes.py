"""What clients keep on the server: JSON values by key, of a process or of no one."""

from __future__ import annotations

from collections.abc import Callable

from penstock.control.jobs import JobControl, JobError, JobView

from .answers import Answer, Failure, as_json
from .json_bodies import read_body
from .process_errors import metadata_failure, query_failure
from .read_only import unless_read_only
from .requests import Request
from .site import Route

__all__ = ["metadata_routes"]


def metadata_routes(
    jobs: JobControl, *, is_read_only: Callable[[], bool]
) -> list[Route]:
    """Return the routes of all metadata, for reading and for writing.

    Args:
        jobs: Keeps them.
        is_read_only: Whether nothing may be changed at present.
    """
    of = _Metadata(jobs)
    process = "/api/v3/process/{id}/metadata"
    system = "/api/v3/metadata"
    key = "{key}"
    return [
        Route("GET", process, of.show_of_process),
        Route("GET", f"{process}/{key}", of.show_key_of_process),
        Route(
            "PUT",
            f"{process}/{key}",
            unless_read_only(is_read_only, of.put_of_process),
        ),
        Route("GET", system, of.show),
        Route("GET", f"{system}/{key}", of.show_key),
        Route("PUT", f"{system}/{key}", unless_read_only(is_read_only, of.put)),
    ]


class _Metadata:
    """The endpoints; a value of null is none, so putting it forgets the key."""

    def __init__(self, jobs: JobControl) -> None:
        self._jobs = jobs

    async def show_of_process(self, request: Request) -> Answer:
        (job_id,) = request.arguments
        return as_json((await self._view(job_id)).metadata or None)

    async def show_key_of_process(self, request: Request) -> Answer:
        job_id, key = request.arguments
        metadata = (await self._view(job_id)).metadata
        if key not in metadata:
            raise Failure(404, "Unknown process ID", "unknown key")
        return as_json(metadata[key])

    async def put_of_process(self, request: Request) -> Answer:
        job_id, key = request.arguments
        value = (await read_body(request)).value
        try:
            await self._jobs.put_job_metadata(job_id, key, value)
        except JobError as error:
            raise metadata_failure(error) from None
        return as_json(value)

    async def _view(self, job_id: str) -> JobView:
        try:
            return await self._jobs.job(job_id)
        except JobError as error:
            raise query_failure(error) from None

    async def show(self, request: Request) -> Answer:
        return as_json(await self._jobs.metadata())

    async def show_key(self, request: Request) -> Answer:
        (key,) = request.arguments
        metadata = await self._jobs.metadata()
        if key not in metadata:
            raise Failure(404, "Metadata not found", "unknown key")
        return as_json(metadata[key])

    async def put(self, request: Request) -> Answer:
        (key,) = request.arguments
        value = (await read_body(request)).value
        try:
            await self._jobs.put_metadata(key, value)
        except JobError as error:
            raise metadata_failure(error) from None
        return as_json(value)
