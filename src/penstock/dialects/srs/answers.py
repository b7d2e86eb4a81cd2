"""What an endpoint answers, before JSONP and headers are put around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from .encoding import encode
from .errors import Code

__all__ = ["Answer", "error", "text"]

_TEXT = b"text/plain; charset=utf-8"


@attrs.frozen
class Answer:
    """One response. JSON bodies can be wrapped by a callback, texts never are."""

    body: bytes = b""
    more: tuple[bytes, ...] = ()
    """The rest of a long body, in pieces: joining them would hold the event loop."""
    status: int = 200
    content_type: bytes = b"application/json"
    """Empty if there is no body."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    afterwards: Callable[[], Awaitable[None]] | None = None
    """What to do once the answer has been sent."""

    @property
    def is_json(self) -> bool:
        """Whether a JSONP callback goes around the body."""
        return self.content_type == b"application/json"


def error(code: Code) -> Answer:
    """Return SRS's error body; the HTTP status stays 200."""
    return Answer(encode({"code": int(code)}))


def text(
    status: int, words: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Answer:
    """Return a plain text answer."""
    return Answer(words.encode(), status=status, content_type=_TEXT, headers=headers)
