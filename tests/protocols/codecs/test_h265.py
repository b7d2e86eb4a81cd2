from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import h265
from sansmedia.codecs.bits import BitWriter
from sansmedia.codecs.nal import escape_rbsp
from sansmedia.sansio import ProtocolError, UsageError

_Load = Callable[[str], Any]


@pytest.mark.vectors("h265_order*")
def test_slice_headers_put_the_pictures_in_presentation_order(vector: Any) -> None:
    """H.265 §7.3.6.1, §7.3.2.3: the header, by both parameter sets."""
    record = h265.decode_hvcc(vector.pieces[0])
    sps = h265.decode_sps(record.units(h265.UnitType.SPS)[0])
    pps = h265.decode_pps(record.units(h265.UnitType.PPS)[0])
    orders: list[tuple[int, int]] = []
    period = msb = previous = 0
    modulus = 1 << sps.log2_max_pic_order_cnt_lsb
    for unit in vector.pieces[1:]:
        assert h265.slice_parameter_set_id(unit) == pps.pps_id
        header = h265.decode_slice_header(unit, sps, pps)
        lsb = header.pic_order_cnt_lsb
        if header.unit_type in (19, 20):
            period, msb, previous = period + 1, 0, 0
        # H.265 §8.3.1: the bits above slice_pic_order_cnt_lsb.
        if lsb < previous and previous - lsb >= modulus // 2:
            order = msb + modulus + lsb
        elif lsb > previous and lsb - previous > modulus // 2:
            order = msb - modulus + lsb
        else:
            order = msb + lsb
        reference = header.unit_type >= 16 or header.unit_type in (1, 3, 5)
        if header.temporal_id == 0 and reference:
            msb, previous = order - lsb, lsb
        orders.append((period, order))
    ranks = [sorted(orders).index(order) for order in orders]
    assert ranks == vector.expected["presentation_rank"]


@pytest.mark.vectors("h265_order*")
def test_irap_pictures_are_those_that_the_muxer_marks(vector: Any) -> None:
    """H.265 §3.74."""
    found = [h265.is_random_access([unit]) for unit in vector.pieces[1:]]
    assert found == vector.expected["key"]


@pytest.mark.parametrize(
    ("general", "string"),
    [
        ((0, 0, 1, 0x60000000, 0xB00000000000, 93), "hvc1.1.6.L93.B0"),
        ((0, 1, 2, 0x20000000, 0, 150), "hvc1.2.4.H150"),
        ((1, 0, 4, 0x08000000, 0x9D0800000000, 120), "hvc1.A4.10.L120.9D.8"),
    ],
)
def test_codec_strings_follow_annex_e(
    general: tuple[int, int, int, int, int, int], string: str
) -> None:
    """ISO 14496-15 §E.3."""
    assert h265.codec_string(h265.ProfileTierLevel(*general)) == string


def test_the_sample_entry_of_a_codec_string_can_be_chosen() -> None:
    general = h265.ProfileTierLevel(0, 0, 1, 0x60000000, 0xB00000000000, 93)
    string = h265.codec_string(general, sample_entry="hev1")
    assert string == "hev1.1.6.L93.B0"


def test_tier_sub_layers_and_level_are_read(load_vector: _Load) -> None:
    """H.265 §7.3.2.1, §7.3.3, §A.4.1."""
    record = h265.decode_hvcc(load_vector("h265_temporal_layers").data)
    sps = h265.decode_sps(record.units(h265.UnitType.SPS)[0])
    vps = h265.decode_vps(record.units(h265.UnitType.VPS)[0])
    assert sps.max_sub_layers == vps.max_sub_layers == record.temporal_layers == 3
    assert sps.profile_tier_level == vps.profile_tier_level
    assert sps.profile_tier_level.tier == 1
    found = h265.parameters_from_sps(sps)
    assert (found.level, found.rfc6381) == ("5.1", "hvc1.1.6.H153.90")


def test_a_damaged_vps_costs_no_more_than_its_rate(load_vector: _Load) -> None:
    data = load_vector("h265_main").data
    record = h265.decode_hvcc(data)
    vps, *others = record.arrays
    broken = attrs.evolve(vps, units=(vps.units[0][:6],))
    damaged = attrs.evolve(record, arrays=(broken, *others))
    assert h265.parameters(h265.encode_hvcc(damaged)) == h265.parameters(data)


def test_a_profile_that_is_only_implied_by_its_flags_has_a_name() -> None:
    """H.265 §A.3."""
    general = h265.ProfileTierLevel(0, 0, 0, 0x20000000, 0, 93)
    assert h265.profile_name(general) == "Main 10"
    assert h265.profile_name(attrs.evolve(general, compatibility=0)) == "Profile 0"


def test_a_recovery_point_is_signed() -> None:
    """H.265 §D.2.8."""
    assert h265.recovery_point([b"\x4e\x01\x06\x01\xd0\x80"]) == 0
    assert h265.recovery_point([b"\x4e\x01\x06\x01\x60\x80"]) == -1
    assert h265.recovery_point([b"\x4e\x01\x06\x09\x60\x80", b""]) is None


def _ptl(bits: BitWriter) -> BitWriter:
    return bits.u(8, 1).u(32, 0x60000000).u(48, 0).u(8, 93)


def _sps_head(width: int = 64, height: int = 64) -> BitWriter:
    """Write an SPS up to log2_max_pic_order_cnt_lsb_minus4."""
    bits = _ptl(BitWriter().u(4, 0).u(3, 0).u(1, 1)).ue(0).ue(1)
    return bits.ue(width).ue(height).flag(False).ue(0).ue(0).ue(4)


def _sps_tools(bits: BitWriter, *, scaling: bool = False) -> BitWriter:
    """Go on up to num_short_term_ref_pic_sets."""
    bits.flag(True).ue(4).ue(2).ue(0)
    for value in (0, 1, 0, 3, 0, 0):
        bits.ue(value)
    bits.flag(scaling)
    if scaling:
        bits.flag(True)
        for size in range(4):
            for matrix in range(2 if size == 3 else 6):
                explicit = matrix == 0
                bits.flag(explicit)
                if not explicit:
                    bits.ue(matrix)
                    continue
                if size > 1:
                    bits.se(8)
                for _ in range(min(64, 16 << (2 * size))):
                    bits.se(1)
    return bits.u(2, 0).flag(True).u(8, 0x77).ue(0).ue(0).flag(True)


def _unit(bits: BitWriter) -> bytes:
    return b"\x42\x01" + escape_rbsp(bits.rbsp_trailing().getvalue())


def test_predicted_reference_sets_and_long_term_pictures_are_passed_over() -> None:
    """H.265 §7.3.2.2, §7.3.4, §7.4.8."""
    bits = _sps_tools(_sps_head(), scaling=True).ue(3)
    bits.ue(1).ue(1).ue(0).flag(True).ue(0).flag(True)
    # From {-1, +1} by +1: -1 falls on the picture itself and out, +1 becomes +2,
    # and +1 is new; so the next set predicts from 2 pictures, not 3.
    bits.flag(True).flag(False).ue(0).flag(True).flag(True).flag(True)
    bits.flag(True).flag(True).ue(3).flag(True).flag(False).flag(True).flag(True)
    bits.flag(True).ue(2).u(9, 1).u(9, 2).u(2, 3).flag(False)
    sps = h265.decode_sps(_unit(bits))
    assert (sps.width, sps.height, sps.vui) == (64, 64, None)
    assert sps.log2_max_pic_order_cnt_lsb == 8


@pytest.mark.parametrize("kinds", [(1, 0), (0, 1), (1, 1), (0, 0)])
@pytest.mark.parametrize("sub_pic", [False, True])
def test_what_stands_behind_the_buffering_parameters_is_found(
    kinds: tuple[int, int], sub_pic: bool
) -> None:
    """H.265 §E.2.1, §E.2.2: every field, each of another width than its neighbours."""
    bits = _sps_tools(_sps_head()).ue(0).flag(False).u(2, 0).flag(True)
    bits.flag(True).u(8, 255).u(16, 8).u(16, 9)
    bits.flag(False).flag(True).u(3, 5).flag(True).flag(True).u(24, 0x091009)
    bits.flag(True).ue(1).ue(2)
    bits.flag(False).flag(True).flag(False).flag(True)
    for edge in (1, 2, 3, 4):
        bits.ue(edge)
    bits.flag(True).u(32, 1001).u(32, 120000).flag(True).ue(7).flag(True)
    bits.u(1, kinds[0]).u(1, kinds[1])
    if any(kinds):
        bits.flag(sub_pic)
        if sub_pic:
            bits.u(8, 98).u(5, 23).flag(True).u(5, 11)
        bits.u(4, 3).u(4, 2)
        if sub_pic:
            bits.u(4, 1)
        bits.u(5, 22).u(5, 21).u(5, 20)
    # One sub-layer: neither rate is fixed, no low delay, two schedules.
    bits.flag(False).flag(False).flag(False).ue(1)
    for _ in range(2 * sum(kinds)):
        bits.ue(1000).ue(2000)
        if sub_pic:
            bits.ue(3000).ue(4000)
        bits.flag(True)
    bits.flag(True).u(3, 0).ue(77).ue(0).ue(0).ue(15).ue(15)
    sps = h265.decode_sps(_unit(bits))
    assert sps.vui is not None
    assert sps.vui.sample_aspect_ratio == (8, 9)
    assert (sps.vui.full_range, sps.vui.colour_primaries) == (True, 9)
    assert sps.vui.transfer_characteristics == 16
    assert sps.vui.min_spatial_segmentation_idc == 77
    # Each picture is a field, so two are a frame.
    assert sps.frame_rate == Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("chroma", "name", "size"),
    [
        (0, "4:0:0", (57, 59)),
        (1, "4:2:0", (50, 54)),
        (2, "4:2:2", (50, 59)),
        (3, "4:4:4", (57, 59)),
    ],
)
def test_the_conformance_window_counts_in_chroma_samples(
    chroma: int, name: str, size: tuple[int, int]
) -> None:
    """H.265 §6.2, §7.4.3.2.1, by Table 6-1: 3 + 4 columns and 2 + 3 rows."""
    bits = _ptl(BitWriter().u(4, 0).u(3, 0).u(1, 1)).ue(0).ue(chroma)
    if chroma == 3:
        bits.flag(False)
    bits.ue(64).ue(64).flag(True).ue(3).ue(4).ue(2).ue(3).ue(0).ue(0).ue(4)
    bits = _sps_tools(bits).ue(0).flag(False).u(2, 0).flag(False)
    found = h265.parameters_from_sps(h265.decode_sps(_unit(bits)))
    assert (found.chroma, (found.width, found.height)) == (name, size)


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        (_unit(_sps_head(16385, 64)), "limit"),
        (_unit(_sps_head(64, 1 << 31)), "limit"),
        (_unit(_sps_head(0, 64)), "malformed"),
        (_unit(_sps_tools(_sps_head()).ue(65)), "limit"),
        (_unit(_sps_tools(_sps_head()).ue(1).ue(17).ue(0)), "limit"),
        (_unit(_sps_tools(_sps_head()).ue(1).ue(16).ue(16)), "truncated"),
        (_unit(_sps_tools(_sps_head()).ue(0).flag(True).ue(33)), "limit"),
        (_unit(BitWriter().u(4, 0).u(3, 7)), "malformed"),
        (b"\x42\x01", "truncated"),
        (b"\x42", "malformed"),
        (b"", "malformed"),
    ],
)
def test_a_hostile_sps_is_refused(unit: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        h265.decode_sps(unit)
    assert raised.value.code == code


def test_sets_that_grow_by_prediction_end_at_sixteen_pictures() -> None:
    """H.265 §A.4.2: MaxDpbSize is 16 at most."""
    bits = _sps_tools(_sps_head()).ue(64)
    bits.ue(16).ue(0)
    for _ in range(16):
        bits.ue(0).flag(True)
    for _ in range(63):
        bits.flag(True).flag(True).ue(0)
        for _ in range(17):
            bits.flag(True)
    with pytest.raises(ProtocolError) as raised:
        h265.decode_sps(_unit(bits))
    assert raised.value.code == "limit"


def test_a_dependent_slice_segment_has_an_address_and_no_type(
    load_vector: _Load,
) -> None:
    record = h265.decode_hvcc(load_vector("h265_main").data)
    sps = h265.decode_sps(record.units(h265.UnitType.SPS)[0])
    pps = h265.decode_pps(record.units(h265.UnitType.PPS)[0])
    pps = attrs.evolve(pps, dependent_slice_segments_enabled=True)
    # 640x360 in blocks of 64: 10 by 6, so an address has 6 bits.
    bits = BitWriter().u(16, 0x0201).u(1, 0).ue(0).u(1, 1).u(6, 42).rbsp_trailing()
    header = h265.decode_slice_header(bits.getvalue(), sps, pps)
    assert (header.slice_type, header.slice_segment_address) == (None, 42)
    with pytest.raises(ProtocolError):
        h265.decode_slice_header(bits.getvalue(), sps, attrs.evolve(pps, pps_id=1))
    with pytest.raises(ProtocolError):
        h265.slice_parameter_set_id(record.units(h265.UnitType.SPS)[0])


@pytest.mark.parametrize(
    ("mutate", "code"),
    [
        (lambda d: b"\0" + d[1:], "version"),
        (lambda d: d[:21] + b"\x0e" + d[22:], "malformed"),
        (lambda d: d[:-1], "truncated"),
        (lambda d: d[:22] + b"\1\x20\xff\xff", "limit"),
        (lambda d: d[:22] + b"\0", "malformed"),
    ],
)
def test_a_broken_hvcc_gives_no_parameters(
    load_vector: _Load, mutate: Callable[[bytes], bytes], code: str
) -> None:
    with pytest.raises(ProtocolError) as raised:
        h265.parameters(mutate(load_vector("h265_main").data))
    assert raised.value.code == code


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 63),
            st.lists(st.binary(max_size=9), max_size=3),
            st.booleans(),
        ),
        max_size=4,
    ),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 65535),
)
def test_any_record_comes_back(
    arrays: list[tuple[int, list[bytes], bool]], length_size: int, rate: int
) -> None:
    record = h265.HevcDecoderConfigurationRecord(
        h265.ProfileTierLevel(1, 1, 2, 0x12345678, 0x123456789ABC, 93),
        1,
        10,
        8,
        tuple(h265.ParameterSetArray(k, tuple(u), c) for k, u, c in arrays),
        length_size,
        4095,
        3,
        rate,
        2,
        7,
        True,
    )
    assert h265.decode_hvcc(h265.encode_hvcc(record)) == record


def test_a_record_without_sets_or_with_an_odd_length_is_refused() -> None:
    with pytest.raises(ProtocolError):
        h265.hvcc_from_parameter_sets([], [], [])
    general = h265.ProfileTierLevel(0, 0, 1, 0, 0, 93)
    with pytest.raises(UsageError):
        h265.encode_hvcc(
            h265.HevcDecoderConfigurationRecord(general, 1, 8, 8, (), length_size=3)
        )


def test_unit_types_are_told_apart() -> None:
    assert [h265.unit_type(u) for u in (b"\x40\x01", b"\x26\x01", b"")] == [32, 19, 63]
    assert h265.is_parameter_set(b"\x44\x01")
    assert not h265.is_parameter_set(b"\x26\x01")
