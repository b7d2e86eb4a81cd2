"""Every refusal of the process family, word by word."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
import trio.testing

from penstock.jobs.addresses import AccessList

IN = {"id": "i", "address": "in"}
OUT = {"id": "o", "address": "-"}
INVALID = "Invalid process config"


def config(**wishes: Any) -> dict[str, Any]:
    return {"id": "P", "input": [IN], "output": [OUT], "autostart": False} | wishes


def tag(struct: str, field: str, rule: str = "required") -> str:
    return (
        f"Key: '{struct}.{field}' Error:Field validation for '{field}' failed"
        f" on the '{rule}' tag"
    )


def failure(status: int, message: str, *details: str) -> tuple[int, dict[str, Any]]:
    return status, {"code": status, "message": message, "details": list(details)}


async def refused(api: Any, method: str, path: str, body: Any = None) -> Any:
    answer = await api.ask(method, path, body)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


# What both POST and PUT say of a config.
JOB_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"id": ""}, "an empty ID is not allowed"),
    ({"id": " \t"}, "an empty ID is not allowed"),
    (
        {"input": [{"id": "i", "address": ""}]},
        "reference error for '#P:i': empty address",
    ),
    (
        {"input": [{"id": "i", "address": "#x"}]},
        "reference error for '#P:i': invalid format (#x)",
    ),
    (
        {"input": [{"id": "i", "address": "#P:output=o"}]},
        "reference error for '#P:i': self-reference not possible (#P:output=o)",
    ),
    (
        {"input": [{"id": "i", "address": "#no:output=o"}]},
        "reference error for '#P:i': unknown process 'no' (#no:output=o)",
    ),
    (
        {"input": [{"id": "i", "address": "#other:output=no"}]},
        "reference error for '#P:i': the process 'other' has no outputs with the ID"
        " 'no' (#other:output=no)",
    ),
    (
        {"input": [{"id": " ", "address": "a"}]},
        "empty input IDs are not allowed (process 'P')",
    ),
    (
        {"input": [IN, IN]},
        "the input ID 'i' is already in use for the process `P`",
    ),
    (
        {"input": [{"id": "i", "address": "  "}]},
        "the address for input '#P:i' must not be empty",
    ),
    (
        {"input": [{"id": "i", "address": "http://blocked/"}]},
        "the address for input '#P:i' (http://blocked/) is invalid:"
        " address is not allowed",
    ),
    (
        {"input": [{"id": "i", "address": "http://[::1"}]},
        "the address for input '#P:i' (http://[::1) is invalid:"
        " parse \"//[::1\": missing ']' in host",
    ),
    (
        {"output": [{"id": " ", "address": "-"}]},
        "empty output IDs are not allowed (process 'P')",
    ),
    (
        {"output": [OUT, OUT]},
        "the output ID 'o' is already in use for the process `P`",
    ),
    (
        {"output": [{"id": "o", "address": " "}]},
        "the address for output '#P:o' must not be empty",
    ),
    (
        {"output": [{"id": "o", "address": "/etc/x"}]},
        "the address for output '#P:o' is invalid: /etc/x is not inside of /core/data",
    ),
    (
        {"output": [{"id": "o", "address": "rtmp://blocked/x"}]},
        "the address for output '#P:o' is invalid: address is not allowed",
    ),
    (
        {"output": [{"id": "{processid}", "address": " "}]},
        "the address for output '#P:P' must not be empty",
    ),
]


@pytest.mark.parametrize(("wish", "detail"), JOB_ERRORS)
async def test_a_config_that_cannot_be_is_refused_in_a_core_s_words(
    opened: Any, wish: dict[str, Any], detail: str
) -> None:
    blocked = AccessList(block=["blocked"])
    async with opened(reads=blocked, writes=blocked) as api:
        await api.make("other")
        new = await refused(api, "POST", "/process", config(**wish))
        assert new == failure(400, INVALID, detail)
        await api.make("P")
        before = await api.get("/process/P")
        change = await refused(api, "PUT", "/process/P", wish)
        assert change == failure(400, "Process can't be updated", detail)
        after = await api.get("/process/P")
        before["state"]["runtime_seconds"] = after["state"]["runtime_seconds"]
        assert after == before


# What both say of a body that is no config; a body as text is sent as it is.
BODY_ERRORS: list[tuple[Any, tuple[str, ...]]] = [
    ("", ("request doesn't contain any content",)),
    ("{", ("syntax error at line 1, character 1: unexpected end of JSON input",)),
    (
        "[]",
        (
            "expect type 'api.ProcessConfig' for '' at line 1, character 2: json:"
            " cannot unmarshal array into Go value of type api.ProcessConfig",
        ),
    ),
    (
        config(input=None, output=None),
        (tag("ProcessConfig", "Input"), tag("ProcessConfig", "Output")),
    ),
    (config(output=None), (tag("ProcessConfig", "Output"),)),
    (config(type="vlc"), (tag("ProcessConfig", "Type", "oneof"),)),
]


@pytest.mark.parametrize(("body", "details"), BODY_ERRORS)
async def test_a_body_that_is_no_config_is_refused_in_a_core_s_words(
    opened: Any, body: Any, details: tuple[str, ...]
) -> None:
    async with opened() as api:
        await api.make("P")
        expected = failure(400, "Invalid JSON", *details)
        assert await refused(api, "POST", "/process", body) == expected
        assert await refused(api, "PUT", "/process/P", body) == expected


# member, value, type, how the value is called, path of the value
TYPE_ERRORS: list[tuple[str, Any, str, str, str]] = [
    ("id", 1, "string", "number", "id"),
    ("type", True, "string", "bool", "type"),
    ("reference", {}, "string", "object", "reference"),
    ("input", "no", "[]api.ProcessConfigIO", "string", "input"),
    ("input", [1], "api.ProcessConfigIO", "number", "input.0"),
    ("input", [IN, {"address": []}], "string", "array", "input.1.address"),
    ("output", [{"options": "-y"}], "[]string", "string", "output.0.options"),
    ("output", [{"options": ["-b", 1]}], "string", "number", "output.0.options.1"),
    ("options", {"a": 1}, "[]string", "object", "options"),
    ("reconnect", "true", "bool", "string", "reconnect"),
    ("autostart", 1, "bool", "number", "autostart"),
    ("reconnect_delay_seconds", "1", "uint64", "string", "reconnect_delay_seconds"),
    ("stale_timeout_seconds", -1, "uint64", "number -1", "stale_timeout_seconds"),
    ("stale_timeout_seconds", 1.5, "uint64", "number 1.5", "stale_timeout_seconds"),
    (
        "stale_timeout_seconds",
        2**64,
        "uint64",
        f"number {2**64}",
        "stale_timeout_seconds",
    ),
    ("limits", [], "api.ProcessConfigLimits", "array", "limits"),
    ("limits", {"cpu_usage": "1"}, "float64", "string", "limits.cpu_usage"),
    ("limits", {"memory_mbytes": 0.5}, "uint64", "number 0.5", "limits.memory_mbytes"),
    *(
        ("output", [{"cleanup": [rule]}], type_, name, f"output.0.cleanup.0.{field}")
        for rule, type_, name, field in [
            ({"max_files": "x"}, "uint", "string", "max_files"),
            ({"max_files": "-1"}, "uint", "string", "max_files"),
            ({"max_files": -1}, "uint", "number -1", "max_files"),
            ({"max_file_age_seconds": ""}, "uint", "string", "max_file_age_seconds"),
            (
                {"max_file_age_seconds": "9" * 20},
                "uint",
                "string",
                "max_file_age_seconds",
            ),
            ({"purge_on_delete": "1"}, "bool", "string", "purge_on_delete"),
            ({"pattern": None, "max_files": 1.0}, "uint", "number 1.0", "max_files"),
        ]
    ),
]


@pytest.mark.parametrize(("member", "value", "type_", "name", "path"), TYPE_ERRORS)
async def test_a_value_of_another_type_is_told_with_its_place(
    opened: Any, member: str, value: Any, type_: str, name: str, path: str
) -> None:
    body = json.dumps({"x": [{"id": 0}]} | config(**{member: value}))
    # Nothing of what is sent stands before the wrong value a second time.
    found = _innermost(value, path.split(".")[1:])
    begin = body.index(json.dumps(found), body.index(f'"{member}": '))
    end = begin + len(json.dumps(found))
    expected = failure(
        400,
        "Invalid JSON",
        f"expect type '{type_}' for '{path}' at line 1, character {end + 1}: json:"
        f" cannot unmarshal {name} into Go struct field ProcessConfig.{path}"
        f" of type {type_}",
    )
    async with opened() as api:
        assert await refused(api, "POST", "/process", body) == expected
        await api.make("P")
        assert await refused(api, "PUT", "/process/P", body) == expected


def _innermost(value: Any, path: list[str]) -> Any:
    for step in path:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


async def test_refusals_of_a_new_process_alone(opened: Any) -> None:
    async with opened(max_running=1) as api:

        async def post(body: Any) -> Any:
            return await refused(api, "POST", "/process", body)

        none = failure(400, "At least one input and one output need to be defined")
        for empty in (["input"], ["output"], ["input", "output"]):
            assert await post(config(**{end: [] for end in empty})) == none
        assert await post(config(type="")) == failure(
            400, "Unsupported process type", "Supported process types are: ffmpeg"
        )
        await api.make("P", autostart=True)
        exists = failure(400, INVALID, "process already exists")
        assert await post(config()) == exists
        reached = "max. number of running processes (1) reached"
        assert await post(config(id="Q", autostart=True)) == failure(
            400, INVALID, reached
        )
        assert [one["id"] for one in await api.get("/process")] == ["P"]


async def test_refusals_of_a_change_alone(opened: Any) -> None:
    async with opened() as api:
        await api.make("P")
        await api.make("other")

        async def put(body: Any, path: str = "/process/P") -> Any:
            return await refused(api, "PUT", path, body)

        cannot = "Process can't be updated"
        for body in ({}, "", "{", {"input": 1}):
            unknown = failure(404, "Process not found", "a/b")
            assert await put(body, "/process/a%2Fb") == unknown
        for end in ("input", "output"):
            text = f"at least one {end} must be defined for the process 'P'"
            assert await put({end: []}) == failure(400, cannot, text)
        exists = failure(400, cannot, "process already exists")
        assert await put({"id": "other"}) == exists


async def test_refusals_of_commands(opened: Any) -> None:
    async with opened(max_running=1) as api:
        await api.make("P")
        await api.make("Q", autostart=True)

        async def put(body: Any, id_: str = "P") -> Any:
            return await refused(api, "PUT", f"/process/{id_}/command", body)

        missing = failure(400, "Invalid JSON", tag("Command", "Command"))
        for body in ({}, {"command": ""}, {"command": None}, "null"):
            assert await put(body) == missing
        known = "Known commands are: start, stop, reload, restart"
        for word in ("dance", "Start", " start"):
            expected = failure(400, "Unknown command provided", known)
            assert await put({"command": word}) == expected
        for word in ("start", "stop", "restart", "reload"):
            expected = failure(400, "Command failed", "unknown process")
            assert await put({"command": word}, "nope") == expected
        assert await put({"command": "start"}) == failure(
            400, "Command failed", "max. number of running processes (1) reached"
        )
        assert await put({"command": 1}) == failure(
            400,
            "Invalid JSON",
            "expect type 'string' for 'command' at line 1, character 14: json: cannot"
            " unmarshal number into Go struct field Command.command of type string",
        )


async def test_no_refusal_shows_the_server_s_own_password(opened: Any) -> None:
    source = {"id": "i", "address": "{memfs}/x?token=T"}
    shown = "http://admin:***@127.0.0.1:24080/memfs/x?token=***"
    async with opened(reads=AccessList(block=["memfs"])) as api:
        assert await refused(
            api, "POST", "/process", config(input=[source])
        ) == failure(
            400,
            INVALID,
            f"the address for input '#P:i' ({shown}) is invalid:"
            " address is not allowed",
        )


async def test_a_process_whose_source_is_gone_says_so_and_does_not_start(
    opened: Any,
) -> None:
    reads = [{"id": "i", "address": "#source:output=o"}]
    async with opened() as api:
        await api.make("source")
        await api.make("P", input=reads)
        assert (await api.ask("DELETE", "/process/source")).status_code == 200
        # Readers are told in tasks of their own.
        await trio.testing.wait_all_tasks_blocked()
        reason = (
            "reference error for '#P:i': unknown process 'source' (#source:output=o)"
        )
        process = await api.get("/process/P")
        state = process["state"]
        progress = state.pop("progress")
        assert not any(progress.values())
        assert state == {
            "order": "",
            "exec": "",
            "runtime_seconds": 0,
            "reconnect_seconds": 0,
            "last_logline": reason,
            "memory_bytes": 0,
            "cpu_usage": 0,
            "command": None,
        }
        assert process["report"] == {
            "created_at": -62135596800,
            "prelude": None,
            "log": [],
            "history": [],
        }
        assert await api.get("/process/P/probe") == {"streams": [], "log": [reason]}
        for command, detail in [
            ("start", "invalid process definition"),
            # It has no order that it could stand by.
            ("restart", "invalid process definition"),
            ("reload", reason),
        ]:
            body = {"command": command}
            answer = await refused(api, "PUT", "/process/P/command", body)
            assert answer == failure(400, "Command failed", detail)
        answer = await api.ask("PUT", "/process/P/command", {"command": "stop"})
        assert answer.json() == "OK"
        assert (await api.ask("DELETE", "/process/P")).json() == "OK"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/process/nope"),
        ("GET", "/process/nope?filter=config"),
        ("GET", "/process/nope/config"),
        ("GET", "/process/nope/state"),
        ("GET", "/process/nope/report"),
        ("GET", "/process/nope/metadata"),
        ("GET", "/process/nope/metadata/k"),
        ("PUT", "/process/nope/metadata/k"),
        ("DELETE", "/process/nope"),
    ],
)
async def test_an_unknown_process_is_not_found(
    opened: Any, method: str, path: str
) -> None:
    async with opened() as api:
        body = {"a": 1} if method == "PUT" else None
        expected = failure(404, "Unknown process ID", "unknown process")
        assert await refused(api, method, path, body) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/process/P"),
        ("POST", "/process/P"),
        ("PUT", "/process"),
        ("DELETE", "/process"),
        ("GET", "/process/"),
        ("GET", "/process//P"),
        ("GET", "/process/P/nothing"),
        ("GET", "/process/P/command"),
        ("PUT", "/process/P/metadata/"),
        ("GET", "/process/P/metadata/"),
        ("PUT", "/process/P/playout/i/status"),
    ],
)
async def test_other_paths_are_not_found(opened: Any, method: str, path: str) -> None:
    async with opened() as api:
        await api.make("P")
        expected = failure(404, "Not Found", "Not Found")
        assert await refused(api, method, path, {}) == expected


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/process", config(id="Q")),
        ("PUT", "/process/P", {}),
        ("DELETE", "/process/P", None),
        ("PUT", "/process/P/command", {"command": "start"}),
        ("PUT", "/process/P/metadata/k", 1),
        ("PUT", "/metadata/k", 1),
    ],
)
async def test_read_only_has_no_routes_that_write(
    opened: Any, method: str, path: str, body: Any
) -> None:
    async with opened() as api:
        await api.make("P")
        api.is_read_only = True
        expected = failure(404, "Not Found", "Not Found")
        assert await refused(api, method, path, body) == expected
        assert [one["id"] for one in await api.get("/process")] == ["P"]
        api.is_read_only = False
        assert (await api.ask(method, path, body)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "status"),
        ("GET", "reopen"),
        ("GET", "keyframe/last.png"),
        ("GET", "errorframe/encode"),
        ("PUT", "errorframe/a.jpg"),
        ("POST", "errorframe/a.jpg"),
        ("PUT", "stream"),
    ],
)
async def test_no_input_has_a_playout(opened: Any, method: str, path: str) -> None:
    async with opened() as api:
        await api.make("P")
        message = "Unknown process or input"
        known = await refused(api, method, f"/process/P/playout/i%2F/{path}", b"x")
        text = "no playout for input ID 'i/' and process 'P'"
        assert known == failure(404, message, text)
        unknown = await refused(api, method, f"/process/nope/playout/i/{path}", b"x")
        assert unknown == failure(404, message, "unknown process")


async def test_what_cannot_be_kept_is_the_server_s_fault(
    opened: Any, tmp_path: Any
) -> None:
    async with opened() as api:
        await api.make("P")
        other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
        other.execute("DROP TABLE document")
        for method, path, body, message in [
            ("POST", "/process", config(id="Q"), "Internal Server Error"),
            ("PUT", "/process/P", {}, "Internal Server Error"),
            ("PUT", "/process/P/metadata/k", 1, "Internal Server Error"),
            ("DELETE", "/process/P", None, "Process can't be deleted"),
        ]:
            status, answer = await refused(api, method, path, body)
            assert (status, answer["message"]) == (500, message)
            assert answer["details"][0].startswith("it could not be kept: ")
        other.close()
