"""Bodies of requests as JSON, and in which words they are refused.

Clients show these words to people, so they are those of datarhei: the place is counted
in octets from 1, and a line's end counts for the line that follows.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

import attrs

from .answers import Failure
from .json_types import Kind, Path, Struct, WrongType, lay_over
from .requests import Request

__all__ = ["JsonBody", "decode_body", "read_body", "unfit_fields"]

MAX_DEPTH: Final = 200
"""Arrays and objects within each other; a recursive decoder needs some limit."""
_MAX_DIGITS: Final = 40
"""A longer whole number is kept as a float."""
_LITERALS: Final = ("true", "false", "null")
_BLANKS: Final = " \t\n\r"
# What Python's decoder says, and what is wrong with the character that it stopped at.
_MISTAKES: Final = (
    ("Expecting property name", "at start of string (expecting '\"')"),
    ("Expecting ':'", "after object name (expecting ':')"),
    ("Extra data", "after top-level value"),
    ("Invalid control character", "in string (expecting non-control character)"),
    ("Invalid \\", "in string escape code"),
)


def unfit_fields(struct: str, **tags: str) -> Failure:
    """Return the refusal of members that are missing, or not one of what they may be.

    Args:
        struct: The object's name.
        tags: By member, in the object's order, the rule that it breaks.
    """
    return _invalid(
        *(
            f"Key: '{struct}.{field}' Error:Field validation for '{field}' failed"
            f" on the '{tag}' tag"
            for field, tag in tags.items()
        )
    )


async def read_body(request: Request) -> JsonBody:
    """Return a request's body. Raises: Failure, if it is none or not JSON."""
    return decode_body(await request.body(), request.headers.get("content-type", ""))


async def read_json(request: Request, *, any_type: bool = False) -> Any:  # noqa: ANN401
    """Return the value that a request's body holds.

    Args:
        request: Its body is read whole.
        any_type: Do not look at its Content-Type.

    Raises: Failure: There is none, or it is no JSON.
    """
    if any_type:
        return decode_body(await request.body(), "application/json").value
    return (await read_body(request)).value


def decode_body(octets: bytes, content_type: str) -> JsonBody:
    """Return what a body says.

    Raises:
        Failure: It is empty, is not said to be JSON, or is none.
    """
    if not octets:
        raise _invalid("request doesn't contain any content")
    if not content_type.lower().startswith("application/json"):
        raise _invalid("request doesn't contain JSON content")
    text = octets.decode(errors="replace")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(_syntax(text, error)) from None
    except _NoNumber as error:
        raise _invalid(error.explain(text)) from None
    except RecursionError:
        raise _invalid("exceeded max depth") from None
    if _is_deep(text, value):
        raise _invalid("exceeded max depth")
    return JsonBody(text, value)


@attrs.frozen
class JsonBody:
    """A document that was decoded."""

    text: str
    value: Any
    """Numbers are finite."""

    def laid_over(self, kind: Kind, old: object) -> Any:  # noqa: ANN401 - of its kind
        """Return ``old`` with what this document says of it; see `lay_over`.

        Raises:
            Failure: A value has another type than its place takes.
        """
        try:
            return lay_over(kind, old, self.value)
        except WrongType as error:
            raise _invalid(self._explain(error, kind)) from None

    def _explain(self, error: WrongType, kind: Kind) -> str:
        begin, end = _find(self.text, error.path)
        found = _name(error.value)
        if found == "number" and error.expected.startswith("uint"):
            found += f" {self.text[begin:end]}"
        path = ".".join(map(str, error.path))
        struct = kind.name if isinstance(kind, Struct) else ""
        place = f"struct field {struct.removeprefix('api.')}.{path}"
        return (
            f"expect type '{error.expected}' for '{path}' at {_place(self.text, end)}:"
            f" json: cannot unmarshal {found} into Go {place if path else 'value'}"
            f" of type {error.expected}"
        )


def _invalid(*details: str) -> Failure:
    return Failure(400, "Invalid JSON", *details)


def _name(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"


# -- decoding --------------------------------------------------------------------------


class _NoNumber(ValueError):
    """A number that JSON, or a float, does not know."""

    def __init__(self, literal: str) -> None:
        super().__init__(literal)
        self.literal = literal

    def explain(self, text: str) -> str:
        if self.literal.strip("-0123456789.eE+"):
            at = text.find(self.literal) + self.literal.startswith("-")
            return _unexpected(text, at, "at start of value")
        return f"json: cannot unmarshal number {self.literal[:_MAX_DIGITS]}"


def _refuse(literal: str) -> NoReturn:
    raise _NoNumber(literal)


def _float(literal: str) -> float:
    value = float(literal)
    return value if math.isfinite(value) else _refuse(literal)


def _int(literal: str) -> int | float:
    return int(literal) if len(literal) <= _MAX_DIGITS else _float(literal)


_DECODER: Final = json.JSONDecoder(
    parse_int=_int, parse_float=_float, parse_constant=_refuse
)
_PLAIN: Final = json.JSONDecoder(parse_int=str, parse_float=str)
"""For looking through a document that was decoded before."""


def _is_deep(text: str, value: object) -> bool:
    # Nearly every document is told by this; a bracket in a string does no harm.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return True
        level = [
            part
            for whole in level
            if isinstance(whole, list | dict)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]
    return False


# -- places ----------------------------------------------------------------------------


def _place(text: str, at: int) -> str:
    """Say where a character is, counted as datarhei counts."""
    before = text[: at + 1].encode(errors="replace")
    line = before.count(b"\n") + 1
    character = len(before) - max(before.rfind(b"\n"), 0)
    return f"line {line}, character {character}"


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _find(text: str, path: Path) -> tuple[int, int]:
    """Return where the value at a path begins, and what follows its end."""
    begin = _skip(text, 0)
    for step in path:
        begin = _enter(text, begin, step)
    return begin, _PLAIN.raw_decode(text, begin)[1]


def _enter(text: str, at: int, step: str | int) -> int:
    """Return where a part of the value at ``at`` begins; of equal names the last."""
    found = at
    index = 0
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        name: str | int = index
        if isinstance(step, str):
            name, at = _PLAIN.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # past the colon
        if name == step:
            found = at
        _, at = _PLAIN.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1
    return found


# -- mistakes --------------------------------------------------------------------------


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    at = error.pos
    if at >= len(text) or error.msg.startswith("Unterminated"):
        return _ended(text)
    if error.msg.startswith("Expecting value"):
        return _no_value(text, at)
    if error.msg.startswith("Expecting ','"):
        return _unexpected(text, at, _expecting(text, at))
    for said, mistake in _MISTAKES:
        if error.msg.startswith(said):
            return _unexpected(text, at, mistake)
    return f"syntax error at {_place(text, at)}: {error.msg}"


def _ended(text: str) -> str:
    where = _place(text, len(text))
    return f"syntax error at {where}: unexpected end of JSON input"


def _unexpected(text: str, at: int, mistake: str) -> str:
    char = text[at : at + 1]
    shown = char if char.isprintable() else char.encode("unicode_escape").decode()
    shown = f"\\{char}" if char in "\\'" else shown
    where = _place(text, at)
    return f"syntax error at {where}: invalid character '{shown}' {mistake}"


def _no_value(text: str, at: int) -> str:
    """Explain a word that begins as a literal does, a sign alone, or anything else."""
    if text[at] == "-":
        at += 1
        if at == len(text):
            return _ended(text)
        return _unexpected(text, at, "in number (expecting digit)")
    for literal in _LITERALS:
        if text[at] != literal[0]:
            continue
        for char in literal:
            if at == len(text):
                return _ended(text)
            if text[at] != char:
                mistake = f"in literal {literal} (expecting '{char}')"
                return _unexpected(text, at, mistake)
            at += 1
    return _unexpected(text, at, "at start of value")


def _expecting(text: str, at: int) -> str:
    """Say what a value is followed by, in the array or object that it stands in."""
    opened: list[str] = []
    # Up to here the document is well-formed, so strings end.
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text[:at], re.DOTALL):
        if token[0] in "[{":
            opened.append(token[0])
        elif token[0] in "]}":
            opened.pop()
    if opened[-1:] == ["{"]:
        return "after object value (expecting ',' or '}')"
    return "after array element (expecting ',' or ']')"
