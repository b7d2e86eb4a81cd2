"""How the page's API shows jobs: views as JSON values, secrets masked."""

from __future__ import annotations

import re
import shlex

from penstock.control.jobs import (
    Exec,
    JobError,
    JobErrorCode,
    JobSpec,
    JobState,
    JobView,
    Order,
    Progress,
)
from penstock.control.secrets import masked, masked_words

from .job_fields import Field
from .job_templates import JobTemplate

__all__ = [
    "job_detail_json",
    "job_json",
    "sentence",
    "spec_words",
    "status_of",
    "template_json",
]

_PROCESS = re.compile(r"(?<!['/])\bprocess(es)?\b(?!['/])")
_UNASKED = JobState(Order.STOP, Exec.FINISHED, 0.0, None, "")
_SENTENCES = {
    JobErrorCode.UNKNOWN: "No job has that id.",
    JobErrorCode.EXISTS: "A job with that id is there already.",
}
_STATUS = {
    JobErrorCode.UNKNOWN: 404,
    JobErrorCode.EXISTS: 409,
    JobErrorCode.LIMIT: 409,
    JobErrorCode.NOT_KEPT: 503,
    JobErrorCode.TOO_LARGE: 413,
}


# -- jobs ------------------------------------------------------------------------------


def job_json(view: JobView) -> dict[str, object]:
    """Shape one job for the list; its view should tell its state."""
    spec = view.spec
    state = view.state or _UNASKED
    return {
        "id": spec.id,
        "reference": spec.reference,
        "order": state.order.value,
        "state": state.exec.value,
        "seconds": round(state.since, 1),
        "reconnect_s": None if state.reconnect is None else round(state.reconnect, 1),
        "progress": _progress(state.progress, _duration_s(spec, state.progress)),
        "cpu": round(state.cpu, 4),
        "memory_bytes": state.memory,
        "last_line": masked(state.last_line),
        "problem": masked(view.problem),
    }


def job_detail_json(view: JobView) -> dict[str, object]:
    """Shape one job with its last lines and its command line."""
    words = view.state.command if view.state and view.state.command else ()
    lines = view.report.log if view.report else ()
    return {
        **job_json(view),
        "created_at": view.created_at,
        "updated_at": view.updated_at,
        "started_at": view.report.created_at if view.report else None,
        "log": [{"at": line.at, "text": masked(line.text)} for line in lines],
        "command_line": shlex.join(
            ["ffmpeg", *masked_words(words or spec_words(view.spec))]
        ),
    }


def spec_words(spec: JobSpec) -> list[str]:
    """Return a job's command line as its owner wrote it, placeholders and all."""
    words = [*spec.options]
    for source in spec.inputs:
        words += [*source.options, "-i", source.address]
    for output in spec.outputs:
        words += [*output.options, output.address]
    return words


def _progress(progress: Progress, duration_s: float | None) -> dict[str, object]:
    return {
        "frames": progress.frame,
        "fps": round(progress.fps, 2),
        "time_s": round(progress.time_s, 2),
        "duration_s": duration_s,
        "bitrate_bps": round(progress.bitrate_bps),
        "speed": round(progress.speed, 3),
        "size_bytes": progress.size_bytes,
        "dropped_frames": progress.drop,
    }


def _duration_s(spec: JobSpec, progress: Progress) -> float | None:
    """Return how much media there is in all; None where that is not known.

    A loop has no end, whatever its file has, and neither has a live input beside it.
    """
    if any("-stream_loop" in source.options for source in spec.inputs):
        return None
    durations: dict[int, float] = {}
    for stream in progress.inputs:
        index = stream.info.index
        durations[index] = max(durations.get(index, 0.0), stream.info.duration_s)
    if len(durations) < len(spec.inputs) or not all(durations.values()):
        return None
    longest = max(durations.values(), default=0.0)
    return round(longest, 2) if longest >= progress.time_s else None


# -- errors ----------------------------------------------------------------------------


def sentence(error: JobError) -> str:
    """Return what a person is told of a refusal."""
    if error.code in _SENTENCES:
        return _SENTENCES[error.code]
    # They are worded for clients that know a job as a process.
    text = _PROCESS.sub(lambda match: "jobs" if match[1] else "job", error.message)
    text = masked(text)
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def status_of(error: JobError) -> int:
    """Return the HTTP status of a refusal."""
    return _STATUS.get(error.code, 400)


# -- templates -------------------------------------------------------------------------


def template_json(template: JobTemplate) -> dict[str, object]:
    """Shape a template for the form."""
    return {
        "name": template.name,
        "label": template.label,
        "text": template.text,
        "fields": [_field(field) for field in template.fields],
    }


def _field(field: Field) -> dict[str, object]:
    return {
        "name": field.name,
        "label": field.label,
        "kind": field.kind.value,
        "default": field.default,
        "choices": [{"value": value, "label": label} for value, label in field.choices],
        "hint": field.hint,
        "streams": field.streams,
    }
