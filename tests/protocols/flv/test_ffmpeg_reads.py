"""FLV that these libraries write, read by FFmpeg."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
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


def double(body: VideoBody | AudioBody) -> None:
    """Send the packet on track 1 too."""
    if isinstance(body, VideoBody):
        body.packets.append(attrs.evolve(body.packets[0], track_id=1))
    else:
        body.packets.append(attrs.evolve(body.packets[0], track_id=1))


def as_many_tracks(body: VideoBody | AudioBody) -> VideoBody | AudioBody:
    body.enhanced = True
    if body.packets:
        body.multitrack = AvMultitrackType.MANY_TRACKS
        double(body)
    return body


def as_many_codecs(body: VideoBody | AudioBody) -> VideoBody | AudioBody:
    body.enhanced = True
    if body.packets:
        body.multitrack = AvMultitrackType.MANY_TRACKS_MANY_CODECS
        double(body)
    return body


def apart(body: VideoBody | AudioBody) -> list[VideoBody | AudioBody]:
    """Give each sequence header a message of its own: FFmpeg 9 reads only the first."""
    if len(body.packets) < 2 or body.packets[0].packet_type:
        return [body]
    if isinstance(body, VideoBody):
        return [attrs.evolve(body, packets=[packet]) for packet in body.packets]
    return [attrs.evolve(body, packets=[packet]) for packet in body.packets]


def rewritten(
    name: str, rewrite: Rewrite
) -> tuple[bytes, dict[str, set[tuple[int, int, str]]]]:
    """Write the vector anew; return the file and its packets' pts, size and md5."""
    metadata = Metadata(
        video_codec_number=float(VideoCodecId.AVC),
        audio_codec_number=float(AudioCodecId.AAC),
    )
    script = amf0.encode_values(ON_META_DATA, EcmaArray(metadata.properties()))
    data = encode_header(True, True) + encode_tag(TagType.SCRIPT, 0, script)
    packets: dict[str, set[tuple[int, int, str]]] = {"video": set(), "audio": set()}
    for tag in FlvDemuxer().feed((DATA / f"{name}.bin").read_bytes()):
        if tag.type is TagType.VIDEO:
            video = decode_video_body(tag.body)
            (shown,) = video.packets
            if shown.packet_type is VideoPacketType.CODED_FRAMES:
                pts = tag.timestamp_ms + shown.composition_time_ms
                digest = hashlib.md5(shown.payload).hexdigest()
                packets["video"].add((pts, len(shown.payload), digest))
            changed = rewrite(video)
            assert isinstance(changed, VideoBody)
            for body in apart(changed):
                assert isinstance(body, VideoBody)
                data += encode_tag(tag.type, tag.timestamp_ms, encode_video_body(body))
        elif tag.type is TagType.AUDIO:
            audio = decode_audio_body(tag.body)
            (heard,) = audio.packets
            if heard.packet_type is AudioPacketType.CODED_FRAMES:
                digest = hashlib.md5(heard.payload).hexdigest()
                packets["audio"].add((tag.timestamp_ms, len(heard.payload), digest))
            changed = rewrite(audio)
            assert isinstance(changed, AudioBody)
            for body in apart(changed):
                assert isinstance(body, AudioBody)
                data += encode_tag(tag.type, tag.timestamp_ms, encode_audio_body(body))
    return data, packets


def packets_read(ffmpeg: str, path: Path) -> dict[int, set[tuple[int, int, str]]]:
    """Return each stream's packets: pts, size and md5."""
    command = f"-v error -copyts -i {path} -map 0 -c copy -f framehash -hash md5 -"
    result = subprocess.run(
        [ffmpeg, *command.split()], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    streams: dict[int, set[tuple[int, int, str]]] = {}
    for line in result.stdout.splitlines():
        if not line.startswith("#"):
            index, _, pts, _, size, digest = (
                part.strip() for part in line.split(",")[:6]
            )
            packets = streams.setdefault(int(index), set())
            packets.add((int(pts), int(size), digest))
    return streams


@pytest.mark.parametrize("rewrite", [by_fourcc, with_nanoseconds, as_one_track])
def test_ffmpeg_reads_each_form_of_one_track(
    ffmpeg: str, tmp_path: Path, rewrite: Rewrite
) -> None:
    data, packets = rewritten("h264_aac", rewrite)
    path = tmp_path / "out.flv"
    path.write_bytes(data)
    streams = packets_read(ffmpeg, path)
    assert sorted(streams.values(), key=len) == sorted(packets.values(), key=len)


@pytest.mark.parametrize("rewrite", [as_many_tracks, as_many_codecs])
def test_ffmpeg_reads_both_tracks_of_each_message(
    ffmpeg: str, tmp_path: Path, rewrite: Rewrite
) -> None:
    data, packets = rewritten("h264_aac", rewrite)
    path = tmp_path / "out.flv"
    path.write_bytes(data)
    streams = packets_read(ffmpeg, path)
    twice = [*packets.values(), *packets.values()]
    assert sorted(streams.values(), key=len) == sorted(twice, key=len)
