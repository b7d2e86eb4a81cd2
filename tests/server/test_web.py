from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from quart_trio import QuartTrio

from penstock.control import (
    ListenerView,
    RatesView,
    ServerView,
    SessionView,
    StreamView,
    TrackView,
)
from penstock.settings import AdminSettings, AuthSettings, HttpSettings, Settings
from penstock.web import create_app
from penstock.web.access import (
    LoginGate,
    SignIns,
    client_of,
    is_local_admin,
    is_same_origin,
    password_matches,
)

VIDEO = TrackView(
    id=0,
    kind="video",
    codec="h264",
    profile="Main",
    level="3.1",
    width=1280,
    height=720,
    frame_rate=29.970029,
    bitrate_bps=2_500_000,
    key_distance_s=2.0,
    rfc6381="avc1.4D401F",
)
STREAM = StreamView(
    id="5" * 32,
    vhost="default",
    app="live",
    name="demo",
    state="live",
    created_at=900.0,
    live_since=940.0,
    publisher_id="a" * 32,
    publisher_active=True,
    tracks=(VIDEO,),
    viewers=3,
    video_frames=1800,
    bytes_received=1000,
    bytes_sent=3000,
    rates=RatesView(),
    bitrate_bps=2_600_000,
    tc_url="rtmp://10.1.2.3/live?token=hunter2",
    cache_bytes=5,
    dropped_frames=7,
)
SESSION = SessionView(
    id="b" * 32,
    protocol="rtmp",
    role="publish",
    stream_id=STREAM.id,
    vhost="default",
    app="live",
    name="demo",
    extension="",
    address="10.1.2.3",
    port=5,
    tc_url="",
    page_url="",
    swf_url="",
    user_agent="<script>",
    parameters="token=***",
    started_at=900.0,
    age_s=100.0,
    bytes_received=1,
    bytes_sent=2,
    rates=RatesView(),
    behind_bytes=0,
    dropped_frames=0,
)
SERVER = ServerView(
    id="i",
    service_id="s",
    version="0.1",
    pid=4,
    started_at=0.0,
    uptime_s=1000.0,
    listeners=(
        ListenerView("http", "10.9.9.9", 8000, False),
        ListenerView("api.srs", "127.0.0.1", 1985, False),
    ),
    sessions=4,
    sessions_total=9,
    session_errors_total=1,
    streams=1,
    bytes_received=10,
    bytes_sent=20,
    loop_stall_s=0.001,
)


@attrs.define
class Site:
    """An app with its control, asked from any address."""

    control: Any
    app: QuartTrio
    settings: Settings

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        address: str = "203.0.113.5",
        host: str = "live.example:8000",
        **arguments: Any,
    ) -> Any:
        headers = {"Host": host, **arguments.pop("headers", {})}
        return await self.app.test_client(use_cookies=False).open(
            path,
            method=method,
            headers=headers,
            scope_base={"client": (address, 1234)},
            **arguments,
        )

    async def sign_in(self, password: str = "geheim", **arguments: Any) -> Any:
        return await self.ask(
            "/penstock/v1/login",
            method="POST",
            json={"password": password},
            **arguments,
        )


@pytest.fixture
def site(fake_control: Any) -> Site:
    control = fake_control(SERVER, [], [STREAM], [SESSION])
    settings = Settings(admin=AdminSettings(password="geheim"))
    site = Site(control, QuartTrio("unused"), settings)
    site.app = create_app(control, lambda: site.settings, wall=lambda: 1000.0)
    return site


def cookie_of(answer: Any) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


async def test_the_page_comes_with_a_strict_policy_and_an_etag(site: Site) -> None:
    answer = await site.ask("/")
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = await site.ask("/", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert await again.get_data() == b""


async def test_every_file_that_the_page_names_is_served(site: Site) -> None:
    page = (await (await site.ask("/")).get_data()).decode()
    names = set(re.findall(r"/penstock/static/([\w.]+)", page))
    asked: set[str] = set()
    while names - asked:
        name = min(names - asked)
        asked.add(name)
        answer = await site.ask(f"/penstock/static/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["ETag"]
        if name.endswith(".js"):
            script = (await answer.get_data()).decode()
            names |= set(re.findall(r'from "\./([\w.]+)"', script))
    assert {"style.css", "app.js", "player.js", "signal.js", "icon.svg"} <= asked


async def test_the_page_needs_no_inline_code(site: Site) -> None:
    page = (await (await site.ask("/")).get_data()).decode()
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page)


@pytest.mark.parametrize("path", ["/penstock/static/..%2fapp.py", "/x", "/a/b.txt"])
async def test_other_paths_are_not_found(site: Site, path: str) -> None:
    answer = await site.ask(path)
    assert answer.status_code == 404
    assert "error" in await answer.get_json()


async def test_health_is_one_word(site: Site) -> None:
    assert await (await site.ask("/healthz")).get_data() == b"ok\n"


async def test_a_live_path_on_a_kept_connection_is_sent_to_a_new_one(
    site: Site,
) -> None:
    answer = await site.ask("/live/a%20b.mp4?token=x%26y&_=1")
    assert answer.status_code == 307
    assert answer.headers["Location"] == "/live/a%20b.mp4?token=x%26y&_=1"
    assert answer.headers["Connection"] == "close"


async def test_streams_are_shown_to_everybody_without_addresses(site: Site) -> None:
    answer = await site.ask("/penstock/v1/streams")
    text = (await answer.get_data()).decode()
    assert "hunter2" not in text
    assert "10.1.2.3" not in text
    assert "a" * 32 not in text
    (stream,) = json.loads(text)["streams"]
    assert stream["path"] == "/live/demo"
    assert stream["uptime_s"] == 60.0
    assert stream["tracks"][0]["frame_rate"] == 29.97
    assert answer.headers["Cache-Control"] == "no-store"


async def test_names_are_quoted_and_other_hosts_get_their_query(site: Site) -> None:
    site.control.stream_views = [
        attrs.evolve(STREAM, name="a b?#/ü", vhost="x.example", live_since=None)
    ]
    answer = await site.ask("/penstock/v1/streams")
    (stream,) = (await answer.get_json())["streams"]
    assert stream["path"] == "/live/a%20b%3F%23/%C3%BC"
    assert stream["query"] == "?vhost=x.example"
    assert stream["uptime_s"] is None


async def test_many_pages_share_one_answer(
    site: Site, autojump_clock: trio.testing.MockClock
) -> None:
    for _ in range(10):
        await site.ask("/penstock/v1/streams")
    assert site.control.asked == 1
    autojump_clock.jump(1.0)
    await site.ask("/penstock/v1/streams")
    assert site.control.asked == 2


async def test_a_thousand_streams_let_others_run_in_between(site: Site) -> None:
    site.control.stream_views = [
        attrs.evolve(STREAM, id=f"{n:032x}", name=f"s{n}") for n in range(1000)
    ]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        answer = await site.ask("/penstock/v1/streams")
        nursery.cancel_scope.cancel()
    assert len((await answer.get_json())["streams"]) == 1000
    assert turns > 10


async def test_the_server_tells_its_figures_but_no_address(site: Site) -> None:
    site.settings = attrs.evolve(site.settings, auth=AuthSettings(publish="open"))
    answer = await (await site.ask("/penstock/v1/server")).get_json()
    assert answer["listeners"] == [{"name": "http", "port": 8000, "secure": False}]
    assert answer["publish"] == "open"
    assert answer["can_sign_in"] is True
    assert answer["has_jobs"] is False
    assert answer["admin"] is answer["signed_in"] is False
    assert "geheim" not in str(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/penstock/v1/sessions"),
        ("POST", f"/penstock/v1/sessions/{SESSION.id}/kick"),
    ],
)
async def test_strangers_may_neither_see_nor_end_sessions(
    site: Site, method: str, path: str
) -> None:
    answer = await site.ask(path, method=method)
    assert answer.status_code == 401
    assert site.control.kicked == []


async def test_signing_in_opens_the_sessions(site: Site) -> None:
    answer = await site.sign_in()
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/penstock/"} <= set(cookie.split("; "))
    headers = cookie_of(answer)
    sessions = await site.ask("/penstock/v1/sessions", headers=headers)
    record = await sessions.get_json()
    assert record["total"] == 1
    assert record["sessions"][0]["address"] == "10.1.2.3"
    kick = f"/penstock/v1/sessions/{SESSION.id}/kick"
    assert (await site.ask(kick, method="POST", headers=headers)).status_code == 200
    assert site.control.kicked == [(SESSION.id, "kicked on the page")]
    await site.ask("/penstock/v1/logout", method="POST", headers=headers)
    sessions = await site.ask("/penstock/v1/sessions", headers=headers)
    assert sessions.status_code == 401


async def test_the_cookie_is_for_https_only_where_the_page_is(site: Site) -> None:
    plain = await site.sign_in()
    secure = await site.sign_in(scheme="https")
    assert "Secure" not in plain.headers["Set-Cookie"]
    assert "Secure" in secure.headers["Set-Cookie"]


async def test_a_new_password_ends_old_sign_ins(site: Site) -> None:
    headers = cookie_of(await site.sign_in())
    site.settings = Settings(admin=AdminSettings(password="anders"))
    answer = await site.ask("/penstock/v1/sessions", headers=headers)
    assert answer.status_code == 401


async def test_a_sign_in_ends_after_its_time(
    site: Site, autojump_clock: trio.testing.MockClock
) -> None:
    headers = cookie_of(await site.sign_in())
    autojump_clock.jump(12 * 3600 + 1)
    answer = await site.ask("/penstock/v1/sessions", headers=headers)
    assert answer.status_code == 401


async def test_wrong_passwords_are_limited_by_address(
    site: Site, autojump_clock: trio.testing.MockClock
) -> None:
    for _ in range(5):
        assert (await site.sign_in("falsch")).status_code == 403
    refused = await site.sign_in()
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert (await site.sign_in(address="203.0.113.6")).status_code == 200
    autojump_clock.jump(61)
    assert (await site.sign_in()).status_code == 200


async def test_without_a_password_nobody_signs_in(site: Site) -> None:
    site.settings = Settings()
    for password in ("", "geheim"):
        assert (await site.sign_in(password)).status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"password":1}', b"[" * 10_000, b"\xff", b"nul"]
)
async def test_a_malformed_sign_in_is_refused(site: Site, body: bytes) -> None:
    answer = await site.ask("/penstock/v1/login", method="POST", data=body)
    assert answer.status_code == 400


async def test_a_huge_body_is_refused(site: Site) -> None:
    answer = await site.ask("/penstock/v1/login", method="POST", data=b"x" * 20_000)
    assert answer.status_code == 413


async def test_a_wrong_method_names_the_right_ones(site: Site) -> None:
    answer = await site.ask("/penstock/v1/login", method="DELETE")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


async def test_an_unknown_session_is_not_found(site: Site) -> None:
    answer = await site.ask(
        "/penstock/v1/sessions/x/kick",
        method="POST",
        address="127.0.0.1",
        host="localhost:8000",
    )
    assert answer.status_code == 404
    assert (await answer.get_json())["error"] == "No session has that id."


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 200), ("?count=2", 2), ("?start=299", 1), ("?start=-1&count=x", 200)],
)
async def test_sessions_come_in_pages(site: Site, query: str, count: int) -> None:
    site.control.session_views = [
        attrs.evolve(SESSION, id=f"{n:032x}") for n in range(300)
    ]
    answer = await site.ask(
        f"/penstock/v1/sessions{query}", address="::1", host="[::1]:8000"
    )
    record = await answer.get_json()
    assert record["total"] == 300
    assert len(record["sessions"]) == count


async def test_a_failure_inside_is_a_plain_500(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.control.failure = RuntimeError("inner secret")
    answer = await site.ask("/penstock/v1/server")
    assert answer.status_code == 500
    assert "secret" not in (await answer.get_data()).decode()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://live.example:8000"},
    ],
)
async def test_another_origin_changes_nothing(
    site: Site, headers: dict[str, str]
) -> None:
    answer = await site.ask(
        f"/penstock/v1/sessions/{SESSION.id}/kick",
        method="POST",
        address="127.0.0.1",
        host="localhost:8000",
        headers=headers,
    )
    assert answer.status_code == 403
    assert site.control.kicked == []


def admin(
    peer: str,
    host: str,
    headers: dict[str, str] | None = None,
    trusted: tuple[str, ...] = (),
) -> bool:
    return is_local_admin(client_of(peer, headers or {}, trusted), host)


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("127.0.0.1", "localhost:8000"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]:8000"),
        ("::ffff:127.0.0.1", "localhost"),
    ],
)
def test_loopback_clients_are_administrators(peer: str, host: str) -> None:
    assert admin(peer, host)


def test_a_foreign_name_for_loopback_makes_no_administrator() -> None:
    """A page whose name resolves to 127.0.0.1 reaches us from a user's browser."""
    assert not admin("127.0.0.1", "evil.example:8000")
    assert not admin("127.0.0.1", "")
    assert not admin("127.0.0.1", "[")


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip", "via"])
def test_a_proxy_on_loopback_makes_no_administrator(name: str) -> None:
    assert not admin("127.0.0.1", "localhost", {name: "127.0.0.1"})
    assert not admin("127.0.0.1", "localhost", {name: "127.0.0.1"}, ("127.0.0.1",))


def test_a_trusted_proxy_that_forwards_nothing_makes_no_administrator() -> None:
    assert not admin("127.0.0.1", "localhost", {}, ("127.0.0.0/8",))


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("203.0.113.9, nonsense, 10.0.0.2", "10.0.0.2"),
        ("", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_only_trusted_proxies_are_believed(forwarded: str, address: str) -> None:
    headers = {"x-forwarded-for": forwarded}
    assert client_of("10.0.0.1", headers, ["10.0.0.0/8"]).address == address
    assert client_of("10.0.0.1", headers, []).address == "10.0.0.1"


async def test_guesses_behind_a_proxy_are_counted_by_client(site: Site) -> None:
    site.settings = attrs.evolve(
        site.settings, http=HttpSettings(trusted_proxies=["10.0.0.1"])
    )
    proxied: Callable[[str], dict[str, Any]] = lambda address: {  # noqa: E731
        "address": "10.0.0.1",
        "headers": {"X-Forwarded-For": address},
    }
    for _ in range(5):
        await site.sign_in("falsch", **proxied("203.0.113.1"))
    assert (await site.sign_in(**proxied("203.0.113.1"))).status_code == 429
    assert (await site.sign_in(**proxied("203.0.113.2"))).status_code == 200


def test_same_origin_is_told_by_origin_and_host() -> None:
    host = {"host": "live.example:8000"}
    assert is_same_origin(host)
    assert is_same_origin({**host, "origin": "http://live.example:8000"})
    assert not is_same_origin({**host, "origin": "http://live.example"})
    assert not is_same_origin({"host": "", "origin": "null"})
    assert is_same_origin({**host, "sec-fetch-site": "same-origin"})


def test_passwords_are_compared_whole() -> None:
    assert password_matches("gehéim", "gehéim")
    assert not password_matches("geheim", "geheim2")
    assert not password_matches("\ud800", "x")


def test_the_sign_in_table_is_bounded_and_forgets_the_oldest() -> None:
    counter = iter(range(1000))
    table = SignIns(lambda size: next(counter).to_bytes(size), capacity=3)
    tokens = [table.open("p", 0.0) for _ in range(4)]
    assert [table.is_open(t, "p", 1.0) for t in tokens] == [False, True, True, True]


def test_the_gate_is_bounded_and_counts_ipv6_by_network() -> None:
    gate = LoginGate(failures=2, window_s=10.0, capacity=2)
    gate.failed("2001:db8::1", 0.0)
    gate.failed("2001:db8::ffff", 1.0)
    assert gate.wait_s("2001:db8::2", 2.0) == 8.0
    assert gate.wait_s("2001:db8:1::2", 2.0) == 0.0
    assert gate.wait_s("2001:db8::2", 10.5) == 0.0
    for last in range(3):
        gate.failed(f"10.0.0.{last}", 3.0)
    assert gate.wait_s("2001:db8::2", 3.0) == 0.0
