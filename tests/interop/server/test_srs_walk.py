"""The walk through SRS's own document, with curl, against the real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Certificate
    from tests.interop.server.conftest import Actors, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
WALK = "tests/dialects/srs/test_curl_walk.py"


@pytest.mark.parametrize(
    ("secure", "authenticated"),
    [(False, False), (True, True)],
    ids=["HTTP", "HTTPS, Basic"],
)
def test_the_documented_calls_give_the_documented_answers(
    penstock_server: StartServer,
    actors: Actors,
    certificate: Certificate,
    peer: Any,
    secure: bool,
    authenticated: bool,
) -> None:
    peer("curl")
    sets = [
        "api.srs.https_listen=127.0.0.1:0",
        f"api.srs.cert={certificate.chain}",
        f"api.srs.key={certificate.key}",
        "api.srs.raw_api=true",
        "api.srs.allow_reload=true",
    ]
    if authenticated:
        sets += ["api.srs.username=admin", "api.srs.password=s3cret"]
    server = penstock_server(*sets)
    if authenticated:
        assert server.api.get("/api/v1/versions").status_code == 401
        server.api.auth = ("admin", "s3cret")
    publisher = actors.publish("h264-aac", server.url("rtmp", "live/x"), loops=-1)
    viewer = actors.ffmpeg(server.url("rtmp", "live/x"))
    server.wait_for_frames("x", 10)
    server.wait_for_players("x", 1)
    walked = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", WALK],
        cwd=ROOT,
        env={
            **os.environ,
            "TEST_SRS_URL": server.url("srss" if secure else "srs", ""),
            "TEST_SRS_AUTH": "admin:s3cret" if authenticated else "",
            "CURL_CA_BUNDLE": str(certificate.authority),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert walked.returncode == 0, walked.stdout[-5000:]
    assert "skipped" not in walked.stdout
    # The walk ends with kicking the publisher; the viewer ends for want of one.
    assert publisher.wait() != 0
    assert viewer.frames()["video0"]
    reloaded = server.logged("configuration reloaded")
    assert len(reloaded) == 1


def test_a_page_of_another_origin_walks_by_jsonp(
    penstock_server: StartServer, actors: Actors
) -> None:
    server = penstock_server()
    publisher = actors.publish("h264-aac", server.url("rtmp", "live/x"), loops=-1)
    server.wait_for_frames("x", 10)

    def called(path: str, more: str = "") -> dict[str, Any]:
        text = server.api.get(f"{path}?callback=JSON_CALLBACK{more}").text
        assert text.startswith("JSON_CALLBACK(")
        answer: dict[str, Any] = json.loads(text.removeprefix("JSON_CALLBACK(")[:-1])
        assert answer["code"] == 0
        return answer

    for name in (
        *("versions", "summaries", "rusages", "self_proc_stats", "meminfos"),
        *("system_proc_stats", "authors", "features", "requests", "vhosts"),
    ):
        called(f"/api/v1/{name}")
    (stream,) = called("/api/v1/streams/")["streams"]
    assert stream["video"]["width"] == 320
    client = stream["publish"]["cid"]
    assert called(f"/api/v1/clients/{client}")["client"]["publish"] is True
    called(f"/api/v1/clients/{client}", "&method=DELETE")
    assert publisher.wait() != 0
