"""Chromium plays what this library writes, over one chunked HTTP response."""

from __future__ import annotations

import base64
import http.server
import os
import pathlib
import shutil
import subprocess
import threading
from collections.abc import Iterator

import imageio_ffmpeg
import pytest
from playwright.sync_api import sync_playwright
from sansmedia.mp4 import (
    InitSegment,
    MediaSample,
    Mp4Demuxer,
    Mp4Track,
    encode_init_segment,
    encode_single_sample_fragment,
    mime_type,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]

CASES = {
    "h264-aac": "-c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p -c:a aac",
    "vp9-opus": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p "
    "-c:a libopus",
    "av1-opus": "-c:v libsvtav1 -preset 12 -pix_fmt yuv420p -c:a libopus",
}
PAGE = b"""<!doctype html><video id="v" src="/live.mp4" muted></video>"""
PLAY = """async (seconds) => {
  const video = document.getElementById("v");
  await video.play();
  await new Promise((resolve, reject) => {
    video.onerror = () => reject(new Error(video.error.message));
    video.ontimeupdate = () => video.currentTime > seconds && resolve();
  });
  const quality = video.getVideoPlaybackQuality();
  return {
    width: video.videoWidth,
    height: video.videoHeight,
    frames: quality.totalVideoFrames,
    audio: video.webkitAudioDecodedByteCount,
    error: video.error && video.error.message,
  };
}"""

APPEND = """async ([type, data]) => {
  const video = document.createElement("video");
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((resolve) => source.onsourceopen = resolve);
  const buffer = source.addSourceBuffer(type);
  const octets = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  await new Promise((resolve, reject) => {
    buffer.onupdateend = resolve;
    video.onerror = () => reject(new Error(video.error.message));
    buffer.appendBuffer(octets);
  });
  const ranges = video.buffered;
  if (ranges.length != 1) throw new Error(ranges.length + " ranges");
  return ranges.end(0) - ranges.start(0);
}"""
DATA = pathlib.Path(__file__).parents[1] / "data" / "mp4"
NO_MEDIA_SOURCE = {"ac3", "eac3", "h265", "h265_hev1", "mp3", "mp3_low"}


def chromium() -> str:
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("chromium is missing")
        pytest.skip("chromium is missing")
    return path


def live(case: str, path: pathlib.Path) -> tuple[tuple[Mp4Track, ...], list[bytes]]:
    """Encode three seconds; return tracks and the live stream, a frame a fragment."""
    inputs = (
        "-f lavfi -i testsrc2=s=320x180:r=25:d=3 -f lavfi -i sine=440:r=48000:d=3 -ac 2"
    )
    flags = "-movflags empty_moov+frag_keyframe+default_base_moof -g 25"
    command = f"-y -v error {inputs} {CASES[case]} {flags}"
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), *command.split(), str(path)],
        check=True,
        timeout=60,
        capture_output=True,
    )
    return rewritten(path.read_bytes())


def rewritten(data: bytes) -> tuple[tuple[Mp4Track, ...], list[bytes]]:
    """Return the tracks of a file, and the file in our words, a frame a fragment."""
    init, *rest = Mp4Demuxer().feed(data)
    assert isinstance(init, InitSegment)
    timescales = {track.track_id: track.timescale for track in init.tracks}
    samples = [event for event in rest if isinstance(event, MediaSample)]
    samples.sort(key=lambda sample: sample.dts / timescales[sample.track_id])
    fragments = [
        encode_single_sample_fragment(
            number,
            sample.track_id,
            sample.dts + timescales[sample.track_id],
            sample.duration,
            sample.payload,
            sample.pts - sample.dts,
            sample.random_access,
        )
        for number, sample in enumerate(samples)
    ]
    return init.tracks, [encode_init_segment(init.tracks), *fragments]


class Server(http.server.ThreadingHTTPServer):
    """Gives a page, and the parts of a stream as chunks; then it just stays open."""

    daemon_threads = True

    def __init__(self, parts: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.parts = parts
        self.watched = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if self.path == "/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)
        elif self.path == "/live.mp4":
            self.stream()
        else:
            self.send_error(404)

    def stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in self.server.parts:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.server.watched.wait(60)
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(params=sorted(CASES))
def serving(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[tuple[str, str]]:
    """Serve one case; give the page's address and the stream's MIME type."""
    chromium()
    tracks, parts = live(request.param, tmp_path / "encoded.mp4")
    with Server(parts) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", mime_type(tracks)
        server.watched.set()
        server.shutdown()
        thread.join()


def test_chromium_plays_a_stream_of_single_frame_fragments(
    serving: tuple[str, str],
) -> None:
    address, mime = serving
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=[
                "--no-sandbox",
                "--headless=new",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        try:
            page = browser.new_page()
            page.set_default_timeout(60_000)
            page.goto(address, wait_until="commit")
            seen = page.evaluate(PLAY, 1.5)
            known = page.evaluate("(type) => MediaSource.isTypeSupported(type)", mime)
        finally:
            browser.close()
    assert (seen["width"], seen["height"]) == (320, 180)
    assert seen["frames"] > 10
    assert seen["audio"] > 0
    assert seen["error"] is None
    assert known, mime


def test_media_source_extensions_take_the_codecs_that_chromium_has_for_them() -> None:
    lasting = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--headless=new"]
        )
        try:
            page = browser.new_page()
            for path in sorted(DATA.glob("*.bin")):
                if path.stem not in NO_MEDIA_SOURCE:
                    tracks, parts = rewritten(path.read_bytes())
                    data = base64.b64encode(b"".join(parts)).decode()
                    lasting[path.stem] = page.evaluate(
                        APPEND, [mime_type(tracks), data]
                    )
        finally:
            browser.close()
    assert len(lasting) > 10
    assert all(0.2 < seconds < 1.5 for seconds in lasting.values()), lasting
