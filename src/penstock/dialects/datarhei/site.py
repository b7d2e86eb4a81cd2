"""The API as an ASGI application: what holds for every request, then one endpoint.

Segments of paths are decoded after they are split, because ids may hold slashes, which
a web framework's router cannot keep apart.
"""

from __future__ import annotations

import gzip
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    MutableMapping,
)
from typing import Any, Final, TypeAlias

import attrs
import trio

from penstock import log

from .answers import Answer, Failure
from .requests import Request, split_path

__all__ = ["Endpoint", "Guard", "Route", "Site"]

# The shapes that the ASGI specification leaves to the frameworks to name.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Answer]]
Guard: TypeAlias = Callable[[Request], Awaitable[None]]
"""Raises `Failure` for a request that may not pass."""
Admission: TypeAlias = Callable[[Request, str], None]
"""Raises `Failure` for a request that nobody answers; told the path's first part."""
Client: TypeAlias = Callable[[str, Mapping[str, str]], str]
"""The address of a connection and headers -> that of the client."""

MAX_BODY: Final = 4 << 20
"""Octets of a request's body that is read whole."""
_BODY_S: Final = 10.0
_PAUSE_S: Final = 30.0
"""How long the next part of a body that is read as it comes may take."""
_CLOSE_S: Final = 5.0
_LEAST_ZIPPED: Final = 1_000
_CROSS_ORIGIN: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "Content-Length"),
)
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", "GET,HEAD,PUT,POST,DELETE,PATCH"),
    (
        "Access-Control-Allow-Headers",
        "Origin,Content-Length,Content-Type,Authorization",
    ),
    ("Access-Control-Max-Age", "86400"),
)


@attrs.frozen
class Route:
    """Which requests an endpoint answers.

    The path's segments are names, ``{...}`` for any one that is not empty, or
    ``{...*}`` at the end for one or more, which are joined by slashes.
    """

    method: str
    path: str
    endpoint: Endpoint
    is_open: bool = False
    """Whether the guard is not asked."""

    def match(self, segments: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the arguments in a path, or None if it is another one's."""
        wanted = self.path.removeprefix("/").split("/")
        if wanted[-1].endswith("*}"):
            rest = "/".join(segments[len(wanted) - 1 :])
            if len(segments) < len(wanted) or not rest:
                return None
            segments = (*segments[: len(wanted) - 1], rest)
        if len(segments) != len(wanted):
            return None
        arguments = []
        for have, want in zip(segments, wanted, strict=True):
            if want[:1] == "{":
                if not have:
                    return None
                arguments.append(have)
            elif have != want:
                return None
        return tuple(arguments)


class Site:
    """One port.

    Args:
        routes: The first that matches answers. HEAD is answered as GET is, without
            the body, where it has no route of its own.
        guard: Asked before every endpoint below ``/api`` that is not open.
        client: Tells whom a request is from.
        admit: Asked before all else.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        guard: Guard,
        client: Client = lambda peer, _: peer,
        admit: Admission = lambda request, first: None,
    ) -> None:
        self._routes = tuple(routes)
        self._guard = guard
        self._client = client
        self._admit = admit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        peer = scope["client"][0] if scope.get("client") else ""
        request = Request(
            scope["method"],
            path,
            (),
            scope["query_string"].decode("latin-1"),
            headers,
            self._client(peer, headers),
            lambda: _read(receive, headers),
            lambda: _Blocks(receive),
            scope.get("scheme") == "https",
        )
        try:
            answer = await self._answer(request)
        except Failure as failure:
            answer = failure.answer()
            if request.method == "HEAD":
                # datarhei sends no type either; restreamer-ui reads whatever is said to
                # be JSON, and shows nothing at all when there is none.
                answer = attrs.evolve(answer, body=b"", content_type="")
        try:
            await _send(send, request, answer)
        finally:
            if answer.resource is not None:
                # The client may be gone, and its task cancelled for it.
                with trio.move_on_after(_CLOSE_S, shield=True):
                    await answer.resource.aclose()

    async def _answer(self, request: Request) -> Answer:
        segments = split_path(request.path)
        is_api = segments[0] == "api"
        self._admit(request, segments[0])
        if request.method == "OPTIONS" and "origin" in request.headers:
            return Answer(status=204, content_type="", headers=_PREFLIGHT)
        methods = (request.method, "GET") if request.method == "HEAD" else None
        for route in self._routes:
            if route.method not in (methods or (request.method,)):
                continue
            arguments = route.match(segments)
            if arguments is not None:
                asked = attrs.evolve(request, arguments=arguments)
                if is_api and not route.is_open:
                    await self._guard(asked)
                return await route.endpoint(asked)
        if is_api:
            # What there is, is nobody's business either.
            await self._guard(request)
        raise Failure(404, "Not Found", "Not Found")


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _read(receive: Receive, headers: Mapping[str, str]) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:12]) > MAX_BODY:
        raise Failure(413, "Request Entity Too Large", f"at most {MAX_BODY} bytes")
    parts: list[bytes] = []
    size = 0
    with trio.move_on_after(_BODY_S):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Failure(400, "Bad Request", "the body was not finished")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY:
                details = f"at most {MAX_BODY} bytes"
                raise Failure(413, "Request Entity Too Large", details)
            if not message.get("more_body", False):
                return b"".join(parts)
    raise Failure(408, "Request Timeout", f"the body took over {_BODY_S:.0f} s")


class _Blocks(AsyncIterator[bytes]):
    """A body as it comes. Not a generator: nobody has to close it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False

    async def __anext__(self) -> bytes:
        while not self._is_over:
            with trio.move_on_after(_PAUSE_S) as scope:
                message = await self._receive()
            if scope.cancelled_caught:
                raise Failure(408, "Request Timeout", f"nothing for {_PAUSE_S:.0f} s")
            if message["type"] != "http.request":
                raise Failure(400, "Bad Request", "the body was not finished")
            self._is_over = not message.get("more_body", False)
            if block := message.get("body", b""):
                return bytes(block)
        raise StopAsyncIteration


async def _send(send: Send, request: Request, answer: Answer) -> None:
    body = answer.body
    headers = [("Vary", "Origin"), *answer.headers]
    if "origin" in request.headers:
        headers += _CROSS_ORIGIN
    if answer.content_type:
        headers.append(("Content-Type", answer.content_type))
    if request.path.startswith("/api/v3") and len(body) >= _LEAST_ZIPPED:
        headers.append(("Vary", "Accept-Encoding"))
        if "gzip" in request.headers.get("accept-encoding", ""):
            body = await trio.to_thread.run_sync(gzip.compress, body, 1)
            headers.append(("Content-Encoding", "gzip"))
    if answer.blocks is None and answer.status not in (204, 304):
        headers.append(("Content-Length", str(len(body))))
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1", "replace"))
                for name, value in headers
            ],
        }
    )
    is_head = request.method == "HEAD"
    if answer.blocks is not None and not is_head:
        async for block in answer.blocks:
            await send(
                {"type": "http.response.body", "body": bytes(block), "more_body": True}
            )
        body = b""
    await send({"type": "http.response.body", "body": b"" if is_head else body})
    log.debug("api request", path=request.path, status=answer.status)
