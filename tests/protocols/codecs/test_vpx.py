from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import Codec, VideoParameters, parameters, vp8, vp9
from sansmedia.sansio import ProtocolError, UsageError

_Load = Callable[[str], Any]


def _check(found: VideoParameters, expected: dict[str, Any]) -> None:
    for name in ("width", "height", "profile", "chroma", "bit_depth"):
        assert getattr(found, name) == expected[name], name


@pytest.mark.vectors("vp8_*")
def test_vp8_key_frames_say_what_ffprobe_says(vector: Any) -> None:
    """RFC 6386 §9.1, §19.1."""
    headers = [vp8.decode_frame_header(piece) for piece in vector.pieces]
    _check(vp8.parameters_from_frame_header(headers[0]), vector.expected)
    keys = vector.expected["key"]
    assert [header.key_frame for header in headers] == keys
    assert [vp8.is_random_access(piece) for piece in vector.pieces] == keys
    assert all(header.show_frame for header in headers)


@pytest.mark.vectors("vp9_*[!c]")
def test_vp9_key_frames_say_what_ffprobe_says(vector: Any) -> None:
    """VP9 §6.2, §6.2.2."""
    headers = [vp9.decode_frame_header(piece) for piece in vector.pieces]
    _check(vp9.parameters_from_frame_header(headers[0]), vector.expected)
    assert [header.key_frame for header in headers] == vector.expected["key"]


@pytest.mark.parametrize(
    "name",
    [
        *("vp9_profile0", "vp9_profile0_odd", "vp9_profile1_444"),
        *("vp9_profile2_10", "vp9_profile3_422_12"),
    ],
)
def test_a_vpcc_made_of_a_key_frame_is_what_ffmpeg_writes(
    load_vector: _Load, name: str
) -> None:
    """VP Codec ISO Media File Format Binding v1.0 §2."""
    header = vp9.decode_frame_header(load_vector(name).pieces[0])
    made = vp9.decode_vpcc(vp9.vpcc_from_frame_header(header))
    written = vp9.decode_vpcc(load_vector(f"{name}_vpcc").data)
    for field in ("profile", "bit_depth", "full_range"):
        assert getattr(made, field) == getattr(written, field), field
    # FFmpeg says vertical siting (0) where the stream says nothing.
    assert max(made.chroma_subsampling, 1) == max(written.chroma_subsampling, 1)


@pytest.mark.vectors("vp9_*_vpcc")
def test_a_vpcc_comes_back_with_and_without_its_box_header(vector: Any) -> None:
    record = vp9.decode_vpcc(vector.data)
    assert vp9.encode_vpcc(record) == vector.data
    alone = vp9.encode_vpcc(record, full_box=False)
    assert alone == vector.data[4:]
    assert vp9.decode_vpcc(alone) == record


def test_codec_strings_are_short_where_the_rest_is_default() -> None:
    record = vp9.VpCodecConfigurationRecord(0, 10, 8, 1)
    assert vp9.codec_string(record) == "vp09.00.10.08"
    hdr = vp9.VpCodecConfigurationRecord(2, 41, 10, 1, False, 9, 16, 9)
    assert vp9.codec_string(hdr) == "vp09.02.41.10.01.09.16.09.00"
    found = parameters(Codec.VP8, vp9.encode_vpcc(record))
    assert isinstance(found, VideoParameters)
    assert (found.codec, found.rfc6381) == (Codec.VP8, "vp08.00.10.08")


@pytest.mark.parametrize(
    ("width", "height", "level"),
    [(256, 144, 10), (1280, 720, 31), (1920, 1080, 40), (3840, 2160, 50)],
)
def test_levels_follow_the_picture_size(width: int, height: int, level: int) -> None:
    """VP9 §A.2."""
    assert vp9.level_for_size(width, height) == level


def test_a_superframe_falls_into_its_frames() -> None:
    """VP9 §B."""
    frames = [b"\x82" + bytes(299), b"\x86" + bytes(9)]
    index = b"\xc9" + (300).to_bytes(2, "little") + (10).to_bytes(2, "little") + b"\xc9"
    assert vp9.split_superframe(b"".join(frames) + index) == frames
    assert vp9.split_superframe(frames[0]) == [frames[0]]
    assert vp9.split_superframe(b"") == []
    assert vp9.split_superframe(b"\xc9") == [b"\xc9"]


def test_a_superframe_index_that_lies_is_refused() -> None:
    with pytest.raises(ProtocolError) as raised:
        vp9.split_superframe(b"abc" + b"\xc0\x09\xc0")
    assert raised.value.code == "truncated"


def test_a_hidden_intra_frame_has_a_size_but_is_no_key_frame() -> None:
    # frame_marker 2, profile 0, inter, hidden, no resilience, intra_only, no reset;
    # sync code; refresh flags; 64x48.
    head = (0b10_0_0_0_1_0_0 << 3 | 0b1_00) << 24 | 0x498342
    value = ((head << 8 | 0xFF) << 16 | 63) << 16 | 47
    data = (value << 5).to_bytes(10, "big")
    header = vp9.decode_frame_header(data)
    assert header.intra_only
    assert (header.width, header.height) == (64, 48)
    assert not vp9.is_random_access(data)


def test_a_repeated_frame_is_no_place_to_begin() -> None:
    assert vp9.decode_frame_header(b"\x88").show_existing_frame
    assert not vp9.is_random_access(b"\x88")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\x10\0", "truncated"),
        (b"\x10\0\0\x9d\x01\x2a", "truncated"),
        (b"\x10\0\0\x9d\x01\x2b\1\0\1\0", "malformed"),
        (b"\x10\0\0\x9d\x01\x2a\0\0\1\0", "malformed"),
    ],
)
def test_a_broken_vp8_frame_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        vp8.decode_frame_header(data)
    assert raised.value.code == code
    assert not vp8.is_random_access(data[:9])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\x00", "malformed"),
        (b"\xb8", "malformed"),
        (b"\x82\x49\x83\x43\0\0\0\0\0", "malformed"),
        (b"\x82\x49\x83\x42\xe0\0\0\0\0", "malformed"),
        (b"\x82\x49\x83\x42\x0f\xff\xff\xff\xf0", "limit"),
    ],
)
def test_a_broken_vp9_frame_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        vp9.decode_frame_header(data)
    assert raised.value.code == code
    assert not vp9.is_random_access(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\1\0\0\0\0\x0b", b"\0\x0b\x92\2\2\2\0\0", b"\4\x0b\x82\2\2\2\0\0"],
)
def test_a_broken_vpcc_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        vp9.decode_vpcc(data)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        vp9.VpCodecConfigurationRecord,
        st.integers(0, 3),
        st.integers(0, 255),
        st.sampled_from([8, 10, 12]),
        st.integers(0, 4),
        st.booleans(),
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 255),
        st.binary(max_size=8),
    ),
    st.booleans(),
)
def test_any_vpcc_comes_back(
    record: vp9.VpCodecConfigurationRecord, full_box: bool
) -> None:
    assert vp9.decode_vpcc(vp9.encode_vpcc(record, full_box=full_box)) == record
    with pytest.raises(UsageError):
        vp9.encode_vpcc(attrs.evolve(record, chroma_subsampling=5))
