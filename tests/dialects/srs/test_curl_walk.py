"""The seed document's calls, made by curl.

Set TEST_SRS_URL (as ``http://127.0.0.1:1985``) to walk through a running server
instead; it needs one published stream, whose publisher is kicked at the end. With
TEST_SRS_AUTH (as ``admin:secret``) the credentials are sent.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import trio

from penstock.settings import SrsApiSettings

pytestmark = pytest.mark.interop


@attrs.define
class Curl:
    """curl against one server."""

    url: str
    options: list[str] = attrs.field(factory=list)

    async def text(self, path: str, *options: str) -> str:
        """Return what curl prints."""
        command = ["curl", "-sS", "-m", "20", *self.options, *options]
        done = await trio.run_process(
            [*command, self.url + path], capture_stdout=True, capture_stderr=True
        )
        return done.stdout.decode()

    async def json(self, path: str, *options: str) -> Any:
        return json.loads(await self.text(path, *options))


def _require_curl() -> None:
    if shutil.which("curl") is None:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("curl is missing")
        pytest.skip("curl is missing")


@pytest.fixture
async def curl(serve: Any) -> AsyncIterator[Curl]:
    _require_curl()
    url = os.environ.get("TEST_SRS_URL")
    if url:
        auth = os.environ.get("TEST_SRS_AUTH")
        yield Curl(url.rstrip("/"), ["-u", auth] if auth else [])
        return
    async with serve() as site:
        yield Curl(site.url)


async def test_discovery_leads_from_the_root_to_every_endpoint(curl: Curl) -> None:
    assert "api" in (await curl.json("/"))["urls"]
    assert "v1" in (await curl.json("/api"))["urls"]
    urls = (await curl.json("/api/v1"))["urls"]
    for name in urls.keys() - {"raw", "clusters", "perf", "tcmalloc"}:
        answer = await curl.json(f"/api/v1/{name}")
        assert answer["code"] == 0, name
        assert {"data", "vhosts", "streams", "clients"} & answer.keys(), name


async def test_versions_and_authors_are_as_documented(curl: Curl) -> None:
    version = (await curl.json("/api/v1/versions"))["data"]
    assert set(version) == {"major", "minor", "revision", "version"}
    assert version["major"] or version["minor"]
    authors = (await curl.json("/api/v1/authors"))["data"]
    assert {"primary_authors", "contributors_link", "contributors"} <= set(authors)


async def test_errors_come_in_the_body_with_status_200(curl: Curl) -> None:
    head, _, body = (await curl.text("/api/v1/tests/errors", "-i")).partition(
        "\r\n\r\n"
    )
    assert head.startswith("HTTP/1.1 200")
    assert "content-length: 12" in head.lower()
    assert body == '{"code":100}'


async def test_jsonp_as_documented(curl: Curl) -> None:
    answer = await curl.text("/api/v1/vhosts/?callback=JSON_CALLBACK")
    assert answer.startswith('JSON_CALLBACK({"code":0,"server":')
    assert answer.endswith(")")
    path = "/api/v1/clients/100?callback=JSON_CALLBACK&method=DELETE"
    assert await curl.text(path) == 'JSON_CALLBACK({"code":2049})'


async def test_cors_preflight_as_documented(curl: Curl) -> None:
    origin = ["-H", "Origin: http://page.example"]
    answer = await curl.text("/api/v1/streams/", "-i", "-X", "OPTIONS", *origin)
    assert answer.startswith("HTTP/1.1 200")
    assert "access-control-allow-origin: *" in answer.lower()


async def test_summaries_have_what_dashboards_read(curl: Curl) -> None:
    data = (await curl.json("/api/v1/summaries"))["data"]
    own = {"version", "pid", "ppid", "argv", "cwd", "mem_kbyte", "cpu_percent"}
    assert own <= data["self"].keys()
    assert {"ilde_time", "load_1m", "srs_send_bytes", "conn_srs"} <= data[
        "system"
    ].keys()


async def test_raw_as_documented(curl: Curl) -> None:
    raw = (await curl.json("/api/v1/raw?rpc=raw"))["http_api"]["raw_api"]
    assert set(raw) == {"enabled", "allow_reload", "allow_query", "allow_update"}
    code = (await curl.json("/api/v1/raw?rpc=reload"))["code"]
    assert code == (0 if raw["enabled"] and raw["allow_reload"] else 1061)


async def test_streams_clients_and_kicking_off_as_documented(curl: Curl) -> None:
    streams = (await curl.json("/api/v1/streams?start=0&count=10"))["streams"]
    live = [entry for entry in streams if entry["publish"]["active"]]
    assert live, "no stream is published"
    stream = (await curl.json(f"/api/v1/streams/{live[0]['id']}"))["stream"]
    vhost = (await curl.json(f"/api/v1/vhosts/{stream['vhost']}"))["vhost"]
    assert vhost["streams"] >= 1
    clients = (await curl.json("/api/v1/clients?start=0&count=100"))["clients"]
    cid = stream["publish"]["cid"]
    assert cid in [entry["id"] for entry in clients]
    client = (await curl.json(f"/api/v1/clients/{cid}", "-X", "GET"))["client"]
    assert (client["publish"], client["stream"]) == (True, stream["id"])
    kicked = await curl.json(f"/api/v1/clients/{cid}", "-v", "-X", "DELETE")
    assert kicked["code"] == 0


async def test_authentication_as_documented(serve: Any) -> None:
    _require_curl()
    settings = SrsApiSettings(username="admin", password="admin")
    async with serve(settings=settings) as site:
        status = ["-o", os.devnull, "-w", "%{http_code}"]
        path = "/api/v1/versions"
        assert await Curl(site.url).text(path, *status) == "401"
        signed = site.url.replace("http://", "http://admin:admin@")
        assert await Curl(signed).text(path, *status) == "200"
        only_name = site.url.replace("http://", "http://admin@")
        assert await Curl(only_name).text(path, *status) == "401"


async def test_https_as_documented(
    serve: Any, certificate: Any, authority: Any, tmp_path: Any
) -> None:
    _require_curl()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    async with serve(tls=certificate) as site:
        curl = Curl(site.url, ["--cacert", str(trusted)])
        assert (await curl.json("/api/v1/versions"))["code"] == 0
