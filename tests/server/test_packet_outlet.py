"""RTP out of a stream: rings of payloads, viewers that start with cached pictures."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import attrs
import pytest
import trio
from sansmedia.codecs import Codec
from trio.testing import MockClock

from penstock.engine.outlet import RingLimits
from penstock.engine.packet_outlet import PacketOutlet
from penstock.engine.packet_ring import Packet, PacketRing
from penstock.engine.packet_viewer import PacketViewer
from penstock.engine.unit import Form
from penstock.engine.viewer import ViewerState
from penstock.media import Frame, Track, TrackKind

_VIDEO = Track(0, TrackKind.VIDEO, Codec.H264, 90_000)
_AUDIO = Track(0, TrackKind.AUDIO, Codec.OPUS, 48_000)
_LIMITS = RingLimits(seconds=2.0, max_bytes=1 << 20)


def _ring(**changes: object) -> PacketRing:
    values: dict[str, object] = {
        "seconds": 2.0,
        "max_bytes": 1 << 20,
        "keep_group": True,
        **changes,
    }
    return PacketRing(_VIDEO, 90_000, **values)  # type: ignore[arg-type] # as above


def _packet(number: int, *, key: bool = False, at: int | None = None) -> Packet:
    timestamp = number * 3_000 if at is None else at
    return Packet(number, b"%d" % number, timestamp, True, key)


def _numbers(packets: Sequence[Packet]) -> list[int]:
    return [packet.number for packet in packets]


def test_a_late_packet_finds_its_place() -> None:
    ring = _ring()
    fresh, late = ring.add([_packet(5), _packet(8)])
    assert (_numbers(fresh), late) == ([5, 8], [])
    fresh, late = ring.add([_packet(9), _packet(6), _packet(6), _packet(9)])
    assert (_numbers(fresh), _numbers(late)) == ([9], [6])
    assert _numbers(list(ring.since(0))) == [5, 6, 8, 9]


def test_the_newest_group_is_kept_however_old() -> None:
    ring = _ring()
    ring.add([_packet(0), _packet(1, key=True)])
    ring.add([_packet(n) for n in range(2, 200)])
    assert ring.first == 1
    assert ring.key == 1
    ring.add([_packet(200, key=True)])
    assert ring.first == 140
    assert ring.key == 200


def test_octets_bound_even_the_newest_group() -> None:
    ring = _ring(max_bytes=10_000)
    ring.add([_packet(0, key=True)])
    ring.add([_packet(n) for n in range(1, 200)])
    assert ring.octets <= 10_000
    assert ring.key is None


def test_octets_bound_what_came_late_too() -> None:
    ring = _ring(max_bytes=10_000)
    ring.add([_packet(0), _packet(2_900, at=0)])
    for n in range(1, 2_900):
        ring.add([_packet(n, at=0)])
    assert ring.octets <= 10_000
    assert ring.get(2_900) is not None


def test_parameter_sets_in_packets_of_their_own_belong_to_their_picture() -> None:
    ring = _ring()
    ring.add([_packet(0), _packet(1, key=True, at=90_000)])
    ring.add([_packet(2, key=True, at=90_000), _packet(3, at=90_000)])
    assert ring.key == 1


def test_numbers_that_begin_anew_forget_the_past() -> None:
    ring = _ring()
    ring.add([_packet(60_000, key=True)])
    fresh, _ = ring.add([_packet(7)])
    assert _numbers(fresh) == [7]
    assert ring.restarts == 1
    assert ring.get(60_000) is None
    assert ring.key is None


def test_what_came_before_numbers_began_anew_is_not_written_behind_it() -> None:
    ring = _ring()
    fresh, late = ring.add([_packet(n) for n in (100, 103, 101, 9_000, 9_001, 8_999)])
    assert (_numbers(fresh), _numbers(late)) == ([9_000, 9_001], [])
    # As a sender does that repeats what it never sent.
    fresh, _ = ring.add([_packet(9_002), _packet(30_000), _packet(9_003)])
    assert _numbers(fresh) == [9_003]
    assert ring.restarts == 3


def test_a_sender_that_leaves_gaps_does_not_stretch_the_ring() -> None:
    ring = _ring()
    for n in range(1_000):
        ring.add([_packet(n * 2_999, key=n == 0, at=0)])
    assert ring.end - ring.first < (1 << 15) + 3_000
    assert len(list(ring.since(0))) == 11
    ring.add([_packet(3_000_000, at=1_000_000)])
    assert _numbers(list(ring.since(0))) == [3_000_000]


@attrs.define(eq=False)
class _Sink:
    """Notes what it is asked to send."""

    video: bool = True
    begun: list[tuple[PacketRing, int, int | None]] = attrs.field(factory=list)
    sent: list[tuple[TrackKind, int]] = attrs.field(factory=list)
    late: list[int] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    wanted_id: int = 0

    def select(self, kind: TrackKind, rings: Sequence[PacketRing]) -> PacketRing | None:
        if kind is TrackKind.VIDEO and not self.video:
            return None
        wanted = self.wanted_id if kind is TrackKind.VIDEO else 0
        for ring in rings:
            if ring.track.kind is kind and ring.track.id == wanted:
                return ring
        return None

    def begin(self, ring: PacketRing, packet: Packet, edge: int | None) -> None:
        self.begun.append((ring, packet.number, edge))

    def write(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        self.sent += [(ring.track.kind, packet.number) for packet in packets]
        self.times.append(trio.current_time())

    def write_late(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        self.late += _numbers(packets)

    def numbers(self, kind: TrackKind = TrackKind.VIDEO) -> list[int]:
        return [number for of, number in self.sent if of is kind]


class _Pieces:
    """Cuts a frame into payloads of one octet."""

    rate = 90_000

    def payloads(self, frame: Frame) -> list[bytes]:
        return [frame.payload[n : n + 1] for n in range(len(frame.payload))]


def _state(viewer: PacketViewer) -> ViewerState:
    return viewer.state


def _outlet(limits: RingLimits = _LIMITS) -> PacketOutlet:
    return PacketOutlet(Form("rtp"), limits, lambda track: _Pieces())


def _frame(n: int, *, key: bool = False, size: int = 2) -> Frame:
    return Frame(_VIDEO, n * 3_000, n * 3_000, bytes(size), random_access=key)


async def test_a_viewer_starts_with_the_cached_pictures_and_goes_on_live() -> None:
    outlet = _outlet()
    outlet.announce(_VIDEO, 0.0)
    outlet.push(_frame(0))
    outlet.push(_frame(1, key=True))
    outlet.push(_frame(2))
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(viewer.run)
        await trio.testing.wait_all_tasks_blocked()
        assert viewer.state is ViewerState.HEAD
        outlet.push(_frame(3))
        viewer.finish("enough")
    assert sink.numbers() == [2, 3, 4, 5, 6, 7]
    ring = outlet.rings[TrackKind.VIDEO, 0]
    assert sink.begun == [(ring, 2, 6_000)]


async def test_a_large_cache_is_paced_in_whole_frames(
    autojump_clock: MockClock,
) -> None:
    outlet = _outlet()
    ring = outlet.ring_of(_VIDEO, 90_000, 0.0)
    big = [
        Packet(n, bytes(1_200), n // 10 * 3_000, n % 10 == 9, n == 0)
        for n in range(500)
    ]
    outlet.push_packets(ring, big, 0.0)
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, trio.current_time())
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(viewer.run)
        await trio.sleep(0.1)
        assert _state(viewer) is ViewerState.BEHIND
        # What is live meanwhile comes when its turn comes, once.
        outlet.push_packets(ring, [Packet(500, b"x", 150_000, True)], 0.1)
        await trio.sleep(0.5)
        assert _state(viewer) is ViewerState.HEAD
        viewer.finish("enough")
    assert sink.numbers() == list(range(501))
    assert len(sink.times) > 10
    assert sink.times[-1] - began < 0.5


async def test_a_frame_that_never_ends_is_not_sent_in_one_piece(
    autojump_clock: MockClock,
) -> None:
    outlet = _outlet(RingLimits(seconds=2.0, max_bytes=8 << 20))
    ring = outlet.ring_of(_VIDEO, 90_000, 0.0)
    endless = [Packet(n, bytes(1_200), 0, False, n == 0) for n in range(4_000)]
    outlet.push_packets(ring, endless, 0.0)
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, trio.current_time())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(viewer.run)
        await trio.sleep(0.5)
        viewer.finish("enough")
    assert sink.numbers() == list(range(4_000))
    assert len(set(sink.times)) > 3


async def test_without_a_key_frame_it_waits_for_one_and_asks() -> None:
    outlet = _outlet()
    asked: list[Track] = []
    outlet.request_key_frame = asked.append
    outlet.announce(_VIDEO, 0.0)
    outlet.push(_frame(0))
    sink = _Sink()
    outlet.attach(PacketViewer(sink), 0.0)
    assert asked == [_VIDEO]
    outlet.push(_frame(1))
    assert sink.sent == []
    outlet.push(_frame(2, key=True))
    outlet.push(_frame(3))
    assert sink.numbers() == [4, 5, 6, 7]
    assert sink.begun[0][2] is None


async def test_sound_alone_starts_at_once() -> None:
    outlet = _outlet()
    audio = outlet.ring_of(_AUDIO, 48_000, 0.0)
    sink = _Sink()
    outlet.attach(PacketViewer(sink), 0.0)
    outlet.push_packets(audio, [_packet(4), _packet(5)], 0.0)
    assert sink.numbers(TrackKind.AUDIO) == [4, 5]


async def test_late_packets_go_to_those_who_passed_them() -> None:
    outlet = _outlet()
    ring = outlet.ring_of(_VIDEO, 90_000, 0.0)
    sink = _Sink()
    outlet.attach(PacketViewer(sink), 0.0)
    outlet.push_packets(ring, [_packet(1, key=True), _packet(4)], 0.0)
    outlet.push_packets(ring, [_packet(3), _packet(5), _packet(2)], 0.0)
    assert sink.numbers() == [1, 4, 5]
    assert sink.late == [3, 2]


async def test_a_peer_that_cannot_decode_gets_the_cache_again(
    autojump_clock: MockClock,
) -> None:
    outlet = _outlet()
    outlet.announce(_VIDEO, 0.0)
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    outlet.push(_frame(0, key=True))
    outlet.push(_frame(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(viewer.run)
        viewer.key_frame_wanted()  # it has only just begun
        await trio.sleep(3)
        viewer.key_frame_wanted()
        viewer.key_frame_wanted()
        await trio.sleep(1)
        viewer.key_frame_wanted()
        await trio.sleep(0.5)
        viewer.finish("enough")
    assert sink.numbers() == [0, 1, 2, 3] * 2
    assert [number for _, number, _ in sink.begun] == [0, 0]


async def test_a_publisher_that_can_be_asked_is_asked_instead() -> None:
    outlet = _outlet()
    asked: list[Track] = []
    outlet.announce(_VIDEO, 0.0)
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    outlet.push(_frame(0, key=True))
    outlet.request_key_frame = asked.append
    viewer.key_frame_wanted()
    assert asked == [_VIDEO]
    assert sink.numbers() == [0, 1]


async def test_a_layer_is_switched_at_its_next_key_frame() -> None:
    outlet = _outlet()
    small = attrs.evolve(_VIDEO, id=1)
    high = outlet.ring_of(_VIDEO, 90_000, 0.0)
    low = outlet.ring_of(small, 90_000, 0.0)
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    outlet.push_packets(high, [_packet(100, key=True)], 0.0)
    outlet.push_packets(low, [_packet(500, key=True)], 0.0)
    sink.wanted_id = 1
    viewer.tracks_changed(0.0)
    outlet.push_packets(low, [_packet(501)], 0.0)
    outlet.push_packets(high, [_packet(101)], 0.0)
    outlet.push_packets(low, [_packet(502, key=True), _packet(503)], 0.0)
    outlet.push_packets(high, [_packet(102)], 0.0)
    assert sink.numbers() == [100, 101, 502, 503]
    assert [(ring, number) for ring, number, _ in sink.begun] == [
        (high, 100),
        (low, 502),
    ]


async def test_a_track_that_changes_its_codec_leaves_no_rings_behind() -> None:
    outlet = _outlet()
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    former = []
    for n in range(6):
        codec, sound = [(Codec.H264, Codec.OPUS), (Codec.VP8, Codec.G722)][n % 2]
        for track in (_VIDEO, _AUDIO):
            kind = codec if track.is_video else sound
            ring = outlet.ring_of(attrs.evolve(track, codec=kind), 48_000, 0.0)
            outlet.push_packets(ring, [_packet(n, key=True)], 0.0)
            former.append(weakref.ref(ring))
    assert len(sink.sent) == 12
    sink.begun.clear()
    del ring
    gc.collect()
    assert [ring() is None for ring in former] == [True] * 10 + [False] * 2


async def test_a_new_publication_waits_for_its_key_frame() -> None:
    outlet = _outlet()
    outlet.announce(_VIDEO, 0.0)
    sink = _Sink()
    outlet.attach(PacketViewer(sink), 0.0)
    outlet.push(_frame(0, key=True))
    outlet.end_publication(trio.current_time())
    outlet.begin()
    outlet.announce(_VIDEO, 0.0)
    outlet.push(_frame(9))
    assert sink.numbers() == [0, 1]
    outlet.push(_frame(10, key=True))
    assert len(sink.numbers()) == 4
    assert len(sink.begun) == 2


@pytest.mark.parametrize("viewers", [3, 100])
async def test_everybody_gets_every_packet_once(viewers: int) -> None:
    outlet = _outlet()
    outlet.announce(_VIDEO, 0.0)
    sinks = [_Sink() for _ in range(viewers)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run_flush)
        for sink in sinks[1:]:
            outlet.attach(PacketViewer(sink), 0.0)
        outlet.push(_frame(0, key=True))
        outlet.push(_frame(1))
        late = PacketViewer(sinks[0])
        outlet.attach(late, 0.0)
        nursery.start_soon(late.run)
        for n in range(2, 30):
            outlet.push(_frame(n))
            if n % 7 == 0:
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    for sink in sinks:
        assert sink.numbers() == list(range(60))


# -- rings that begin anew -------------------------------------------------------------


def test_a_late_key_frame_is_not_the_newest() -> None:
    ring = _ring()
    ring.add([_packet(0), _packet(10, key=True)])
    ring.add([_packet(5, key=True)])
    assert ring.key == 10


def test_a_late_first_packet_of_the_newest_key_frame_is_where_to_begin() -> None:
    ring = _ring()
    ring.add([_packet(0), _packet(2, key=True, at=90_000)])
    ring.add([_packet(1, key=True, at=90_000)])
    assert ring.key == 1


def test_a_clock_that_begins_anew_forgets_the_past() -> None:
    """A looped file: numbers go on, times do not."""
    ring = _ring()
    ring.add([_packet(n, key=not n) for n in range(60)])
    fresh, _ = ring.add([_packet(60, at=59 * 3_000), _packet(61, key=True, at=0)])
    assert _numbers(fresh) == [61]
    assert ring.restarts == 1
    assert ring.newest_timestamp == 0
    assert _numbers(list(ring.since(0))) == [61]


def test_a_clock_that_begins_below_the_first_times_does_so_once() -> None:
    """Unwrapped, an earlier timestamp than the first one is negative."""
    ring = _ring()
    ring.add([_packet(0, key=True)])
    ring.add([_packet(n, key=n == 1, at=-900_000 + n * 3_000) for n in range(1, 9)])
    assert ring.restarts == 1
    assert ring.newest_timestamp == -900_000 + 8 * 3_000
    assert _numbers(list(ring.since(0))) == list(range(1, 9))


def test_pictures_out_of_order_are_no_new_clock() -> None:
    ring = _ring()
    ring.add([_packet(0, at=90_000), _packet(1, at=60_000), _packet(2, at=93_000)])
    assert ring.restarts == 0
    assert ring.newest_timestamp == 93_000


def test_numbers_that_begin_anew_are_those_of_another_source() -> None:
    """Or a NACK for an old packet would be answered with a new one."""
    ring = _ring()
    ring.add([_packet(1_000)])
    former = ring.source
    ring.restart()
    ring.add([_packet(1_000)])
    assert ring.source is not former
    assert former.get(1_000) is None
    assert ring.source.get(1_000) is ring.get(1_000)


async def test_a_track_in_another_codec_lets_go_of_the_former_packets() -> None:
    """Viewers remember where they were: that must not keep megabytes."""
    outlet = _outlet()
    ring = outlet.ring_of(_VIDEO, 90_000, 0.0)
    outlet.push_packets(ring, [_packet(0, key=True)], 0.0)
    outlet.ring_of(attrs.evolve(_VIDEO, codec=Codec.VP8), 90_000, 0.0)
    assert ring.octets == 0


async def test_a_new_publication_has_its_own_tracks() -> None:
    """A layer that the former one had would be waited for in vain, and what its clock
    had to do with the stream's is of no use."""
    outlet = _outlet()
    high = outlet.ring_of(_VIDEO, 90_000, 0.0)
    outlet.ring_of(attrs.evolve(_VIDEO, id=1), 90_000, 0.0)
    high.offset_s = -40_000.0
    sink = _Sink(wanted_id=1)
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    outlet.begin()
    assert list(outlet.tracks()) == []
    sink.wanted_id = 0
    outlet.announce(_VIDEO, 0.0)
    outlet.push(_frame(0, key=True))
    (ring,) = outlet.tracks()
    assert ring.offset_s == 0.0
    assert sink.numbers() == [0, 1]


async def test_a_new_publication_may_be_sound_alone() -> None:
    outlet = _outlet()
    video = outlet.ring_of(_VIDEO, 90_000, 0.0)
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    outlet.push_packets(video, [_packet(0, key=True)], 0.0)
    outlet.begin()
    assert _state(viewer) is ViewerState.WAITING
    outlet.ring_of(_AUDIO, 48_000, 0.0)
    assert _state(viewer) is ViewerState.HEAD


# -- viewers that wait -----------------------------------------------------------------


async def test_a_wait_for_a_new_publication_begins_with_it(
    autojump_clock: MockClock,
) -> None:
    """Who has watched for an hour has not waited for one."""
    outlet = _outlet()
    outlet.announce(_VIDEO, 0.0)
    viewer = PacketViewer(_Sink())
    outlet.attach(viewer, trio.current_time())
    outlet.push(_frame(0, key=True))
    await trio.sleep(3_600)
    outlet.end_publication(trio.current_time())
    outlet.begin()
    assert _state(viewer) is ViewerState.WAITING
    assert viewer.waiting_since == trio.current_time()


async def test_a_wait_for_any_track_begins_when_the_last_one_goes(
    autojump_clock: MockClock,
) -> None:
    outlet = _outlet()
    outlet.announce(_VIDEO, 0.0)
    sink = _Sink()
    viewer = PacketViewer(sink)
    outlet.attach(viewer, trio.current_time())
    outlet.push(_frame(0, key=True))
    await trio.sleep(3_600)
    sink.video = False
    viewer.tracks_changed(trio.current_time())
    assert viewer.waiting_since == trio.current_time()


async def test_a_key_frame_of_the_former_layer_does_not_undo_the_choice() -> None:
    """Simulcast begins with its smallest layer; who waits gets the main one later."""
    outlet = _outlet()
    sink = _Sink(wanted_id=1)
    viewer = PacketViewer(sink)
    outlet.attach(viewer, 0.0)
    low = outlet.ring_of(attrs.evolve(_VIDEO, id=1), 90_000, 0.0)
    sink.wanted_id = 0
    high = outlet.ring_of(_VIDEO, 90_000, 0.0)
    outlet.push_packets(low, [_packet(500, key=True)], 0.0)
    outlet.push_packets(high, [_packet(100, key=True)], 0.0)
    outlet.push_packets(low, [_packet(501)], 0.0)
    assert sink.numbers() == [500, 100]


# -- viewers that fail -----------------------------------------------------------------


class _Failing(_Sink):
    def write(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        raise RuntimeError("a bug")

    def write_late(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        raise RuntimeError("a bug")


@pytest.mark.parametrize("others", [2, 100])
async def test_a_viewer_that_fails_harms_nobody_else(others: int) -> None:
    outlet = _outlet()
    outlet.announce(_VIDEO, 0.0)
    failing = PacketViewer(_Failing())
    sinks = [_Sink() for _ in range(others)]
    outlet.attach(failing, 0.0)
    for sink in sinks:
        outlet.attach(PacketViewer(sink), 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run_flush)
        outlet.push(_frame(0, key=True))
        outlet.push(_frame(1))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert failing.end_reason == "internal error: RuntimeError"
    for sink in sinks:
        assert sink.numbers() == [0, 1, 2, 3]


async def test_a_viewer_that_fails_on_a_late_packet_harms_nobody_else() -> None:
    outlet = _outlet()
    ring = outlet.ring_of(_VIDEO, 90_000, 0.0)
    sink, failing = _Sink(), PacketViewer(_Sink())
    outlet.attach(failing, 0.0)
    outlet.attach(PacketViewer(sink), 0.0)
    outlet.push_packets(ring, [_packet(1, key=True), _packet(4)], 0.0)
    failing.sink = _Failing()
    outlet.push_packets(ring, [_packet(3)], 0.0)
    assert failing.end_reason == "internal error: RuntimeError"
    assert sink.late == [3]


# -- many viewers ----------------------------------------------------------------------


async def test_a_restart_in_the_middle_of_a_round_is_one_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who got old numbers behind the new ones would miss what follows."""
    monkeypatch.setattr("penstock.engine.packet_outlet._SLICE_S", 0)
    outlet = _outlet()
    audio = outlet.ring_of(_AUDIO, 48_000, 0.0)
    sinks = [_Sink() for _ in range(100)]
    for sink in sinks:
        outlet.attach(PacketViewer(sink), 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run_flush)
        await trio.testing.wait_all_tasks_blocked()
        outlet.push_packets(audio, [_packet(900)], 0.0)
        while not any(sink.sent for sink in sinks):
            await trio.lowlevel.checkpoint()
        outlet.restart(audio)
        outlet.push_packets(audio, [_packet(3), _packet(4)], 0.0)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert all(sink.numbers(TrackKind.AUDIO)[-2:] == [3, 4] for sink in sinks)


async def test_what_waits_for_a_round_is_not_overtaken() -> None:
    outlet = _outlet()
    audio = outlet.ring_of(_AUDIO, 48_000, 0.0)
    sinks = [_Sink() for _ in range(60)]
    viewers = [PacketViewer(sink) for sink in sinks]
    for viewer in viewers:
        outlet.attach(viewer, 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run_flush)
        outlet.push_packets(audio, [_packet(1)], 0.0)
        for viewer in viewers[10:]:
            outlet.detach(viewer, 0.0)
        outlet.push_packets(audio, [_packet(2)], 0.0)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    for sink in sinks[:10]:
        assert sink.numbers(TrackKind.AUDIO) == [1, 2]
