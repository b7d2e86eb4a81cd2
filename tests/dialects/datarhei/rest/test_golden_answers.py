"""Every recorded call of a real datarhei Core, asked of penstock and compared.

Compared are the status, the headers that mean something, and the body's keys and the
kinds of its values; of errors the words as well. Where penstock answers otherwise,
`DEPARTURES` says so and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[3] / "data" / "datarhei" / "rest-16.16.0.json"
CALLS: list[dict[str, Any]] = json.loads(DATA.read_text("utf-8"))["calls"]

DEPARTURES: dict[str, str] = {
    "GET /api/v3/log": "what is logged is our own",
    "GET /api/v3/log?format=raw": "what is logged is our own",
    "GET /memfs/dir/a.txt": "served by the mounts, not by these routes",
}
_COMPARED = ("content-type", "content-location", "last-modified")


def _shape(value: object) -> object:
    """Return keys and kinds; whole numbers are numbers as others are."""
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def _same_shape(ours: object, theirs: object) -> None:
    assert json.dumps(_shape(ours)) == json.dumps(_shape(theirs))


def _call(line: str, index: int = 0) -> dict[str, Any]:
    found = [c for c in CALLS if _line(c) == line]
    assert found, line
    return found[index]


def _line(call: dict[str, Any]) -> str:
    return f"{call['request']['method']} {call['request']['path']}"


async def _replay(world: Any, call: dict[str, Any]) -> Any:
    request, recorded = call["request"], call["response"]
    headers = dict(request["headers"])
    body: dict[str, Any] = {}
    if isinstance(request["body"], str):
        body["content"] = request["body"].encode()
    elif request["body"] is not None:
        body["json"] = request["body"]
    answer = await world.ask(
        request["method"], request["path"], headers=headers, **body
    )
    assert answer.status_code == recorded["status"], (_line(call), answer.text)
    for name in _COMPARED:
        theirs = {key.lower(): value for key, value in recorded["headers"].items()}
        if name in theirs:
            assert answer.headers[name] == theirs[name], (_line(call), name)
    if recorded["status"] >= 400 and "json" in recorded:
        assert answer.json() == recorded["json"]
    elif "text" in recorded:
        assert answer.text == recorded["text"]
    return answer


_EXACT = [
    "GET /ping",
    "GET /api/v3/fs",
    "GET /api/v3/fs/zzz",
    "GET /api/v3/fs/mem/none",
    "HEAD /api/v3/fs/mem/none",
    "GET /api/v3/metadata",
    "GET /api/v3/rtmp",
    "GET /api/v3/srt",
    "GET /api/v3/session/active?collectors=ffmpeg,hls,rtmp,srt",
    "GET /api/v3/session?collectors=ffmpeg,hls",
    "GET /api/v3/metrics",
    "GET /api/v3/zzz",
]


@pytest.mark.parametrize("line", _EXACT)
async def test_an_answer_is_the_recorded_one(world: Any, line: str) -> None:
    call = _call(line)
    answer = await _replay(world, call)
    if "json" in call["response"]:
        assert answer.json() == call["response"]["json"]


async def test_the_walk_through_a_file_system_is_the_recorded_one(world: Any) -> None:
    world.clock[0] = 1_795_202_145
    for call in CALLS:
        line = _line(call)
        if "/api/v3/fs/mem" in line and "none" not in line:
            answer = await _replay(world, call)
            recorded = call["response"].get("json")
            if recorded is not None:
                assert answer.json() == recorded


async def test_about_has_the_recorded_members(world: Any) -> None:
    answer = await _replay(world, _call("GET /api"))
    _same_shape(answer.json(), _call("GET /api")["response"]["json"])
    assert answer.json()["version"]["number"] == "16.16.0"
    assert answer.json()["name"] == "summer-bush-9567"
    assert answer.json()["id"] == "d06c26c0-9add-4496-8096-09d9a1ef851d"
    assert answer.json()["uptime_seconds"] == 3


async def test_the_configuration_has_every_recorded_member_in_its_order(
    world: Any,
) -> None:
    answer = await _replay(world, _call("GET /api/v3/config"))
    theirs = _call("GET /api/v3/config")["response"]["json"]
    ours = answer.json()
    assert list(ours) == list(theirs)

    def keys(value: Any) -> Any:
        if isinstance(value, dict):
            return [(name, keys(item)) for name, item in value.items()]
        return None if isinstance(value, int | float) else type(value).__name__

    assert keys(ours["config"]) == keys(theirs["config"])


async def test_a_query_of_figures_has_the_recorded_series(world: Any) -> None:
    call = _call("POST /api/v3/metrics")
    answer = await _replay(world, call)
    recorded = call["response"]["json"]

    def series(body: dict[str, Any]) -> list[tuple[str, str]]:
        return sorted((m["name"], json.dumps(m["labels"])) for m in body["metrics"])

    assert series(answer.json()) == series(recorded)
    assert answer.json()["timerange_sec"] == answer.json()["interval_sec"] == 0


async def test_a_widget_has_the_recorded_members(
    world: Any, make_job: Callable[..., Any]
) -> None:
    world.jobs.views = [make_job("test", "ref one")]
    call = _call("GET /api/v3/widget/process/test")
    answer = await _replay(world, call)
    assert answer.json() == call["response"]["json"]


async def test_logging_in_goes_the_recorded_way(
    world: Any, autojump_clock: object
) -> None:
    """The recorded tokens come from a library of another language."""
    world.clock[0] = 1_795_202_151
    await _replay(world, _call("PUT /api/v3/config"))
    await _replay(world, _call("PUT /api/v3/config", 1))
    await _replay(world, _call("GET /api/v3/config/reload"))
    about = _call("GET /api", 1)
    answer = await _replay(world, about)
    assert answer.json() == about["response"]["json"]
    await _replay(world, _call("GET /api/v3/process"))
    answer = await _replay(world, _call("POST /api/login"))
    assert list(answer.json()) == ["access_token", "refresh_token"]
    # With the key of the recording, its own tokens hold here.
    answer = await _replay(world, _call("GET /api", 2))
    _same_shape(answer.json(), _call("GET /api", 2)["response"]["json"])
    answer = await _replay(world, _call("GET /api/login/refresh"))
    assert list(answer.json()) == ["access_token"]
    await _replay(world, _call("GET /api/v3/process", 1))
    await _replay(world, _call("POST /api/login", 1))


def test_every_recorded_call_is_compared_or_a_departure() -> None:
    walked = {_line(call) for call in CALLS if "/api/v3/fs/mem" in _line(call)}
    single = {
        "GET /api",
        "GET /api/v3/config",
        "GET /api/v3/config/reload",
        "PUT /api/v3/config",
        "POST /api/v3/metrics",
        "GET /api/v3/widget/process/test",
        "GET /api/v3/process",
        "POST /api/login",
        "GET /api/login/refresh",
    }
    known = {*_EXACT, *walked, *single, *DEPARTURES}
    assert {_line(call) for call in CALLS} == known
