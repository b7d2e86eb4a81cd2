"""The page publishes by WHIP and plays by WHEP, in Firefox with its fake camera.

Firefox is driven by WebDriver BiDi, which it speaks by itself on a WebSocket.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import websockets.sync.client

if TYPE_CHECKING:
    from tests.interop.server.conftest import Actors, Server

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.disabledForTesting": True,
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.gmp-manager.updateEnabled": False,
}
"""A camera and a microphone that are not there, no questions, nothing from outside."""

PEERS = """() => {
  window.peers = [];
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...args) { super(...args); window.peers.push(this); }
  };
}"""

STATS = """async () => {
  const all = [];
  for (const peer of window.peers)
    for (const s of (await peer.getStats()).values())
      if (/-rtp$|^candidate-pair$/.test(s.type)) all.push(s);
  return JSON.stringify([...all, document.querySelector("main").innerText], null, 1);
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
  await new Promise((done) => setTimeout(done, 500));
  const after = look();
  let moved = 0;
  before.forEach((value, i) => { moved += Math.abs(value - after[i]) > 4; });
  return moved > 4;
}"""

SOUND = """async () => {
  const heard = async () => {
    let [energy, concealed] = [0, 0];
    for (const peer of window.peers)
      for (const s of (await peer.getStats()).values())
        if (s.type === "inbound-rtp" && s.kind === "audio") {
          energy += s.totalAudioEnergy;
          concealed += s.concealedSamples;
        }
    return [energy, concealed];
  };
  const before = await heard();
  await new Promise((done) => setTimeout(done, 500));
  const after = await heard();
  return after[0] - before[0] > 0.0005 && after[1] - before[1] < 4800;
}"""
"""Half a second of decoded sound that is no silence, and mostly not made up. (Without
a sound card an AudioContext of Firefox never runs.)
"""


@attrs.define(eq=False)
class Firefox:
    """A running Firefox and the socket that drives it."""

    socket: websockets.sync.client.ClientConnection
    numbers: Iterator[int] = attrs.field(factory=itertools.count)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command; return its result."""
        number = next(self.numbers)
        command = {"id": number, "method": method, "params": params}
        self.socket.send(json.dumps(command))
        while True:
            answer: dict[str, Any] = json.loads(self.socket.recv(timeout=40))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, address: str) -> Tab:
        """Open a page."""
        context = self.ask("browsingContext.create", type="tab")["context"]
        tab = Tab(self, context)
        self.ask(
            "browsingContext.navigate", context=context, url=address, wait="complete"
        )
        return tab


@attrs.define(eq=False)
class Tab:
    """A page in Firefox."""

    firefox: Firefox
    context: str

    def call(self, script: str, *values: str) -> Any:
        """Call a function of the page; return what it gives, a plain value."""
        answer = self.firefox.ask(
            "script.callFunction",
            functionDeclaration=script,
            arguments=[{"type": "string", "value": value} for value in values],
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    def text(self, id_: str) -> str:
        """Return the text of an element."""
        said = self.call("(id) => document.getElementById(id).textContent", id_)
        assert isinstance(said, str)
        return said

    def wait_for(self, wait_until: Callable[..., Any], script: str, what: str) -> None:
        """Wait until a function gives a true value."""
        try:
            wait_until(lambda: self.call(script), what)
        except AssertionError as failure:
            pytest.fail(f"{failure}\n{self.call(STATS)}")

    def wait_for_text(
        self, wait_until: Callable[..., Any], id_: str, words: str
    ) -> None:
        """Wait until an element has these words."""
        script = f"""() => document.getElementById({json.dumps(id_)})
          .textContent.includes({json.dumps(words)})"""
        self.wait_for(wait_until, script, f"{words!r} in #{id_}")

    def publish(self, name: str, codec: str) -> None:
        """Fill the form and press the button."""
        self.call(
            """(name, codec) => {
              const by = (id) => document.getElementById(id);
              if (by("publish").hidden) by("publish-open").click();
              by("publish-name").value = `live/${name}`;
              const { options } = by("publish-codec");
              const option = [...options].find((o) => o.text === codec);
              if (!option) throw new Error(`no ${codec} here`);
              by("publish-codec").value = option.value;
              by("publish-size").value = "640x360";
              by("publish-start").click();
            }""",
            name,
            codec,
        )


@pytest.fixture(scope="module")
def firefox(
    peer: Any,
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
    wait_until: Callable[..., Any],
) -> Iterator[Firefox]:
    """Firefox of the distribution."""
    path = peer("firefox-esr")
    profile = tmp_path_factory.mktemp("firefox")
    preferences = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});"
        for name, value in PREFERENCES.items()
    ]
    (profile / "user.js").write_text("\n".join(preferences))
    command = [path, "--headless", "--no-remote", "--profile", str(profile)]
    log = profile / "firefox.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--remote-debugging-port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environment, "HOME": str(profile)},
        )
    pattern = r"WebDriver BiDi listening on (ws://\S+)"
    try:
        wait_until(
            lambda: (
                re.search(pattern, log.read_text("utf-8", "replace"))
                or process.poll() is not None
            ),
            "Firefox to listen",
            60,
        )
        said = log.read_text("utf-8", "replace")
        found = re.search(pattern, said)
        assert found is not None, said
        with websockets.sync.client.connect(
            f"{found[1]}/session", max_size=None, proxy=None
        ) as socket:
            running = Firefox(socket)
            running.ask("session.new", capabilities={})
            running.ask("script.addPreloadScript", functionDeclaration=PEERS)
            yield running
            running.ask("browser.close")
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1"])
def test_what_one_page_publishes_another_plays(
    firefox: Firefox,
    server: Server,
    stream_name: str,
    wait_until: Callable[..., Any],
    codec: str,
) -> None:
    sender = firefox.open(server.url("http", ""))
    sender.publish(stream_name, codec)
    sender.wait_for_text(wait_until, "publish-state", "On air")
    server.wait_for_frames(stream_name, 5)
    viewer = firefox.open(server.url("http", f"#/live/{stream_name}"))
    viewer.wait_for_text(wait_until, "connection", codec)
    viewer.wait_for(wait_until, PICTURES_MOVE, "pictures that move")
    viewer.wait_for(wait_until, SOUND, "sound")
    assert re.fullmatch(r"Live · \d+ ms", viewer.text("chip"))
    assert codec in sender.text("publish-facts")
    sender.call("() => document.getElementById('publish-start').click()")
    wait_until(
        lambda: server.publisher(stream_name) is None, "the publisher to be gone"
    )
    for tab in (viewer, sender):
        firefox.ask("browsingContext.close", context=tab.context)


def test_without_h264_by_webrtc_the_page_plays_mp4_or_says_so(
    firefox: Firefox,
    server: Server,
    actors: Actors,
    stream_name: str,
    wait_until: Callable[..., Any],
) -> None:
    path = f"live/{stream_name}"
    actors.publish("h264-aac", server.url("rtmp", path), loops=-1)
    server.wait_for_frames(stream_name, 10)
    page = firefox.open(server.url("http", f"#/{path}"))
    if page.call(
        """() => RTCRtpReceiver.getCapabilities("video").codecs
          .some((c) => c.mimeType === "video/H264")"""
    ):
        pytest.skip("this Firefox takes H.264 by WebRTC")
    page.wait_for_text(wait_until, "way-note", "takes no H.264 by WebRTC")
    page.wait_for(wait_until, PICTURES_MOVE, "pictures that move")
    firefox.ask("browsingContext.close", context=page.context)
