"""The registry: who may publish, and what is counted and forgotten."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from penstock.engine.registry import Refusal
from penstock.engine.session import Role, Session, StreamKey
from penstock.engine.stream import Publication
from penstock.net.wire import Wire

KEY = StreamKey("default", "live", "a")

settle = trio.testing.wait_all_tasks_blocked


async def test_a_second_publisher_is_refused(stage: Any) -> None:
    stream = await stage.publish()
    with pytest.raises(Refusal, match="has a publisher already"):
        await stage.publish()
    assert stream.is_claimed


async def test_a_second_publisher_may_take_over(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stage.registry.replace_publisher = True
    stream = await stage.publish()
    assert stream.publication is not None
    first: Publication = stream.publication
    stage.watch(stream)

    async def leave_when_kicked() -> None:
        with first.session.scope:
            await trio.sleep_forever()
        stage.registry.unclaim(first)

    stage.nursery.start_soon(leave_when_kicked)
    await settle()
    assert await stage.publish() is stream
    assert stream.publication is not None
    assert stream.publication is not first
    assert first.session.end_reason == "replaced by another publisher"


async def test_of_two_that_take_over_each_gets_its_turn(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stage.registry.replace_publisher = True
    stream = await stage.publish()
    stage.watch(stream)
    published = 0

    async def take_over() -> None:
        nonlocal published
        session: Session = stage.session()
        with session.scope:
            await stage.registry.claim(session, KEY)
            published += 1
            await trio.sleep_forever()
        assert stream.publication is not None
        stage.registry.unclaim(stream.publication)

    first = stream.publication
    assert first is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_over)
        nursery.start_soon(take_over)
        await settle()
        stage.registry.unclaim(first)
        await settle()
        assert published == 2
        nursery.cancel_scope.cancel()


async def test_a_former_publisher_that_stays_keeps_the_stream(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stage.registry.replace_publisher = True
    await stage.publish()
    with pytest.raises(Refusal, match="does not leave"):
        await stage.publish()


async def test_streams_are_limited(stage: Any) -> None:
    stage.registry.max_streams = 1
    await stage.publish()
    with pytest.raises(Refusal, match="too many streams"):
        await stage.publish(StreamKey("default", "live", "b"))


async def test_who_waits_keeps_no_publisher_out(stage: Any) -> None:
    registry = stage.registry
    registry.max_streams = 2
    keys = [StreamKey("default", "live", name) for name in "wxyz"]
    for key in keys[:2]:
        registry.reserve(key)
    with pytest.raises(Refusal, match="too many streams"):
        registry.stream(keys[2], "")
    await stage.publish(keys[2])
    await stage.publish(keys[0])
    with pytest.raises(Refusal, match="too many streams"):
        await stage.publish(keys[1])
    assert registry.stream(keys[1], "") is registry.streams[keys[1]]


async def test_totals_never_go_back(stage: Any) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b")
    watching = stage.watch(stream)
    stage.registry.enter(watching.session)
    await settle()
    sent = stage.registry.bytes_sent
    assert sent == stream.total_sent == len("<[A]Ab")
    stage.leave(stream, watching)
    stage.registry.leave(watching.session, error=False)
    assert stage.registry.bytes_sent == stream.total_sent == sent


async def test_octets_count_for_the_publication_they_came_in(stage: Any) -> None:
    session = stage.session()
    ours, _ = stage.pair()
    session.wire = wire = Wire(ours)
    wire.bytes_received = 100
    first = await stage.registry.claim(session, KEY)
    stream = session.stream
    assert stream is not None
    stage.watch(stream)
    wire.bytes_received = 150
    assert stream.total_received == 50
    stage.registry.unclaim(first)
    wire.bytes_received = 170
    await stage.registry.claim(session, KEY)
    wire.bytes_received = 175
    assert stream.total_received == 55
    assert session.role is Role.PUBLISH


async def test_ticking_forgets_what_nobody_uses(stage: Any) -> None:
    stage.registry.stream(KEY, "")
    await stage.registry.tick(trio.current_time())
    assert stage.registry.streams == {}
