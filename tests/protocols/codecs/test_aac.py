from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import aac
from sansmedia.codecs.bits import BitWriter
from sansmedia.sansio import ProtocolError, UsageError

_Load = Callable[[str], Any]


@pytest.mark.vectors("aac_*")
def test_a_configuration_is_rebuilt_octet_by_octet(vector: Any) -> None:
    config = aac.decode_asc(vector.data)
    rebuilt = aac.encode_asc(config)
    # The slot in the file is longer than what some configurations need.
    assert vector.data == rebuilt.ljust(len(vector.data), b"\0")
    assert aac.decode_asc(rebuilt) == config
    signalling = vector.expected.get("signalling", "backward compatible")
    assert config.signalling.value == signalling


@pytest.mark.parametrize(
    ("name", "profile", "rfc6381"),
    [
        ("aac_he_hierarchical", "HE", "mp4a.40.5"),
        ("aac_he_backward", "HE", "mp4a.40.5"),
        ("aac_hev2_hierarchical", "HEv2", "mp4a.40.29"),
        ("aac_sbr_absent", "LC", "mp4a.40.2"),
        ("aac_main", "Main", "mp4a.40.1"),
    ],
)
def test_replication_names_the_profile(
    load_vector: _Load, name: str, profile: str, rfc6381: str
) -> None:
    found = aac.parameters(load_vector(name).data)
    assert (found.profile, found.rfc6381) == (profile, rfc6381)


def test_a_frame_lasts_as_long_with_replication_as_its_core(
    load_vector: _Load,
) -> None:
    found = aac.parameters(load_vector("aac_he_backward").data)
    assert (found.frame_samples, found.sample_rate) == (2048, 44100)
    core = aac.parameters(load_vector("aac_sbr_absent").data)
    assert (core.frame_samples, core.sample_rate) == (1024, 22050)


def test_short_frames_have_960_samples() -> None:
    """ISO 14496-3 §4.4.1: frameLengthFlag."""
    asc = aac.encode_asc(aac.AudioSpecificConfig(2, 48000, 2, short_frames=True))
    assert asc == b"\x11\x94"
    assert aac.parameters(asc).frame_samples == 960
    low_delay = aac.AudioSpecificConfig(23, 48000, 2, short_frames=True)
    assert aac.parameters(aac.encode_asc(low_delay)).frame_samples == 480


def test_a_rate_outside_the_table_is_written_out() -> None:
    asc = aac.encode_asc(aac.AudioSpecificConfig(2, 37800, 2))
    assert asc == b"\x17\x80\x49\xd4\x10"
    assert aac.parameters(asc).sample_rate == 37800


def test_object_types_beyond_general_audio_are_read_up_to_their_own_part() -> None:
    # xHE-AAC (42): escape 31, 42 - 32; 48 kHz; stereo.
    asc = BitWriter().u(5, 31).u(6, 10).u(4, 3).u(4, 2).u(13, 0x1234).getvalue()
    found = aac.parameters(asc)
    assert (found.profile, found.sample_rate, found.channels) == ("xHE", 48000, 2)
    assert (found.frame_samples, found.rfc6381) == (None, "mp4a.40.42")
    with pytest.raises(UsageError):
        aac.encode_asc(aac.decode_asc(asc))


@pytest.mark.parametrize(
    ("asc", "code"),
    [
        (b"", "truncated"),
        (b"\x12", "truncated"),
        (b"\x16\x90", "malformed"),
        (b"\x17\x80\0\0\x10", "malformed"),
        (b"\x11\xc0", "malformed"),
        (b"\x11\x80\x04\xff\xff\xff", "truncated"),
        (BitWriter().u(5, 5).u(4, 6).u(4, 2).u(4, 4).u(8, 16).getvalue(), "malformed"),
        (
            BitWriter().u(5, 17).u(4, 3).u(4, 2).u(3, 0).u(2, 2).getvalue(),
            "unsupported",
        ),
    ],
)
def test_a_broken_configuration_is_refused(asc: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        aac.parameters(asc)
    assert raised.value.code == code


_TAGGED = st.lists(st.tuples(st.booleans(), st.integers(0, 15)), max_size=4).map(tuple)
_TAGS = st.lists(st.integers(0, 15), max_size=3).map(tuple)
_PROGRAMS = st.builds(
    aac.ProgramConfig,
    st.integers(0, 15),
    st.integers(0, 3),
    st.integers(0, 12),
    _TAGGED,
    _TAGGED,
    _TAGGED,
    _TAGS,
    _TAGS,
    _TAGGED,
    st.none() | st.integers(0, 15),
    st.none() | st.integers(0, 15),
    st.none() | st.integers(0, 7),
    st.binary(max_size=9),
)


@st.composite
def _configurations(draw: st.DrawFn) -> aac.AudioSpecificConfig:
    core = draw(st.sampled_from([*aac.SAMPLING_FREQUENCIES, 37800, 1]))
    channels = draw(st.sampled_from([0, 1, 2, 6, 7, 11]))
    signalling = draw(st.sampled_from(aac.SbrSignalling))
    sbr = signalling is aac.SbrSignalling.HIERARCHICAL or (
        signalling is aac.SbrSignalling.BACKWARD_COMPATIBLE and draw(st.booleans())
    )
    ps: bool | None = None
    if sbr:
        hierarchical = signalling is aac.SbrSignalling.HIERARCHICAL
        ps = draw(
            st.sampled_from([None, True] if hierarchical else [None, True, False])
        )
    return aac.AudioSpecificConfig(
        draw(st.sampled_from([1, 2, 3, 4, 17, 19, 23])),
        core,
        channels,
        signalling,
        sbr,
        ps,
        draw(st.sampled_from([core, 2 * core])) if sbr else None,
        draw(st.booleans()),
        draw(st.none() | st.integers(0, 16383)),
        None if channels else draw(_PROGRAMS),
        draw(st.none() | st.just(0)),
    )


@settings(max_examples=200, deadline=None)
@given(_configurations())
def test_any_configuration_comes_back(config: aac.AudioSpecificConfig) -> None:
    data = aac.encode_asc(config)
    assert aac.decode_asc(data) == config
    assert aac.encode_asc(aac.decode_asc(data)) == data


@pytest.mark.parametrize(
    "change",
    [
        {"object_type": 42},
        {"channel_configuration": 0},
        {"extension_sampling_frequency": 48000},
    ],
)
def test_contradictions_are_our_mistake(change: dict[str, Any]) -> None:
    config = attrs.evolve(aac.AudioSpecificConfig(2, 24000, 2), **change)
    with pytest.raises(UsageError):
        aac.encode_asc(config)


@pytest.mark.vectors("adts_*")
def test_adts_frames_are_those_of_the_demuxer(vector: Any) -> None:
    """ISO 14496-3 §1.A.2.2, §1.A.2.2.1, §1.A.2.2.2."""
    position = 0
    headers: list[aac.AdtsHeader] = []
    while position + 9 < len(vector.data):
        header = aac.decode_adts_header(vector.data[position:])
        assert aac.encode_adts_header(header) == vector.data[position : position + 7]
        position += header.frame_length
        headers.append(header)
    sizes = [header.frame_length for header in headers]
    expected = vector.expected
    assert sizes[:8] == expected["sizes"]
    found = aac.parameters(aac.asc_from_adts(headers[0]))
    assert found.sample_rate == expected["sample_rate"]
    assert found.channels == expected["channels"]
    assert found.frame_samples == expected["samples"]
    frames = aac.split_adts(vector.data[: sum(sizes[:5])])
    assert [header.frame_length for header, _ in frames] == sizes[:5]
    assert [len(raw) for _, raw in frames] == [size - 7 for size in sizes[:5]]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\xff\xe1\x50\x80\x02\x1f\xfc", "malformed"),
        (b"\xff\xf3\x50\x80\x02\x1f\xfc", "malformed"),
        (b"\xff\xf1\x7c\x80\x02\x1f\xfc", "malformed"),
        (b"\xff\xf1\x50\x80\x00\xdf\xfc", "malformed"),
        (b"\xff\xf1\x50\x80\x01\x1f\xfc", "truncated"),
        (b"\xff\xf1\x50\x80\x00\xff\xfc" * (aac.MAX_ADTS_FRAMES + 1), "limit"),
    ],
)
def test_broken_adts_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        aac.split_adts(data or b"\xff")
    assert raised.value.code == code


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        aac.AdtsHeader,
        st.integers(1, 4),
        st.sampled_from(aac.SAMPLING_FREQUENCIES),
        st.integers(0, 7),
        st.integers(9, 8191),
        st.integers(1, 4),
        st.integers(0, 0x7FF),
        st.booleans(),
        st.none() | st.integers(0, 0xFFFF),
    )
)
def test_any_adts_header_comes_back(header: aac.AdtsHeader) -> None:
    data = aac.encode_adts_header(header)
    assert len(data) == header.header_size
    assert aac.decode_adts_header(data) == header


def test_what_adts_cannot_say_is_refused() -> None:
    with pytest.raises(UsageError):
        aac.encode_adts_header(aac.AdtsHeader(2, 37800, 2, 100))
    with pytest.raises(ProtocolError):
        aac.asc_from_adts(aac.AdtsHeader(2, 48000, 0, 100))
