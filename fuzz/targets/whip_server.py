"""Requests of any kind to endpoints and sessions.

The first octet picks who is asked. The rest is messages with a form feed between: a
method, header lines, an empty line, the body.
"""

from __future__ import annotations

from typing import Any

from sansmedia.sdp import Fragment
from sansmedia.whip import (
    OfferReceived,
    Request,
    ResourceConfig,
    Response,
    RestartRequested,
    SessionResource,
    WhepEndpoint,
    WhipEndpoint,
)

_PEER = ("peer", "0123456789abcdefghijkl")


def _asked(which: int) -> Any:  # noqa: ANN401
    if which == 0:
        return WhipEndpoint()
    if which == 1:
        return WhepEndpoint()
    if which == 2:
        return SessionResource(peer=_PEER, etag="t", now=0.0)
    if which == 3:
        return SessionResource(peer=None, etag="t", now=0.0)
    config = ResourceConfig(restart=False, token="t")
    return SessionResource(peer=_PEER, config=config, now=0.0)


def _decode(message: bytes) -> Request:
    head, _, body = message.partition(b"\n\n")
    method, *lines = head.decode("latin-1").split("\n")
    pairs = [line.partition(": ") for line in lines]
    return Request(method, "/", [(name, value) for name, _, value in pairs], body)


def _decide(asked: Any, event: Any) -> Response | None:  # noqa: ANN401
    number = event.request_id
    if number % 4 == 0:
        return asked.reject(number, 409, "no", now=0.0)  # type: ignore[no-any-return]
    if isinstance(event, OfferReceived):
        return asked.accept(  # type: ignore[no-any-return]
            number, answer=event.offer, session_url="/s", etag="t", now=0.0
        )
    if isinstance(event, RestartRequested):
        return asked.accept_restart(  # type: ignore[no-any-return]
            number, fragment=Fragment(), etag=f"r{number}", now=0.0
        )
    return asked.accept(number, now=0.0)  # type: ignore[no-any-return]


def one_input(data: bytes) -> None:
    # A request gets a response at once, or an event and a response by its id; nothing
    # raises, and no header can be split.
    if not data:
        return
    asked = _asked(data[0] % 5)
    for message in data[1:].split(b"\x0c"):
        result = asked.handle(_decode(message), 0.0)
        response = result if isinstance(result, Response) else _decide(asked, result)
        assert response is not None
        assert 200 <= response.status <= 599
        for name, value in response.headers:
            assert name.isprintable()
            assert value.isprintable()
