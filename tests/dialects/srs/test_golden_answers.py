"""Every recorded call of a real SRS, asked of penstock and compared.

Compared are the status, the headers, and the body's keys, their order and the kinds
of values. Where penstock answers otherwise, `DEPARTURES` says so and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data" / "srs" / "answers-7.0.18.json"
RECORDED: list[dict[str, Any]] = json.loads(DATA.read_text("utf-8"))["calls"]

DEPARTURES: dict[str, tuple[str, str]] = {
    # where: (what, why)
    "header Connection": (
        "keep-alive or close, whichever is true",
        "SRS says Close and keeps the connection open",
    ),
    "header Access-Control-Allow-Headers": (
        "*, Authorization",
        "browsers do not let * stand for Authorization",
    ),
    "GET /api/v1": ("200 and the listing", "saves clients a redirect"),
    "GET /api/v1/vhosts": ("200 and the list", "saves clients a redirect"),
    "GET /api/v1/requests": (
        "the echo of tests/requests",
        "the document names this path; SRS answers the listing",
    ),
    "GET /api/v1/authors": (
        "also primary_authors and contributors_link",
        "the document shows these older keys",
    ),
}

# (request line, its index among equal ones) -> the recorded exchange to compare with.
_FRESH = 3
_SAME_AS = {
    "GET /api/v1": "GET /api/v1/",
    "GET /api/v1/vhosts": "GET /api/v1/vhosts/",
    "GET /api/v1/requests": "GET /api/v1/tests/requests",
}


def _line(call: dict[str, Any]) -> str:
    return f"{call['request']['method']} {call['request']['path']}"


def _recorded(line: str) -> dict[str, Any]:
    return next(c for c in RECORDED[_FRESH:] if _line(c) == line)


def _ours(call: dict[str, Any], ids: dict[str, str], host: str) -> bytes:
    request = call["request"]
    path = request["path"]
    for theirs, ours in ids.items():
        path = path.replace(theirs, ours)
    body = request["body"]
    octets = (
        b""
        if body is None
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    lines = [f"{request['method']} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request["headers"].items()]
    if body is not None:
        lines.append(f"Content-Length: {len(octets)}")
    lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + octets


def _parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in lines[1:]]
    headers = {name: value for name, _, value in pairs if name.lower() != "date"}
    assert len(headers) == len([p for p in pairs if p[0].lower() != "date"])
    return int(lines[0].split()[1]), headers, body


def _shape(value: object) -> object:
    """Reduce a value to its keys in order and kinds; numbers are told by their text."""
    if isinstance(value, dict):
        return [(key, _shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [_shape(item) for item in value[:1]]
    return type(value).__name__


def _numbers_have_two_decimals(body: bytes) -> bool:
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body)
    return all(
        re.fullmatch(rb"-?\d+\.\d\d", number)
        for number in re.findall(rb"-?\d+\.\d+", bare)
    )


def _compare(call: dict[str, Any], answer: bytes) -> None:
    line = _line(call)
    expected = (_recorded(_SAME_AS[line]) if line in _SAME_AS else call)["response"]
    status, headers, body = _parsed(answer)
    assert status == expected["status"], line
    assert int(headers["Content-Length"]) == len(body)
    assert headers.pop("Connection") == "close"
    wanted = dict(expected["headers"]) | {"Content-Length": str(len(body))}
    del wanted["Connection"]
    if "Access-Control-Allow-Headers" in wanted:
        wanted["Access-Control-Allow-Headers"] = "*, Authorization"
    assert headers == wanted, line
    assert _numbers_have_two_decimals(body)
    if "text" in expected:
        blank = re.compile(r'"(server|service|pid)":"[^"]*"')
        assert blank.sub("", body.decode()) == blank.sub("", expected["text"]), line
        return
    ours, theirs = json.loads(body), dict(expected["json"])
    assert b": " not in re.sub(rb'"[^"]*"', b"", body)
    if line == "GET /api/v1/authors":
        theirs["data"] = theirs["data"] | {
            "primary_authors": "",
            "contributors_link": "",
        }
    assert _shape(ours) == _shape(theirs), line
    assert ours["code"] == theirs["code"], line
    if "urls" in theirs:
        assert ours["urls"] == theirs["urls"]
        assert ours.get("tests") == theirs.get("tests")


def test_recorded_calls_of_srs_are_all_there() -> None:
    assert len(RECORDED) == 50
    assert {line for line in DEPARTURES if line.startswith("GET")} >= _SAME_AS.keys()


async def _replay(
    calls: list[dict[str, Any]],
    site: Any,
    exchange: Callable[[str, bytes], Awaitable[bytes]],
) -> None:
    names = site.names
    engine_streams = [view.id for view in site.control.stream_views]
    ids = {}
    if engine_streams:
        sessions = site.control.session_views
        ids = {
            "vid-12ge492": names.streams.name_of(engine_streams[0]),
            "vid-pvdd3l0": names.vhosts.name_of(site.control.vhost_views[0].id),
            "04869oo4": names.clients.name_of(sessions[0].id),
            "16650i3l": names.clients.name_of(sessions[1].id),
        }
    for call in calls:
        if call.get("note") in ("after kick-off, a player is left", "again"):
            site.control.vanish()
        host = site.url.removeprefix("http://")
        _compare(call, await exchange(site.url, _ours(call, ids, host)))


async def test_a_fresh_server_answers_as_srs_does(
    serve: Any, fake: Any, exchange: Any
) -> None:
    async with serve(fake()) as site:
        await _replay(RECORDED[:_FRESH], site, exchange)


async def test_a_busy_server_answers_as_srs_does(serve: Any, exchange: Any) -> None:
    async with serve() as site:
        await _replay(RECORDED[_FRESH:], site, exchange)
        assert [reason for _, reason in site.control.kicked] == [
            "kicked through the SRS API"
        ] * 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/versions", {"version": "7.0.18", "major": 7}),
        ("/api/v1/streams/", None),
    ],
)
async def test_values_that_clients_read_are_those_of_the_engine(
    serve: Any, exchange: Any, path: str, expected: dict[str, object] | None
) -> None:
    async with serve() as site:
        raw = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = json.loads(_parsed(await exchange(site.url, raw.encode()))[2])
    if expected is not None:
        assert answer["data"].items() >= expected.items()
        return
    theirs = _recorded("GET /api/v1/streams/")["response"]["json"]["streams"][0]
    varying = {"id", "vhost", "live_ms", "publish"}
    (ours,) = answer["streams"]
    assert {k: v for k, v in ours.items() if k not in varying} == {
        k: v for k, v in theirs.items() if k not in varying
    }
