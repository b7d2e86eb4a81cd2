"""What a publisher sends and nobody can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from sansmedia.rtmp import MediaKind, MediaMessage, MetadataReceived, PlayStarted


def facts(messages: list[MediaMessage]) -> list[tuple[MediaKind, bytes]]:
    """Kinds and bodies: a sound's time is rebuilt from the length of its frames."""
    return [(message.kind, message.payload) for message in messages]


async def play(server: Any) -> Any:
    peer = await server.rtmp()
    peer.machine.play("a", now=trio.current_time())
    await peer.next(PlayStarted)
    return peer


async def test_damaged_media_cost_the_frame_and_one_log_line(
    running_server: Any, media: Any, log_lines: Callable[[], list[str]]
) -> None:
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await play(server)
        stream_id = await publisher.publish("a")
        # A picture before its decoder configuration, and a cut enhanced body.
        early = media.picture(0, key=True)
        cut = MediaMessage(MediaKind.VIDEO, 0, b"\x91av")
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, [early, cut, *run])
        assert facts(await viewer.receive_media(len(run))) == facts(run)
        assert damaged(server) == 2
    (line,) = [line for line in log_lines() if "damaged media" in line]
    assert "before its decoder configuration" in line
    assert "stream=live/a" in line


async def test_metadata_of_too_many_values_cost_their_publisher_nothing(
    running_server: Any, media: Any, log_lines: Callable[[], list[str]]
) -> None:
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await play(server)
        stream_id = await publisher.publish("a")
        for values in ({str(n): 0.0 for n in range(5_000)}, {"width": 640.0}):
            publisher.machine.send_data(
                stream_id,
                0,
                ("@setDataFrame", "onMetaData", values),
                now=trio.current_time(),
            )
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        assert (await viewer.next(MetadataReceived)).values["width"] == 640.0
        assert facts(await viewer.receive_media(len(run))) == facts(run)
        assert damaged(server) == 1
    (line,) = [line for line in log_lines() if "damaged media" in line]
    assert "more AMF values than the limit" in line


def damaged(server: Any) -> int:
    (stream,) = server.engine.registry.streams.values()
    count: int = stream.damaged
    return count
