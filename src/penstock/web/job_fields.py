"""The fields of a job's template: what they are called, and what may stand in them."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs

__all__ = [
    "Field",
    "FieldErrors",
    "FieldKind",
    "Values",
    "check_address",
    "check_id",
    "check_name",
    "check_path",
    "read_fields",
]

Value = str | bool | tuple[str, ...]

_MAX_TEXT: Final = 2_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,99}")
_SCHEMES: Final = ("rtmp", "rtmps", "rtsp", "rtsps", "http", "https", "srt")


class FieldKind(enum.Enum):
    """How a field is filled in."""

    TEXT = "text"
    CHOICE = "choice"
    """One of its choices."""
    CHOICES = "choices"
    """At least one of its choices."""
    FLAG = "flag"


@attrs.frozen
class Field:
    """One field of a template."""

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    default: Value = ""
    choices: tuple[tuple[str, str], ...] = ()
    """Value and label of each."""
    hint: str = ""
    """One sentence for whoever fills it in."""
    check: Callable[[str], str] = lambda _: ""
    """Returns what is wrong with a text, as a sentence; "" if nothing is."""
    streams: bool = False
    """Whether the names of live streams are worth suggesting."""


class FieldErrors(ValueError):
    """Fields that cannot be taken.

    Args:
        sentences: What is wrong, by the field's name.
    """

    def __init__(self, sentences: Mapping[str, str]) -> None:
        super().__init__(" ".join(sentences.values()))
        self.sentences = dict(sentences)


@attrs.frozen
class Values:
    """What the fields of a template hold; each is of its field's kind."""

    by_name: Mapping[str, Value]

    def text(self, name: str) -> str:
        """Return a text, or the choice that was made."""
        value = self.by_name[name]
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """Return whether a flag is set."""
        return self.by_name[name] is True

    def choices(self, name: str) -> tuple[str, ...]:
        """Return the choices that were made, in the field's order."""
        value = self.by_name[name]
        return value if isinstance(value, tuple) else ()


def read_fields(fields: tuple[Field, ...], given: Mapping[str, object]) -> Values:
    """Return what the fields hold; a field that was not given holds its default.

    Raises:
        FieldErrors: With all that is wrong.
    """
    values: dict[str, Value] = {}
    unknown = given.keys() - {field.name for field in fields}
    errors = dict.fromkeys(unknown, "There is no such field.")
    for field in fields:
        try:
            values[field.name] = _read(field, given.get(field.name, field.default))
        except _Wrong as error:
            errors[field.name] = str(error)
    if errors:
        raise FieldErrors(errors)
    return Values(values)


class _Wrong(Exception):
    """What is wrong with a field, as a sentence."""


def _read(field: Field, given: object) -> Value:
    allowed = [value for value, _ in field.choices]
    if field.kind is FieldKind.FLAG:
        if not isinstance(given, bool):
            raise _Wrong("Say true or false.")
        return given
    if field.kind is FieldKind.CHOICES:
        if not isinstance(given, list | tuple) or any(
            one not in allowed for one in given
        ):
            raise _Wrong(f"Choose among {', '.join(allowed)}.")
        if not given:
            raise _Wrong("Choose at least one.")
        return tuple(value for value in allowed if value in given)
    if not isinstance(given, str):
        raise _Wrong("Give a text.")
    if field.kind is FieldKind.CHOICE:
        if given not in allowed:
            raise _Wrong(f"Choose among {', '.join(allowed)}.")
        return given
    text = given.strip()
    problem = _common_problem(text) or field.check(text)
    if problem:
        raise _Wrong(problem)
    return text


def _common_problem(text: str) -> str:
    if len(text) > _MAX_TEXT:
        return f"This is longer than {_MAX_TEXT:,} characters."
    if not text.isprintable():
        return "This has characters that cannot be printed."
    # They would be taken for placeholders, and become something else.
    if "{" in text or "}" in text:
        return "Braces mean something of their own in a job; leave them out."
    return ""


def check_name(text: str) -> str:
    """Say what is wrong with a stream's name."""
    if not text:
        return "Give the stream a name."
    if "/" in text:
        return "Give the name alone: the application is always live."
    if not _NAME.fullmatch(text):
        return (
            "A name has at most 100 letters from A to Z, digits, dots, dashes, tildes"
            " and underscores, and begins with a letter or digit."
        )
    return ""


def check_id(text: str) -> str:
    """Say what is wrong with a job's id; an empty one is made up."""
    return "An id has at most 200 characters." if len(text) > 200 else ""


def check_path(text: str) -> str:
    """Say what is wrong with the path of a file below the disk's root."""
    if not text:
        return "Name a file below the root of the disk."
    if text.startswith("/"):
        return "Leave out the slash in front: the path begins at the disk's root."
    if ".." in text.split("/"):
        return "The path must stay below the disk's root: leave out '..'."
    return ""


def check_address(text: str) -> str:
    """Say what is wrong with the address of a stream elsewhere."""
    if not text:
        return "Give the address to pull from."
    if any(char.isspace() for char in text):
        return "An address has no blanks; write %20."
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "The host or port of this address cannot be read."
    if parts.scheme not in _SCHEMES or "://" not in text:
        names = ", ".join(f"{scheme}://" for scheme in _SCHEMES[:-1])
        return f"Begin with {names} or {_SCHEMES[-1]}://."
    if not host:
        return "Name a host after ://."
    if parts.scheme == "srt" and port is None:
        return "An SRT address needs a port: srt://host:port."
    return ""
