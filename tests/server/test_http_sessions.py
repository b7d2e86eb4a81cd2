"""HTTP and WebSocket viewers of a whole server, over the loopback."""

from __future__ import annotations

import contextlib
import gc
import ssl
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import pytest
import trio
import trustme
import wsproto
from sansmedia.flv.tags import FlvDemuxer, Tag, TagType
from sansmedia.mp4 import InitSegment, MediaSample, Mp4Demuxer
from sansmedia.rtmp import MediaMessage
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
)

from penstock.engine.outlet import Outlet
from penstock.engine.session import Session
from penstock.engine.viewer import Viewer
from penstock.net.wire import Wire
from penstock.sessions import http_port
from penstock.settings import (
    AuthSettings,
    HttpSettings,
    LimitsSettings,
    StreamSettings,
)


class HttpViewer:
    """One GET whose body is read piece by piece."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.connection = h11.Connection(h11.CLIENT)
        self.response: h11.Response | None = None
        self.ended = False

    async def ask(
        self, target: str, *, method: str = "GET", version: str = "1.1", **headers: str
    ) -> h11.Response:
        """Send a request and return the head of its answer."""
        event = h11.Request(
            method=method, target=target, headers=[("Host", "h"), *headers.items()]
        )
        data = self.connection.send(event) or b""
        self.connection.send(h11.EndOfMessage())
        await self.stream.send_all(
            data.replace(b"HTTP/1.1", f"HTTP/{version}".encode())
        )
        response = await self._next()
        assert isinstance(response, h11.Response)
        self.response = response
        return response

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self.connection.next_event()) is h11.NEED_DATA:
            self.connection.receive_data(bytes(await self.stream.receive_some()))
        return event  # type: ignore[return-value] # NEED_DATA is excluded above

    async def some(self) -> bytes:
        """Return the next piece of the body, empty at its proper end."""
        event = await self._next()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        self.ended = True
        return b""

    async def rest(self) -> bytes:
        """Return the body up to its end."""
        parts = []
        while part := await self.some():
            parts.append(part)
        return b"".join(parts)

    async def tags(self, count: int) -> list[Tag]:
        """Return the first tags of an FLV body."""
        demuxer = FlvDemuxer()
        found: list[Tag] = []
        while len(found) < count:
            part = await self.some()
            assert part
            found += demuxer.feed(part)
        return found

    def header(self, name: bytes) -> bytes:
        """Return a header of the answer."""
        assert self.response is not None
        return dict(self.response.headers)[name]


async def viewer_of(server: Any, listener: str = "http") -> HttpViewer:
    return HttpViewer(await server.http(listener))


async def publish(
    server: Any, media: Any, run: list[MediaMessage] | None = None
) -> tuple[Any, int]:
    """Publish live/a; return the publisher and its stream id."""
    publisher = await server.rtmp()
    stream_id = await publisher.publish("a")
    await publisher.send(stream_id, run or media.headers() + media.group(0))
    await server.wait_until(
        lambda: any(s.is_live for s in server.engine.registry.streams.values())
    )
    return publisher, stream_id


def payloads(tags: list[Tag]) -> list[bytes]:
    return [tag.body for tag in tags if tag.type is not TagType.SCRIPT]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_flv_over_http_carries_every_message(
    running_server: Any, media: Any, version: str
) -> None:
    async with running_server() as server:
        await publish(server, media)
        viewer = await viewer_of(server)
        response = await viewer.ask("/live/a.flv", version=version)
        assert response.status_code == 200
        assert viewer.header(b"content-type") == b"video/x-flv"
        chunked = (b"transfer-encoding", b"chunked") in list(response.headers)
        assert chunked is (version == "1.1")
        run = media.headers() + media.group(0)
        assert payloads(await viewer.tags(12)) == [message.payload for message in run]


async def test_mp4_over_http_is_a_file(running_server: Any, media: Any) -> None:
    async with running_server() as server:
        publisher, stream_id = await publish(server, media)
        viewer = await viewer_of(server)
        await viewer.ask("/live/a.mp4")
        assert viewer.header(b"content-type") == b"video/mp4"
        await publisher.send(stream_id, media.group(200))
        demuxer, events = Mp4Demuxer(), list[object]()
        while sum(isinstance(event, MediaSample) for event in events) < 20:
            events += demuxer.feed(await viewer.some())
        assert isinstance(events[0], InitSegment)
        assert len(events[0].tracks) == 2


@pytest.mark.parametrize("extension", ["flv", "mp4"])
async def test_a_kicked_viewer_gets_the_end_of_the_body(
    running_server: Any, media: Any, extension: str
) -> None:
    async with running_server() as server:
        await publish(server, media)
        viewer = await viewer_of(server)
        await viewer.ask(f"/live/a.{extension}")
        (session,) = [
            s for s in server.engine.registry.sessions.values() if s.viewer is not None
        ]
        session.kick("enough")
        await viewer.rest()
        assert viewer.ended


@pytest.mark.slow
async def test_the_body_ends_when_the_publisher_has_left(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    settings = settings_of(stream=StreamSettings(republish_wait_s=0))
    async with running_server(settings) as server:
        publisher, _ = await publish(server, media)
        viewer, waiting = await viewer_of(server), await viewer_of(server)
        await viewer.ask("/live/a.flv")
        await publisher.close()
        await viewer.rest()
        assert viewer.ended
        del waiting


async def test_a_viewer_of_nothing_is_told_so(
    running_server: Any, settings_of: Any
) -> None:
    settings = settings_of(stream=StreamSettings(wait_for_publisher_s=0))
    async with running_server(settings) as server:
        viewer = await viewer_of(server)
        assert (await viewer.ask("/live/a.flv")).status_code == 404
        assert b"nobody publishes" in await viewer.rest()


@pytest.mark.parametrize(
    ("sections", "status", "reason"),
    [
        ({"auth": AuthSettings(play="token", play_tokens=["x"])}, 403, b"token"),
        ({"auth": AuthSettings(play_deny=["127.0.0.1"])}, 403, b"address"),
    ],
)
async def test_a_refusal_is_an_answer_with_its_reason(
    running_server: Any,
    settings_of: Any,
    sections: dict[str, Any],
    status: int,
    reason: bytes,
) -> None:
    async with running_server(settings_of(**sections)) as server:
        viewer = await viewer_of(server)
        assert (await viewer.ask("/live/a.flv?token=y")).status_code == status
        assert reason in await viewer.rest()


async def test_connections_over_the_limit_get_503(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    async with running_server(settings_of(limits=LimitsSettings(sessions=1))) as server:
        await publish(server, media)
        stream = await server.http()
        viewer = HttpViewer(stream)
        assert (await viewer.ask("/live/a.flv")).status_code == 503


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", 200), ("OPTIONS", 204), ("POST", 405), ("DELETE", 405)],
)
async def test_other_methods_are_answered(
    running_server: Any, method: str, status: int
) -> None:
    async with running_server() as server:
        viewer = await viewer_of(server)
        response = await viewer.ask("/live/a.flv", method=method, Origin="http://page")
        assert response.status_code == status
        assert viewer.header(b"access-control-allow-origin") == b"*"
        assert viewer.header(b"connection") == b"close"
        assert server.engine.registry.sessions == {}


async def test_only_pages_of_the_origins_allowed_may_play(
    running_server: Any, settings_of: Any
) -> None:
    # Fetch Standard §3.2: a page may read what names its origin or any.
    http = HttpSettings(listen="127.0.0.1:0", cors_origins=["https://good.example"])
    async with running_server(settings_of(http=http)) as server:
        for origin, allowed in (
            ("https://good.example", 1),
            ("https://bad.example", 0),
        ):
            viewer = await viewer_of(server)
            response = await viewer.ask("/live/a.flv", method="HEAD", Origin=origin)
            names = [name for name, _ in response.headers]
            assert names.count(b"access-control-allow-origin") == allowed


async def test_a_trusted_proxy_says_who_its_client_is(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    http = HttpSettings(listen="127.0.0.1:0", trusted_proxies=["127.0.0.1"])
    async with running_server(settings_of(http=http)) as server:
        await publish(server, media)
        viewer = await viewer_of(server)
        forwarded = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
        await viewer.ask("/live/a.flv", **forwarded)
        addresses = {s.address for s in server.engine.registry.sessions.values()}
        assert addresses == {"127.0.0.1", "203.0.113.7"}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /live/a.flv HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /live/a.flv HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 9_000,
        b"GET http://[/live/a.flv HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(
    running_server: Any, request_bytes: bytes
) -> None:
    async with running_server() as server:
        stream = await server.http()
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(request_bytes)
        answer = bytearray()
        with contextlib.suppress(trio.BrokenResourceError), trio.fail_after(60):
            while part := await stream.receive_some():
                answer += part
        assert not answer or answer.startswith(b"HTTP/1.1 400 ")


async def test_a_request_that_comes_too_slowly_is_dropped(
    running_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_port, "_HEAD_S", 0.1)
    async with running_server() as server:
        stream = await server.http()
        await stream.send_all(b"GET /live/a.flv HT")
        with trio.fail_after(60):
            assert await stream.receive_some() == b""


# -- WebSocket ----------------------------------------------------------------------


class SocketViewer:
    """A WebSocket client."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.data = b""

    async def send(self, event: wsproto.events.Event) -> None:
        await self.stream.send_all(self.connection.send(event))

    async def next(self, *kinds: type[wsproto.events.Event]) -> Any:
        """Return the next event of these kinds, keeping what messages bring."""
        while True:
            for event in self.connection.events():
                if isinstance(event, BytesMessage):
                    self.data += event.data
                if isinstance(event, kinds):
                    return event
            data = bytes(await self.stream.receive_some())
            self.connection.receive_data(data or None)


async def test_flv_over_websocket_carries_every_message(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        await publish(server, media)
        viewer = SocketViewer(await server.http())
        # RFC 6455 §4.1: wsproto holds the answer against its own key.
        await viewer.send(Request(host="h", target="/live/a.flv"))
        await viewer.next(AcceptConnection)
        while len(FlvDemuxer().feed(viewer.data)) < 12:
            await viewer.next(BytesMessage)
        run = media.headers() + media.group(0)
        tags = FlvDemuxer().feed(viewer.data)
        assert payloads(tags) == [message.payload for message in run]
        protocols = {s.protocol for s in server.engine.registry.sessions.values()}
        assert protocols == {"rtmp", "ws-flv"}


async def test_pings_are_answered_between_messages(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        publisher, stream_id = await publish(server, media)
        viewer = SocketViewer(await server.http())
        await viewer.send(Request(host="h", target="/live/a.flv"))
        await viewer.next(AcceptConnection)
        await viewer.next(BytesMessage)
        for number in range(5):
            await viewer.send(Ping(b"%d" % number))
            await publisher.send(stream_id, media.group(200 * number + 200))
            assert (await viewer.next(Pong)).payload == b"%d" % number


async def test_a_websocket_closes_from_either_side(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        await publish(server, media)
        leaving, kicked = [SocketViewer(await server.http()) for _ in range(2)]
        for viewer in leaving, kicked:
            await viewer.send(Request(host="h", target="/live/a.mp4"))
            await viewer.next(AcceptConnection)
        await leaving.send(CloseConnection(1000))
        await leaving.next(CloseConnection)
        await server.wait_until(lambda: len(server.engine.registry.sessions) == 2)
        (session,) = [
            s for s in server.engine.registry.sessions.values() if s.viewer is not None
        ]
        session.kick("enough")
        event = await kicked.next(CloseConnection)
        assert (event.code, event.reason) == (1000, "enough")


async def test_a_websocket_refused_gets_an_http_answer(
    running_server: Any, settings_of: Any
) -> None:
    auth = AuthSettings(play="token", play_tokens=["x"])
    async with running_server(settings_of(auth=auth)) as server:
        viewer = SocketViewer(await server.http())
        await viewer.send(Request(host="h", target="/live/a.flv"))
        assert (await viewer.next(RejectConnection)).status_code == 403


async def test_a_websocket_is_answered_before_anybody_publishes(
    running_server: Any, settings_of: Any
) -> None:
    waits = StreamSettings(wait_for_publisher_s=1.0)
    async with running_server(settings_of(stream=waits)) as server:
        viewer = SocketViewer(await server.http())
        await viewer.send(Request(host="h", target="/live/a.flv"))
        await viewer.next(AcceptConnection)
        await viewer.send(Ping(b"there?"))
        assert (await viewer.next(Pong)).payload == b"there?"
        assert (await viewer.next(CloseConnection)).code == 1013
        await server.wait_until(lambda: not server.engine.registry.streams)


# -- TLS ----------------------------------------------------------------------------


async def test_one_port_speaks_http_and_https(
    running_server: Any, settings_of: Any, media: Any, tmp_path: Path
) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    both = str(tmp_path / "both.pem")
    http = HttpSettings(listen="127.0.0.1:0", cert=both, key=both)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with running_server(settings_of(http=http)) as server:
        await publish(server, media)
        secure = HttpViewer(
            trio.SSLStream(await server.http(), context, server_hostname="127.0.0.1")
        )
        plain = await viewer_of(server)
        for viewer in secure, plain:
            await viewer.ask("/live/a.flv")
            run = media.headers() + media.group(0)
            expected = [message.payload for message in run]
            assert payloads(await viewer.tags(12)) == expected
        page = HttpViewer(
            trio.SSLStream(await server.http(), context, server_hostname="127.0.0.1")
        )
        assert (await page.ask("/healthz")).status_code == 200
        broken = await server.http()
        await broken.send_all(b"\x16\x03\x01\0\4\xff\0\0\0")
        with contextlib.suppress(trio.BrokenResourceError):
            while await broken.receive_some():
                pass


# -- leaks and others' trouble ------------------------------------------------------


@pytest.mark.slow
async def test_a_viewer_that_does_not_read_costs_the_others_nothing(
    running_server: Any,
    settings_of: Any,
    media: Any,
    log_lines: Callable[[], list[str]],
) -> None:
    settings = settings_of(stream=StreamSettings(slow_viewer_s=0.3))
    async with running_server(settings) as server:
        publisher, stream_id = await publish(server, media)
        lazy, reading = await viewer_of(server), await viewer_of(server)
        await lazy.ask("/live/a.flv")
        await reading.ask("/live/a.flv")
        run = [media.picture(200 + 40 * n, size=500_000) for n in range(40)]
        got: list[Tag] = []

        async def read() -> None:
            got.extend(await reading.tags(12 + len(run)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await publisher.send(stream_id, run)
        expected = [m.payload for m in media.headers() + media.group(0) + run]
        assert payloads(got) == expected
        await server.wait_until(
            lambda: any('reason="too slow' in line for line in log_lines())
        )


@pytest.mark.slow
async def test_sessions_that_have_gone_leave_nothing_behind(
    running_server: Any, media: Any
) -> None:
    kinds = (Session, Viewer, Wire)
    async with running_server() as server:
        publisher, stream_id = await publish(server, media)
        await publisher.send(stream_id, media.group(200))

        def living() -> dict[str, int]:
            gc.collect()
            objects = gc.get_objects()
            counts = {
                kind.__name__: sum(isinstance(item, kind) for item in objects)
                for kind in kinds
            }
            del objects
            return counts

        before = living()
        assert before == {"Session": 1, "Viewer": 0, "Wire": 1}
        tasks = trio.lowlevel.current_statistics().tasks_living

        async def come_and_go(number: int) -> None:
            if number % 4 == 0:
                peer = await server.rtmp()
                peer.machine.play("a", now=trio.current_time())
                await peer.receive_media(3)
                await peer.close()
            elif number % 4 == 1:
                viewer = SocketViewer(await server.http())
                await viewer.send(Request(host="h", target="/live/a.flv"))
                await viewer.next(BytesMessage)
                await viewer.stream.aclose()
            elif number % 4 == 2:
                stream = await server.http("rtmp")
                await stream.send_all(bytes(range(256)) * 9)
                await stream.aclose()
            else:
                get = await viewer_of(server)
                await get.ask("/live/a.mp4" if number % 8 == 3 else "/live/a.flv")
                await get.stream.aclose()

        for number in range(200):
            await come_and_go(number)
        registry = server.engine.registry
        await server.wait_until(lambda: len(registry.sessions) == 1)
        await server.wait_until(
            lambda: trio.lowlevel.current_statistics().tasks_living <= tasks + 6
        )
        assert living() == before
        (stream,) = registry.streams.values()
        assert stream.viewers == {}
        assert registry.sessions_total == 201


async def test_a_closed_viewer_is_freed_without_the_collector(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        await publish(server, media)
        viewer = await viewer_of(server)
        await viewer.ask("/live/a.flv")
        (stream,) = server.engine.registry.streams.values()
        (watching,) = stream.viewers
        gc.disable()
        try:
            left = weakref.ref(watching)
            del watching
            await viewer.stream.aclose()
            await server.wait_until(lambda: left() is None)
        finally:
            gc.enable()
        assert isinstance(next(iter(stream.outlets.values())), Outlet)
