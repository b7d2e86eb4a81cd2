"""Each codec by Enhanced RTMP, and out again in every wire form that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Actors, Clips, Server, Viewer

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
    publisher = actors.publish(clip, server.url("rtmp", path), rate=2)
    server.wait_for_frames(stream_name, 25)
    streams = server.api.get("/api/v1/streams/?count=1000").json()["streams"]
    (shown,) = [s for s in streams if s["name"] == stream_name]
    assert (shown["video"]["codec"], shown["audio"]["codec"]) == SHOWN[clip]
    assert (shown["video"]["width"], shown["video"]["height"]) == (320, 180)
    all_same_frames(viewers, clips.sent(clip))
    publisher.succeed()
