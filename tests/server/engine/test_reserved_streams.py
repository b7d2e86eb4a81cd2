"""Streams that a command keeps, who is counted as their audience, and news of them."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from penstock.engine.registry import Refusal
from penstock.engine.session import StreamKey
from penstock.engine.viewer import ViewerState
from penstock.engine.views import stream_view

KEY = StreamKey("default", "live", "kept")


async def test_a_reserved_stream_outlives_publishers_and_viewers(stage: Any) -> None:
    registry = stage.registry
    reserved = registry.reserve(KEY)
    assert stream_view(reserved).reserved
    stream = await stage.publish(KEY)
    assert stream is reserved
    watching = stage.watch(stream)
    stage.unpublish(stream)
    stage.leave(stream, watching)
    await registry.tick(trio.current_time())
    assert registry.streams[KEY] is stream
    await registry.destroy(stream, "no longer wanted")
    assert KEY not in registry.streams
    assert stream.id not in registry.streams_by_id


async def test_a_reserved_stream_counts_as_any_other(stage: Any) -> None:
    stage.registry.max_streams = 1
    stage.registry.reserve(KEY)
    with pytest.raises(Refusal, match="too many streams"):
        stage.registry.reserve(StreamKey("default", "live", "other"))
    with pytest.raises(Refusal, match="relative path"):
        stage.registry.reserve(StreamKey("default", "..", "x"))


async def test_destroying_a_stream_ends_its_sessions_and_waits_for_them(
    stage: Any, nursery: trio.Nursery
) -> None:
    registry = stage.registry
    stream = registry.reserve(KEY)
    session = stage.session()
    registry.enter(session)
    await registry.claim(session, KEY)

    async def publisher() -> None:
        with session.scope:
            await trio.Event().wait()
        await trio.testing.wait_all_tasks_blocked()
        stage.unpublish(stream)
        registry.leave(session, error=False)

    nursery.start_soon(publisher)
    await registry.destroy(stream, "no longer wanted")
    assert session.end_reason == "no longer wanted"
    assert KEY not in registry.streams


async def test_whoever_will_not_end_is_not_waited_for(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish(KEY)
    began = trio.current_time()
    await stage.registry.destroy(stream, "no longer wanted")
    assert 0 < trio.current_time() - began < 10
    assert stage.registry.streams[KEY] is stream


async def test_a_session_whose_viewer_is_to_come_keeps_the_stream(stage: Any) -> None:
    registry = stage.registry
    stream = registry.stream(KEY, "")
    session = stage.session()
    stream.join(session)
    await registry.tick(trio.current_time())
    assert registry.streams[KEY] is stream
    assert stream_view(stream).viewers_left_at is None
    stream.part(session)
    registry.release(stream)
    assert KEY not in registry.streams


async def test_times_of_leaving_are_kept_until_somebody_comes(stage: Any) -> None:
    stream = stage.registry.reserve(KEY)
    fresh = stream_view(stream)
    assert fresh.publisher_left_at is None
    assert fresh.viewers_left_at == fresh.created_at
    await stage.publish(KEY)
    watching = stage.watch(stream)
    assert stream_view(stream).viewers_left_at is None
    stage.unpublish(stream)
    stage.leave(stream, watching)
    left = stream_view(stream)
    assert left.publisher_left_at is not None
    assert left.viewers_left_at is not None
    assert left.viewers_left_at >= left.created_at
    await stage.publish(KEY)
    assert stream_view(stream).publisher_left_at is None


async def test_a_viewer_that_stays_waits_as_long_as_it_takes(stage: Any) -> None:
    stream = stage.registry.stream(KEY, "")
    patient, other = stage.watch(stream), stage.watch(stream)
    patient.session.stays = True
    for published in (False, True):
        if published:
            await stage.publish(KEY)
            stage.unpublish(stream)
        stream.tick(trio.current_time() + 3600)
        assert patient.viewer.end_reason == ""
    assert other.viewer.end_reason == "nobody published"
    assert patient.viewer.state is ViewerState.WAITING


async def test_changes_wake_whoever_waits(stage: Any, nursery: trio.Nursery) -> None:
    registry = stage.registry
    seen = await registry.wait_changed(-1)
    woken = []

    async def listen() -> None:
        count = seen
        while True:
            count = await registry.wait_changed(count)
            woken.append(count)

    nursery.start_soon(listen)
    await trio.testing.wait_all_tasks_blocked()
    session = stage.session()
    registry.enter(session)
    registry.reserve(KEY)
    await trio.testing.wait_all_tasks_blocked()
    assert len(woken) == 1
    registry.leave(session, error=False)
    await trio.testing.wait_all_tasks_blocked()
    assert len(woken) == 2
    before = len(woken)
    stream = await stage.publish(KEY)
    await trio.testing.wait_all_tasks_blocked()
    assert len(woken) == before + 1
    before = len(woken)
    # A track is news for the next tick.
    stream.announce(stage.picture("A", 0).track, trio.current_time())
    await registry.tick(trio.current_time())
    await trio.testing.wait_all_tasks_blocked()
    assert len(woken) == before + 1
