"""Values that clients keep with a job, or with all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from .errors import JobError, JobErrorCode

__all__ = ["encode_value", "with_value"]

_MAX_OCTETS: Final = 1 << 20
"""Of one value's JSON."""
_MAX_KEYS: Final = 1_000


def encode_value(value: object) -> str:
    """Return the JSON of a value.

    Raises:
        JobError: It is too large.
    """
    text = json.dumps(value)
    if len(text) > _MAX_OCTETS:
        raise JobError(JobErrorCode.TOO_LARGE, "the value is too large")
    return text


def with_value(metadata: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    """Return metadata with another value; None takes the key away.

    Raises:
        JobError: The value is too large, or there are too many.
    """
    changed = dict(metadata)
    if value is None:
        changed.pop(key, None)
        return changed
    encode_value(value)
    changed[key] = value
    if len(changed) > _MAX_KEYS:
        raise JobError(JobErrorCode.TOO_LARGE, f"more than {_MAX_KEYS} keys")
    return changed
