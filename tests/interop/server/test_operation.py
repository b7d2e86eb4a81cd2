"""Signals, ports, kicking, hooks and tokens, as real clients live through them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Clips, Viewer
    from tests.interop.server.conftest import Actors, Hooks, Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def test_a_reload_drops_nobody(
    penstock_server: StartServer,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    wait_until: Any,
) -> None:
    server = penstock_server()
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(server.url("rtmp", "live/x")),
        "HTTP-FLV": actors.curl(server.url("http", "live/x.flv")),
    }
    server.wait_for_players("x", 2)
    publisher = actors.publish("h264-aac", server.url("rtmp", "live/x"))
    for count in (10, 35):
        server.wait_for_frames("x", count)
        before = len(server.logged("configuration reloaded"))
        os.kill(server.process.pid, signal.SIGHUP)
        wait_until(
            lambda known=before: len(server.logged("configuration reloaded")) > known,
            "the reload",
        )
    all_same_frames(viewers, clips.sent("h264-aac"))
    publisher.succeed()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_tells_everybody(
    penstock_server: StartServer, actors: Actors, number: signal.Signals
) -> None:
    server = penstock_server()
    player = actors.ffmpeg(server.url("rtmp", "live/x"))
    dump = actors.rtmpdump(server.url("rtmp", "live/x"))
    download = actors.curl(server.url("http", "live/x.mp4"))
    socket = actors.websocket(server.url("ws", "live/x.flv"))
    server.wait_for_players("x", 4)
    publisher = actors.publish("h264-aac", server.url("rtmp", "live/x"), loops=-1)
    server.wait_for_frames("x", 30)
    server.process.send_signal(number)
    assert server.process.wait(60) == 0
    assert publisher.wait() != 0
    for viewer in (player, dump, download, socket):
        assert len(viewer.frames()["video0"]) >= 25
    ends = {end["reason"] for end in server.logged("session ended", role="play")}
    assert ends == {"server stops"}


def test_a_busy_port_is_one_line_and_exit_code_2(penstock_server: StartServer) -> None:
    port = penstock_server().ports["rtmp"]
    result = subprocess.run(
        [
            *[sys.executable, "-m", "penstock", "serve"],
            *["--set", "http.listen=", "--set", f"rtmp.listen=127.0.0.1:{port}"],
            *["--set", "api.srs.listen=", "--set", "metrics.listen="],
            *["--set", "api.live777.listen=", "--set", "api.datarhei.listen="],
            *["--set", "ffmpeg.jobs=false"],
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "rtmp.listen" in line
    assert str(port) in line


def test_kicking_ends_publisher_and_player(
    server: Server, actors: Actors, stream_name: str, wait_until: Any
) -> None:
    path = f"live/{stream_name}"
    publisher = actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 5)
    first = actors.ffmpeg(server.url("rtmp", path))
    second = actors.curl(server.url("http", f"{path}.flv"))
    server.wait_for_players(stream_name, 2)
    server.wait_for_frames(stream_name, 15)
    for client in server.players(stream_name):
        answer = server.api.delete(f"/api/v1/clients/{client['id']}").json()
        assert answer["code"] == 0
    assert first.frames()["video0"]
    assert second.frames()["video0"]
    publishing = server.publisher(stream_name)
    assert publishing is not None
    assert publisher.process.poll() is None
    server.api.delete(f"/api/v1/clients/{publishing['id']}")
    assert publisher.wait() != 0
    wait_until(lambda: not server.clients(stream_name), "no client")


# -- hooks ---------------------------------------------------------------------------


def test_hooks_tell_a_session_from_its_beginning_to_its_end(
    penstock_server: StartServer, actors: Actors, hooks: Hooks, wait_until: Any
) -> None:
    server = penstock_server(*hooks.sets())
    player = actors.ffmpeg(server.url("rtmp", "live/x?who=me"))
    download = actors.curl(server.url("http", "live/x.flv"))
    server.wait_for_players("x", 2)
    publisher = actors.publish("h264-aac", server.url("rtmp", "live/x"), rate=4)
    publisher.succeed()
    assert player.frames()["video0"]
    assert download.frames()["video0"]
    first = {event["action"]: event for event in reversed(hooks.told)}
    wait_until(lambda: len(hooks.told) == 10, "ten hooks")
    publishing, playing = first["on_publish"], first["on_play"]
    assert (publishing["app"], publishing["stream"]) == ("live", "x")
    assert publishing["vhost"] == "__defaultVhost__"
    order = ["on_connect", "on_publish", "on_unpublish", "on_close"]
    assert hooks.actions(publishing["client_id"]) == order
    players = {e["client_id"]: e for e in hooks.told if e["action"] == "on_play"}
    seen = sorted(hooks.actions(client_id) for client_id in players)
    assert seen == [
        ["on_connect", "on_play", "on_stop", "on_close"],
        ["on_play", "on_stop"],
    ]
    assert sorted(e["param"] for e in players.values()) == ["", "?who=me"]
    assert playing["stream"] == "x"


def test_a_hook_that_refuses_ends_the_publisher_and_the_log_says_why(
    penstock_server: StartServer, actors: Actors, hooks: Hooks, wait_until: Any
) -> None:
    server = penstock_server(*hooks.sets())
    hooks.refused = "on_publish"
    publisher = actors.publish("h264-aac", server.url("rtmp", "live/x"))
    assert publisher.wait() != 0
    assert server.logged("hook refused", action="on_publish")
    (ended,) = wait_until(lambda: server.logged("session ended"), "the end")
    assert "on_publish hook" in ended["reason"]
    hooks.refused = "on_play"
    actors.publish("h264-aac", server.url("rtmp", "live/y"), loops=-1)
    server.wait_for_frames("y", 5)
    download = actors.curl(server.url("http", "live/y.flv"))
    assert download.program.wait() == 22  # curl's answer to a status of 4xx
    assert "403" in download.program.said


def test_only_the_right_token_publishes(
    penstock_server: StartServer, actors: Actors
) -> None:
    server = penstock_server("auth.publish=token", 'auth.publish_tokens=["s3cret"]')
    address = server.url("rtmp", "live/x")
    assert actors.publish("h264-aac", address).wait() != 0
    assert actors.publish("h264-aac", f"{address}?token=wrong").wait() != 0
    actors.publish("h264-aac", f"{address}?token=s3cret", rate=4).succeed()
    assert len(server.logged("publishing")) == 1
    assert "s3cret" not in server.log_path.read_text()


def test_a_second_publisher_is_refused_and_the_first_goes_on(
    server: Server,
    actors: Actors,
    clips: Clips,
    all_same_frames: Any,
    stream_name: str,
) -> None:
    address = server.url("rtmp", f"live/{stream_name}")
    viewer = actors.ffmpeg(address)
    server.wait_for_players(stream_name, 1)
    # On the air for as long as it takes to make the second clip and to start FFmpeg.
    first = actors.publish("h264-aac", address, rate=0.2)
    server.wait_for_frames(stream_name, 10)
    assert actors.publish("hevc-aac", address).wait() != 0
    all_same_frames({"RTMP": viewer}, clips.sent("h264-aac"))
    first.succeed()


def test_ipv6_serves_as_well(
    penstock_server: StartServer, actors: Actors, clips: Clips, all_same_frames: Any
) -> None:
    server = penstock_server("rtmp.listen=[::1]:0", "http.listen=[::1]:0")
    address = f"rtmp://[::1]:{server.ports['rtmp']}/live/x"
    viewers: dict[str, Viewer] = {
        "RTMP": actors.ffmpeg(address),
        "HTTP-FLV": actors.curl(f"http://[::1]:{server.ports['http']}/live/x.flv"),
    }
    server.wait_for_players("x", 2)
    publisher = actors.publish("h264-aac", address, rate=4)
    all_same_frames(viewers, clips.sent("h264-aac"))
    publisher.succeed()
