"""The endpoints: parse, ask control, shape."""

from __future__ import annotations

import os
import secrets
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import TypeVar

import attrs

from penstock.control import (
    Control,
    ControlError,
    NotFound,
    ServerView,
    SessionView,
    StreamView,
)
from penstock.control.system import SystemFigures
from penstock.settings import Settings, SrsApiSettings
from penstock.slices import in_slices

from . import figures, listings, shapes
from .answers import Answer, error, text
from .encoding import Json, encode
from .errors import Code, code_of
from .names import IdTable, Names, vhost_shown, vhost_stored
from .requests import ApiRequest, page
from .rtc import RtcEndpoints

__all__ = ["Endpoint", "Endpoints"]

Endpoint = Callable[[ApiRequest], Awaitable[Answer]]

PIECE = 64 << 10
"""Octets of a list that leave at once."""

_NOT_ALLOWED = "Method Not Allowed"
_VERSIONS = encode({"data": shapes.VERSIONS})
_AUTHORS = encode({"data": shapes.AUTHORS})
_ROOT, _API = encode(listings.ROOT), encode(listings.API)
_API_V1 = encode(listings.API_V1)

View = TypeVar("View", StreamView, SessionView)


@attrs.define
class _Reload:
    """What is known of the last reload, for `reload-fetch`."""

    error: int = 0
    message: str = "Success"
    state: int = 0
    """0 never, 10 parsing, 90 finished."""
    id: str = ""


class Endpoints:
    """All endpoints of one server; `exact` and `prefixes` say where they are."""

    def __init__(
        self,
        control: Control,
        system: SystemFigures,
        settings: SrsApiSettings,
        names: Names,
        wall_clock: Callable[[], float],
        everything: Callable[[], Settings],
    ) -> None:
        self.settings = settings
        self._control = control
        self._system = system
        self._names = names
        self._wall_clock = wall_clock
        self._identity: dict[str, str] = {}
        self._head = b""
        self._reload = _Reload()
        rtc = RtcEndpoints(control, everything, self._ok)
        v1 = "/api/v1"
        self.exact: Mapping[str, Endpoint] = {
            f"{v1}/versions": self._constant(_VERSIONS),
            f"{v1}/authors": self._constant(_AUTHORS),
            f"{v1}/summaries": self.summaries,
            f"{v1}/rusages": self._sampled(figures.rusages),
            f"{v1}/self_proc_stats": self._sampled(figures.self_proc_stats),
            f"{v1}/system_proc_stats": self._sampled(figures.system_proc_stats),
            f"{v1}/meminfos": self._sampled(figures.meminfos),
            f"{v1}/features": self.features,
            f"{v1}/requests": self.request_echo,
            f"{v1}/tests/requests": self.request_echo,
            f"{v1}/tests/errors": self.test_error,
            f"{v1}/tests/redirects": self.test_redirect,
            f"{v1}/raw": self.raw,
            f"{v1}/clusters": self.clusters,
            "/metrics": self.metrics,
        }
        # Longest first; each also answers without its last slash.
        self.prefixes: Sequence[tuple[str, Endpoint]] = (
            (f"{v1}/vhosts/", self.vhosts),
            (f"{v1}/streams/", self.streams),
            (f"{v1}/clients/", self.clients),
            ("/rtc/v1/whip-play/", rtc.whep),
            ("/rtc/v1/publish/", rtc.publish),
            ("/rtc/v1/play/", rtc.play),
            ("/rtc/v1/whip/", rtc.whip),
            ("/rtc/v1/whep/", rtc.whep),
            (f"{v1}/", self._constant(_API_V1)),
            ("/api/", self._constant(_API)),
            ("/rtc/", self.not_found),
            ("/", self._constant(_ROOT)),
        )

    # The envelope

    async def _ok(self, encoded: bytes = b"{}") -> Answer:
        """Put the envelope's four fields in front of an encoded object's own."""
        if not self._head:
            self._learn_identity(await self._control.server())
        rest = encoded[1:]
        return Answer(self._head + (b"}" if rest == b"}" else b"," + rest))

    def _learn_identity(self, server: ServerView) -> None:
        # These three hold for the life of the process.
        self._identity = {
            "server": self._names.server(server),
            "service": self._names.service(server),
            "pid": str(server.pid),
        }
        self._head = encode({"code": 0, **self._identity})[:-1]

    def _constant(self, encoded: bytes) -> Endpoint:
        async def endpoint(request: ApiRequest) -> Answer:
            return await self._ok(encoded)

        return endpoint

    async def _data(self, data: Mapping[str, Json]) -> Answer:
        return await self._ok(encode({"data": data}))

    # System

    def _sampled(self, shape: Callable[..., Mapping[str, Json]]) -> Endpoint:
        async def endpoint(request: ApiRequest) -> Answer:
            return await self._data(shape(self._system.view))

        return endpoint

    async def summaries(self, request: ApiRequest) -> Answer:
        """Answer the figures of the machine and of this process."""
        server = await self._control.server()
        now = self._wall_clock()
        return await self._data(figures.summaries(self._system.view, server, now))

    async def features(self, request: ApiRequest) -> Answer:
        """Answer what the server can do."""
        return await self._data(
            shapes.features(await self._control.server(), _local_time)
        )

    async def metrics(self, request: ApiRequest) -> Answer:
        """Answer Prometheus text by SRS's names, if that is switched on."""
        if not self.settings.metrics:
            return error(Code.EXPORTER_DISABLED)
        return text(200, await self.exposition())

    async def exposition(self) -> str:
        """Return what `/metrics` says; empty if it is switched off."""
        if not self.settings.metrics:
            return ""
        server = await self._control.server()
        self._learn_identity(server)
        return figures.metrics(self._system.view, server, self._identity, os.uname())

    # Tests

    async def request_echo(self, request: ApiRequest) -> Answer:
        """Answer what the request looked like."""
        return await self._data(
            shapes.request_echo(
                request.host, request.path, request.method, self._wall_clock()
            )
        )

    async def test_error(self, request: ApiRequest) -> Answer:
        """Answer the error number 100."""
        return error(Code.TEST)

    async def test_redirect(self, request: ApiRequest) -> Answer:
        """Redirect to the error."""
        target = "/api/v1/tests/errors"
        location = (b"Location", target.encode())
        return text(301, f"Redirect to {target}", (location,))

    async def not_found(self, request: ApiRequest) -> Answer:
        """Answer 404 where a JSON listing would be taken for a session."""
        return text(404, "Not Found")

    # Vhosts, streams, clients

    async def vhosts(self, request: ApiRequest) -> Answer:
        """List the virtual hosts, or show one by its id or name."""
        views = await self._control.vhosts()
        asked = _identifier(request)
        if not asked:
            if request.method != "GET":
                return text(405, _NOT_ALLOWED)
            shown = [shapes.vhost(view, self._names) for view in views]
            return await self._ok(encode({"vhosts": shown}))
        for view in views:
            if asked in (self._names.vhosts.name_of(view.id), vhost_shown(view.name)):
                if request.method != "GET":
                    return text(405, _NOT_ALLOWED)
                return await self._ok(
                    encode({"vhost": shapes.vhost(view, self._names)})
                )
        return error(Code.NO_VHOST)

    async def streams(self, request: ApiRequest) -> Answer:
        """List streams by pages, or show one."""
        control, names, now = self._control, self._names, self._wall_clock()
        asked = _identifier(request)
        if asked:
            try:
                view = await self._find(
                    asked, names.streams, control.stream, control.streams
                )
            except ControlError as refusal:
                return error(code_of(refusal, Code.STREAM_NOT_FOUND))
        if request.method != "GET":
            return text(405, _NOT_ALLOWED)
        vhosts = await self._vhost_ids()
        if asked:
            shown = shapes.stream(view, vhosts.get(view.vhost, ""), names, now)
            return await self._ok(encode({"stream": shown}))
        views = await control.streams()
        _sweep(names.streams, views)
        at = page(request.query)
        return await self._list(
            "streams",
            views[at.start : at.start + at.count],
            lambda view: shapes.stream(view, vhosts.get(view.vhost, ""), names, now),
        )

    async def clients(self, request: ApiRequest) -> Answer:
        """List clients by pages, show one, or end one (DELETE)."""
        control, names = self._control, self._names
        asked = _identifier(request)
        if not asked and request.method == "DELETE":
            return error(Code.CLIENT_NOT_FOUND)
        if asked:
            try:
                view = await self._find(
                    asked, names.clients, control.session, control.sessions
                )
                if request.method == "DELETE":
                    await control.kick(view.id, "kicked through the SRS API")
                    return await self._ok()
            except ControlError as refusal:
                return error(code_of(refusal, Code.CLIENT_NOT_FOUND))
        if request.method != "GET":
            return text(405, _NOT_ALLOWED)
        vhosts = await self._vhost_ids()
        if asked:
            shown = shapes.client(view, vhosts.get(view.vhost, ""), names)
            return await self._ok(encode({"client": shown}))
        everybody = await control.sessions()
        _sweep(names.clients, everybody)
        views = [view for view in everybody if shapes.is_client(view)]
        at = page(request.query)
        return await self._list(
            "clients",
            views[at.start : at.start + at.count],
            lambda view: shapes.client(view, vhosts.get(view.vhost, ""), names),
        )

    async def _vhost_ids(self) -> dict[str, str]:
        name_of = self._names.vhosts.name_of
        return {view.name: name_of(view.id) for view in await self._control.vhosts()}

    async def _find(
        self,
        asked: str,
        table: IdTable,
        one: Callable[[str], Awaitable[View]],
        everything: Callable[[], Awaitable[list[View]]],
    ) -> View:
        """Return the object of an SRS id. Raises: NotFound."""
        engine_id = table.engine_id(asked)
        if engine_id is None and table.could_be(asked):
            # Nobody has listed it since it appeared, or its name had to make room.
            for view in await everything():
                if table.name_of(view.id) == asked:
                    return view
        if engine_id is None:
            raise NotFound("no object has that id")
        try:
            return await one(engine_id)
        except NotFound:
            table.forget(engine_id)
            raise

    async def _list(
        self,
        key: str,
        views: Sequence[View],
        shape: Callable[[View], Mapping[str, Json]],
    ) -> Answer:
        """Encode a page of a list in slices that leave the event loop to others."""
        head = await self._ok(b'{"%s":[' % key.encode())
        items = await in_slices(views, lambda view: encode(shape(view)))
        first, *more = _pieces(items)
        return attrs.evolve(head, body=head.body + first, more=tuple(more))

    # Raw and clusters

    async def raw(self, request: ApiRequest) -> Answer:
        """Show the API's configuration, or reload the server's."""
        settings, rpc = self.settings, request.query.get("rpc", "")
        if rpc == "raw":
            return Answer(encode({"code": 0, "http_api": self._http_api()}))
        if not settings.raw_api:
            return error(Code.CONFIG_RAW_DISABLED)
        if rpc == "reload":
            if not settings.allow_reload:
                return error(Code.CONFIG_RAW_DISABLED)
            # As SRS does, answer first: the reload may change this very listener.
            return Answer(encode({"code": 0}), afterwards=self._reload_now)
        if rpc == "reload-fetch":
            last = self._reload
            data: Mapping[str, Json] = {
                "err": last.error,
                "msg": last.message,
                "state": last.state,
                "rid": last.id,
            }
            return Answer(encode({"code": 0, "data": data}))
        return error(Code.CONFIG_RAW)

    def _http_api(self) -> Mapping[str, Json]:
        settings = self.settings
        return {
            "enabled": True,
            "listen": settings.listen or settings.https_listen,
            "crossdomain": settings.crossdomain,
            "raw_api": {
                "enabled": settings.raw_api,
                "allow_reload": settings.allow_reload,
                "allow_query": False,
                "allow_update": False,
            },
        }

    async def _reload_now(self) -> None:
        self._reload = last = _Reload(state=10, id=secrets.token_hex(4)[:7])
        try:
            await self._control.reload()
        except ControlError as refusal:
            last.error, last.message = int(Code.CONFIG_INVALID), str(refusal)
        last.state = 90

    async def clusters(self, request: ApiRequest) -> Answer:
        """Answer where a stream is published, as origins ask each other."""
        query = request.query
        fields = ("ip", "vhost", "app", "stream")
        echoed: dict[str, Json] = {name: query.get(name, "") for name in fields}
        wanted = (
            vhost_stored(query.get("vhost", "")),
            query.get("app", ""),
            query.get("stream", ""),
        )
        origin: Json = None
        for view in await self._control.streams():
            if (view.vhost, view.app, view.name) == wanted and view.publisher_active:
                server = await self._control.server()
                origin = _origin(request, server, query.get("vhost", ""))
        return Answer(encode({"code": 0, "data": {"query": echoed, "origin": origin}}))


def _pieces(items: Sequence[bytes]) -> list[bytes]:
    """Return the rest of a list, its end too, in pieces of about `PIECE` octets."""
    pieces: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for item in items:
        gathered.append(item)
        size += len(item)
        if size >= PIECE:
            pieces.append(b",".join(gathered))
            gathered, size = [b""], 0
    return [*pieces, b",".join(gathered) + b"]}"]


def _sweep(table: IdTable, views: Sequence[View]) -> None:
    """Drop names of what is not among ``views``, which ascend by id."""
    identity = attrgetter("id")

    def is_live(engine_id: str) -> bool:
        at = bisect_left(views, engine_id, key=identity)
        return at < len(views) and views[at].id == engine_id

    table.sweep(is_live)


def _identifier(request: ApiRequest) -> str:
    """Return what follows the collection's name in the path."""
    parts = request.path.split("/", 4)
    return parts[4] if len(parts) > 4 else ""


def _local_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _origin(request: ApiRequest, server: ServerView, vhost: str) -> Mapping[str, Json]:
    address = request.local_address
    shown = f"[{address}]" if ":" in address else address
    api = f"{shown}:{request.local_port}"
    rtmp = [one.port for one in server.listeners if one.name == "rtmp"]
    return {
        "ip": address,
        "port": rtmp[0] if rtmp else 0,
        "vhost": vhost,
        "api": api,
        "routers": [api],
    }
