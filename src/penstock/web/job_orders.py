"""What the page's API is asked about jobs: bodies, read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import attrs

from penstock.control.jobs import (
    CleanupRule,
    JobCommand,
    JobInput,
    JobLimits,
    JobOutput,
    JobSpec,
)

from .job_templates import build_job

__all__ = ["OrderError", "read_command", "read_job", "read_template_fields"]

_SPEC_KEYS = frozenset(attrs.fields_dict(JobSpec))
_MOST_SECONDS = 10**9


class OrderError(ValueError):
    """A body that cannot be taken; the text is a sentence for a person."""


def read_job(body: str | bytes, fresh_id: Callable[[], str]) -> JobSpec:
    """Return the job that a body describes, by a template or in full.

    ``{"template": ..., "fields": {...}}``, or the fields of a `JobSpec`; only inputs
    and outputs must be there.

    Args:
        body: JSON.
        fresh_id: Makes the id of a job that names none.

    Raises:
        OrderError: It is something else.
        FieldErrors: The template's fields cannot be taken.
    """
    value = _object(_decoded(body), "a job")
    if "template" in value:
        return build_job(*_template_fields(value))
    _refuse_others(value, _SPEC_KEYS, "a job")
    return JobSpec(
        _text(value, "id") or fresh_id(),
        tuple(_input(one) for one in _list(value, "inputs")),
        tuple(_output(one) for one in _list(value, "outputs")),
        reference=_text(value, "reference"),
        options=_texts(value, "options"),
        reconnect=_flag(value, "reconnect", False),
        reconnect_delay=_count(value, "reconnect_delay"),
        autostart=_flag(value, "autostart", True),
        stale_timeout=_count(value, "stale_timeout"),
        limits=_limits(value.get("limits", {})),
    )


def read_template_fields(body: str | bytes) -> tuple[str, dict[str, object]]:
    """Return the template that a body names, and the fields that it gives.

    Raises:
        OrderError: It is something else.
    """
    return _template_fields(_object(_decoded(body), "a template's fields"))


def read_command(body: str | bytes) -> JobCommand:
    """Return what a job is told to do.

    Raises:
        OrderError: It is no command.
    """
    value = _object(_decoded(body), "a command")
    _refuse_others(value, {"command"}, "a command")
    wanted = (JobCommand.START, JobCommand.STOP, JobCommand.RESTART)
    for command in wanted:
        if value.get("command") == command.value:
            return command
    names = ", ".join(command.value for command in wanted)
    raise OrderError(f"A command is one of {names}.")


def _template_fields(value: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    _refuse_others(value, {"template", "fields"}, "a template's fields")
    return _text(value, "template"), _object(value.get("fields", {}), "fields")


def _input(value: object) -> JobInput:
    one = _object(value, "an input")
    _refuse_others(one, {"id", "address", "options"}, "an input")
    return JobInput(_text(one, "id"), _text(one, "address"), _texts(one, "options"))


def _output(value: object) -> JobOutput:
    one = _object(value, "an output")
    _refuse_others(one, {"id", "address", "options", "cleanup"}, "an output")
    rules = tuple(_rule(rule) for rule in _list(one, "cleanup"))
    return JobOutput(
        _text(one, "id"), _text(one, "address"), _texts(one, "options"), rules
    )


def _rule(value: object) -> CleanupRule:
    one = _object(value, "a rule of cleanup")
    _refuse_others(one, attrs.fields_dict(CleanupRule), "a rule of cleanup")
    return CleanupRule(
        _text(one, "pattern"),
        _count(one, "max_files"),
        _count(one, "max_file_age"),
        _flag(one, "purge_on_delete", False),
    )


def _limits(value: object) -> JobLimits:
    one = _object(value, "limits")
    _refuse_others(one, attrs.fields_dict(JobLimits), "limits")
    percent = one.get("cpu_percent", 0.0)
    if isinstance(percent, bool) or not isinstance(percent, int | float):
        raise OrderError("cpu_percent is a number.")
    if not 0 <= percent <= 100:
        raise OrderError("cpu_percent is a number from 0 to 100.")
    return JobLimits(float(percent), _count(one, "memory"), _count(one, "wait_for"))


def _decoded(body: str | bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise OrderError("The body is no JSON.") from None


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise OrderError(f"Expected {what} as a JSON object.")
    return value


def _refuse_others(
    value: Mapping[str, object],
    known: Mapping[str, object] | set[str] | frozenset[str],
    what: str,
) -> None:
    for name in value:
        if name not in known:
            raise OrderError(f"{name!r:.100} is nothing that {what} has.")


def _list(value: Mapping[str, object], name: str) -> list[object]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise OrderError(f"{name} is a list.")
    return found


def _text(value: Mapping[str, object], name: str) -> str:
    found = value.get(name, "")
    if not isinstance(found, str):
        raise OrderError(f"{name} is a text.")
    return found


def _texts(value: Mapping[str, object], name: str) -> tuple[str, ...]:
    found = _list(value, name)
    texts = tuple(one for one in found if isinstance(one, str))
    if len(texts) != len(found):
        raise OrderError(f"{name} is a list of texts.")
    return texts


def _flag(value: Mapping[str, object], name: str, default: bool) -> bool:
    found = value.get(name, default)
    if not isinstance(found, bool):
        raise OrderError(f"{name} is true or false.")
    return found


def _count(value: Mapping[str, object], name: str) -> int:
    found = value.get(name, 0)
    if isinstance(found, bool) or not isinstance(found, int):
        raise OrderError(f"{name} is a whole number.")
    if not 0 <= found <= _MOST_SECONDS:
        raise OrderError(f"{name} is a whole number, at least 0.")
    return found
