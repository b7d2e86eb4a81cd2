from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs
import pytest
from sansmedia.codecs import (
    AudioParameters,
    Codec,
    VideoParameters,
    av1,
    h264,
    h265,
    parameters,
)
from sansmedia.sansio import ProtocolError


@pytest.mark.vectors("h264_[!or]*", "h264_rgb*", "h265_[!o]*", "av1_[!u]*")
def test_size_profile_level_and_format_are_what_ffprobe_says(vector: Any) -> None:
    found = parameters(Codec(vector.facts["codec"]), vector.data)
    assert isinstance(found, VideoParameters)
    expected = vector.expected
    for name in ("width", "height", "profile", "level", "chroma", "bit_depth"):
        assert getattr(found, name) == expected[name], name
    # SVT-AV1 and libaom leave the rate to the container.
    if found.frame_rate is not None or found.codec is not Codec.AV1:
        assert found.frame_rate == Fraction(expected["frame_rate"])


@pytest.mark.vectors("aac_*", "opus_head_*", "flac_*", "*_dac3", "*_dec3")
def test_rate_and_channels_are_what_ffprobe_says(vector: Any) -> None:
    found = parameters(Codec(vector.facts["codec"]), vector.data)
    assert isinstance(found, AudioParameters)
    assert found.sample_rate == vector.expected["sample_rate"]
    assert found.channels == vector.expected["channels"]
    if vector.expected.get("profile"):
        assert found.profile == vector.expected["profile"]


@pytest.mark.vectors("vp9_*_vpcc")
def test_a_vpcc_says_everything_but_the_size(vector: Any) -> None:
    found = parameters(Codec.VP9, vector.data)
    assert isinstance(found, VideoParameters)
    for name in ("profile", "bit_depth", "chroma"):
        assert getattr(found, name) == vector.expected[name], name
    assert (found.width, found.height) == (0, 0)


@pytest.mark.parametrize(
    "codec", [Codec.MP3, Codec.PCM_ALAW, Codec.PCM_MULAW, Codec.G722, Codec.SPEEX]
)
def test_codecs_without_configuration_have_no_parameters(codec: Codec) -> None:
    assert parameters(codec, b"whatever") is None


@pytest.mark.parametrize("codec", list(Codec))
def test_an_empty_configuration_says_nothing(codec: Codec) -> None:
    assert parameters(codec, b"") is None


@pytest.mark.parametrize("codec", list(Codec))
def test_nonsense_is_refused_or_answered_but_never_another_exception(
    codec: Codec,
) -> None:
    for data in (b"\0", b"\xff" * 40, b"\1" * 40, bytes(range(40))):
        try:
            parameters(codec, data)
        except ProtocolError:
            continue


def test_pictures_and_sounds_are_told_apart() -> None:
    video = {codec for codec in Codec if codec.is_video}
    assert video == {Codec.H264, Codec.H265, Codec.AV1, Codec.VP8, Codec.VP9}


@pytest.mark.vectors("h264_[!or]*", "h264_rgb*")
def test_an_avcc_is_rebuilt_octet_by_octet_from_its_sets(vector: Any) -> None:
    """ISO 14496-15 §5.3.3.1.2."""
    record = h264.decode_avcc(vector.data)
    assert h264.encode_avcc(record) == vector.data
    assert h264.avcc_from_parameter_sets(record.sps, record.pps) == vector.data


@pytest.mark.vectors("h265_[!o]*")
def test_an_hvcc_is_rebuilt_octet_by_octet_from_its_sets(vector: Any) -> None:
    """ISO 14496-15 §8.3.3.1.2."""
    record = h265.decode_hvcc(vector.data)
    assert h265.encode_hvcc(record) == vector.data
    sets = (record.units(kind) for kind in (32, 33, 34))
    complete = record.arrays[0].complete
    rebuilt = h265.hvcc_from_parameter_sets(*sets, complete=complete)
    # FFmpeg adds an array of SEI where the encoder gave it some in front.
    arrays = tuple(a for a in record.arrays if 32 <= a.unit_type <= 34)
    assert rebuilt == h265.encode_hvcc(attrs.evolve(record, arrays=arrays))


@pytest.mark.vectors("av1_[!u]*")
def test_an_av1c_is_rebuilt_octet_by_octet_from_its_sequence_header(
    vector: Any,
) -> None:
    """AV1-ISOBMFF §2.3."""
    record = av1.decode_av1c(vector.data)
    assert av1.encode_av1c(record) == vector.data
    payload = av1.split_obus(record.config_obus)[0].payload
    header = av1.decode_sequence_header(payload)
    assert header.color.bit_depth == record.bit_depth
    rebuilt = av1.decode_av1c(av1.av1c_from_sequence_header(payload))
    fields = ("profile", "level", "tier", "monochrome", "subsampling_x")
    for name in (*fields, "subsampling_y", "high_bitdepth", "twelve_bit"):
        assert getattr(rebuilt, name) == getattr(record, name), name
