"""H.265: its own headers; the ways of senders are those of H.264."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sansmedia.codecs.nal import join_length_prefixed
from sansmedia.rtp.payloads import (
    Frame,
    H265Depacketiser,
    H265Packetiser,
    Limits,
    h265,
)
from sansmedia.sansio import ProtocolError

VPS, SPS, PPS = b"\x40\x01\x0c\x01", b"\x42\x01\x01\x01", b"\x44\x01\xc0\xf3"
SEI, AUD = b"\x4e\x01\x05\x01\x00\x80", b"\x46\x01\x50"
RECOVERY_POINT = b"\x4e\x01\x06\x01\x84\x80"
IDR, IDR_2 = b"\x26\x01\xaf\x01", b"\x26\x01\x2f\x02"
CRA = b"\x2a\x01\xaf\x01"
P, P_2, P_T1 = b"\x02\x01\xd0\x01", b"\x02\x01\x50\x02", b"\x02\x02\xd0\x03"
KEY = [VPS, SPS, PPS, IDR]


def _ap(*units: bytes) -> bytes:
    return b"\x60\x01" + b"".join(len(u).to_bytes(2, "big") + u for u in units)


def _fu(unit: bytes, parts: int) -> list[bytes]:
    """Cut a unit into fragments. RFC 7798 §4.4.3."""
    step = -(-(len(unit) - 2) // parts)
    cut = [unit[2 + at * step : 2 + (at + 1) * step] for at in range(parts)]
    return [
        bytes(
            (
                unit[0] & 0x81 | 49 << 1,
                unit[1],
                (at == 0) << 7 | (at == parts - 1) << 6 | unit[0] >> 1 & 0x3F,
            )
        )
        + part
        for at, part in enumerate(cut)
    ]


@pytest.fixture
def payloads(feed: Callable[..., list[Frame]], packet: type[Any]) -> Any:
    """Feed (timestamp, payloads), the marker on the last one."""

    def run(
        *pictures: tuple[int, Sequence[bytes]],
        lost: Sequence[int] = (),
        depacketiser: H265Depacketiser | None = None,
    ) -> list[Frame]:
        packets = [
            packet(payload, at, number == len(cut))
            for at, cut in pictures
            for number, payload in enumerate(cut, 1)
        ]
        return feed(depacketiser or H265Depacketiser(), packets, lost)

    return run


@pytest.mark.parametrize(
    "cut",
    [
        [VPS, SPS, PPS, SEI, IDR, IDR_2],
        [_ap(VPS, SPS, PPS, SEI), *_fu(IDR, 2), IDR_2],
        [AUD, _ap(VPS, SPS, PPS), SEI, _ap(IDR, IDR_2)],
        [VPS, SPS, PPS, SEI, *_fu(IDR, 1), *_fu(IDR_2, 2)],
    ],
    ids=["alone", "mixed", "aggregated", "one fragment"],
)
def test_units_come_alone_together_or_in_pieces(
    payloads: Any, cut: list[bytes]
) -> None:
    """RFC 7798 §4.4.1, §4.4.2, §4.4.3, §6."""
    assert payloads((7, cut)) == [
        Frame(
            7,
            join_length_prefixed([VPS, SPS, PPS, SEI, IDR, IDR_2]),
            parameter_sets=(VPS, SPS, PPS),
        )
    ]


def test_a_cra_picture_is_a_place_to_begin(payloads: Any) -> None:
    [frame] = payloads((0, [VPS, SPS, PPS, CRA]))
    assert frame.random_access
    assert frame.decodable


def test_without_the_three_sets_nothing_can_be_decoded(payloads: Any) -> None:
    assert not payloads((0, [SPS, PPS, IDR]))[0].decodable
    known = H265Depacketiser(parameter_sets=[VPS])
    assert payloads((0, [SPS, PPS, IDR]), depacketiser=known)[0].decodable


def test_a_recovery_point_ends_the_wait_for_a_key_frame(payloads: Any) -> None:
    """Source: H.265 §D.2.8."""
    depacketiser = H265Depacketiser(parameter_sets=[VPS, SPS, PPS])
    frames = payloads((0, [P]), (1, [RECOVERY_POINT, P]), depacketiser=depacketiser)
    assert [frame.decodable for frame in frames] == [False, True]


def test_frames_tell_their_temporal_layer(payloads: Any) -> None:
    frames = payloads((0, KEY), (1, [P_T1]), (2, [P]))
    assert [frame.temporal_layer for frame in frames] == [0, 1, 0]


@pytest.mark.parametrize("lost", [4, 5, 6])
def test_a_picture_that_lost_a_packet_is_dropped(payloads: Any, lost: int) -> None:
    frames = payloads((0, KEY), (1, [*_fu(P, 2), P_2]), (2, [P]), (3, KEY), lost=[lost])
    assert [(f.timestamp, f.decodable) for f in frames] == [
        (0, True),
        (2, False),
        (3, True),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x02\x01",
        b"\x62\x01\x81",
        b"\x62\x01\x01\x00",
        b"\x60\x01\x00\x09\x02\x01\xd0",
        _ap(b"\x60\x01\x00"),
        _ap(b"\x02\x01"),
        b"\x64\x01\x00\x00",
    ],
    ids=[
        "unit of two octets",
        "fragment without data",
        "fragment of no unit",
        "unit passes the end",
        "packet inside a packet",
        "empty unit",
        "PACI",
    ],
)
def test_damage_is_counted_and_costs_its_picture(payloads: Any, payload: bytes) -> None:
    """RFC 7798 §4.4, §4.4.4."""
    depacketiser = H265Depacketiser()
    frames = payloads((0, KEY), (1, [P, payload]), (2, KEY), depacketiser=depacketiser)
    assert [frame.timestamp for frame in frames] == [0, 2]
    assert depacketiser.statistics().damaged_payloads == 1


def test_a_unit_begun_inside_another_is_damage(payloads: Any) -> None:
    first = _fu(IDR, 2)[0]
    for second in (first, P, _ap(SPS, PPS)):
        assert payloads((0, [VPS, SPS, PPS, first, second])) == []


@pytest.mark.parametrize("payload", [b"", b"\x66\x01\x00\x00", b"\x7e\x01\x00\x00"])
def test_what_means_nothing_is_passed_over(payloads: Any, payload: bytes) -> None:
    depacketiser = H265Depacketiser()
    assert len(payloads((0, [*KEY, payload]), depacketiser=depacketiser)) == 1
    assert depacketiser.statistics().damaged_payloads == 0


def test_a_picture_beyond_the_limit_is_dropped(payloads: Any) -> None:
    depacketiser = H265Depacketiser(Limits(frame_units=4))
    frames = payloads((0, KEY), (1, [P] * 5), depacketiser=depacketiser)
    assert [frame.timestamp for frame in frames] == [0]


def test_small_units_share_a_packet_and_large_ones_are_cut() -> None:
    """RFC 7798 §4.4.2: layer and temporal id are the lowest inside."""
    idr = IDR + bytes(range(200))
    cut = h265.packetise(join_length_prefixed([AUD, VPS, SPS, PPS, idr]), 100)
    assert cut[0] == _ap(VPS, SPS, PPS)
    assert [len(payload) for payload in cut[1:]] == [100, 100, 11]
    heads = [b"\x62\x01\x93", b"\x62\x01\x13", b"\x62\x01\x53"]
    assert [payload[:3] for payload in cut[1:]] == heads
    assert b"".join(payload[3:] for payload in cut[1:]) == idr[2:]
    upper = b"\x0a\x0b\xd0\x01"
    [both] = h265.packetise(join_length_prefixed([upper, P_T1]), 100)
    assert both[:2] == b"\x60\x02"


def test_a_packetiser_adds_sets_to_random_access_pictures() -> None:
    packetiser = H265Packetiser([VPS, SPS, PPS])
    for picture in (IDR, CRA):
        whole = _ap(VPS, SPS, PPS, picture)
        assert packetiser.packetise(join_length_prefixed([picture]), 100) == [whole]
    assert packetiser.packetise(join_length_prefixed([P]), 100) == [P]
    assert packetiser.packetise(join_length_prefixed(KEY), 100) == [_ap(*KEY)]


def test_a_unit_without_header_is_refused() -> None:
    """H.265 §7.3.1.2."""
    with pytest.raises(ProtocolError):
        h265.packetise(b"\0\0\0\1\x26", 100)


@pytest.mark.parametrize(
    ("payload", "frame", "key", "layer"),
    [
        (VPS, True, True, (0, 0)),
        (SPS, True, True, (0, 0)),
        (PPS, True, False, (0, 0)),
        (SEI, True, False, (0, 0)),
        (AUD, True, False, (0, 0)),
        (IDR, True, True, (0, 0)),
        (IDR_2, False, False, (0, 0)),
        (CRA, True, True, (0, 0)),
        (P_T1, True, False, (0, 1)),
        (P_2, False, False, (0, 0)),
        (b"\x03\x0a\xd0\x01", True, False, (33, 1)),
        (_ap(VPS, SPS), True, True, (0, 0)),
        (_ap(SEI, IDR), True, True, (0, 0)),
        (_ap(P_2, P_2), False, False, (0, 0)),
        (_fu(IDR, 2)[0], True, True, (0, 0)),
        (_fu(IDR, 2)[1], False, False, (0, 0)),
        (_fu(IDR_2, 2)[0], False, False, (0, 0)),
        (b"\x60\x01\xff\xff\x02", False, False, (0, 0)),
        (b"\x62\x01\x93", False, False, (0, 0)),
        (b"\x02\x00", False, False, (0, 0)),
        (b"", False, False, (0, 0)),
    ],
)
def test_payloads_tell_where_pictures_begin(
    payload: bytes, frame: bool, key: bool, layer: tuple[int, int]
) -> None:
    """RFC 7798 §1.1.4."""
    assert h265.is_frame_start(payload) is frame
    assert h265.is_key_frame_start(payload) is key
    assert h265.layer(payload) == layer
