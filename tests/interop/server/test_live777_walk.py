"""The walk through Live777's own document, against the real server."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.conftest import Program, Start
    from tests.interop.server.conftest import Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
    "a=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=setup:actpass\r\n"
    "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)


class Walker:
    """curl, and what it was told."""

    def __init__(self, start: Start, curl: str, base: str) -> None:
        self._start = start
        self._curl = curl
        self._base = base

    def ask(
        self, method: str, path: str, *options: str
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers by name in lower case, and body."""
        url = self._base + path
        words = ["-sS", "-i", "-m", "10", "-X", method, *options, url]
        program: Program = self._start(self._curl, *words)
        program.succeed()
        head, _, body = program.said.replace("\r\n", "\n").partition("\n\n")
        lines = head.split("\n")
        fields = (line.partition(": ") for line in lines[1:])
        return int(lines[0].split()[1]), {k.lower(): v for k, _, v in fields}, body


@pytest.fixture
def publish(start: Start, ffmpeg9: str) -> Callable[[str], Program]:
    """Publish a test picture and sound by WHIP with FFmpeg 9."""

    def run(url: str) -> Program:
        return start(
            ffmpeg9,
            *["-v", "error", "-nostdin", "-re"],
            *["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"],
            *["-f", "lavfi", "-i", "sine=r=48000"],
            *["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"],
            *["-profile:v", "baseline", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "25"],
            *["-c:a", "libopus", "-ac", "2", "-t", "60"],
            *["-f", "whip", url],
        )

    return run


def test_a_stream_lives_as_the_document_says(
    penstock_server: StartServer,
    start: Start,
    publish: Callable[[str], Program],
    peer: Any,
) -> None:
    server = penstock_server()
    walker = Walker(start, peer("curl"), server.url("live777", "").rstrip("/"))
    assert walker.ask("GET", "/api/streams/")[::2] == (200, "[]")
    assert walker.ask("POST", "/api/streams/x")[::2] == (204, "")
    assert walker.ask("POST", "/api/streams/x")[::2] == (
        *(409, "resource already exists"),
    )
    publisher = publish(server.url("live777", "whip/x"))
    # A subscriber of an app's stream that nobody publishes.
    status, headers, answer = walker.ask(
        "POST",
        "/whep/app%2Fy",
        *["-H", "Content-Type: application/sdp", "--data-binary", _OFFER],
    )
    assert status == 201
    assert headers["content-type"] == "application/sdp"
    assert headers["accept-patch"] == "application/trickle-ice-sdpfrag"
    assert "a=candidate:" in answer
    subscriber = headers["location"]
    assert re.fullmatch(r"/session/app%2Fy/[0-9a-f]{32}", subscriber)

    def streams() -> Any:
        return json.loads(walker.ask("GET", "/api/streams/")[2])

    def is_live() -> bool:
        return len(streams()[1]["codecs"]) == 2

    server.wait_until(is_live, "both codecs of x")
    waited, live = streams()
    (published,) = live["publish"]["sessions"]
    assert live == {
        "id": "x",
        "createdAt": live["createdAt"],
        "publish": {
            "leaveAt": 0,
            "sessions": [
                {
                    "id": published["id"],
                    "createdAt": published["createdAt"],
                    "state": "connected",
                    "hasDataChannel": False,
                }
            ],
        },
        "subscribe": {"leaveAt": live["createdAt"], "sessions": []},
        "codecs": [
            {
                "kind": "video",
                "codec": "h264",
                "fmtp": live["codecs"][0]["fmtp"],
            },
            {"kind": "audio", "codec": "opus", "fmtp": "minptime=10;useinbandfec=1"},
        ],
    }
    assert re.search(r"profile-level-id=42[0-9a-f]{4}$", live["codecs"][0]["fmtp"])
    assert waited["id"] == "app/y"
    (waiting,) = waited["subscribe"]["sessions"]
    assert waiting["state"] == "connecting"
    assert walker.ask(
        "POST",
        "/whip/x",
        *["-H", "Content-Type: application/sdp"],
        *["--data-binary", _OFFER.replace("recvonly", "sendonly")],
    )[::2] == (409, "A connection has already been established")
    fragment = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=end-of-candidates\r\n"
    trickle = ["-H", "Content-Type: application/trickle-ice-sdpfrag"]
    status, _, body = walker.ask(
        "PATCH", subscriber, *trickle, "--data-binary", fragment
    )
    assert (status, body) == (204, "")
    assert walker.ask("DELETE", subscriber)[::2] == (204, "")
    assert streams()[0]["subscribe"]["sessions"] == []
    assert streams()[0]["subscribe"]["leaveAt"] > 0
    # The publisher's session takes the stream along.
    assert walker.ask("DELETE", f"/session/x/{published['id']}")[::2] == (204, "")
    assert [one["id"] for one in streams()] == ["app/y"]
    assert walker.ask("DELETE", "/api/streams/app%2Fy")[::2] == (204, "")
    assert walker.ask("GET", "/api/streams/")[::2] == (200, "[]")
    publisher.end()  # FFmpeg does not hear that it is over


def test_a_publisher_that_is_lost_leaves_the_stream(
    penstock_server: StartServer, publish: Callable[[str], Program]
) -> None:
    server = penstock_server(
        "api.live777.strategy.auto_delete_whip=1500", "stream.publish_idle_s=1"
    )
    publisher = publish(server.url("http", "whip/x"))  # the public port
    with httpx.Client(
        base_url=server.url("live777", ""), trust_env=False, timeout=60
    ) as client:

        def shown() -> Any:
            answer = client.get("/api/streams/x")
            return answer.json() if answer.status_code == 200 else None

        server.wait_until(lambda: shown() and shown()["codecs"], "a live stream")
        publisher.process.kill()
        server.wait_until(lambda: shown()["publish"]["leaveAt"], "its end")
        assert shown()["publish"]["sessions"] == []
        assert shown()["codecs"] == []
        server.wait_until(lambda: shown() is None, "the strategy to delete it")


def test_the_api_is_told_by_events(
    penstock_server: StartServer, start: Start, peer: Any
) -> None:
    server: Server = penstock_server("api.live777.tokens=good")
    base = server.url("live777", "").rstrip("/")
    headers = {"Authorization": "Bearer good"}
    with (
        httpx.Client(
            base_url=base, headers=headers, trust_env=False, timeout=60
        ) as client,
        client.stream("GET", "/api/sse/streams?streams=x") as events,
    ):
        lines = (line for line in events.iter_lines() if line)
        assert next(lines) == "data: []"
        assert client.post("/api/streams/x").status_code == 204
        (told,) = json.loads(next(lines).removeprefix("data: "))
        assert told["id"] == "x"
        assert client.delete("/api/streams/x").status_code == 204
        assert next(lines) == "data: []"
    walker = Walker(start, peer("curl"), base)
    assert walker.ask("GET", "/api/streams/")[::2] == (401, "")
