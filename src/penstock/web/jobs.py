"""FFmpeg jobs through the page's API: for administrators and their scripts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Awaitable, Callable
from itertools import compress
from typing import Final

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestEntityTooLarge

from penstock import log
from penstock.control.jobs import JobControl, JobError, JobErrorCode, JobView, new_id
from penstock.control.secrets import masked_words
from penstock.slices import in_slices

from .job_fields import FieldErrors
from .job_orders import OrderError, read_command, read_job, read_template_fields
from .job_shapes import (
    job_detail_json,
    job_json,
    sentence,
    spec_words,
    status_of,
    template_json,
)
from .job_templates import TEMPLATES, build_job

__all__ = ["add_jobs"]

_MAX_BODY: Final = 64 << 10
_SHOWN: Final = 200
_MOST: Final = 500
"""Jobs in one answer: more would be long on their way out."""

_Answer = tuple[object, int]
_Act = Callable[[JobControl], Awaitable[_Answer]]


def add_jobs(
    app: QuartTrio,
    jobs: JobControl | None,
    is_admin: Callable[[], bool],
    answer: Callable[[object, int], Response],
) -> None:
    """Add ``/penstock/v1/jobs``, ``/penstock/v1/job`` and the templates to the app.

    A job's id may hold anything, slashes and an ending such as ``/whip`` that means
    something elsewhere; so it is the query parameter ``id``, not a part of the path.

    Args:
        app: The page's.
        jobs: The door to the jobs; None if this server has none.
        is_admin: Tells whether the request at hand comes from an administrator.
        answer: Makes a JSON answer of a value and a status.
    """

    def guarded(act: _Act) -> Callable[[], Awaitable[Response]]:
        async def route() -> Response:
            if not is_admin():
                return answer({"error": "Sign in to see and change jobs."}, 401)
            if jobs is None:
                return answer({"error": "This server runs no jobs."}, 404)
            try:
                return answer(*await act(jobs))
            except JobError as error:
                return answer({"error": sentence(error)}, status_of(error))
            except FieldErrors as error:
                told = {"error": "Some fields are wrong.", "fields": error.sentences}
                return answer(told, 400)
            except OrderError as error:
                return answer({"error": str(error)}, 400)

        return route

    for method, path, act in (
        ("GET", "jobs", _list_jobs),
        ("POST", "jobs", _create_job),
        ("GET", "job", _show_job),
        ("DELETE", "job", _delete_job),
        ("POST", "job/command", _command_job),
        ("GET", "job-templates", _list_templates),
        ("POST", "job-templates", _try_template),
    ):
        app.add_url_rule(
            f"/penstock/v1/{path}",
            endpoint=f"{method} {path}",
            view_func=guarded(act),
            methods=[method],
        )


async def _list_jobs(jobs: JobControl) -> _Answer:
    views = await jobs.jobs(report=False)
    words = request.args.get("filter", "").lower().split()
    found = views
    if words:
        matches = await in_slices(views, lambda view: _matches(view, words))
        found = list(compress(views, matches))
    start = _number("start", 0)
    shown = found[start : start + min(_number("count", _SHOWN), _MOST)]
    listed = await in_slices(shown, job_json)
    return {"all": len(views), "total": len(found), "jobs": listed}, 200


async def _create_job(jobs: JobControl) -> _Answer:
    spec = read_job(await _body(), lambda: new_id(os.urandom))
    view = await jobs.create_job(spec)
    log.info("job created", job=spec.id)
    return job_detail_json(view), 201


async def _show_job(jobs: JobControl) -> _Answer:
    return job_detail_json(await jobs.job(_id())), 200


async def _delete_job(jobs: JobControl) -> _Answer:
    await jobs.delete_job(_id())
    log.info("job deleted", job=_id())
    return {}, 200


async def _command_job(jobs: JobControl) -> _Answer:
    command = read_command(await _body())
    await jobs.command_job(_id(), command)
    log.info("job told", job=_id(), command=command.value)
    return job_detail_json(await jobs.job(_id())), 200


async def _list_templates(jobs: JobControl) -> _Answer:
    return {"templates": [template_json(one) for one in TEMPLATES.values()]}, 200


async def _try_template(jobs: JobControl) -> _Answer:
    """Say what a template would make of fields, and what is wrong with them."""
    template, fields = read_template_fields(await _body())
    try:
        spec = build_job(template, fields)
    except FieldErrors as error:
        return {"fields": error.sentences, "id": "", "command_line": ""}, 200
    errors = {}
    if await _is_taken(jobs, spec.id):
        errors["id"] = f"There is a job named {spec.id} already."
    words = ["ffmpeg", *masked_words(spec_words(spec))]
    return {"fields": errors, "id": spec.id, "command_line": shlex.join(words)}, 200


async def _is_taken(jobs: JobControl, job_id: str) -> bool:
    try:
        await jobs.job(job_id)
    except JobError as error:
        if error.code is JobErrorCode.UNKNOWN:
            return False
        raise
    return True


def _matches(view: JobView, words: list[str]) -> bool:
    text = f"{view.spec.id}\n{view.spec.reference}".lower()
    return all(word in text for word in words)


def _id() -> str:
    job_id = request.args.get("id")
    if job_id is None:
        raise OrderError("Which job? Its id is the query parameter id.")
    return job_id


def _number(name: str, default: int) -> int:
    text = request.args.get(name, "")
    return int(text[:9]) if text.isascii() and text.isdigit() else default


async def _body() -> str | bytes:
    data = await request.get_data(as_text=False)
    if len(data) > _MAX_BODY:
        raise RequestEntityTooLarge
    return data
