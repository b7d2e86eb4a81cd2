"""onMetaData and colorInfo: what encoders say, and what they get wrong."""

from __future__ import annotations

import math

import pytest
from sansmedia.codecs.codec import Codec
from sansmedia.flv import (
    AudioCodecId,
    AudioTrackInfo,
    CapsExMask,
    ColorInfo,
    FourCcInfoMask,
    Metadata,
    VideoCodecId,
    VideoTrackInfo,
    audio_codec,
    audio_codec_id,
    decode_color_info,
    decode_metadata,
    fourcc,
    fourcc_info,
    fourcc_text,
    video_codec,
    video_codec_id,
)
from sansmedia.sansio import ProtocolError


def test_metadata_is_read_with_and_without_set_data_frame() -> None:
    properties = {"width": 1280.0, "height": 720.0}
    expected = Metadata(width=1280.0, height=720.0)
    assert decode_metadata(["onMetaData", properties]) == expected
    assert decode_metadata(["@setDataFrame", "onMetaData", properties]) == expected


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["onMetaData"],
        ["@setDataFrame"],
        ["onCuePoint", {}],
        ["onMetaData", "x"],
        [None, {}],
    ],
)
def test_other_script_data_is_refused(values: list[object]) -> None:
    with pytest.raises(ProtocolError):
        decode_metadata(values)


def test_all_tracks_are_described() -> None:
    properties: dict[str, object] = {
        "videocodecid": 1635135537.0,
        "audiocodecid": 10.0,
        "stereo": True,
        "videoTrackIdInfoMap": {
            "1": {"width": 640.0, "videocodecid": 7.0, "language": "de"}
        },
        "audioTrackIdInfoMap": {
            "2": {"channels": 2.0, "samplerate": 48000.0, "audiocodecid": 1332770163.0}
        },
    }
    metadata = decode_metadata(["onMetaData", properties])
    assert metadata.video_codec == VideoCodecId.AV1
    assert metadata.audio_codec == AudioCodecId.AAC
    assert metadata.video_tracks == {
        1: VideoTrackInfo(width=640.0, codec_number=7.0, other={"language": "de"})
    }
    assert metadata.video_tracks[1].codec == VideoCodecId.AVC
    assert metadata.audio_tracks == {
        2: AudioTrackInfo(2.0, 48000.0, codec_number=1332770163.0)
    }
    assert metadata.audio_tracks[2].codec == AudioCodecId.OPUS
    assert metadata.properties() == properties


def test_every_property_of_the_file_format_has_its_name() -> None:
    """FLV 10.1 §E.5."""
    metadata = Metadata(
        audio_codec_number=10.0,
        audio_bit_rate_kbps=128.0,
        audio_delay=0.038,
        audio_sample_rate=44_100.0,
        audio_sample_bits=16.0,
        can_seek_to_end=True,
        creation_date="Sat Nov 21 2026",
        duration=12.5,
        file_size=1e6,
        frame_rate=30.0,
        height=720.0,
        stereo=True,
        video_codec_number=7.0,
        video_bit_rate_kbps=2500.0,
        width=1280.0,
    )
    properties: dict[str, object] = {
        "audiocodecid": 10.0,
        "audiodatarate": 128.0,
        "audiodelay": 0.038,
        "audiosamplerate": 44_100.0,
        "audiosamplesize": 16.0,
        "canSeekToEnd": True,
        "creationdate": "Sat Nov 21 2026",
        "duration": 12.5,
        "filesize": 1e6,
        "framerate": 30.0,
        "height": 720.0,
        "stereo": True,
        "videocodecid": 7.0,
        "videodatarate": 2500.0,
        "width": 1280.0,
    }
    assert decode_metadata(["onMetaData", properties]) == metadata
    assert metadata.properties() == properties


def test_unknown_properties_are_kept() -> None:
    properties = {"title": "x", "keyframes": {"times": [0.0]}}
    metadata = decode_metadata(["onMetaData", properties])
    assert metadata.other == properties
    assert metadata.properties() == properties


@pytest.mark.parametrize(
    "properties",
    [
        {"width": "1280"},
        {"width": True},
        {"framerate": math.inf},
        {"stereo": 1.0},
        {"encoder": None},
        {"videoTrackIdInfoMap": {"one": {}}},
        {"videoTrackIdInfoMap": {"01": {}}},
        {"videoTrackIdInfoMap": {"256": {}}},
        {"videoTrackIdInfoMap": {"²": {}}},
        {"videoTrackIdInfoMap": {"1": 5.0}},
        {"audioTrackIdInfoMap": []},
    ],
)
def test_a_property_of_the_wrong_type_is_kept_aside(
    properties: dict[str, object],
) -> None:
    metadata = decode_metadata(["onMetaData", properties])
    assert metadata.other == properties
    assert metadata.properties() == properties


def test_codecs_may_be_written_as_strings() -> None:
    values = ["onMetaData", {"videocodecid": "avc1", "audiocodecid": "mp4a"}]
    metadata = decode_metadata(values)
    assert metadata.video_codec == VideoCodecId.AVC
    assert metadata.audio_codec == AudioCodecId.AAC


@pytest.mark.parametrize("number", ["H.264", "é123", -1.0, 2.0**32])
def test_a_codec_that_is_no_codec_is_none(number: object) -> None:
    assert decode_metadata(["onMetaData", {"videocodecid": number}]).video_codec is None


@pytest.mark.parametrize(
    "values",
    [["colorInfo", None], ["colorInfo", {}], ["a", 1.0, "colorInfo", object()]],
)
def test_undefined_and_empty_colours_are_a_reset(values: list[object]) -> None:
    assert decode_color_info(values) == ColorInfo()


@pytest.mark.parametrize("values", [[], ["colorInfo"], ["other", {}]])
def test_metadata_without_colours_says_nothing(values: list[object]) -> None:
    assert decode_color_info(values) is None


def test_fourccs_are_read_big_endian() -> None:
    assert fourcc("Opus") == 1332770163
    assert fourcc_text(1332770163) == "Opus"
    assert fourcc_text(VideoCodecId.VP6) == "4"


def test_codec_ids_and_codecs_map_both_ways() -> None:
    for codec in set(Codec) - {Codec.G722}:
        if codec.is_video:
            video_id = video_codec_id(codec)
            assert video_id is not None
            assert video_codec(video_id) is codec
            assert audio_codec_id(codec) is None
        else:
            audio_id = audio_codec_id(codec)
            assert audio_id is not None
            assert audio_codec(audio_id) is codec
            assert video_codec_id(codec) is None
    assert audio_codec_id(Codec.G722) is None
    assert video_codec(VideoCodecId.VP6) is None
    assert audio_codec(AudioCodecId.MP3_8K) is Codec.MP3


def test_the_wildcards_flags_hold_for_every_codec() -> None:
    info = {"*": 4, "vp09": 3, "av01": 0x100}
    assert fourcc_info(info, "vp09") == 7
    assert fourcc_info(info, "hvc1") is FourCcInfoMask.CAN_FORWARD
    assert fourcc_info(info, "av01") is FourCcInfoMask.CAN_FORWARD
    assert fourcc_info({}, "hvc1") == 0


def test_capability_flags_have_the_values_of_the_specification() -> None:
    assert [flag.value for flag in CapsExMask] == [1, 2, 4, 8]
