"""Bodies of requests that make a process or change a part of one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from penstock.dialects.datarhei.answers import Failure
from penstock.dialects.datarhei.json_bodies import JsonBody, decode_body
from penstock.dialects.datarhei.process_config import as_config, created, updated
from penstock.jobs.records import JobRecord, decode_record, encode_record
from penstock.jobs.spec import CleanupRule, JobInput, JobLimits, JobOutput, JobSpec
from penstock.jobs.state import Order

_JSON = "application/json"
_PLACE = re.compile(r"at line ([0-9]+), character ([0-9]+): ")
_NOTHING = JobSpec("", (), ())
_OLD = JobSpec(
    "old",
    (JobInput("i1", "a", ("-re",)), JobInput("i2", "b")),
    (JobOutput("o", "-", ("-f", "null"), (CleanupRule("disk:/*", 3, 4, True),)),),
    "label",
    ("-y",),
    reconnect=True,
    reconnect_delay=5,
    autostart=False,
    stale_timeout=9,
    limits=JobLimits(12.5, 100, 3),
)


def one_input(data: bytes) -> None:
    # What is JSON to others and no deeper than allowed is taken, nothing else; a
    # mistake is told with a place in the text. A process is written and read as the
    # same; a change once more changes nothing, and leaves alone what it does not name.
    body = _decoded(data)
    if body is None:
        return
    made = _or_refused(lambda: created(body, bytes))
    changed = _or_refused(lambda: updated(body, _OLD, bytes))
    if made is not None:
        _check_kept(made)
        assert made.inputs
        assert made.outputs
    if changed is None:
        return
    _check_kept(changed)
    assert updated(body, changed, bytes) == changed
    before, after = as_config(_OLD), as_config(changed)
    named = body.value if isinstance(body.value, dict) else {}
    for key, value in before.items():
        if key not in named or (named[key] is None and not isinstance(value, list)):
            assert after[key] == value
    limits = named.get("limits")
    for key, value in before["limits"].items():
        if not isinstance(limits, dict) or key not in limits:
            assert after["limits"][key] == value
    for kind in ("input", "output"):
        _check_ends(before[kind], named.get(kind), after[kind])


def _decoded(data: bytes) -> JsonBody | None:
    text = data.decode(errors="replace")
    try:
        body = decode_body(data, _JSON)
    except Failure as failure:
        assert (failure.status, failure.message) == (400, "Invalid JSON")
        (detail,) = failure.details
        if match := _PLACE.search(detail):
            lines = text.encode().split(b"\n")
            line, character = int(match[1]), int(match[2])
            assert 1 <= line <= len(lines)
            assert 0 <= character <= len(lines[line - 1]) + 1
        if detail.startswith("syntax error"):
            assert not _is_json(text)
        return None
    assert _is_json(text)
    assert json.dumps(body.value, allow_nan=False)
    return body


def _is_json(text: str) -> bool:
    """Ask the standard library."""

    def refuse(literal: str) -> None:
        raise ValueError(literal)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _or_refused(read: Callable[[], JobSpec]) -> JobSpec | None:
    try:
        return read()
    except Failure as failure:
        assert 400 <= failure.status < 500
        assert failure.message
        return None


def _check_kept(spec: JobSpec) -> None:
    config = as_config(spec)
    assert math.isfinite(config["limits"]["cpu_usage"])
    written = json.dumps(config, allow_nan=False)
    again = decode_body(written.encode(), _JSON)
    assert updated(again, _NOTHING, bytes) == spec
    if spec.id and spec.inputs and spec.outputs:
        assert created(again, bytes) == spec
    record = JobRecord(spec, Order.START, 1, 2, {"key": config})
    assert decode_record(encode_record(record)) == record


def _check_ends(before: list[Any], named: object, after: list[Any]) -> None:
    if not isinstance(named, list):
        return
    assert len(after) == len(named)
    for old, change, new in zip(before, named, after, strict=False):
        for key in ("id", "address"):
            if not isinstance(change, dict) or change.get(key) is None:
                assert new[key] == old[key]
