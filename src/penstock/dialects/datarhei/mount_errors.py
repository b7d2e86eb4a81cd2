"""How a mount of files refuses, in datarhei's words."""

from __future__ import annotations

from .answers import Answer, Failure

__all__ = ["mount_failure"]

_MESSAGES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "File not found",
    405: "Method Not Allowed",
    507: "Insufficient storage",
    509: "Bandwidth Limit Exceeded",
}


def mount_failure(status: int, reason: str, path: str, *, is_disk: bool) -> Answer:
    """Return the answer to a request that a mount does not serve.

    Args:
        status: Of HTTP.
        reason: Why, for people.
        path: As it came.
        is_disk: It is the mount at the root: what writes there finds nothing.
    """
    if is_disk and status == 405:
        status = 404
    detail = path if status == 404 else reason
    return Failure(status, _MESSAGES.get(status, "Bad Request"), detail).answer()
