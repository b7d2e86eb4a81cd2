"""One HTTP/1.1 connection: Hypercorn's protocol object on one of our wires.

Hypercorn's own connection class shields every write from cancellation without a
deadline, keeps a connection that the client has closed until the keep-alive time is
over, keeps one whose WebSocket handshake it refused for ever, and lets any client
upgrade to HTTP/2. Its protocol object below that is all we use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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

__all__ = ["GONE", "HttpConnection"]

GONE = "penstock.gone"
"""An extension of our scopes: a callable that tells whether the connection has failed.
Hypercorn takes what is sent to nobody without a word, and a file is long."""

_REQUEST_S = 60.0
"""By then a piece of an answer must have been taken, or one of a body have come: files
may take long, but not stand still."""
_HEAD_BYTES = 64 << 10
_BODY_BYTES = 256 << 10
"""Octets of one read. Each costs Hypercorn and h11 some 40 us, so that large ones halve
the time that a large body takes; a head is small."""
_HALF_CLOSED_S = 5.0
"""So long a client that sends no more may wait for its answer, and so long what has
come from one that takes no more is still served."""
_FAREWELL_S = 1.0


class _Http1(H11Protocol):
    """HTTP/1.1 and nothing else: no ``Upgrade`` is heeded. Source: RFC 9110 §7.8."""

    _cut = False

    def __init__(
        self,
        is_gone: Callable[[], bool],
        app: AppWrapper,
        *rest: Any,  # noqa: ANN401 - Hypercorn's
    ) -> None:
        super().__init__(self._inviting(app), *rest)
        self._is_gone = is_gone

    def _inviting(self, app: AppWrapper) -> AppWrapper:
        """Return an application that calls for the body when it first wants it.

        Hypercorn says 100 before the application has seen the request, and a client
        that was to be refused sends all it has; FFmpeg then takes no notice of a 401.
        """

        async def serve(
            scope: Any,  # noqa: ANN401 - ASGI's shapes have no type
            receive: Any,  # noqa: ANN401
            send: Any,  # noqa: ANN401
            sync_spawn: Any,  # noqa: ANN401
            call_soon: Any,  # noqa: ANN401
        ) -> None:
            is_invited = False

            async def receive_invited() -> Any:  # noqa: ANN401
                nonlocal is_invited
                if not is_invited:
                    is_invited = True
                    await self._invite_body()
                return await receive()

            scope["extensions"][GONE] = self._is_gone
            await app(scope, receive_invited, send, sync_spawn, call_soon)

        return serve

    async def _invite_body(self) -> None:
        if self.connection.they_are_waiting_for_100_continue:
            headers = self.config.response_headers("h11")
            event = h11.InformationalResponse(status_code=100, headers=headers)
            await super()._send_h11_event(event)

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
        if type(event) is h11.InformationalResponse and event.status_code == 100:
            return  # said by `_invite_body`
        # Hypercorn sends no reason phrase; scripts look for "200 OK".
        if type(event) is h11.Response and not event.reason:
            # With the letters that the application wrote: some clients are fussy.
            headers = list(event.headers.raw_items())
            if self.connection.their_state is h11.SEND_BODY:
                # The rest of the body is not waited for. RFC 9112 §9.6.
                headers.append((b"connection", b"close"))
            event = h11.Response(
                status_code=event.status_code,
                headers=headers,
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
        self._gone = False
        self._ends_by = math.inf
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
        self._ends_by = trio.current_time() + patience_s
        self._life.deadline = min(self._life.deadline, self._ends_by)

    def _be_patient(self, patience_s: float) -> None:
        self._life.deadline = min(trio.current_time() + patience_s, self._ends_by)

    async def _serve(self) -> None:
        async with TaskGroup() as group:
            protocol = _Http1(
                lambda: self._gone,
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
                    size = _HEAD_BYTES if self._idle else _BODY_BYTES
                    data = await self._wire.receive_some(size)
                except (OSError, trio.ClosedResourceError):
                    return
            if data and not self._idle:
                self._be_patient(_REQUEST_S)
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
            await self._send_data(event.data)
        elif isinstance(event, Closed):
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._idle = event.idle
            self._be_patient(
                self._config.keep_alive_timeout if event.idle else _REQUEST_S
            )

    async def _send_data(self, data: bytes) -> None:
        if self._gone:
            return
        try:
            await self._wire.send_all(data)
        except (OSError, trio.ClosedResourceError):
            # What has come is still read and served, to its end if that is there:
            # FFmpeg sends its last playlist and hangs up, with the answer to the one
            # before unread, and that makes sending fail.
            self._gone = True
            self._ends_by = min(self._ends_by, trio.current_time() + _HALF_CLOSED_S)
            self._be_patient(_HALF_CLOSED_S)
        else:
            if not self._idle:
                self._be_patient(_REQUEST_S)
