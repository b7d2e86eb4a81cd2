"""Live777's refusals: a status and a line of text."""

from __future__ import annotations

from penstock.control import (
    Conflict,
    ControlError,
    Forbidden,
    NotFound,
    Unavailable,
)

__all__ = [
    "BUSY",
    "EXISTS",
    "FORBIDDEN",
    "NO_RESOURCE",
    "NO_SESSION",
    "NO_STREAM",
    "Failure",
    "failure_of",
]

BUSY = "A connection has already been established"
EXISTS = "resource already exists"
FORBIDDEN = "Don't permission"
NO_RESOURCE = "resource not exists"
NO_SESSION = "session not exists"
NO_STREAM = "stream not exists"


class Failure(Exception):
    """What is answered instead of what was asked for.

    Args:
        status: Of HTTP.
        text: The body.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def failure_of(error: ControlError, *, missing: str = NO_STREAM) -> Failure:
    """Return the answer to a refusal of control.

    Live777 has one status for everything but absence and conflict: 500. What it has no
    rule about, permission and exhaustion, has HTTP's own here.

    Args:
        error: What control raised.
        missing: The text if the object that was asked for does not exist.
    """
    if isinstance(error, NotFound):
        return Failure(404, missing)
    if isinstance(error, Conflict):
        return Failure(409, BUSY)
    if isinstance(error, Forbidden):
        return Failure(403, str(error))
    if isinstance(error, Unavailable):
        return Failure(503, str(error))
    return Failure(500, str(error))
