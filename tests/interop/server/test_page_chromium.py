"""What a person sees: ``penstock demo``, opened in a browser.

With TEST_SCREENSHOT_DIR set the pictures of the documentation are made there.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from playwright.sync_api import Browser, Page, Response

if TYPE_CHECKING:
    from tests.interop.conftest import Start
    from tests.interop.server.conftest import Actors, Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

LIVE = """(seconds) => {
  const video = document.getElementById("video");
  if (video.currentTime === 0) return false;
  window.begun ??= video.currentTime;
  return video.currentTime - window.begun > seconds;
}"""
PICTURE = """() => {
  const video = document.getElementById("video");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 36];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 64, 36);
  const { data } = context.getImageData(0, 0, 64, 36);
  const greys = [];
  for (let i = 0; i < data.length; i += 4)
    greys.push((data[i] + data[i + 1] + data[i + 2]) / 3);
  const mean = greys.reduce((a, b) => a + b) / greys.length;
  return {
    width: video.videoWidth,
    height: video.videoHeight,
    audio: video.webkitAudioDecodedByteCount,
    error: video.error && video.error.message,
    source: video.currentSrc,
    spread: greys.reduce((a, b) => a + (b - mean) ** 2, 0) / greys.length,
  };
}"""
STREAMS = """async () => {
  const response = await fetch("/penstock/v1/streams");
  return [response.status, await response.json(), response.url];
}"""


@attrs.frozen
class Demo:
    """A running demo."""

    address: str
    process: subprocess.Popen[bytes]


@pytest.fixture
def demo(start: Start, tmp_path: Path, wait_until: Any) -> Iterator[Demo]:
    """``penstock demo`` on ports of its own choosing."""
    ready = tmp_path / "ready.json"
    sets = [
        word
        for name in ("http.listen", "rtmp.listen", "webrtc.listen", "api.srs.listen")
        for word in ("--set", f"{name}=127.0.0.1:0")
    ]
    command = [sys.executable, "-m", "penstock", "demo", "--ready-file", str(ready)]
    program = start(*command, *sets)
    wait_until(
        lambda: ready.exists() or program.process.poll() is not None,
        "the demo to be ready",
    )
    assert program.process.poll() is None, program.said
    listeners = json.loads(ready.read_text())["listeners"]
    (port,) = [item["port"] for item in listeners if item["name"] == "http"]
    yield Demo(f"http://127.0.0.1:{port}/", program.process)
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0, program.said
    assert "Traceback" not in program.said
    assert " error " not in program.said


MP4 = 'localStorage.setItem("penstock-way", "mp4")'


def visit(
    browser: Browser, address: str, seconds: float, script: str = "", **options: Any
) -> Page:
    """Open the page and wait until the picture has moved for a while."""
    page = browser.new_page(**options)
    page.add_init_script(script)
    page.set_default_timeout(60_000)
    page.goto(address, wait_until="load")
    page.wait_for_function(LIVE, arg=seconds, timeout=1000 * seconds + 20_000)
    return page


def test_the_demo_shows_a_moving_picture_with_sound(
    browser: Browser, demo: Demo
) -> None:
    complaints: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type == "error" else None
        ),
    )
    page.set_default_timeout(60_000)
    page.goto(demo.address, wait_until="load")
    # It comes by WebRTC, which this browser has.
    page.wait_for_function(LIVE, arg=2.0)
    seen = page.evaluate(PICTURE)
    assert (seen["width"], seen["height"]) == (1280, 720)
    assert seen["spread"] > 500
    assert seen["source"] == ""
    assert re.fullmatch(r"Live · \d+ ms", page.inner_text("#chip"))
    assert page.inner_text("#connection").startswith("H264 · 1280")
    # The other way is a choice.
    page.select_option("#way", "mp4")
    page.evaluate("window.begun = undefined")
    page.wait_for_function(f"() => video.currentSrc && ({LIVE})(2)")
    seen = page.evaluate(PICTURE)
    assert (seen["width"], seen["height"]) == (1280, 720)
    assert seen["error"] is None
    assert seen["audio"] > 0
    assert seen["spread"] > 500
    # Page, API and picture come from one origin, through one port.
    assert seen["source"].startswith(demo.address)
    status, answer, url = page.evaluate(STREAMS)
    assert (status, url) == (200, f"{demo.address}penstock/v1/streams")
    assert "demo" in json.dumps(answer)
    assert "1280" in page.inner_text("body")
    page.close()
    assert not complaints


def test_the_page_plays_the_codecs_that_the_browser_has(
    browser: Browser, server: Server, actors: Actors, stream_name: str
) -> None:
    path = f"live/{stream_name}"
    actors.publish("av1-opus", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = visit(browser, server.url("http", f"#/{path}"), 1.0, MP4)
    seen = page.evaluate(PICTURE)
    page.close()
    assert (seen["width"], seen["height"]) == (320, 180)
    assert seen["audio"] > 0
    assert seen["spread"] > 500


HAS_HEVC = """() => document.createElement("video")
  .canPlayType('video/mp4; codecs="hvc1.1.6.L93.B0"') !== "" """
VEIL = """(words) => {
  const veil = document.getElementById("veil");
  return !veil.classList.contains("off") && veil.textContent.includes(words);
}"""


def test_a_picture_that_the_browser_cannot_show_is_said_instead_of_black(
    browser: Browser, server: Server, actors: Actors, stream_name: str
) -> None:
    path = f"live/{stream_name}"
    actors.publish("hevc-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(server.url("http", f"#/{path}"), wait_until="load")
    if page.evaluate(HAS_HEVC):
        page.close()
        pytest.skip("this browser shows H.265")
    page.wait_for_function(VEIL, arg="This browser cannot show H.265")
    # The sound goes on, and the page says that it is all there is.
    page.wait_for_function(LIVE, arg=1.0)
    assert page.evaluate(VEIL, "This browser cannot show H.265")
    assert page.inner_text("#chip") == "Sound only"
    page.close()


def test_a_stream_that_asks_for_a_token_says_so_until_it_gets_one(
    browser: Browser, penstock_server: StartServer, actors: Actors, stream_name: str
) -> None:
    server = penstock_server("auth.play=token", "auth.play_tokens=open-sesame")
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = browser.new_page()
    page.set_default_timeout(60_000)
    refused: list[str] = []

    def note(response: Response) -> None:
        if response.status in (401, 403):
            refused.append(response.url)

    page.on("response", note)
    page.goto(server.url("http", f"#/{path}"), wait_until="load")
    page.wait_for_function(VEIL, arg="the token is missing or wrong")
    # It stays, while the page tries again.
    seen = len(refused)
    page.wait_for_event("response", lambda r: len(refused) >= seen + 2)
    assert page.evaluate(VEIL, "the token is missing or wrong")
    page.fill("#token", "open-sesame")
    page.click("#token-form button")
    page.wait_for_function(LIVE, arg=0.5)
    assert not page.evaluate(VEIL, "")
    page.close()


def test_a_long_name_leaves_the_button_that_ends_a_session_in_sight(
    browser: Browser, server: Server, actors: Actors, stream_name: str
) -> None:
    path = f"live/{stream_name}-{'x' * 80}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(server.url("http", f"#/{path}"), wait_until="load")
    button = page.locator("#session-rows tr", has_text=stream_name).locator("button")
    button.first.wait_for()
    box = button.first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < 1280
    width = "document.querySelector('.sessions .scroll')"
    assert page.evaluate(f"{width}.scrollWidth <= {width}.clientWidth")
    page.close()


@pytest.mark.skipif(
    "TEST_SCREENSHOT_DIR" not in os.environ,
    reason="TEST_SCREENSHOT_DIR says where pictures go; it is not set",
)
def test_pictures_for_the_documentation(
    browser: Browser, demo: Demo, ffmpeg9: str, tmp_path: Path
) -> None:
    folder = Path(os.environ["TEST_SCREENSHOT_DIR"])
    for name, scheme, size in (
        ("page-light", "light", (1280, 980)),
        ("page-dark", "dark", (1280, 980)),
        ("page-narrow", "light", (390, 844)),
    ):
        viewport = {"width": size[0], "height": size[1]}
        page = visit(browser, demo.address, 30, color_scheme=scheme, viewport=viewport)
        shot = tmp_path / f"{name}.png"
        page.screenshot(path=shot)
        page.close()
        # 256 colours are enough for a page, and a third of the size.
        palette = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"
        subprocess.run(
            [
                *[ffmpeg9, "-v", "error", "-y", "-i", str(shot)],
                *["-vf", palette, str(folder / f"{name}.png")],
            ],
            check=True,
            timeout=30,
        )
