"""One HTTP/1.1 connection: Hypercorn's protocol object on one of our wires.

Hypercorn's own connection class shields every write from cancellation without a
deadline, keeps a connection that the client has closed until the keep-alive time is
over, keeps one whose WebSocket handshake it refused for ever, and lets any client
upgrade to HTTP/2. Its protocol object below that is all we use.
"""

from __future__ import annotations

from http.client import responses
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent

from .wire import Wire

__all__ = ["HttpConnection"]

_REQUEST_S = 60.0
"""An answer must have been taken by then."""
_HALF_CLOSED_S = 5.0
"""So long a client that sends no more may wait for its answer."""
_FAREWELL_S = 1.0


class _Http1(H11Protocol):
    """HTTP/1.1 and nothing else: no ``Upgrade`` is heeded. Source: RFC 9110 §7.8."""

    _cut = False

    async def stream_send(self, event: StreamEvent) -> None:
        # Hypercorn's last act for an answer that was cancelled at its first line is
        # to answer 500, which h11 calls an error of ours, as a second first line is.
        if self._cut:
            return
        try:
            await super().stream_send(event)
        except trio.Cancelled:
            self._cut = True
            raise

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        # Hypercorn sends no reason phrase; scripts look for "200 OK".
        if type(event) is h11.Response and not event.reason:
            event = h11.Response(
                status_code=event.status_code,
                headers=event.headers,
                reason=responses.get(event.status_code, ""),
            )
        await super()._send_h11_event(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        pass

    async def _create_stream(self, request: h11.Request) -> None:
        plain = h11.Request(
            method=request.method,
            target=request.target,
            http_version=request.http_version,
            headers=[field for field in request.headers if field[0] != b"upgrade"],
        )
        await super()._create_stream(plain)


class HttpConnection:
    """Serves one connection until somebody has enough.

    Args:
        app: The application.
        config: Hypercorn's; ``keep_alive_timeout`` bounds the wait for a request.
        context: Hypercorn's; once terminated, connections end after their answer.
        state: What the lifespan left for requests.
        wire: The connection, TLS handshake done; closed at the end.
        prefix: Bytes that were read already and that come first.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: dict[str, Any],
        wire: Wire,
        prefix: bytes,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = ConnectionState(state)
        self._wire = wire
        self._prefix = prefix
        self._idle = True
        self._life = trio.CancelScope()
        self._reading = trio.CancelScope()

    async def run(self) -> None:
        """Serve the connection; never raises for what the client did."""
        self._life.deadline = trio.current_time() + self._config.keep_alive_timeout
        try:
            with self._life:
                await self._serve()
                await self._wire.finish(_FAREWELL_S)
        finally:
            self._wire.close()

    def stop(self, patience_s: float) -> None:
        """End now if no request is being answered, else in ``patience_s``."""
        if self._idle:
            self._reading.cancel()
        until = trio.current_time() + patience_s
        self._life.deadline = min(self._life.deadline, until)

    async def _serve(self) -> None:
        async with TaskGroup() as group:
            protocol = _Http1(
                self._app,
                self._config,
                self._context,
                group,
                self._state,
                self._wire.secure,
                self._wire.peer,
                self._wire.local,
                self._send,
            )
            with self._reading:
                await self._read(protocol)
            await protocol.handle(Closed())

    async def _read(self, protocol: H11Protocol) -> None:
        data = self._prefix
        while True:
            if not data:
                try:
                    data = await self._wire.receive_some()
                except (OSError, trio.ClosedResourceError):
                    return
            await protocol.handle(RawData(data))
            if self._reading.cancel_called:
                return
            if not data:
                if not self._idle:
                    # Only the client's direction has ended: the answer cancels us.
                    with trio.move_on_after(_HALF_CLOSED_S):
                        await trio.sleep_forever()
                return
            data = b""

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            try:
                await self._wire.send_all(event.data)
            except (OSError, trio.ClosedResourceError):
                self._reading.cancel()
        elif isinstance(event, Closed):
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._idle = event.idle
            patience_s = self._config.keep_alive_timeout if event.idle else _REQUEST_S
            self._life.deadline = trio.current_time() + patience_s
