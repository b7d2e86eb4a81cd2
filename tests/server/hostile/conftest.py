"""A server under attack, with a publisher and a viewer who must not notice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from sansmedia.rtmp import MediaMessage, MediaReceived, PlayStarted

GIVEN_UP_S = 60
"""Nothing that the server promises takes as long."""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def _publish_until(
    peer: Any, stream_id: int, media: Any, sent: list[MediaMessage], stop: trio.Event
) -> None:
    at_ms = 0
    while not stop.is_set():
        run = media.group(at_ms) if sent else media.headers() + media.group(at_ms)
        await peer.send(stream_id, run)
        sent += run
        at_ms += 200
        await trio.sleep(0.02)


async def _watch(peer: Any) -> None:
    while True:
        await peer.next(MediaReceived)


@contextlib.asynccontextmanager
async def bystanders(server: Any, media: Any) -> AsyncIterator[None]:
    """Publish and play beside what happens inside; every frame must arrive."""
    publisher, viewer = await server.rtmp(), await server.rtmp()
    stream_id = await publisher.publish("good")
    viewer.machine.play("good", now=trio.current_time())
    await viewer.next(PlayStarted)
    sent: list[MediaMessage] = []
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, viewer)
        async with trio.open_nursery() as publishing:
            publishing.start_soon(
                _publish_until, publisher, stream_id, media, sent, stop
            )
            yield
            stop.set()
        await server.wait_until(lambda: len(viewer.media) >= len(sent))
        nursery.cancel_scope.cancel()
    # The ingest smooths the times of sounds, so payloads are what is compared.
    assert [m.payload for m in viewer.media] == [m.payload for m in sent]
    await publisher.close()
    await viewer.close()


@pytest.fixture
def attacked_server(
    running_server: Any,
    settings_of: Any,
    media: Any,
    log_lines: Callable[[], list[str]],
) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """Run a server; at the end nothing of the attack may be left.

    Checks that the bystanders got every frame, that tasks, sessions and descriptors
    are back where they were, and that no line is at error level.
    """

    @contextlib.asynccontextmanager
    async def run(**sections: Any) -> AsyncIterator[Any]:
        async with running_server(settings_of(**sections)) as server:
            statistics = trio.lowlevel.current_statistics
            tasks, files = statistics().tasks_living, descriptors()
            with trio.fail_after(GIVEN_UP_S):
                async with bystanders(server, media):
                    yield server
                registry = server.engine.registry
                await server.wait_until(lambda: not registry.sessions)
                await server.wait_until(lambda: not registry.streams)
                await server.wait_until(lambda: statistics().tasks_living <= tasks)
                await server.wait_until(lambda: descriptors() <= files)
        bad = [line for line in log_lines() if " error " in line.split("message")[0]]
        assert not bad
        assert not any("Traceback" in line for line in log_lines())

    return run


@pytest.fixture
def ended(log_lines: Callable[[], list[str]]) -> Callable[[str], int]:
    """Count the sessions that ended for a reason."""

    def count(reason: str) -> int:
        lines = [line for line in log_lines() if "session ended" in line]
        return sum(reason in line for line in lines)

    return count
