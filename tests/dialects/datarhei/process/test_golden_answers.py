"""Every recorded call of a real Core, asked of penstock and compared whole.

The program is a script that prints what the recorded FFmpeg printed, so that even
reports and progress can be compared; times and figures of the machine are taken out.
"""

from __future__ import annotations

import json
import re
import shlex
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio.testing

DATA = Path(__file__).parents[3] / "data"
RECORDED: list[dict[str, Any]] = json.loads(
    (DATA / "datarhei" / "process-16.16.0.json").read_text("utf-8")
)["calls"]

# What penstock answers otherwise, by the recorded note or the request, and why.
ACCEPTED = {
    "the seed's minimal definition": "relative outputs belong to the disk",
    "string for a number": "the document shows strings of digits",
    "tee": "what the muxer takes is taken: its parts are read as it reads them",
}

PROGRESS = (
    "frame=  164 fps= 25 q=17.0 size=N/A time=00:00:06.40 bitrate=N/A speed=0.979x"
)

_ID = re.compile(r"\b[2-9A-HJ-NP-Za-km-z]{22}\b")
_VARYING = {
    *("created_at", "updated_at", "runtime_seconds", "memory_bytes", "cpu_usage"),
    # How far the recorded run was when it was asked for.
    *("frame", "fps", "time", "speed"),
    # A Core does not find them in what the published FFmpeg prints.
    "coder",
}


def _call(method: str, path: str) -> dict[str, Any]:
    return next(
        call
        for call in RECORDED
        if (call["request"]["method"], call["request"]["path"]) == (method, path)
    )


def _comparable(value: Any) -> Any:
    """Take out what varies."""
    match value:
        case dict():
            return {
                key: "" if key in _VARYING else _comparable(item)
                for key, item in value.items()
            }
        case [str(), str()] if value[0].isdigit():
            return ["", value[1]]  # a line of a log
        case list():
            return [_comparable(item) for item in value]
        case str():
            # Here secrets are masked.
            value = re.sub(r"(token=|streamid=|passphrase=)[^&]+", r"\1***", value)
            value = re.sub(r"(://[^:/@]+):[^@/]+@", r"\1:***@", value)
            return _ID.sub("ID", value)
    return value


def _script(folder: Path) -> str:
    """Return a program that prints what was recorded."""
    run = _call("GET", "/api/v3/process/test/report")["response"]["json"]
    probe = _call("GET", "/api/v3/process/test/probe")["response"]["json"]["log"]
    missing = _call("GET", "/api/v3/process/bad/report")["response"]["json"]["prelude"]
    texts = {"run": run["prelude"], "probe": probe, "missing": missing}
    for name, lines in texts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    at = shlex.quote(str(folder))
    return f"""
case "$*" in
  *nonexistent*) cat {at}/missing.txt >&2; exit 1 ;;
  *libx264*) cat {at}/run.txt >&2; printf '{PROGRESS}\\r' >&2; exec sleep 100 ;;
  *) cat {at}/probe.txt >&2; exit 1 ;;
esac
"""


def _without_words(state: dict[str, Any]) -> dict[str, Any]:
    """Take out what a program has said so far."""
    return {
        key: value
        for key, value in state.items()
        if key not in ("progress", "last_logline")
    }


def _by_id(process: dict[str, Any]) -> str:
    return _ID.sub("ID", str(process["id"]))


def _expected(call: dict[str, Any]) -> Any:
    """Return what was recorded, as penstock improves on it."""
    expected = call["response"]["json"]
    path = call["request"]["path"]
    if path.endswith("/probe"):
        for stream in expected["streams"]:
            stream["fps"] = 25  # "25 tbr"
    return expected


def test_recorded_calls_are_all_there() -> None:
    assert len(RECORDED) == 71


async def _settled(api: Any) -> None:
    """Wait until programs have said what the recorded ones had when asked."""
    await trio.testing.wait_all_tasks_blocked()
    with trio.fail_after(60):
        while True:
            views = await api.jobs.jobs()
            states = [view.state for view in views]
            if all(
                not state.exec.is_on or state.progress.frame
                for state in states
                if state is not None
            ):
                return
            await trio.sleep(0.01)


@pytest.mark.slow
async def test_a_core_s_recorded_answers_are_ours(opened: Any, tmp_path: Path) -> None:
    accepted: list[str] = []
    # Ids that are made must not be met by the patterns: they hold no "s".
    numbers = count(1)
    async with opened(
        _script(tmp_path), random_bytes=lambda size: next(numbers).to_bytes(size, "big")
    ) as api:
        for call in RECORDED:
            request = call["request"]
            path = request["path"].removeprefix("/api/v3")
            if path == "/skills":
                continue
            if request["method"] == "GET":
                await _settled(api)
            answer = await api.ask(request["method"], path, request["body"])
            where = f"{request['method']} {path} {request['body']}"
            if call.get("note") in ACCEPTED:
                assert answer.status_code == 200, where
                if request["method"] == "POST":
                    accepted.append(answer.json()["id"])
                continue
            # The rest was recorded without them.
            while accepted:
                await api.ask("DELETE", f"/process/{accepted.pop()}")
            assert answer.status_code == call["response"]["status"], answer.text
            assert answer.headers["content-type"] == "application/json"
            assert answer.text.endswith("\n")
            ours, theirs = answer.json(), _expected(call)
            if path.startswith("/process?"):
                # A Core's order is none.
                ours.sort(key=_by_id)
                theirs.sort(key=_by_id)
            if call.get("note") == "after the commands":
                # Recorded before the program had said anything.
                ours, theirs = _without_words(ours), _without_words(theirs)
            assert _comparable(ours) == _comparable(theirs), where
