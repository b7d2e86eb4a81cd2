"""Tracks in another codec, made once per stream, only while somebody needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Protocol, TypeAlias

import trio
from sansmedia.codecs import Codec

from penstock import log
from penstock.media import Frame, Track, TrackKind

__all__ = ["DerivedTracks", "Need", "Transcoder"]

Need: TypeAlias = tuple[TrackKind, Codec]
"""Which main track, and the codec that it is needed in."""

_MAX_AT_END = 25
"""Frames that are still worked on when the publication is over: half a second of sound,
one of pictures. More of them would hold up a server that is to stop."""
_MAX_WAITING = 256
"""Frames that wait for the worker: five seconds of sound, eight of pictures."""
_WORKERS = trio.CapacityLimiter(4)


class Transcoder(Protocol):
    """Frames of one track into frames of another; blocks, so it runs in a thread."""

    track: Track
    damaged: int

    def convert(self, frames: Iterable[Frame]) -> list[Frame]:
        """Return what these frames make."""
        ...

    def finish(self) -> list[Frame]:
        """No frame follows: return what was waiting for more."""
        ...

    def request_key_frame(self) -> None:
        """Let decoding start with the next picture; may be called by any thread."""
        ...


class _Derived:
    """One track in another codec.

    Args:
        transcoder: Does the work.
        deliver: Takes what comes out, on the loop.
        done: Called when all is given that there was at the end.
        stream: For the log.
    """

    def __init__(
        self,
        source: Track,
        target: Codec,
        transcoder: Transcoder,
        deliver: Callable[[list[Frame]], None],
        done: Callable[[_Derived], None],
        stream: str,
    ) -> None:
        self.source = source
        self.target = target
        self.transcoder = transcoder
        self.track = transcoder.track
        self.dropped = 0
        """Frames that came while the worker was too far behind."""
        self._deliver = deliver
        self._done = done
        self._stream = stream
        self._waiting: deque[Frame] = deque()
        self._at_work = 0
        """Frames that the worker has."""
        self._ended = False
        self._stopped = False
        self._wake = trio.Event()

    def feed(self, frame: Frame) -> None:
        """Take a frame of the source. Never waits."""
        if self._stopped or self._ended:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(frame)
        self._wake.set()

    def stop(self) -> None:
        """Take and give nothing more; a worker ends after the frame at hand."""
        self._stopped = True
        self._waiting.clear()

    def end(self) -> bool:
        """Take nothing more, and give what is left; False if that would take long."""
        if self._stopped or self._at_work + len(self._waiting) > _MAX_AT_END:
            return False
        self._ended = True
        self._wake.set()
        return True

    def _until_stopped(self, frames: list[Frame]) -> Iterator[Frame]:
        """Yield frames in the worker, which nothing else can end.

        Many that wait take a busy machine longer than a stopping server has.
        """
        for frame in frames:
            if self._stopped:
                return
            yield frame

    async def run(self) -> None:
        """Work until cancelled; a failure ends this track, not the stream."""
        try:
            while not self._ended or self._waiting:
                await self._wake.wait()
                self._wake = trio.Event()
                if self._waiting:
                    frames = list(self._waiting)
                    self._waiting.clear()
                    self._at_work = len(frames)
                    given = self._until_stopped(frames)
                    await self._work(partial(self.transcoder.convert, given))
                    self._at_work = 0
            await self._work(self.transcoder.finish)
        except Exception as error:
            self.stop()
            log.exception(
                "track cannot be converted",
                error,
                stream=self._stream,
                kind=self.source.kind.value,
                to=self.target.value,
            )
        if self._ended:
            self._done(self)

    async def _work(self, step: Callable[[], list[Frame]]) -> None:
        made = await trio.to_thread.run_sync(step, limiter=_WORKERS)
        if made and not self._stopped:
            self._deliver(made)


class DerivedTracks:
    """All that one stream's main tracks have been turned into.

    Args:
        make: Gives what does the work; None if nothing can.
        start_task: Starts a task of the stream and returns what stops it.
        stream: For the log.
    """

    def __init__(
        self,
        make: Callable[[Track, Codec], Transcoder | None],
        start_task: Callable[[Callable[[], Awaitable[None]], str], Callable[[], None]],
        stream: str,
    ) -> None:
        self._make = make
        self._start_task = start_task
        self._stream = stream
        self._running: dict[Need, tuple[_Derived, Callable[[], None]]] = {}
        self._ending: dict[_Derived, Callable[[], None]] = {}
        """What has to give its last, and what stops it."""
        self._ended: Callable[[], None] | None = None

    def track_for(
        self,
        source: Track,
        target: Codec,
        deliver: Callable[[Track, Codec, list[Frame]], None],
    ) -> Track | None:
        """Return what ``source`` is in another codec, and begin to make it.

        Args:
            source: A main track.
            target: What is needed.
            deliver: Takes what comes out of which track in which codec.
        """
        need = source.kind, target
        running = self._running.get(need)
        if running is not None:
            if running[0].source is source:
                return running[0].track
            self._stop(need)
        transcoder = self._make(source, target)
        if transcoder is None:
            return None
        derived = _Derived(
            source,
            target,
            transcoder,
            partial(deliver, source, target),
            self._note_ended,
            self._stream,
        )
        log.info(
            "track turned into another",
            stream=self._stream,
            kind=source.kind.value,
            of="" if source.codec is None else source.codec.value,
            to=target.value,
        )
        stop = self._start_task(derived.run, f"{source.kind.value} to {target.value}")
        self._running[need] = derived, stop
        return derived.track

    def feed(self, frame: Frame) -> None:
        """Take a frame of a main track."""
        for derived, _ in self._running.values():
            if derived.source.kind is frame.track.kind:
                derived.feed(frame)

    def request_key_frame(self, track: Track) -> None:
        """Let decoding of a derived track start soon."""
        for derived, _ in self._running.values():
            if derived.track is track:
                derived.transcoder.request_key_frame()

    def keep(self, needed: Collection[Need]) -> None:
        """Stop making what nobody needs any more."""
        for need in [need for need in self._running if need not in needed]:
            self._stop(need)

    def finish(self, ended: Callable[[], None]) -> None:
        """The tracks are over: give what is left of them.

        Args:
            ended: Called after the last of it, if there was anything to wait for.
        """
        running, self._running = self._running, {}
        for derived, cancel in running.values():
            if derived.end():
                self._ending[derived] = cancel
            else:
                derived.stop()
                cancel()
        if self._ending:
            # Not kept any longer than needed: it is its owner's, which owns us.
            self._ended = ended

    def stop(self) -> None:
        """Make and give nothing more."""
        self.keep(())
        self._ended = None
        ending, self._ending = self._ending, {}
        for derived, cancel in ending.items():
            derived.stop()
            cancel()

    def _note_ended(self, derived: _Derived) -> None:
        known = self._ending.pop(derived, None)
        if known is None or self._ending:
            return
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def _stop(self, need: Need) -> None:
        derived, cancel = self._running.pop(need)
        derived.stop()
        cancel()
