"""WebRTC stacks from npm publish by WHIP and play by WHEP.

libdatachannel (what OBS is built on), werift (TypeScript alone), libwebrtc.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import FrameReader, Program, Start
    from tests.interop.server.conftest import Actors, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.keeps_time]

PEERS = Path(__file__).parent / "peers"
PACKAGES = ["node-datachannel@0.33.4", "werift@0.24.4", "@roamhq/wrtc@0.10.0"]

NodePeer = Callable[..., "Program"]


@pytest.fixture(scope="session")
def node_modules(
    peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Fetch the stacks once."""
    folder = tmp_path_factory.mktemp("stacks")
    subprocess.run(
        [
            peer("npm"),
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            *PACKAGES,
        ],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=110,
    )
    return folder / "node_modules"


@pytest.fixture
def node_peer(peer: Callable[[str], str], node_modules: Path, start: Start) -> NodePeer:
    """Start one of the stacks in a process of its own."""
    node = peer("node")
    return lambda library, *arguments: start(
        node,
        PEERS / f"{library}.cjs",
        *arguments,
        env={"NODE_PATH": str(node_modules)},
    )


@pytest.fixture(scope="module")
def packets(
    whip_packets: list[tuple[str, float, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The clip's packets as these peers read them: one JSON array a line."""
    path = tmp_path_factory.mktemp("packets") / "clip.jsonl"
    lines = [
        json.dumps([kind, ms, base64.b64encode(data).decode()]) + "\n"
        for kind, ms, data in whip_packets
    ]
    path.write_text("".join(lines))
    return path


def result_of(program: Program) -> dict[str, Any]:
    program.succeed()
    result: dict[str, Any] = json.loads(program.said.splitlines()[-1])
    assert result["state"] == "connected"
    assert result["deleted"] == 200
    return result


@pytest.mark.parametrize("library", ["libdatachannel", "werift"])
def test_what_it_publishes_comes_out_bit_by_bit(
    penstock_server: StartServer,
    actors: Actors,
    frame_reader: FrameReader,
    node_peer: NodePeer,
    whip_clip: Path,
    packets: Path,
    library: str,
) -> None:
    server = penstock_server()
    viewers = [
        actors.rtmpdump(server.url("rtmp", "live/x")),
        actors.curl(server.url("http", "live/x.flv")),
    ]
    server.wait_for_players("x", 2)
    url = server.url("http", "live/x/whip")
    result_of(node_peer(library, "publish", url, "--file", packets))
    sent = [p.md5 for p in frame_reader.read_bare(whip_clip)["video0"]]
    for viewer in viewers:
        viewer.frames()
        came = frame_reader.read_bare(viewer.recording)
        assert [p.md5 for p in came["video0"]] == sent
        # werift's reports tell when its last packet left, however late that was: on a
        # busy machine what they put right is not to be foretold.
        for track in came.values() if library == "libdatachannel" else ():
            # The first reports, 1 s after the beginning, put a track where it belongs.
            steps = [b.pts - a.pts for a, b in pairwise(track[len(track) // 2 :])]
            assert all(10 < step < 60 for step in steps), steps
        assert len(came["audio0"]) > 170


@pytest.mark.parametrize("library", ["libdatachannel", "werift"])
def test_what_it_plays_is_what_was_published(
    penstock_server: StartServer,
    actors: Actors,
    node_peer: NodePeer,
    follow_clip: Callable[[list[str]], None],
    library: str,
) -> None:
    server = penstock_server()
    actors.publish_whip(server.url("http", "live/x/whip"), loops=-1)
    server.wait_for_frames("x", 30)
    url = server.url("http", "live/x/whep")
    played = result_of(node_peer(library, "play", url, "--frames", "120"))
    assert played["missing"] == 0
    assert len(played["pictures"]) >= 120
    follow_clip(played["pictures"])
    assert played["sound"] > 100


def test_both_layers_of_libdatachannel_are_taken(
    penstock_server: StartServer,
    node_peer: NodePeer,
    frame_reader: FrameReader,
    actors: Actors,
    whip_clip: Path,
    packets: Path,
) -> None:
    # OBS refuses an answer with fewer layers than it offered.
    server = penstock_server()
    viewer = actors.rtmpdump(server.url("rtmp", "live/x"))
    server.wait_for_players("x", 1)
    url = server.url("http", "live/x/whip")
    sent = result_of(node_peer("libdatachannel", "simulcast", url, "--file", packets))
    assert sent["offered"] == sent["accepted"] == "0;1"
    layers = [line["layer"] for line in server.logged("track", stream="live/x")]
    assert sorted(layers) == ["0", "1"]
    viewer.frames()
    came = frame_reader.read_bare(viewer.recording)["video0"]
    first = [p.md5 for p in frame_reader.read_bare(whip_clip)["video0"]]
    assert [p.md5 for p in came] == first


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1"])
def test_libwebrtc_plays_what_it_publishes(
    penstock_server: StartServer, node_peer: NodePeer, codec: str
) -> None:
    server = penstock_server()
    url = server.url("http", "live/x/whip")
    publisher = node_peer("wrtc", "publish", url, "--codec", codec, "--seconds", "8")
    server.wait_for_frames("x", 30)
    url = server.url("http", "live/x/whep")
    played = result_of(node_peer("wrtc", "play", url, "--frames", "90"))
    result_of(publisher)
    [video] = server.logged("track", stream="live/x", kind="video")
    assert video["codec"] == codec
    assert played["sizes"] == [320, 240]
    assert played["loudest"] > 4_000
    # Each picture is brighter than the last by 4, until it starts anew with 16.
    steps = [(b - a) % 200 for a, b in pairwise(played["bright"][-50:])]
    assert sum(2 <= step <= 9 for step in steps) >= 45, played["bright"]
