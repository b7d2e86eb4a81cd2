"""The Live777 API as Quart applications: one for its port, one for the public port.

Paths are split before they are decoded: a slash within a stream's id is written
``%2F``, and the framework, which decodes first, would take it for a border.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from penstock.control import Control
from penstock.settings import Settings

from .endpoints import Endpoints, Front
from .errors import FORBIDDEN, Failure
from .keeper import Keeper
from .tokens import Grant, Mode, judge

__all__ = ["Live777Api", "is_public_path"]

# The shapes that the ASGI specification leaves to the frameworks to name.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Client: TypeAlias = Callable[[str, Mapping[str, str]], str]
"""The address of a connection and headers -> that of the client."""

MAX_BODY = 2 << 20
"""Octets of a request's body; more is a 413."""
_MAX_PUBLIC_BODY = 256 << 10
_BODY_S = 10

_SLASH = "\x1f"
"""Stands for a slash within a segment; no stream's name may hold it."""
_PUBLIC = re.compile(rb"/(?:whip|whep)/[^/]+|/session/[^/]+/[0-9a-f]{32}(?:/layer)?")
_GUARDED = ("/api/", "/whip/", "/whep/", "/session/")
_PAGE = (
    b"<!doctype html><title>penstock</title><p>The HTTP API of Live777: "
    b'<a href="api/streams/">api/streams/</a>'
)
# Browsers do not take "*" for Authorization.
_CROSS_ORIGIN = {
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Expose-Headers": "*",
}


def is_public_path(raw_path: bytes) -> bool:
    """Tell whether a path of the public port, as it came, is one of Live777's."""
    return _PUBLIC.fullmatch(raw_path.partition(b"?")[0]) is not None


class Live777Api:
    """One server's Live777 API.

    Args:
        control: The engine's door.
        settings: Gives the configuration in force.
        client: Tells whom a request is from.
        wall: Unix seconds.
    """

    def __init__(
        self,
        control: Control,
        settings: Callable[[], Settings],
        client: Client = lambda peer, _: peer,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._keeper = Keeper(control, lambda: settings().api.live777.strategy, wall)
        endpoints = Endpoints(control, settings, self._keeper)
        self._own = _Site(endpoints, control, settings, client, wall, is_public=False)
        self._public = _Site(endpoints, control, settings, client, wall, is_public=True)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope of the API's own listeners."""
        await self._own(scope, receive, send)

    async def serve_public(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request of the public port, for which `is_public_path` holds."""
        await self._public(scope, receive, send)

    async def run(self) -> None:
        """Keep to the strategy until cancelled."""
        await self._keeper.run()


class _Site:
    """The routes of one port and what holds for all of them."""

    def __init__(
        self,
        endpoints: Endpoints,
        control: Control,
        settings: Callable[[], Settings],
        client: Client,
        wall: Callable[[], float],
        *,
        is_public: bool,
    ) -> None:
        self._endpoints = endpoints
        self._control = control
        self._settings = settings
        self._client = client
        self._wall = wall
        self._is_public = is_public
        app = self._app = QuartTrio(__name__, static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = _MAX_PUBLIC_BODY if is_public else MAX_BODY
        app.config["BODY_TIMEOUT"] = _BODY_S
        app.url_map.merge_slashes = False
        app.before_request(self._admit)
        app.after_request(self._dress)
        app.register_error_handler(Failure, _refused)
        app.register_error_handler(HTTPException, _http_error)
        self._add_media_routes()
        if not is_public:
            self._add_api_routes()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw = scope.get("raw_path", b"").partition(b"?")[0]
            scope = {**scope, "path": _split_path(raw) or scope["path"]}
        await self._app(scope, receive, send)  # type: ignore[arg-type] # TypedDicts

    # -- what holds for every path ----------------------------------------------------

    async def _admit(self) -> Response | None:
        if request.method == "OPTIONS":
            return Response(b"", 200)
        if not request.path.startswith(_GUARDED):
            return None
        section = self._settings().api.live777
        grant = self._grant()
        if grant is not None:
            if not self._may(grant):
                raise Failure(403, FORBIDDEN)
        elif self._is_public:
            # Offers are judged as any other protocol's; whoever knows a session's id
            # has begun it.
            pass
        elif section.tokens or section.secret:
            raise Failure(401, "")
        elif request.method not in ("GET", "HEAD") and self._is_foreign():
            raise Failure(403, FORBIDDEN)
        return None

    def _grant(self) -> Grant | None:
        section = self._settings().api.live777
        authorization = request.headers.get("Authorization")
        return judge(authorization, section.tokens, section.secret, self._wall())

    def _may(self, grant: Grant) -> bool:
        if grant.is_full:
            return True
        arguments = request.view_args or {}
        stream = _unmarked(str(arguments.get("stream", "")))
        session = arguments.get("session")
        if session is not None:
            is_own = self._endpoints.is_own(str(session), grant)
            return grant.may(stream, 0 if is_own else Mode.EXECUTE)
        needed = {
            ("GET", "/api/streams/"): 0,
            ("DELETE", "/api/streams/"): Mode.EXECUTE,
            ("POST", "/whip/"): Mode.WRITE,
            ("POST", "/whep/"): Mode.READ,
            ("POST", "/api/cascade/"): Mode.EXECUTE,
        }
        method = "GET" if request.method == "HEAD" else request.method
        for (name, prefix), mode in needed.items():
            if method == name and request.path.startswith(prefix) and stream:
                return grant.may(stream, mode)
        return False

    def _is_foreign(self) -> bool:
        """Tell whether a page of somebody else asks an API that asks for no token."""
        origin = request.headers.get("Origin")
        if origin is None or self._settings().api.live777.cors:
            return False
        try:
            place = urlsplit(origin).netloc
        except ValueError:
            return True
        return place.lower() != request.host.lower()

    async def _dress(self, response: Response) -> Response:
        origin = self._allowed_origin()
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers.update(_CROSS_ORIGIN)
            response.headers["Vary"] = "Origin"
        if response.status_code == 204 or request.method == "OPTIONS":
            response.headers.pop("Content-Type", None)
        if response.status_code == 204:
            response.headers.pop("Content-Length", None)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def _allowed_origin(self) -> str:
        settings = self._settings()
        if not self._is_public:
            return "*" if settings.api.live777.cors else ""
        allowed = settings.http.cors_origins
        origin = request.headers.get("Origin", "")
        if "*" in allowed:
            return "*"
        return origin if origin in allowed else ""

    def _front(self) -> Front:
        headers = {name.lower(): value for name, value in request.headers.items()}
        grant = self._grant()
        return Front(
            address=self._client(request.remote_addr or "", headers),
            content_type=request.headers.get("Content-Type"),
            headers=headers,
            tc_base=f"{request.scheme}://{request.host}",
            host=request.host.rpartition(":")[0] or request.host,
            parameters=request.query_string.decode("latin-1"),
            grant=grant,
        )

    # -- routes -----------------------------------------------------------------------

    def _add_media_routes(self) -> None:
        app, endpoints = self._app, self._endpoints

        @app.post("/whip/<stream>")
        async def whip(stream: str) -> Response:
            front, body = self._front(), await _body()
            return await endpoints.offer(_unmarked(stream), front, body, publishes=True)

        @app.post("/whep/<stream>")
        async def whep(stream: str) -> Response:
            front, body = self._front(), await _body()
            return await endpoints.offer(
                _unmarked(stream), front, body, publishes=False
            )

        @app.patch("/session/<stream>/<session>")
        async def trickle(stream: str, session: str) -> Response:
            body = await _body()
            return await endpoints.trickle(
                _unmarked(stream), session, self._front(), body
            )

        @app.delete("/session/<stream>/<session>")
        async def leave(stream: str, session: str) -> Response:
            return await endpoints.leave(_unmarked(stream), session)

        @app.post("/session/<stream>/<session>")
        async def mute(stream: str, session: str) -> Response:
            body = await _body()
            return await endpoints.mute(_unmarked(stream), session, self._front(), body)

        @app.get("/session/<stream>/<session>/layer")
        async def layers(stream: str, session: str) -> Response:
            return await endpoints.layers(_unmarked(stream))

        @app.post("/session/<stream>/<session>/layer")
        async def select(stream: str, session: str) -> Response:
            body = await _body()
            return await endpoints.select(
                _unmarked(stream), session, self._front(), body
            )

        @app.delete("/session/<stream>/<session>/layer")
        async def unselect(stream: str, session: str) -> Response:
            return await endpoints.unselect(_unmarked(stream), session)

    def _add_api_routes(self) -> None:
        app, endpoints = self._app, self._endpoints

        @app.get("/")
        async def page() -> Response:
            return Response(_PAGE, content_type="text/html; charset=utf-8")

        @app.get("/api/streams")
        @app.get("/api/streams/")
        async def streams() -> Response:
            return await endpoints.streams(request.args.getlist("streams"))

        @app.get("/api/streams/<stream>")
        async def stream(stream: str) -> Response:
            return await endpoints.stream(_unmarked(stream))

        @app.post("/api/streams/<stream>")
        async def create(stream: str) -> Response:
            return await endpoints.create(_unmarked(stream))

        @app.delete("/api/streams/<stream>")
        async def destroy(stream: str) -> Response:
            return await endpoints.destroy(_unmarked(stream))

        @app.get("/api/sse/streams")
        async def events() -> Response:
            return await endpoints.events(request.args.getlist("streams"))

        @app.post("/api/cascade/<stream>")
        async def cascade(stream: str) -> Response:
            body = await _body()
            return await endpoints.cascade(_unmarked(stream), self._front(), body)

        @app.get("/api/strategy")
        @app.get("/api/strategy/")
        async def strategy() -> Response:
            return endpoints.strategy()

        @app.get("/metrics")
        async def metrics() -> Response:
            return await endpoints.metrics()


def _split_path(raw: bytes) -> str:
    """Decode a path's segments one by one; slashes within them are marked."""
    return "/".join(
        unquote_to_bytes(part).decode("utf-8", "replace").replace("/", _SLASH)
        for part in raw.split(b"/")
    )


def _unmarked(segment: str) -> str:
    return segment.replace(_SLASH, "/")


async def _body() -> bytes:
    body = await request.get_data(as_text=False)
    assert isinstance(body, bytes)
    return body


async def _refused(failure: Failure) -> Response:
    text = failure.text.encode("utf-8", "replace")
    response = Response(text, failure.status, content_type="text/plain; charset=utf-8")
    if not text:
        del response.headers["Content-Type"]
    return response


async def _http_error(error: HTTPException) -> Response:
    code = error.code or 500
    text = {404: "not found", 405: ""}.get(code, error.name)
    response = await _refused(Failure(code, text))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        allowed = sorted(set(error.valid_methods) - {"OPTIONS"})
        response.headers["Allow"] = ",".join(allowed)
    return response
