"""The page publishes by WHIP and plays by WHEP, in Chromium with its fake camera."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    TimeoutError,
    sync_playwright,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.server.conftest import Actors, Launcher, Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PEERS = """
window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) { super(...args); window.peers.push(this); }
};
"""
"""Keeps the page's connections, to ask them for their figures."""

STATS = """async () => {
  const all = [];
  for (const peer of window.peers || [])
    for (const s of (await peer.getStats()).values())
      if (/-rtp$|^candidate-pair$/.test(s.type)) all.push(s);
  return [...all, document.querySelector("main").innerText];
}"""

PICTURES_MOVE = """async () => {
  const video = document.getElementById("video");
  if (!video.videoWidth) return false;
  const look = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 36];
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 64, 36);
    return pen.getImageData(0, 0, 64, 36).data;
  };
  const before = look();
  await new Promise((done) => setTimeout(done, 400));
  const after = look();
  let moved = 0;
  before.forEach((value, i) => { moved += Math.abs(value - after[i]) > 20; });
  const greys = Array.from(after).filter((_, i) => i % 4 < 3);
  return moved > 4 && Math.max(...greys) - Math.min(...greys) > 60;
}"""
"""Two looks at the picture differ, and it is not all of one colour."""

PLAYS_ON = """(seconds) => {
  const video = document.getElementById("video");
  const { totalVideoFrames: shown } = video.getVideoPlaybackQuality();
  window.begun ??= [video.currentTime, shown];
  const [time, frames] = window.begun;
  return video.currentTime - time > seconds && shown - frames > 12 * seconds;
}"""
"""So many seconds have passed on the picture, half of the pictures at least shown."""

SOUND = """() => {
  const { srcObject } = document.getElementById("video");
  if (!srcObject || !srcObject.getAudioTracks().length) return false;
  if (!window.ear) {
    window.ear = new AudioContext();
    window.analyser = window.ear.createAnalyser();
    window.analyser.fftSize = 4096;
    window.analyser.smoothingTimeConstant = 0;
  }
  if (window.heard !== srcObject) {
    window.heard = srcObject;
    window.ear.createMediaStreamSource(srcObject).connect(window.analyser);
  }
  window.ear.resume();
  const samples = new Float32Array(window.analyser.fftSize);
  window.analyser.getFloatTimeDomainData(samples);
  const level = Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
  if (level < 0.01) return false;
  const bins = new Float32Array(window.analyser.frequencyBinCount);
  window.analyser.getFloatFrequencyData(bins);
  return { hertz: bins.indexOf(Math.max(...bins)) * window.ear.sampleRate / 4096 };
}"""
"""What an analyser hears of the received stream: false while there is silence."""

PICTURE_COVERED = """() => document.getElementById("stage").hidden ||
  !document.getElementById("veil").classList.contains("off")"""

TEXT_HAS = (
    """([id, words]) => document.getElementById(id).textContent.includes(words)"""
)


@pytest.fixture(scope="module")
def camera_browser(peer: Any) -> Iterator[Browser]:
    """Chromium with a camera and a microphone that are not there."""
    path = peer("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path,
            args=[
                *["--no-sandbox", "--headless=new"],
                "--autoplay-policy=no-user-gesture-required",
                "--use-fake-device-for-media-stream",
                "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
            ],
        )
        yield running
        running.close()


@attrs.define
class Pages:
    """Opens pages; waits in them, and says what their connections say if in vain."""

    context: BrowserContext
    complaints: list[str] = attrs.field(factory=list)
    answers: list[tuple[str, int, str]] = attrs.field(factory=list)
    """Method, status and URL of everything but reading."""

    def open(self, address: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", lambda response: self._note(response))
        page.goto(address, wait_until="load")
        return page

    def _note(self, response: Any) -> None:
        method = response.request.method
        if method != "GET":
            self.answers.append((method, response.status, response.url))

    def statuses(self, method: str, ending: str = "") -> list[int]:
        return [
            status
            for name, status, url in self.answers
            if name == method and url.endswith(ending)
        ]

    def wait(self, page: Page, script: str, arg: Any = None) -> Any:
        try:
            handle = page.wait_for_function(script, arg=arg, polling=50)
        except TimeoutError:
            figures = json.dumps(page.evaluate(STATS), indent=1)
            pytest.fail(f"in vain: {script[:200]} {arg}\n{self.answers}\n{figures}")
        return handle.json_value()

    def wait_for_text(self, page: Page, id_: str, words: str) -> None:
        self.wait(page, TEXT_HAS, [id_, words])

    def publish(self, page: Page, name: str, codec: str = "", **options: Any) -> None:
        """Press what a person would press."""
        if page.locator("#publish").is_hidden():
            page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_label("Stream", exact=True).fill(f"live/{name}")
        if codec:
            page.get_by_label("Codec").select_option(label=codec)
        page.get_by_label("Size", exact=True).select_option(
            options.get("size", "640x360")
        )
        page.get_by_label("Bit rate", exact=True).fill("1200")
        if options.get("simulcast"):
            page.get_by_label("simulcast").check()
        if "token" in options:
            page.locator("#publish-token").fill(options["token"])
        page.get_by_role("button", name="Go live").click()


@pytest.fixture
def pages(camera_browser: Browser) -> Iterator[Pages]:
    """Pages of one visitor, who lets them use the camera."""
    context = camera_browser.new_context(permissions=["camera", "microphone"])
    context.add_init_script(PEERS)
    opened = Pages(context)
    yield opened
    context.close()
    assert not opened.complaints


@pytest.mark.parametrize("codec", ["H.264", "VP8", "VP9", "AV1"])
def test_what_one_page_publishes_another_plays(
    pages: Pages, server: Server, stream_name: str, codec: str
) -> None:
    sender = pages.open(server.url("http", ""))
    pages.publish(sender, stream_name, codec)
    pages.wait_for_text(sender, "publish-state", "On air")
    server.wait_for_frames(stream_name, 5)
    viewer = pages.open(server.url("http", f"#/live/{stream_name}"))
    pages.wait_for_text(viewer, "chip", "Live")
    pages.wait_for_text(viewer, "connection", codec.replace(".", ""))
    pages.wait(viewer, PICTURES_MOVE)
    assert pages.wait(viewer, SOUND)
    pages.wait_for_text(sender, "publish-facts", codec.replace(".", ""))
    # Both show what they measure.
    for page, tiles in ((viewer, "tiles-webrtc"), (sender, "publish-tiles")):
        rate = f"#{tiles} [data-figure=rate] dd"
        assert "bit/s" in page.inner_text(rate)
    # Whoever stops takes the stream along at once, and is told that all is well.
    sender.get_by_role("button", name="Stop").click()
    server.wait_until(
        lambda: server.publisher(stream_name) is None, "the publisher to be gone"
    )
    pages.wait(viewer, PICTURE_COVERED)
    assert set(pages.statuses("DELETE")) == {200}
    assert pages.statuses("POST", "/whip") == [201]
    assert pages.statuses("POST", f"{stream_name}/whep")[:1] == [201]


def test_another_size_goes_on_and_another_set_of_tracks_begins_anew(
    pages: Pages, server: Server, stream_name: str
) -> None:
    page = pages.open(server.url("http", ""))
    pages.publish(page, stream_name, "VP8")
    pages.wait_for_text(page, "publish-facts", "640")
    page.get_by_label("Size", exact=True).select_option("854x480")
    # The next size that this camera has.
    pages.wait_for_text(page, "publish-facts", "640\u00d7480")
    assert pages.statuses("POST", "/whip") == [201]
    page.get_by_label("Microphone", exact=True).select_option("none")
    pages.wait(page, "() => peers.at(-1).getSenders().length === 1")
    pages.wait_for_text(page, "publish-state", "On air")
    assert pages.statuses("POST", "/whip") == [201, 201]
    viewer = pages.open(server.url("http", f"#/live/{stream_name}"))
    pages.wait(viewer, PICTURES_MOVE)


def test_a_screen_is_published_too(
    camera_browser: Browser, server: Server, stream_name: str, peer: Any
) -> None:
    # This one picks a screen by itself, and allows all that is asked for.
    browser = camera_browser.browser_type.launch(
        executable_path=peer("chromium"),
        args=[
            *["--no-sandbox", "--headless=new", "--use-fake-ui-for-media-stream"],
            "--use-fake-device-for-media-stream=display-media-type=browser",
        ],
    )
    pages = Pages(browser.new_context())
    page = pages.open(server.url("http", ""))
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_label("Screen", exact=True).check()
    pages.publish(page, stream_name, "VP8")
    pages.wait_for_text(page, "publish-state", "On air")
    server.wait_for_frames(stream_name, 3)
    browser.close()


def test_three_sizes_at_once_arrive_as_one_stream(
    pages: Pages, server: Server, stream_name: str
) -> None:
    page = pages.open(server.url("http", ""))
    pages.publish(page, stream_name, "VP8", simulcast=True, size="1280x720")
    pages.wait_for_text(page, "publish-facts", "3 layers")
    server.wait_for_frames(stream_name, 5)
    viewer = pages.open(server.url("http", f"#/live/{stream_name}"))
    pages.wait(viewer, PICTURES_MOVE)
    assert pages.wait(viewer, SOUND)


def test_a_stream_that_came_by_rtmp_plays_by_whep_with_its_sound(
    pages: Pages, server: Server, actors: Actors, stream_name: str
) -> None:
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = pages.open(server.url("http", f"#/{path}"))
    pages.wait_for_text(page, "chip", "Live")
    pages.wait(page, PICTURES_MOVE)
    assert page.evaluate("document.getElementById('video').videoWidth") == 320
    # The clip hums an A: AAC has become Opus on the way.
    assert pages.wait(page, SOUND)["hertz"] == pytest.approx(440, abs=15)
    assert server.logged("session started", protocol="whep")
    page.get_by_role("button", name="Sound on").click()
    assert not page.evaluate("document.getElementById('video').muted")
    page.locator("#sound").press("m")
    assert page.evaluate("document.getElementById('video').muted")


@pytest.mark.parametrize("clip", ["h264-aac", "h264-mp3"])
def test_a_stream_that_came_by_srt_plays_on_by_whep_and_as_mp4(
    pages: Pages, server: Server, actors: Actors, stream_name: str, clip: str
) -> None:
    """The first clip has B-pictures, which are encoded anew; the second goes through.

    Each lasts 3 s, so that what plays on has come over the end of one.
    """
    port, path = server.ports["srt"], f"live/{stream_name}"
    url = f"srt://127.0.0.1:{port}?streamid=publish:{stream_name}"
    publisher = actors.publish(clip, url, loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = pages.open(server.url("http", f"#/{path}"))
    pages.wait_for_text(page, "chip", "Live")
    pages.wait(page, PICTURES_MOVE)
    assert pages.wait(page, SOUND)["hertz"] == pytest.approx(440, abs=15)
    pages.wait(page, PLAYS_ON, 4.0)
    pages.wait(page, PICTURES_MOVE)
    assert pages.statuses("POST", f"{stream_name}/whep") == [201]
    page.get_by_label("Play by").select_option("mp4")
    pages.wait_for_text(page, "chip", "buffered")
    page.evaluate("() => { delete window.begun }")
    pages.wait(page, PLAYS_ON, 4.0)
    pages.wait(page, PICTURES_MOVE)
    assert page.evaluate("document.getElementById('video').videoWidth") == 320
    assert publisher.process.poll() is None, publisher.said


def test_the_other_way_of_playing_can_be_chosen_and_is_kept(
    pages: Pages, server: Server, actors: Actors, stream_name: str
) -> None:
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = pages.open(server.url("http", f"#/{path}"))
    pages.wait_for_text(page, "chip", "Live")
    page.get_by_label("Play by").select_option("mp4")
    pages.wait_for_text(page, "chip", "buffered")
    pages.wait(page, PICTURES_MOVE)
    server.wait_for_players(stream_name, 1)
    page.reload()
    pages.wait_for_text(page, "chip", "buffered")
    page.get_by_label("Play by").select_option("auto")
    pages.wait_for_text(page, "chip", " ms")
    pages.wait(page, PICTURES_MOVE)


def test_without_webrtc_the_page_plays_mp4_and_says_why(
    pages: Pages, penstock_server: StartServer, actors: Actors, stream_name: str
) -> None:
    server = penstock_server("webrtc.listen=")
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = pages.open(server.url("http", f"#/{path}"))
    pages.wait_for_text(page, "chip", "buffered")
    pages.wait_for_text(page, "way-note", "WebRTC is off on this server.")
    page.get_by_role("button", name="Publish", exact=True).click()
    assert page.locator("#publish-off").is_visible()


DEAF = """
const real = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
  return real.call(this, { type, sdp: sdp.replace(/a=candidate:.*\\r\\n/g, "") });
};
"""
"""No path to the server is known to the browser, as behind a closed firewall."""


def test_where_no_packet_comes_through_the_page_goes_over_to_mp4(
    pages: Pages, server: Server, actors: Actors, stream_name: str
) -> None:
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    pages.context.add_init_script(DEAF)
    page = pages.open(server.url("http", f"#/{path}"))
    pages.wait_for_text(page, "chip", "buffered")
    pages.wait_for_text(page, "way-note", "No way to the server was found.")
    pages.wait(page, PICTURES_MOVE)
    server.wait_for_players(stream_name, 1)


def test_a_publisher_without_the_token_reads_what_the_server_says(
    pages: Pages, penstock_server: StartServer, stream_name: str
) -> None:
    server = penstock_server("auth.publish=token", "auth.publish_tokens=open-sesame")
    page = pages.open(server.url("http", ""))
    pages.publish(page, stream_name)
    pages.wait_for_text(page, "publish-error", "The server asks for a token")
    assert page.evaluate("document.activeElement.id") == "publish-token"
    pages.publish(page, stream_name, token="wrong")
    pages.wait_for_text(page, "publish-error", "The server does not allow it: ")
    assert "token" in page.inner_text("#publish-error").partition(": ")[2]
    assert page.inner_text("#publish-state") == "Not on air"
    assert pages.statuses("POST", "/whip") == [401, 403]
    pages.publish(page, stream_name, token="open-sesame")
    pages.wait_for_text(page, "publish-state", "On air")
    assert page.inner_text("#publish-error") == ""


def test_a_name_that_is_taken_is_said_to_be(
    pages: Pages, server: Server, actors: Actors, stream_name: str
) -> None:
    actors.publish("h264-aac", server.url("rtmp", f"live/{stream_name}"), loops=-1)
    server.wait_for_frames(stream_name, 5)
    page = pages.open(server.url("http", ""))
    pages.publish(page, stream_name)
    pages.wait_for_text(
        page, "publish-error", f"live/{stream_name} cannot be published"
    )
    assert pages.statuses("POST", "/whip") == [409]


def test_a_viewer_with_the_token_gets_in(
    pages: Pages, penstock_server: StartServer, actors: Actors, stream_name: str
) -> None:
    server = penstock_server("auth.play=token", "auth.play_tokens=open-sesame")
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = pages.open(server.url("http", f"#/{path}"))
    pages.wait_for_text(page, "veil", "Refused: ")
    page.get_by_label("Play token").fill("open-sesame")
    page.get_by_role("button", name="Use").click()
    pages.wait_for_text(page, "chip", " ms")
    pages.wait(page, PICTURES_MOVE)


def test_a_camera_that_is_not_allowed_is_said_in_words(
    camera_browser: Browser, server: Server, stream_name: str
) -> None:
    context = camera_browser.new_context(permissions=[])
    pages = Pages(context)
    page = pages.open(server.url("http", ""))
    pages.publish(page, stream_name)
    pages.wait_for_text(page, "publish-error", "was not allowed to use the camera")
    assert page.get_by_role("button", name="Go live").is_enabled()
    context.close()


def test_a_page_of_plain_http_says_what_publishing_needs(
    pages: Pages, server: Server
) -> None:
    page = pages.open(f"http://elsewhere.test:{server.ports['http']}/")
    page.get_by_role("button", name="Publish", exact=True).click()
    assert "http.cert" in page.inner_text("#publish-cannot")
    assert page.get_by_role("button", name="Go live").is_disabled()


def test_a_path_that_breaks_is_mended_without_a_new_session(
    pages: Pages, penstock_server: StartServer, stream_name: str
) -> None:
    server = penstock_server()
    page = pages.open(server.url("http", ""))
    pages.publish(page, stream_name, "VP8")
    pages.wait_for_text(page, "publish-state", "On air")
    server.wait_for_frames(stream_name, 5)
    # A server that rests answers no check: to the browser the network is gone.
    server.process.send_signal(signal.SIGSTOP)
    try:
        pages.wait_for_text(page, "publish-state", "Mending")
        with page.expect_response(lambda r: r.request.method == "PATCH") as patched:
            server.process.send_signal(signal.SIGCONT)
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert patched.value.status == 200
    pages.wait_for_text(page, "publish-state", "On air")
    assert pages.statuses("POST", "/whip") == [201]
    viewer = pages.open(server.url("http", f"#/live/{stream_name}"))
    pages.wait(viewer, PICTURES_MOVE)


def end(server: Server) -> None:
    server.api.close()
    server.stop()


def test_publisher_and_viewer_come_back_to_a_server_that_started_anew(
    pages: Pages, launcher: Launcher, tmp_path: Path, stream_name: str
) -> None:
    first = launcher.launch(tmp_path / "first")
    http = first.ports["http"]
    page = pages.open(first.url("http", f"#/live/{stream_name}"))
    pages.publish(page, stream_name, "VP8")
    pages.wait(page, PICTURES_MOVE)
    end(first)
    pages.wait_for_text(page, "publish-state", "Trying again")
    second = launcher.launch(tmp_path / "second", f"http.listen=127.0.0.1:{http}")
    pages.wait_for_text(page, "publish-state", "On air")
    second.wait_for_frames(stream_name, 5)
    pages.wait(page, PICTURES_MOVE)
    end(second)


def test_a_page_that_closes_says_goodbye(
    pages: Pages,
    server: Server,
    stream_name: str,
    wait_until: Callable[..., Any],
) -> None:
    page = pages.open(server.url("http", ""))
    pages.publish(page, stream_name, "VP8")
    pages.wait_for_text(page, "publish-state", "On air")
    server.wait_for_frames(stream_name, 5)
    page.goto("about:blank")
    # One who is merely silent is gone after 30 s.
    wait_until(
        lambda: server.publisher(stream_name) is None, "the publisher to be gone", 20
    )
