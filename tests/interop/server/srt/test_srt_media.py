"""Whoever publishes over SRT, whoever watches: every frame, at its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.server.conftest import Server
    from tests.interop.server.srt.conftest import Publish, SrtPeers, SrtViewer

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def watch_all_ways(
    peers: SrtPeers, server: Server, name: str, srt_url: Any
) -> dict[str, SrtViewer]:
    """Watch one stream with every program, over everything."""
    url = srt_url(server, f"#!::r=live/{name},m=request")
    return {
        "FFmpeg 9, SRT": peers.ffmpeg(url),
        "FFmpeg 5.1, SRT": peers.ffmpeg5(url),
        "GStreamer, SRT": peers.gstreamer(url),
        "srt-live-transmit": peers.transmit(url),
        "FFmpeg 9, RTMP": peers.ffmpeg(server.url("rtmp", f"live/{name}")),
        "FFmpeg 9, HTTP-FLV": peers.ffmpeg(server.url("http", f"live/{name}.flv")),
        "FFmpeg 9, HTTP-TS": peers.ffmpeg(server.url("http", f"live/{name}.ts")),
        "curl, HTTP-TS": peers.curl(server.url("http", f"live/{name}.ts")),
    }


@pytest.mark.parametrize("program", ["ffmpeg9", "ffmpeg5", "gstreamer", "transmit"])
def test_all_viewers_see_every_frame_of_a_publisher_over_srt(
    server: Server,
    srt_peers: SrtPeers,
    stream_name: str,
    srt_url: Any,
    same_show: Any,
    program: str,
) -> None:
    clip = srt_peers.clip("h264-aac")
    viewers = watch_all_ways(srt_peers, server, stream_name, srt_url)
    server.wait_for_players(stream_name, len(viewers))
    programs: dict[str, Publish] = {
        "ffmpeg9": srt_peers.publish,
        "ffmpeg5": srt_peers.publish5,
        "gstreamer": srt_peers.publish_gstreamer,
        "transmit": srt_peers.publish_transmit,
    }
    publisher = programs[program](
        clip, srt_url(server, f"#!::r=live/{stream_name},m=publish")
    )
    publisher.succeed()
    sent = srt_peers.read(clip)
    for name, viewer in viewers.items():
        try:
            same_show(viewer.seen(), sent)
        except AssertionError as failure:
            raise AssertionError(f"{name}: {failure}") from None


@pytest.mark.parametrize("clip", ["hevc-ac3", "h264-mp3", "h264-opus", "languages"])
def test_each_pair_of_codecs_passes(
    server: Server,
    srt_peers: SrtPeers,
    stream_name: str,
    srt_url: Any,
    same_show: Any,
    clip: str,
) -> None:
    path = srt_peers.clip(clip)
    url = srt_url(server, f"#!::r=live/{stream_name},m=request")
    viewers = {
        "FFmpeg 9": srt_peers.ffmpeg(url),
        "FFmpeg 5.1": srt_peers.ffmpeg5(url),
        "HTTP-TS": srt_peers.ffmpeg(server.url("http", f"live/{stream_name}.ts")),
    }
    server.wait_for_players(stream_name, len(viewers))
    publisher = srt_peers.publish(
        path, srt_url(server, f"#!::r=live/{stream_name},m=publish")
    )
    publisher.succeed()
    sent = srt_peers.read(path)
    assert len(sent.decoded) == (3 if clip == "languages" else 2)
    for name, viewer in viewers.items():
        try:
            same_show(viewer.seen(), sent)
        except AssertionError as failure:
            raise AssertionError(f"{name}: {failure}") from None


def test_rtmp_plays_over_srt(
    server: Server,
    srt_peers: SrtPeers,
    stream_name: str,
    srt_url: Any,
    same_show: Any,
) -> None:
    clip = srt_peers.clip("h264-aac")
    url = srt_url(server, f"#!::r=live/{stream_name},m=request")
    viewers = [srt_peers.ffmpeg(url), srt_peers.transmit(url), srt_peers.gstreamer(url)]
    server.wait_for_players(stream_name, len(viewers))
    path = f"live/{stream_name}"
    srt_peers.publish(clip, server.url("rtmp", path)).succeed()
    sent = srt_peers.read(clip)
    for viewer in viewers:
        same_show(viewer.seen(), sent, tail=0)
