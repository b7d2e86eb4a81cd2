"""AMF0: every type, the limits, and what real encoders get wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.amf import (
    Date,
    Dictionary,
    EcmaArray,
    Limits,
    MixedArray,
    TypedObject,
    Undefined,
    Unsupported,
    Value,
    Vector,
    VectorKind,
    Xml,
    XmlDocument,
    amf0,
)
from sansmedia.sansio import ProtocolError, Reader, UsageError

DATA = Path(__file__).parents[2] / "data" / "amf"

CONNECT: list[Value] = [
    "connect",
    1.0,
    {
        "app": "live",
        "flashVer": "FMLE/3.0",
        "tcUrl": "rtmp://h/live",
        "audioCodecs": 3191.0,
        "fpad": False,
        "x": None,
    },
    Undefined(),
    [1.0, "zwei", None],
    EcmaArray({"a": 1.0, "b": "c"}),
    Date(1111111111000.0),
]


def test_values_of_another_encoder_come_out_and_go_back_in() -> None:
    """AMF0 §2.5, §2.8, §2.10, §2.12 and §2.13, octet by octet."""
    data = (DATA / "amf0_values.bin").read_bytes()
    values = amf0.decode_values(data)
    assert values == CONNECT
    assert amf0.encode_values(*values) == data


def test_references_of_another_encoder_are_followed() -> None:
    """AMF0 §2.9: an index counts the complex values of the message."""
    data = (DATA / "amf0_references.bin").read_bytes()
    (values,) = amf0.decode_values(data)
    assert values == [{"k": "v"}, {"k": "v"}, [{"k": "v"}]]


def test_a_typed_object_of_another_encoder_comes_out_and_goes_back_in() -> None:
    """AMF0 §2.18: the class name stands before the members."""
    data = (DATA / "amf0_typed.bin").read_bytes()
    value = TypedObject("org.example.Point", {"x": 1.0, "y": 2.0})
    assert amf0.decode_values(data) == [value]
    assert amf0.encode_values(value) == data


def test_a_reference_gives_a_value_of_its_own() -> None:
    data = (DATA / "amf0_references.bin").read_bytes()
    (values,) = amf0.decode_values(data)
    assert isinstance(values, list)
    first, second = values[0], values[1]
    assert isinstance(first, dict)
    first["k"] = "changed"
    assert second == {"k": "v"}


def test_markers_stand_as_the_specification_draws_them() -> None:
    """AMF0 §2.1, §2.15, §2.17: markers and what follows them."""
    assert amf0.encode_values(1.0).hex() == "003ff0000000000000"
    assert amf0.encode_values(True, False).hex() == "01010100"
    assert amf0.encode_values("ab").hex() == "0200026162"
    assert amf0.encode_values({"a": None}).hex() == "030001610500" + "0009"
    assert amf0.encode_values(EcmaArray({})).hex() == "0800000000000009"
    assert amf0.encode_values([None]).hex() == "0a0000000105"
    assert amf0.encode_values(Unsupported()).hex() == "0d"
    assert amf0.encode_values(XmlDocument("<a/>")).hex() == "0f000000043c612f3e"


def test_integers_are_encoded_as_numbers() -> None:
    assert amf0.encode_values(7) == amf0.encode_values(7.0)
    assert amf0.decode_values(amf0.encode_values(7)) == [7.0]


def test_an_integer_beyond_a_double_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError):
        amf0.encode_values(10**400)


def test_a_long_string_begins_at_65536_octets() -> None:
    assert amf0.encode_values("x" * 65_535)[0] == 0x02
    data = amf0.encode_values("x" * 65_536)
    assert data[:5] == b"\x0c\x00\x01\x00\x00"
    assert amf0.decode_values(data) == ["x" * 65_536]


def test_a_negative_time_zone_survives() -> None:
    date = Date(0.0, -120)
    assert amf0.decode_values(amf0.encode_values(date)) == [date]


@pytest.mark.parametrize("count", [0, 2, 0xFFFFFFFF])
def test_a_wrong_count_of_an_ecma_array_is_kept_and_not_believed(count: int) -> None:
    data = b"\x08" + count.to_bytes(4, "big") + b"\x00\x01a\x05\x00\x00\x09"
    (value,) = amf0.decode_values(data)
    assert isinstance(value, EcmaArray)
    assert value == {"a": None}
    assert value.count == count
    assert amf0.encode_values(value) == data


@pytest.mark.parametrize("marker", [b"\x03", b"\x08\x00\x00\x00\x01"])
@pytest.mark.parametrize("end", [b"", b"\x00\x00"])
def test_the_last_object_may_lack_its_end(marker: bytes, end: bytes) -> None:
    data = b"\x02\x00\x0aonMetaData" + marker + b"\x00\x01a\x01\x01" + end
    assert amf0.decode_values(data) == ["onMetaData", {"a": True}]


def test_an_empty_name_before_a_value_is_a_member() -> None:
    data = b"\x03\x00\x00\x05\x00\x00\x09"
    assert amf0.decode_values(data) == [{"": None}]
    assert amf0.encode_values({"": None}) == data


def test_latin_1_in_a_title_does_not_end_the_stream() -> None:
    data = b"\x03\x00\x05title\x02\x00\x04caf\xe9\x00\x00\x09"
    (value,) = amf0.decode_values(data)
    assert value == {"title": "caf\ufffd"}
    assert amf0.decode_values(amf0.encode_values(value)) == [value]


def test_a_lone_surrogate_is_encoded_as_a_question_mark() -> None:
    assert amf0.decode_values(amf0.encode_values("a\ud800")) == ["a?"]


def test_the_avmplus_marker_switches_to_amf3_for_one_value() -> None:
    """AMF0 §3.1: the value behind the marker alone is AMF3."""
    data = b"\x11\x0a\x0b\x01\x03a\x04\x05\x01" + b"\x05"
    assert amf0.decode_values(data) == [{"a": 5}, None]


def test_the_tables_of_amf3_span_the_message() -> None:
    data = b"\x11\x06\x07abc" + b"\x05" + b"\x11\x06\x00"
    assert amf0.decode_values(data) == ["abc", None, "abc"]


@pytest.mark.parametrize(
    "value",
    [
        b"octets",
        Xml("<a/>"),
        Vector(VectorKind.INT, [1, -1]),
        Dictionary([("a", 1), (2, "a")]),
        MixedArray({"a": 1}, [2]),
    ],
)
def test_what_only_amf3_knows_goes_behind_the_avmplus_marker(value: Value) -> None:
    data = amf0.encode_values("x", {"v": value})
    assert amf0.decode_values(data) == ["x", {"v": value}]


def test_one_value_is_decoded_and_the_rest_left() -> None:
    reader = Reader(amf0.encode_values("publish", 2.0, "key"))
    assert amf0.decode_value(reader) == "publish"
    assert amf0.decode_value(reader) == 2.0
    assert reader.remaining == 6


def test_no_data_is_no_value() -> None:
    assert amf0.decode_values(b"") == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x00\x00", "truncated"),
        (b"\x02\x00\x05abc", "truncated"),
        (b"\x0c\xff\xff\xff\xff", "truncated"),
        (b"\x0a\xff\xff\xff\xff\x05", "truncated"),
        (b"\x03\x00\x01a", "truncated"),
        (b"\x03\x00", "truncated"),
        (b"\x03\xff\xffa", "limit"),
        (b"\x04", "unsupported"),
        (b"\x09", "unsupported"),
        (b"\x0e", "unsupported"),
        (b"\x12", "unsupported"),
        (b"\x07\x00\x00", "malformed"),
        (b"\x0a\x00\x00\x00\x01\x07\x00\x00", "unsupported"),
    ],
)
def test_bad_bytes_raise_with_a_code(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        amf0.decode_values(data)
    assert caught.value.code == code


def test_depth_is_limited() -> None:
    nested = b"\x0a\x00\x00\x00\x01" * 33 + b"\x05"
    with pytest.raises(ProtocolError, match="deeper"):
        amf0.decode_values(nested)
    assert amf0.decode_values(nested[5:])


def test_a_million_open_objects_are_refused_early() -> None:
    with pytest.raises(ProtocolError, match="deeper"):
        amf0.decode_values(b"\x03\x00\x01a" * 200_000)


def test_the_number_of_values_is_limited() -> None:
    with pytest.raises(ProtocolError, match="more AMF values"):
        amf0.decode_values(b"\x05" * 10_001)
    assert len(amf0.decode_values(b"\x05" * 10_000)) == 10_000


def test_the_input_is_limited() -> None:
    with pytest.raises(ProtocolError) as caught:
        amf0.decode_values(b"\x05" * 11, Limits(bytes=10))
    assert caught.value.code == "limit"


def test_references_cannot_multiply_values_beyond_the_limit() -> None:
    # Each array holds the one before it twice: 2**30 values in 30 lines.
    bomb = b"\x0a\x00\x00\x00\x00"
    for index in range(30):
        bomb += b"\x0a\x00\x00\x00\x02" + (b"\x07" + index.to_bytes(2, "big")) * 2
    with pytest.raises(ProtocolError) as caught:
        amf0.decode_values(bomb)
    assert caught.value.code == "limit"


def test_references_cannot_multiply_text_beyond_the_limit() -> None:
    text = b"x" * 490
    first = b"\x03" + b"\x00\x0a0123456789" + b"\x02\x01\xea" + text + b"\x00\x00\x09"
    data = first + b"\x07\x00\x00" * 3
    assert len(amf0.decode_values(data, Limits(bytes=1500))) == 4
    with pytest.raises(ProtocolError, match="repeat") as caught:
        amf0.decode_values(data, Limits(bytes=1499))
    assert caught.value.code == "limit"


def test_references_cannot_nest_beyond_the_limit() -> None:
    chain = b"\x0a\x00\x00\x00\x00"
    for index in range(100):
        chain += b"\x0a\x00\x00\x00\x01\x07" + index.to_bytes(2, "big")
    with pytest.raises(ProtocolError, match="deeper"):
        amf0.decode_values(chain)


def test_encoding_a_cycle_ends_with_a_usage_error() -> None:
    cycle: dict[str, object] = {}
    cycle["self"] = [cycle]
    with pytest.raises(UsageError):
        amf0.encode_values(cycle)


def test_encoding_a_foreign_type_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        amf0.encode_values({"a": object()})


def test_limits_deeper_than_encoding_goes_are_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        Limits(depth=100)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_SCALARS: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    _TEXT,
    st.just(Undefined()),
    st.just(Unsupported()),
    st.builds(Date, st.floats(allow_nan=False), st.integers(-0x8000, 0x7FFF)),
    st.builds(XmlDocument, _TEXT),
)


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    members = st.dictionaries(_TEXT, inner, max_size=4)
    return st.one_of(
        st.lists(inner, max_size=4),
        members,
        st.builds(EcmaArray, members),
        st.builds(TypedObject, _TEXT, members),
    )


VALUES = st.lists(st.recursive(_SCALARS, _containers, max_leaves=12), max_size=4)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_encoding_and_decoding_gives_the_values_again(values: list[Value]) -> None:
    data = amf0.encode_values(*values)
    assert amf0.decode_values(data) == values
    assert amf0.encode_values(*amf0.decode_values(data)) == data


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=64))
def test_whatever_decodes_can_be_encoded(data: bytes) -> None:
    try:
        values = amf0.decode_values(data)
    except ProtocolError:
        return
    again = amf0.decode_values(amf0.encode_values(*values))
    assert len(again) == len(values)


def test_not_a_number_keeps_its_bits() -> None:
    (value,) = amf0.decode_values(b"\x00\x7f\xf8\x00\x00\x00\x00\x00\x01")
    assert isinstance(value, float)
    assert math.isnan(value)
    assert amf0.encode_values(value) == b"\x00\x7f\xf8\x00\x00\x00\x00\x00\x01"
