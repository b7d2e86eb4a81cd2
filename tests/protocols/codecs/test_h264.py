from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import attrs
import pytest
from sansmedia.codecs import h264
from sansmedia.codecs.bits import BitWriter
from sansmedia.codecs.nal import escape_rbsp, split_length_prefixed
from sansmedia.codecs.sei import sei_payload
from sansmedia.sansio import ProtocolError, UsageError

_Load = Callable[[str], Any]


def _ranks(orders: list[tuple[int, int]]) -> list[int]:
    return [sorted(orders).index(order) for order in orders]


@pytest.mark.vectors("h264_order_*")
def test_slice_headers_put_the_pictures_in_presentation_order(vector: Any) -> None:
    """H.264 §7.3.3, §7.3.2.2: the header, by both parameter sets."""
    record = h264.decode_avcc(vector.pieces[0])
    sps, pps = h264.decode_sps(record.sps[0]), h264.decode_pps(record.pps[0])
    orders: list[tuple[int, int]] = []
    period = msb = previous = 0
    for unit in vector.pieces[1:]:
        assert h264.slice_parameter_set_id(unit) == pps.pps_id
        header = h264.decode_slice_header(unit, sps, pps)
        if h264.is_random_access([unit]):
            period, msb, previous = period + 1, 0, 0
        if header.pic_order_cnt_lsb is None:
            orders.append((period, len(orders)))
            continue
        # H.264 §8.2.1.1: the bits above pic_order_cnt_lsb.
        lsb, modulus = header.pic_order_cnt_lsb, 1 << sps.log2_max_pic_order_cnt_lsb
        if lsb < previous and previous - lsb >= modulus // 2:
            order = msb + modulus + lsb
        elif lsb > previous and lsb - previous > modulus // 2:
            order = msb - modulus + lsb
        else:
            order = msb + lsb
        if header.nal_ref_idc:
            msb, previous = order - lsb, lsb
        orders.append((period, order))
    assert _ranks(orders) == vector.expected["presentation_rank"]


@pytest.mark.vectors("h264_order_[!o]*")
def test_idr_pictures_are_those_that_the_muxer_marks(vector: Any) -> None:
    """H.264 §7.4.1.2.4."""
    found = [h264.is_random_access([unit]) for unit in vector.pieces[1:]]
    assert found == vector.expected["key"]


@pytest.mark.vectors("h264_recovery_points")
def test_open_groups_begin_with_a_recovery_point(vector: Any) -> None:
    units = [split_length_prefixed(piece) for piece in vector.pieces]
    idr = [h264.is_random_access(access_unit) for access_unit in units]
    recovery = [h264.recovery_point(access_unit) for access_unit in units]
    assert idr == [True] + [False] * 23
    assert [i or r == 0 for i, r in zip(idr, recovery, strict=True)] == (
        vector.expected["key"]
    )
    assert set(recovery) == {None, 0}


def test_a_damaged_recovery_point_counts_as_none() -> None:
    good = b"\x06\x06\x01\x50\x80"
    assert h264.recovery_point([good]) == 1
    assert h264.recovery_point([b"\x06\x06\x05\x50"]) is None
    assert h264.recovery_point([b"\x06\x06\x01\x00\x80", good]) == 1
    assert h264.recovery_point([b"\x06\xff\xff", b""]) is None


@pytest.mark.parametrize("head", [b"", b"\x05"], ids=["type", "size"])
def test_an_endless_number_in_a_message_is_not_counted_to_its_end(head: bytes) -> None:
    """H.264 §7.3.2.3.1, H.265 §7.3.5: a publisher fills a unit with ff_byte."""
    with pytest.raises(ProtocolError) as caught:
        sei_payload(head + b"\xff" * 100_000, 6)
    assert caught.value.code == "limit"


def test_a_message_is_found_behind_a_long_one() -> None:
    """H.264 §7.3.2.3.1, H.265 §7.3.5: sizes and types go on over ff_byte."""
    first = b"\xff\x2d" + b"\xff\xff\x02" + bytes(512)
    rbsp = first + b"\x06\x01\x50\x80"
    assert sei_payload(rbsp, 300) == bytes(512)
    assert sei_payload(rbsp, 6) == b"\x50"
    assert sei_payload(rbsp, 5) is None


def test_usability_information_is_read_whole(load_vector: _Load) -> None:
    """H.264 §E.1.1, §E.2.1: two ticks are a frame."""
    record = h264.decode_avcc(load_vector("h264_high_hrd_sar").data)
    sps = h264.decode_sps(record.sps[0])
    assert sps.vui is not None
    assert sps.vui.sample_aspect_ratio == (16, 11)
    assert sps.vui.max_num_reorder_frames == 2
    assert not sps.vui.fixed_frame_rate
    assert sps.frame_rate == 25
    assert (sps.coded_width, sps.coded_height) == (720, 576)


def test_the_codec_string_is_three_octets_of_the_sps(load_vector: _Load) -> None:
    found = h264.parameters(load_vector("h264_constrained_baseline").data)
    assert found.rfc6381 == "avc1.42C00A"
    assert h264.parameters(load_vector("h264_high_1080").data).rfc6381 == "avc1.64002A"


def test_cropping_of_interlaced_pictures_counts_in_field_rows(
    load_vector: _Load,
) -> None:
    """H.264 §7.4.2.1.1."""
    record = h264.decode_avcc(load_vector("h264_interlaced_422").data)
    sps = h264.decode_sps(record.sps[0])
    assert not sps.frame_mbs_only
    assert (sps.coded_height, sps.height) == (576, 570)


@pytest.mark.parametrize(
    ("idc", "flags", "name"),
    [
        (66, 0x00, "Baseline"),
        (66, 0x40, "Constrained Baseline"),
        (88, 0x00, "Extended"),
        (110, 0x10, "High 10 Intra"),
        (122, 0x10, "High 4:2:2 Intra"),
        (244, 0x10, "High 4:4:4 Intra"),
        (44, 0x10, "CAVLC 4:4:4 Intra"),
        (118, 0x00, "Multiview High"),
        (200, 0x00, "Profile 200"),
    ],
)
def test_profiles_have_the_names_of_annex_a(idc: int, flags: int, name: str) -> None:
    """H.264 §A.2."""
    assert h264.profile_name(idc, flags) == name


@pytest.mark.parametrize(
    ("idc", "flags", "level", "name"),
    [
        (77, 0x10, 11, "1b"),
        (77, 0x00, 11, "1.1"),
        (100, 0x10, 11, "1.1"),
        (100, 0, 9, "1b"),
        (100, 0, 40, "4"),
        (100, 0, 62, "6.2"),
    ],
)
def test_levels_have_the_names_of_annex_a(
    idc: int, flags: int, level: int, name: str
) -> None:
    """H.264 §A.3.1."""
    assert h264.level_name(idc, flags, level) == name


@pytest.mark.parametrize(
    ("chroma", "name", "size"),
    [
        (0, "4:0:0", (313, 235)),
        (1, "4:2:0", (306, 230)),
        (2, "4:2:2", (306, 235)),
        (3, "4:4:4", (313, 235)),
    ],
)
def test_cropping_counts_in_chroma_samples(
    chroma: int, name: str, size: tuple[int, int]
) -> None:
    """H.264 §6.2, §7.4.2.1.1, by Table 6-1: 3 + 4 columns and 2 + 3 rows."""
    bits = BitWriter().u(24, 244 << 16 | 31).ue(0).ue(chroma)
    if chroma == 3:
        bits.flag(False)
    bits.ue(0).ue(0).u(2, 0).ue(0).ue(2).ue(1).flag(False)
    bits.ue(19).ue(14).flag(True).flag(True)
    bits.flag(True).ue(3).ue(4).ue(2).ue(3).flag(False)
    unit = b"\x67" + escape_rbsp(bits.rbsp_trailing().getvalue())
    found = h264.parameters_from_sps(h264.decode_sps(unit))
    assert (found.chroma, (found.width, found.height)) == (name, size)


def _sps(
    *,
    columns: int = 20,
    rows: int = 15,
    order_type: int = 1,
    cycle: int = 2,
    ref_frames: int = 1,
    crop: tuple[int, int, int, int] | None = None,
    timing: tuple[int, int] | None = None,
    cpb_count: int | None = None,
) -> bytes:
    """Write a Main profile SPS with what x264 never writes."""
    bits = BitWriter().u(24, 77 << 16 | 31).ue(0).ue(0).ue(order_type)
    if order_type == 0:
        bits.ue(2)
    elif order_type == 1:
        bits.flag(False).se(-3).se(5).ue(cycle)
        for offset in range(min(cycle, 255)):
            bits.se(offset)
    bits.ue(ref_frames).flag(False).ue(columns - 1).ue(rows - 1).flag(True).flag(True)
    bits.flag(crop is not None)
    for edge in crop or ():
        bits.ue(edge)
    bits.flag(timing is not None or cpb_count is not None)
    if timing is not None or cpb_count is not None:
        bits.u(4, 0).flag(timing is not None)
        if timing is not None:
            bits.u(32, timing[0]).u(32, timing[1]).flag(True)
        bits.flag(cpb_count is not None)
        if cpb_count is not None:
            bits.ue(cpb_count - 1).u(8, 0)
            for _ in range(min(cpb_count, 32)):
                bits.ue(0).ue(0).flag(False)
            bits.u(20, 0)
        bits.u(1, 0)
        if cpb_count is not None:
            bits.u(1, 0)
        bits.u(2, 0)
    return b"\x67" + escape_rbsp(bits.rbsp_trailing().getvalue())


def test_picture_order_type_1_is_read_with_its_cycle() -> None:
    sps = h264.decode_sps(_sps(cycle=3))
    assert (sps.offset_for_non_ref_pic, sps.offset_for_top_to_bottom_field) == (-3, 5)
    assert sps.offset_for_ref_frame == (0, 1, 2)
    pps = h264.Pps(0, 0, True, True)
    bits = BitWriter().ue(0).ue(6).ue(0).u(4, 9).se(-2).se(7).rbsp_trailing()
    header = h264.decode_slice_header(b"\x41" + bits.getvalue(), sps, pps)
    assert header.slice_type is h264.SliceType.B
    assert (header.frame_num, header.delta_pic_order_cnt) == (9, (-2, 7))
    assert header.pic_order_cnt_lsb is None


def test_a_tick_is_a_field_and_a_rate_beyond_reason_is_none() -> None:
    assert h264.decode_sps(_sps(timing=(1001, 60000))).frame_rate == Fraction(
        30000, 1001
    )
    assert h264.decode_sps(_sps(timing=(1, 4_000_000_000))).frame_rate is None
    assert h264.decode_sps(_sps(timing=(0, 50))).frame_rate is None
    assert h264.decode_sps(_sps()).frame_rate is None


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        (_sps(columns=1025), "limit"),
        (_sps(rows=1 << 30), "limit"),
        (_sps(crop=(80, 80, 0, 0)), "malformed"),
        (_sps(crop=(1 << 20, 0, 0, 0)), "limit"),
        (_sps(ref_frames=17), "limit"),
        (_sps(cycle=256), "limit"),
        (_sps(order_type=3), "limit"),
        (_sps(cpb_count=33), "limit"),
        (_sps()[:6], "truncated"),
        (b"\x67", "truncated"),
        (b"", "malformed"),
        (b"\x68\xce", "malformed"),
    ],
)
def test_a_hostile_sps_is_refused(unit: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        h264.decode_sps(unit)
    assert raised.value.code == code


def test_the_largest_accepted_picture_is_accepted() -> None:
    sps = h264.decode_sps(_sps(columns=1024, rows=1024, cpb_count=32))
    assert (sps.width, sps.height) == (16384, 16384)


def test_a_slice_of_another_parameter_set_is_refused(load_vector: _Load) -> None:
    pieces = load_vector("h264_order_pyramid").pieces
    record = h264.decode_avcc(pieces[0])
    sps, pps = h264.decode_sps(record.sps[0]), h264.decode_pps(record.pps[0])
    with pytest.raises(ProtocolError):
        h264.decode_slice_header(pieces[1], sps, attrs.evolve(pps, pps_id=1))
    with pytest.raises(ProtocolError):
        h264.decode_slice_header(record.sps[0], sps, pps)


def test_an_avcc_without_its_high_profile_tail_is_read(load_vector: _Load) -> None:
    data = load_vector("h264_high_1080").data
    record = h264.decode_avcc(data[:-4])
    assert record.chroma_format is None
    assert h264.encode_avcc(record) == data[:-4]
    assert h264.parameters(data[:-4]) == h264.parameters(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\0\x64\0\x1f\xff\xe0\0", "version"),
        (b"\1\x4d\0\x1f\xfe\xe0\0", "malformed"),
        (b"\1\x4d\0\x1f\xff\xe1\0\x09g", "truncated"),
        (b"\1\x4d\0\x1f\xff\xe0\0", "malformed"),
    ],
)
def test_a_broken_avcc_gives_no_parameters(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        h264.parameters(data)
    assert raised.value.code == code


def test_parameter_sets_that_do_not_fit_a_record_are_refused() -> None:
    sps = _sps()
    for sets in ([], [sps] * 32, [sps + bytes(70000)]):
        with pytest.raises(ProtocolError):
            h264.avcc_from_parameter_sets(sets, [])
    record = h264.decode_avcc(h264.avcc_from_parameter_sets([sps], [b"\x68\xce"]))
    with pytest.raises(UsageError):
        h264.encode_avcc(attrs.evolve(record, length_size=3))


def test_unit_types_are_told_apart() -> None:
    assert [h264.unit_type(u) for u in (b"\x67", b"\x65\x88", b"")] == [7, 5, 0]
    assert [h264.is_parameter_set(u) for u in (b"\x67", b"\x28", b"\x65", b"")] == [
        True,
        True,
        False,
        False,
    ]
