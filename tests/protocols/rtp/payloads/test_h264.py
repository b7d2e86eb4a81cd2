"""H.264: the ways in which senders packetise, and what a loss leaves of a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
from sansmedia.codecs.nal import join_length_prefixed
from sansmedia.rtp.payloads import (
    Frame,
    H264Depacketiser,
    H264Packetiser,
    Limits,
    h264,
)
from sansmedia.sansio import ProtocolError, UsageError

SPS, PPS = bytes.fromhex("6742c01fda"), bytes.fromhex("68ce3c80")
SEI, AUD, FILLER = b"\x06\x05\x01\x00\x80", b"\x09\xf0", b"\x0c\xff\x80"
RECOVERY_POINT = b"\x06\x06\x01\x84\x80"
IDR, IDR_2 = b"\x65\x88\x84\x01", b"\x65\x12\x84\x02"
P, P_2 = b"\x41\x9a\x10", b"\x41\x12\x10"
KEY = [SPS, PPS, IDR]


def _stap_a(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(u).to_bytes(2, "big") + u for u in units)


def _fu_a(unit: bytes, parts: int) -> list[bytes]:
    """Cut a unit into fragments. RFC 6184 §5.8."""
    step = -(-(len(unit) - 1) // parts)
    cut = [unit[1 + at * step : 1 + (at + 1) * step] for at in range(parts)]
    return [
        bytes(
            (
                unit[0] & 0xE0 | 28,
                (at == 0) << 7 | (at == parts - 1) << 6 | unit[0] & 31,
            )
        )
        + part
        for at, part in enumerate(cut)
    ]


@pytest.fixture
def payloads(feed: Callable[..., list[Frame]], packet: type[Any]) -> Any:
    """Feed (timestamp, marker, payloads) and return frames and depacketiser."""

    def run(
        *pictures: tuple[int, str, Sequence[bytes]],
        lost: Sequence[int] = (),
        depacketiser: H264Depacketiser | None = None,
    ) -> list[Frame]:
        """Markers: ``last``, ``none`` or ``all``."""
        packets = [
            packet(payload, at, marks == "all" or (marks == "last" and n == len(cut)))
            for at, marks, cut in pictures
            for n, payload in enumerate(cut, 1)
        ]
        return feed(depacketiser or H264Depacketiser(), packets, lost)

    return run


# -- senders -------------------------------------------------------------------------


def test_every_unit_may_come_in_a_packet_of_its_own(payloads: Any) -> None:
    """So OBS sends, with libdatachannel. RFC 6184 §5.6, §7.1."""
    [frame] = payloads((1000, "last", [SPS, PPS, SEI, IDR, IDR_2]))
    assert frame == Frame(
        1000,
        join_length_prefixed([SPS, PPS, SEI, IDR, IDR_2]),
        random_access=True,
        decodable=True,
        parameter_sets=(SPS, PPS),
    )


def test_sets_may_share_a_packet_and_a_slice_take_several(payloads: Any) -> None:
    """So FFmpeg sends. RFC 6184 §5.7.1, §5.8."""
    idr = IDR + bytes(100)
    frames = payloads((0, "last", [_stap_a(SPS, PPS, SEI), *_fu_a(idr, 3)]))
    assert [f.payload for f in frames] == [join_length_prefixed([SPS, PPS, SEI, idr])]


def test_one_packet_may_hold_the_whole_picture(payloads: Any) -> None:
    [frame] = payloads((0, "last", [_stap_a(SPS, PPS, IDR)]))
    assert frame.payload == join_length_prefixed(KEY)


@pytest.mark.parametrize("marks", ["all", "none"])
def test_sets_may_come_under_an_earlier_timestamp(payloads: Any, marks: str) -> None:
    frames = payloads(
        (0, marks, [SPS]), (10, marks, [PPS]), (20, "last", [IDR]), (30, "last", [P])
    )
    assert [(f.timestamp, f.parameter_sets) for f in frames] == [
        (20, (SPS, PPS)),
        (30, ()),
    ]
    assert frames[0].payload == join_length_prefixed(KEY)


def test_sets_with_a_marker_do_not_end_the_picture_behind_them(payloads: Any) -> None:
    [frame] = payloads((0, "all", [SPS, PPS, IDR]))
    assert frame.payload == join_length_prefixed(KEY)


def test_markers_may_be_missing(payloads: Any) -> None:
    """RFC 6184 §5.1 lets nobody rely on them."""
    frames = payloads((0, "none", [*KEY, IDR_2]), (1, "none", [P, P_2]))
    assert [f.payload for f in frames] == [
        join_length_prefixed([*KEY, IDR_2]),
        join_length_prefixed([P, P_2]),
    ]


def test_a_picture_without_marker_is_given_as_the_next_one_begins() -> None:
    depacketiser = H264Depacketiser(parameter_sets=[SPS, PPS])
    assert depacketiser.feed(IDR, 0, False) == []
    assert [f.timestamp for f in depacketiser.feed(P, 1, False)] == [0]
    assert [f.timestamp for f in depacketiser.flush()] == [1]
    assert depacketiser.flush() == []


def test_a_marker_on_every_slice_costs_one_picture(payloads: Any) -> None:
    frames = payloads(
        (0, "all", [*KEY, IDR_2]), (1, "all", [P, P_2]), (2, "all", [*KEY, IDR_2])
    )
    # The first slice passed for the picture; from then on markers are not asked.
    assert [f.payload for f in frames[1:]] == [
        join_length_prefixed([P, P_2]),
        join_length_prefixed([*KEY, IDR_2]),
    ]
    assert [f.decodable for f in frames[1:]] == [False, True]


def test_delimiters_and_filler_are_left_out(payloads: Any) -> None:
    [frame] = payloads((0, "last", [AUD, SPS, PPS, SEI, IDR, FILLER]))
    assert frame.payload == join_length_prefixed([SPS, PPS, SEI, IDR])


def test_sets_can_be_kept_apart_from_the_picture(payloads: Any) -> None:
    depacketiser = H264Depacketiser(keep_parameter_sets=False)
    [frame] = payloads((0, "last", [SPS, PPS, SEI, IDR]), depacketiser=depacketiser)
    assert frame.payload == join_length_prefixed([SEI, IDR])
    assert frame.parameter_sets == (SPS, PPS)


def test_an_idr_without_any_sets_is_no_place_to_begin(payloads: Any) -> None:
    depacketiser = H264Depacketiser()
    frames = payloads((0, "last", [IDR]), depacketiser=depacketiser)
    assert [(f.random_access, f.decodable) for f in frames] == [(True, False)]
    assert depacketiser.needs_key_frame
    known = H264Depacketiser(parameter_sets=[SPS, PPS])
    frames = payloads((0, "last", [IDR]), depacketiser=known)
    assert [(f.random_access, f.decodable) for f in frames] == [(True, True)]
    assert not known.needs_key_frame


def test_a_recovery_point_ends_the_wait_for_a_key_frame(payloads: Any) -> None:
    """Intra refresh sends no IDR picture. Source: H.264 §D.1.8."""
    depacketiser = H264Depacketiser(parameter_sets=[SPS, PPS])
    frames = payloads(
        (0, "last", [P]), (1, "last", [RECOVERY_POINT, P]), depacketiser=depacketiser
    )
    assert [(f.random_access, f.decodable) for f in frames] == [
        (False, False),
        (False, True),
    ]


# -- losses --------------------------------------------------------------------------


def test_after_a_loss_nothing_is_decodable_until_a_key_frame(payloads: Any) -> None:
    depacketiser = H264Depacketiser()
    frames = payloads(
        (0, "last", KEY),
        (1, "last", [P, P_2]),
        (2, "last", [P]),
        (3, "last", KEY),
        lost=[4],
        depacketiser=depacketiser,
    )
    assert [(f.timestamp, f.decodable, f.dropped) for f in frames] == [
        (0, True, 0),
        (2, False, 1),
        (3, True, 0),
    ]
    statistics = depacketiser.statistics()
    assert (statistics.frames, statistics.dropped_frames, statistics.gaps) == (3, 1, 1)
    assert statistics.damaged_payloads == 0


@pytest.mark.parametrize("lost", [3, 4, 5])
def test_a_picture_that_lost_a_slice_is_dropped(payloads: Any, lost: int) -> None:
    frames = payloads(
        (0, "last", KEY),
        (1, "last", [P, P_2, P_2]),
        (2, "last", [P]),
        lost=[lost],
    )
    assert [f.timestamp for f in frames] == [0, 2]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_picture_that_lost_a_fragment_is_dropped(payloads: Any, lost: int) -> None:
    cut = _fu_a(IDR + bytes(60), 4)
    frames = payloads((0, "last", [_stap_a(SPS, PPS), *cut]), lost=[lost])
    assert frames == []


def test_a_key_frame_survives_the_loss_of_what_it_repeats(payloads: Any) -> None:
    frames = payloads((0, "last", KEY), (1, "last", KEY), lost=[3, 4])
    assert [f.decodable for f in frames] == [True, True]
    assert frames[1].payload == join_length_prefixed([IDR])


def test_sets_outlive_the_picture_that_was_lost(payloads: Any) -> None:
    [frame] = payloads((0, "last", KEY), (1, "last", [SEI, IDR]), lost=[2])
    assert frame.payload == join_length_prefixed([SPS, PPS, SEI, IDR])
    assert frame.decodable


def test_the_message_of_a_lost_picture_does_not_join_the_next_one(
    payloads: Any,
) -> None:
    frames = payloads(
        (0, "last", KEY), (1, "last", [SEI, P]), (2, "last", [P]), lost=[4]
    )
    assert [f.payload for f in frames[1:]] == [join_length_prefixed([P])]


def test_joining_in_the_middle_of_a_picture_waits_for_the_next_one(
    payloads: Any,
) -> None:
    frames = payloads((0, "last", [IDR_2, IDR_2]), (1, "last", KEY))
    assert [(f.timestamp, f.dropped) for f in frames] == [(1, 1)]


# -- damage --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"\x7c",
        b"\x7c\x85",
        b"\x7c\x05\x00",
        b"\x41",
        b"\x78\x00\x09\x41\x9a",
        _stap_a(b"\x78\x00\x02\x41\x9a"),
        b"\x79\x00\x00",
        b"\x7a\x00\x00",
        b"\x7d\x85\x00\x00\x9a",
    ],
    ids=[
        "FU-A of one octet",
        "FU-A without data",
        "fragment of no unit",
        "slice of one octet",
        "unit passes the end",
        "packet inside a packet",
        "STAP-B",
        "MTAP16",
        "FU-B",
    ],
)
def test_damage_is_counted_and_costs_its_picture(payloads: Any, payload: bytes) -> None:
    depacketiser = H264Depacketiser()
    frames = payloads(
        (0, "last", KEY),
        (1, "last", [P, payload]),
        (2, "last", KEY),
        depacketiser=depacketiser,
    )
    assert [f.timestamp for f in frames] == [0, 2]
    assert depacketiser.statistics().damaged_payloads == 1


@pytest.mark.parametrize("payload", [b"", b"\x00\x01", b"\x1e\x00", b"\x1f\x00"])
def test_what_means_nothing_is_passed_over(payloads: Any, payload: bytes) -> None:
    """Types 0, 30 and 31 are reserved. RFC 6184 §5.2."""
    depacketiser = H264Depacketiser()
    [frame] = payloads((0, "last", [*KEY, payload]), depacketiser=depacketiser)
    assert frame.payload == join_length_prefixed(KEY)
    assert depacketiser.statistics().damaged_payloads == 0


def test_a_unit_begun_inside_another_is_damage(payloads: Any) -> None:
    first = _fu_a(IDR + bytes(60), 2)[0]
    for second in (first, P, _stap_a(SPS, PPS)):
        assert payloads((0, "last", [SPS, PPS, first, second])) == []


def test_a_unit_without_its_end_is_damage(payloads: Any) -> None:
    first, _ = _fu_a(IDR + bytes(60), 2)
    frames = payloads((0, "last", [SPS, PPS, first]), (1, "last", KEY))
    assert [f.timestamp for f in frames] == [1]


def test_a_fragment_that_is_begin_and_end_is_a_unit(payloads: Any) -> None:
    """RFC 6184 §5.8 forbids it; some cameras do it."""
    [frame] = payloads((0, "last", [SPS, PPS, b"\x7c\xc5" + IDR[1:]]))
    assert frame.payload == join_length_prefixed(KEY)


@pytest.mark.parametrize(
    ("limits", "payload"),
    [
        (Limits(frame_bytes=100), P + bytes(30)),
        (Limits(frame_payloads=4), P),
        (Limits(frame_units=4), _stap_a(P, P)),
    ],
    ids=["octets", "payloads", "units"],
)
def test_a_picture_beyond_a_limit_is_dropped(
    payloads: Any, limits: Limits, payload: bytes
) -> None:
    depacketiser = H264Depacketiser(limits)
    frames = payloads(
        (0, "last", KEY),
        (1, "last", [payload] * 5),
        (2, "last", KEY),
        depacketiser=depacketiser,
    )
    assert [f.timestamp for f in frames] == [0, 2]
    assert depacketiser.statistics().damaged_payloads == 1


def test_sets_without_any_picture_stay_within_the_limits() -> None:
    depacketiser = H264Depacketiser(Limits(frame_bytes=1000))
    for number in range(1000):
        assert depacketiser.feed(SPS + bytes(20), number, False) == []
        assert depacketiser.pending_bytes <= 1000
    for number, unit in enumerate(KEY):
        frames = depacketiser.feed(unit, 1000, number == 2)
    assert len(frames) == 1


@pytest.mark.parametrize("keeps", [True, False])
def test_sets_of_one_picture_are_no_more_than_its_units(
    payloads: Any, keeps: bool
) -> None:
    """An aggregate holds hundreds of units of one octet, each an object of ours."""
    depacketiser = H264Depacketiser(Limits(frame_units=100), keep_parameter_sets=keeps)
    frames = payloads(
        (0, "last", KEY),
        (1, "last", [_stap_a(*[SPS] * 60), _stap_a(*[SPS] * 60, IDR)]),
        (2, "last", KEY),
        depacketiser=depacketiser,
    )
    assert [f.timestamp for f in frames] == [0, 2]
    assert depacketiser.statistics().damaged_payloads == 1


def test_a_loss_before_a_picture_costs_linear_time() -> None:
    """Whoever sends many sets and messages and no picture must not stop the others."""

    class Unit(bytes):
        """Counts what units are compared with."""

        compared = 0
        __hash__ = bytes.__hash__

        def __eq__(self, other: object) -> bool:
            Unit.compared += 1
            return bytes.__eq__(self, other)

    depacketiser = H264Depacketiser()
    for number in range(500):
        depacketiser.feed(Unit(b"\x67" + number.to_bytes(2, "big")), 0, False)
        depacketiser.feed(Unit(b"\x06" + number.to_bytes(2, "big")), 0, False)
    depacketiser.feed(SEI, 0, False, gap=True)
    for unit in (PPS, IDR):
        frames = depacketiser.feed(unit, 0, unit is IDR)
    assert len(frames[0].parameter_sets) == 501
    assert Unit.compared <= 2_000


# -- packetising ---------------------------------------------------------------------


def test_small_units_share_a_packet_and_large_ones_are_cut() -> None:
    """RFC 6184 §5.7, §5.7.1, §5.8: NRI of a STAP-A is the highest inside."""
    idr = IDR + bytes(range(200))
    cut = h264.packetise(join_length_prefixed([SPS, PPS, SEI, idr]), 100)
    assert cut[0] == _stap_a(SPS, PPS, SEI)
    assert [len(payload) for payload in cut[1:]] == [100, 100, 9]
    assert [payload[:2] for payload in cut[1:]] == [
        b"\x7c\x85",
        b"\x7c\x05",
        b"\x7c\x45",
    ]
    assert b"".join(payload[2:] for payload in cut[1:]) == idr[1:]


def test_delimiters_are_not_sent() -> None:
    assert h264.packetise(join_length_prefixed([AUD, P, FILLER]), 100) == [P]
    assert h264.packetise(b"", 100) == []


def test_a_packetiser_adds_sets_to_idr_pictures_that_have_none() -> None:
    packetiser = H264Packetiser([SPS, PPS])
    both = _stap_a(SPS, PPS, IDR)
    assert packetiser.packetise(join_length_prefixed([IDR]), 100) == [both]
    assert packetiser.packetise(join_length_prefixed([SPS, PPS, IDR]), 100) == [both]
    assert packetiser.packetise(join_length_prefixed([P]), 100) == [P]
    alone = H264Packetiser([SPS, PPS], aggregates=False)
    assert alone.packetise(join_length_prefixed([IDR]), 100) == [SPS, PPS, IDR]


@pytest.mark.parametrize("frame", [b"\0\0\0\5\x41", b"\0\0"])
def test_a_malformed_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        h264.packetise(frame, 100)


@pytest.mark.parametrize("max_size", [0, 63, 65_496])
def test_payload_sizes_that_no_packet_has_are_refused(max_size: int) -> None:
    with pytest.raises(UsageError):
        h264.packetise(join_length_prefixed([P]), max_size)


# -- inspecting ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "frame", "key"),
    [
        (SPS, True, True),
        (PPS, True, False),
        (SEI, True, False),
        (AUD, True, False),
        (IDR, True, True),
        (IDR_2, False, False),
        (P, True, False),
        (P_2, False, False),
        (_stap_a(SPS, PPS), True, True),
        (_stap_a(AUD, SEI, IDR), True, True),
        (_stap_a(P, P_2), True, False),
        (_stap_a(P_2, P_2), False, False),
        (_fu_a(IDR, 3)[0], True, True),
        (_fu_a(IDR, 3)[1], False, False),
        (_fu_a(IDR_2, 3)[0], False, False),
        (_fu_a(P, 2)[0], True, False),
        (b"", False, False),
        (b"\x78", False, False),
        (b"\x78\xff\xff\x41", False, False),
        (b"\x7c\x85", False, False),
    ],
)
def test_payloads_tell_where_pictures_begin(
    payload: bytes, frame: bool, key: bool
) -> None:
    """RFC 6184 §5.3, §8.4."""
    assert h264.is_frame_start(payload) is frame
    assert h264.is_key_frame_start(payload) is key
    assert h264.layer(payload) == (0, 0)


def test_the_timestamp_is_the_pictures(payloads: Any) -> None:
    frames = payloads((0xFFFFFFFF, "last", KEY), (5, "last", [P]))
    assert [f.timestamp for f in frames] == [0xFFFFFFFF, 5]
    assert attrs.evolve(frames[0], timestamp=0).parameter_sets == (SPS, PPS)
