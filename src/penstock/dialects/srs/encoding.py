"""JSON as SRS writes it: no blanks, keys in order, numbers with two decimals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import TypeAlias

__all__ = ["Json", "encode", "encode_text"]

Json: TypeAlias = (
    "bool | int | float | str | Mapping[str, Json] | Sequence[Json] | None"
)
"""A float is SRS's "number" (always two decimals), an int its "integer"."""


def encode(value: Json) -> bytes:
    """Return ``value`` as UTF-8; half a surrogate pair becomes a question mark."""
    return encode_text(value).encode("utf-8", "replace")


def encode_text(value: Json) -> str:
    """Return ``value`` as text; what is not finite becomes 0.00."""
    if isinstance(value, str):
        return encode_basestring(value)
    # bool before int, which it is a kind of.
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.2f}" if math.isfinite(value) else "0.00"
    if isinstance(value, Mapping):
        items = [f"{encode_basestring(k)}:{encode_text(v)}" for k, v in value.items()]
        return "{" + ",".join(items) + "}"
    return "[" + ",".join([encode_text(item) for item in value]) + "]"
