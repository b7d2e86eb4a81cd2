"""JSONP, CORS, authentication, methods, bad input, TLS: over real sockets."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from penstock.settings import SrsApiSettings

LOCKED = SrsApiSettings(username="admin", password="a:b:c")
ENDPOINTS = [
    "",
    "api",
    "api/v1",
    "api/v1/versions",
    "api/v1/summaries",
    "api/v1/rusages",
    "api/v1/self_proc_stats",
    "api/v1/system_proc_stats",
    "api/v1/meminfos",
    "api/v1/authors",
    "api/v1/features",
    "api/v1/requests",
    "api/v1/vhosts",
    "api/v1/streams",
    "api/v1/clients",
    "api/v1/tests/requests",
]


def _basic(pair: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_an_endpoint_answers_the_envelope_with_and_without_a_slash(
    serve: Any, path: str
) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        for form in (f"/{path}", f"/{path}/" if path else "/"):
            answer = await client.get(form)
            assert answer.status_code == 200
            assert list(answer.json())[:4] == ["code", "server", "service", "pid"]
            assert isinstance(answer.json()["pid"], str)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_most_endpoints_take_any_method(serve: Any, method: str) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.request(method, "/api/v1/versions", content=b"{")
        assert answer.json()["data"]["version"] == "7.0.18"


async def test_head_has_the_headers_of_get_and_no_body(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        for path in ("/api/v1/versions", "/api/v1/streams/"):
            got, head = await client.get(path), await client.head(path)
            assert head.content == b""
            assert head.status_code == 200
            assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("POST", "/api/v1/vhosts/", 405, b"Method Not Allowed"),
        ("POST", "/api/v1/vhosts/__defaultVhost__", 405, b"Method Not Allowed"),
        ("DELETE", "/api/v1/vhosts/nope", 200, b'{"code":2014}'),
        ("DELETE", "/api/v1/streams/", 405, b"Method Not Allowed"),
        ("DELETE", "/api/v1/streams/nope", 200, b'{"code":2048}'),
        ("PUT", "/api/v1/clients/", 405, b"Method Not Allowed"),
        ("PUT", "/api/v1/clients/nope", 200, b'{"code":2049}'),
        ("DELETE", "/api/v1/clients", 200, b'{"code":2049}'),
    ],
)
async def test_a_wrong_method_is_refused_after_the_id_is_looked_up(
    serve: Any, method: str, path: str, status: int, body: bytes
) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.content) == (status, body)


async def test_jsonp_wraps_answers_and_errors_but_not_texts(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.get("/api/v1/versions?callback=a.b-C_1&token=x")
        assert answer.text.startswith('a.b-C_1({"code":0,')
        assert answer.headers["content-type"] == "text/javascript"
        answer = await client.get("/api/v1/tests/errors?callback=f")
        assert answer.text == 'f({"code":100})'
        answer = await client.get("/api/v1/streams/?callback=f&method=PUT")
        assert (answer.status_code, answer.text) == (405, "Method Not Allowed")
        answer = await client.get("/api/v1/versions?callback=")
        assert answer.headers["content-type"] == "application/json"


async def test_jsonp_alone_may_replace_the_method(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        cid = site.names.clients.name_of(site.control.session_views[0].id)
        path = f"/api/v1/clients/{cid}"
        assert "client" in (await client.get(f"{path}?method=DELETE")).json()
        assert "client" in (await client.get(f"{path}?callback=f&method=delete")).text
        assert site.control.kicked == []
        answer = await client.get(f"{path}?callback=f&method=DELETE")
        assert answer.text.startswith('f({"code":0,"server":')
        assert len(site.control.kicked) == 1


@pytest.mark.parametrize(
    "callback", ["alert(1)", "a%20b", "<x>", "a" * 200, "a%3Bb", "a//b", "a'b"]
)
async def test_a_bad_callback_is_a_bad_request(serve: Any, callback: str) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.get(f"/api/v1/versions?callback={callback}")
        assert (answer.status_code, answer.text) == (400, "Bad Request")


async def test_other_origins_get_cors_headers_on_every_answer(serve: Any) -> None:
    async with (
        serve(settings=LOCKED) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        origin = {"Origin": "http://page.example"}
        for path, status in (("/", 200), ("/api/v1/versions", 401)):
            answer = await client.get(path, headers=origin)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "*"
            allowed = answer.headers["access-control-allow-headers"]
            assert "authorization" in allowed.lower()
            assert "access-control-allow-origin" not in (await client.get(path)).headers
        answer = await client.options("/api/v1/clients/x", headers=origin)
        assert (answer.status_code, answer.content) == (200, b"")
        assert "content-type" not in answer.headers


async def test_crossdomain_off_refuses_preflights_and_sends_no_cors(serve: Any) -> None:
    async with (
        serve(settings=SrsApiSettings(crossdomain=False)) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        answer = await client.options(
            "/api/v1/versions", headers={"Origin": "http://a"}
        )
        assert (answer.status_code, answer.content) == (405, b"")
        answer = await client.get("/api/v1/versions", headers={"Origin": "http://a"})
        assert not [name for name in answer.headers if name.startswith("access-")]


@pytest.mark.parametrize(
    ("headers", "status", "challenged"),
    [
        ({}, 401, True),
        # RFC 7617 §2: the scheme's name has no case, a password may hold colons.
        (_basic("admin:a:b:c"), 200, False),
        ({"Authorization": "bAsIc YWRtaW46YTpiOmM="}, 200, False),
        (_basic("admin:a"), 401, True),
        (_basic("admin:"), 401, True),
        (_basic("root:a:b:c"), 401, True),
        (_basic("admin"), 401, False),
        ({"Authorization": "Bearer abc"}, 401, False),
        ({"Authorization": "Basic"}, 401, False),
        ({"Authorization": "Basic !!!"}, 401, False),
        ({"Authorization": "Basic " + "A" * 4001}, 401, False),
    ],
)
async def test_authentication_guards_the_api(
    serve: Any, headers: dict[str, str], status: int, challenged: bool
) -> None:
    async with (
        serve(settings=LOCKED) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        answer = await client.get("/api/v1/versions?callback=f", headers=headers)
        assert answer.status_code == status
        assert ("www-authenticate" in answer.headers) is challenged
        if status == 401:
            assert answer.content == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/metrics", 200),
        ("OPTIONS", "/api/v1/versions", 200),
        ("GET", "/api", 401),
        ("GET", "/api/", 401),
        ("GET", "/x/api/v1/streams", 401),
        ("GET", "/api/v1/raw?rpc=raw", 401),
    ],
)
async def test_what_needs_no_credentials(
    serve: Any, method: str, path: str, status: int
) -> None:
    async with (
        serve(settings=LOCKED) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        assert (await client.request(method, path)).status_code == status


async def test_a_password_that_is_empty_never_matches(serve: Any) -> None:
    settings = SrsApiSettings(username="admin", password="")
    async with serve(settings=settings) as site, httpx.AsyncClient() as client:
        answer = await client.get(f"{site.url}/api/v1/", headers=_basic("admin:"))
        assert answer.status_code == 401


async def test_a_reload_changes_the_credentials(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        assert (await client.get("/api/v1/versions")).status_code == 200
        site.api.configure(LOCKED)
        assert (await client.get("/api/v1/versions")).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "&&&===;;,,",
        "=" * 5000,
        "start=%00%ff&count=%zz",
        "start=99999999999999999999999&count=99999999999999999999999",
        "a" * 30000,
        "&".join(f"k{i}=v" for i in range(3000)),
        "start=-5&count=-5",
        "count=1e9",
    ],
)
async def test_any_query_gets_an_answer(serve: Any, exchange: Any, query: str) -> None:
    async with serve() as site:
        raw = f"GET /api/v1/streams/?{query} HTTP/1.1\r\nHost: x\r\n"
        answer = await exchange(site.url, (raw + "Connection: close\r\n\r\n").encode())
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 0


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /api/v1/versions?\xff\xfe\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300 + b"\r\n\r\n",
        b"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/versions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /api/v1/versions HTTP/nine\r\nHost: x\r\n\r\n",
    ],
)
async def test_malformed_requests_are_refused_with_a_4xx(
    serve: Any, exchange: Any, request_bytes: bytes
) -> None:
    async with serve() as site:
        answer = await exchange(site.url, request_bytes)
        assert answer.split(b" ")[1][:1] == b"4", answer[:80]
        # Nobody else notices.
        ok = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert b" 200 " in (await exchange(site.url, ok))[:20]


async def test_bodies_are_read_and_ignored_and_the_connection_kept(
    serve: Any, exchange: Any
) -> None:
    post = b"POST /api/v1/versions HTTP/1.1\r\nHost: x\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\n{\xff}\r\n0\r\n\r\n"
    sized = b"Content-Length: 70000\r\n\r\n" + b"x" * 70000
    last = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serve() as site:
        answer = await exchange(site.url, post + chunked + post + sized + last)
        assert answer.count(b"HTTP/1.1 200") == 3
        assert answer.count(b"Connection: keep-alive") == 2
        assert answer.count(b"Connection: close") == 1


async def test_http_1_0_is_answered_and_closed(serve: Any, exchange: Any) -> None:
    async with serve() as site:
        answer = await exchange(site.url, b"GET /api/v1/versions HTTP/1.0\r\n\r\n")
        assert b" 200 " in answer[:20]
        assert b"Connection: close" in answer


async def test_a_long_answer_arrives_whole(
    serve: Any, fake: Any, make_stream: Any
) -> None:
    control = fake([], [make_stream(f"{i:032x}", f"s{i}") for i in range(1000)], [])
    async with (
        serve(control) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        wrapped = await client.get("/api/v1/streams?count=1000&callback=f")
        assert wrapped.text.startswith('f({"code":0')
        assert wrapped.text.endswith("]})")
        answer = await client.get("/api/v1/streams?count=1000")
        names = [entry["name"] for entry in answer.json()["streams"]]
        assert names == [f"s{i}" for i in range(1000)]
        assert len(answer.content) > 256 << 10


async def test_entries_that_fill_pieces_exactly_are_still_a_list(
    serve: Any, fake: Any, make_stream: Any
) -> None:
    names = [letter * 70_000 for letter in "abc"]
    control = fake([], [make_stream(f"{i:032x}", n) for i, n in enumerate(names)], [])
    async with (
        serve(control) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        answer = await client.get("/api/v1/streams")
        assert [entry["name"] for entry in answer.json()["streams"]] == names


async def test_https_serves_the_same_answers_and_credentials(
    serve: Any, certificate: Any, client_tls: Any
) -> None:
    async with (
        serve(settings=LOCKED, tls=certificate) as site,
        httpx.AsyncClient(base_url=site.url, verify=client_tls) as client,
    ):
        assert site.url.startswith("https://")
        assert (await client.get("/api/v1/versions")).status_code == 401
        answer = await client.get("/api/v1/versions", headers=_basic("admin:a:b:c"))
        assert answer.json()["code"] == 0
        assert answer.headers["server"] == "SRS/7.0.18(Hang)"
