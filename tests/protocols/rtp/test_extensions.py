"""Header extensions and what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import (
    ABS_CAPTURE_TIME_URI,
    ABS_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    MID_URI,
    ONE_BYTE_PROFILE,
    PLAYOUT_DELAY_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TOFFSET_URI,
    TRANSPORT_CC_02_URI,
    TRANSPORT_CC_URI,
    TWO_BYTE_PROFILE,
    VIDEO_ORIENTATION_URI,
    AbsCaptureTime,
    AudioLevel,
    ExtensionMap,
    Extensions,
    PlayoutDelay,
    RtpPacket,
    VideoOrientation,
    decode_extensions,
    encode_extensions,
    find_extension,
)
from sansmedia.sansio import ProtocolError, UsageError

_hex = bytes.fromhex

one_byte_elements = st.dictionaries(
    st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=5
)
two_byte_elements = st.dictionaries(
    st.integers(1, 255), st.binary(max_size=255), max_size=5
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("10aa 2 1bbcc 0000", {1: b"\xaa", 2: b"\xbb\xcc"}),
        # Padding between elements; of one identifier twice the first.
        ("0010aa00 00 10bb 00", {1: b"\xaa"}),
        # Identifier 15 ends it all.
        ("10aa f0bb 20cc0000", {1: b"\xaa"}),
        # Identifier 0 with a length.
        ("01ffff 10aa 000000", {1: b"\xaa"}),
        ("", {}),
    ],
)
def test_the_one_octet_form_is_read(body: str, expected: dict[int, bytes]) -> None:
    """Source: RFC 8285 §4.2."""
    octets = _hex(body.replace(" ", ""))
    assert decode_extensions(ONE_BYTE_PROFILE, octets) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("01 01 aa 00 02 00 ff 02 bbcc 00 00", {1: b"\xaa", 2: b"", 255: b"\xbb\xcc"}),
        ("0f 01 aa 0f 01 bb", {15: b"\xaa"}),
        ("", {}),
    ],
)
@pytest.mark.parametrize("profile", [TWO_BYTE_PROFILE, TWO_BYTE_PROFILE | 0xF])
def test_the_two_octet_form_is_read(
    profile: int, body: str, expected: dict[int, bytes]
) -> None:
    """Source: RFC 8285 §4.3."""
    assert decode_extensions(profile, _hex(body)) == expected


@pytest.mark.parametrize(
    ("profile", "body"),
    [
        (ONE_BYTE_PROFILE, "13aabbcc"),
        (ONE_BYTE_PROFILE, "00000010"),
        (TWO_BYTE_PROFILE, "0103aabb"),
        (TWO_BYTE_PROFILE, "00000001"),
    ],
)
def test_an_element_beyond_the_end_is_refused(profile: int, body: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_extensions(profile, _hex(body))
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("profile", [None, 0, 0x1010, 0xBEDF])
def test_extensions_of_another_kind_hold_no_elements(profile: int | None) -> None:
    assert decode_extensions(profile, _hex("10aa0000")) == {}


@given(one_byte_elements)
def test_short_elements_take_the_one_octet_form(elements: dict[int, bytes]) -> None:
    profile, body = encode_extensions(elements)
    assert profile == (ONE_BYTE_PROFILE if elements else None)
    assert len(body) % 4 == 0
    assert decode_extensions(profile, body) == elements


@given(two_byte_elements)
def test_all_elements_fit_the_two_octet_form(elements: dict[int, bytes]) -> None:
    profile, body = encode_extensions(elements, two_byte=True)
    assert profile == (TWO_BYTE_PROFILE if elements else None)
    assert len(body) % 4 == 0
    assert decode_extensions(profile, body) == elements
    assert decode_extensions(*encode_extensions(elements)) == elements


@given(
    st.sampled_from((ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, 0)),
    st.binary(max_size=40),
    st.integers(1, 14),
)
def test_one_element_is_found_alone(profile: int, body: bytes, wanted: int) -> None:
    try:
        elements = decode_extensions(profile, body)
    except ProtocolError:
        found = find_extension(profile, body, wanted)
        assert found is None or found in body
        return
    assert find_extension(profile, body, wanted) == elements.get(wanted)


@given(st.sampled_from((ONE_BYTE_PROFILE, TWO_BYTE_PROFILE)), st.binary(max_size=40))
def test_any_octets_are_elements_or_refused(profile: int, body: bytes) -> None:
    try:
        elements = decode_extensions(profile, body)
    except ProtocolError:
        return
    assert decode_extensions(*encode_extensions(elements)) == elements


@pytest.mark.parametrize(
    "elements", [{0: b"a"}, {256: b"a"}, {1: bytes(256)}, {-1: b"a"}]
)
def test_what_fits_no_form_is_our_mistake(elements: dict[int, bytes]) -> None:
    with pytest.raises(UsageError):
        encode_extensions(elements)


_ALL = ExtensionMap(
    {
        1: MID_URI,
        2: RID_URI,
        3: REPAIRED_RID_URI,
        4: TRANSPORT_CC_URI,
        5: ABS_SEND_TIME_URI,
        6: AUDIO_LEVEL_URI,
        7: VIDEO_ORIENTATION_URI,
        8: PLAYOUT_DELAY_URI,
        9: TOFFSET_URI,
        10: ABS_CAPTURE_TIME_URI,
        11: "urn:example:unknown",
    }
)


def _decoded(elements: dict[int, bytes], uris: ExtensionMap = _ALL) -> Extensions:
    profile, body = encode_extensions(elements)
    return uris.decode(
        RtpPacket(96, 0, 0, 0, extension_profile=profile, extension=body)
    )


@pytest.mark.parametrize(
    ("identifier", "value", "expected"),
    [
        (1, "30", Extensions(mid="0")),
        (2, "68 69", Extensions(rid="hi")),
        (3, "6c6f", Extensions(repaired_rid="lo")),
        (4, "fffe", Extensions(transport_sequence=0xFFFE)),
        (4, "0001 8003", Extensions(transport_sequence=1)),
        (5, "040000", Extensions(abs_send_time=1.0)),
        (5, "ffffff", Extensions(abs_send_time=64 - 2**-18)),
        (6, "ff", Extensions(audio_level=AudioLevel(127, voice=True))),
        (6, "1e", Extensions(audio_level=AudioLevel(30))),
        (7, "01", Extensions(video_orientation=VideoOrientation(90))),
        (
            7,
            "0f",
            Extensions(
                video_orientation=VideoOrientation(270, flip=True, back_camera=True)
            ),
        ),
        (8, "001 3e8", Extensions(playout_delay=PlayoutDelay(10, 10_000))),
        (9, "ffffff", Extensions(toffset=-1)),
        (
            10,
            "e0000000 80000000",
            Extensions(abs_capture_time=AbsCaptureTime(0xE000000080000000)),
        ),
        (
            10,
            "e0000000 80000000 ffffffff ffffffff",
            Extensions(abs_capture_time=AbsCaptureTime(0xE000000080000000, -1)),
        ),
        (11, "00", Extensions()),
        (12, "00", Extensions()),
    ],
)
def test_values_are_read(identifier: int, value: str, expected: Extensions) -> None:
    """Source: RFC 6464 §3, RFC 5450 §2, RFC 8852 §3.1, RFC 8852 §3.2, RFC 9143 §15."""
    octets = _hex(value.replace(" ", ""))
    assert _decoded({identifier: octets}) == expected


@pytest.mark.parametrize(
    ("identifier", "value"),
    [
        *((4, "00"), (4, "000000"), (5, "0000"), (6, "000000"), (7, "0000")),
        *((8, "0000"), (9, "00"), (10, "00000000"), (1, "ff"), (2, "c328")),
    ],
)
def test_a_value_of_the_wrong_form_is_refused(identifier: int, value: str) -> None:
    """Source: RFC 7941 §4.2."""
    with pytest.raises(ProtocolError):
        _decoded({identifier: _hex(value)})


_values = st.builds(
    Extensions,
    mid=st.none() | st.text("abc019", min_size=1, max_size=20),
    rid=st.none() | st.text("abc019", min_size=1, max_size=16),
    repaired_rid=st.none() | st.text("abc019", min_size=1, max_size=16),
    transport_sequence=st.none() | st.integers(0, 0xFFFF),
    abs_send_time=st.none() | st.integers(0, 0xFFFFFF).map(lambda n: n / (1 << 18)),
    audio_level=st.none() | st.builds(AudioLevel, st.integers(0, 127), st.booleans()),
    video_orientation=st.none()
    | st.builds(
        VideoOrientation,
        st.sampled_from((0, 90, 180, 270)),
        st.booleans(),
        st.booleans(),
    ),
    playout_delay=st.none()
    | st.tuples(st.integers(0, 4095), st.integers(0, 4095)).map(
        lambda pair: PlayoutDelay(10 * min(pair), 10 * max(pair))
    ),
    toffset=st.none() | st.integers(-(1 << 23), (1 << 23) - 1),
    abs_capture_time=st.none()
    | st.builds(
        AbsCaptureTime,
        st.integers(0, (1 << 64) - 1),
        st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    ),
)


@given(_values)
def test_values_come_back(values: Extensions) -> None:
    profile, body = _ALL.encode(values)
    packet = RtpPacket(96, 0, 0, 0, extension_profile=profile, extension=body)
    assert _ALL.decode(packet) == values


def test_only_what_was_agreed_on_is_written() -> None:
    """Source: RFC 8285 §5, RFC 8285 §8."""
    few = ExtensionMap({3: MID_URI})
    values = Extensions(mid="video", transport_sequence=5)
    assert few.encode(values) == (ONE_BYTE_PROFILE, _hex("34") + b"video" + bytes(2))
    assert few.encode(Extensions(transport_sequence=5)) == (None, b"")
    assert few.identifier(MID_URI) == 3
    assert few.identifier(TRANSPORT_CC_URI) is None


def test_the_second_version_of_transport_wide_numbers_is_read_too() -> None:
    newer = ExtensionMap({4: TRANSPORT_CC_02_URI})
    assert _decoded({4: _hex("00078001")}, newer).transport_sequence == 7
    assert newer.encode(Extensions(transport_sequence=7))[1] == _hex("41000700")


@pytest.mark.parametrize("identifier", [0, 256, -1])
def test_an_identifier_that_cannot_be_is_our_mistake(identifier: int) -> None:
    with pytest.raises(UsageError):
        ExtensionMap({identifier: MID_URI})


@pytest.mark.parametrize(
    "values",
    [
        Extensions(toffset=1 << 23),
        Extensions(playout_delay=PlayoutDelay(50, 40)),
        Extensions(abs_capture_time=AbsCaptureTime(1 << 64)),
    ],
)
def test_a_value_that_does_not_fit_is_our_mistake(values: Extensions) -> None:
    with pytest.raises(UsageError):
        _ALL.encode(values)
