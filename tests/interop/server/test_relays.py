"""Relays between servers, ours and nginx-rtmp, and looking at a stream from outside."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Clips, Frames, Start, Viewer
    from tests.interop.server.conftest import Actors, Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
load_module {module};
events {{ worker_connections 64; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        application live {{
            live on;
            wait_key on;
            idle_streams off;
        }}
    }}
}}
"""


@pytest.fixture
def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def nginx(
    start: Start, peer: Any, tmp_path: Path, free_port: int, wait_until: Any
) -> str:
    """The RTMP address of an nginx with its RTMP module."""
    program = peer("nginx")
    module = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
    if not module.exists():
        peer("libnginx-mod-rtmp")
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(folder=tmp_path, module=module, port=free_port))
    running = start(program, "-p", tmp_path, "-c", config)

    def listens() -> bool:
        assert running.process.poll() is None, running.said
        try:
            httpx.get(f"http://127.0.0.1:{free_port}", timeout=0.2)
        except httpx.ConnectError:
            return False
        except httpx.HTTPError:
            pass  # it listens, but does not speak HTTP
        return True

    wait_until(listens, "nginx to listen")
    return f"rtmp://127.0.0.1:{free_port}/live"


def relay(folder: Path, source: str, destination: str, more: str = "") -> Path:
    """Write a configuration with one relay."""
    path = folder / "relay.toml"
    path.write_text(
        f'[[relay]]\nsource = "{source}"\ndestination = "{destination}"\n{more}'
    )
    return path


@pytest.mark.parametrize("clip", ["h264-aac", "hevc-opus"])
def test_a_push_forwards_every_frame(
    penstock_server: StartServer,
    actors: Actors,
    clips: Clips,
    same_suffix: Any,
    tmp_path: Path,
    clip: str,
) -> None:
    edge = penstock_server()
    target = edge.url("rtmp", "live/copy")
    origin = penstock_server(config=relay(tmp_path, "live/x", target))
    viewers: list[Viewer] = [
        actors.ffmpeg(edge.url("rtmp", "live/copy")),
        actors.curl(edge.url("http", "live/copy.mp4")),
    ]
    edge.wait_for_players("copy", 2)
    publisher = actors.publish(clip, origin.url("rtmp", "live/x"))
    for viewer in viewers:
        same_suffix(viewer.frames(), clips.sent(clip))
    publisher.succeed()


@pytest.mark.parametrize("on_demand", [False, True], ids=["always", "on demand"])
def test_a_pull_fetches_every_frame(
    penstock_server: StartServer,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    tmp_path: Path,
    on_demand: bool,
) -> None:
    origin = penstock_server()
    more = f"on_demand = {str(on_demand).lower()}\n"
    source = origin.url("rtmp", "live/x")
    edge = penstock_server(config=relay(tmp_path, source, "live/copy", more))
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(edge.url("rtmp", "live/copy")),
        "HTTP-FLV": actors.curl(edge.url("http", "live/copy.flv")),
    }
    edge.wait_for_players("copy", 2)
    origin.wait_for_players("x", 1)
    publisher = actors.publish("h264-aac", origin.url("rtmp", "live/x"), rate=2)
    all_same_frames(viewers, clips.sent("h264-aac"))
    publisher.succeed()


ROUNDS = 4
"""How often a clip is played to a viewer who comes late."""


def assert_last_rounds(came: Frames, sent: Frames) -> None:
    """Assert that a late viewer got the end of a clip's rounds, from a key frame.

    nginx ends its viewers with the publisher, but takes none before it comes.
    """
    assert sorted(came) == sorted(sent)
    for name, packets in came.items():
        hashes = [packet.md5 for packet in packets]
        rounds = ROUNDS * [packet.md5 for packet in sent[name]]
        assert hashes == rounds[-len(hashes) :], name
    assert len(came["video0"]) >= 50
    assert len(came["video0"]) % 25 == 0


def test_a_push_reaches_nginx(
    penstock_server: StartServer,
    nginx: str,
    actors: Actors,
    clips: Clips,
    tmp_path: Path,
) -> None:
    server = penstock_server(config=relay(tmp_path, "live/x", f"{nginx}/copy"))
    address = server.url("rtmp", "live/x")
    publisher = actors.publish("h264-aac", address, loops=ROUNDS - 1)
    server.wait_for_players("x", 1)
    viewer = actors.ffmpeg(f"{nginx}/copy")
    assert_last_rounds(viewer.frames(), clips.sent("h264-aac"))
    publisher.succeed()


def test_a_pull_fetches_from_nginx(
    penstock_server: StartServer,
    nginx: str,
    actors: Actors,
    clips: Clips,
    tmp_path: Path,
) -> None:
    publisher = actors.publish("h264-aac", f"{nginx}/x", loops=ROUNDS - 1)
    server = penstock_server(config=relay(tmp_path, f"{nginx}/x", "live/copy"))
    viewer = actors.ffmpeg(server.url("rtmp", "live/copy"))
    assert_last_rounds(viewer.frames(), clips.sent("h264-aac"))
    publisher.succeed()


@pytest.mark.parametrize("clip", ["h264-aac", "av1-opus"])
def test_the_relay_command_forwards_every_frame(
    penstock_server: StartServer,
    actors: Actors,
    start: Start,
    clips: Clips,
    all_same_frames: Any,
    clip: str,
) -> None:
    origin, edge = penstock_server(), penstock_server()
    source, target = origin.url("rtmp", "live/x"), edge.url("rtmp", "live/copy")
    command = start(sys.executable, "-m", "penstock", "relay", source, target)
    viewers: dict[str, Viewer] = {"RTMP": actors.ffmpeg(target)}
    edge.wait_for_players("copy", 1)
    origin.wait_for_players("x", 1)
    publisher = actors.publish(clip, source, rate=2)
    all_same_frames(viewers, clips.sent(clip))
    publisher.succeed()
    command.succeed()


@pytest.mark.parametrize("form", ["rtmp", "flv", "mp4"])
def test_probe_tells_the_truth(
    server: Server,
    actors: Actors,
    start: Start,
    stream_name: str,
    tmp_path: Path,
    form: str,
) -> None:
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 5)
    address = server.url("rtmp", path)
    if form != "rtmp":
        address = server.url("http", f"{path}.{form}")
    found = tmp_path / "report.json"
    arguments = ["-m", "penstock", "probe", "--json", "--seconds", "2.2", address]
    start(sys.executable, *arguments, stdout=found).succeed()
    report = json.loads(found.read_text())
    video, audio = sorted(report["tracks"], key=lambda track: track["kind"] == "audio")
    assert (video["codec"], video["width"], video["height"]) == ("h264", 320, 180)
    assert video["frame_rate"] == pytest.approx(25, abs=0.5)
    assert video["key_distance_s"] == pytest.approx(1, abs=0.05)
    assert video["b_frames"] is True
    assert (audio["codec"], audio["sample_rate"], audio["channels"]) == (
        "aac",
        48000,
        2,
    )
    assert 0 < report["start_delay_s"] < 2
    assert report["bitrate_bps"] > 100_000
