"""Hosts one ASGI application on connections that are accepted elsewhere.

Hypercorn's own server binds sockets itself and accepts by itself; here one accept loop
looks at each connection first. Its `TCPServer` for a single connection is all we use.
"""

from __future__ import annotations

from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from .http_stream import HttpStream
from .wire import Wire

__all__ = ["HttpHost"]

_KEEP_ALIVE_S = 60.0


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
        config.alpn_protocols = ["http/1.1"]
        config.keep_alive_timeout = _KEEP_ALIVE_S
        config.graceful_timeout = 1.0
        config.shutdown_timeout = 1.0
        self._config = config
        self._app = ASGIWrapper(app)
        self._context = WorkerContext(None)
        self._stopping = trio.Event()
        self._state: dict[str, Any] = {}

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
            with trio.move_on_after(1):
                await lifespan.wait_for_shutdown()
            nursery.cancel_scope.cancel()

    async def stop(self) -> None:
        """Let idle connections end, and busy ones after their answer."""
        await self._context.terminated.set()
        self._stopping.set()

    async def serve(self, wire: Wire, prefix: bytes = b"") -> None:
        """Serve HTTP on one connection until it ends; closes it."""
        stream = HttpStream(wire, prefix)
        server = TCPServer(
            self._app,
            self._config,
            self._context,
            ConnectionState(self._state.copy()),
            stream,  # type: ignore[arg-type] # duck-typed on purpose
        )
        try:
            await server.run()
        finally:
            wire.close()
