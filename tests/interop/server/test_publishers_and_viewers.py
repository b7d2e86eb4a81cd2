"""Whoever publishes, whoever watches: every frame comes out, bit by bit, in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Clips, FrameReader, Viewer
    from tests.interop.server.conftest import Actors, Server
pytestmark = [pytest.mark.interop, pytest.mark.slow]


def watch_all_ways(
    actors: Actors, server: Server, ffmpeg5: str, path: str
) -> dict[str, Viewer]:
    """Watch one H.264 and AAC stream with every program, over everything."""
    rtmp, rtmps = server.url("rtmp", path), server.url("rtmps", path)
    flv = server.url("http", f"{path}.flv")
    mp4 = server.url("http", f"{path}.mp4")
    return {
        "FFmpeg 9, RTMP": actors.ffmpeg(rtmp),
        "FFmpeg 9, RTMPS": actors.ffmpeg(rtmps),
        "FFmpeg 5.1, RTMP": actors.ffmpeg(rtmp, ffmpeg5),
        "FFmpeg 9, HTTP-FLV": actors.ffmpeg(flv),
        "FFmpeg 5.1, HTTP-FLV": actors.ffmpeg(flv, ffmpeg5),
        "FFmpeg 9, HTTP-fMP4": actors.ffmpeg(mp4),
        "rtmpdump": actors.rtmpdump(rtmp),
        "rtmp2src": actors.rtmp2src(rtmp),
        "curl, HTTP-FLV": actors.curl(flv),
        "curl, HTTP-FLV, HTTP/1.0": actors.curl(flv, "--http1.0"),
        "curl, HTTPS-FLV": actors.curl(server.url("https", f"{path}.flv")),
        "curl, HTTP-fMP4": actors.curl(mp4),
        "WebSocket-FLV": actors.websocket(server.url("ws", f"{path}.flv")),
        "rtmpsrc": actors.rtmpsrc(rtmp, server),
    }


def test_all_viewers_get_every_frame_of_ffmpeg(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    ffmpeg5: str,
    stream_name: str,
) -> None:
    path = f"live/{stream_name}"
    viewers = watch_all_ways(actors, server, ffmpeg5, path)
    server.wait_for_players(stream_name, len(viewers))
    publisher = actors.publish("h264-aac", server.url("rtmp", path))
    all_same_frames(viewers, clips.sent("h264-aac"))
    publisher.succeed()


def watch_some_ways(actors: Actors, server: Server, path: str) -> dict[str, Viewer]:
    """Watch a stream in each wire form."""
    return {
        "RTMP": actors.ffmpeg(server.url("rtmp", path)),
        "rtmpdump": actors.rtmpdump(server.url("rtmp", path)),
        "HTTP-FLV": actors.curl(server.url("http", f"{path}.flv")),
        "HTTP-fMP4": actors.curl(server.url("http", f"{path}.mp4")),
    }


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("program", ["ffmpeg5", "ffmpeg9"])
def test_every_frame_of_ffmpeg_comes_out(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    stream_name: str,
    scheme: str,
    program: str,
    request: pytest.FixtureRequest,
) -> None:
    path = f"live/{stream_name}"
    viewers = watch_some_ways(actors, server, path)
    server.wait_for_players(stream_name, len(viewers))
    publisher = actors.publish(
        "h264-aac", server.url(scheme, path), program=request.getfixturevalue(program)
    )
    all_same_frames(viewers, clips.sent("h264-aac"))
    publisher.succeed()


@pytest.mark.parametrize("sink", ["rtmp2sink", "rtmpsink"])
def test_every_frame_of_gstreamer_comes_out(
    server: Server,
    actors: Actors,
    tmp_path: Path,
    clips: Clips,
    frame_reader: FrameReader,
    all_same_frames: Any,
    stream_name: str,
    sink: str,
) -> None:
    path = f"live/{stream_name}"
    viewers = watch_some_ways(actors, server, path)
    server.wait_for_players(stream_name, len(viewers))
    copy = tmp_path / "sent.flv"
    publisher = actors.gstreamer_publisher(
        sink, "h264-aac", server.url("rtmp", path), copy
    )
    publisher.succeed()
    sent = frame_reader.read(copy)
    assert [p.md5 for p in sent["video0"]] == [
        p.md5 for p in clips.sent("h264-aac")["video0"]
    ]
    # It puts two sounds on its zero, where the first ought to stand before it; the
    # server gives each sound its length.
    all_same_frames(viewers, sent, 25)
