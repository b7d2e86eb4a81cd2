"""What is shown and sounds at one moment comes out together, by every protocol."""

from __future__ import annotations

import array
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from playwright.sync_api import Browser

if TYPE_CHECKING:
    from tests.interop.conftest import Start
    from tests.interop.server.conftest import Actors, StartServer, WebRtcBin

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.keeps_time]

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
    page.set_default_timeout(60_000)
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
        assert_together(name, flashes(viewer.recording), beeps(viewer.recording))


def assert_together(
    name: str, flashed: Iterable[float], beeped: Iterable[float], *, least: int = 8
) -> None:
    """Assert that each flash has its beep."""
    seen, heard = list(flashed), list(beeped)
    # The tone of the last flash may not have come to its end.
    apart = [min((beep - flash for beep in heard), key=abs) for flash in seen[:-1]]
    assert len(apart) >= least, (name, seen, heard)
    assert all(abs(gap) <= TOGETHER_MS for gap in apart), (name, *map(round, apart))


def make_clip(ffmpeg: str, path: Path, b_pictures: int) -> Path:
    """Make a clip that flashes and beeps with every second."""
    now = f"gte(t,1)*lt(mod(t,1),{FLASH_S})"
    pictures = f"color=black:s=320x180:r=30:d={SECONDS + 2}"
    pictures += f",drawbox=c=white:t=fill:enable='{now}'"
    sounds = f"aevalsrc='0.5*sin(2*PI*1000*t)*{now}':s=48000:d={SECONDS + 2}"
    command = f"-v error -y -f lavfi -i {pictures} -f lavfi -i".split()
    coding = f"-c:v libx264 -bf {b_pictures} -g 30 -pix_fmt yuv420p -c:a aac"
    subprocess.run(
        [ffmpeg, *command, sounds, *coding.split(), path], check=True, timeout=60
    )
    return path


@pytest.mark.parametrize(
    ("way", "b_pictures"),
    # Pictures out of order are encoded anew for WHEP.
    [("srt", 0), ("srt", 2), ("rtmp", 0)],
)
def test_flash_and_beep_stay_together_from_and_to_srt(
    penstock_server: StartServer,
    actors: Actors,
    start: Start,
    peer: Callable[[str], str],
    webrtcbin: WebRtcBin,
    ffmpeg9: str,
    tmp_path: Path,
    way: str,
    b_pictures: int,
) -> None:
    clip = make_clip(ffmpeg9, tmp_path / "clip.mp4", b_pictures)
    server = penstock_server()
    srt = f"srt://127.0.0.1:{server.ports['srt']}?streamid="
    viewers = {
        "RTMP": actors.rtmpdump(server.url("rtmp", "live/x")),
        "HTTP-FLV": actors.curl(server.url("http", "live/x.flv")),
    }
    recording = tmp_path / "srt.ts"
    tool = [peer("srt-live-transmit"), "-q", "-a", "no"]
    watcher = start(*tool, f"{srt}live/x", "file://con", stdout=recording)
    server.wait_for_players("x", 3)
    url = f"{srt}publish:x" if way == "srt" else server.url("rtmp", "live/x")
    form = "mpegts" if way == "srt" else "flv"
    command = f"-v warning -nostdin -re -i {clip} -c copy -f {form}".split()
    publisher = start(ffmpeg9, *command, url)
    server.wait_for_frames("x", 10)
    caller = webrtcbin("watch", server.url("http", "live/x/whep"), str(SECONDS - 3))
    caller.succeed()
    publisher.succeed()
    for name, viewer in viewers.items():
        viewer.frames()
        assert_together(name, flashes(viewer.recording), beeps(viewer.recording))
    watcher.wait()
    assert_together("SRT", flashes(recording), beeps(recording))
    told = json.loads(caller.said.splitlines()[-1])
    # A track is where it belongs from the first reports on.
    flashed = [at for at in told["flashes"] if at > told["flashes"][0] + 1500]
    assert_together("WHEP", flashed, told["beeps"], least=4)
