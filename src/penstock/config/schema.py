"""The attrs classes of `penstock.settings` as a flat table of keys."""

from __future__ import annotations

import difflib
import functools
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from penstock.settings import Settings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "Key",
    "build",
    "keys",
    "nearest",
    "sections",
    "table_keys",
    "value_of",
]

ENVIRONMENT_PREFIX = "PENSTOCK_"


@attrs.frozen(eq=False)
class Key:
    """One key of the schema."""

    path: str
    """Dotted, as "http.listen"."""
    kind: str
    """"text", "integer", "number", "boolean", "texts" or "tables"."""
    default: object
    help: str
    secret: bool
    form: str
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    restart: bool
    table: type[Any] | None = None
    """The class of each table of "tables"."""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return ENVIRONMENT_PREFIX + self.path.upper().replace(".", "_")


_KINDS: Mapping[object, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    list[str]: "texts",
}


def _walk(kind: type[Any], prefix: str) -> Iterator[Key]:
    hints = typing.get_type_hints(kind)
    defaults = kind()
    for field in attrs.fields(kind):
        path = prefix + field.name
        hint = hints[field.name]
        if attrs.has(hint):
            yield from _walk(hint, path + ".")
            continue
        table = next(filter(attrs.has, typing.get_args(hint)), None)
        yield Key(
            path,
            "tables" if table else _KINDS[hint],
            getattr(defaults, field.name),
            table=table,
            **field.metadata,
        )


@functools.cache
def keys() -> Mapping[str, Key]:
    """Return every key by its dotted path, in the schema's order."""
    return {key.path: key for key in _walk(Settings, "")}


def table_keys(table: type[Any]) -> Mapping[str, Key]:
    """Return the keys of one table of a list, such as ``[[relay]]``."""
    return {key.path: key for key in _walk(table, "")}


@functools.cache
def sections() -> Mapping[str, str]:
    """Return the dotted names of all tables with the help text of each."""

    def walk(kind: type[Any], prefix: str) -> Iterator[tuple[str, str]]:
        hints = typing.get_type_hints(kind)
        for field in attrs.fields(kind):
            if attrs.has(hints[field.name]):
                yield prefix + field.name, str(field.metadata["help"])
                yield from walk(hints[field.name], prefix + field.name + ".")

    return dict(walk(Settings, ""))


def value_of(settings: Settings, path: str) -> object:
    """Return the value at a dotted path of the schema."""
    value: object = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def build(values: Mapping[str, object]) -> Settings:
    """Make `Settings` with ``values`` by dotted path; the others keep defaults."""

    def make(kind: type[Any], prefix: str) -> Any:  # noqa: ANN401
        hints = typing.get_type_hints(kind)
        arguments: dict[str, object] = {}
        for field in attrs.fields(kind):
            path = prefix + field.name
            if attrs.has(hints[field.name]):
                arguments[field.name] = make(hints[field.name], path + ".")
            elif path in values:
                arguments[field.name] = values[path]
        return kind(**arguments)

    settings: Settings = make(Settings, "")
    return settings


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that ``name`` most looks like, or "" if none does."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    tails = {candidate.rpartition(".")[2]: candidate for candidate in reversed(names)}
    close = difflib.get_close_matches(name.rpartition(".")[2], tails, n=1, cutoff=0.75)
    return tails[close[0]] if close else ""
