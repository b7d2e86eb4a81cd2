"""The types of request bodies, and how a body is laid over what was there before.

An update gives only what changes, at any depth: members of objects are replaced one by
one, and elements of arrays too, by their index. Clients see that, so it is done as
datarhei's decoder does it: a shorter array cuts the old one, ``null`` leaves a value as
it was and empties an array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

__all__ = [
    "COUNT",
    "FLAG",
    "NUMBER",
    "TEXT",
    "Array",
    "Kind",
    "Scalar",
    "Struct",
    "WrongType",
    "count_or_digits",
    "lay_over",
    "zero",
]

Path: TypeAlias = tuple[str | int, ...]

_COUNT_LIMIT: Final = 1 << 64
_COUNT_DIGITS: Final = 20


class WrongType(ValueError):
    """A value of another type than its place takes.

    Args:
        path: Where it stands: names of members and indices.
        expected: The type's name, as clients are told.
        value: What stands there.
    """

    def __init__(self, path: Path, expected: str, value: object) -> None:
        super().__init__(f"{expected} expected")
        self.path = path
        self.expected = expected
        self.value = value


@attrs.frozen
class Scalar:
    """A value without parts."""

    name: str
    zero: object
    take: Callable[[Any], object]
    """Returns the value as it is kept, or None if it is of another type."""


@attrs.frozen
class Array:
    """Any number of values of one type; None if there is no array."""

    item: Scalar | Struct

    @property
    def name(self) -> str:
        """What clients are told."""
        return f"[]{self.item.name}"


@attrs.frozen
class Struct:
    """Named members; others are ignored."""

    name: str
    fields: Mapping[str, Kind]


Kind: TypeAlias = Scalar | Array | Struct


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _COUNT_LIMIT else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _digits(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) <= _COUNT_DIGITS else None
    return _count(value)


TEXT: Final = Scalar("string", "", _text)
FLAG: Final = Scalar("bool", False, _flag)
NUMBER: Final = Scalar("float64", 0.0, _number)
COUNT: Final = Scalar("uint64", 0, _count)


def count_or_digits(name: str) -> Scalar:
    """Return a type that takes 23 and "23", and keeps the number."""
    return Scalar(name, 0, _digits)


def zero(kind: Kind) -> Any:  # noqa: ANN401 - a JSON value
    """Return what a type's value is if nothing is said."""
    if isinstance(kind, Scalar):
        return kind.zero
    if isinstance(kind, Array):
        return None
    return {name: zero(field) for name, field in kind.fields.items()}


def lay_over(kind: Kind, old: Any, new: object, path: Path = ()) -> Any:  # noqa: ANN401
    """Return what there is of a type when a body's value is laid over the old one.

    Args:
        kind: The type of both.
        old: What was there; objects may lack members.
        new: A JSON value.
        path: Where it stands.

    Raises:
        WrongType: With the first value, in the body's order, that does not fit.
    """
    if isinstance(kind, Array):
        return _lay_array(kind, old, new, path)
    if new is None:
        return old
    if isinstance(kind, Struct):
        return _lay_struct(kind, old, new, path)
    taken = kind.take(new)
    if taken is None:
        raise WrongType(path, kind.name, new)
    return taken


def _lay_array(
    kind: Array, old: Sequence[Any] | None, new: object, path: Path
) -> list[Any] | None:
    if new is None:
        return None
    if not isinstance(new, list):
        raise WrongType(path, kind.name, new)
    before = old or ()
    return [
        lay_over(
            kind.item,
            before[index] if index < len(before) else zero(kind.item),
            item,
            (*path, index),
        )
        for index, item in enumerate(new)
    ]


def _lay_struct(
    kind: Struct, old: Mapping[str, Any], new: object, path: Path
) -> dict[str, Any]:
    if not isinstance(new, dict):
        raise WrongType(path, kind.name, new)
    laid: dict[str, Any] = zero(kind) | dict(old)
    for name, value in new.items():
        field = kind.fields.get(name)
        if field is not None:
            laid[name] = lay_over(field, laid[name], value, (*path, name))
    return laid
