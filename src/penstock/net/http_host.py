"""Hosts one ASGI application on connections that are accepted elsewhere.

Hypercorn's own server binds sockets itself and accepts by itself; here one accept loop
looks at each connection first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext

from .http_connection import HttpConnection
from .wire import Wire

__all__ = ["HttpHost", "PathSwitch"]

_KEEP_ALIVE_S = 60.0
_DRAIN_S = 1.0


class PathSwitch:
    """An ASGI application that leaves some paths to others.

    Args:
        app: What serves the rest, and the lifespan.
        others: Applications, each with what tells its paths, as they came.
    """

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - ASGI callables have no type
        others: Sequence[tuple[Callable[[bytes], bool], Any]],
    ) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Serve one ASGI scope."""
        app = self._app
        if scope["type"] == "http":
            path = scope["raw_path"].partition(b"?")[0]
            for is_theirs, other in self._others:
                if is_theirs(path):
                    app = other
                    break
        await app(scope, receive, send)


class HttpHost:
    """One ASGI application and what Hypercorn needs to run it.

    Args:
        app: An ASGI 3 application.
    """

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - ASGI callables have no type
        config = Config()
        config.accesslog = None
        config.errorlog = None
        config.include_server_header = False
        config.keep_alive_timeout = _KEEP_ALIVE_S
        config.shutdown_timeout = _DRAIN_S
        self._config = config
        self._app = ASGIWrapper(app)
        self._context = WorkerContext(None)
        self._stopping = trio.Event()
        self._state: dict[str, Any] = {}
        self._connections: set[HttpConnection] = set()

    @property
    def connections(self) -> int:
        """Connections that are being served."""
        return len(self._connections)

    async def run(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the application's lifespan until `stop`; start this first."""
        lifespan = Lifespan(self._app, self._config, self._state)
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            task_status.started()
            await self._stopping.wait()
            with trio.move_on_after(_DRAIN_S):
                await lifespan.wait_for_shutdown()
            nursery.cancel_scope.cancel()

    async def stop(self) -> None:
        """Let idle connections end, and busy ones after their answer."""
        await self._context.terminated.set()
        for connection in self._connections:
            connection.stop(_DRAIN_S)
        self._stopping.set()

    async def serve(self, wire: Wire, prefix: bytes = b"") -> None:
        """Serve HTTP on one connection until it ends; closes it."""
        connection = HttpConnection(
            self._app, self._config, self._context, self._state.copy(), wire, prefix
        )
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
