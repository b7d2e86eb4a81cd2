from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.mp4 import Box, Limits, decode_boxes, encode_box, encode_full_box
from sansmedia.sansio import ProtocolError, UsageError

LEAVES = st.builds(
    Box, st.sampled_from([b"free", b"uuid", b"\xa9nam"]), st.binary(max_size=20)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        Box,
        st.sampled_from([b"moov", b"moof", b"traf"]),
        st.just(b""),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=10,
)


def test_a_box_is_its_size_its_kind_and_its_payload() -> None:
    """ISO 14496-12 §4.2."""
    assert encode_box(b"free", b"ab", b"c") == b"\0\0\0\x0bfreeabc"


def test_a_full_box_begins_with_version_and_flags() -> None:
    expected = b"\0\0\0\x0dtfdt\x01\x00\x02\x03x"
    assert encode_full_box(b"tfdt", 1, 0x000203, b"x") == expected


def test_a_kind_of_other_than_four_octets_is_refused() -> None:
    with pytest.raises(UsageError):
        encode_box(b"toolong")


@settings(max_examples=150, deadline=None)
@given(st.lists(TREES, max_size=4).map(tuple))
def test_a_tree_comes_back_as_it_was(boxes: tuple[Box, ...]) -> None:
    data = b"".join(box.encode() for box in boxes)
    assert decode_boxes(data, Limits(max_depth=50)) == boxes


def test_files_of_ffmpeg_are_written_back_octet_by_octet(vector: Any) -> None:
    boxes = decode_boxes(vector.data)
    assert b"".join(box.encode() for box in boxes) == vector.data


def test_a_64_bit_size_and_a_size_to_the_end_are_understood() -> None:
    """ISO 14496-12 §4.2."""
    data = b"\0\0\0\1free" + (18).to_bytes(8, "big") + b"ab" + b"\0\0\0\0mdatrest"
    assert decode_boxes(data) == (Box(b"free", b"ab"), Box(b"mdat", b"rest"))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0\0\0\x07free", "malformed"),
        (b"\0\0\0\x01free" + (15).to_bytes(8, "big"), "malformed"),
        (b"\0\0\0\x01free" + bytes(8), "malformed"),
        (b"\0\0\0\x0afreex", "truncated"),
        (b"\0\0\0", "truncated"),
        (b"\0\0\0\x0cmoov\0\0\0\x09", "truncated"),
        (b"\xff\xff\xff\xfffree", "truncated"),
    ],
)
def test_damage_is_a_protocol_error(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_boxes(data)
    assert caught.value.code == code


def test_nesting_deeper_than_the_limit_is_refused() -> None:
    data = b""
    for _ in range(9):
        data = encode_box(b"moov", data)
    with pytest.raises(ProtocolError) as caught:
        decode_boxes(data)
    assert caught.value.code == "limit"
    assert len(decode_boxes(data, Limits(max_depth=10))) == 1


def test_more_boxes_than_the_limit_are_refused() -> None:
    data = encode_box(b"moov", encode_box(b"free") * 10)
    with pytest.raises(ProtocolError) as caught:
        decode_boxes(data, Limits(max_boxes=10))
    assert caught.value.code == "limit"
    assert decode_boxes(data, Limits(max_boxes=11))[0].every(b"free")


def test_a_path_leads_to_the_first_box_or_to_none() -> None:
    (moov,) = decode_boxes(
        encode_box(b"moov", encode_box(b"trak", encode_box(b"tkhd", b"x")))
    )
    assert moov.first(b"trak", b"tkhd") == Box(b"tkhd", b"x")
    assert moov.first(b"trak", b"mdia", b"mdhd") is None
