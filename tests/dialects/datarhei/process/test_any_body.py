"""No body, of whatever shape, gets another answer than a success or a refusal."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ffmpeg", "-", "{processid}", "#p:output=o", "start", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
TEXT = JSON | st.text(max_size=5) | st.sampled_from(["{processid}", "-", "\0", "[x"])
NUMBER = JSON | st.integers(0, 2**70) | st.floats()
RULE = JSON | st.fixed_dictionaries(
    {},
    optional={
        "pattern": TEXT,
        "max_files": NUMBER,
        "max_file_age_seconds": NUMBER | st.text("0123456789", max_size=22),
        "purge_on_delete": JSON | st.booleans(),
    },
)
END = JSON | st.fixed_dictionaries(
    {"address": TEXT | st.just("-")},
    optional={
        "id": TEXT,
        "options": JSON | st.lists(TEXT, max_size=3),
        "cleanup": JSON | st.lists(RULE, max_size=2),
    },
)
CONFIG = JSON | st.fixed_dictionaries(
    {},
    optional={
        "id": TEXT,
        "type": TEXT | st.just("ffmpeg"),
        "reference": TEXT,
        "input": JSON | st.lists(END, max_size=2),
        "output": JSON | st.lists(END, max_size=2),
        "options": JSON | st.lists(TEXT, max_size=2),
        "reconnect": st.booleans() | JSON,
        "reconnect_delay_seconds": NUMBER,
        "autostart": st.booleans() | JSON,
        "stale_timeout_seconds": NUMBER,
        "limits": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "cpu_usage": NUMBER,
                "memory_mbytes": NUMBER,
                "waitfor_seconds": NUMBER,
            },
        ),
    },
)
VALID = st.fixed_dictionaries(
    {
        "input": st.lists(st.fixed_dictionaries({"address": st.text(min_size=1)})),
        "output": st.just([{"address": "-"}]),
    },
    optional={"id": st.text(), "reference": st.text(), "options": st.lists(st.text())},
)
BODIES = st.lists(CONFIG | VALID | st.binary(max_size=20), min_size=1, max_size=8)

_number = count()


async def _ask(api: Any, method: str, path: str, body: Any) -> None:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await api.ask(method, path, octets)
    assert 200 <= answer.status_code < 500, (method, path, body, answer.text)
    shape = json.loads(answer.content)
    if answer.status_code >= 400:
        assert list(shape) == ["code", "message", "details"]
        assert shape["code"] == answer.status_code
        assert all(isinstance(line, str) for line in shape["details"])


@given(BODIES)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.slow
async def test_any_body_is_taken_or_refused(opened: Any, bodies: list[Any]) -> None:
    async with opened("exit 0", database=f"{next(_number)}.db") as api:
        await api.make("p", output=[{"address": "-", "cleanup": [{"max_files": 1}]}])
        for body in bodies:
            await _ask(api, "POST", "/process", body)
            await _ask(api, "PUT", "/process/p/command", body)
            await _ask(api, "PUT", "/process/p/metadata/k", body)
            await _ask(api, "PUT", "/metadata/k", body)
            await _ask(api, "PUT", "/process/p", body)
        for path in ("/process", "/process?idpattern=*", "/process/p", "/metadata"):
            await _ask(api, "GET", path, None)


@given(
    st.text(max_size=30), st.text("&=%+[]{}*?\\-!()|,idpatternreffilter", max_size=40)
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.slow
async def test_any_pattern_is_taken(opened: Any, pattern: str, query: str) -> None:
    async with opened(database=f"{next(_number)}.db") as api:
        await api.make("p")
        for parameters in (
            {"idpattern": pattern, "refpattern": query},
            {"id": pattern, "reference": query, "filter": query},
        ):
            answer = await api.client.get("/api/v3/process", params=parameters)
            assert answer.status_code == 200
        answer = await api.client.get(f"/api/v3/process?{query}")
        assert answer.status_code == 200
