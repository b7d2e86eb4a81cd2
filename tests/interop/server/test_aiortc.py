"""aiortc publishes by WHIP and plays by WHEP, as either side of the DTLS handshake."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Program, Start
    from tests.interop.server.conftest import Actors, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.keeps_time]

SCRIPT = Path(__file__).parent / "peers" / "aiortc_peer.py"
Peer = Callable[..., "Program"]


@pytest.fixture
def aiortc_peer(start: Start) -> Peer:
    """Start aiortc in a process of its own."""
    return lambda *arguments: start(sys.executable, SCRIPT, *arguments)


@pytest.fixture(scope="module")
def long_clip(
    ffmpeg9: str, whip_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The clip three times: aiortc's own loop starts its clock anew each time."""
    path = tmp_path_factory.mktemp("aiortc") / "clip.mkv"
    command = f"-v error -nostdin -stream_loop 2 -i {whip_clip} -c copy {path}"
    subprocess.run([ffmpeg9, *command.split()], check=True, timeout=60)
    return path


def result_of(program: Program) -> dict[str, Any]:
    program.succeed()
    result: dict[str, Any] = json.loads(program.said.splitlines()[-1])
    assert result["state"] == "connected"
    assert result["deleted"] == 200
    return result


def assert_moves(times: list[float]) -> None:
    """Assert that the last second of pictures came without a hole."""
    steps = [round(after - before, 3) for before, after in pairwise(times[-25:])]
    assert all(0.02 < step < 0.09 for step in steps), steps


@pytest.mark.parametrize("codec", ["VP8", "H264"])
@pytest.mark.parametrize(
    ("offered", "answered"), [("active", "passive"), ("passive", "active")]
)
def test_what_it_publishes_it_can_play(
    penstock_server: StartServer,
    aiortc_peer: Peer,
    long_clip: Path,
    codec: str,
    offered: str,
    answered: str,
) -> None:
    server = penstock_server()
    role = ("--setup", offered)
    publisher = aiortc_peer(
        *("publish", server.url("http", "live/x/whip"), "--codec", codec),
        *("--file", long_clip, "--seconds", "10", *role),
    )
    server.wait_for_frames("x", 10)
    player = aiortc_peer(
        "play", server.url("http", "live/x/whep"), "--frames", "100", *role
    )
    played, published = result_of(player), result_of(publisher)
    assert played["setup"] == published["setup"] == answered
    # It lowers the resolution when it thinks that bandwidth is short.
    assert [640, 360] in played["sizes"]
    assert_moves(played["times"])
    assert played["loudest"] > 1_000
    assert published["sent"]["video"] > 200
    assert published["sent"]["audio"] > 400


def test_its_h264_goes_out_over_rtmp_and_its_opus_becomes_aac(
    penstock_server: StartServer,
    actors: Actors,
    aiortc_peer: Peer,
    whip_clip: Path,
    ffmpeg9: str,
) -> None:
    server = penstock_server()
    viewer = actors.rtmpdump(server.url("rtmp", "live/x"))
    server.wait_for_players("x", 1)
    publisher = aiortc_peer(
        *("publish", server.url("http", "live/x/whip"), "--codec", "H264"),
        *("--file", whip_clip, "--seconds", "6"),
    )
    assert result_of(publisher)["setup"] == "passive"
    frames = viewer.frames()
    assert len(frames["video0"]) > 100
    # The file starts anew, and with it the clock of the pictures; the first reports
    # put a track right. A peer that stands still makes a step too.
    for packets in frames.values():
        steps = [b.pts - a.pts for a, b in pairwise(packets)]
        assert sum(not 0 < step < 90 for step in steps) < len(steps) / 30, steps
    decoded = subprocess.run(
        [ffmpeg9, "-v", "error", "-i", viewer.recording, "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "h264" not in decoded.stderr, decoded.stderr


def test_it_plays_what_ffmpeg_publishes(
    penstock_server: StartServer, actors: Actors, aiortc_peer: Peer
) -> None:
    server = penstock_server()
    actors.publish_whip(server.url("http", "live/x/whip"), loops=-1)
    server.wait_for_frames("x", 30)
    played = result_of(
        aiortc_peer("play", server.url("http", "live/x/whep"), "--frames", "120")
    )
    assert played["sizes"] == [[640, 360]]
    assert_moves(played["times"])
    assert played["loudest"] > 1_000
