"""Relays by command, through the page's API."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from penstock.sessions import relay as relay_module
from penstock.settings import RelaySettings


@pytest.fixture(autouse=True)
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(relay_module, "_LOOK_S", 0.02)


async def ask(
    server: Any, method: str, path: str, body: object = None, host: str = "localhost"
) -> tuple[int, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    stream = await server.http()
    head = f"{method} /penstock/v1/relays{path} HTTP/1.1\r\nHost: {host}\r\n"
    head += f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    await stream.send_all(head.encode() + data)
    answer = b""
    with trio.fail_after(60):
        while more := await stream.receive_some():
            answer += more
    first, _, rest = answer.partition(b"\r\n")
    return int(first.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])


async def test_a_relay_is_started_listed_and_stopped(
    running_server: Any, media: Any
) -> None:
    async with running_server() as origin, running_server() as edge:
        publisher = await origin.rtmp()
        stream_id = await publisher.publish("a")
        url = f"rtmp://127.0.0.1:{origin.ports['rtmp']}/live/a"
        order = {"source": url, "destination": "live/b"}
        status, view = await ask(edge, "POST", "", order)
        assert (status, view["source"]) == (201, url)
        await publisher.send(stream_id, media.headers() + media.group(0))
        await edge.wait_until(
            lambda: any(s.is_live for s in edge.engine.registry.streams.values())
        )
        status, listed = await ask(edge, "GET", "")
        assert [one["id"] for one in listed["relays"]] == [view["id"]]
        assert listed["relays"][0]["state"] == "running"
        assert await ask(edge, "DELETE", f"/{view['id']}") == (200, {})
        await edge.wait_until(lambda: not edge.engine.registry.sessions)
        assert (await ask(edge, "GET", ""))[1] == {"relays": []}


@pytest.mark.parametrize(
    "order",
    [
        None,
        [],
        {"source": "live/a"},
        {"source": "live/a", "destination": 7},
        {"source": "live/a", "destination": "live/b"},
        {"source": "srt://h:1?mode=nonsense", "destination": "live/b"},
        {"source": "live/a", "destination": "udp://h", "on_demand": False},
        {"source": "live/a", "destination": "rtmp://h/a/b", "on_demand": True},
        {"source": "live/a", "destination": "rtmp://h/a/b", "on_demand": 1},
        {"source": "live/a", "destination": "rtmp://h/a/b", "more": 1},
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_with_what_was_expected(
    running_server: Any, order: object
) -> None:
    async with running_server() as server:
        status, answer = await ask(server, "POST", "", order)
        assert status == 400
        assert "xpected" in answer["error"] or "on_demand" in answer["error"]


async def test_a_configured_relay_is_not_stopped_by_command(
    running_server: Any, settings_of: Any
) -> None:
    relays = [RelaySettings(source="live/a", destination="rtmp://127.0.0.1:1/a/b")]
    async with running_server(settings_of(relay=relays)) as server:
        await server.wait_until(lambda: server.engine.registry is not None)
        _, listed = await ask(server, "GET", "")
        (view,) = listed["relays"]
        status, answer = await ask(server, "DELETE", f"/{view['id']}")
        assert status == 404
        assert "command" in answer["error"]


async def test_others_see_and_change_nothing(running_server: Any) -> None:
    async with running_server() as server:
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/x")):
            status, answer = await ask(server, method, path, {}, host="example.org")
            assert status == 401
            assert "Sign in" in answer["error"]
