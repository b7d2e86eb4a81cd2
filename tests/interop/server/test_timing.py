"""Late viewers, publishers who come back, new headers, and clocks that wrap."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Clips, Frames, Viewer
    from tests.interop.server.conftest import Actors, Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.keeps_time]


def decode_strictly(ffmpeg: str, recording: Path) -> None:
    """Decode everything; the first thing that is wrong fails."""
    subprocess.run(
        [
            ffmpeg,
            *["-v", "error", "-nostdin", "-xerror", "-err_detect", "explode"],
            *["-i", str(recording), "-f", "null", "-"],
        ],
        check=True,
        timeout=60,
    )


def assert_in_order(frames: Frames) -> None:
    """Assert that decoding times of each track rise."""
    for name, packets in frames.items():
        times = [packet.dts for packet in packets]
        assert all(a < b for a, b in itertools.pairwise(times)), name


@pytest.mark.parametrize("clip", ["h264-aac", "hevc-opus", "av1-opus"])
def test_a_late_viewer_starts_with_a_key_frame_and_decodes_all_that_it_gets(
    server: Server,
    actors: Actors,
    ffmpeg9: str,
    same_suffix: Any,
    clips: Clips,
    stream_name: str,
    clip: str,
) -> None:
    path = f"live/{stream_name}"
    # Half as fast as it plays, as the last of them has to start before it ends.
    publisher = actors.publish(clip, server.url("rtmp", path), rate=0.5)
    server.wait_for_frames(stream_name, 35)
    flv = actors.curl(server.url("http", f"{path}.flv"))
    mp4 = actors.curl(server.url("http", f"{path}.mp4"))
    viewers: list[Viewer] = [actors.ffmpeg(server.url("rtmp", path)), flv, mp4]
    if clip == "h264-aac":
        viewers.append(actors.rtmpdump(server.url("rtmp", path)))
        viewers.append(actors.websocket(server.url("ws", f"{path}.flv")))
    for viewer in viewers:
        same_suffix(viewer.frames(), clips.sent(clip))
    decode_strictly(ffmpeg9, flv.recording)
    decode_strictly(ffmpeg9, mp4.recording)
    publisher.succeed()


def test_viewers_stay_while_a_publisher_comes_back(
    penstock_server: StartServer, actors: Actors, clips: Clips
) -> None:
    server = penstock_server("stream.republish_wait_s=5")
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(server.url("rtmp", "live/x")),
        "HTTP-FLV": actors.curl(server.url("http", "live/x.flv")),
        "HTTP-fMP4": actors.curl(server.url("http", "live/x.mp4")),
    }
    server.wait_for_players("x", len(viewers))
    first = actors.publish("h264-aac", server.url("rtmp", "live/x"))
    server.wait_for_frames("x", 40)
    first.end()
    actors.publish("h264-aac", server.url("rtmp", "live/x")).succeed()
    sent = clips.sent("h264-aac")
    for name, viewer in viewers.items():
        frames = viewer.frames()
        assert_in_order(frames)
        for track, packets in sent.items():
            hashes = [packet.md5 for packet in packets]
            came = [packet.md5 for packet in frames[track]]
            begun = came[: -len(hashes)]
            assert came[-len(hashes) :] == hashes, name
            assert begun == hashes[: len(begun)], name
            assert len(begun) >= 30, name


def test_a_new_size_in_mid_stream_reaches_flv_viewers_and_ends_mp4_files(
    penstock_server: StartServer,
    actors: Actors,
    clips: Clips,
    peer: Any,
    same_frames: Any,
) -> None:
    server = penstock_server("stream.republish_wait_s=5")
    recordings = [
        actors.curl(server.url("http", "live/x.flv")),
        actors.rtmpdump(server.url("rtmp", "live/x")),
    ]
    mp4 = actors.curl(server.url("http", "live/x.mp4"))
    server.wait_for_players("x", 3)
    clips.path("large")
    actors.publish("h264-aac", server.url("rtmp", "live/x"), rate=2).succeed()
    actors.publish("large", server.url("rtmp", "live/x"), rate=2).succeed()
    # curl gives 18 for a body that breaks off; this one ended as it should.
    same_frames(mp4.frames(), clips.sent("h264-aac"))
    for recording in recordings:
        frames = recording.frames()
        assert_in_order(frames)
        seen = subprocess.run(
            [
                peer("ffprobe"),
                *["-v", "error", "-select_streams", "v", "-of", "json"],
                *["-show_entries", "frame=width", str(recording.recording)],
            ],
            capture_output=True,
            check=True,
            timeout=60,
        )
        widths = [frame["width"] for frame in json.loads(seen.stdout)["frames"]]
        assert widths == [320] * 75 + [640] * 75


@pytest.mark.parametrize(
    "offset", ["16776", "4294966"], ids=["24 bits end", "32 bits end"]
)
def test_nothing_is_lost_where_the_publishers_clock_wraps(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    stream_name: str,
    offset: str,
) -> None:
    path = f"live/{stream_name}"
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(server.url("rtmp", path)),
        "HTTP-FLV": actors.curl(server.url("http", f"{path}.flv")),
        "HTTP-fMP4": actors.curl(server.url("http", f"{path}.mp4")),
    }
    server.wait_for_players(stream_name, len(viewers))
    publisher = actors.publish(
        "h264-aac", server.url("rtmp", path), "-output_ts_offset", offset, rate=2
    )
    all_same_frames(viewers, clips.sent("h264-aac"))
    publisher.succeed()
