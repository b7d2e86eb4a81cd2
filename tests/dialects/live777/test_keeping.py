"""The strategy, and cascades."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from penstock.control import Conflict, Unavailable
from penstock.dialects.live777.keeper import Keeper
from penstock.settings import Live777Strategy

Make = Callable[..., Any]

JSON = {"Content-Type": "application/json"}
NOW = 1_795_201_763.25


def _keeper(control: Any, now: float, **rules: Any) -> Keeper:
    return Keeper(control, lambda: Live777Strategy(**rules), lambda: now)


# -- the strategy --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left_at", "rule", "gone"),
    [
        (NOW - 5.0, 5_000, False),  # not longer ago than it says
        (NOW - 5.001, 5_000, True),
        (NOW - 0.001, 0, True),
        (NOW - 9_000.0, -1, False),
        (None, 0, False),
    ],
)
async def test_a_stream_is_deleted_so_long_after_its_publisher_left(
    fake: Make, make_stream: Make, left_at: float | None, rule: int, gone: bool
) -> None:
    stream = make_stream(
        reserved=True,
        publisher_active=False,
        publisher_left_at=left_at,
        viewers_left_at=None,
    )
    control = fake([stream])
    await _keeper(control, NOW, auto_delete_whip=rule).tick()
    assert control.destroyed == ([(stream.id, "auto delete")] if gone else [])


async def test_a_stream_that_never_had_a_subscriber_counts_from_its_beginning(
    fake: Make, make_stream: Make
) -> None:
    control = fake([make_stream(reserved=True, viewers_left_at=NOW)])
    await _keeper(control, NOW + 60.0, auto_delete_whep=60_000).tick()
    assert control.destroyed == []
    await _keeper(control, NOW + 60.1, auto_delete_whep=60_000).tick()
    assert len(control.destroyed) == 1


async def test_streams_of_other_protocols_are_not_deleted(
    fake: Make, make_stream: Make
) -> None:
    control = fake([make_stream(reserved=False)])
    await _keeper(control, NOW + 3600, auto_delete_whep=0).tick()
    assert control.destroyed == []


async def test_the_strategy_is_looked_at_once_a_second(
    fake: Make, make_stream: Make, autojump_clock: trio.testing.MockClock
) -> None:
    control = fake([make_stream(reserved=True)])
    with trio.move_on_after(3.5):
        await _keeper(control, NOW, auto_delete_whip=0).run()
    assert control.asked == 3


async def test_without_a_rule_nobody_asks_for_the_streams(fake: Make) -> None:
    control = fake()
    await _keeper(control, NOW).tick()
    assert control.asked == 0


# -- cascades ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{}", "src and dst cannot be empty at the same time"),
        (
            '{"token":"","sourceUrl":"","targetUrl":""}',
            "src and dst cannot be empty at the same time",
        ),
        (
            '{"sourceUrl":"http://a","targetUrl":"http://b"}',
            "src and dst cannot be non-empty at the same time",
        ),
    ],
)
async def test_a_cascade_goes_one_way(api: Make, body: str, text: str) -> None:
    site = api()
    answer = await site.client.post("/api/cascade/x", content=body, headers=JSON)
    assert (answer.status_code, answer.text) == (500, text)
    assert site.control.cascades == []


async def test_a_pull_makes_the_stream_and_passes_the_token_as_it_is(
    api: Make,
) -> None:
    site = api()
    body = '{"token":"Bearer t","sourceUrl":"http://b/whep/x","targetUrl":""}'
    answer = await site.client.post("/api/cascade/x", content=body, headers=JSON)
    assert (answer.status_code, answer.text) == (200, "")
    assert site.control.cascades == [
        ("pull", ("default", "live", "x"), "http://b/whep/x", "Bearer t")
    ]
    assert [view.name for view in site.control.stream_views] == ["x"]


async def test_a_pull_that_fails_leaves_no_stream(api: Make) -> None:
    site = api()
    body = '{"sourceUrl":"http://b/whep/x"}'
    for error, status, text in (
        (Unavailable("404 there"), 500, "404 there"),
        (Conflict("busy"), 409, "A connection has already been established"),
    ):
        site.control.cascade_answer = error
        answer = await site.client.post("/api/cascade/x", content=body, headers=JSON)
        assert (answer.status_code, answer.text) == (status, text)
        assert site.control.stream_views == []


async def test_a_pull_into_nothing_needs_auto_creation(api: Make) -> None:
    site = api(strategy={"auto_create_whip": False})
    body = '{"sourceUrl":"http://b/whep/x"}'
    answer = await site.client.post("/api/cascade/x", content=body, headers=JSON)
    assert (answer.status_code, answer.text) == (404, "stream not exists")


async def test_a_push_needs_the_stream(
    api: Make, fake: Make, make_stream: Make
) -> None:
    body = '{"targetUrl":"http://b/whip/x"}'
    site = api(fake([make_stream()]))
    answer = await site.client.post("/api/cascade/y", content=body, headers=JSON)
    assert (answer.status_code, answer.text) == (404, "stream not exists")
    answer = await site.client.post("/api/cascade/x", content=body, headers=JSON)
    assert (answer.status_code, answer.text) == (200, "")
    assert site.control.cascades == [
        ("push", ("default", "live", "x"), "http://b/whip/x", "")
    ]


async def test_a_push_may_end_the_subscribers_here(
    api: Make, fake: Make, make_stream: Make, make_session: Make, make_player: Make
) -> None:
    sessions = [
        make_session(),
        make_player(),
        make_session("c" * 32, "play"),  # the push itself
        make_session("d" * 32, "play", target_url="http://c/whip/x"),
        make_session("e" * 32, "play", name="y"),
    ]
    control = fake([make_stream()], sessions)
    site = api(control, strategy={"cascade_push_close_sub": True})
    body = '{"targetUrl":"http://b/whip/x"}'
    await site.client.post("/api/cascade/x", content=body, headers=JSON)
    assert [session for session, _ in control.kicked] == [make_player().id]
