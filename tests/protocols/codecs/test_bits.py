from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs.bits import UE_MAX, BitReader, BitWriter
from sansmedia.sansio import ProtocolError, UsageError

_FIELDS = st.integers(1, 64).flatmap(
    lambda width: st.tuples(st.just(width), st.integers(0, (1 << width) - 1))
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_FIELDS, max_size=20))
def test_fields_of_any_width_come_back(fields: list[tuple[int, int]]) -> None:
    writer = BitWriter()
    for width, value in fields:
        writer.u(width, value)
    reader = BitReader(writer.getvalue())
    assert [reader.u(width) for width, _ in fields] == [value for _, value in fields]
    assert reader.position == writer.count


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, UE_MAX), max_size=10), st.integers(0, 7))
def test_exponential_golomb_codes_come_back(values: list[int], offset: int) -> None:
    writer = BitWriter().u(offset, 0) if offset else BitWriter()
    for value in values:
        writer.ue(value)
    reader = BitReader(writer.getvalue())
    reader.skip(offset)
    assert [reader.ue() for _ in values] == values


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(1 << 31) + 1, (1 << 31) - 1), max_size=10))
def test_signed_exponential_golomb_codes_come_back(values: list[int]) -> None:
    writer = BitWriter()
    for value in values:
        writer.se(value)
    reader = BitReader(writer.getvalue())
    assert [reader.se() for _ in values] == values


@pytest.mark.parametrize(
    ("bits", "value"),
    [("1", 0), ("010", 1), ("011", 2), ("00100", 3), ("00111", 6), ("0001000", 7)],
)
def test_codes_are_those_of_table_9_2(bits: str, value: int) -> None:
    """H.264 §9.1, H.265 §9.2."""
    data = int(bits.ljust(8, "0"), 2).to_bytes(1, "big")
    assert BitReader(data).ue() == value


@pytest.mark.parametrize(
    ("bits", "value"), [("010", 1), ("011", -1), ("00100", 2), ("00101", -2)]
)
def test_signed_codes_are_those_of_table_9_3(bits: str, value: int) -> None:
    """H.264 §9.1.1, H.265 §9.2.2."""
    data = int(bits.ljust(8, "0"), 2).to_bytes(1, "big")
    assert BitReader(data).se() == value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\0", "truncated"),
        (b"\0\1", "truncated"),
        (b"\0" * 5, "malformed"),
        (b"\0" * 4 + b"\xff" * 5, "malformed"),
    ],
)
def test_a_broken_code_raises_and_moves_nothing(data: bytes, code: str) -> None:
    reader = BitReader(data)
    with pytest.raises(ProtocolError) as raised:
        reader.ue()
    assert raised.value.code == code
    assert reader.position == 0


def test_a_code_above_its_maximum_is_a_broken_limit() -> None:
    reader = BitReader(BitWriter().ue(17).getvalue())
    with pytest.raises(ProtocolError) as raised:
        reader.ue(16)
    assert raised.value.code == "limit"


def test_reading_past_the_end_quotes_the_clause() -> None:
    reader = BitReader(b"\xff", source="H.264 §7.3.2.1.1")
    with pytest.raises(ProtocolError) as raised:
        reader.u(9)
    assert raised.value.source == "H.264 §7.3.2.1.1"
    with pytest.raises(ProtocolError):
        reader.skip(9)
    assert reader.u(8) == 255
    with pytest.raises(ProtocolError):
        reader.flag()


@pytest.mark.parametrize(
    ("data", "consumed", "more"),
    [
        (b"\x80", 0, False),
        (b"\xc0", 0, True),
        (b"\xc0", 1, False),
        (b"\x40\x80\0\0", 3, True),
        (b"\x40\x80\0\0", 8, False),
        (b"\0\0", 0, False),
        (b"", 0, False),
    ],
)
def test_the_stop_bit_is_no_data(data: bytes, consumed: int, more: bool) -> None:
    """H.264 §7.2: more_rbsp_data()."""
    reader = BitReader(data)
    reader.skip(consumed)
    assert reader.more_rbsp_data() is more


@pytest.mark.parametrize(
    ("width", "expected"), [(0, b"\x80"), (3, b"\xf0"), (7, b"\xff"), (8, b"\xff\x80")]
)
def test_one_stop_bit_and_zeros_end_a_payload(width: int, expected: bytes) -> None:
    """H.264 §7.3.2.11."""
    bits = BitWriter().u(width, (1 << width) - 1).rbsp_trailing()
    assert bits.getvalue() == expected


def test_a_value_that_does_not_fit_is_our_mistake() -> None:
    with pytest.raises(UsageError):
        BitWriter().u(3, 8)
    with pytest.raises(UsageError):
        BitWriter().ue(UE_MAX + 1)
