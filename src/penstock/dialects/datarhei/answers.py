"""What an endpoint answers: JSON, a text or bytes, or a refusal in datarhei's form."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import attrs
import trio

__all__ = [
    "OK",
    "Answer",
    "Failure",
    "as_json",
    "as_json_array",
    "document",
    "number",
    "text",
]

_JSON = "application/json"
# Made once: a listing encodes thousands of values. All that is encoded is a tree.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":")
)


@attrs.frozen
class Answer:
    """One response."""

    body: bytes = b""
    status: int = 200
    content_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()
    blocks: AsyncIterator[bytes | bytearray | memoryview] | None = None
    """The body of a file, instead of ``body``; its length is among the headers."""
    resource: trio.abc.AsyncResource | None = None
    """What ``blocks`` read from; closed when the answer is sent, or will not be."""


def as_json(value: object, status: int = 200) -> Answer:
    """Return a value as a JSON document with a newline at its end."""
    return Answer(document(value) + b"\n", status)


def as_json_array(items: Iterable[bytes]) -> Answer:
    """Return documents as one array of them."""
    return Answer(b"[" + b",".join(items) + b"]\n")


def document(value: object) -> bytes:
    """Return a value as JSON in UTF-8."""
    written = _ENCODER.encode(value)
    # Half a surrogate pair has no UTF-8; JSON can write it all the same.
    try:
        return written.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


OK = as_json("OK")
"""The answer of commands."""


def text(words: str, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """Return a plain text."""
    return Answer(words.encode(), status, "text/plain; charset=UTF-8", headers)


def number(value: float) -> int | float:
    """Return a number as datarhei prints it: whole, or with three decimals."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


class Failure(Exception):
    """What is answered instead of what was asked for.

    Args:
        status: Of HTTP, and the ``code`` of the body.
        message: In a few words.
        details: More of it; texts of several lines become several items.
        headers: Further fields of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *details: str,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = [line for one in details for line in one.split("\n")]
        self.headers = tuple(headers)

    def answer(self) -> Answer:
        """Return it as a response."""
        body: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "details": self.details,
        }
        return attrs.evolve(as_json(body, self.status), headers=self.headers)
