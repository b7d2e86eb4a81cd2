"""SRT as operators see it: SRS's API, hooks, and the page; and in Chromium."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser

if TYPE_CHECKING:
    from tests.interop.server.conftest import Hooks, Server, StartServer
    from tests.interop.server.srt.conftest import SrtPeers

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PLAYS = """(seconds) => {
  const video = document.getElementById("video");
  if (video.currentTime === 0) return false;
  window.begun ??= video.currentTime;
  return video.currentTime - window.begun > seconds && video.videoWidth === 640;
}"""
LINK = """(name) => {
  const rows = [...document.querySelectorAll("#session-rows tr")].filter(
    ({ cells }) => cells[1].textContent.includes(name)
      && cells[2].textContent === "srt",
  );
  return rows.length === 2 && rows.every((row) => {
    const canvas = row.querySelector(".quality canvas");
    const text = row.querySelector(".quality span").textContent;
    if (!/^[0-9.]+ ms · [0-9.]+ %$/.test(text) || !canvas.width) return false;
    const pen = canvas.getContext("2d");
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, at) => at % 4 === 3 && value > 0).length > 20;
  });
}"""


def test_the_srs_api_lists_and_kicks_callers(
    server: Server,
    srt_peers: SrtPeers,
    stream_name: str,
    srt_url: Any,
    wait_until: Any,
) -> None:
    clip = srt_peers.clip("h264-aac")
    publisher = srt_peers.publish(
        clip, srt_url(server, f"#!::r=live/{stream_name},m=publish"), loops=-1
    )
    server.wait_for_frames(stream_name, 5)
    player = srt_peers.ffmpeg5(srt_url(server, f"live/{stream_name}"))
    server.wait_for_players(stream_name, 1)
    (playing,) = server.players(stream_name)
    publishing = server.publisher(stream_name)
    assert publishing is not None
    assert (publishing["type"], playing["type"]) == ("srt-publish", "srt-play")
    server.wait_for_frames(stream_name, 40)
    answer = server.api.delete(f"/api/v1/clients/{playing['id']}").json()
    assert answer["code"] == 0
    player.program.wait()
    assert publisher.process.poll() is None
    server.api.delete(f"/api/v1/clients/{publishing['id']}")
    assert publisher.wait() != 0
    wait_until(lambda: not server.clients(stream_name), "no client")


def test_hooks_tell_callers_from_their_beginning_to_their_end(
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    hooks: Hooks,
    srt_url: Any,
    wait_until: Any,
) -> None:
    server = penstock_server(*hooks.sets())
    player = srt_peers.transmit(
        srt_url(server, "#!::r=live/x,m=request,who=me,u=someone")
    )
    server.wait_for_players("x", 1)
    clip = srt_peers.clip("h264-aac")
    url = srt_url(server, "#!::r=live/x,m=publish,token=T")
    srt_peers.publish(clip, url).succeed()
    player.seen()
    wait_until(lambda: len(hooks.told) == 8, "eight hooks")
    by_action = {event["action"]: event for event in hooks.told}
    publishing, playing = by_action["on_publish"], by_action["on_play"]
    assert (publishing["app"], publishing["stream"]) == ("live", "x")
    assert publishing["param"] == "?token=T"
    assert playing["param"] == "?who=me&user=someone"
    assert publishing["vhost"] == "__defaultVhost__"
    assert hooks.actions(publishing["client_id"]) == [
        *["on_connect", "on_publish", "on_unpublish", "on_close"]
    ]
    assert hooks.actions(playing["client_id"]) == [
        *["on_connect", "on_play", "on_stop", "on_close"]
    ]


@pytest.mark.parametrize("way", ["webrtc", "mp4"])
def test_the_page_plays_what_comes_by_srt_and_shows_the_link(
    browser: Browser,
    server: Server,
    srt_peers: SrtPeers,
    stream_name: str,
    srt_url: Any,
    way: str,
) -> None:
    clip = srt_peers.clip("long", 6)
    srt_peers.publish(clip, srt_url(server, f"publish:{stream_name}"), loops=-1)
    srt_peers.transmit(srt_url(server, stream_name))
    server.wait_for_frames(stream_name, 10)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    if way == "mp4":
        page.add_init_script('localStorage.setItem("penstock-way", "mp4")')
    page.goto(server.url("http", f"#/live/{stream_name}"), wait_until="load")
    page.wait_for_function(PLAYS, arg=2.0)
    page.wait_for_function(LINK, arg=stream_name)
    folder = os.environ.get("TEST_SCREENSHOT_DIR")
    if folder and way == "webrtc":
        page.locator(".sessions").scroll_into_view_if_needed()
        page.screenshot(path=Path(folder) / "srt_page.png", full_page=True)
    page.close()
