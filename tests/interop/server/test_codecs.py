"""Each codec by Enhanced RTMP, and out again in every wire form that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Clips, Viewer
    from tests.interop.server.conftest import Actors, Server

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SHOWN = {
    "h264-mp3": ("H264", "MP3"),
    "h264-flac": ("H264", "Other"),
    "h264-ac3": ("H264", "Other"),
    "h264-eac3": ("H264", "Other"),
    "hevc-aac": ("HEVC", "AAC"),
    "hevc-opus": ("HEVC", "Opus"),
    "av1-opus": ("AV1", "Opus"),
    "vp9-opus": ("Other", "Opus"),
}
"""What the SRS API calls the codecs: SRS itself knows no more."""


@pytest.mark.parametrize("clip", SHOWN)
def test_every_frame_of_each_codec_comes_out(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    stream_name: str,
    clip: str,
) -> None:
    path = f"live/{stream_name}"
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(server.url("rtmp", path)),
        "HTTP-FLV": actors.curl(server.url("http", f"{path}.flv")),
        "HTTP-fMP4": actors.curl(server.url("http", f"{path}.mp4")),
        "HTTP-fMP4, directly": actors.ffmpeg(server.url("http", f"{path}.mp4")),
    }
    server.wait_for_players(stream_name, len(viewers))
    publisher = actors.publish(clip, server.url("rtmp", path), rate=3)
    server.wait_for_frames(stream_name, 25)
    streams = server.api.get("/api/v1/streams/?count=1000").json()["streams"]
    (shown,) = [s for s in streams if s["name"] == stream_name]
    assert (shown["video"]["codec"], shown["audio"]["codec"]) == SHOWN[clip]
    assert (shown["video"]["width"], shown["video"]["height"]) == (320, 180)
    all_same_frames(viewers, clips.sent(clip))
    publisher.succeed()


@pytest.mark.parametrize("clip", ["audio", "video"])
def test_one_kind_of_track_is_enough(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    stream_name: str,
    clip: str,
) -> None:
    path = f"live/{stream_name}"
    flv = actors.curl(server.url("http", f"{path}.flv"))
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(server.url("rtmp", path)),
        "HTTP-FLV": flv,
        "HTTP-fMP4": actors.curl(server.url("http", f"{path}.mp4")),
    }
    server.wait_for_players(stream_name, len(viewers))
    publisher = actors.publish(clip, server.url("rtmp", path), rate=3)
    all_same_frames(viewers, clips.sent(clip))
    publisher.succeed()
    flags = flv.recording.read_bytes()[4]
    assert flags == {"audio": 0x04, "video": 0x01}[clip]


def test_the_main_tracks_of_several_come_out(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    stream_name: str,
) -> None:
    path = f"live/{stream_name}"
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(server.url("rtmp", path)),
        "HTTP-FLV": actors.curl(server.url("http", f"{path}.flv")),
        "HTTP-fMP4": actors.curl(server.url("http", f"{path}.mp4")),
    }
    server.wait_for_players(stream_name, len(viewers))
    publisher = actors.publish("multitrack", server.url("rtmp", path), rate=3)
    # FFmpeg does not tell the server that it could take more than the main tracks.
    sent = clips.sent("multitrack")
    main = {name: sent[name] for name in ("video0", "audio0")}
    assert sorted(sent) == ["audio0", "audio1", "video0", "video1"]
    all_same_frames(viewers, main)
    publisher.succeed()


@pytest.mark.parametrize("clip", ["hevc-aac", "av1-opus", "vp9-opus"])
def test_a_publisher_that_lists_its_codecs_as_broadcasters_do(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    stream_name: str,
    clip: str,
) -> None:
    path = f"live/{stream_name}"
    viewers: dict[str, Viewer] = {"RTMP": actors.ffmpeg(server.url("rtmp", path))}
    server.wait_for_players(stream_name, len(viewers))
    codecs = ["-rtmp_enhanced_codecs", "hvc1,av01,vp09"]
    address = server.url("rtmp", path)
    publisher = actors.publish(clip, address, *codecs, rate=3)
    all_same_frames(viewers, clips.sent(clip))
    publisher.succeed()
