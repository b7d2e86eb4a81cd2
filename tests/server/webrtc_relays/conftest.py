"""What relays over WHEP and WHIP are tested with: a camera, servers, doors to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from sansmedia.rtmp import MediaKind, MediaMessage, PlayStarted

from penstock import app
from penstock.control import (
    SessionView,
)
from penstock.engine.control import EngineControl
from penstock.sessions import relay as relay_module
from penstock.sessions import webrtc_relay
from penstock.settings import StreamSettings

if TYPE_CHECKING:
    from tests.server.conftest import Media, RtmpPeer, RunningServer

Running = Callable[..., AbstractAsyncContextManager["RunningServer"]]

_REST = b"\x88" * 40


@pytest.fixture(autouse=True)
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(relay_module, "_LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(relay_module, "_LOOK_S", 0.02)
    monkeypatch.setattr(webrtc_relay, "_LOOK_S", 0.02)
    monkeypatch.setattr(webrtc_relay, "_SETTLE_S", 0.1)


@pytest.fixture
def controls(monkeypatch: pytest.MonkeyPatch) -> list[EngineControl]:
    """The doors into the servers that a test starts, in their order."""
    made: list[EngineControl] = []

    def recorded(*args: Any, **kwargs: Any) -> EngineControl:
        made.append(EngineControl(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(app, "EngineControl", recorded)
    return made


class Kit:
    """What the tests of relays ask and compare."""

    @staticmethod
    def place(server: RunningServer, name: str, kind: str) -> str:
        """Return ``host:port/path`` of a WHIP or WHEP endpoint."""
        return f"127.0.0.1:{server.ports['http']}/live/{name}/{kind}"

    @staticmethod
    async def play(server: RunningServer, name: str) -> RtmpPeer:
        peer = await server.rtmp()
        peer.machine.play(name, now=trio.current_time())
        await peer.next(PlayStarted)
        return peer

    @staticmethod
    async def pictures_of(viewer: RtmpPeer, count: int) -> list[int]:
        """Return the times that so many pictures of a camera tell."""
        numbers: list[int] = []
        seen = 0
        with trio.fail_after(60):
            while len(numbers) < count:
                for message in (await viewer.receive_media(seen + 1))[seen:]:
                    seen += 1
                    payload = message.payload
                    if message.kind is MediaKind.VIDEO and payload.endswith(_REST):
                        unit = payload.removesuffix(_REST)
                        numbers.append(int.from_bytes(unit[-4:], "big"))
        return numbers

    @staticmethod
    def in_a_row(numbers: list[int]) -> bool:
        return all(b - a == 40 for a, b in pairwise(numbers))

    @staticmethod
    def session_of(server: RunningServer, protocol: str, role: str) -> Any:
        for session in server.engine.registry.sessions.values():
            if (session.protocol, session.role.value) == (protocol, role):
                return session
        return None

    @staticmethod
    def response(status: str, body: str = "", *fields: str) -> bytes:
        lines = [
            f"HTTP/1.1 {status}",
            *fields,
            f"Content-Length: {len(body.encode())}",
            *("Connection: close", "", body),
        ]
        return "\r\n".join(lines).encode()


@pytest.fixture
def kit() -> type[Kit]:
    """Questions and comparisons."""
    return Kit


@attrs.define
class Film:
    """Publishes pictures by RTMP, one group every 200 ms, until it is cancelled."""

    peer: RtmpPeer
    stream_id: int
    media: type[Media]
    at_ms: int = 0

    async def run(self) -> None:
        await self.peer.send(self.stream_id, self.media.headers()[:1])
        while True:
            pictures = [self._picture(number) for number in range(5)]
            self.at_ms += 200
            await self.peer.send(self.stream_id, pictures)
            await trio.sleep(0.1)

    def _picture(self, number: int) -> MediaMessage:
        """Return a slice that only a header reader believes; it tells its time."""
        at_ms, key = self.at_ms + 40 * number, not number
        unit = (b"\x65" if key else b"\x41") + at_ms.to_bytes(4, "big") + _REST
        body = self.media.video(len(unit).to_bytes(4, "big") + unit, key=key)
        return MediaMessage(MediaKind.VIDEO, at_ms, body)


@pytest.fixture
def camera(
    media: type[Media],
) -> Callable[..., AbstractAsyncContextManager[None]]:
    """Let a camera publish a stream."""

    @asynccontextmanager
    async def film(server: RunningServer, name: str) -> AsyncIterator[None]:
        peer = await server.rtmp()
        stream_id = await peer.publish(name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Film(peer, stream_id, media).run)
            yield
            nursery.cancel_scope.cancel()
        await peer.close()

    return film


@pytest.fixture
def film() -> type[Film]:
    """Publishes pictures on a connection that is there."""
    return Film


@attrs.define
class Site:
    """One server whose relays go to itself."""

    server: RunningServer
    control: EngineControl

    def url(self, name: str, kind: str) -> str:
        return f"http://{Kit.place(self.server, name, kind)}"

    async def pull(self, name: str, url: str, authorization: str = "") -> SessionView:
        session_id = await self.control.cascade_pull(
            vhost="default",
            app="live",
            name=name,
            url=url,
            authorization=authorization,
        )
        return await self.control.session(session_id)

    async def push(self, name: str, url: str, authorization: str = "") -> SessionView:
        session_id = await self.control.cascade_push(
            vhost="default",
            app="live",
            name=name,
            url=url,
            authorization=authorization,
        )
        return await self.control.session(session_id)


@pytest.fixture
def site(
    running_server: Running, settings_of: Any, controls: list[EngineControl]
) -> Callable[[], AbstractAsyncContextManager[Site]]:
    """Run a server that turns away who asks for a stream that nobody publishes."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Site]:
        async with running_server(
            settings_of(
                stream=StreamSettings(wait_for_publisher_s=0, republish_wait_s=0.2)
            )
        ) as server:
            yield Site(server, controls[0])

    return run


@attrs.define
class Door:
    """An HTTP server in front of one of ours that changes what passes through."""

    port: int
    requests: list[tuple[str, str, dict[str, str]]] = attrs.field(factory=list)
    """Methods, targets, fields."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@asynccontextmanager
async def open_door(
    answer: Callable[[str, str, bytes], Awaitable[bytes]],
) -> AsyncIterator[Door]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    door = Door(listeners[0].socket.getsockname()[1])

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                part = await stream.receive_some()
                if not part:
                    return
                data += bytes(part)
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            method, target, _ = first.split()
            pairs = (line.partition(": ") for line in lines)
            fields = {name.lower(): value for name, _, value in pairs}
            while len(body) < int(fields.get("content-length", 0)):
                body += bytes(await stream.receive_some())
            door.requests.append((method, target, fields))
            await stream.send_all(await answer(method, target, body))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield door
        nursery.cancel_scope.cancel()


@pytest.fixture
def door_of() -> Callable[..., AbstractAsyncContextManager[Door]]:
    """Open a door whose answers a test gives."""
    return open_door
