"""FLV that these libraries write, read by FFmpeg."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sansmedia.amf import EcmaArray, amf0
from sansmedia.flv import (
    ON_META_DATA,
    AudioBody,
    AudioCodecId,
    AudioPacketType,
    AvMultitrackType,
    FlvDemuxer,
    Metadata,
    TagType,
    VideoBody,
    VideoCodecId,
    VideoPacketType,
    decode_audio_body,
    decode_video_body,
    encode_audio_body,
    encode_header,
    encode_tag,
    encode_video_body,
    timestamp_offset_nano,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]

DATA = Path(__file__).parents[2] / "data" / "flv"
Rewrite = Callable[[VideoBody | AudioBody], VideoBody | AudioBody]


@pytest.fixture(scope="module")
def ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        path: str = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("imageio-ffmpeg with its FFmpeg is not installed")
        pytest.skip("imageio-ffmpeg with its FFmpeg is not installed")
    return path


def by_fourcc(body: VideoBody | AudioBody) -> VideoBody | AudioBody:
    body.enhanced = True
    return body


def with_nanoseconds(body: VideoBody | AudioBody) -> VideoBody | AudioBody:
    body.enhanced = True
    if body.packets:
        body.mod_ex = (timestamp_offset_nano(500_000),)
    return body


def as_one_track(body: VideoBody | AudioBody) -> VideoBody | AudioBody:
    body.enhanced = True
    if body.packets:
        body.multitrack = AvMultitrackType.ONE_TRACK
    return body


def as_many_tracks(body: VideoBody | AudioBody) -> VideoBody | AudioBody:
    body.enhanced = True
    if body.packets:
        body.multitrack = AvMultitrackType.MANY_TRACKS
    return body


def as_many_codecs(body: VideoBody | AudioBody) -> VideoBody | AudioBody:
    body.enhanced = True
    if body.packets:
        body.multitrack = AvMultitrackType.MANY_TRACKS_MANY_CODECS
    return body


def rewritten(name: str, rewrite: Rewrite) -> tuple[bytes, set[tuple[int, int, str]]]:
    """Write the vector anew; return the file and its packets' pts, size and md5."""
    metadata = Metadata(
        video_codec_number=float(VideoCodecId.AVC),
        audio_codec_number=float(AudioCodecId.AAC),
    )
    script = amf0.encode_values(ON_META_DATA, EcmaArray(metadata.properties()))
    data = encode_header(True, True) + encode_tag(TagType.SCRIPT, 0, script)
    packets = set()
    for tag in FlvDemuxer().feed((DATA / f"{name}.bin").read_bytes()):
        if tag.type is TagType.VIDEO:
            video = decode_video_body(tag.body)
            (shown,) = video.packets
            if shown.packet_type is VideoPacketType.CODED_FRAMES:
                pts = tag.timestamp_ms + shown.composition_time_ms
                digest = hashlib.md5(shown.payload).hexdigest()
                packets.add((pts, len(shown.payload), digest))
            changed = rewrite(video)
            assert isinstance(changed, VideoBody)
            data += encode_tag(tag.type, tag.timestamp_ms, encode_video_body(changed))
        elif tag.type is TagType.AUDIO:
            audio = decode_audio_body(tag.body)
            (heard,) = audio.packets
            if heard.packet_type is AudioPacketType.CODED_FRAMES:
                digest = hashlib.md5(heard.payload).hexdigest()
                packets.add((tag.timestamp_ms, len(heard.payload), digest))
            changed = rewrite(audio)
            assert isinstance(changed, AudioBody)
            data += encode_tag(tag.type, tag.timestamp_ms, encode_audio_body(changed))
    return data, packets


def packets_read(ffmpeg: str, path: Path) -> set[tuple[int, int, str]]:
    command = f"-v error -copyts -i {path} -map 0 -c copy -f framehash -hash md5 -"
    result = subprocess.run(
        [ffmpeg, *command.split()], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    packets = set()
    for line in result.stdout.splitlines():
        if not line.startswith("#"):
            _, _, pts, _, size, digest = (part.strip() for part in line.split(",")[:6])
            packets.add((int(pts), int(size), digest))
    return packets


@pytest.mark.parametrize(
    "rewrite",
    [by_fourcc, with_nanoseconds, as_one_track, as_many_tracks, as_many_codecs],
)
def test_ffmpeg_reads_each_enhanced_form(
    ffmpeg: str, tmp_path: Path, rewrite: Rewrite
) -> None:
    data, packets = rewritten("h264_aac", rewrite)
    path = tmp_path / "out.flv"
    path.write_bytes(data)
    assert packets_read(ffmpeg, path) == packets
