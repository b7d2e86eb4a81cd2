"""Streams, outlets and the registry, without any protocol."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator

import attrs
import pytest
import trio
import trio.testing

from penstock.engine.outlet import Outlet, RingLimits
from penstock.engine.registry import Refusal, Registry
from penstock.engine.session import Role, Session, StreamKey
from penstock.engine.stream import Stream, StreamPolicy
from penstock.engine.unit import Converter, Form, Unit
from penstock.engine.viewer import Viewer, ViewerState
from penstock.media import Frame, Track, TrackKind
from penstock.net.wire import Wire

VIDEO = Track(0, TrackKind.VIDEO, None, 1000)
AUDIO = Track(0, TrackKind.AUDIO, None, 1000)
DATA = Track(0, TrackKind.DATA, None, 1000)
FORM = Form("text")
KEY = StreamKey("default", "live", "a")


class Letters:
    """Each frame is its payload; a key unit wants ``[config]`` before it."""

    header = b"<"

    def __init__(self) -> None:
        self.ended = ""
        self.fails = ""
        self.epochs = 0

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

    def convert(self, frame: Frame) -> list[Unit]:
        self._check("convert")
        if frame.payload == b"END":
            self.ended = "the form ended"
        key = frame.random_access and frame.track.is_video
        config = b"[%b]" % frame.payload if key else b""
        return [
            Unit(frame.payload, frame.dts / 1000, key, config, frame.track.kind),
        ]


def frame(payload: str, at_ms: int = 0, track: Track = VIDEO) -> Frame:
    """A frame; a capital letter is a key picture."""
    return Frame(
        track,
        at_ms,
        at_ms,
        payload.encode(),
        random_access=payload.isupper() or track.is_audio,
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
    watching: list[Watching] = attrs.field(factory=list)

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
        ours, theirs = pair()
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


OPENED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _closed_sockets() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def pair() -> tuple[socket.socket, socket.socket]:
    OPENED.extend(socket.socketpair())
    return OPENED[-2], OPENED[-1]


@pytest.fixture
async def stage(
    nursery: trio.Nursery,
) -> AsyncIterator[Stage]:
    converters: list[Letters] = []

    def make(form: Form) -> Converter:
        converters.append(Letters())
        return converters[-1]

    registry = Registry(StreamPolicy(), make_converter=make, nursery=nursery)
    stage = Stage(registry, nursery, converters)
    yield stage
    for watching in stage.watching:
        watching.viewer.wire.close()


settle = trio.testing.wait_all_tasks_blocked


def push(stream: Stream, payloads: str, at_ms: int = 0, step_ms: int = 40) -> None:
    for number, payload in enumerate(payloads.split()):
        stream.push(frame(payload, at_ms + number * step_ms))


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
    limits: RingLimits, payloads: str, kept: str
) -> None:
    outlet = Outlet(FORM, Letters(), limits)
    for number, payload in enumerate(payloads.split()):
        outlet.push(frame(payload, number * 40))
    units = [outlet.unit(i).data.decode() for i in range(outlet.first, outlet.end)]
    assert units == kept.split()
    key = None if outlet.key is None else outlet.unit(outlet.key).data.decode()
    newest = next((unit for unit in reversed(units) if unit.isupper()), None)
    assert key == newest


async def test_octets_before_a_unit_are_known_wherever_it_is() -> None:
    outlet = Outlet(FORM, Letters(), RingLimits(max_bytes=500))
    for payload in ("A", "bb", "ccc", "dddd"):
        outlet.push(frame(payload))
    assert [outlet.offset(i) for i in (2, 3, 4, 9)] == [3, 6, 10, 10]


# -- joining ------------------------------------------------------------------------


async def test_a_viewer_starts_with_the_cached_group(stage: Stage) -> None:
    stream = await stage.publish()
    push(stream, "A b C d")
    watching = stage.watch(stream)
    await settle()
    push(stream, "e")
    assert watching.seen == "<[C]Cde"


async def test_a_viewer_of_an_open_outlet_starts_with_the_newest_key(
    stage: Stage,
) -> None:
    stream = await stage.publish()
    push(stream, "A b")
    stage.watch(stream)
    push(stream, "C d", at_ms=80)
    late = stage.watch(stream)
    await settle()
    assert late.seen == "<[C]Cd"


async def test_a_viewer_before_the_first_key_waits_for_it(stage: Stage) -> None:
    stream = await stage.publish()
    push(stream, "a b")
    watching = stage.watch(stream)
    push(stream, "c", at_ms=80)
    await settle()
    assert watching.state() is ViewerState.WAITING
    push(stream, "D e", at_ms=120)
    await settle()
    assert watching.seen == "<[D]De"


async def test_without_the_cache_a_viewer_waits_for_the_next_key(stage: Stage) -> None:
    stage.registry.policy = StreamPolicy(gop_cache=False)
    stream = await stage.publish()
    push(stream, "A b")
    early, late = stage.watch(stream), None
    push(stream, "c D e", at_ms=80)
    late = stage.watch(stream)
    await settle()
    push(stream, "f G h", at_ms=200)
    await settle()
    assert early.seen == "<[D]DefGh"
    assert late.seen == "<[G]Gh"
    assert stream.cache == []


async def test_the_first_sounds_of_a_publication_are_not_cut_off(stage: Stage) -> None:
    stream = await stage.publish()
    watching = stage.watch(stream)
    for time in 0, 23:
        stream.push(frame("s", time, AUDIO))
    push(stream, "A", at_ms=40)
    await settle()
    assert watching.seen == "<[A]ssA"


async def test_sounds_before_the_picture_a_viewer_starts_with_are_left_out(
    stage: Stage,
) -> None:
    stream = await stage.publish()
    stage.watch(stream)
    push(stream, "A b")
    push(stream, "C", at_ms=80)
    stream.push(frame("late", 60, AUDIO))
    stream.push(frame("good", 90, AUDIO))
    watching = stage.watch(stream)
    await settle()
    assert watching.seen == "<[C]Cgood"


async def test_a_paused_viewer_goes_on_with_a_key(stage: Stage) -> None:
    stream = await stage.publish()
    push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    assert watching.seen == "<[A]Ab"
    stream.pause(watching.viewer, trio.current_time())
    push(stream, "c D e", at_ms=80)
    assert watching.seen == ""
    stream.attach(watching.viewer, FORM, watching.session, trio.current_time())
    await settle()
    push(stream, "f", at_ms=200)
    assert watching.seen == "[D]Def"
    assert watching.viewer.dropped == 0


async def test_a_viewer_paused_while_it_is_behind_starts_anew(stage: Stage) -> None:
    stage.registry.policy = StreamPolicy(gop_cache=False)
    stream = await stage.publish()
    watching = stage.watch(stream)
    watching.viewer.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream.push(frame("A" * 100_000))
    await settle()
    assert watching.state() is ViewerState.BEHIND
    stream.pause(watching.viewer, trio.current_time())
    stream.attach(watching.viewer, FORM, watching.session, trio.current_time())
    got = ""
    while len(got) < 200_000:
        got += watching.seen
        await settle()
    assert watching.state() is ViewerState.WAITING
    push(stream, "b C", at_ms=80)
    await settle()
    assert watching.seen == "[C]C"


# -- publications -------------------------------------------------------------------


async def test_viewers_stay_while_the_publisher_comes_back(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    stage.unpublish(stream)
    await trio.sleep(9)
    stream.tick(trio.current_time())
    again = await stage.publish()
    assert again is stream
    assert stage.converters[0].epochs == 1
    push(stream, "C d")
    await settle()
    assert watching.seen == "<[A]AbCd"
    assert stream.publication is not None
    assert stream.publication.epoch == 2


async def test_nobody_starts_with_the_pictures_of_a_publisher_that_left(
    stage: Stage,
) -> None:
    stream = await stage.publish()
    push(stream, "A b")
    first = stage.watch(stream)
    await settle()
    stage.unpublish(stream)
    late = stage.watch(stream)
    await settle()
    assert late.state() is ViewerState.WAITING
    await stage.publish()
    push(stream, "c D")
    await settle()
    assert late.seen == "<[D]D"
    assert first.seen == "<[A]AbcD"


async def test_viewers_end_some_time_after_their_publisher(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    stage.unpublish(stream)
    await trio.sleep(10.5)
    stream.tick(trio.current_time())
    await watching.over.wait()
    assert watching.reason == "publisher left"
    assert watching.seen == "<[A]Ab"


async def test_viewers_of_a_stream_nobody_publishes_end(
    stage: Stage, autojump_clock: trio.testing.MockClock
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
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    watching = stage.watch(stream)
    for second in range(62):
        stream.push(frame("s", second * 1000, AUDIO))
        await trio.sleep(1)
        stream.tick(trio.current_time())
    await watching.over.wait()
    assert watching.reason == "the stream has nothing to start with"


async def test_all_that_was_pushed_is_written_before_a_viewer_ends(
    stage: Stage,
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage.registry.policy = StreamPolicy(merge_s=1.0)
    stream = await stage.publish()
    watching = stage.watch(stream, Form("rtmp"))
    push(stream, "A")
    await settle()
    push(stream, "b c d")
    watching.viewer.finish("over")
    await watching.over.wait()
    assert watching.seen == "<[A]Abcd"
    push(stream, "e")
    await trio.sleep(5)
    assert watching.seen == "", "the wire is its owner's again"


# -- converters that fail -----------------------------------------------------------


@pytest.mark.parametrize("step", ["convert", "announce", "metadata", "begin"])
async def test_a_failing_converter_ends_its_outlet_alone(
    stage: Stage, step: str, log_lines: Callable[[], list[str]]
) -> None:
    stream = await stage.publish()
    push(stream, "A")
    bad, good = stage.watch(stream), stage.watch(stream, Form("text", "chunked"))
    await settle()
    stage.converters[0].fails = step
    now = trio.current_time()
    if step == "begin":
        stage.unpublish(stream)
        await stage.publish()
    stream.announce(VIDEO, now)
    stream.set_metadata({"title": "m"}, now)
    push(stream, "b")
    await bad.over.wait()
    assert bad.reason == "the stream cannot be converted"
    assert good.seen == "<[A]Amb"
    assert stream.is_claimed
    assert list(stream.outlets) == [Form("text", "chunked")]
    assert len([line for line in log_lines() if "converter failed" in line]) == 1


async def test_a_viewer_of_a_form_that_fails_at_once_ends(stage: Stage) -> None:
    stream = await stage.publish()
    push(stream, "A")

    def broken(form: Form) -> Converter:
        converter = Letters()
        converter.fails = "convert"
        return converter

    stream = Stream(
        KEY,
        StreamPolicy(),
        make_converter=broken,
        start_outlet=lambda outlet: lambda: None,
        created_at=0,
        tc_url="",
    )
    stream.publish(stage.session(), 0)
    push(stream, "A")
    watching = stage.watch(stream)
    await watching.over.wait()
    assert watching.reason == "the stream cannot be converted"
    assert stream.outlets == {}


async def test_a_form_that_ends_lets_its_viewers_go(stage: Stage) -> None:
    stream = await stage.publish()
    push(stream, "A b")
    watching = stage.watch(stream)
    await settle()
    push(stream, "END")
    await watching.over.wait()
    assert watching.reason == "the form ended"
    assert watching.seen == "<[A]AbEND"
    again = stage.watch(stream)
    await settle()
    assert again.reason == "the form ended"  # the cache still has that frame
    push(stream, "F")
    anew = stage.watch(stream)
    await settle()
    assert anew.seen == "<[F]F"


# -- memory -------------------------------------------------------------------------


async def test_an_outlet_without_viewers_goes_after_ten_seconds(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    push(stream, "A")
    watching = stage.watch(stream)
    await settle()
    stage.leave(stream, watching)
    await trio.sleep(9)
    push(stream, "b")
    assert len(stream.outlets) == 1
    await trio.sleep(2)
    push(stream, "c")
    assert stream.outlets == {}


async def test_the_cache_is_released_with_the_publication(stage: Stage) -> None:
    stream = await stage.publish()
    push(stream, "A b c")
    assert len(stream.cache) == 3
    stage.watch(stream)
    stage.unpublish(stream)
    assert stream.cache == []
    assert stream.cache_bytes == 0


async def test_a_group_too_long_for_the_cache_is_not_kept_in_part(
    stage: Stage,
) -> None:
    stage.registry.policy = StreamPolicy(cache_max_bytes=1_500)
    stream = await stage.publish()
    push(stream, "A b c d e f g")
    assert stream.cache == []
    push(stream, "H i")
    assert [f.payload for f in stream.cache] == [b"H", b"i"]


async def test_empty_frames_do_not_fill_the_cache(stage: Stage) -> None:
    stage.registry.policy = StreamPolicy(cache_max_bytes=100_000)
    stream = await stage.publish()
    for _ in range(2_000):
        stream.push(Frame(DATA, 0, 0, b""))
    assert len(stream.cache) < 1_000


async def test_without_video_the_cache_holds_two_seconds(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await stage.publish()
    for number in range(50):
        stream.push(frame("s", number * 100, AUDIO))
        await trio.sleep(0.1)
    assert len(stream.cache) <= 21


async def test_a_stream_is_forgotten_with_its_last_user(stage: Stage) -> None:
    stream = await stage.publish()
    watching = stage.watch(stream)
    push(stream, "A")
    stage.unpublish(stream)
    assert stage.registry.streams == {KEY: stream}
    stage.leave(stream, watching)
    assert stage.registry.streams == {}
    assert stage.registry.streams_by_id == {}
    assert stream.outlets == {}
    assert stream.viewers == {}


# -- the registry -------------------------------------------------------------------


async def test_a_second_publisher_is_refused(stage: Stage) -> None:
    stream = await stage.publish()
    with pytest.raises(Refusal, match="has a publisher already"):
        await stage.publish()
    assert stream.is_claimed


async def test_a_second_publisher_may_take_over(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.registry.replace_publisher = True
    stream = await stage.publish()
    assert stream.publication is not None
    first = stream.publication
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
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.registry.replace_publisher = True
    stream = await stage.publish()
    stage.watch(stream)
    published = 0

    async def take_over() -> None:
        nonlocal published
        session = stage.session()
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
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.registry.replace_publisher = True
    await stage.publish()
    with pytest.raises(Refusal, match="does not leave"):
        await stage.publish()


async def test_streams_are_limited(stage: Stage) -> None:
    stage.registry.max_streams = 1
    await stage.publish()
    with pytest.raises(Refusal, match="too many streams"):
        await stage.publish(StreamKey("default", "live", "b"))


async def test_totals_never_go_back(stage: Stage) -> None:
    stream = await stage.publish()
    push(stream, "A b")
    watching = stage.watch(stream)
    stage.registry.enter(watching.session)
    await settle()
    sent = stage.registry.bytes_sent
    assert sent == stream.total_sent == len("<[A]Ab")
    stage.leave(stream, watching)
    stage.registry.leave(watching.session, error=False)
    assert stage.registry.bytes_sent == stream.total_sent == sent


async def test_octets_count_for_the_publication_they_came_in(stage: Stage) -> None:
    session = stage.session()
    ours, _ = pair()
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


async def test_ticking_forgets_what_nobody_uses(stage: Stage) -> None:
    stage.registry.stream(KEY, "")
    await stage.registry.tick(trio.current_time())
    assert stage.registry.streams == {}
