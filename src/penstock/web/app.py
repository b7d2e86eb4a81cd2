"""The Quart app of the public HTTP port: the page at ``/`` and ``/penstock/v1/``."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Awaitable, Callable

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from penstock import log
from penstock.control import Control, ControlError, NotFound, Unavailable
from penstock.control.jobs import JobControl
from penstock.settings import Settings
from penstock.slices import in_slices

from .access import (
    COOKIE,
    Client,
    LoginGate,
    SignIns,
    client_of,
    is_local_admin,
    is_same_origin,
    password_matches,
)
from .assets import Asset, load_assets
from .jobs import add_jobs
from .relays import add_relays
from .shapes import server_json, session_json, stream_json
from .whip import add_whip, is_whip_path

__all__ = ["create_app"]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_LIVE_ENDINGS = (".flv", ".mp4", ".ts")
_MAX_BODY = 16 << 10
_MAX_DESCRIPTION = 256 << 10
"""Octets of an offer: one with every codec has some ten thousand."""
# Beyond this the answer alone, on its way out, holds the loop too long.
_MAX_SESSIONS = 1_000

# However many pages poll, the streams are shaped at most this often.
_SHARED_FOR_S = 0.5


class _Site:
    """What the routes share."""

    def __init__(
        self,
        control: Control,
        settings: Callable[[], Settings],
        wall: Callable[[], float],
        *,
        has_jobs: bool,
    ) -> None:
        self.control = control
        self.has_jobs = has_jobs
        self.settings = settings
        self.wall = wall
        self.assets = load_assets()
        self.sign_ins = SignIns(secrets.token_bytes)
        self.gate = LoginGate()
        self._streams = b""
        self._streams_until = -math.inf
        self._streams_lock = trio.Lock()

    def client(self) -> Client:
        peer = request.remote_addr or ""
        headers = {name.lower(): value for name, value in request.headers.items()}
        return client_of(peer, headers, self.settings().http.trusted_proxies)

    def is_signed_in(self) -> bool:
        token = request.cookies.get(COOKIE, "")
        password = self.settings().admin.password
        return self.sign_ins.is_open(token, password, trio.current_time())

    def is_admin(self) -> bool:
        return self.is_signed_in() or is_local_admin(self.client(), request.host)

    async def streams(self) -> bytes:
        async with self._streams_lock:
            if trio.current_time() >= self._streams_until:
                now = self.wall()
                parts = await in_slices(
                    await self.control.streams(), lambda view: stream_json(view, now)
                )
                self._streams = b'{"streams":[' + b",".join(parts) + b"]}"
                self._streams_until = trio.current_time() + _SHARED_FOR_S
            return self._streams


def create_app(
    control: Control,
    settings: Callable[[], Settings],
    *,
    jobs: JobControl | None = None,
    wall: Callable[[], float] = time.time,
) -> QuartTrio:
    """Return the app behind the public HTTP port.

    Args:
        control: The door into the engine.
        settings: Gives the configuration in force; asked anew for each request, so
            that a reload counts.
        jobs: The door to FFmpeg jobs; None if this server has none.
        wall: Unix seconds.
    """
    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_DESCRIPTION
    app.config["BODY_TIMEOUT"] = 10
    site = _Site(control, settings, wall, has_jobs=jobs is not None)
    _add_page(app, site)
    _add_queries(app, site)
    _add_commands(app, site)
    add_relays(app, control, site.is_admin, _answer)
    add_jobs(app, jobs, site.is_admin, _answer)
    add_whip(app, control, settings, site.client)
    _add_errors(app)

    @app.before_request
    async def refuse_foreign_origins() -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if is_whip_path(request.path):
            return None  # made for pages of others; tokens guard it, not cookies
        if request.method not in ("GET", "HEAD") and not is_same_origin(headers):
            return _failure(403, "This is not a request of this server's own page.")
        return None

    @app.after_request
    async def harden(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return app


def _add_page(app: QuartTrio, site: _Site) -> None:
    @app.get("/")
    async def page() -> Response:
        return _asset(site.assets["index.html"])

    @app.get("/favicon.ico")
    async def icon() -> Response:
        return _asset(site.assets["icon.svg"])

    @app.get("/penstock/static/<name>")
    async def static_file(name: str) -> Response:
        asset = site.assets.get(name)
        return _failure(404, "No such file.") if asset is None else _asset(asset)

    @app.get("/healthz")
    async def health() -> Response:
        return Response(b"ok\n", content_type="text/plain; charset=utf-8")

    @app.get("/<path:path>")
    async def elsewhere(path: str) -> Response:
        if "/" not in path or not path.endswith(_LIVE_ENDINGS):
            return _failure(404, "Nothing is here.")
        # Live paths are served where connections are accepted, which sees only the
        # first request of each: on a connection kept alive the client has to come
        # again with a new one.
        response = Response(b"", 307)
        query = request.query_string
        response.headers["Location"] = (
            request.scope.get("raw_path", request.path.encode()).partition(b"?")[0]
            + (b"?" + query if query else b"")
        ).decode("latin-1")
        response.headers["Connection"] = "close"
        return response


def _add_queries(app: QuartTrio, site: _Site) -> None:
    @app.get("/penstock/v1/streams")
    async def streams() -> Response:
        return _json(await site.streams())

    @app.get("/penstock/v1/server")
    async def server() -> Response:
        view = await site.control.server()
        body = server_json(
            view,
            site.settings(),
            now=site.wall(),
            admin=site.is_admin(),
            signed_in=site.is_signed_in(),
            has_jobs=site.has_jobs,
        )
        return _json(body)

    @app.get("/penstock/v1/sessions")
    async def sessions() -> Response:
        if not site.is_admin():
            return _failure(401, "Sign in to see sessions.")
        views = await site.control.sessions()
        stream = request.args.get("stream", "")
        if stream:
            views = [view for view in views if view.stream_id == stream]
        start = _number(request.args.get("start"), 0, len(views))
        count = _number(request.args.get("count"), 200, _MAX_SESSIONS)
        parts = await in_slices(views[start : start + count], session_json)
        head = b'{"total":%d,"sessions":[' % len(views)
        return _json(head + b",".join(parts) + b"]}")


def _add_commands(app: QuartTrio, site: _Site) -> None:
    @app.post("/penstock/v1/sessions/<session_id>/kick")
    async def kick(session_id: str) -> Response:
        if not site.is_admin():
            return _failure(401, "Sign in to end sessions.")
        await site.control.kick(session_id, "kicked on the page")
        log.info("session kicked", session=session_id, by=site.client().address)
        return _json(b"{}")

    @app.post("/penstock/v1/login")
    async def login() -> Response:
        now = trio.current_time()
        address = site.client().address
        expected = site.settings().admin.password
        if not expected:
            return _failure(403, "Signing in is off: admin.password is not set.")
        wait = site.gate.wait_s(address, now)
        if wait > 0:
            response = _failure(429, "Too many wrong passwords; try again later.")
            response.headers["Retry-After"] = str(math.ceil(wait))
            return response
        given = await _json_text("password")
        if given is None:
            return _failure(400, 'Expected JSON: {"password": "..."}.')
        if not password_matches(given, expected):
            site.gate.failed(address, now)
            log.warning("sign-in refused", address=address)
            return _failure(403, "That is not the password.")
        response = _json(b"{}")
        response.set_cookie(
            COOKIE,
            site.sign_ins.open(expected, now),
            max_age=int(site.sign_ins.lifetime_s),
            path="/penstock/",
            secure=request.scheme == "https",
            httponly=True,
            samesite="Strict",
        )
        log.info("signed in", address=address)
        return response

    @app.post("/penstock/v1/logout")
    async def logout() -> Response:
        site.sign_ins.close(request.cookies.get(COOKIE, ""))
        response = _json(b"{}")
        response.delete_cookie(COOKIE, path="/penstock/")
        return response


def _add_errors(app: QuartTrio) -> None:
    async def refuse(error: Exception) -> Response:
        if isinstance(error, NotFound):
            return _failure(404, str(error))
        return _failure(503 if isinstance(error, Unavailable) else 409, str(error))

    async def http_error(error: Exception) -> Response:
        code = error.code if isinstance(error, HTTPException) else 500
        name = error.name if isinstance(error, HTTPException) else "Error"
        response = _failure(code or 500, f"{name}.")
        if isinstance(error, HTTPException) and code == 405:
            for header, value in error.get_headers():
                if header.lower() == "allow":
                    response.headers["Allow"] = value
        return response

    async def broken(error: Exception) -> Response:
        log.exception("page request failed", error, path=request.path)
        return _failure(500, "The server has failed at this; its log says more.")

    handlers: list[
        tuple[type[Exception], Callable[[Exception], Awaitable[Response]]]
    ] = [(ControlError, refuse), (HTTPException, http_error), (Exception, broken)]
    for kind, handler in handlers:
        app.register_error_handler(kind, handler)


def _asset(asset: Asset) -> Response:
    unchanged = asset.etag in request.headers.get("If-None-Match", "")
    body, status = (b"", 304) if unchanged else (asset.body, 200)
    response = Response(body, status, content_type=asset.content_type)
    response.headers["ETag"] = asset.etag
    # Files change with the program: always asked for, seldom sent.
    response.headers["Cache-Control"] = "no-cache"
    return response


def _answer(value: object, status: int) -> Response:
    return _json(json.dumps(value).encode(), status)


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, content_type="application/json")


def _failure(status: int, reason: str) -> Response:
    return _json(json.dumps({"error": reason}).encode(), status)


async def _json_text(name: str) -> str | None:
    data = await request.get_data(as_text=False)
    if len(data) > _MAX_BODY:
        raise RequestEntityTooLarge
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    text = value.get(name) if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


def _number(text: str | None, default: int, most: int) -> int:
    if text is None or not text.isascii() or not text.isdigit():
        return min(default, most)
    return min(int(text[:9]), most)
