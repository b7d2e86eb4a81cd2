"""What clients keep with the server, and what it has logged."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import log
from penstock.control.jobs import JobError, JobErrorCode
from penstock.control.records import Record
from penstock.dialects.datarhei.log_routes import console_line, raw_line

KEY = "/api/v3/metadata/restreamer-ui"


async def test_a_value_is_kept_until_it_is_null(world: Any) -> None:
    answer = await world.ask("GET", KEY)
    assert answer.status_code == 404
    assert answer.json()["message"] == "Metadata not found"
    assert answer.json()["details"] == ["unknown key"]
    value = {"a": [1, 2.5, "x", None, True]}
    answer = await world.ask("PUT", KEY, json=value)
    assert (answer.status_code, answer.json()) == (200, value)
    assert await world.get(KEY) == value
    assert await world.get("/api/v3/metadata") == {"restreamer-ui": value}
    answer = await world.ask(
        "PUT", KEY, content=b"null", headers={"Content-Type": "application/json"}
    )
    assert answer.json() is None
    assert (await world.ask("GET", KEY)).status_code == 404


async def test_a_key_may_hold_a_slash(world: Any) -> None:
    await world.ask("PUT", "/api/v3/metadata/a%2Fb", json=1)
    assert world.jobs.kept == {"a/b": 1}
    assert (await world.ask("PUT", "/api/v3/metadata/a/b", json=1)).status_code == 404
    assert (await world.ask("PUT", "/api/v3/metadata/", json=1)).status_code == 404


@pytest.mark.parametrize(
    ("content", "kind", "details"),
    [
        (b"", "application/json", "request doesn't contain any content"),
        (b"1", "text/plain", "request doesn't contain JSON content"),
        (b"1", "", "request doesn't contain JSON content"),
        (
            b"Infinity",
            "application/json",
            "syntax error at line 1, character 1: invalid character 'I' at start of "
            "value",
        ),
        (b"[" * 100_000, "application/json", "exceeded max depth"),
        (b"[1e999]", "application/json", "json: cannot unmarshal number 1e999"),
    ],
)
async def test_what_is_no_value(
    world: Any, content: bytes, kind: str, details: str
) -> None:
    headers = {"Content-Type": kind}
    answer = await world.ask("PUT", KEY, content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Invalid JSON"
    assert answer.json()["details"] == [details]


@pytest.mark.parametrize(
    ("code", "status"), [(JobErrorCode.TOO_LARGE, 400), (JobErrorCode.NOT_KEPT, 500)]
)
async def test_what_is_not_kept_is_said(
    world: Any, code: JobErrorCode, status: int
) -> None:
    world.jobs.error = JobError(code, "why")
    answer = await world.ask("PUT", KEY, json=1)
    assert answer.status_code == status
    assert answer.json()["details"] == ["why"]


async def test_read_only_leaves_metadata_to_be_read(world: Any) -> None:
    world.jobs.kept["restreamer-ui"] = 1
    world.section.read_only = True
    assert (await world.ask("PUT", KEY, json=2)).status_code == 404
    assert await world.get(KEY) == 1


# -- the log --------------------------------------------------------------------------

RECORD = Record(
    1_795_202_130.5695,
    "warning",
    "session ended",
    {"protocol": "rtmp", "bytes_in": 12, "reason": 'say "no"', "ok": True},
)


def test_a_line_of_the_console() -> None:
    assert console_line(RECORD) == (
        'ts=2026-11-20T19:15:30Z level=WARN component="RTMP" msg="session ended" '
        'bytes_in=12 ok=true protocol="rtmp" reason="say \\"no\\""'
    )


def test_a_line_as_an_object() -> None:
    """Its time is as RFC 3339 §5.6 has it."""
    assert raw_line(RECORD) == {
        "protocol": "rtmp",
        "bytes_in": 12,
        "reason": 'say "no"',
        "ok": True,
        "caller": "penstock",
        "component": "RTMP",
        "message": "session ended",
        "ts": "2026-11-20T19:15:30.569Z",
    }


@pytest.mark.parametrize(
    ("message", "component"),
    [("job started", "Process"), ("api request", "HTTP"), ("listening", "Core")],
)
def test_the_component_is_told_by_the_message(message: str, component: str) -> None:
    assert raw_line(Record(0, "info", message, {}))["component"] == component


@pytest.mark.usefixtures("kept_log")
async def test_the_newest_lines_are_shown_in_both_forms(world: Any) -> None:
    for number in range(5):
        log.info("listening", number=number, token="hidden")
    lines = await world.get("/api/v3/log")
    assert [line[-16:] for line in lines] == [
        f'number={n} token="***"'[-16:] for n in (2, 3, 4)
    ]
    assert lines == await world.get("/api/v3/log?format=nonsense")
    records = await world.get("/api/v3/log?format=raw")
    assert [record["number"] for record in records] == [2, 3, 4]
    assert {record["token"] for record in records} == {"***"}


async def test_without_a_ring_there_is_nothing_to_show(world: Any) -> None:
    log.info("listening")
    assert await world.get("/api/v3/log") == []
