"""The SRS API as an ASGI application: transport rules, then one endpoint a request.

SRS routes by prefix, takes any method in most places, splits queries in its own way
and never answers 404, so a web framework's router would be switched off at every
turn; and it costs: on one core Hypercorn answers 2,900 requests a second for a bare
application, 1,900 for Quart's smallest. So the application speaks ASGI itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

import attrs
import trio

from penstock.control import Control
from penstock.control.system import SystemFigures
from penstock.settings import Settings, SrsApiSettings

from .answers import Answer, text
from .endpoints import Endpoint, Endpoints
from .names import Names
from .requests import (
    ApiRequest,
    bearer_token,
    effective_method,
    is_allowed,
    is_callback,
    parse_query,
)
from .shapes import SIGNATURE

__all__ = ["SrsApi", "create_app", "is_public_path"]

# The two shapes that the ASGI specification leaves to the frameworks to name.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

MAX_BODY = 1 << 20
"""Octets of a request body that are read before the answer."""
MAX_DESCRIPTION = 256 << 10
"""Octets of an offer: one with every codec has some ten thousand."""
BODY_S = 10.0
"""How long a body may take."""

_PUBLIC = b"/rtc/v1/"
_SERVER = (b"Server", SIGNATURE.encode())
_KEEP_ALIVE = (b"Connection", b"keep-alive")
# Browsers do not take "*" for Authorization; the last name is SRS's own misspelling,
# kept because "Allow" in its place would open private networks to any page.
_CROSS_ORIGIN = (
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Access-Control-Allow-Headers", b"*, Authorization"),
    (b"Access-Control-Allow-Methods", b"*"),
    (b"Access-Control-Expose-Headers", b"*"),
    (b"Access-Control-Allow-Credentials", b"false"),
    (b"Access-Control-Request-Private-Network", b"true"),
)


@attrs.define
class _Headers:
    """The request headers that count here."""

    all: dict[str, str] = attrs.field(factory=dict)
    """By lower-case name; of two the last."""
    host: str = ""
    origin: str = ""
    authorization: str | None = None
    has_body: bool = False


def create_app(
    control: Control,
    system: SystemFigures,
    settings: SrsApiSettings,
    names: Names,
    *,
    wall_clock: Callable[[], float] = time.time,
    everything: Callable[[], Settings] = Settings,
    client_address: Callable[[str, Mapping[str, str]], str] = lambda peer, _: peer,
) -> SrsApi:
    """Return the application for the API's listeners, plain and TLS alike.

    Args:
        control: The engine's door.
        system: Running figures of the machine.
        settings: The section ``api.srs``.
        names: The tables of ids, shared with `SrsHooks`.
        wall_clock: Unix seconds.
        everything: Gives the whole configuration in force.
        client_address: Returns who asks, given the address of the connection and the
            request's headers by their lower-case names.
    """
    endpoints = Endpoints(control, system, settings, names, wall_clock, everything)
    return SrsApi(endpoints, everything, client_address)


def is_public_path(path: bytes) -> bool:
    """Tell whether `SrsApi.serve_public` is for a path: WebRTC's signalling."""
    return path.startswith(_PUBLIC)


class SrsApi:
    """One server's SRS API. A reload calls `configure`."""

    def __init__(
        self,
        endpoints: Endpoints,
        everything: Callable[[], Settings],
        client_address: Callable[[str, Mapping[str, str]], str],
    ) -> None:
        self._endpoints = endpoints
        self._everything = everything
        self._client_address = client_address

    def configure(self, settings: SrsApiSettings) -> None:
        """Take a changed section ``api.srs``; listeners are not its business."""
        self._endpoints.settings = settings

    async def exposition(self) -> bytes:
        """Return SRS's metrics for the exporter's port; none if they are off."""
        return (await self._endpoints.exposition()).encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope: ``http`` or ``lifespan``."""
        if scope["type"] == "http":
            is_open = self._endpoints.settings.crossdomain
            await self._serve(scope, receive, send, lambda _: is_open)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def serve_public(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request on the public port, whose rules for other origins hold."""
        allowed = self._everything().http.cors_origins
        await self._serve(
            scope, receive, send, lambda origin: "*" in allowed or origin in allowed
        )

    async def _serve(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        is_open_to: Callable[[str], bool],
    ) -> None:
        headers = _read_headers(scope["headers"])
        crosses = is_open_to(headers.origin)
        body: bytes | None = b""
        if headers.has_body:
            is_wanted = is_public_path(scope["raw_path"])
            body = await _read_body(receive, MAX_DESCRIPTION if is_wanted else 0)
        query = parse_query(scope["query_string"].decode("latin-1"))
        if body is None:
            answer = text(413, "Content Too Large")
        else:
            answer = await self._answer(scope, headers, query, body, crosses)
        pieces, content_type = [answer.body, *answer.more], answer.content_type
        callback = query.get("callback")
        if callback and answer.is_json:
            pieces[0] = b"%s(%s" % (callback.encode("latin-1"), pieces[0])
            pieces[-1] += b")"
            content_type = b"text/javascript"
        length = sum(map(len, pieces))
        fields = [_SERVER, (b"Content-Length", b"%d" % length)]
        if content_type:
            fields.append((b"Content-Type", content_type))
        if scope["http_version"] == "1.1":
            # Hypercorn turns it into "close" whenever it will close.
            fields.append(_KEEP_ALIVE)
        fields += answer.headers
        if headers.origin and crosses:
            fields += _CROSS_ORIGIN
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": fields}
        )
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1]})
        if answer.afterwards is not None:
            await answer.afterwards()

    async def _answer(
        self,
        scope: Message,
        headers: _Headers,
        query: dict[str, str],
        body: bytes,
        crosses: bool,
    ) -> Answer:
        """Apply what holds for every path, then let the endpoint answer."""
        settings = self._endpoints.settings
        if scope["method"] == "OPTIONS":
            return Answer(status=200 if crosses else 405, content_type=b"")
        path = scope["raw_path"].decode("latin-1")
        callback = query.get("callback")
        if ".." in path or (callback and not is_callback(callback)):
            # No callback goes around this: it may be the callback that is bad.
            return text(400, "Bad Request")
        # The listing at "/api" tells what the one at "/api/" tells.
        if settings.username and ("/api/" in path or path == "/api"):
            refusal = _refusal(headers, settings)
            if refusal is not None:
                return refusal
        server = scope.get("server") or ("", 0)
        request = ApiRequest(
            method=effective_method(scope["method"], query),
            path=path,
            query=query,
            host=query.get("vhost") or query.get("domain") or _bare(headers.host),
            local_address=server[0],
            local_port=server[1] or 0,
            query_string=scope["query_string"].decode("latin-1"),
            authority=headers.host,
            client=self._client_address((scope.get("client") or ("",))[0], headers.all),
            user_agent=headers.all.get("user-agent", ""),
            referer=headers.all.get("referer", ""),
            bearer=bearer_token(headers.authorization),
            body=body,
        )
        return await self._endpoint(path)(request)

    def _endpoint(self, path: str) -> Endpoint:
        endpoint = self._endpoints.exact.get(path)
        if endpoint is not None:
            return endpoint
        slashed = path + "/"
        for prefix, endpoint in self._endpoints.prefixes:
            if path.startswith(prefix) or slashed == prefix:
                return endpoint
        return self._endpoints.prefixes[-1][1]


def _read_headers(pairs: Iterable[tuple[bytes, bytes]]) -> _Headers:
    found = _Headers()
    for name, value in pairs:
        found.all[name.decode("latin-1")] = value.decode("latin-1")
        if name == b"host":
            found.host = value.decode("latin-1")
        elif name == b"origin":
            found.origin = value.decode("latin-1")
        elif name == b"authorization":
            found.authorization = value.decode("latin-1")
        elif name == b"transfer-encoding" or (
            name == b"content-length" and value != b"0"
        ):
            found.has_body = True
    return found


def _refusal(headers: _Headers, settings: SrsApiSettings) -> Answer | None:
    allowed = is_allowed(headers.authorization, settings.username, settings.password)
    if allowed:
        return None
    # As SRS: no challenge for a header of another scheme or form.
    challenge = ((b"WWW-Authenticate", b"Basic"),) if allowed is False else ()
    return Answer(status=401, content_type=b"", headers=challenge)


def _bare(host: str) -> str:
    """Return a Host header without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host


async def _read_body(receive: Receive, most: int) -> bytes | None:
    """Read a body, so that the connection can be kept.

    Args:
        receive: The request's.
        most: Octets to keep; 0 for a body that no endpoint needs.

    Returns:
        The body, or None if there is more of it than may be.
    """
    taken = 0
    kept: list[bytes] = []
    with trio.move_on_after(BODY_S):
        while taken <= MAX_BODY:
            message = await receive()
            part = message.get("body", b"")
            taken += len(part)
            if taken <= most:
                kept.append(part)
            if message["type"] != "http.request" or not message.get("more_body"):
                break
    return None if 0 < most < taken else b"".join(kept)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
