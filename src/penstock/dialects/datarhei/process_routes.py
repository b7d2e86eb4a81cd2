"""The process family of the API: each endpoint asks control for one thing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable

import trio

from penstock.control.jobs import (
    GlobError,
    JobCommand,
    JobControl,
    JobError,
    JobErrorCode,
    JobSpec,
    JobView,
)
from penstock.slices import in_slices

from .answers import OK, Answer, Failure, as_json, as_json_array, document
from .json_bodies import JsonBody, decode_body, read_body, unfit_fields
from .json_types import TEXT, Struct, zero
from .metadata_routes import metadata_routes
from .playout_routes import playout_routes
from .process_config import as_config, created, updated
from .process_errors import (
    command_failure,
    create_failure,
    delete_failure,
    query_failure,
    update_failure,
)
from .process_query import Selection, decode_aspects, decode_selection
from .process_shapes import (
    as_probe,
    as_process,
    as_report,
    as_state,
    failed_probe,
)
from .read_only import unless_read_only
from .requests import Request
from .site import Endpoint, Route

__all__ = ["process_routes"]

_COMMAND = Struct("api.Command", {"command": TEXT})
_COMMANDS = {name: JobCommand(name) for name in ("start", "stop", "reload", "restart")}
_AT_ONCE = 100
"""Processes that are looked up between two chances for others to run."""


def process_routes(
    jobs: JobControl,
    *,
    is_read_only: Callable[[], bool],
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> list[Route]:
    """Return the routes of processes, with their metadata and that of the server.

    Args:
        jobs: What the processes are.
        is_read_only: Whether routes that change something are not there at present.
        random_bytes: For ids that clients leave open.
    """
    of = _Processes(jobs, random_bytes)
    every = "/api/v3/process"
    one = f"{every}/{{id}}"

    def writing(method: str, path: str, endpoint: Endpoint) -> Route:
        return Route(method, path, unless_read_only(is_read_only, endpoint))

    return [
        Route("GET", every, of.show_all),
        writing("POST", every, of.create),
        Route("GET", one, of.show),
        writing("PUT", one, of.update),
        writing("DELETE", one, of.delete),
        Route("GET", f"{one}/config", of.show_config),
        Route("GET", f"{one}/state", of.show_state),
        Route("GET", f"{one}/report", of.show_report),
        Route("GET", f"{one}/probe", of.probe),
        writing("PUT", f"{one}/command", of.command),
        *metadata_routes(jobs, is_read_only=is_read_only),
        *playout_routes(jobs),
    ]


class _Processes:
    """The endpoints; arguments of each are those of its path."""

    def __init__(self, jobs: JobControl, random_bytes: Callable[[int], bytes]) -> None:
        self._jobs = jobs
        self._random_bytes = random_bytes

    # -- queries -----------------------------------------------------------------------

    async def show_all(self, request: Request) -> Answer:
        query = request.query
        aspects = decode_aspects(query)
        views = await self._selected(decode_selection(query), aspects)

        def shaped(view: JobView) -> bytes:
            return document(as_process(view, aspects))

        return as_json_array(await in_slices(views, shaped))

    async def _selected(
        self, selection: Selection, aspects: Collection[str]
    ) -> list[JobView]:
        state, report = "state" in aspects, "report" in aspects
        if selection.is_all:
            return await self._jobs.jobs(state=state, report=report)
        try:
            is_meant = selection.test()
        except GlobError:
            return []
        if not selection.ids:
            return await self._jobs.jobs(is_meant, state=state, report=report)
        found = await self._find(dict.fromkeys(selection.ids))
        by_id = {view.spec.id: view for view in found if is_meant(view.spec)}
        return [by_id[one] for one in selection.ids if one in by_id]

    async def _find(self, ids: Iterable[str]) -> list[JobView]:
        """Return the processes with these ids; what is not there is left out."""
        found = []
        for count, job_id in enumerate(ids, 1):
            if count % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            try:
                found.append(await self._jobs.job(job_id))
            except JobError:
                continue
        return found

    async def show(self, request: Request) -> Answer:
        view = await self._view(request)
        return as_json(as_process(view, decode_aspects(request.query)))

    async def show_config(self, request: Request) -> Answer:
        return as_json(as_config((await self._view(request)).spec))

    async def show_state(self, request: Request) -> Answer:
        return as_json(as_state(await self._view(request)))

    async def show_report(self, request: Request) -> Answer:
        return as_json(as_report(await self._view(request)))

    async def _view(self, request: Request) -> JobView:
        (job_id,) = request.arguments
        try:
            return await self._jobs.job(job_id)
        except JobError as error:
            raise query_failure(error) from None

    async def probe(self, request: Request) -> Answer:
        (job_id,) = request.arguments
        try:
            return as_json(as_probe(await self._jobs.probe_job(job_id)))
        except JobError as error:
            if error.code is JobErrorCode.UNKNOWN:
                return as_json(failed_probe(f"Unknown process ID ({job_id})"))
            return as_json(failed_probe(error.message))

    # -- changes -----------------------------------------------------------------------

    async def create(self, request: Request) -> Answer:
        spec = created(await read_body(request), self._random_bytes)
        try:
            view = await self._jobs.create_job(spec)
        except JobError as error:
            raise create_failure(error) from None
        return as_json(as_config(view.spec))

    async def update(self, request: Request) -> Answer:
        (job_id,) = request.arguments
        octets = await request.body()
        content_type = request.headers.get("content-type", "")

        def change(old: JobSpec) -> JobSpec:
            # That there is no such process is told first.
            body = decode_body(octets, content_type)
            return updated(body, old, self._random_bytes)

        try:
            view = await self._jobs.update_job(job_id, change)
        except JobError as error:
            raise update_failure(error, job_id) from None
        return as_json(as_config(view.spec))

    async def delete(self, request: Request) -> Answer:
        (job_id,) = request.arguments
        try:
            await self._jobs.delete_job(job_id)
        except JobError as error:
            raise delete_failure(error) from None
        return OK

    async def command(self, request: Request) -> Answer:
        (job_id,) = request.arguments
        command = _decode_command(await read_body(request))
        try:
            await self._jobs.command_job(job_id, command)
        except JobError as error:
            raise command_failure(error, command) from None
        return OK


def _decode_command(body: JsonBody) -> JobCommand:
    word = body.laid_over(_COMMAND, zero(_COMMAND))["command"]
    if not word:
        raise unfit_fields("Command", Command="required")
    if word not in _COMMANDS:
        known = f"Known commands are: {', '.join(_COMMANDS)}"
        raise Failure(400, "Unknown command provided", known)
    return _COMMANDS[word]
