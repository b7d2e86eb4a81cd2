"""GStreamer's webrtcbin publishes by WHIP and plays by WHEP, picture by picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import FrameReader, Program
    from tests.interop.server.conftest import Actors, StartServer, WebRtcBin

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def result_of(program: Program) -> dict[str, Any]:
    program.succeed(40)
    result: dict[str, Any] = json.loads(program.said.splitlines()[-1])
    assert result["state"] == "connected"
    assert result["deleted"] == 200
    return result


def test_what_it_publishes_comes_out_bit_by_bit(
    penstock_server: StartServer,
    actors: Actors,
    frame_reader: FrameReader,
    webrtcbin: WebRtcBin,
    whip_clip: Path,
) -> None:
    server = penstock_server()
    viewers = [
        actors.rtmpdump(server.url("rtmp", "live/x")),
        actors.curl(server.url("http", "live/x.flv")),
    ]
    server.wait_for_players("x", 2)
    url = server.url("http", "live/x/whip")
    result_of(webrtcbin("publish", url, whip_clip))
    sent = [p.md5 for p in frame_reader.read_bare(whip_clip)["video0"]]
    for viewer in viewers:
        viewer.frames()
        came = frame_reader.read_bare(viewer.recording)
        assert [p.md5 for p in came["video0"]] == sent
        # The first reports, 1 s after the beginning, put a track where it belongs.
        steps = [b.pts - a.pts for a, b in pairwise(came["video0"][50:])]
        assert all(30 < step < 50 for step in steps), steps
        assert len(came["audio0"]) > 170


def test_what_it_plays_is_what_was_published(
    penstock_server: StartServer,
    actors: Actors,
    webrtcbin: WebRtcBin,
    follow_clip: Callable[[list[str]], None],
) -> None:
    server = penstock_server()
    actors.publish_whip(server.url("http", "live/x/whip"), loops=-1)
    server.wait_for_frames("x", 30)
    played = result_of(webrtcbin("play", server.url("http", "live/x/whep"), "120"))
    assert len(played["pictures"]) >= 120
    follow_clip(played["pictures"])
    assert len(played["sound"]) > 100
