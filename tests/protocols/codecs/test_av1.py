from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import av1
from sansmedia.codecs.bits import BitWriter
from sansmedia.sansio import ProtocolError, UsageError

_Load = Callable[[str], Any]


@pytest.mark.vectors("av1_units", "av1_units_aom")
def test_key_frames_are_those_that_the_demuxer_marks(vector: Any) -> None:
    found = [av1.is_random_access(piece) for piece in vector.pieces]
    assert found == vector.expected["key"]


@pytest.mark.parametrize("name", ["av1_units", "av1_units_aom"])
def test_without_delimiters_a_unit_is_an_mp4_sample(
    load_vector: _Load, name: str
) -> None:
    stripped = [av1.strip_temporal_delimiters(p) for p in load_vector(name).pieces]
    assert stripped == load_vector(f"{name}_mp4").pieces
    assert [av1.strip_temporal_delimiters(piece) for piece in stripped] == stripped


def test_a_delimiter_in_the_middle_is_found(load_vector: _Load) -> None:
    first, second = load_vector("av1_units").pieces[:2]
    stripped = av1.strip_temporal_delimiters(first + second)
    assert stripped == first[2:] + second[2:]


@pytest.mark.vectors("av1_units*")
def test_units_are_rebuilt_from_their_obus(vector: Any) -> None:
    """AV1 §5.2, §5.3."""
    for piece in vector.pieces:
        assert av1.join_obus(av1.split_obus(piece)) == piece


def test_the_stream_says_what_the_record_says(load_vector: _Load) -> None:
    """AV1 §5.5."""
    header = av1.sequence_header(load_vector("av1_units").pieces[0])
    assert header is not None
    assert (header.max_frame_width, header.max_frame_height) == (64, 64)
    assert av1.parameters_from_sequence_header(header).rfc6381 == "av01.0.00M.08"
    assert av1.sequence_header(load_vector("av1_units").pieces[1]) is None


def test_obus_are_told_apart_by_their_types(load_vector: _Load) -> None:
    """AV1 §6.2.2."""
    first, second = load_vector("av1_units").pieces[:2]
    kinds = [[obu.obu_type for obu in av1.split_obus(p)] for p in (first, second)]
    assert kinds == [
        [
            av1.ObuType.TEMPORAL_DELIMITER,
            av1.ObuType.SEQUENCE_HEADER,
            av1.ObuType.FRAME,
        ],
        [av1.ObuType.TEMPORAL_DELIMITER, av1.ObuType.FRAME, av1.ObuType.FRAME],
    ]


@pytest.mark.parametrize(
    ("profile", "fields", "chroma", "depth"),
    [
        # high_bitdepth, (mono_chrome), description, range, (subsampling), position.
        (0, "0 0 0 0 01", "4:2:0", 8),
        (0, "1 0 0 0 10", "4:2:0", 10),
        (0, "1 1 0 0", "4:0:0", 10),
        (1, "0 0 0", "4:4:4", 8),
        (1, "0 1 00000001 00001101 00000000", "4:4:4", 8),
        (2, "0 0 0 0", "4:2:2", 8),
        (2, "11 0 0 0 0", "4:4:4", 12),
        (2, "11 0 0 0 10", "4:2:2", 12),
        (2, "11 0 0 0 11 00", "4:2:0", 12),
    ],
)
def test_depth_and_subsampling_follow_from_the_profile(
    profile: int, fields: str, chroma: str, depth: int
) -> None:
    """AV1 §5.5.2."""
    bits = BitWriter().u(3, profile).u(2, 3).u(5, 4).u(4, 5).u(4, 5).u(6, 63).u(6, 63)
    bits.u(6, 0)
    for bit in fields.replace(" ", ""):
        bits.u(1, int(bit))
    if chroma != "4:0:0":
        bits.flag(False)
    # film_grain_params_present: found only where all before it was.
    header = av1.decode_sequence_header(bits.flag(True).rbsp_trailing().getvalue())
    assert (header.color.chroma, header.color.bit_depth) == (chroma, depth)
    assert header.film_grain_params_present


def test_a_reserved_profile_has_no_parameters() -> None:
    """AV1 §6.4.1."""
    with pytest.raises(ProtocolError, match="profile 3"):
        av1.parameters(b"\x81\x60\0\0")


def test_colours_make_the_codec_string_long(load_vector: _Load) -> None:
    """AV1-ISOBMFF §5."""
    main10 = av1.parameters(load_vector("av1_main10").data)
    assert main10.rfc6381 == "av01.0.01M.10.0.110.02.02.09.0"
    gray = av1.parameters(load_vector("av1_gray").data)
    assert gray.rfc6381.startswith("av01.0.00M.08.1.11")


def test_a_record_without_obus_has_no_size(load_vector: _Load) -> None:
    """AV1 §A.3 for the level, which is an index on the wire."""
    found = av1.parameters(load_vector("av1_high_444").data[:4])
    assert (found.width, found.height, found.frame_rate) == (0, 0, None)
    assert (found.profile, found.chroma, found.level) == ("High", "4:4:4", "2.0")
    assert found.rfc6381 == "av01.1.00M.08"


def _sequence_header(
    width: int = 320, *, profile: int = 0, delay: bool = True
) -> bytes:
    """Write a header with everything that the encoders leave out."""
    bits = BitWriter().u(3, profile).u(2, 0).flag(True).u(32, 1001).u(32, 60000)
    bits.flag(True).ue(1)
    bits.flag(delay)
    if delay:
        bits.u(5, 9).u(32, 1).u(10, 0)
    bits.flag(True).u(5, 1)
    for level, tier in ((13, 1), (4, 0)):
        bits.u(12, 0x101).u(5, level)
        if level > 7:
            bits.u(1, tier)
        if delay:
            bits.flag(True).u(21, 0)
        bits.flag(True).u(4, 3)
    bits.u(4, 15).u(4, 15).u(16, width - 1).u(16, 179)
    bits.flag(True).u(7, 0).u(3, 0)
    bits.u(4, 0).flag(True).u(2, 0).flag(True).flag(True).u(3, 6)
    bits.u(3, 0).flag(False)
    if profile != 1:
        bits.flag(False)
    bits.flag(False).flag(True)
    if profile == 0:
        bits.u(2, 1)
    return bits.flag(False).flag(True).rbsp_trailing().getvalue()


def test_timing_decoder_model_and_operating_points_are_read() -> None:
    """AV1 §5.5.1."""
    header = av1.decode_sequence_header(_sequence_header())
    assert header.frame_rate is not None
    assert float(header.frame_rate) == pytest.approx(29.97, abs=0.001)
    assert header.operating_points == (
        av1.OperatingPoint(0x101, 13, 1),
        av1.OperatingPoint(0x101, 4, 0),
    )
    assert (header.max_frame_width, header.max_frame_height) == (320, 180)
    assert header.color.full_range
    assert header.film_grain_params_present
    assert header == av1.decode_sequence_header(_sequence_header(delay=True))
    plain = av1.decode_sequence_header(_sequence_header(delay=False))
    assert plain.operating_points == header.operating_points


def test_a_reduced_still_picture_is_always_random_access() -> None:
    bits = BitWriter().u(3, 0).u(2, 3).u(5, 4).u(4, 5).u(4, 5).u(6, 63).u(6, 63)
    payload = bits.u(3, 0).u(3, 0).u(3, 0).u(1, 0).u(2, 0).u(2, 0).getvalue()
    header = av1.decode_sequence_header(payload)
    assert header.reduced_still_picture_header
    obus = [av1.Obu(1, payload), av1.Obu(6, b"\xff")]
    assert av1.is_random_access(av1.join_obus(obus))
    assert not av1.is_random_access(av1.join_obus(obus[1:]))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (_sequence_header(16385), "limit"),
        (_sequence_header(profile=3), "malformed"),
        (_sequence_header()[:20], "truncated"),
        (b"", "truncated"),
    ],
)
def test_a_hostile_sequence_header_is_refused(payload: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        av1.av1c_from_sequence_header(payload)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x80\0", "malformed"),
        (b"\x32\5abcd", "truncated"),
        (b"\x34", "truncated"),
        (b"\x32", "truncated"),
        (b"\x32" + b"\x80" * 8, "malformed"),
        (b"\x32\xff\xff\xff\xff\x7f", "malformed"),
        (b"\x12\0" * (av1.MAX_OBUS + 1), "limit"),
    ],
)
def test_a_broken_temporal_unit_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        av1.split_obus(data)
    assert raised.value.code == code
    assert not av1.is_random_access(data)


_OBUS = st.lists(
    st.builds(
        lambda kind, payload, layers: av1.Obu(kind, payload, *layers),
        st.integers(0, 15),
        st.binary(max_size=200),
        st.one_of(
            st.just((None, None)), st.tuples(st.integers(0, 7), st.integers(0, 3))
        ),
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(_OBUS)
def test_obus_come_back(obus: list[av1.Obu]) -> None:
    data = av1.join_obus(obus)
    assert av1.split_obus(data) == obus
    if obus:
        head = av1.join_obus(obus[:-1])
        last = av1.encode_obu(obus[-1], has_size=False)
        assert av1.split_obus(head + last) == obus


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 0xFFFFFFFF))
def test_leb128_comes_back(value: int) -> None:
    data = av1.encode_leb128(value)
    assert av1.decode_leb128(data) == (value, len(data))


def test_leb128_ends_at_32_bits() -> None:
    """AV1 §4.10.5."""
    with pytest.raises(UsageError):
        av1.encode_leb128(1 << 32)


@pytest.mark.parametrize("data", [b"", b"\x81\0\0", b"\x01\0\0\0", b"\x82\0\0\0"])
def test_a_broken_av1c_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        av1.decode_av1c(data)
