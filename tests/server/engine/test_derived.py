"""Tracks in another codec: their worker begins, works and ends."""

from __future__ import annotations

import gc
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from sansmedia.codecs import Codec

from penstock.engine.derived import DerivedTracks
from penstock.engine.unit import Unit
from penstock.media import Frame, Track, TrackKind

_AAC = Track(0, TrackKind.AUDIO, Codec.AAC, 48_000)
_OPUS = Track(0, TrackKind.AUDIO, Codec.OPUS, 48_000)
LAST = Frame(_OPUS, 0, 0, b"last")


class _Slow:
    """Stands still at its first frame until it may go on."""

    track = _OPUS
    damaged = 0

    def __init__(self) -> None:
        self.taken = 0
        self.finished = 0
        self.began = threading.Event()
        self.may_go_on = threading.Event()

    def convert(self, frames: Iterable[Frame]) -> list[Frame]:
        made = []
        for frame in frames:
            self.taken += 1
            made.append(frame)
            self.began.set()
            self.may_go_on.wait(10)
        return made

    def finish(self) -> list[Frame]:
        self.finished += 1
        return [LAST]

    def request_key_frame(self) -> None:
        """Not asked."""


class _Broken(_Slow):
    def convert(self, frames: Iterable[Frame]) -> list[Frame]:
        raise RuntimeError("a bug")


class _BrokenAtTheEnd(_Slow):
    def finish(self) -> list[Frame]:
        raise RuntimeError("a bug")


class _Echo(_Slow):
    """Gives back what it gets, the last one when the end is told."""

    track = Track(0, TrackKind.AUDIO, Codec.AAC, 1_000)

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Frame] = []

    def convert(self, frames: Iterable[Frame]) -> list[Frame]:
        self._held += [attrs.evolve(frame, track=self.track) for frame in frames]
        *made, last = self._held
        self._held = [last]
        return made

    def finish(self) -> list[Frame]:
        return self._held


class _Tracks:
    """Derived tracks of one stream, and what they give."""

    def __init__(self, nursery: trio.Nursery, transcoder: _Slow) -> None:
        self._nursery = nursery
        self.given: list[Frame] = []
        self.given_at_end: list[int] = []
        """How many, whenever it was told that these were all."""
        self.tracks = DerivedTracks(lambda source, to: transcoder, self._start, "a")
        self.tracks.track_for(_AAC, Codec.OPUS, self._take)

    def _take(self, source: Track, codec: Codec, frames: list[Frame]) -> None:
        assert source is _AAC
        assert codec is Codec.OPUS
        self.given += frames

    def finish(self) -> None:
        self.tracks.finish(lambda: self.given_at_end.append(len(self.given)))

    def _start(
        self, task: Callable[[], Awaitable[None]], name: str
    ) -> Callable[[], None]:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await task()

        self._nursery.start_soon(run)
        return scope.cancel

    def feed(self, count: int) -> None:
        for n in range(count):
            self.tracks.feed(Frame(_AAC, n * 1_024, n * 1_024, b"x"))


async def test_a_worker_that_is_stopped_does_not_finish_its_backlog() -> None:
    """A thread cannot be cancelled, and eight seconds of pictures take a busy machine
    longer than a stopping server has."""
    slow = _Slow()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            tracks = _Tracks(nursery, slow)
            tracks.feed(200)
            await trio.to_thread.run_sync(slow.began.wait)
            tracks.tracks.keep(())
            slow.may_go_on.set()
    assert slow.taken == 1
    assert tracks.given == []  # they may belong to a publication that is over


async def test_at_the_end_all_is_given_that_there_is() -> None:
    slow = _Slow()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            tracks = _Tracks(nursery, slow)
            tracks.feed(3)
            await trio.to_thread.run_sync(slow.began.wait)
            tracks.feed(2)
            tracks.finish()
            tracks.feed(7)  # of nobody
            assert tracks.given == []
            slow.may_go_on.set()
    assert slow.taken == 5
    assert len(tracks.given) == 6
    assert tracks.given[-1] is LAST
    assert tracks.given_at_end == [6]


async def test_a_worker_that_has_nothing_to_do_gives_its_last() -> None:
    slow = _Slow()
    slow.may_go_on.set()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            tracks = _Tracks(nursery, slow)
            tracks.feed(1)
            while not tracks.given:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            tracks.finish()
    assert tracks.given[1:] == [LAST]
    assert tracks.given_at_end == [2]


async def test_a_worker_far_behind_gives_nothing_more_at_the_end() -> None:
    slow = _Slow()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            tracks = _Tracks(nursery, slow)
            tracks.feed(20)
            await trio.to_thread.run_sync(slow.began.wait)
            tracks.feed(20)
            tracks.finish()
            slow.may_go_on.set()
    assert slow.taken == 1
    assert not slow.finished
    assert tracks.given == []
    assert tracks.given_at_end == []


async def test_the_last_of_a_publication_does_not_come_in_the_next() -> None:
    slow = _Slow()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            tracks = _Tracks(nursery, slow)
            tracks.feed(3)
            await trio.to_thread.run_sync(slow.began.wait)
            tracks.finish()
            tracks.tracks.stop()
            slow.may_go_on.set()
    assert tracks.given == []
    assert tracks.given_at_end == []


async def test_a_worker_that_fails_at_the_end_keeps_nobody_waiting(
    log_lines: Callable[[], list[str]],
) -> None:
    broken = _BrokenAtTheEnd()
    broken.may_go_on.set()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            tracks = _Tracks(nursery, broken)
            tracks.feed(1)
            tracks.finish()
    assert tracks.given_at_end == [1]
    assert len([1 for line in log_lines() if "cannot be converted" in line]) == 1


@pytest.mark.parametrize("returns", [False, True])
async def test_viewers_get_the_last_of_it_unless_the_publisher_is_back(
    stage: Any, returns: bool
) -> None:
    echo = _Echo()
    stage.transcoders.append(echo)
    opus = Track(0, TrackKind.AUDIO, Codec.OPUS, 1_000)
    stream = await stage.publish()
    stream.announce(opus, 0)
    stage.push(stream, "A")
    watching = stage.watch(stream)
    for n, payload in enumerate((b"x", b"y", b"z")):
        stream.push(Frame(opus, n, n, payload, random_access=True))
    seen = ""
    with trio.fail_after(60):
        while seen != "<[A]Axy":
            await trio.lowlevel.checkpoint()
            seen += watching.seen
    stage.unpublish(stream)
    # What the converter keeps of the last sounds comes too.
    stage.converters[0].rest = [Unit(b"(rest)", 0.0)]
    if returns:
        await stage.publish()
        stage.push(stream, "B")
    expected, seen = "B" if returns else "z(rest)", ""
    with trio.fail_after(60):
        while seen != expected:
            await trio.lowlevel.checkpoint()
            seen += watching.seen
    await trio.testing.wait_all_tasks_blocked()
    assert watching.seen == ""


async def test_a_worker_that_fails_ends_its_track_and_keeps_no_frames(
    log_lines: Callable[[], list[str]],
) -> None:
    async with trio.open_nursery() as nursery:
        tracks = _Tracks(nursery, _Broken())
        tracks.feed(1)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(60):
            while not any("cannot be converted" in line for line in log_lines()):
                await trio.lowlevel.checkpoint()
        # Other tests may have left some that nobody has collected yet.
        before = sum(isinstance(one, Frame) for one in gc.get_objects())
        tracks.feed(200)
        kept = sum(isinstance(one, Frame) for one in gc.get_objects())
        assert kept - before < 10
