"""The configuration document: what is shown, what may be put, what is kept."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from penstock.control import Invalid, Unavailable
from penstock.dialects.datarhei.about import Identity
from penstock.dialects.datarhei.config_base import ConfigFacts, base_document
from penstock.dialects.datarhei.config_document import (
    FIXED,
    MASK,
    difference,
    masked,
    merged,
    unmasked,
)
from penstock.dialects.datarhei.config_rules import (
    OURS,
    overlay,
    shape_problem,
    validate,
)
from penstock.settings import Settings

PATH = "/api/v3/config"


async def _put(world: Any, **members: Any) -> Any:
    return await world.ask("PUT", PATH, json={"version": 3, **members})


async def _config(world: Any) -> Any:
    return (await world.get(PATH))["config"]


@pytest.mark.parametrize(
    ("members", "problems"),
    [
        (
            {"api": {"auth": {"enable": True}}},
            {
                "api.auth.enable": [
                    "api.auth.username and api.auth.password must be set"
                ]
            },
        ),
        (
            {"tls": {"address": "nonsense"}},
            {"tls.address": ["address nonsense: missing port in address"]},
        ),
        (
            {"tls": {"enable": True}},
            {"tls.enable": ["tls.certfile and tls.keyfile must be set"]},
        ),
        (
            {"storage": {"cors": {"origins": ["nowhere"]}}},
            {
                "storage.cors.origins": [
                    "bad origin: origins must contain '*' or include http://, or "
                    "https://"
                ]
            },
        ),
        (
            {"sessions": {"ip_ignorelist": ["xx"]}},
            {"sessions.ip_ignorelist": ["invalid CIDR address: xx"]},
        ),
        (
            {"api": {"access": {"http": {"block": ["10.0.0.1"]}}}},
            {"api.access.http.block": ["invalid CIDR address: 10.0.0.1"]},
        ),
        ({"rtmp": {"app": "live"}}, {"rtmp.app": ["live is not an absolute path"]}),
        (
            {"rtmp": {"enable_tls": True}},
            {"rtmp.enable_tls": ["RTMPS server can only be enabled if TLS is enabled"]},
        ),
        (
            {"router": {"ui_path": "/nope"}},
            {"router.ui_path": ["/nope does not exist"]},
        ),
        ({"service": {"url": "::"}}, {"service.url": [":: is not a valid URL"]}),
        (
            {"srt": {"passphrase": "short"}},
            {"srt.passphrase": ["a passphrase must have 10 to 79 characters"]},
        ),
        (
            {"srt": {"address": "a:b:1"}},
            {"srt.address": ["address a:b:1: too many colons in address"]},
        ),
        (
            {"storage": {"memory": {"max_size_mbytes": -1}}},
            {"storage.memory.max_size_mbytes": ["must not be negative"]},
        ),
        (
            {"sessions": {"session_timeout_sec": 0, "max_sessions": -1}},
            {
                "sessions.session_timeout_sec": ["must be at least 1"],
                "sessions.max_sessions": ["must not be negative"],
            },
        ),
        (
            {"ffmpeg": {"log": {"max_lines": 1_000_000}}},
            {"ffmpeg.log.max_lines": ["must be at most 10000"]},
        ),
        (
            {"storage": {"cors": {"origins": ["*", "https://*.a.example"]}}},
            {"storage.cors.origins": ["bad origin: '*' stands alone"]},
        ),
    ],
)
async def test_what_cannot_be_is_named_and_not_kept(
    world: Any, members: Any, problems: Any
) -> None:
    before = await world.get(PATH)
    answer = await _put(world, **members)
    assert answer.status_code == 409
    assert answer.json() == problems
    assert await world.get(PATH) == before
    assert world.configuration.document == {}


async def test_an_expression_that_is_none_does_not_make_the_next_start_fail(
    world: Any,
) -> None:
    answer = await _put(world, ffmpeg={"access": {"input": {"allow": ["^rtmp", "("]}}})
    assert answer.status_code == 409
    (problem,) = answer.json()["ffmpeg.access.input.allow"]
    assert problem.startswith("error parsing regexp: ")


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b"", "request doesn't contain any content"),
        (b"[]", "the document must be an object"),
        (b'{"version":3,"log":[]}', "log must be an object"),
        (b'{"version":3,"log":{"level":1}}', "log.level must be a string"),
        (b'{"version":3,"host":{"name":"a"}}', "host.name must be a list of strings"),
        (
            b'{"version":3,"storage":{"s3":["a"]}}',
            "storage.s3 must be a list of objects",
        ),
        (b'{"version":3,"api":{"read_only":1}}', "api.read_only must be a bool"),
        (b'{"version":true}', "version must be an integer"),
        (
            b'{"version":3,"ffmpeg":{"max_processes":1.5}}',
            "ffmpeg.max_processes must be an integer",
        ),
        (
            b'{"version":3,"router":{"routes":{"/a":1}}}',
            "router.routes must be an object of strings",
        ),
        (
            b'{"version":NaN}',
            "syntax error at line 1, character 12: invalid character 'N' at start of "
            "value",
        ),
    ],
)
async def test_another_shape_is_refused(world: Any, body: bytes, details: str) -> None:
    answer = await world.ask("PUT", PATH, content=body)
    assert answer.status_code == 400
    assert answer.json() == {
        "code": 400,
        "message": "Invalid JSON",
        "details": [details],
    }


@pytest.mark.parametrize("version", [0, 4, -1])
async def test_other_versions_are_refused(world: Any, version: int) -> None:
    answer = await world.ask("PUT", PATH, json={"version": version})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Invalid config version"
    assert answer.json()["details"] == [f"version {version}"]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_part_changes_that_part_alone(world: Any, version: int) -> None:
    before = await _config(world)
    part = {"version": version, "host": {"name": ["a.example"]}, "unknown": 1}
    answer = await world.ask("PUT", PATH, content=json.dumps(part).encode())
    assert (answer.status_code, answer.json()) == (200, "OK")
    after = await _config(world)
    assert after.pop("host") == {"name": ["a.example"], "auto": False}
    before.pop("host")
    assert after == before
    assert after["version"] == 3
    # Only the difference is kept, so the operator's file goes on to count.
    assert world.configuration.document.pop("updated_at")
    assert world.configuration.document == {"host": {"name": ["a.example"]}}


async def test_the_first_layout_has_one_list_of_types(world: Any) -> None:
    storage = {"disk": {"cache": {"types": [".ts"]}, "max_size_mbytes": 3}}
    body = {"version": 1, "storage": storage}
    assert (await world.ask("PUT", PATH, json=body)).json() == "OK"
    assert world.configuration.document["storage"] == {"disk": {"max_size_mbytes": 3}}


async def test_what_is_put_back_is_no_change_any_more(world: Any) -> None:
    await _put(world, log={"level": "debug"})
    assert world.configuration.document["log"] == {"level": "debug"}
    await _put(world, log={"level": "info"})
    assert "log" not in world.configuration.document
    assert (await world.get(PATH))["updated_at"] == "2026-11-20T19:15:51Z"


def test_a_free_object_is_replaced() -> None:
    base = {"router": {"routes": {"/a/*": "/b", "/c": "/d"}, "ui_path": "/e"}}
    over = {"router": {"routes": {"/c": "/e"}}}
    whole = merged(base, over)
    assert whole == {"router": {"routes": {"/c": "/e"}, "ui_path": "/e"}}
    assert difference(whole, base) == over


async def test_the_server_says_who_it_is(world: Any) -> None:
    before = await _config(world)
    await _put(world, id="other", created_at="1999-01-01T00:00:00Z")
    assert await _config(world) == before


async def test_secrets_are_masked_and_stay_when_they_come_back(world: Any) -> None:
    auth = {"enable": True, "username": "admin", "password": "pw-hidden"}
    await _put(world, api={"auth": auth})
    answer = await world.ask("GET", PATH)
    assert "hidden" not in answer.text
    assert "w4cSGc" not in answer.text
    shown = answer.json()["config"]
    assert shown["api"]["auth"]["password"] == MASK
    kept = dict(world.configuration.document)
    # Editors give back all that they were given.
    shown["log"]["level"] = "debug"
    assert (await world.ask("PUT", PATH, json=shown)).status_code == 200
    after = dict(world.configuration.document)
    assert after.pop("log") == {"level": "debug"}
    assert {**after, "updated_at": ""} == {**kept, "updated_at": ""}
    await _put(world, api={"auth": {"password": "another"}})
    assert world.configuration.document["api"]["auth"]["password"] == "another"


# restreamer-ui puts them into the addresses that it shows for encoders and players.
async def test_what_opens_a_stream_is_shown(world: Any) -> None:
    tokens = {
        "rtmp": {"token": "one"},
        "srt": {"token": "two", "passphrase": "0123456789"},
    }
    await _put(world, **tokens)
    shown = await _config(world)
    assert shown["rtmp"]["token"] == "one"
    assert (shown["srt"]["token"], shown["srt"]["passphrase"]) == ("two", "0123456789")
    assert shown["storage"]["memory"]["auth"]["password"] == "s8WGc2WWBmr13ZFJIb"
    await _put(world, rtmp={"token": ""})
    assert "rtmp" not in world.configuration.document


async def test_the_settings_of_restreamer_ui_can_be_saved(world: Any) -> None:
    # It has the ports alone in its form, and gives back everything.
    given = await _config(world)
    sections = [given, given["tls"], given["rtmp"], given["srt"]]
    for section in sections:
        section["address"] = ":" + section["address"].replace(":", "")
    given["rtmp"]["address_tls"] = ":" + given["rtmp"]["address_tls"].replace(":", "")
    given["sessions"]["ip_ignorelist"] = []
    assert (await world.ask("PUT", PATH, json=given)).json() == "OK"
    del world.configuration.document["updated_at"]
    assert world.configuration.document == {"sessions": {"ip_ignorelist": []}}


async def test_what_is_so_without_a_client_is_no_fault_of_one(world: Any) -> None:
    # RTMPS here asks for no HTTPS of the API.
    rtmps = attrs.evolve(world.settings.rtmps, listen="0.0.0.0:443")
    world.settings = attrs.evolve(world.settings, rtmps=rtmps)
    assert (await _config(world))["rtmp"]["enable_tls"] is True
    assert (await _put(world, name="x")).json() == "OK"
    answer = await _put(world, rtmp={"app": "x"})
    assert answer.json() == {"rtmp.app": ["x is not an absolute path"]}


async def test_a_password_that_the_server_made_is_shown_and_not_kept(
    world: Any,
) -> None:
    await _put(world, storage={"memory": {"auth": {"password": ""}}})
    world.made_password = "made at the start"
    shown = await _config(world)
    assert shown["storage"]["memory"]["auth"]["password"] == "made at the start"
    await world.ask("PUT", PATH, json=shown)
    kept = world.configuration.document["storage"]
    assert kept == {"memory": {"auth": {"password": ""}}}
    await _put(world, storage={"memory": {"auth": {"enable": False}}})
    assert (await _config(world))["storage"]["memory"]["auth"]["password"] == ""


async def test_a_login_that_a_client_sets_has_a_secret_for_its_tokens(
    make_world: Any, fake_control: Any, server_view: Any
) -> None:
    world = make_world(fake_control(server_view))
    base = world.base
    world.base = lambda: merged(base(), {"api": {"auth": {"jwt": {"secret": ""}}}})
    await _put(world, log={"level": "debug"})
    assert "api" not in world.configuration.document
    auth = {"enable": True, "username": "admin", "password": "pw"}
    await _put(world, api={"auth": auth})
    secret = world.configuration.document["api"]["auth"]["jwt"]["secret"]
    assert len(secret) == 32
    await _put(world, api={"auth": {"password": "other"}})
    assert world.configuration.document["api"]["auth"]["jwt"]["secret"] == secret


def _leaves(value: Any, at: tuple[str, ...] = ()) -> list[str]:
    if not isinstance(value, dict) or at == ("router", "routes"):
        return [".".join(at)]
    return [leaf for name, part in value.items() for leaf in _leaves(part, (*at, name))]


async def test_what_nobody_may_change_is_said_and_stays(world: Any) -> None:
    shown = await world.get(PATH)
    before, overrides = shown["config"], shown["overrides"]
    assert set(overrides) == set(FIXED) <= set(_leaves(before))
    # restreamer-ui would not let anybody set a login.
    assert "api.auth.enable" not in overrides
    fixed = {
        "address": ":1",
        "tls": {"address": ":2"},
        "rtmp": {"enable": False},
        "srt": {"address": ":3"},
        "storage": {"s3": [{"name": "x"}], "disk": {"cache": {"enable": True}}},
        "router": {"routes": {"/a": "/b"}},
        "service": {"enable": True, "token": "t"},
    }
    answer = await _put(world, **fixed, log={"level": "warn"})
    assert answer.json() == "OK"
    assert world.configuration.document.pop("updated_at")
    assert world.configuration.document == {"log": {"level": "warn"}}
    # As an earlier version kept it.
    world.configuration.document = {**fixed, "log": {"level": "warn"}}
    after = await _config(world)
    assert after.pop("log") == {**before.pop("log"), "level": "warn"}
    assert after == before


def test_all_that_may_be_changed_counts() -> None:
    # What is neither ours nor fixed would be kept and shown, and mean nothing.
    shown_alone = {"version", "created_at", "host.name"}
    together = {
        "api.auth.enable",
        "api.auth.disable_localhost",
        "api.auth.username",
        "api.auth.password",
        "api.auth.jwt.secret",
        "storage.memory.auth.enable",
        "storage.memory.auth.username",
        "storage.memory.auth.password",
        "rtmp.token",
        "srt.token",
        "srt.passphrase",
    }
    base = base_document(
        ConfigFacts(
            settings=Settings(),
            identity=Identity("", ""),
            created_at="",
            address="",
            storage=Settings().storage,
            ffmpeg=Settings().ffmpeg,
        )
    )
    assert set(_leaves(base)) - set(FIXED) - shown_alone - together == set(OURS)


async def test_a_list_that_shuts_its_author_out_is_refused(world: Any) -> None:
    lists = {"allow": ["192.0.2.0/24"], "block": ["10.0.0.0/8"]}
    answer = await _put(world, api={"access": {"http": lists}})
    assert answer.status_code == 409
    assert answer.json() == {
        "api.access.http.allow": ["10.77.0.9 could not undo it"],
        "api.access.http.block": ["10.77.0.9 could not undo it"],
    }
    assert (await _put(world, api={"access": {"https": lists}})).json() == "OK"
    lists = {"allow": ["10.77.0.0/16"], "block": ["10.77.1.0/24"]}
    assert (await _put(world, api={"access": {"http": lists}})).json() == "OK"


async def test_what_could_not_be_applied_is_not_kept(world: Any) -> None:
    world.configuration.save_error = Invalid("api.datarhei.listen: open to others")
    answer = await _put(world, api={"auth": {"enable": False}})
    assert answer.status_code == 409
    assert answer.json() == {"config": ["api.datarhei.listen: open to others"]}


async def test_a_reload_is_passed_on_and_changes_the_time(world: Any) -> None:
    before = (await world.get("/api"))["created_at"]
    assert await world.get(f"{PATH}/reload") == "OK"
    assert world.configuration.reloads == 1
    assert (await world.get("/api"))["created_at"] != before


async def test_a_reload_that_fails_says_why(world: Any) -> None:
    world.configuration.reload_error = Invalid("penstock.toml:3: nonsense")
    answer = await world.ask("GET", f"{PATH}/reload")
    assert answer.status_code == 400
    assert answer.json()["details"] == ["penstock.toml:3: nonsense"]
    world.configuration.reload_error = Unavailable("no")
    assert (await world.ask("GET", f"{PATH}/reload")).status_code == 500


async def test_what_cannot_be_kept_is_said(world: Any) -> None:
    world.configuration.save_error = Unavailable("the disk is full")
    answer = await _put(world, log={"level": "debug"})
    assert answer.status_code == 500
    assert answer.json()["details"] == ["the disk is full"]


async def test_read_only_leaves_the_configuration_to_be_read(world: Any) -> None:
    world.section.read_only = True
    assert (await _put(world)).status_code == 404
    assert (await world.ask("GET", f"{PATH}/reload")).status_code == 404
    assert await _config(world)


# -- ours -----------------------------------------------------------------------------


@pytest.fixture
async def base(world: Any) -> Any:
    shown = await _config(world)
    # As it is shown, masks and all.
    return shown


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        ({}, {}),
        ({"log": {"level": "warn"}}, {"log.level": "warning"}),
        ({"log": {"level": "silent"}}, {"log.level": "error"}),
        ({"log": {"level": "nonsense"}}, {"log.level": "info"}),
        (
            {"storage": {"memory": {"max_size_mbytes": 2, "purge": True}}},
            {"storage.memory_max_bytes": 2 << 20, "storage.memory_purge": True},
        ),
        (
            {"storage": {"disk": {"max_size_mbytes": 1}}},
            {"storage.disk_max_bytes": 1 << 20},
        ),
        (
            {"storage": {"memory": {"auth": {"enable": False}}}},
            {
                "storage.memory_username": "",
                "storage.memory_password": "s8WGc2WWBmr13ZFJIb",
            },
        ),
        (
            {"ffmpeg": {"max_processes": 4, "access": {"output": {"block": ["^x"]}}}},
            {"ffmpeg.max_running": 4, "ffmpeg.output_block": ["^x"]},
        ),
        (
            {"srt": {"passphrase": "0123456789"}},
            {
                "srt.publish_passphrase": "0123456789",
                "srt.play_passphrase": "0123456789",
            },
        ),
        (
            {"rtmp": {"token": "a"}, "srt": {"token": "b"}},
            {
                "auth.publish": "token",
                "auth.play": "token",
                "auth.publish_tokens": ["a", "b"],
                "auth.play_tokens": ["a", "b"],
            },
        ),
        ({"rtmp": {"app": "/live"}}, {"api.datarhei.rtmp_app": "/live"}),
        (
            {"sessions": {"ip_ignorelist": []}},
            {"api.datarhei.ignored_networks": []},
        ),
        (
            {"api": {"auth": {"enable": True, "username": "u", "password": "p"}}},
            {
                "api.datarhei.username": "u",
                "api.datarhei.password": "p",
                "api.datarhei.jwt_secret": MASK,
                "api.datarhei.disable_localhost": False,
            },
        ),
        ({"host": {"name": ["a.example"]}}, {}),
        (
            {"api": {"access": {"http": {"block": ["10.0.0.0/8"]}}}},
            {"api.datarhei.http_block": ["10.0.0.0/8"]},
        ),
        (
            {"storage": {"cors": {"origins": ["https://a.example"]}}},
            {"http.cors_origins": ["https://a.example"]},
        ),
        (
            {"metrics": {"enable_prometheus": True}},
            {"api.datarhei.prometheus": True},
        ),
        (
            {
                "sessions": {
                    "ip_ignorelist": [],
                    "session_timeout_sec": 9,
                    "max_bitrate_mbit": 3,
                    "max_sessions": 4,
                }
            },
            {
                "api.datarhei.ignored_networks": [],
                "api.datarhei.viewer_timeout_s": 9,
                "api.datarhei.max_viewers_bps": 3 << 20,
                "api.datarhei.max_viewers": 4,
            },
        ),
    ],
)
async def test_what_of_ours_a_document_changes(
    base: Any, change: Any, ours: Any
) -> None:
    assert overlay(merged(base, change), base) == ours


async def test_a_token_that_is_taken_away_opens_the_door(base: Any) -> None:
    guarded = merged(base, {"rtmp": {"token": "a"}, "srt": {"token": "a"}})
    opened = merged(guarded, {"rtmp": {"token": ""}, "srt": {"token": ""}})
    found = overlay(opened, guarded)
    assert found["auth.publish"] == found["auth.play"] == "open"
    assert found["auth.publish_tokens"] == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_MODEL: dict[str, Any] = {
    "version": 3,
    "api": {"auth": {"enable": False, "password": "", "jwt": {"secret": ""}}},
    "rtmp": {"token": ""},
    "storage": {"s3": []},
    "router": {"routes": {}},
    "tags": ["a"],
}


def _documents() -> st.SearchStrategy[Any]:
    names = st.sampled_from([*_MODEL, "auth", "password", "jwt", "secret", "token"])
    return st.recursive(
        _JSON, lambda inner: st.dictionaries(names, inner), max_leaves=20
    )


@pytest.mark.slow
@examples(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(_documents())
def test_no_document_is_an_exception(document: Any) -> None:
    if shape_problem(document, _MODEL) is None:
        whole = merged(_MODEL, unmasked(document))
        assert set(whole) == set(_MODEL)
        assert merged(_MODEL, difference(whole, _MODEL)) == whole
        masked(whole)


@given(st.text())
def test_no_text_is_an_exception(text: str) -> None:
    document = {
        "version": 3,
        "address": text,
        "api": {
            "access": {
                "http": {"allow": [text], "block": []},
                "https": {"allow": [], "block": []},
            },
            "auth": {"enable": True, "username": text, "password": text},
        },
        "tls": {
            "address": text,
            "enable": False,
            "auto": False,
            "cert_file": "",
            "key_file": "",
        },
        "storage": {
            "cors": {"origins": [text]},
            "disk": {"max_size_mbytes": 0},
            "memory": {"max_size_mbytes": 0},
        },
        "rtmp": {
            "app": text,
            "address": text,
            "address_tls": text,
            "enable_tls": False,
        },
        "srt": {"address": text, "passphrase": text},
        "sessions": {
            "ip_ignorelist": [text],
            "session_timeout_sec": 1,
            "max_sessions": 0,
            "max_bitrate_mbit": 0,
        },
        "service": {"url": text},
        "router": {"ui_path": text},
        "log": {"max_lines": 0},
        "ffmpeg": {
            "max_processes": 0,
            "log": {"max_lines": 0, "max_history": 0},
            "access": {
                "input": {"allow": [text], "block": []},
                "output": {"allow": [], "block": []},
            },
        },
    }
    for problems in validate(document).values():
        assert all(isinstance(problem, str) for problem in problems)
