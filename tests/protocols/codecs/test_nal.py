from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import nal
from sansmedia.sansio import ProtocolError, UsageError

_UNITS = st.lists(
    st.binary(min_size=1, max_size=40).map(lambda b: nal.escape_rbsp(b + b"\x80")),
    max_size=8,
)
_ZEROS_AND_FRIENDS = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255])).map(bytes)


@settings(max_examples=200, deadline=None)
@given(_UNITS)
def test_annexb_gives_back_the_units(units: list[bytes]) -> None:
    assert nal.split_annexb(nal.join_annexb(units)) == units


@settings(max_examples=200, deadline=None)
@given(_UNITS, st.sampled_from([1, 2, 4]))
def test_length_prefixes_give_back_the_units(units: list[bytes], size: int) -> None:
    joined = nal.join_length_prefixed(units, size)
    assert nal.split_length_prefixed(joined, size) == units


@settings(max_examples=200, deadline=None)
@given(_ZEROS_AND_FRIENDS)
def test_escaping_hides_every_start_code_and_comes_undone(data: bytes) -> None:
    """H.264 §7.4.1.1, H.265 §7.4.2."""
    escaped = nal.escape_rbsp(data)
    assert not any(code in escaped for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert nal.unescape_rbsp(escaped) == data


def test_an_octet_that_prevents_emulation_is_taken_away_once() -> None:
    """H.264 §7.3.1, H.265 §7.3.1.1."""
    assert nal.unescape_rbsp(b"\x67\0\0\3\1\3\0\3") == b"\x67\0\0\1\3\0\3"
    assert nal.unescape_rbsp(b"\0\0\3\0\0\3\3") == b"\0\0\0\0\3"
    assert nal.unescape_rbsp(b"\x80\0\0\3") == b"\x80\0\0"


def test_start_codes_of_three_and_four_octets_and_padding_are_taken_away() -> None:
    """H.264 §B.1, H.265 §B.2."""
    data = b"\0\0\0\0\1\x67\xaa\0\0\0\1\x68\xbb\0\0\1\x65\xcc\0\0\3\0\0\0\0"
    assert nal.split_annexb(data) == [b"\x67\xaa", b"\x68\xbb", b"\x65\xcc\0\0\3"]


def test_octets_before_the_first_start_code_belong_to_nothing() -> None:
    assert nal.split_annexb(b"\x12\x34\0\0\1\x09\xf0") == [b"\x09\xf0"]
    assert nal.split_annexb(b"\x12\x34") == []
    assert nal.split_annexb(b"") == []


def test_empty_units_are_passed_over() -> None:
    assert nal.split_annexb(b"\0\0\1\0\0\1\x41\x9a") == [b"\x41\x9a"]
    assert nal.split_length_prefixed(b"\0\0\0\0\0\0\0\1\x41") == [b"\x41"]


@pytest.mark.parametrize("data", [b"\0\0\0", b"\0\0\0\5abcd", b"\0\0\0\1a\xff"])
def test_a_sample_that_is_cut_short_is_refused(data: bytes) -> None:
    """ISO 14496-15 §5.3.4.2."""
    with pytest.raises(ProtocolError) as raised:
        nal.split_length_prefixed(data)
    assert raised.value.code == "truncated"


def test_a_flood_of_tiny_units_is_refused() -> None:
    units = [b"\x41"] * (nal.MAX_UNITS + 1)
    for split, data in (
        (nal.split_annexb, nal.join_annexb(units)),
        (nal.split_length_prefixed, nal.join_length_prefixed(units)),
    ):
        with pytest.raises(ProtocolError) as raised:
            split(data)
        assert raised.value.code == "limit"


def test_a_unit_too_long_for_its_length_is_our_mistake() -> None:
    with pytest.raises(UsageError):
        nal.join_length_prefixed([bytes(256)], 1)
