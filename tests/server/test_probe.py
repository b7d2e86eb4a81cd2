from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import av
import pytest

from penstock.probe import as_text, probe

RATE = 25
SECONDS = 2


def one_group_of_pictures() -> bytes:
    """Return an FLV file whose first picture is its only key frame."""
    file = io.BytesIO()
    with av.open(file, "w", format="flv") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "1000", "bf": "0"}
        for number in range(RATE * SECONDS):
            frame = av.VideoFrame(160, 96, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 4 % 256]) * plane.buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """An HTTP server whose every answer is that file."""
    body = one_group_of_pictures()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/live/a.flv"
        server.shutdown()
        thread.join()


async def test_every_frame_counts_from_the_first_key_frame_on(address: str) -> None:
    report = await probe(address)
    (video,) = report.tracks
    assert (video.codec, video.width, video.height) == ("h264", 160, 96)
    assert (video.frames, video.key_frames) == (RATE * SECONDS, 1)
    assert video.frame_rate == pytest.approx(RATE, 0.01)


async def test_no_key_frame_is_said_as_well_as_one(address: str) -> None:
    report = await probe(address)
    assert as_text(report).endswith(" 1 key frame")
    (video,) = report.tracks
    without = attrs.evolve(report, tracks=(attrs.evolve(video, key_frames=0),))
    assert as_text(without).endswith(" no key frame")
