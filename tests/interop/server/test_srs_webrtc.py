"""SRS's WebRTC calls as its clients make them: curl, FFmpeg, and its pages' script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page

if TYPE_CHECKING:
    from tests.interop.conftest import Program, Start
    from tests.interop.server.conftest import Actors, Hooks, Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

OFFER = Path(__file__).parents[2] / "data" / "sdp" / "chromium-whip.bin"

PICTURES = "-f lavfi -i testsrc2=s=320x180:r=25 -f lavfi -i sine=440:r=48000"
# WHIP takes neither B-frames nor AAC.
CODECS = (
    "-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline "
    "-pix_fmt yuv420p -g 25 -c:a libopus -ac 2"
)

# As SRS's players do it: the offer in JSON, to a server of another origin.
CALL = """
  const call = async (api, streamurl, offer) => {
    const xhr = new XMLHttpRequest();
    const done = new Promise((resolve) => { xhr.onloadend = resolve; });
    xhr.open("POST", api, true);
    xhr.setRequestHeader("Content-type", "application/json");
    const data = { api, tid: "abc1234", streamurl, clientip: null, sdp: offer.sdp };
    xhr.send(JSON.stringify(data));
    await done;
    return { status: xhr.status, ...JSON.parse(xhr.responseText) };
  };
"""
PLAY = (
    "async ([api, streamurl]) => {"
    + CALL
    + """
  const pc = window.pc = new RTCPeerConnection(null);
  const video = document.querySelector("video");
  video.srcObject = new MediaStream();
  pc.ontrack = (event) => video.srcObject.addTrack(event.track);
  pc.addTransceiver("audio", { direction: "recvonly" });
  pc.addTransceiver("video", { direction: "recvonly" });
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  const session = await call(api, streamurl, offer);
  if (session.code) return session;
  await pc.setRemoteDescription({ type: "answer", sdp: session.sdp });
  video.play();
  return session;
}"""
)
PUBLISH = (
    "async ([api, streamurl]) => {"
    + CALL
    + """
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 180];
  const context = canvas.getContext("2d");
  let shade = 0;
  setInterval(() => {
    context.fillStyle = `rgb(${shade = (shade + 3) % 256}, 80, 160)`;
    context.fillRect(0, 0, 320, 180);
  }, 40);
  const pc = window.pc = new RTCPeerConnection(null);
  pc.addTransceiver("audio", { direction: "sendonly" });
  pc.addTransceiver("video", { direction: "sendonly" });
  pc.getSenders()[1].replaceTrack(canvas.captureStream(25).getVideoTracks()[0]);
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  const session = await call(api, streamurl, offer);
  if (session.code) return session;
  await pc.setRemoteDescription({ type: "answer", sdp: session.sdp });
  return session;
}"""
)
WHEP = """async (url) => {
  const pc = window.pc = new RTCPeerConnection(null);
  const video = document.querySelector("video");
  video.srcObject = new MediaStream();
  pc.ontrack = (event) => video.srcObject.addTrack(event.track);
  pc.addTransceiver("audio", { direction: "recvonly" });
  pc.addTransceiver("video", { direction: "recvonly" });
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp" },
    body: pc.localDescription.sdp,
  });
  if (answer.status != 201) return await answer.text();
  await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  video.play();
  window.session = new URL(answer.headers.get("Location"), url).href;
  return "";
}"""
PLAYS = """() => {
  const video = document.querySelector("video");
  return video.videoWidth == 320
    && video.getVideoPlaybackQuality().totalVideoFrames > 20;
}"""
HAS_SOUND = """async () => {
  const stats = [...(await window.pc.getStats()).values()];
  return stats.some((one) => one.type == "inbound-rtp" && one.kind == "audio"
    && one.totalSamplesReceived - one.concealedSamples > 24_000);
}"""


def _publish(start: Start, ffmpeg9: str, url: str, seconds: int = 60) -> Program:
    options = ["-v", "warning", "-nostdin", "-re", *PICTURES.split()]
    return start(
        ffmpeg9, *options, *CODECS.split(), "-t", str(seconds), "-f", "whip", url
    )


def _page(browser: Browser) -> Page:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.set_content("<video muted></video>")
    return page


def _kick(server: Server, client: dict[str, Any]) -> None:
    assert server.api.delete(f"/api/v1/clients/{client['id']}").json()["code"] == 0


@pytest.mark.parametrize("port", ["srs", "http"])
def test_curl_walks_from_the_offer_to_the_end_of_the_session(
    penstock_server: StartServer, start: Start, peer: Any, port: str
) -> None:
    server = penstock_server()
    curl = peer("curl")

    def called(url: str, *options: str) -> tuple[str, str]:
        program = start(curl, "-sS", "-i", "-m", "20", *options, url)
        program.succeed()
        head, _, body = program.said.replace("\r\n", "\n").partition("\n\n")
        return head, body

    offered = ("--data-binary", f"@{OFFER}")
    url = server.url(port, "rtc/v1/whip/?app=live&stream=x&eip=203.0.113.7")
    head, body = called(url, *offered, "-H", "Content-Type: application/sdp")
    status, *fields = head.split("\n")
    assert status.endswith("201 Created")
    assert "Content-Type: application/sdp" in fields
    lines = body.split("\n")
    first = next(line for line in lines if line.startswith("a=candidate:"))
    assert first.split(" ")[4:6] == ["203.0.113.7", str(server.ports["webrtc"])]
    assert body.count("m=") == 2
    assert body.count(first) == 2
    (client,) = server.clients("x")
    assert (client["type"], client["publish"]) == ("rtc-publish", True)
    assert (client["url"], client["tcUrl"]) == ("/live/x", "")
    head, body = called(url, *offered)
    assert " 409 " in head
    assert body == "5020: RtcStreamBusy"
    assert called(url)[1] == "5043: RtcInvalidSdp"
    assert called(url, "-d", "invalidsdp")[1] == "5012: RtcSdpDecode"
    (location,) = [f for f in fields if f.startswith("Location: /rtc/v1/whip/?")]
    resource = server.url(port, location.removeprefix("Location: /"))
    for _ in range(2):
        head, body = called(resource, "-X", "DELETE")
        assert " 200 " in head
        assert body == ""
    server.wait_until(lambda: not server.clients("x"), "the end of the session")


def test_what_ffmpeg_publishes_plays_in_a_page_of_srs(
    browser: Browser,
    penstock_server: StartServer,
    start: Start,
    ffmpeg9: str,
    hooks: Hooks,
) -> None:
    server = penstock_server(*hooks.sets())
    query = "app=live&stream=x&token=t"
    publisher = _publish(start, ffmpeg9, server.url("srs", f"rtc/v1/whip/?{query}"))
    server.wait_for_frames("x", 10)
    streams = server.api.get("/api/v1/streams/").json()["streams"]
    (stream,) = [one for one in streams if one["name"] == "x"]
    assert stream["publish"]["active"]
    assert stream["video"]["codec"] == "H264"
    assert stream["audio"]["codec"] == "Opus"
    page = _page(browser)
    place = server.url("srs", "").partition("://")[2]
    session = page.evaluate(
        PLAY, [server.url("srs", "rtc/v1/play/"), f"webrtc://{place}live/x?who=me"]
    )
    assert (session["status"], session["code"]) == (200, 0)
    assert ":" in session["sessionid"]
    page.wait_for_function(PLAYS)
    server.wait_until(lambda: page.evaluate(HAS_SOUND), "sound")
    (viewer,) = server.players("x")
    assert viewer["type"] == "rtc-play"
    assert viewer["tcUrl"] == f"webrtc://{place}live"
    _kick(server, viewer)
    server.wait_for_players("x", 0)
    publishing = server.publisher("x")
    assert publishing is not None
    assert publishing["id"] == stream["publish"]["cid"]
    _kick(server, publishing)
    server.wait_until(lambda: not server.clients("x"), "the publisher to be gone")
    page.close()
    publisher.end()
    server.wait_until(lambda: len(hooks.told) == 4, "four hooks")
    assert hooks.actions(publishing["id"]) == ["on_publish", "on_unpublish"]
    assert hooks.actions(viewer["id"]) == ["on_play", "on_stop"]
    told = {event["action"]: event for event in hooks.told}
    assert told["on_publish"]["param"] == query
    assert told["on_play"]["param"] == "?who=me"
    assert told["on_play"]["stream_id"] == stream["id"]


def test_a_page_of_srs_publishes_and_another_waits_for_it(
    browser: Browser, penstock_server: StartServer, actors: Actors
) -> None:
    server = penstock_server()
    waiting = _page(browser)
    whep = server.url("http", "rtc/v1/whep/?app=live&stream=x")
    assert waiting.evaluate(WHEP, whep) == ""
    server.wait_for_players("x", 1)
    page = _page(browser)
    place = server.url("srs", "").partition("://")[2]
    session = page.evaluate(
        PUBLISH, [server.url("srs", "rtc/v1/publish/"), f"webrtc://{place}live/x"]
    )
    assert session["code"] == 0
    waiting.wait_for_function(PLAYS)
    # Publishers of WebRTC are there for all others too.
    other = actors.ffmpeg(server.url("rtmp", "live/x"), "", "-t", "2")
    assert other.frames()["video0"]
    status = waiting.evaluate(
        "async () => (await fetch(window.session, { method: 'DELETE' })).status"
    )
    assert status == 200
    server.wait_for_players("x", 0)
    # A page that closes its connection says so.
    page.evaluate("() => window.pc.close()")
    server.wait_until(lambda: not server.clients("x"), "the publisher to be gone")
    page.close()
    waiting.close()


def test_a_hook_that_refuses_is_401(penstock_server: StartServer, hooks: Hooks) -> None:
    server = penstock_server(*hooks.sets())
    hooks.refused = "on_publish"
    answer = server.api.post(
        "/rtc/v1/whip/?app=live&stream=x", content=OFFER.read_bytes()
    )
    assert (answer.status_code, answer.text) == (401, "1102: SystemAuth")
    assert server.clients("x") == []
