from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

_FIELDS: list[tuple[str, int, int]] = [
    ("u8", 0, 0xFF),
    ("u16", 0, 0xFFFF),
    ("u24", 0, 0xFFFFFF),
    ("i24", -0x800000, 0x7FFFFF),
    ("u32", 0, 0xFFFFFFFF),
    ("u64", 0, 0xFFFFFFFFFFFFFFFF),
    ("u32_le", 0, 0xFFFFFFFF),
]


@pytest.mark.parametrize(("field", "low", "high"), _FIELDS)
def test_what_is_written_is_read_again(field: str, low: int, high: int) -> None:
    for value in (low, low + 1, 0, 1, high - 1, high):
        data = getattr(Writer(), field)(value).getvalue()
        reader = Reader(data)
        assert getattr(reader, field)() == value
        assert reader.remaining == 0


@pytest.mark.parametrize(("field", "low", "high"), _FIELDS)
def test_a_value_that_does_not_fit_is_the_callers_fault(
    field: str, low: int, high: int
) -> None:
    for value in (low - 1, high + 1):
        with pytest.raises(UsageError, match="does not fit"):
            getattr(Writer(), field)(value)


def test_integers_are_big_endian_unless_they_say_otherwise() -> None:
    data = bytes(range(1, 9))
    assert Reader(data).u16() == 0x0102
    assert Reader(data).u16_le() == 0x0201
    assert Reader(data).u24() == 0x010203
    assert Reader(data).u32_le() == 0x04030201
    assert Reader(data).u64_le() == 0x0807060504030201


_READS: list[Callable[[Reader], Any]] = [
    Reader.u8,
    Reader.u16,
    Reader.u24,
    Reader.i24,
    Reader.u32,
    Reader.u64,
    Reader.f64,
    Reader.u16_le,
    Reader.u32_le,
    Reader.u64_le,
    Reader.peek_u8,
    lambda reader: reader.take(9),
    lambda reader: reader.skip(9),
    lambda reader: reader.take(-1),
]


@pytest.mark.parametrize("read", _READS)
def test_a_read_past_the_end_names_its_clause_and_moves_nothing(
    read: Callable[[Reader], Any],
) -> None:
    reader = Reader(b"\x01", source="RTMP 1.0 §5.3.1")
    reader.skip(1)
    with pytest.raises(ProtocolError) as caught:
        read(reader)
    assert (caught.value.code, caught.value.source) == ("truncated", "RTMP 1.0 §5.3.1")
    assert reader.position == 1


def test_peeking_does_not_consume() -> None:
    reader = Reader(b"\x07\x08")
    assert (reader.peek_u8(), reader.u8(), reader.peek_u8()) == (7, 7, 8)


@given(st.binary(max_size=40), st.integers(0, 40))
def test_the_rest_is_what_was_not_taken(data: bytes, count: int) -> None:
    reader = Reader(data)
    if count > len(data):
        with pytest.raises(ProtocolError):
            reader.take(count)
        assert reader.rest() == data
    else:
        assert reader.take(count) + reader.rest() == data


@given(st.floats(allow_nan=False))
def test_doubles_pass_unchanged(value: float) -> None:
    data = Writer().f64(value).getvalue()
    assert data == struct.pack(">d", value)
    assert Reader(data).f64() == value


def test_a_writer_chains_and_counts() -> None:
    writer = Writer().u8(1).put(b"ab").put(memoryview(b"c"))
    assert len(writer) == 4
    assert writer.getvalue() == b"\x01abc"
