"""Files that FFmpeg wrote, packet by packet against what FFmpeg reads back."""

from __future__ import annotations

import hashlib
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from sansmedia.amf import EcmaArray, amf0
from sansmedia.flv import (
    ON_META_DATA,
    AudioCodecId,
    AudioPacketType,
    AvMultitrackType,
    ColorConfig,
    ColorInfo,
    FlvDemuxer,
    HdrCll,
    HdrMdcv,
    Tag,
    TagType,
    VideoCodecId,
    VideoPacketType,
    decode_audio_body,
    decode_color_info,
    decode_metadata,
    decode_multichannel_config,
    decode_video_body,
    encode_audio_body,
    encode_header,
    encode_tag,
    encode_video_body,
)

DATA = Path(__file__).parents[2] / "data" / "flv"
NAMES = sorted(path.stem for path in DATA.glob("*.bin"))
CODECS = {
    "h264": VideoCodecId.AVC,
    "hevc": VideoCodecId.HEVC,
    "av1": VideoCodecId.AV1,
    "vp9": VideoCodecId.VP9,
    "flv1": VideoCodecId.SORENSON_H263,
    "aac": AudioCodecId.AAC,
    "opus": AudioCodecId.OPUS,
    "flac": AudioCodecId.FLAC,
    "ac3": AudioCodecId.AC3,
    "eac3": AudioCodecId.EAC3,
    "mp3": AudioCodecId.MP3,
    "speex": AudioCodecId.SPEEX,
    "pcm_alaw": AudioCodecId.G711_A_LAW,
    "pcm_s16le": AudioCodecId.PCM_LITTLE_ENDIAN,
    "adpcm_swf": AudioCodecId.ADPCM,
}
# The configurations of these are passed on by FFmpeg as they stand in the tag.
PLAIN_EXTRADATA = {"h264", "hevc", "aac", "opus"}


def tags_of(name: str) -> list[Tag]:
    demuxer = FlvDemuxer()
    tags = demuxer.feed((DATA / f"{name}.bin").read_bytes())
    assert demuxer.statistics().skipped_bytes == 0
    assert demuxer.pending_bytes == 0
    return tags


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_packets_are_those_that_ffmpeg_reads(name: str) -> None:
    packets: dict[int, list[str]] = defaultdict(list)
    configurations: dict[int, str] = {}
    for tag in tags_of(name):
        dts = tag.timestamp_ms
        if tag.type is TagType.VIDEO:
            for video in decode_video_body(tag.body).packets:
                digest = md5(video.payload)
                if video.packet_type is VideoPacketType.SEQUENCE_START:
                    configurations[video.codec] = digest
                elif video.packet_type in (
                    VideoPacketType.CODED_FRAMES,
                    VideoPacketType.CODED_FRAMES_X,
                ):
                    pts = dts + video.composition_time_ms
                    line = f"{dts} {pts} {len(video.payload)} {digest}"
                    packets[video.codec].append(line)
        elif tag.type is TagType.AUDIO:
            for audio in decode_audio_body(tag.body).packets:
                digest = md5(audio.payload)
                if audio.packet_type is AudioPacketType.SEQUENCE_START:
                    configurations[audio.codec] = digest
                elif (
                    audio.payload and audio.packet_type is AudioPacketType.CODED_FRAMES
                ):
                    line = f"{dts} {dts} {len(audio.payload)} {digest}"
                    packets[audio.codec].append(line)
    # FFmpeg ends FLAC with an empty frame; the facts list no empty packets either.
    facts = tomllib.loads((DATA / f"{name}.toml").read_text())
    assert dict(packets) == {
        CODECS[stream["codec"]]: stream["packets"] for stream in facts["stream"]
    }
    for stream in facts["stream"]:
        if stream["codec"] in PLAIN_EXTRADATA:
            codec = CODECS[stream["codec"]]
            assert configurations[codec] == stream["extradata"]


@pytest.mark.parametrize("name", NAMES)
def test_every_body_is_encoded_to_the_same_octets(name: str) -> None:
    for tag in tags_of(name):
        if tag.type is TagType.VIDEO:
            assert encode_video_body(decode_video_body(tag.body)) == tag.body
        elif tag.type is TagType.AUDIO:
            assert encode_audio_body(decode_audio_body(tag.body)) == tag.body
        else:
            assert amf0.encode_values(*amf0.decode_values(tag.body)) == tag.body


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_written_again_octet_by_octet(name: str) -> None:
    data = (DATA / f"{name}.bin").read_bytes()
    demuxer = FlvDemuxer()
    tags = demuxer.feed(data)
    header = demuxer.header
    assert header is not None
    written = encode_header(header.has_audio, header.has_video)
    for tag in tags:
        written += encode_tag(tag.type, tag.timestamp_ms, tag.body)
    assert written == data


@pytest.mark.parametrize("name", NAMES)
def test_metadata_names_the_codecs_of_the_first_tracks(name: str) -> None:
    tags = tags_of(name)
    metadata = decode_metadata(amf0.decode_values(tags[0].body))
    facts = tomllib.loads((DATA / f"{name}.toml").read_text())
    expected: dict[str, int] = {}
    for stream in facts["stream"]:
        expected.setdefault(stream["media"], CODECS[stream["codec"]])
    assert metadata.video_codec == expected.get("video")
    assert metadata.audio_codec == expected.get("audio")
    properties = EcmaArray(metadata.properties())
    (_, original) = amf0.decode_values(tags[0].body)
    (_, again) = amf0.decode_values(amf0.encode_values(ON_META_DATA, properties))
    assert again == original


def test_ffmpeg_writes_track_0_plainly_and_others_as_one_track() -> None:
    tracks = set()
    for tag in tags_of("multitrack"):
        if tag.type is TagType.VIDEO:
            body = decode_video_body(tag.body)
            tracks |= {
                (packet.codec, packet.track_id, body.enhanced, body.multitrack)
                for packet in body.packets
                if packet.packet_type is not VideoPacketType.METADATA
            }
    assert tracks == {
        (VideoCodecId.AVC, 0, False, None),
        (VideoCodecId.HEVC, 1, True, AvMultitrackType.ONE_TRACK),
    }


@pytest.mark.parametrize("name", ["surround_opus", "surround_aac"])
def test_the_channels_of_a_surround_stream_are_named(name: str) -> None:
    configs = [
        decode_multichannel_config(packet.payload)
        for tag in tags_of(name)
        if tag.type is TagType.AUDIO
        for packet in decode_audio_body(tag.body).packets
        if packet.packet_type is AudioPacketType.MULTICHANNEL_CONFIG
    ]
    (config,) = configs
    assert config.channel_count == 6
    assert config.flags == 0x3F


def test_hdr10_colours_come_with_a_metadata_packet() -> None:
    (payload,) = (
        packet.payload
        for tag in tags_of("hdr10")
        if tag.type is TagType.VIDEO
        for packet in decode_video_body(tag.body).packets
        if packet.packet_type is VideoPacketType.METADATA
    )
    values = amf0.decode_values(payload)
    color_info = decode_color_info(values)
    assert color_info == ColorInfo(
        ColorConfig(None, 9.0, 16.0, 9.0),
        HdrCll(max_fall=400.0, max_cll=1000.0),
        HdrMdcv(0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 1000.0, 0.005),
    )
    assert color_info.properties() == values[1]
