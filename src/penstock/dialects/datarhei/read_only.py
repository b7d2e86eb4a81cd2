"""The API while nothing may be changed through it."""

from __future__ import annotations

from collections.abc import Callable

from .answers import Answer, Failure
from .requests import Request
from .site import Endpoint

__all__ = ["unless_read_only"]


def unless_read_only(is_read_only: Callable[[], bool], endpoint: Endpoint) -> Endpoint:
    """Return an endpoint that is not there while nothing may be changed."""

    async def guarded(request: Request) -> Answer:
        if is_read_only():
            raise Failure(404, "Not Found", "Not Found")
        return await endpoint(request)

    return guarded
