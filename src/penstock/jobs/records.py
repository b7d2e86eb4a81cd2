"""What is kept of a job: its wish, its order, when, and its owners' notes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from .child import Identity
from .spec import CleanupRule, JobInput, JobLimits, JobOutput, JobSpec
from .state import Order

__all__ = [
    "JobRecord",
    "RecordError",
    "decode_identity",
    "decode_record",
    "encode_identity",
    "encode_record",
]


class RecordError(ValueError):
    """A document that is no job; the text says why."""


@attrs.frozen
class JobRecord:
    """A job as it is kept."""

    spec: JobSpec
    """As its owner wrote it."""
    order: Order
    created_at: int
    """Unix time."""
    updated_at: int
    """Unix time of the last change of `spec`."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    """JSON values by key."""


def encode_record(record: JobRecord) -> str:
    """Return a record as a JSON document."""
    document = {
        "spec": attrs.asdict(record.spec),
        "order": record.order.value,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "metadata": dict(record.metadata),
    }
    return json.dumps(document)


def decode_record(text: str) -> JobRecord:
    """Read what `encode_record` has written.

    Raises:
        RecordError: It is something else.
    """
    try:
        document = json.loads(text)
        return JobRecord(
            _decode_spec(document["spec"]),
            Order(document["order"]),
            int(document["created_at"]),
            int(document["updated_at"]),
            dict(document["metadata"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"no job: {type(error).__name__} {error}") from error


def _decode_spec(document: dict[str, Any]) -> JobSpec:
    fields = dict(document)
    fields["inputs"] = tuple(
        JobInput(end["id"], end["address"], tuple(end["options"]))
        for end in fields["inputs"]
    )
    fields["outputs"] = tuple(
        JobOutput(
            end["id"],
            end["address"],
            tuple(end["options"]),
            tuple(CleanupRule(**rule) for rule in end["cleanup"]),
        )
        for end in fields["outputs"]
    )
    fields["options"] = tuple(fields["options"])
    fields["limits"] = JobLimits(**fields["limits"])
    return JobSpec(**fields)


def encode_identity(identity: Identity) -> str:
    """Return what finds a program again, as a JSON document."""
    return json.dumps(attrs.asdict(identity))


def decode_identity(text: str) -> Identity:
    """Read what `encode_identity` has written. Raises: RecordError."""
    try:
        return Identity(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise RecordError(f"no program: {error}") from error
