"""A registry and its viewers without any protocol: frames are letters."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable

import attrs
import pytest
import trio
import trio.testing

from penstock.engine.derived import Transcoder
from penstock.engine.registry import Registry
from penstock.engine.session import Session, StreamKey
from penstock.engine.stream import Stream, StreamPolicy
from penstock.engine.unit import Conversions, Converter, Form, Unit
from penstock.engine.viewer import Viewer, ViewerState
from penstock.media import Frame, Track, TrackKind
from penstock.net.wire import Wire

VIDEO = Track(0, TrackKind.VIDEO, None, 1000)
AUDIO = Track(0, TrackKind.AUDIO, None, 1000)
FORM = Form("text")


def conversions(
    make: Callable[[Form], Converter], transcoders: list[Transcoder]
) -> Conversions:
    return Conversions(
        make,
        lambda track: None,
        lambda track, codec: transcoders[0] if transcoders else None,
    )


KEY = StreamKey("default", "live", "a")


class Letters:
    """Each frame is its payload; a key unit wants ``[config]`` before it."""

    header = b"<"

    def __init__(self) -> None:
        self.ended = ""
        self.fails = ""
        self.epochs = 0
        self.rest: list[Unit] = []
        """What waits for more to come."""

    def _check(self, step: str) -> None:
        if self.fails == step:
            raise ZeroDivisionError(step)

    def begin(self) -> None:
        self._check("begin")
        self.epochs += 1

    def announce(self, track: Track) -> list[Unit]:
        self._check("announce")
        return []

    def metadata(self, values: dict[str, object]) -> list[Unit]:
        self._check("metadata")
        return [Unit(str(values["title"]).encode(), 0)]

    def finish(self) -> list[Unit]:
        self._check("finish")
        rest, self.rest = self.rest, []
        return rest

    def convert(self, frame: Frame) -> list[Unit]:
        self._check("convert")
        if frame.payload == b"END":
            self.ended = "the form ended"
        key = frame.random_access and frame.track.is_video
        config = b"[%b]" % frame.payload if key else b""
        return [
            Unit(frame.payload, frame.dts / 1000, key, config, frame.track.kind),
        ]


def _frame(payload: str, at_ms: int, track: Track, *, key: bool) -> Frame:
    return Frame(
        track,
        at_ms,
        at_ms,
        payload.encode(),
        random_access=key,
        received_at=trio.current_time(),
    )


@attrs.define(eq=False)
class Watching:
    """One viewer, its end of the connection, and how it ended."""

    viewer: Viewer
    session: Session
    socket: socket.socket
    reason: str = ""
    over: trio.Event = attrs.field(factory=trio.Event)

    def state(self) -> ViewerState:
        """Where it stands."""
        return self.viewer.state

    def is_over(self) -> bool:
        """True once its task has returned."""
        return self.over.is_set()

    @property
    def seen(self) -> str:
        """What has arrived since the last look."""
        try:
            return self.socket.recv(1 << 20).decode()
        except BlockingIOError:
            return ""


@attrs.define(eq=False)
class Stage:
    """A registry whose converters are at hand, and who watches."""

    registry: Registry
    nursery: trio.Nursery
    converters: list[Letters]
    transcoders: list[Transcoder]
    """The first one is for every track; without one there is no way."""
    watching: list[Watching] = attrs.field(factory=list)
    opened: list[socket.socket] = attrs.field(factory=list)

    def letters(self) -> Letters:
        """Return a converter that is nobody's yet."""
        return Letters()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a connection, closed with the stage."""
        ours, theirs = socket.socketpair()
        self.opened += (ours, theirs)
        return ours, theirs

    def picture(self, payload: str, at_ms: int = 0) -> Frame:
        """Return a picture; one in capital letters is a key."""
        return _frame(payload, at_ms, VIDEO, key=payload.isupper())

    def sound(self, payload: str, at_ms: int) -> Frame:
        return _frame(payload, at_ms, AUDIO, key=True)

    def push(
        self, stream: Stream, payloads: str, at_ms: int = 0, step_ms: int = 40
    ) -> None:
        """Push one picture for each word."""
        for number, payload in enumerate(payloads.split()):
            stream.push(self.picture(payload, at_ms + number * step_ms))

    def session(self) -> Session:
        return Session(
            protocol="test", address="", port=0, wire=None, started_at=0, started=0
        )

    async def publish(self, key: StreamKey = KEY) -> Stream:
        session = self.session()
        session.key = key
        await self.registry.claim(session, key)
        assert session.stream is not None
        return session.stream

    def watch(self, stream: Stream, form: Form = FORM) -> Watching:
        ours, theirs = self.pair()
        theirs.setblocking(False)
        viewer = Viewer(Wire(ours), slow_limit_s=30, preamble=b"")
        session = self.session()
        session.wire, session.viewer = viewer.wire, viewer
        watching = Watching(viewer, session, theirs)
        self.watching.append(watching)
        stream.attach(viewer, form, session, trio.current_time())

        async def run() -> None:
            watching.reason = await viewer.run()
            watching.over.set()

        self.nursery.start_soon(run)
        return watching

    def leave(self, stream: Stream, watching: Watching) -> None:
        stream.detach(watching.viewer, trio.current_time())
        self.registry.release(stream)

    def unpublish(self, stream: Stream) -> None:
        assert stream.publication is not None
        self.registry.unclaim(stream.publication)


@pytest.fixture
async def stage(nursery: trio.Nursery) -> AsyncIterator[Stage]:
    """Streams, and viewers over socket pairs."""
    converters: list[Letters] = []

    def make(form: Form) -> Converter:
        converters.append(Letters())
        return converters[-1]

    transcoders: list[Transcoder] = []
    registry = Registry(
        StreamPolicy(), conversions=conversions(make, transcoders), nursery=nursery
    )
    stage = Stage(registry, nursery, converters, transcoders)
    yield stage
    for watching in stage.watching:
        assert isinstance(watching.viewer.wire, Wire)
        watching.viewer.wire.close()
    for sock in stage.opened:
        sock.close()
