"""FFmpeg's WHIP muxer publishes to our endpoint: it reads our answer and tries ICE."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import imageio_ffmpeg
import pytest
from sansmedia.sdp import (
    Capabilities,
    Direction,
    Fingerprint,
    NegotiatedSession,
    Transport,
    make_answer,
)
from sansmedia.whip import (
    EndpointConfig,
    Request,
    Response,
    WhipEndpoint,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_UFRAG = "theserver"
_MAGIC_COOKIE = bytes.fromhex("2112a442")


def _known(kind: str, encoding: str, rate: int, channels: int, fmtp: str) -> bool:
    return encoding.lower() in ("opus", "h264")


class _Server(http.server.ThreadingHTTPServer):
    """An endpoint at ``/whip``, and a UDP socket where its sessions would be."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoint = WhipEndpoint(config=EndpointConfig(require_token=True))
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind(("127.0.0.1", 0))
        self.media.settimeout(20)
        self.sessions: list[NegotiatedSession] = []
        self.tokens: list[str | None] = []
        self.lock = threading.Lock()

    def respond(self, request: Request) -> Response:
        with self.lock:
            result = self.endpoint.handle(request, time.monotonic())
            if isinstance(result, Response):
                return result
            port = self.media.getsockname()[1]
            plan = make_answer(
                result.offer,
                capabilities=Capabilities(direction=Direction.RECVONLY, match=_known),
                transport=Transport(
                    ice_ufrag=_UFRAG,
                    ice_pwd="0123456789abcdefghijkl",
                    ice_lite=True,
                    fingerprints=(Fingerprint("sha-256", ":".join(["AB"] * 32)),),
                    candidates=(f"1 1 udp 2130706431 127.0.0.1 {port} typ host",),
                    end_of_candidates=True,
                ),
                session_id=1,
            )
            self.sessions.append(plan.session)
            self.tokens.append(result.token)
            response = self.endpoint.accept(
                result.request_id,
                answer=plan.answer,
                session_url="/session/1",
                etag="1",
                now=time.monotonic(),
            )
            assert response is not None
            return response


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        # FFmpeg sends its offer in chunks or whole, as its HTTP client likes.
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        response = self.server.respond(
            Request("POST", self.path, list(self.headers.items()), body)
        )
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        server.media.close()
        thread.join()


@pytest.fixture
def ffmpeg() -> str:
    program: str = imageio_ffmpeg.get_ffmpeg_exe()
    listed = subprocess.run(
        [program, "-hide_banner", "-h", "muxer=whip"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Muxer whip" not in listed.stdout:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("FFmpeg has no WHIP muxer")
        pytest.skip("FFmpeg has no WHIP muxer")
    return program


def _publish(ffmpeg: str, server: _Server, *flags: str) -> subprocess.Popen[bytes]:
    command = (
        "-v error -nostdin -re -f lavfi -i testsrc2=s=320x180:r=15 "
        "-f lavfi -i sine=440:r=48000 -t 20 -pix_fmt yuv420p -c:v libx264 "
        "-profile:v baseline -preset ultrafast -g 15 -c:a libopus -ac 2 -f whip"
    )
    return subprocess.Popen(
        [
            ffmpeg,
            *command.split(),
            *flags,
            *("-authorization", "secret"),
            f"http://127.0.0.1:{server.server_port}/whip",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("flags", "we_open"),
    [((), True), (("-whip_flags", "dtls_active"), False)],
)
def test_ffmpeg_reads_our_answer_and_asks_our_candidate(
    ffmpeg: str, server: _Server, flags: tuple[str, ...], we_open: bool
) -> None:
    publisher = _publish(ffmpeg, server, *flags)
    try:
        while True:
            datagram = server.media.recv(2048)
            if datagram[4:8] == _MAGIC_COOKIE:
                break
    finally:
        publisher.kill()
        _, said = publisher.communicate(timeout=60)
    assert _UFRAG.encode() in datagram, said
    [session] = server.sessions
    assert server.tokens == ["secret"]
    assert session.is_dtls_client is we_open
    assert f"{_UFRAG}:{session.remote.ice_ufrag}".encode() in datagram
    audio, video = session.media
    assert [codec.encoding.lower() for codec in audio.codecs] == ["opus"]
    assert [codec.encoding for codec in video.codecs] == ["H264"]
    assert video.codecs[0].rtx_payload_type is not None
    assert video.remote_sources[0].rtx_ssrc is not None
