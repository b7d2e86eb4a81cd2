"""The process config of the API: how it is written, read, and changed in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from penstock.control.jobs import (
    CleanupRule,
    JobInput,
    JobLimits,
    JobOutput,
    JobSpec,
    new_id,
)

from .answers import Failure
from .json_bodies import JsonBody, unfit_fields
from .json_types import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    Array,
    Struct,
    count_or_digits,
    zero,
)

__all__ = ["TYPE", "as_config", "created", "updated"]

TYPE: Final = "ffmpeg"
"""The only type of process that there is."""

RandomBytes = Callable[[int], bytes]

_CLEANUP: Final = Struct(
    "api.ProcessConfigIOCleanup",
    {
        "pattern": TEXT,
        # The document shows strings of digits here, clients send numbers.
        "max_files": count_or_digits("uint"),
        "max_file_age_seconds": count_or_digits("uint"),
        "purge_on_delete": FLAG,
    },
)
_END: Final = Struct(
    "api.ProcessConfigIO",
    {
        "id": TEXT,
        "address": TEXT,
        "options": Array(TEXT),
        "cleanup": Array(_CLEANUP),
    },
)
_LIMITS: Final = Struct(
    "api.ProcessConfigLimits",
    {"cpu_usage": NUMBER, "memory_mbytes": COUNT, "waitfor_seconds": COUNT},
)
_PROCESS: Final = Struct(
    "api.ProcessConfig",
    {
        "id": TEXT,
        "type": TEXT,
        "reference": TEXT,
        "input": Array(_END),
        "output": Array(_END),
        "options": Array(TEXT),
        "reconnect": FLAG,
        "reconnect_delay_seconds": COUNT,
        "autostart": FLAG,
        "stale_timeout_seconds": COUNT,
        "limits": _LIMITS,
    },
)


def as_config(spec: JobSpec) -> dict[str, Any]:
    """Return a job as the API writes it, placeholders as its owner wrote them."""
    limits = spec.limits
    return {
        "id": spec.id,
        "type": TYPE,
        "reference": spec.reference,
        "input": [_end(one) for one in spec.inputs],
        "output": [_output(one) for one in spec.outputs],
        "options": list(spec.options),
        "reconnect": spec.reconnect,
        "reconnect_delay_seconds": spec.reconnect_delay,
        "autostart": spec.autostart,
        "stale_timeout_seconds": spec.stale_timeout,
        "limits": {
            "cpu_usage": _plain(limits.cpu_percent),
            "memory_mbytes": limits.memory,
            "waitfor_seconds": limits.wait_for,
        },
    }


def created(body: JsonBody, random_bytes: RandomBytes) -> JobSpec:
    """Return the job that a body defines; what it leaves open has its default.

    Args:
        body: A process config.
        random_bytes: For the ids that it does not give; see `new_id`.

    Raises:
        Failure: It has no inputs or outputs, is of another type, or a value is.
    """
    defaults = {"id": new_id(random_bytes), "type": TYPE, "autostart": True}
    config = body.laid_over(_PROCESS, zero(_PROCESS) | defaults)
    _check(config)
    if not config["type"]:
        supported = f"Supported process types are: {TYPE}"
        raise Failure(400, "Unsupported process type", supported)
    if not config["input"] or not config["output"]:
        raise Failure(400, "At least one input and one output need to be defined")
    return _spec(config, random_bytes)


def updated(body: JsonBody, old: JobSpec, random_bytes: RandomBytes) -> JobSpec:
    """Return a job with the changes that a body wants, down to elements of arrays.

    Args:
        body: A process config, or a part of one.
        old: The job as it is.
        random_bytes: For the ids of new inputs and outputs.

    Raises:
        Failure: As of `created`; that there is nothing in an array is told later.
    """
    config = body.laid_over(_PROCESS, as_config(old))
    _check(config)
    return _spec(config, random_bytes)


def _check(config: dict[str, Any]) -> None:
    tags = {}
    if config["type"] not in ("", TYPE):
        tags["Type"] = "oneof"
    if config["input"] is None:
        tags["Input"] = "required"
    if config["output"] is None:
        tags["Output"] = "required"
    if tags:
        raise unfit_fields("ProcessConfig", **tags)


def _end(end: JobInput | JobOutput) -> dict[str, Any]:
    return {"id": end.id, "address": end.address, "options": list(end.options)}


def _output(output: JobOutput) -> dict[str, Any]:
    shape = _end(output)
    if output.cleanup:
        shape["cleanup"] = [
            {
                "pattern": rule.pattern,
                "max_files": rule.max_files,
                "max_file_age_seconds": rule.max_file_age,
                "purge_on_delete": rule.purge_on_delete,
            }
            for rule in output.cleanup
        ]
    return shape


def _plain(value: float) -> int | float:
    # A huge one has hundreds of digits as a whole number.
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _spec(config: dict[str, Any], random_bytes: RandomBytes) -> JobSpec:
    limits = config["limits"]

    def ends(key: str) -> list[tuple[str, str, tuple[str, ...]]]:
        return [
            (
                one["id"] or new_id(random_bytes),
                one["address"],
                tuple(one["options"] or ()),
            )
            for one in config[key]
        ]

    return JobSpec(
        id=config["id"],
        # Rules of inputs are not kept: nothing is written there.
        inputs=tuple(JobInput(*end) for end in ends("input")),
        outputs=tuple(
            JobOutput(*end, _rules(one.get("cleanup")))
            for end, one in zip(ends("output"), config["output"], strict=True)
        ),
        reference=config["reference"],
        options=tuple(config["options"] or ()),
        reconnect=config["reconnect"],
        reconnect_delay=config["reconnect_delay_seconds"],
        autostart=config["autostart"],
        stale_timeout=config["stale_timeout_seconds"],
        limits=JobLimits(
            float(limits["cpu_usage"]),
            limits["memory_mbytes"],
            limits["waitfor_seconds"],
        ),
    )


def _rules(cleanup: list[dict[str, Any]] | None) -> tuple[CleanupRule, ...]:
    return tuple(
        CleanupRule(
            rule["pattern"],
            rule["max_files"],
            rule["max_file_age_seconds"],
            rule["purge_on_delete"],
        )
        for rule in cleanup or ()
    )
