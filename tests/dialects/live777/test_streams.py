"""Listing, making and destroying streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio

from penstock.control import Invalid, Unavailable

Make = Callable[..., Any]


async def test_the_list_has_the_seed_documents_shape(
    api: Make, fake: Make, make_stream: Make, make_session: Make
) -> None:
    # The numbers of the document's example: "pull" takes its stream from "web-0".
    stream = make_stream(
        "pull", created_at=1719326203.854, viewers_left_at=1719326203.854
    )
    session = make_session(
        "41b2c52da4fb1eed5a3bff9a9a200d80",
        name="pull",
        started_at=1719326205.079,
        source_url="http://localhost:7777/whep/web-0",
        remote_session_url="http://localhost:7777/session/web-0/aabc",
    )
    site = api(fake([stream], [session]))
    answer = await site.client.get("/api/streams/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.text == (
        '[{"id":"pull","createdAt":1719326203854,"publish":{"leaveAt":0,"sessions":'
        '[{"id":"41b2c52da4fb1eed5a3bff9a9a200d80","createdAt":1719326205079,'
        '"state":"connected","cascade":{"sourceUrl":"http://localhost:7777/whep/web-0",'
        '"sessionUrl":"http://localhost:7777/session/web-0/aabc"},'
        '"hasDataChannel":false}]},'
        '"subscribe":{"leaveAt":1719326203854,"sessions":[]},"codecs":[]}]'
    )


async def test_subscribers_are_listed_and_closed_sessions_are_not(
    api: Make, fake: Make, make_stream: Make, make_session: Make, make_player: Make
) -> None:
    target = "http://localhost:7777/whip/push"
    sessions = [
        make_session(),
        make_player(connection="connecting", target_url=target),
        make_session("e" * 32, "play", connection="closed"),
        make_session("f" * 32, "connect"),
    ]
    stream = make_stream(viewers_left_at=None)
    site = api(fake([stream], sessions))
    (shown,) = (await site.client.get("/api/streams")).json()
    (viewer,) = shown["subscribe"]["sessions"]
    assert viewer["state"] == "connecting"
    assert viewer["cascade"] == {"targetUrl": target}
    assert shown["subscribe"]["leaveAt"] == 0
    assert [one["id"] for one in shown["publish"]["sessions"]] == [sessions[0].id]


async def test_a_publisher_that_left_leaves_the_time_behind(
    api: Make, fake: Make, make_stream: Make
) -> None:
    stream = make_stream(publisher_active=False, publisher_left_at=1795201900.5)
    shown = (await api(fake([stream])).client.get("/api/streams/x")).json()
    assert shown["publish"] == {"leaveAt": 1795201900500, "sessions": []}


async def test_codecs_are_those_of_the_publisher_once_each(
    api: Make, fake: Make, make_stream: Make, make_track: Make
) -> None:
    tracks = (
        make_track("video", "h264", rfc6381="avc1.42E01F", group="simulcast", name="f"),
        make_track("video", "h264", rfc6381="avc1.42E01F", group="simulcast", name="h"),
        make_track("audio", "opus"),
        make_track("data", ""),
    )
    site = api(fake([make_stream(tracks=tracks)]))
    assert (await site.client.get("/api/streams/x")).json()["codecs"] == [
        {
            "kind": "video",
            "codec": "h264",
            "fmtp": "level-asymmetry-allowed=1;packetization-mode=1;"
            "profile-level-id=42e01f",
        },
        {"kind": "audio", "codec": "opus", "fmtp": "minptime=10;useinbandfec=1"},
    ]


async def test_the_filter_takes_repeated_ids_and_ignores_empty_ones(
    api: Make, fake: Make, make_stream: Make
) -> None:
    site = api(fake([make_stream(name) for name in ("b", "a", "c")]))

    async def ids(query: str) -> list[str]:
        listed = (await site.client.get(f"/api/streams/{query}")).json()
        return [one["id"] for one in listed]

    assert await ids("") == ["a", "b", "c"]
    assert await ids("?streams=a&streams=c&streams=zz") == ["a", "c"]
    assert await ids("?streams=") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("key", "id"),
    [
        (("default", "live", "x"), "x"),
        (("default", "app", "x"), "app/x"),
        (("default", "a/b", "x"), "a/b/x"),
        (("default", "live", "a/b"), "live/a/b"),
        (("example.org", "app", "x"), "example.org/app/x"),
        (("default", "live", "é ?"), "é ?"),
    ],
)
async def test_streams_of_other_apps_are_found_by_the_id_that_is_shown(
    api: Make, fake: Make, make_stream: Make, key: tuple[str, str, str], id: str
) -> None:
    stream = make_stream(vhost=key[0], app=key[1], name=key[2])
    site = api(fake([stream]))
    (shown,) = (await site.client.get("/api/streams/")).json()
    assert shown["id"] == id
    path = "".join(f"%{octet:02X}" for octet in id.encode())
    answer = await site.client.get(f"/api/streams/{path}")
    assert answer.json()["id"] == id


async def test_a_slash_that_is_not_encoded_is_no_id(
    api: Make, fake: Make, make_stream: Make
) -> None:
    site = api(fake([make_stream(app="app")]))
    assert (await site.client.get("/api/streams/app/x")).status_code == 404


async def test_a_stream_that_is_missing_is_404_with_its_id(api: Make) -> None:
    answer = await api().client.get("/api/streams/a%2520b")
    assert (answer.status_code, answer.text) == (404, "a%20b")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_a_stream_is_made_once(api: Make) -> None:
    site = api()
    answer = await site.client.post("/api/streams/app%2Fx")
    assert (answer.status_code, answer.text) == (204, "")
    (made,) = site.control.stream_views
    assert (made.app, made.name, made.reserved) == ("app", "x", True)
    again = await site.client.post("/api/streams/app%2Fx")
    assert (again.status_code, again.text) == (409, "resource already exists")


async def test_a_stream_that_cannot_be_made_says_why(api: Make, fake: Make) -> None:
    control = fake()
    site = api(control)
    for error, status in ((Invalid("bad name"), 500), (Unavailable("too many"), 503)):
        control.reserve_error = error
        answer = await site.client.post("/api/streams/x")
        assert (answer.status_code, answer.text) == (status, str(error))


async def test_a_stream_is_destroyed_with_its_sessions(
    api: Make, fake: Make, make_stream: Make
) -> None:
    stream = make_stream()
    site = api(fake([stream]))
    answer = await site.client.delete("/api/streams/x")
    assert (answer.status_code, answer.text) == (204, "")
    assert site.control.destroyed == [(stream.id, "stream destroyed")]
    again = await site.client.delete("/api/streams/x")
    assert (again.status_code, again.text) == (404, "resource not exists")


async def test_the_strategy_is_shown_in_its_own_spelling(api: Make) -> None:
    site = api(strategy={"auto_delete_whip": 60_000})
    assert (await site.client.get("/api/strategy/")).text == (
        '{"each_stream_max_sub":65535,"cascade_push_close_sub":false,'
        '"auto_create_whip":true,"auto_create_whep":true,'
        '"auto_delete_whip":60000,"auto_delete_whep":-1}'
    )


async def test_the_gauges_count_streams_and_sessions(
    api: Make, fake: Make, make_stream: Make, make_session: Make, make_player: Make
) -> None:
    sessions = [make_session(), make_player(target_url="http://b/whip/x")]
    site = api(fake([make_stream(), make_stream("y")], sessions))
    lines = (await site.client.get("/metrics")).text.splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "live777_stream 2",
        "live777_publish 1",
        "live777_subscribe 1",
        "live777_reforward 1",
    ]


# -- events --------------------------------------------------------------------------


class _Listener:
    """An ASGI client that takes an answer piece by piece."""

    def __init__(self, site: Any, path: str) -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "http_version": "1.1",
            "scheme": "http",
            "path": path.partition("?")[0],
            "raw_path": path.partition("?")[0].encode(),
            "query_string": path.partition("?")[2].encode(),
            "root_path": "",
            "headers": [(b"host", b"penstock.test")],
            "client": ("192.0.2.7", 5),
        }
        self.site = site
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._send, self._receive = trio.open_memory_channel[bytes](10)
        self._asked = False

    async def run(self) -> None:
        await self.site.app(self.scope, self._request, self._take)

    async def _request(self) -> dict[str, Any]:
        if self._asked:
            await trio.sleep_forever()
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        elif message.get("body"):
            await self._send.send(message["body"])

    async def next(self) -> bytes:
        with trio.fail_after(60):
            return await self._receive.receive()


async def test_events_are_whole_lists_whenever_something_changes(
    api: Make, make_stream: Make, autojump_clock: trio.testing.MockClock
) -> None:
    site = api()
    listener = _Listener(site, "/api/sse/streams?streams=x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        assert await listener.next() == b"data: []\n\n"
        assert listener.headers[b"content-type"].startswith(b"text/event-stream")
        site.control.stream_views.append(make_stream("y"))
        site.control.change()  # not among those that were asked for
        site.control.stream_views.append(make_stream("x"))
        site.control.change()
        message = await listener.next()
        assert message.startswith(b"data: ")
        assert message.endswith(b"\n\n")
        (shown,) = json.loads(message[6:])
        assert shown["id"] == "x"
        # Nothing new: a comment keeps the connection.
        assert await listener.next() == b":\n\n"
        assert trio.current_time() >= 15
        nursery.cancel_scope.cancel()
