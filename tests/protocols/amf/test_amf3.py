"""AMF3: every type, the three reference tables, the limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.amf import (
    Date,
    Dictionary,
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
    amf3,
)
from sansmedia.sansio import ProtocolError, Reader, UsageError

DATA = Path(__file__).parents[2] / "data" / "amf"

VALUES: list[Value] = [
    Undefined(),
    None,
    True,
    False,
    0,
    -1,
    127,
    128,
    16383,
    16384,
    2097151,
    2097152,
    268435455,
    -268435456,
    268435456.0,
    1.5,
    "",
    "abc",
    "abc",
    "ü€",
    Date(1111111111000.0),
    b"\x01\x02\x03",
    [1, 2, "abc"],
    MixedArray({"a": 1, "b": "abc"}, []),
]


def test_values_of_another_encoder_come_out_and_go_back_in() -> None:
    """AMF3 §1.3.1, §3.1, §3.2, §3.10, §3.11, octet by octet."""
    data = (DATA / "amf3_values.bin").read_bytes()
    assert amf3.decode_values(data) == VALUES
    assert amf3.encode_values(*VALUES) == data


def test_references_of_another_encoder_are_followed() -> None:
    """AMF3 §1.3.2, §2.2, §3.12: strings, objects and traits have a table each."""
    data = (DATA / "amf3_references.bin").read_bytes()
    date = Date(1111111111000.0)
    assert amf3.decode_values(data) == [
        [
            {"k": "v"},
            {"k": "v"},
            date,
            date,
            TypedObject("org.example.Point", {"x": 1, "y": 2}),
            TypedObject("org.example.Point", {"x": 3, "y": 4}),
            "k",
            "v",
        ]
    ]


@pytest.mark.parametrize(
    "value",
    [
        XmlDocument("<a/>"),
        Xml("<b/>"),
        Vector(VectorKind.INT, [1, -2], True),
        Vector(VectorKind.UINT, [0, 0xFFFFFFFF]),
        Vector(VectorKind.DOUBLE, [1.5, -2.5]),
        Vector(VectorKind.OBJECT, ["a", None, [1]], False, "*"),
        Dictionary([("a", 1), ([2], {"b": 3})], True),
        TypedObject("A", {"x": 1, "y": 2}, ("x", "y"), False),
        TypedObject("A", {"x": 1, "z": 3}, ("x",), True),
        MixedArray({"a": 1}, [1, 2.5]),
        {"a": {"b": [None]}},
    ],
)
def test_each_type_comes_back_as_it_went(value: Value) -> None:
    data = amf3.encode_values(value)
    assert amf3.decode_values(data) == [value]


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (XmlDocument("<a/>"), "07 09 3c612f3e"),
        (Xml("<a/>"), "0b 09 3c612f3e"),
        (Vector(VectorKind.INT, [1, -2], True), "0d 05 01 00000001 fffffffe"),
        (Vector(VectorKind.UINT, [0xFFFFFFFF]), "0e 03 00 ffffffff"),
        (Vector(VectorKind.DOUBLE, [1.5]), "0f 03 00 3ff8000000000000"),
        (Vector(VectorKind.OBJECT, ["a", None], False, "*"), "10 05 00 032a 060361 01"),
        (Dictionary([("a", 1), (2, "a")], True), "11 05 01 060361 0401 0402 0600"),
    ],
)
def test_later_types_stand_as_the_specification_draws_them(
    value: Value, wire: str
) -> None:
    """AMF3 §3.9, §3.13, §3.15, §3.16."""
    assert amf3.encode_values(value) == bytes.fromhex(wire)
    assert amf3.decode_values(bytes.fromhex(wire)) == [value]


def test_repeated_traits_are_written_as_a_reference() -> None:
    first = TypedObject("A", {"x": 1}, ("x",), False)
    data = amf3.encode_values(first, first)
    assert data.hex() == "0a13034103780401" + "0a010401"
    assert amf3.decode_values(data) == [first, first]


def test_integers_beyond_29_bits_become_doubles() -> None:
    assert amf3.encode_values(1 << 28)[0] == 0x05
    assert amf3.encode_values(-(1 << 28) - 1)[0] == 0x05
    assert amf3.decode_values(amf3.encode_values(1 << 40)) == [float(1 << 40)]


def test_a_sealed_anonymous_object_is_a_dict() -> None:
    assert amf3.decode_values(b"\x0a\x13\x01\x03a\x04\x01") == [{"a": 1}]


def test_an_externalizable_class_is_refused_by_name_of_the_cause() -> None:
    data = b"\x0a\x07\x07abc"
    with pytest.raises(ProtocolError, match="externalizable") as caught:
        amf3.decode_values(data)
    assert caught.value.code == "unsupported"


def test_a_value_inside_itself_is_refused() -> None:
    with pytest.raises(ProtocolError) as caught:
        amf3.decode_values(b"\x09\x03\x01\x09\x00")
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x04\x80", "truncated"),
        (b"\x05\x00", "truncated"),
        (b"\x06\x0babc", "truncated"),
        (b"\x06\x00", "malformed"),
        (b"\x0a\x00", "malformed"),
        (b"\x0a\x01", "malformed"),
        (b"\x09\xff\xff\xff\xff\x01", "truncated"),
        (b"\x0c\xff\xff\xff\xff", "truncated"),
        (b"\x0d\xff\xff\xff\xff\x00", "limit"),
        (b"\x0d\x03\x00\x00", "truncated"),
        (b"\x10\xff\xff\xff\xff\x00\x01", "limit"),
        (b"\x11\xff\xff\xff\xff\x00", "limit"),
        (b"\x0a\xff\xff\xff\xfb\x01", "limit"),
        (b"\x12", "malformed"),
    ],
)
def test_bad_bytes_raise_with_a_code(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        amf3.decode_values(data)
    assert caught.value.code == code


def test_a_long_string_cannot_come_back_as_a_name() -> None:
    text = b"\x06\x81\x80\x03" + b"x" * 8193
    assert len(text) == 8193 + 4
    data = text + b"\x0a\x0b\x01\x00\x01\x01"
    with pytest.raises(ProtocolError) as caught:
        amf3.decode_values(data, Limits(name=8192))
    assert caught.value.code == "limit"


def test_depth_is_limited() -> None:
    with pytest.raises(ProtocolError, match="deeper"):
        amf3.decode_values(b"\x09\x03\x01" * 33 + b"\x01")


def test_references_cannot_multiply_values_beyond_the_limit() -> None:
    bomb = b"\x09\x01\x01"
    for index in range(30):
        bomb += b"\x09\x05\x01" + bytes((0x09, index << 1)) * 2
    with pytest.raises(ProtocolError) as caught:
        amf3.decode_values(bomb)
    assert caught.value.code == "limit"


@pytest.mark.parametrize(
    "data",
    [
        # A string, an array of octets and an XML document.
        b"\x06\x87\x69" + b"x" * 500 + b"\x06\x00" * 3,
        b"\x0c\x87\x69" + b"x" * 500 + b"\x0c\x00" * 3,
        b"\x0b\x87\x69" + b"x" * 500 + b"\x0b\x00" * 3,
        # The name of a class, of a member of its traits, and of a dynamic member.
        b"\x0a\x03\x87\x69" + b"x" * 500 + b"\x0a\x01" * 3,
        b"\x0a\x13\x01\x87\x69" + b"x" * 500 + b"\x01" + b"\x0a\x01\x01" * 3,
        b"\x0a\x0b\x01\x87\x69" + b"x" * 500 + b"\x01\x01" + b"\x0a\x00" * 3,
        b"\x10\x01\x00\x87\x69" + b"x" * 500 + b"\x10\x00" * 3,
    ],
)
def test_references_cannot_multiply_text_beyond_the_limit(data: bytes) -> None:
    assert amf3.decode_values(data, Limits(bytes=1500))
    with pytest.raises(ProtocolError, match="repeat") as caught:
        amf3.decode_values(data, Limits(bytes=1499))
    assert caught.value.code == "limit"


def test_the_input_is_limited() -> None:
    with pytest.raises(ProtocolError) as caught:
        amf3.decode_values(b"\x01" * 11, Limits(bytes=10))
    assert caught.value.code == "limit"


def test_one_value_is_decoded_and_the_rest_left() -> None:
    reader = Reader(b"\x03\x02")
    assert amf3.decode_value(reader) is True
    assert reader.remaining == 1


@pytest.mark.parametrize(
    "value",
    [
        Unsupported(),
        object(),
        Vector(VectorKind.INT, ["a"]),
        Vector(VectorKind.UINT, [-1]),
        10**400,
    ],
)
def test_what_amf3_cannot_say_is_a_usage_error(value: object) -> None:
    with pytest.raises(UsageError):
        amf3.encode_values([value])


def test_encoding_a_cycle_ends_with_a_usage_error() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(UsageError):
        amf3.encode_values(cycle)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_NAME = st.text("abc", min_size=1, max_size=3)
_SCALARS: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 28), (1 << 28) - 1),
    st.floats(allow_nan=False),
    _TEXT,
    st.binary(max_size=8),
    st.just(Undefined()),
)


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    members = st.dictionaries(_NAME, inner, max_size=4)
    lists = st.lists(inner, max_size=4)
    return st.one_of(
        lists,
        members,
        st.builds(MixedArray, st.dictionaries(_NAME, inner, min_size=1), lists),
        st.builds(TypedObject, _NAME, members),
        st.builds(Dictionary, st.lists(st.tuples(inner, inner), max_size=3)),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.recursive(_SCALARS, _containers, max_leaves=12), max_size=4))
def test_encoding_and_decoding_gives_the_values_again(values: list[Value]) -> None:
    data = amf3.encode_values(*values)
    assert amf3.decode_values(data) == values
    assert amf3.encode_values(*amf3.decode_values(data)) == data
