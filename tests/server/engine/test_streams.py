"""Streams and outlets: who sees what, from when, and until when."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from penstock.engine.outlet import Outlet, RingLimits
from penstock.engine.session import StreamKey
from penstock.engine.stream import Stream, StreamPolicy
from penstock.engine.unit import Conversions, Form, Unit
from penstock.engine.viewer import ViewerState
from penstock.media import Frame, Track, TrackKind

VIDEO = Track(0, TrackKind.VIDEO, None, 1000)
DATA = Track(0, TrackKind.DATA, None, 1000)
FORM = Form("text")
KEY = StreamKey("default", "live", "a")

settle = trio.testing.wait_all_tasks_blocked


# -- rings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "payloads", "kept"),
    [
        (RingLimits(seconds=100), "A b c D e", "A b c D e"),
        (RingLimits(seconds=0.08), "A b c D e f", "D e f"),
        (RingLimits(seconds=0.08), "A b c d e f", "A b c d e f"),
        (RingLimits(seconds=0.09, keep_group=False), "A b c d e f", "d e f"),
        (RingLimits(seconds=0.2), "A b c D e f", "A b c D e f"),
        (RingLimits(max_bytes=500), "A b c D e f", "e f"),
        (RingLimits(max_bytes=1), "A b", "b"),
        (RingLimits(max_bytes=1), "A", "A"),
    ],
)
async def test_a_ring_keeps_what_its_limits_say(
    stage: Any, limits: RingLimits, payloads: str, kept: str
) -> None:
    outlet = Outlet(FORM, stage.letters(), limits)
    for number, payload in enumerate(payloads.split()):
        outlet.push(stage.picture(payload, number * 40))
    units = [outlet.unit(i).data.decode() for i in range(outlet.first, outlet.end)]
    assert units == kept.split()
    key = None if outlet.key is None else outlet.unit(outlet.key).data.decode()
    newest = next((unit for unit in reversed(units) if unit.isupper()), None)
    assert key == newest


async def test_octets_before_a_unit_are_known_wherever_it_is(stage: Any) -> None:
    outlet = Outlet(FORM, stage.letters(), RingLimits(max_bytes=500))
    for payload in ("A", "bb", "ccc", "dddd"):
        outlet.push(stage.picture(payload))
    assert [outlet.offset(i) for i in (2, 3, 4, 9)] == [3, 6, 10, 10]


# -- joining ------------------------------------------------------------------------


async def test_a_viewer_starts_with_the_cached_group(stage: Any) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b C d")
    watching = stage.watch(stream)
    await settle()
    stage.push(stream, "e")
    assert watching.seen == "<[C]Cde"


async def test_a_viewer_of_an_open_outlet_starts_with_the_newest_key(
    stage: Any,
) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b")
    stage.watch(stream)
    stage.push(stream, "C d", at_ms=80)
    late = stage.watch(stream)
    await settle()
    assert late.seen == "<[C]Cd"


async def test_a_viewer_before_the_first_key_waits_for_it(stage: Any) -> None:
    stream = await stage.publish()
    stage.push(stream, "a b")
    watching = stage.watch(stream)
    stage.push(stream, "c", at_ms=80)
    await settle()
    assert watching.state() is ViewerState.WAITING
    stage.push(stream, "D e", at_ms=120)
    await settle()
    assert watching.seen == "<[D]De"


async def test_without_the_cache_a_viewer_waits_for_the_next_key(stage: Any) -> None:
    stage.registry.policy = StreamPolicy(gop_cache=False)
    stream = await stage.publish()
    stage.push(stream, "A b")
    early, late = stage.watch(stream), None
    stage.push(stream, "c D e", at_ms=80)
    late = stage.watch(stream)
    await settle()
    stage.push(stream, "f G h", at_ms=200)
    await settle()
    assert early.seen == "<[D]DefGh"
    assert late.seen == "<[G]Gh"
    assert stream.cache == []


async def test_the_first_sounds_of_a_publication_are_not_cut_off(stage: Any) -> None:
    stream = await stage.publish()
    watching = stage.watch(stream)
    for time in 0, 23:
        stream.push(stage.sound("s", time))
    stage.push(stream, "A", at_ms=40)
    await settle()
    assert watching.seen == "<[A]ssA"


async def test_sounds_before_the_picture_a_viewer_starts_with_are_left_out(
    stage: Any,
) -> None:
    stream = await stage.publish()
    stage.watch(stream)
    stage.push(stream, "A b")
    stage.push(stream, "C", at_ms=80)
    stream.push(stage.sound("late", 60))
    stream.push(stage.sound("good", 90))
    watching = stage.watch(stream)
    await settle()
    assert watching.seen == "<[C]Cgood"


async def test_a_paused_viewer_goes_on_with_a_key(stage: Any) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    assert watching.seen == "<[A]Ab"
    stream.pause(watching.viewer, trio.current_time())
    stage.push(stream, "c D e", at_ms=80)
    assert watching.seen == ""
    stream.attach(watching.viewer, FORM, watching.session, trio.current_time())
    await settle()
    stage.push(stream, "f", at_ms=200)
    assert watching.seen == "[D]Def"
    assert watching.viewer.dropped == 0


async def test_a_viewer_paused_while_it_is_behind_starts_anew(stage: Any) -> None:
    stage.registry.policy = StreamPolicy(gop_cache=False)
    stream = await stage.publish()
    watching = stage.watch(stream)
    watching.viewer.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream.push(stage.picture("A" * 100_000))
    await settle()
    assert watching.state() is ViewerState.BEHIND
    stream.pause(watching.viewer, trio.current_time())
    stream.attach(watching.viewer, FORM, watching.session, trio.current_time())
    got = ""
    while len(got) < 200_000:
        got += watching.seen
        await settle()
    assert watching.state() is ViewerState.WAITING
    stage.push(stream, "b C", at_ms=80)
    await settle()
    assert watching.seen == "[C]C"


# -- publications -------------------------------------------------------------------


async def test_viewers_stay_while_the_publisher_comes_back(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    stage.unpublish(stream)
    await trio.sleep(9)
    stream.tick(trio.current_time())
    again = await stage.publish()
    assert again is stream
    assert stage.converters[0].epochs == 1
    stage.push(stream, "C d")
    await settle()
    assert watching.seen == "<[A]AbCd"
    assert stream.publication is not None
    assert stream.publication.epoch == 2


async def test_nobody_starts_with_the_pictures_of_a_publisher_that_left(
    stage: Any,
) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b")
    first = stage.watch(stream)
    await settle()
    stage.unpublish(stream)
    late = stage.watch(stream)
    await settle()
    assert late.state() is ViewerState.WAITING
    await stage.publish()
    stage.push(stream, "c D")
    await settle()
    assert late.seen == "<[D]D"
    assert first.seen == "<[A]AbcD"


@pytest.mark.parametrize("merge_s", [0.0, 1.0])
async def test_viewers_get_what_a_converter_has_when_the_publisher_leaves(
    stage: Any, autojump_clock: trio.testing.MockClock, merge_s: float
) -> None:
    stage.registry.policy = StreamPolicy(merge_s=merge_s)
    stream = await stage.publish()
    watching = stage.watch(stream, Form("rtmp"))
    stage.push(stream, "A b")
    stage.converters[0].rest = [Unit(b"(rest)", 0.08, kind=TrackKind.AUDIO)]
    stage.unpublish(stream)
    await stage.publish()
    stage.push(stream, "C")
    await trio.sleep(1.5 * merge_s)
    await settle()
    assert watching.seen == "<[A]Ab(rest)C"


async def test_what_comes_at_the_end_starts_those_who_wait_and_nobody_later(
    stage: Any,
) -> None:
    stream = await stage.publish()
    first = stage.watch(stream)
    stage.converters[0].rest = [Unit(b"K", 0.0, True, b"[k]", TrackKind.VIDEO)]
    stage.unpublish(stream)
    late = stage.watch(stream)
    await settle()
    assert first.seen == "<[k]K"
    assert late.state() is ViewerState.WAITING


async def test_viewers_end_some_time_after_their_publisher(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    stage.unpublish(stream)
    await trio.sleep(10.5)
    stream.tick(trio.current_time())
    await watching.over.wait()
    assert watching.reason == "publisher left"
    assert watching.seen == "<[A]Ab"


async def test_viewers_of_a_stream_nobody_publishes_end(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = stage.registry.stream(KEY, "")
    watching = stage.watch(stream)
    await trio.sleep(59)
    stream.tick(trio.current_time())
    await settle()
    assert not watching.is_over()
    await trio.sleep(2)
    stream.tick(trio.current_time())
    await watching.over.wait()
    assert watching.reason == "nobody published"
    stage.leave(stream, watching)
    assert stage.registry.streams == {}


async def test_a_viewer_that_gets_nothing_of_a_live_stream_ends(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    watching = stage.watch(stream)
    for second in range(62):
        stream.push(stage.sound("s", second * 1000))
        await trio.sleep(1)
        stream.tick(trio.current_time())
    await watching.over.wait()
    assert watching.reason == "the stream has nothing to start with"


async def test_all_that_was_pushed_is_written_before_a_viewer_ends(
    stage: Any,
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage.registry.policy = StreamPolicy(merge_s=1.0)
    stream = await stage.publish()
    watching = stage.watch(stream, Form("rtmp"))
    stage.push(stream, "A")
    await settle()
    stage.push(stream, "b c d")
    watching.viewer.finish("over")
    await watching.over.wait()
    assert watching.seen == "<[A]Abcd"
    stage.push(stream, "e")
    await trio.sleep(5)
    assert watching.seen == "", "the wire is its owner's again"


# -- converters that fail -----------------------------------------------------------


@pytest.mark.parametrize("step", ["convert", "announce", "metadata", "finish", "begin"])
async def test_a_failing_converter_ends_its_outlet_alone(
    stage: Any, step: str, log_lines: Callable[[], list[str]]
) -> None:
    stream = await stage.publish()
    stage.push(stream, "A")
    bad, good = stage.watch(stream), stage.watch(stream, Form("text", "chunked"))
    await settle()
    stage.converters[0].fails = step
    now = trio.current_time()
    if step in ("finish", "begin"):
        stage.unpublish(stream)
        await stage.publish()
    stream.announce(VIDEO, now)
    stream.set_metadata({"title": "m"}, now)
    stage.push(stream, "b")
    await bad.over.wait()
    assert bad.reason == "the stream cannot be converted"
    assert good.seen == "<[A]Amb"
    assert stream.is_claimed
    assert list(stream.outlets) == [Form("text", "chunked")]
    assert len([line for line in log_lines() if "converter failed" in line]) == 1


async def test_a_viewer_of_a_form_that_fails_at_once_ends(stage: Any) -> None:
    stream = await stage.publish()
    stage.push(stream, "A")

    broken = stage.letters()
    broken.fails = "convert"

    stream = Stream(
        KEY,
        StreamPolicy(),
        conversions=Conversions(
            lambda form: broken, lambda track: None, lambda track, codec: None
        ),
        start_task=lambda task, name: lambda: None,
        created_at=0,
        tc_url="",
    )
    stream.publish(stage.session(), 0)
    stage.push(stream, "A")
    watching = stage.watch(stream)
    await watching.over.wait()
    assert watching.reason == "the stream cannot be converted"
    assert stream.outlets == {}


async def test_a_form_that_ends_lets_its_viewers_go(stage: Any) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    stage.push(stream, "END")
    await watching.over.wait()
    assert watching.reason == "the form ended"
    assert watching.seen == "<[A]AbEND"
    again = stage.watch(stream)
    await settle()
    assert again.reason == "the form ended"  # the cache still has that frame
    stage.push(stream, "F")
    anew = stage.watch(stream)
    await settle()
    assert anew.seen == "<[F]F"


# -- memory -------------------------------------------------------------------------


async def test_an_outlet_without_viewers_goes_after_ten_seconds(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    stage.push(stream, "A")
    watching = stage.watch(stream)
    await settle()
    stage.leave(stream, watching)
    await trio.sleep(9)
    stage.push(stream, "b")
    assert len(stream.outlets) == 1
    await trio.sleep(2)
    stage.push(stream, "c")
    assert stream.outlets == {}


async def test_the_cache_is_released_with_the_publication(stage: Any) -> None:
    stream = await stage.publish()
    stage.push(stream, "A b c")
    assert len(stream.cache) == 3
    stage.watch(stream)
    stage.unpublish(stream)
    assert stream.cache == []
    assert stream.cache_bytes == 0


async def test_a_group_too_long_for_the_cache_is_not_kept_in_part(
    stage: Any,
) -> None:
    stage.registry.policy = StreamPolicy(cache_max_bytes=1_500)
    stream = await stage.publish()
    stage.push(stream, "A b c d e f g")
    assert stream.cache == []
    stage.push(stream, "H i")
    assert [f.payload for f in stream.cache] == [b"H", b"i"]


async def test_empty_frames_do_not_fill_the_cache(stage: Any) -> None:
    stage.registry.policy = StreamPolicy(cache_max_bytes=100_000)
    stream = await stage.publish()
    for _ in range(2_000):
        stream.push(Frame(DATA, 0, 0, b""))
    assert len(stream.cache) < 1_000


async def test_without_video_the_cache_holds_two_seconds(
    stage: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    for number in range(50):
        stream.push(stage.sound("s", number * 100))
        await trio.sleep(0.1)
    assert len(stream.cache) <= 21


async def test_a_stream_is_forgotten_with_its_last_user(stage: Any) -> None:
    stream = await stage.publish()
    watching = stage.watch(stream)
    stage.push(stream, "A")
    stage.unpublish(stream)
    assert stage.registry.streams == {KEY: stream}
    stage.leave(stream, watching)
    assert stage.registry.streams == {}
    assert stage.registry.streams_by_id == {}
    assert stream.outlets == {}
    assert stream.viewers == {}
