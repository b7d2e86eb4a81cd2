"""A client that speaks ASGI to a mount, and mounts hosted on sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import pytest
import trio

from penstock.net.http_connection import GONE
from penstock.net.http_host import HttpHost
from penstock.net.listener import accept_forever, bind_tcp
from penstock.net.wire import Wire
from penstock.storage.memory import MemoryFileSystem

Application = Callable[[Any, Any, Any], Awaitable[None]]


@attrs.define
class Answer:
    """What an application has answered."""

    status: int = 0
    fields: list[tuple[str, str]] = attrs.field(factory=list)
    body: bytes = b""
    is_whole: bool = False

    def header(self, name: str) -> str | None:
        """Return a field, several lines joined."""
        found = [value for key, value in self.fields if key.lower() == name.lower()]
        return ", ".join(found) if found else None


@attrs.define
class AsgiClient:
    """Asks one application, as a host would."""

    application: Application
    peer: str = "192.0.2.7"

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] = (),
        *,
        breaks_off: bool = False,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Send a request; the path is what stands in the request line."""
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in (headers or {}).items()
            ],
            "client": (self.peer, 1234),
            "extensions": {GONE: is_gone},
        }
        messages = [
            {"type": "http.request", "body": part, "more_body": True} for part in body
        ]
        last = {"type": "http.request", "body": b"", "more_body": False}
        messages.append({"type": "http.disconnect"} if breaks_off else last)
        answer = Answer()

        async def receive() -> dict[str, Any]:
            await trio.lowlevel.checkpoint()
            if not messages:
                await trio.sleep_forever()
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.fields = [
                    (name.decode("latin-1"), value.decode("latin-1"))
                    for name, value in message["headers"]
                ]
                return
            assert answer.status
            answer.body += bytes(message.get("body", b""))
            answer.is_whole = not message.get("more_body", False)

        await self.application(scope, receive, send)
        return answer


@pytest.fixture
def asgi_client() -> type[AsgiClient]:
    return AsgiClient


@pytest.fixture
def memory() -> MemoryFileSystem:
    return MemoryFileSystem(limit_bytes=16 << 20)


@pytest.fixture
def hosted() -> Callable[[Application], AbstractAsyncContextManager[int]]:
    """Serve an application as the server does; gives the port."""

    @contextlib.asynccontextmanager
    async def host_it(application: Application) -> AsyncIterator[int]:
        host = HttpHost(application)
        listener = bind_tcp("127.0.0.1:0")

        async def serve(sock: socket.socket) -> None:
            await host.serve(Wire(sock))

        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            nursery.start_soon(
                accept_forever, listener, serve, nursery, lambda error: None
            )
            try:
                yield int(listener.getsockname()[1])
            finally:
                nursery.cancel_scope.cancel()
                listener.close()

    return host_it
