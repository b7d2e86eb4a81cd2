"""Tracks in another codec: their worker begins, works and ends."""

from __future__ import annotations

import gc
import threading
from collections.abc import Awaitable, Callable, Iterable

import trio
import trio.testing
from sansmedia.codecs import Codec

from penstock.engine.derived import DerivedTracks, Need
from penstock.media import Frame, Track, TrackKind

_AAC = Track(0, TrackKind.AUDIO, Codec.AAC, 48_000)
_OPUS = Track(0, TrackKind.AUDIO, Codec.OPUS, 48_000)


class _Slow:
    """Stands still at its first frame until it may go on."""

    track = _OPUS
    damaged = 0

    def __init__(self) -> None:
        self.taken = 0
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

    def request_key_frame(self) -> None:
        """Not asked."""


class _Broken(_Slow):
    def convert(self, frames: Iterable[Frame]) -> list[Frame]:
        raise RuntimeError("a bug")


class _Tracks:
    """Derived tracks of one stream, and what they give."""

    def __init__(self, nursery: trio.Nursery, transcoder: _Slow) -> None:
        self._nursery = nursery
        self.given: list[Frame] = []
        self.tracks = DerivedTracks(lambda source, to: transcoder, self._start, "a")
        self.tracks.track_for(_AAC, Codec.OPUS, self._take)

    def _take(self, need: Need, frames: list[Frame]) -> None:
        self.given += frames

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
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            tracks = _Tracks(nursery, slow)
            tracks.feed(200)
            await trio.to_thread.run_sync(slow.began.wait)
            tracks.tracks.keep(())
            slow.may_go_on.set()
    assert slow.taken == 1
    assert tracks.given == []  # they may belong to a publication that is over


async def test_a_worker_that_fails_ends_its_track_and_keeps_no_frames(
    log_lines: Callable[[], list[str]],
) -> None:
    async with trio.open_nursery() as nursery:
        tracks = _Tracks(nursery, _Broken())
        tracks.feed(1)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5):
            while not any("cannot be converted" in line for line in log_lines()):
                await trio.lowlevel.checkpoint()
        tracks.feed(200)
        kept = [one for one in gc.get_objects() if isinstance(one, Frame)]
        assert len(kept) < 10
