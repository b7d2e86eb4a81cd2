"""`Control` over this process's engine."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Awaitable, Callable

import trio

from penstock.control import (
    ListenerView,
    NotFound,
    RelayView,
    ServerView,
    SessionView,
    StreamView,
    VhostView,
)
from penstock.slices import in_slices

from .engine import Engine
from .views import session_view, stream_view, vhost_view

__all__ = ["EngineControl"]


class EngineControl:
    """Commands and queries of one process.

    Args:
        engine: What is running.
        server_id: Stable identity of the installation.
        version: Of penstock.
        reload: Reads the configuration again.
        relays: Gives the relays' views.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        server_id: str,
        version: str,
        reload: Callable[[], Awaitable[None]],
        relays: Callable[[], list[RelayView]],
    ) -> None:
        self.listeners: tuple[ListenerView, ...] = ()
        self._engine = engine
        self._server_id = server_id
        self._service_id = uuid.uuid4().hex
        self._version = version
        self._reload = reload
        self._relays = relays
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

    async def relays(self) -> list[RelayView]:
        """Return the relays."""
        return self._relays()

    async def reload(self) -> None:
        """Read the configuration again. Raises: Invalid."""
        await self._reload()
