"""What ended sessions leave behind: nothing that only a full collection would find.

Full collections are rare on purpose (`penstock.app`), so a session in a cycle is a leak
in all but name.
"""

from __future__ import annotations

import gc
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
from sansmedia.rtmp import PlayStarted, PublishAccepted

from penstock.settings import StreamSettings

pytestmark = pytest.mark.slow

Ending = Callable[[Any, Any, Any], Awaitable[None]]


def reset(stream: trio.SocketStream) -> None:
    """Leave without a goodbye."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def read_to_the_end(stream: trio.SocketStream) -> None:
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass
    await stream.aclose()


async def playing(server: Any) -> Any:
    viewer = await server.rtmp()
    viewer.machine.play("good", now=trio.current_time())
    await viewer.next(PlayStarted)
    await viewer.receive_media(3)
    return viewer


async def watching(server: Any, path: bytes) -> trio.SocketStream:
    stream: trio.SocketStream = await server.http()
    await stream.send_all(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    return stream


async def a_publisher_leaves(server: Any, media: Any, push: Any) -> None:
    publisher = await server.rtmp()
    stream_id = await publisher.publish("other")
    await publisher.send(stream_id, media.headers() + media.group(0))
    await publisher.close()


async def a_publisher_is_cut_off(server: Any, media: Any, push: Any) -> None:
    publisher = await server.rtmp()
    stream_id = await publisher.publish("other")
    await publisher.send(stream_id, media.headers() + media.group(0))
    reset(publisher.stream)


async def a_publisher_breaks_the_protocol(server: Any, media: Any, push: Any) -> None:
    publisher = await server.rtmp()
    await publisher.publish("other")
    await publisher.stream.send_all(b"\xff" * 400)
    await read_to_the_end(publisher.stream)


async def a_publisher_is_refused(server: Any, media: Any, push: Any) -> None:
    publisher = await server.rtmp()
    publisher.machine.publish("good", now=trio.current_time())
    with pytest.raises(AssertionError):
        await publisher.next(PublishAccepted)
    await publisher.stream.aclose()


async def a_player_leaves(server: Any, media: Any, push: Any) -> None:
    await (await playing(server)).close()


async def a_player_is_cut_off(server: Any, media: Any, push: Any) -> None:
    reset((await playing(server)).stream)


async def a_player_is_cut_off_while_it_is_written_to(
    server: Any, media: Any, push: Any
) -> None:
    reset((await playing(server)).stream)
    await push(1)


async def a_player_is_kicked(server: Any, media: Any, push: Any) -> None:
    viewer = await playing(server)
    for session in server.engine.registry.sessions.values():
        if session.viewer is not None:
            session.kick("enough")
    await viewer.end()
    await viewer.stream.aclose()


def an_http_viewer_leaves(path: bytes) -> Ending:
    async def run(server: Any, media: Any, push: Any) -> None:
        stream = await watching(server, path)
        await stream.receive_some()
        await stream.aclose()

    return run


def an_http_viewer_is_cut_off(path: bytes) -> Ending:
    async def run(server: Any, media: Any, push: Any) -> None:
        stream = await watching(server, path)
        await stream.receive_some()
        reset(stream)

    return run


def an_http_viewer_reads_nothing(path: bytes) -> Ending:
    async def run(server: Any, media: Any, push: Any) -> None:
        stream = await watching(server, path)
        while len(server.engine.registry.sessions) > 1:
            await push(1 << 20)
        await stream.aclose()

    return run


def an_http_viewer_waits_in_vain(path: bytes) -> Ending:
    async def run(server: Any, media: Any, push: Any) -> None:
        await read_to_the_end(await watching(server, path))

    return run


ENDINGS: dict[str, Ending] = {
    "a publisher leaves": a_publisher_leaves,
    "a publisher is cut off": a_publisher_is_cut_off,
    "a publisher breaks the protocol": a_publisher_breaks_the_protocol,
    "a publisher is refused": a_publisher_is_refused,
    "a player leaves": a_player_leaves,
    "a player is cut off": a_player_is_cut_off,
    "a player is cut off in a write": a_player_is_cut_off_while_it_is_written_to,
    "a player is kicked": a_player_is_kicked,
    "an FLV viewer leaves": an_http_viewer_leaves(b"/live/good.flv"),
    "an FLV viewer is cut off": an_http_viewer_is_cut_off(b"/live/good.flv"),
    "an FLV viewer reads nothing": an_http_viewer_reads_nothing(b"/live/good.flv"),
    "an fMP4 viewer is cut off": an_http_viewer_is_cut_off(b"/live/good.mp4"),
    "an fMP4 viewer reads nothing": an_http_viewer_reads_nothing(b"/live/good.mp4"),
    "a viewer waits in vain": an_http_viewer_waits_in_vain(b"/live/absent.flv"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_session_leaves_no_cycles(
    running_server: Any, settings_of: Any, media: Any, ending: str
) -> None:
    stream = StreamSettings(
        republish_wait_s=0.05, slow_viewer_s=0.1, wait_for_publisher_s=0.05
    )
    async with running_server(settings_of(stream=stream)) as server:
        publisher = await server.rtmp()
        stream_id = await publisher.publish("good")
        await publisher.send(stream_id, media.headers() + media.group(0))
        at_ms = 1_000

        async def push(size: int) -> None:
            nonlocal at_ms
            at_ms += 40
            picture = media.picture(at_ms, key=True, size=size)
            await publisher.send(stream_id, [picture])
            await trio.sleep(0.002)

        async def end_a_session() -> None:
            await ENDINGS[ending](server, media, push)
            registry = server.engine.registry
            await server.wait_until(lambda: len(registry.sessions) == 1)
            await server.wait_until(lambda: len(registry.streams) == 1)

        await end_a_session()  # what is made once is no leak
        await trio.testing.wait_all_tasks_blocked(0.02)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(3):
                await end_a_session()
            await trio.testing.wait_all_tasks_blocked(0.02)
            gc.collect()
            left = Counter(type(item).__name__ for item in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        await publisher.close()
    assert not left
