"""Live streams over HTTP: FLV, fragmented MP4, MPEG-TS, plain or by WebSocket."""

from __future__ import annotations

import contextlib

import trio
import wsproto
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    Request,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from penstock import log
from penstock.control import HookAction
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal, check_key
from penstock.engine.session import Session, StreamKey
from penstock.engine.stream import Stream
from penstock.engine.unit import Form
from penstock.engine.viewer import Viewer
from penstock.net.wire import Wire

from .barrier import SessionEnd, Start, new_session, run_session, run_with_tasks
from .http_request import LivePath, RequestHead, client_address

__all__ = ["plain_answer", "serve_live"]

_FORMATS = {
    ".flv": ("flv", "video/x-flv"),
    ".mp4": ("mp4", "video/mp4"),
    ".ts": ("ts", "video/mp2t"),
}
_STATUS = {
    "auth": "403 Forbidden",
    "address": "403 Forbidden",
    "hook": "403 Forbidden",
    "limit": "503 Service Unavailable",
    "absent": "404 Not Found",
    "busy": "409 Conflict",
    "request": "400 Bad Request",
}
_PROTOCOLS = {".flv": "flv", ".mp4": "fmp4", ".ts": "ts"}
_CLOSE = ("Connection", "close")
_MAX_CLIENT_BYTES = 64 << 10
"""A viewer has nothing to say; one that talks more than this is ended."""


async def serve_live(
    engine: Engine, wire: Wire, head: RequestHead, path: LivePath
) -> None:
    """Answer one request for a live path and keep the connection to its end."""
    if head.method == "OPTIONS":
        wire.offer(_head("204 No Content", [_CLOSE, *_cors(engine, head)]))
        await wire.finish(engine.farewell_s)
        return
    if head.method == "HEAD":
        content = ("Content-Type", _FORMATS[path.extension][1])
        wire.offer(_head("200 OK", [content, _CLOSE, *_cors(engine, head)]))
        await wire.finish(engine.farewell_s)
        return
    if head.method != "GET":
        wire.offer(
            plain_answer(
                "405 Method Not Allowed",
                "GET, HEAD and OPTIONS only",
                [("Allow", "GET, HEAD, OPTIONS"), *_cors(engine, head)],
            )
        )
        await wire.finish(engine.farewell_s)
        return
    key = path.key(head.header("host").partition(":")[0], engine.settings)
    try:
        check_key(key)
    except Refusal as refusal:
        engine.registry.refuse(refusal)
        log.debug("request refused", client=wire.peer[0], reason=refusal.reason)
        wire.offer(
            plain_answer(_STATUS[refusal.kind], refusal.reason, _cors(engine, head))
        )
        await wire.finish(engine.farewell_s)
        return
    websocket = head.wants_websocket
    transport = "ws" if websocket else "http"
    address = client_address(head, wire.peer[0], engine.settings.http.trusted_proxies)
    session = new_session(f"{transport}-{_PROTOCOLS[path.extension]}", wire, address)
    viewing = _LiveSession(engine, wire, session, head, path, key)
    try:
        await run_session(engine, session, viewing.run)
    finally:
        await wire.finish(engine.farewell_s)


class _LiveSession:
    """One HTTP viewer."""

    def __init__(
        self,
        engine: Engine,
        wire: Wire,
        session: Session,
        head: RequestHead,
        path: LivePath,
        key: StreamKey,
    ) -> None:
        self._engine = engine
        self._wire = wire
        self._session = session
        self._head = head
        self._path = path
        self._websocket: wsproto.WSConnection | None = None
        self._viewer: Viewer | None = None
        session.key = self._key = key
        session.extension = path.extension
        session.parameters = path.query
        session.page_url = head.header("referer")
        session.user_agent = head.header("user-agent")
        scheme = "https" if wire.secure else "http"
        session.tc_url = f"{scheme}://{head.header('host')}/{path.app}"

    async def run(self) -> str:
        """Play until someone has enough; return why."""
        session, engine = self._session, self._engine
        try:
            preamble = self._preamble()
            stream = await self._admit()
        except Refusal as refusal:
            engine.registry.refuse(refusal)
            self._reject(_STATUS.get(refusal.kind, "403 Forbidden"), refusal.reason)
            raise
        # Clients give up on a WebSocket handshake that takes long, and the stream may
        # not have begun. HTTP waits with its answer, whose status says how it went.
        at_once = preamble if self._websocket is not None else b""
        viewer = Viewer(
            self._wire,
            slow_limit_s=stream.policy.slow_viewer_s,
            preamble=preamble[len(at_once) :],
        )
        self._viewer = session.viewer = viewer
        try:
            self._wire.offer(at_once)
            stream.attach(viewer, self._form(), session, trio.current_time())
            return await run_with_tasks(self._write)
        finally:
            stream.detach(viewer, trio.current_time())
            engine.registry.release(stream)
            self._say_goodbye(viewer, session.end_reason or viewer.end_reason)
            await engine.gate.tell(HookAction.STOP, session)

    async def _write(self, start: Start) -> str:
        assert self._viewer is not None
        start(self._watch_client)
        return await self._viewer.run()

    async def _admit(self) -> Stream:
        session, engine = self._session, self._engine
        stream = await engine.admit_viewer(session, self._key)
        log.info(
            "playing",
            session=session.id,
            stream=str(self._key),
            client=session.user_agent,
        )
        return stream

    # -- the answer --------------------------------------------------------------------

    def _form(self) -> Form:
        if self._websocket is not None:
            framing = "websocket"
        elif self._head.http_version == "1.0":
            framing = "raw"
        else:
            framing = "chunked"
        extension = self._path.extension
        # mpegts.js 1.8 gives up a stream at the first packet that describes it.
        in_a_page = extension == ".flv" and self._head.is_from_a_browser
        return Form(_FORMATS[extension][0], framing, side_info=not in_a_page)

    def _preamble(self) -> bytes:
        """Return the answer's head; it goes out only when there is media."""
        if self._head.wants_websocket:
            return self._accept_websocket()
        headers = [
            ("Content-Type", _FORMATS[self._path.extension][1]),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            _CLOSE,
            *_cors(self._engine, self._head),
        ]
        if self._head.http_version != "1.0":
            headers.append(("Transfer-Encoding", "chunked"))
        return _head("200 OK", headers)

    def _accept_websocket(self) -> bytes:
        websocket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        try:
            websocket.receive_data(self._head.raw)
            event = next(iter(websocket.events()), None)
        except RemoteProtocolError as error:
            raise Refusal(f"no WebSocket handshake: {error}", "request") from error
        if not isinstance(event, Request):
            raise Refusal("no WebSocket handshake", "request")
        self._websocket = websocket
        subprotocol = event.subprotocols[0] if event.subprotocols else None
        return websocket.send(AcceptConnection(subprotocol=subprotocol))

    def _reject(self, status: str, reason: str) -> None:
        with contextlib.suppress(OSError):
            self._wire.offer(
                plain_answer(status, reason, _cors(self._engine, self._head))
            )

    def _say_goodbye(self, viewer: Viewer, reason: str) -> None:
        """End the body properly, or answer with an error if there was none yet."""
        with contextlib.suppress(OSError, LocalProtocolError):
            if self._websocket is not None:
                # 1013: come back later. IANA WebSocket Close Code Number Registry.
                code = 1000 if viewer.started else 1013
                self._wire.offer(
                    self._websocket.send(CloseConnection(code, reason[:100]))
                )
            elif not viewer.started:
                self._reject("404 Not Found", reason or "nobody publishes this stream")
            elif self._head.http_version != "1.0" and viewer.is_whole:
                self._wire.offer(b"0\r\n\r\n")

    # -- the client --------------------------------------------------------------------

    async def _watch_client(self) -> None:
        """Read until the client leaves; answer what WebSocket asks."""
        received = 0
        while True:
            data = await self._wire.receive_some()
            if not data:
                raise SessionEnd("client left")
            received += len(data)
            if self._websocket is not None:
                self._answer_websocket(data)
            elif received > _MAX_CLIENT_BYTES:
                raise SessionEnd("client sends what nobody asked for", error=True)

    def _answer_websocket(self, data: bytes) -> None:
        websocket, viewer = self._websocket, self._viewer
        assert websocket is not None
        assert viewer is not None
        try:
            websocket.receive_data(data)
            for event in websocket.events():
                if isinstance(event, Ping):
                    viewer.offer(websocket.send(Pong(bytes(event.payload))))
                elif isinstance(event, CloseConnection):
                    raise SessionEnd("client left")
        except RemoteProtocolError as error:
            raise SessionEnd(f"WebSocket: {error}", error=True) from error


def _cors(engine: Engine, head: RequestHead) -> list[tuple[str, str]]:
    """Return what lets a page of another origin play. Fetch Standard §3.2."""
    origin = head.header("origin")
    allowed = engine.settings.http.cors_origins
    if not origin or not ("*" in allowed or origin in allowed):
        return []
    return [
        ("Access-Control-Allow-Origin", "*" if "*" in allowed else origin),
        ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
        ("Access-Control-Allow-Headers", "*"),
        ("Access-Control-Max-Age", "86400"),
        ("Vary", "Origin"),
    ]


def _head(status: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Server: penstock"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def plain_answer(status: str, text: str, headers: list[tuple[str, str]]) -> bytes:
    """Return a whole answer with one line of text, after which we close."""
    body = (text + "\n").encode()
    return (
        _head(
            status,
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
                _CLOSE,
                *headers,
            ],
        )
        + body
    )
