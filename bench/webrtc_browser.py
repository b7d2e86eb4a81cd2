"""How long a browser takes to a picture."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import statistics
import time
from collections.abc import Iterator

from measures import Bench
from report import Result, Row
from servers import Load
from webrtc import publish_whip, whep_url

__all__ = ["first_picture"]

_FIRST_PICTURE = """async (url) => {
  const connection = new RTCPeerConnection();
  const video = document.createElement('video');
  const stream = new MediaStream();
  video.muted = video.autoplay = true;
  video.srcObject = stream;
  document.body.append(video);
  connection.ontrack = (event) => stream.addTrack(event.track);
  connection.addTransceiver('video', {direction: 'recvonly'});
  connection.addTransceiver('audio', {direction: 'recvonly'});
  await connection.setLocalDescription(await connection.createOffer());
  const start = performance.now();
  const first = new Promise((resolve) => {
    video.requestVideoFrameCallback(function see(now, shown) {
      // Only a picture that came by RTP counts, whatever stands there before.
      if (shown.rtpTimestamp !== undefined && shown.width === 1280) {
        resolve(performance.now() - start);
      } else {
        video.requestVideoFrameCallback(see);
      }
    });
    setTimeout(() => resolve(-1), 10000);
  });
  const response = await fetch(url, {
    method: 'POST',
    headers: {'Content-Type': 'application/sdp'},
    body: connection.localDescription.sdp,
  });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(sdp);
  await connection.setRemoteDescription({type: 'answer', sdp});
  const took = await first;
  connection.close();
  video.remove();
  return took;
}"""


@contextlib.contextmanager
def _as_anybody() -> Iterator[None]:
    """Leave the real-time class meanwhile: Playwright hangs in it for minutes."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def first_picture(bench: Bench) -> Result:
    """From the POST to a picture that is shown."""
    count = 5 if bench.quick else 20
    program = shutil.which("chromium")
    rows: list[Row] = []
    notes: list[str] = []
    if program is None or importlib.util.find_spec("playwright") is None:
        missing = "not measured: Chromium or Playwright is missing"
        rows.append(Row("from RTMP and from WHIP", missing))
    else:
        with _as_anybody():
            took = _take(bench, program, count)
        for source, times_s in took.items():
            median = statistics.median(times_s)
            rows += [
                Row(
                    f"from {source}, median",
                    _ms(median),
                    target="at most 500 ms",
                    met=median <= 0.5,
                ),
                Row(f"from {source}, longest", _ms(max(times_s))),
            ]
        notes.append(
            "The publisher by WHIP does not listen to requests for key frames, which "
            "the stream has every 2 s; sessions begin at any time between."
        )
    return Result(
        "First picture in a browser",
        f"Headless Chromium, {count} times for each source: from the POST of a page's "
        "offer until `requestVideoFrameCallback` tells of the first picture. The "
        "browser decodes in software, on the load's cores.",
        rows,
        peer="",
        notes=notes,
    )


def _take(bench: Bench, program: str, count: int) -> dict[str, list[float]]:
    from playwright.sync_api import sync_playwright  # may be missing

    took: dict[str, list[float]] = {"RTMP": [], "WHIP": []}
    with (
        bench.penstock() as server,
        bench.load() as rtmp,
        Load.running(bench.folder, bench.cores, "webrtc_load.py") as whip,
        sync_playwright() as playwright,
    ):
        bench.publish(rtmp, server, ["RTMP"])
        publish_whip(bench, whip, server, ["WHIP"], mark=False)
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.http_port}/healthz")
        for number in range(count + 1):
            for source, times_s in took.items():
                shown = page.evaluate(_FIRST_PICTURE, whep_url(server, source))
                if shown < 0:
                    raise RuntimeError(f"no picture from {source}")
                if number:  # the first ones load the decoder
                    times_s.append(shown / 1000)
                # At another distance from the last key frame each time.
                time.sleep(0.17)
        browser.close()
    return took


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
