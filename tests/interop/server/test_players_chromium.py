"""The JavaScript players that people put into their pages, in a browser."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser

if TYPE_CHECKING:
    from tests.interop.server.conftest import Actors, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

LIBRARIES = {
    "mpegts": ("mpegts.js@1.8.2", "mpegts.js/dist/mpegts.js"),
    "flvjs": ("flv.js@1.6.2", "flv.js/dist/flv.min.js"),
}
PLAY = """([library, url, type = "flv"]) => {
  const video = document.querySelector("video");
  window.complaints = [];
  const player = window[library].createPlayer({ type, isLive: true, url });
  player.on("error", (...words) => window.complaints.push(JSON.stringify(words)));
  player.attachMediaElement(video);
  player.load();
  player.play();
  window.player = player;
}"""
MOVES = """() => {
  const video = document.querySelector("video");
  if (window.complaints.length) return true;
  if (!video.currentTime) return false;
  window.begun ??= video.currentTime;
  return video.currentTime - window.begun > 1.5;
}"""
SEEN = """() => {
  const video = document.querySelector("video");
  const info = window.player.mediaInfo;
  return {
    complaints: window.complaints,
    size: [video.videoWidth, video.videoHeight],
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    audio: video.webkitAudioDecodedByteCount,
    has: [info.hasVideo, info.hasAudio],
  };
}"""


@pytest.fixture(scope="session")
def player_script(
    peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Fetch the players once; give the script of one of them."""
    npm = peer("npm")
    folder = tmp_path_factory.mktemp("players")
    names = [name for name, _ in LIBRARIES.values()]
    subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *names],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=100,
    )
    return lambda library: folder / "node_modules" / LIBRARIES[library][1]


@pytest.mark.parametrize(
    ("library", "scheme", "clip"),
    [
        ("mpegts", "http", "h264-aac"),
        ("mpegts", "ws", "h264-aac"),
        ("mpegts", "http", "h264-mp3"),
        ("mpegts", "http", "video"),
        ("flvjs", "http", "h264-aac"),
        ("flvjs", "ws", "h264-aac"),
    ],
)
def test_a_player_in_a_page_of_another_origin_plays_flv(
    browser: Browser,
    penstock_server: StartServer,
    actors: Actors,
    player_script: Callable[[str], Path],
    stream_name: str,
    library: str,
    scheme: str,
    clip: str,
) -> None:
    server = penstock_server()
    path = f"live/{stream_name}"
    actors.publish(clip, server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.set_content("<video muted></video>")
    page.add_script_tag(path=player_script(library))
    page.evaluate(PLAY, [library, server.url(scheme, f"{path}.flv")])
    page.wait_for_function(MOVES)
    seen: dict[str, Any] = page.evaluate(SEEN)
    page.evaluate("() => window.player.destroy()")
    page.close()
    assert seen["complaints"] == []
    assert seen["size"] == [320, 180]
    assert seen["frames"] > 20
    has_sound = clip != "video"
    assert seen["has"] == [True, has_sound]
    assert bool(seen["audio"]) == has_sound
    server.wait_for_players(stream_name, 0)


@pytest.mark.parametrize("form", ["flv", "ts"])
def test_a_player_in_a_page_plays_what_came_over_srt(
    browser: Browser,
    penstock_server: StartServer,
    actors: Actors,
    player_script: Callable[[str], Path],
    stream_name: str,
    form: str,
) -> None:
    server = penstock_server()
    port = server.ports["srt"]
    url = f"srt://127.0.0.1:{port}?streamid=publish:{stream_name}"
    actors.publish("h264-aac", url, loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.set_content("<video muted></video>")
    page.add_script_tag(path=player_script("mpegts"))
    address = server.url("http", f"live/{stream_name}.{form}")
    page.evaluate(PLAY, ["mpegts", address, "flv" if form == "flv" else "mpegts"])
    page.wait_for_function(MOVES)
    seen: dict[str, Any] = page.evaluate(SEEN)
    page.evaluate("() => window.player.destroy()")
    page.close()
    assert seen["complaints"] == []
    assert seen["size"] == [320, 180]
    assert seen["frames"] > 20
    assert seen["audio"] > 0
    server.wait_for_players(stream_name, 0)


def test_a_player_understands_hevc_that_its_browser_cannot_decode(
    browser: Browser,
    penstock_server: StartServer,
    actors: Actors,
    player_script: Callable[[str], Path],
    stream_name: str,
) -> None:
    # FFmpeg sends what describes the colours too, which mpegts.js does not bear.
    server = penstock_server()
    path = f"live/{stream_name}"
    actors.publish("hevc-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.set_content("<video muted></video>")
    page.add_script_tag(path=player_script("mpegts"))
    page.evaluate(PLAY, ["mpegts", server.url("http", f"{path}.flv")])
    page.wait_for_function("() => window.player.mediaInfo?.width")
    page.wait_for_function("() => window.complaints.length")
    complaints = page.evaluate("() => window.complaints")
    width = page.evaluate("() => window.player.mediaInfo.width")
    page.close()
    assert width == 320
    assert [c for c in complaints if "MediaMSEError" not in c] == []
