"""What Chromium shows and sounds at one moment comes out together over RTMP and FLV."""

from __future__ import annotations

import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from playwright.sync_api import Browser

if TYPE_CHECKING:
    from tests.interop.server.conftest import Actors, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SECONDS = 12
TOGETHER_MS = 60.0
FLASH_S = 0.2
PUBLISH = """async ([url, flash]) => {
  const sound = new AudioContext({ sampleRate: 48000 });
  await sound.resume();
  const tone = new OscillatorNode(sound, { frequency: 1000 });
  const gain = new GainNode(sound, { gain: 0 });
  const output = new MediaStreamAudioDestinationNode(sound, { channelCount: 1 });
  tone.connect(gain).connect(output);
  tone.start();
  for (let second = 1; second < 60; second++) {
    gain.gain.setValueAtTime(0.5, second);
    gain.gain.setValueAtTime(0, second + flash);
  }
  const canvas = Object.assign(document.createElement("canvas"), {
    ...{ width: 320, height: 180 },
  });
  document.body.append(canvas);
  const picture = canvas.getContext("2d");
  let count = 0;
  setInterval(() => {
    const time = sound.currentTime;
    picture.fillStyle = time >= 1 && time % 1 < flash ? "#fff" : "#000";
    picture.fillRect(0, 0, 320, 180);
    picture.fillStyle = "#888"; // something that moves
    picture.fillRect(count++ % 300, 170, 10, 10);
  }, 8);
  const peer = new RTCPeerConnection();
  const [video] = canvas.captureStream(30).getVideoTracks();
  const [audio] = output.stream.getAudioTracks();
  const sender = peer.addTransceiver(video, { direction: "sendonly" });
  const { codecs } = RTCRtpSender.getCapabilities("video");
  sender.setCodecPreferences(codecs.filter((c) => /h264|rtx/i.test(c.mimeType)));
  peer.addTransceiver(audio, { direction: "sendonly" });
  await peer.setLocalDescription(await peer.createOffer());
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp" },
    body: peer.localDescription.sdp,
  });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(answer);
  window.call = { peer, session: new URL(response.headers.get("Location"), url).href };
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
}"""


def flashes(path: Path) -> Iterator[float]:
    """Yield when a dark picture is followed by a bright one, in ms.

    Where the browser had no time to draw, what it shows next says nothing.
    """
    dark, last = False, 0.0
    with av.open(str(path)) as recording:
        for frame in recording.decode(video=0):
            small = frame.reformat(width=16, height=16, format="gray")
            octets = bytes(small.planes[0])
            brightness = sum(octets) / len(octets)
            assert frame.time is not None
            now = frame.time * 1000
            if dark and brightness > 128 and now - last < 60:
                yield now
            dark, last = brightness < 64, now


def beeps(path: Path) -> Iterator[float]:
    """Yield when a tone begins after 100 ms of silence, in ms."""
    loud_until = 0.0
    with av.open(str(path)) as recording:
        for frame in recording.decode(audio=0):
            assert frame.time is not None
            samples = array.array("f", bytes(frame.planes[0]))
            for number, sample in enumerate(samples[: frame.samples]):
                if abs(sample) > 0.1:
                    now = (frame.time + number / frame.sample_rate) * 1000
                    if now - loud_until > 100:
                        yield now
                    loud_until = now


def test_flash_and_beep_stay_together(
    penstock_server: StartServer, actors: Actors, browser: Browser
) -> None:
    server = penstock_server()
    viewers = {
        "RTMP": actors.rtmpdump(server.url("rtmp", "live/x")),
        "HTTP-FLV": actors.curl(server.url("http", "live/x.flv")),
    }
    server.wait_for_players("x", 2)
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(server.url("http", "healthz"))
    page.mouse.click(10, 10)  # a page may sound once somebody has touched it
    page.evaluate(PUBLISH, [server.url("http", "live/x/whip"), FLASH_S])
    server.wait_for_frames("x", 30 * SECONDS)
    status = page.evaluate(
        "async () => (await fetch(call.session, { method: 'DELETE' })).status"
    )
    page.close()
    assert status == 200
    for name, viewer in viewers.items():
        viewer.frames()
        seen, heard = list(flashes(viewer.recording)), list(beeps(viewer.recording))
        # The tone of the last flash may not have come to its end.
        apart = [min((beep - flash for beep in heard), key=abs) for flash in seen[:-1]]
        assert len(apart) >= SECONDS - 4, (name, seen, heard)
        assert all(abs(gap) <= TOGETHER_MS for gap in apart), (name, *map(round, apart))
