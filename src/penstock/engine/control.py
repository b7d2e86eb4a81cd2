"""`Control` over this process's engine."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from sansmedia.sansio import ProtocolError, UsageError

from penstock.control import (
    Conflict,
    ControlError,
    Forbidden,
    Invalid,
    ListenerView,
    NotFound,
    RelayView,
    ServerView,
    SessionView,
    StreamView,
    Unacceptable,
    Unavailable,
    VhostView,
    WebRtcAnswer,
    WebRtcOffer,
)
from penstock.media import TrackKind
from penstock.settings import RelaySettings
from penstock.slices import in_slices

from .engine import Engine
from .registry import Refusal
from .session import StreamKey
from .views import session_view, stream_view, vhost_view

__all__ = ["EngineControl"]


class WebRtc(Protocol):
    """Who starts sessions of WebRTC; `penstock.sessions.webrtc` has it."""

    async def offer(self, offer: WebRtcOffer) -> WebRtcAnswer:
        """Answer an offer. Raises: Refusal, ProtocolError, ControlError."""
        ...

    def trickle(
        self,
        session_id: str,
        *,
        ufrag: str,
        pwd: str,
        candidates: tuple[str, ...],
        end: bool,
    ) -> tuple[str, str] | None:
        """Take candidates or credentials. Raises: KeyError, UsageError, Invalid."""
        ...

    def ufrag_of(self, session_id: str) -> str | None:
        """Return our user name fragment of a session."""
        ...

    def select_layer(self, session_id: str, layer: str) -> None:
        """Send a viewer another layer. Raises: KeyError."""
        ...

    def mute(self, session_id: str, kind: TrackKind, *, muted: bool) -> None:
        """Leave a kind out of what a viewer gets. Raises: KeyError."""
        ...


class WebRtcCalls(Protocol):
    """Who opens sessions at other servers; `penstock.sessions.webrtc_relay` has it."""

    async def pull(self, key: StreamKey, url: str, authorization: str) -> str:
        """Publish what another server plays. Raises: Refusal, ControlError."""
        ...

    async def push(self, key: StreamKey, url: str, authorization: str) -> str:
        """Publish a stream at another server. Raises: Refusal, ControlError."""
        ...


_REFUSALS: dict[str, type[ControlError]] = {
    "busy": Conflict,
    "limit": Unavailable,
    "absent": NotFound,
    "request": Invalid,
}


def _refused(refusal: Refusal) -> ControlError:
    return _REFUSALS.get(refusal.kind, Forbidden)(refusal.reason)


class Relays(Protocol):
    """Who keeps relays running; `penstock.sessions.relay` has it."""

    def views(self) -> list[RelayView]:
        """Return every relay."""
        ...

    def start(self, settings: RelaySettings) -> RelayView:
        """Keep one running. Raises: ValueError, Refusal."""
        ...

    def end(self, relay_id: str) -> bool:
        """End one that was started so; False if there is none."""
        ...


class EngineControl:
    """Commands and queries of one process.

    Args:
        engine: What is running.
        server_id: Stable identity of the installation.
        version: Of penstock.
        reload: Reads the configuration again.
        relays: Keeps relays running.
        webrtc: Starts sessions of WebRTC.
        calls: Opens such sessions at other servers.
        datagrams: Gives the counters of `ServerView` that begin with ``datagrams_``.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        server_id: str,
        version: str,
        reload: Callable[[], Awaitable[None]],
        relays: Relays,
        webrtc: WebRtc,
        calls: WebRtcCalls,
        datagrams: Callable[[], dict[str, int]],
    ) -> None:
        self.listeners: tuple[ListenerView, ...] = ()
        self._engine = engine
        self._server_id = server_id
        self._service_id = uuid.uuid4().hex
        self._version = version
        self._reload = reload
        self._relays = relays
        self._webrtc = webrtc
        self._calls = calls
        self._datagrams = datagrams
        self._started_at = time.time()
        self._started = trio.current_time()

    async def server(self) -> ServerView:
        """Return the server's own figures."""
        engine, registry = self._engine, self._engine.registry
        return ServerView(
            id=self._server_id,
            service_id=self._service_id,
            version=self._version,
            pid=os.getpid(),
            started_at=self._started_at,
            uptime_s=trio.current_time() - self._started,
            listeners=self.listeners,
            sessions=len(registry.sessions),
            sessions_total=registry.sessions_total,
            session_errors_total=registry.session_errors_total,
            streams=len(registry.streams),
            bytes_received=engine.bytes_received,
            bytes_sent=engine.bytes_sent,
            loop_stall_s=engine.loop_stall_s(),
            tasks=trio.lowlevel.current_statistics().tasks_living,
            refusals=tuple(sorted(registry.refusals.items())),
            **self._datagrams(),
        )

    async def vhosts(self) -> list[VhostView]:
        """Return the virtual hosts that have seen a session, oldest first."""
        registry = self._engine.registry
        return [vhost_view(totals, registry) for totals in registry.vhosts.values()]

    async def streams(self) -> list[StreamView]:
        """Return every stream entry, ascending by id."""
        by_id = self._engine.registry.streams_by_id
        return await in_slices([by_id[i] for i in sorted(by_id)], stream_view)

    async def stream(self, stream_id: str) -> StreamView:
        """Return one stream. Raises: NotFound."""
        stream = self._engine.registry.streams_by_id.get(stream_id)
        if stream is None:
            raise NotFound(f"no stream {stream_id}")
        return stream_view(stream)

    async def find_stream(self, vhost: str, app: str, name: str) -> StreamView:
        """Return the stream of that key. Raises: NotFound."""
        stream = self._engine.registry.streams.get(StreamKey(vhost, app, name))
        if stream is None:
            raise NotFound(f"no stream {app}/{name}")
        return stream_view(stream)

    async def reserve_stream(self, vhost: str, app: str, name: str) -> StreamView:
        """Keep a stream's entry. Raises: Invalid, Unavailable."""
        try:
            stream = self._engine.registry.reserve(StreamKey(vhost, app, name))
        except Refusal as refusal:
            raise _refused(refusal) from None
        return stream_view(stream)

    async def destroy_stream(self, stream_id: str, reason: str) -> None:
        """End a stream's sessions and forget it. Raises: NotFound."""
        registry = self._engine.registry
        stream = registry.streams_by_id.get(stream_id)
        if stream is None:
            raise NotFound(f"no stream {stream_id}")
        await registry.destroy(stream, reason)

    async def sessions(self) -> list[SessionView]:
        """Return every media session, ascending by id."""
        by_id = self._engine.registry.sessions
        return await in_slices([by_id[i] for i in sorted(by_id)], session_view)

    async def session(self, session_id: str) -> SessionView:
        """Return one session. Raises: NotFound."""
        session = self._engine.registry.sessions.get(session_id)
        if session is None:
            raise NotFound(f"no session {session_id}")
        return session_view(session)

    async def kick(self, session_id: str, reason: str) -> None:
        """End a session. Raises: NotFound."""
        session = self._engine.registry.sessions.get(session_id)
        if session is None:
            raise NotFound(f"no session {session_id}")
        session.kick(reason)

    async def wait_changed(self, seen: int) -> int:
        """Wait until streams or sessions have changed; return how often they have."""
        return await self._engine.registry.wait_changed(seen)

    async def relays(self) -> list[RelayView]:
        """Return the relays."""
        return self._relays.views()

    async def offer_webrtc(self, offer: WebRtcOffer) -> WebRtcAnswer:
        """Answer an offer. Raises: ControlError."""
        try:
            return await self._webrtc.offer(offer)
        except Refusal as refusal:
            raise _refused(refusal) from None
        except ProtocolError as error:
            wrong = error.code in ("unsupported", "incomplete")
            kind = Unacceptable if wrong else Invalid
            raise kind(str(error)) from None

    async def patch_webrtc(
        self,
        session_id: str,
        *,
        ufrag: str = "",
        pwd: str = "",
        candidates: tuple[str, ...] = (),
        end: bool = False,
    ) -> tuple[str, str] | None:
        """Take a client's candidates or credentials. Raises: NotFound, Invalid."""
        try:
            return self._webrtc.trickle(
                session_id, ufrag=ufrag, pwd=pwd, candidates=candidates, end=end
            )
        except KeyError:
            raise NotFound(f"no session {session_id}") from None
        except UsageError as error:
            raise Invalid(str(error)) from None

    async def webrtc_ufrag(self, session_id: str) -> str:
        """Return our user name fragment. Raises: NotFound."""
        ufrag = self._webrtc.ufrag_of(session_id)
        if ufrag is None:
            raise NotFound(f"no session {session_id}")
        return ufrag

    async def select_layer(self, session_id: str, layer: str) -> None:
        """Send a WebRTC viewer another layer. Raises: NotFound."""
        try:
            self._webrtc.select_layer(session_id, layer)
        except KeyError:
            raise NotFound(f"no WebRTC viewer {session_id}") from None

    async def mute(self, session_id: str, kind: str, *, muted: bool) -> None:
        """Leave a kind out of what a WebRTC viewer gets. Raises: NotFound."""
        try:
            self._webrtc.mute(session_id, TrackKind(kind), muted=muted)
        except KeyError:
            raise NotFound(f"no WebRTC viewer {session_id}") from None

    async def cascade_pull(
        self, *, vhost: str, app: str, name: str, url: str, authorization: str
    ) -> str:
        """Publish what another server plays. Raises: ControlError."""
        key = StreamKey(vhost, app, name)
        try:
            return await self._calls.pull(key, url, authorization)
        except Refusal as refusal:
            raise _refused(refusal) from None

    async def cascade_push(
        self, *, vhost: str, app: str, name: str, url: str, authorization: str
    ) -> str:
        """Publish a stream at another server. Raises: ControlError."""
        key = StreamKey(vhost, app, name)
        try:
            return await self._calls.push(key, url, authorization)
        except Refusal as refusal:
            raise _refused(refusal) from None

    async def start_relay(
        self, *, source: str, destination: str, on_demand: bool
    ) -> RelayView:
        """Keep a relay running. Raises: Invalid, Unavailable."""
        try:
            return self._relays.start(RelaySettings(source, destination, on_demand))
        except ValueError as error:
            raise Invalid(str(error)) from None
        except Refusal as refusal:
            raise _refused(refusal) from None

    async def stop_relay(self, relay_id: str) -> None:
        """End a relay that a command has started. Raises: NotFound."""
        if not self._relays.end(relay_id):
            raise NotFound(f"no relay {relay_id} that a command has started")

    async def reload(self) -> None:
        """Read the configuration again. Raises: Invalid."""
        await self._reload()
