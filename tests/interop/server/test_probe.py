"""``penstock probe`` against a real server."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Start
    from tests.interop.server.conftest import Actors, Server

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ADDRESSES = [("rtmp", ""), ("http", ".flv"), ("http", ".mp4")]


def probed(start: Start, url: str, *options: str) -> dict[str, Any]:
    """Run the program; return what it reports."""
    command = [sys.executable, "-m", "penstock", "probe", "--json", *options, url]
    program = start(*command)
    program.succeed()
    report: dict[str, Any] = json.loads(program.said)
    return report


@pytest.mark.parametrize(("scheme", "suffix"), ADDRESSES)
def test_the_cached_key_frame_is_seen_and_times_start_with_it(
    scheme: str,
    suffix: str,
    server: Server,
    actors: Actors,
    start: Start,
    stream_name: str,
) -> None:
    actors.publish("h264-aac", server.url("rtmp", f"live/{stream_name}"), loops=-1)
    # So late a viewer's clock does not begin at 0.
    server.wait_for_frames(stream_name, 90)
    url = server.url(scheme, f"live/{stream_name}{suffix}")
    report = probed(start, url, "--seconds", "0.3")
    video = next(track for track in report["tracks"] if track["kind"] == "video")
    # The clip has a key frame a second, so waiting for the next one takes longer.
    assert video["key_frames"] >= 1
    assert report["media_s"] < 2.5
    # FFmpeg's metadata "track" stands at time 0 and is none.
    assert report["bitrate_bps"] > 0.5 * video["bitrate_bps"]


def test_codecs_have_their_own_names_not_those_of_decoders(
    server: Server, actors: Actors, start: Start, stream_name: str
) -> None:
    path = f"live/{stream_name}"
    actors.publish("av1-opus", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    report = probed(start, server.url("rtmp", path), "--seconds", "0.5")
    assert [track["codec"] for track in report["tracks"]] == ["av1", "opus"]
