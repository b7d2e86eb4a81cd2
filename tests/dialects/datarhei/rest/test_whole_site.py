"""The start of restreamer-ui, call by call, and what strangers may send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.control import ServerView

KEY = "/api/v3/metadata/restreamer-ui"
LOGIN = {"username": "admin", "password": "longer than that"}


async def test_restreamer_ui_sets_a_password_and_starts(
    world: Any, make_job: Callable[..., Any]
) -> None:
    # Open mode: an id without a login, and nothing that fixes the login.
    about = await world.get("/api")
    assert about["app"] == "datarhei-core"
    assert about["auths"] == []
    assert about["id"]
    assert about["version"]["number"].startswith("16.")
    config = await world.get("/api/v3/config")
    assert "api.auth.enable" not in config["overrides"]

    # The page that sets a password.
    auth = {"enable": True, **LOGIN}
    change = {"version": 3, "api": {"auth": auth}}
    assert (await world.ask("PUT", "/api/v3/config", json=change)).json() == "OK"
    assert await world.get("/api/v3/config/reload") == "OK"
    again = await world.get("/api")
    assert again.get("created_at") != about["created_at"]
    assert again["auths"] == ["localjwt"]
    assert not again.get("id")

    # The login page.
    answer = await world.ask("POST", "/api/login", json=LOGIN)
    tokens = answer.json()
    world.token = tokens["access_token"]
    again = await world.get("/api")
    assert again["id"] == about["id"]

    # A token in local storage.
    world.token = tokens["refresh_token"]
    world.token = (await world.get("/api/login/refresh"))["access_token"]

    assert await world.get("/api/v3/rtmp") == []
    assert (await world.get("/api/v3/srt"))["connections"] == {}
    config = (await world.get("/api/v3/config"))["config"]
    assert config["host"]["name"] == []
    assert config["tls"]["enable"] is False
    assert config["address"] == ":8080"
    for name in ("enable", "enable_tls", "address", "address_tls", "app", "token"):
        assert name in config["rtmp"]
    for name in ("enable", "address", "token", "passphrase"):
        assert name in config["srt"]
    for name in ("enable", "username", "password"):
        assert name in config["storage"]["memory"]["auth"]
        assert name in config["api"]["auth"]
    assert config["api"]["auth"]["enable"] is True

    assert (await world.ask("GET", KEY)).status_code == 404
    assert (await world.ask("PUT", KEY, json={"profile": 1})).status_code == 200
    assert await world.get(KEY) == {"profile": 1}

    # What it goes on to ask.
    assert (await world.ask("HEAD", "/api/v3/fs/mem/x.m3u8")).status_code == 404
    active = "/api/v3/session/active?collectors=ffmpeg,hls,rtmp,srt"
    assert await world.get(active) == {"ffmpeg": [], "hls": [], "rtmp": [], "srt": []}
    page = "/api/v3/fs/disk/player/index.html"
    answer = await world.ask("PUT", page, content=b"<html>")
    assert answer.status_code == 201
    assert (await world.ask("GET", page)).headers["content-type"] == "text/html"


async def test_other_origins_may_ask(world: Any) -> None:
    origin = {"Origin": "https://ui.example"}
    answer = await world.ask("GET", "/api", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_what_datarhei_has_and_we_have_not(world: Any) -> None:
    for method, path in (
        ("POST", "/api/graph/query"),
        ("GET", "/api/graph"),
        ("GET", "/api/swagger/index.html"),
        ("GET", "/profiling/"),
        ("GET", "/profiling/heap"),
    ):
        answer = await world.ask(method, path)
        assert answer.status_code == 404
        assert answer.json()["message"] == "Not Found"


# -- strangers ------------------------------------------------------------------------

_PATHS = [
    "/ping",
    "/metrics",
    "/api",
    "/api/login",
    "/api/login/refresh",
    "/api/v3/config",
    "/api/v3/config/reload",
    "/api/v3/fs",
    "/api/v3/fs/mem",
    "/api/v3/fs/disk",
    "/api/v3/fs/mem/a",
    "/api/v3/fs/disk/a",
    "/api/v3/metadata",
    "/api/v3/metadata/a",
    "/api/v3/log",
    "/api/v3/metrics",
    "/api/v3/session",
    "/api/v3/session/active",
    "/api/v3/rtmp",
    "/api/v3/srt",
    "/api/v3/widget/process/a",
]
_QUERIES = ["glob", "sort", "order", "format", "collectors"]
_METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "X"]
_HEADERS = [
    "authorization",
    "content-length",
    "content-type",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-range",
    "accept-encoding",
    "origin",
]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["version", "metrics", "name", "labels", "api", "auth", "username"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_BODIES = st.binary(max_size=200) | _VALUES.map(lambda v: json.dumps(v).encode())
_ANY_PATHS = st.text(max_size=30).map(lambda text: "/" + quote(text, safe="/%"))


@st.composite
def _requests(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from(_PATHS))
    if draw(st.booleans()):
        path += draw(_ANY_PATHS)
    query = draw(st.dictionaries(st.sampled_from(_QUERIES), st.text(max_size=20)))
    text = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    headers = draw(
        st.dictionaries(
            st.sampled_from(_HEADERS),
            st.binary(max_size=30) | st.just(b"application/json"),
            max_size=4,
        )
    )
    if draw(st.booleans()):
        headers["content-type"] = b"application/json"
    return {
        "method": draw(st.sampled_from(_METHODS)),
        "raw_path": path.encode(),
        "query_string": draw(st.just(text.encode()) | st.binary(max_size=30)),
        "headers": [(name.encode(), value) for name, value in headers.items()],
        "body": draw(_BODIES),
    }


@pytest.mark.slow
@pytest.mark.parametrize("is_shut", [False, True])
def test_whatever_is_sent_is_answered(
    make_world: Callable[..., Any],
    fake_control: Any,
    make_job: Callable[..., Any],
    server_view: ServerView,
    is_shut: bool,
) -> None:
    @settings(
        max_examples=300,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(_requests())
    def check(request: dict[str, Any]) -> None:
        clock = trio.testing.MockClock(autojump_threshold=0.01)
        status = trio.run(ask, request, clock=clock)
        assert 200 <= status < 500

    async def ask(request: dict[str, Any]) -> int:
        world = make_world(fake_control(server_view))
        if is_shut:
            world.section.username = world.section.password = "x"
        await world.mounts[0].file_system.start()
        world.jobs.views = [make_job("a")]
        body = request["body"]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "client": ("10.77.0.9", 1), **request}
        await world.site(scope, receive, send)
        assert sent[-1]["type"] == "http.response.body"
        for name, value in sent[0]["headers"]:
            assert not {b"\r"[0], b"\n"[0], 0} & {*name, *value}
        return int(sent[0]["status"])

    check()
