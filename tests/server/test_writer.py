"""One connection's writer under a fuzzer, and its corners one by one."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import attrs
import pytest
import trio
import trio.testing
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.convert.framing import FramedConverter, chunk, websocket_message
from penstock.engine.outlet import Outlet, RingLimits
from penstock.engine.unit import Converter, Form, Unit
from penstock.engine.viewer import SlowViewer, Viewer, ViewerState
from penstock.media import Frame, Track, TrackKind
from penstock.net.tls import TlsWire
from penstock.net.wire import MAX_RESIDUE, Wire, WireOverflow

PATTERN = bytes(range(251)) * 300
TRACK = Track(0, TrackKind.VIDEO, None, 1000)


def _plain(data: bytes) -> bytes:
    return data


FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "raw": _plain,
    "chunked": chunk,
    "websocket": websocket_message,
}


def piece(mark: bytes, number: int, size: int = 0) -> bytes:
    """Bytes that say what they are, so that a torn one is noticed."""
    body = PATTERN[number % 251 :][:size]
    return mark + number.to_bytes(4, "big") + size.to_bytes(4, "big") + body


def pieces(data: bytes) -> list[tuple[str, int]]:
    """Take received bytes apart; AssertionError if they are not whole pieces."""
    found = []
    at = 0
    while at < len(data):
        mark = data[at : at + 1]
        number = int.from_bytes(data[at + 1 : at + 5], "big")
        size = int.from_bytes(data[at + 5 : at + 9], "big")
        assert data[at : at + 9 + size] == piece(mark, number, size)
        found.append((mark.decode(), number))
        at += 9 + size
    return found


def unframed(framing: str, data: bytes) -> list[bytes]:
    """Return what stands in the frames; the last may be cut off nowhere."""
    if framing == "raw":
        return [data]
    found = []
    at = 0
    while at < len(data):
        if framing == "chunked":
            end = data.index(b"\r\n", at)
            size = int(data[at:end], 16)
            at = end + 2
            assert data[at + size : at + size + 2] == b"\r\n"
            found.append(data[at : at + size])
            at += size + 2
        else:
            assert data[at] == 0x82
            size, at = data[at + 1], at + 2
            if size == 126:
                size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            elif size == 127:
                size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
            assert at + size <= len(data)
            found.append(data[at : at + size])
            at += size
    return found


class Numbered:
    """A converter whose units are numbered pieces; frames tell size and key."""

    ended = ""
    header = piece(b"H", 0, 5)

    def __init__(self) -> None:
        self._next = 0

    def begin(self) -> None:
        pass

    def announce(self, track: Track) -> list[Unit]:
        return []

    def metadata(self, values: dict[str, object]) -> list[Unit]:
        return []

    def finish(self) -> list[Unit]:
        return []

    def convert(self, frame: Frame) -> list[Unit]:
        number = self._next
        self._next += 1
        unit = Unit(
            piece(b"U", number, frame.pts),
            frame.dts / 1000,
            frame.random_access,
            kind=TrackKind.VIDEO,
        )
        if unit.key:
            unit.config = piece(b"C", number, 7)
        return [unit]


def make_outlet(framing: str = "raw", **limits: float) -> Outlet:
    converter: Converter = Numbered()
    if framing != "raw":
        converter = FramedConverter(converter, FRAMES[framing])
    chosen = RingLimits(
        seconds=limits.get("seconds", 1e9),
        max_bytes=int(limits.get("max_bytes", 1 << 30)),
        merge_s=limits.get("merge_s", 0.0),
    )
    return Outlet(Form("test", framing), converter, chosen)


def frame(size: int, *, key: bool = False, at_ms: int = 0) -> Frame:
    return Frame(
        TRACK,
        at_ms,
        size,
        b"",
        random_access=key,
        received_at=trio.current_time(),
    )


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return server, client


OPENED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _closed_sockets() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def small_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    OPENED.extend((ours, theirs))
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return ours, theirs


async def wires(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None,
) -> tuple[Wire, Wire]:
    """Return two connected wires, ours first."""
    ours, theirs = small_pair()
    if contexts is None:
        return Wire(ours), Wire(theirs)
    server = TlsWire(ours, contexts[0])
    client = TlsWire(theirs, contexts[1], server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.handshake)
        nursery.start_soon(client.handshake)
    return server, client


@attrs.define(eq=False)
class Reading:
    """A peer that reads only when it is told to."""

    viewer: Viewer
    wire: Wire
    permits: trio.MemorySendChannel[int]
    received: bytearray = attrs.field(factory=bytearray)
    reason: str = ""
    over: trio.Event = attrs.field(factory=trio.Event)


async def read(peer: Reading, permits: trio.MemoryReceiveChannel[int]) -> None:
    async for size in permits:
        peer.received += await peer.wire.receive_some(size)
    while data := await peer.wire.receive_some():
        peer.received += data
    peer.wire.close()
    peer.over.set()


async def write(peer: Reading) -> None:
    peer.reason = await peer.viewer.run()
    assert isinstance(peer.viewer.wire, Wire)
    await peer.viewer.wire.finish(timeout_s=1e9)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("push"), st.sampled_from([0, 3, 900, 9_000, 70_000]), st.booleans()
        ),
        st.tuples(st.just("offer"), st.integers(0, 2), st.sampled_from([0, 20, 5_000])),
        st.tuples(
            st.just("read"), st.integers(0, 2), st.sampled_from([1, 700, 65_536])
        ),
        st.tuples(st.just("let run"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("settle"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


async def run_steps(
    steps: list[tuple[str, int, int]],
    framing: str,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None,
    limits: dict[str, float],
    outlet_first: bool,
) -> None:
    outlet = make_outlet(framing, **limits)
    peers: list[Reading] = []
    pushed = controls = 0
    first_key: int | None = None
    async with trio.open_nursery() as nursery:
        flush = await nursery.start(run_flush, outlet)
        if outlet_first:
            outlet.push(frame(10, key=True))
            pushed, first_key = 1, 0
        for _ in range(3):
            ours, theirs = await wires(tls)
            sender, receiver = trio.open_memory_channel[int](1_000)
            viewer = Viewer(ours, slow_limit_s=1e8, preamble=piece(b"P", 0))
            peer = Reading(viewer, theirs, sender)
            peers.append(peer)
            outlet.attach(viewer, trio.current_time())
            nursery.start_soon(read, peer, receiver)
            nursery.start_soon(write, peer)
        for kind, first, second in steps:
            match kind:
                case "push":
                    outlet.push(frame(first, key=bool(second), at_ms=40 * pushed))
                    if second and first_key is None:
                        first_key = pushed
                    pushed += 1
                case "offer":
                    if peers[first].viewer.started:
                        controls += 1
                        data = FRAMES[framing](piece(b"K", controls, second))
                        peers[first].viewer.offer(data)
                case "read":
                    peers[first].permits.send_nowait(second)
                case "let run":
                    for _ in range(first):
                        await trio.lowlevel.checkpoint()
                case _:
                    await trio.testing.wait_all_tasks_blocked()
            for peer in peers:
                assert peer.viewer.wire.residue_bytes <= MAX_RESIDUE
        waiting = [p.viewer.state is ViewerState.WAITING for p in peers]
        for peer in peers:
            peer.viewer.finish("over")
            peer.permits.close()
        for peer in peers:
            await peer.over.wait()
        flush.cancel()
    for peer, waited in zip(peers, waiting, strict=True):
        assert peer.reason == "over"
        check(peer, framing, first_key, pushed, waited)
        wire = peer.viewer.wire
        assert wire.bytes_sent == peer.wire.bytes_received
        assert peer.viewer.head_bytes == 0
        if not wire.secure:
            assert wire.bytes_sent == len(peer.received)


async def run_flush(
    outlet: Outlet, task_status: trio.TaskStatus[trio.CancelScope]
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await outlet.run_flush()


def check(
    peer: Reading, framing: str, first_key: int | None, pushed: int, waited: bool
) -> None:
    data = bytes(peer.received)
    if not data:
        assert not peer.viewer.started
        return
    preamble = piece(b"P", 0)
    assert data.startswith(preamble)
    seen = pieces(b"".join(unframed(framing, data[len(preamble) :])))
    assert seen[0] == ("H", 0)
    units: list[int] = []
    missing = 0
    configured: int | None = None
    for mark, number in seen[1:]:
        if mark == "C":
            configured = number
        elif mark == "U":
            if not units:
                assert first_key is not None
                assert configured == number
                missing = number - first_key
            elif number != units[-1] + 1:
                assert number > units[-1]
                assert configured == number, "a gap ends at a configured key unit"
                missing += number - units[-1] - 1
            units.append(number)
    if units and units[-1] == pushed - 1:
        assert missing == peer.viewer.dropped
    else:
        assert peer.viewer.dropped >= missing
        assert waited or peer.viewer.dropped
    numbers = [number for mark, number in seen if mark == "K"]
    assert numbers == sorted(numbers)


LIMITS: dict[str, dict[str, float]] = {
    "a large ring": {},
    "a small ring": {"max_bytes": 30_000},
    "a short ring": {"seconds": 0.1},
    "merged": {"merge_s": 0.35},
    "merged in a small ring": {"merge_s": 0.35, "max_bytes": 30_000},
}


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("framing", FRAMES)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, limits=st.sampled_from(sorted(LIMITS)), outlet_first=st.booleans())
def test_whole_units_arrive_in_order_however_the_peer_reads(
    framing: str,
    secure: bool,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    steps: list[tuple[str, int, int]],
    limits: str,
    outlet_first: bool,
) -> None:
    trio.run(
        run_steps,
        steps,
        framing,
        contexts if secure else None,
        LIMITS[limits],
        outlet_first,
        clock=trio.testing.MockClock(autojump_threshold=0.0005),
    )


async def test_every_head_member_is_written_when_there_are_many() -> None:
    outlet = make_outlet()
    received = [bytearray() for _ in range(130)]
    peers: list[Reading] = []
    async with trio.open_nursery() as nursery:
        flush = await nursery.start(run_flush, outlet)
        for data in received:
            ours, theirs = await wires(None)
            sender, receiver = trio.open_memory_channel[int](1_000)
            peer = Reading(Viewer(ours, slow_limit_s=30), theirs, sender, data)
            peers.append(peer)
            sender.close()
            nursery.start_soon(read, peer, receiver)
            nursery.start_soon(write, peer)
        for peer in peers[:100]:
            outlet.attach(peer.viewer, trio.current_time())
        for number in range(20):
            outlet.push(frame(3_000, key=not number % 5))
            if number == 3:
                for peer in peers[100:]:
                    outlet.attach(peer.viewer, trio.current_time())
            if number == 10:
                peers[0].viewer.offer(piece(b"K", 0))
                peers[1].viewer.finish("enough")
            if number % 3 == 0:
                await trio.lowlevel.checkpoint()
        for peer in peers:
            peer.viewer.finish("over")
        for peer in peers:
            await peer.over.wait()
        flush.cancel()
    for peer in peers:
        check(peer_without_preamble(peer), "raw", 0, 20, peer is peers[1])
        assert peer.viewer.wire.bytes_sent == len(peer.received) - len(piece(b"P", 0))
        assert peer.viewer.dropped == 0
    assert ("K", 0) in pieces(bytes(peers[0].received))
    assert peers[1].reason == "enough"
    assert outlet.viewers == {peer.viewer for peer in peers}


def peer_without_preamble(peer: Reading) -> Reading:
    peer.received[:0] = piece(b"P", 0)
    return peer


async def test_a_member_that_joins_during_a_flush_gets_each_unit_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outlet = make_outlet(merge_s=0.35)
    (first, one), (second, two) = await wires(None), await wires(None)
    viewers = [Viewer(first, slow_limit_s=30), Viewer(second, slow_limit_s=30)]
    async with trio.open_nursery() as nursery:
        flush = await nursery.start(run_flush, outlet)
        for viewer in viewers:
            nursery.start_soon(viewer.run)
        outlet.push(frame(10, key=True))
        outlet.attach(viewers[0], trio.current_time())
        await trio.testing.wait_all_tasks_blocked()
        outlet.push(frame(11))
        outlet.attach(viewers[1], trio.current_time())
        await trio.testing.wait_all_tasks_blocked()
        outlet.push(frame(12))
        await trio.sleep(1)
        for wire in one, two:
            seen = pieces(await wire.receive_some())
            assert seen == [("H", 0), ("C", 0), ("U", 0), ("U", 1), ("U", 2)]
        assert [v.head_bytes for v in viewers] == [
            len(piece(b"U", 1, 11) + piece(b"U", 2, 12)),
            len(piece(b"U", 2, 12)),
        ]
        flush.cancel()
        nursery.cancel_scope.cancel()


async def test_merging_keeps_up_with_more_than_one_write_takes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outlet = make_outlet(merge_s=5.0)
    ours, theirs = await wires(None)
    sender, receiver = trio.open_memory_channel[int](1)
    sender.close()
    peer = Reading(Viewer(ours, slow_limit_s=1e6), theirs, sender)
    async with trio.open_nursery() as nursery:
        flush = await nursery.start(run_flush, outlet)
        outlet.push(frame(10, key=True))
        outlet.attach(peer.viewer, trio.current_time())
        nursery.start_soon(read, peer, receiver)
        nursery.start_soon(write, peer)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(50):
            outlet.push(frame(70_000))
        await trio.sleep(6)
        await trio.testing.wait_all_tasks_blocked()
        assert len(peer.received) > 50 * 70_000
        flush.cancel()
        nursery.cancel_scope.cancel()


async def test_a_peer_that_reads_nothing_is_given_up_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outlet = make_outlet()
    ours, theirs = await wires(None)
    viewer = Viewer(ours, slow_limit_s=30)
    outlet.push(frame(70_000, key=True))
    outlet.attach(viewer, trio.current_time())
    began = trio.current_time()
    with pytest.raises(SlowViewer, match="bytes behind for 30 s"):
        await viewer.run()
    assert trio.current_time() - began == pytest.approx(30, abs=0.1)
    theirs.close()


async def test_a_paused_peer_that_reads_nothing_is_given_up_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outlet = make_outlet()
    ours, theirs = await wires(None)
    viewer = Viewer(ours, slow_limit_s=30)
    outlet.attach(viewer, trio.current_time())
    viewer.offer(b"x" * 200_000)
    with pytest.raises(SlowViewer):
        await viewer.run()
    theirs.close()


async def test_control_for_a_peer_that_does_not_read_is_bounded() -> None:
    ours, theirs = await wires(None)
    viewer = Viewer(ours, slow_limit_s=30)

    def ask() -> None:
        for _ in range(1_000):
            viewer.offer(b"x" * 1_000)

    with pytest.raises(WireOverflow):
        ask()
    assert ours.residue_bytes < 1 << 20
    theirs.close()


@pytest.mark.parametrize("where", ["at the head", "behind", "waiting"])
async def test_a_reset_ends_the_viewer_wherever_it_stands(where: str) -> None:
    ours, theirs = await reset_pair()
    outlet = make_outlet()
    viewer = Viewer(ours, slow_limit_s=30)
    other_wire, other = await wires(None)
    watcher = Viewer(other_wire, slow_limit_s=30)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        outlet.attach(watcher, trio.current_time())
        if where != "waiting":
            outlet.push(frame(10, key=True))
        outlet.attach(viewer, trio.current_time())
        ended = trio.Event()

        async def run() -> None:
            with pytest.raises(OSError, match=r"reset|pipe"):
                await viewer.run()
            ended.set()

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        if where == "behind":
            while viewer.state is not ViewerState.BEHIND:
                outlet.push(frame(70_000))
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        with trio.fail_after(60):
            while not ended.is_set():
                outlet.push(frame(10, key=True))
                await trio.sleep(0.001)
        outlet.detach(viewer, trio.current_time())
        assert outlet.viewers == {watcher}
        assert (await other.receive_some()).startswith(piece(b"H", 0, 5))
        nursery.cancel_scope.cancel()


async def reset_pair() -> tuple[Wire, socket.socket]:
    """Return a TCP connection, which unlike a socket pair can be reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    OPENED.extend((ours, theirs))
    return Wire(ours), theirs


async def test_a_wire_takes_no_more_than_its_bound() -> None:
    ours, theirs = await wires(None)
    assert ours.offer(b"x" * 10_000) is False
    with pytest.raises(WireOverflow):
        ours.offer(bytes(MAX_RESIDUE))
    theirs.close()


async def test_two_tasks_may_flush_one_wire() -> None:
    ours, theirs = await wires(None)
    data = bytes(range(256)) * 1_000
    ours.offer(data)
    got = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.flush)
        nursery.start_soon(ours.flush)
        await trio.testing.wait_all_tasks_blocked()
        while len(got) < len(data):
            got += await theirs.receive_some(1_000)
    assert got == data
    assert ours.is_clear


async def test_closing_wakes_who_reads_and_who_writes() -> None:
    ours, _theirs = await wires(None)
    ours.offer(b"x" * 100_000)
    async with trio.open_nursery() as nursery:
        for wait in ours.flush, ours.receive_some:

            async def run(wait: Callable[[], object] = wait) -> None:
                with pytest.raises((trio.ClosedResourceError, OSError)):
                    await wait()  # type: ignore[misc]

            nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    with pytest.raises(OSError, match="Bad file"):
        await ours.send_all(b"x")
    with pytest.raises(OSError, match="Bad file"):
        ours.direct_send(b"x")
    with pytest.raises(OSError, match="Bad file"):
        await ours.receive_some()
    await ours.finish()


async def test_a_goodbye_that_is_disturbed_raises_nothing() -> None:
    ours, _theirs = await wires(None)
    ours.offer(b"x" * 100_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.finish)
        nursery.start_soon(ours.finish)
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    assert ours.closed


async def test_a_goodbye_waits_no_longer_than_it_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = await wires(None)
    ours.offer(b"x" * 100_000)
    began = trio.current_time()
    await ours.finish(timeout_s=2.0)
    assert trio.current_time() - began == pytest.approx(2, abs=0.1)
    theirs.close()


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 1_000_000])
async def test_tls_carries_units_of_any_size(
    size: int, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    ours, theirs = await wires(contexts)
    data = bytes(range(256)) * (size // 256 + 1)
    got = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, data[:size])
        while len(got) < size:
            got += await theirs.receive_some(7_000)
    assert got == data[:size]


async def test_a_cancelled_read_loses_nothing(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    ours, theirs = await wires(contexts)
    await ours.send_all(b"ab")
    got = await theirs.receive_some(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        got += await theirs.receive_some(1)
    assert scope.cancelled_caught
    assert got + await theirs.receive_some(1) == b"ab"


async def test_tls_says_goodbye_before_it_closes(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    ours, theirs = await wires(contexts)
    async with trio.open_nursery() as nursery:
        ours.offer(b"last")
        nursery.start_soon(ours.finish)
        assert await theirs.receive_some() == b"last"
        assert await theirs.receive_some() == b""
        nursery.start_soon(theirs.finish)


async def test_a_handshake_with_something_else_fails_and_says_so(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    ours, theirs = small_pair()
    server = TlsWire(ours, contexts[0])
    theirs.settimeout(5)
    theirs.send(b"\x16\x03\x01\0\4\xff\0\0\0")  # no such handshake message
    with pytest.raises(ssl.SSLError):
        await server.handshake()
    assert theirs.recv(100)[:1] == b"\x15"  # an alert
    server.close()
    theirs.close()
