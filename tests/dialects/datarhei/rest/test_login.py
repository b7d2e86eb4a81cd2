"""Who may pass, and how long a wrong password takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from penstock.dialects.datarhei import login

RIGHT = {"username": "admin", "password": "test"}
WRONG = {"username": "admin", "password": "wrong"}


@pytest.fixture
def guarded(world: Any) -> Any:
    world.section.username, world.section.password = "admin", "test"
    return world


async def test_without_a_login_everybody_may(world: Any) -> None:
    assert await world.get("/api/v3/process") == []
    assert (await world.ask("POST", "/api/login", json=RIGHT)).status_code == 404
    assert (await world.ask("GET", "/api/login/refresh")).status_code == 404


async def test_a_login_opens_what_is_shut(guarded: Any) -> None:
    assert (await guarded.ask("GET", "/api/v3/process")).status_code == 401
    answer = await guarded.ask("POST", "/api/login", json=RIGHT)
    tokens = answer.json()
    guarded.token = tokens["access_token"]
    assert await guarded.get("/api/v3/process") == []
    guarded.token = tokens["refresh_token"]
    assert (await guarded.ask("GET", "/api/v3/process")).status_code == 401
    guarded.token = (await guarded.get("/api/login/refresh"))["access_token"]
    assert await guarded.get("/api/v3/process") == []
    assert (await guarded.ask("GET", "/api/login/refresh")).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/v3",
        "/api/v3/nothing",
        "/api/graph/query",
        "/api/v3/config",
        "/api/v3/config/reload",
        "/api//v3/process",
        "/api/%76%33/process",
    ],
)
async def test_all_of_the_api_is_shut(guarded: Any, path: str) -> None:
    for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
        answer = await guarded.ask(method, path)
        assert answer.status_code == 401
        assert answer.json() == {
            "code": 401,
            "message": "Unauthorized",
            "details": ["Missing or invalid JWT token"],
        }


async def test_what_is_open_stays_open(guarded: Any) -> None:
    assert (await guarded.ask("GET", "/ping")).text == "pong"
    assert (await guarded.ask("GET", "/metrics")).status_code == 200
    about = await guarded.get("/api")
    assert about == {
        "app": "datarhei-core",
        "auths": ["localjwt"],
        "version": {"number": "16.0.0"},
    }
    widget = await guarded.ask("GET", "/api/v3/widget/process/none")
    assert widget.status_code == 404
    assert (await guarded.ask("GET", "/api/swagger/doc.json")).status_code == 404


async def test_a_new_password_ends_the_tokens_that_are_out(guarded: Any) -> None:
    answer = await guarded.ask("POST", "/api/login", json=RIGHT)
    guarded.token = answer.json()["access_token"]
    guarded.section.password = "another"
    assert (await guarded.ask("GET", "/api/v3/process")).status_code == 401


async def test_without_a_secret_of_the_owner_there_is_one_of_the_server(
    guarded: Any, make_world: Callable[..., Any], fake_control: Any
) -> None:
    guarded.section.jwt_secret = ""
    answer = await guarded.ask("POST", "/api/login", json=RIGHT)
    guarded.token = answer.json()["access_token"]
    assert await guarded.get("/api/v3/process") == []
    other = make_world(guarded.control, username="admin", password="test")
    other.section.jwt_secret = ""
    other.token = guarded.token
    assert (await other.ask("GET", "/api/v3/process")).status_code == 401


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_loopback_may_be_let_in(guarded: Any, address: str) -> None:
    guarded.client = address
    assert (await guarded.ask("GET", "/api/v3/process")).status_code == 401
    guarded.section.disable_localhost = True
    assert await guarded.get("/api/v3/process") == []
    assert "id" in await guarded.get("/api")
    for other in ("10.77.0.9", "::2", "nonsense", ""):
        guarded.client = other
        assert (await guarded.ask("GET", "/api/v3/process")).status_code == 401


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"{",
        b'{"username":"admin"}',
        b'{"username":"","password":"test"}',
        b'{"username":1,"password":2}',
        b"[" * 10_000,
    ],
)
async def test_missing_credentials_take_five_seconds(
    guarded: Any, autojump_clock: object, content: bytes
) -> None:
    began = trio.current_time()
    answer = await guarded.ask("POST", "/api/login", content=content)
    assert trio.current_time() - began == pytest.approx(5, abs=0.1)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Bad Request"
    assert answer.json()["details"] == ["Missing authorization credentials"]


async def test_a_wrong_password_holds_nobody_else_up(
    guarded: Any, autojump_clock: object
) -> None:
    began = trio.current_time()
    took = []

    async def guess() -> None:
        answer = await guarded.ask("POST", "/api/login", json=WRONG)
        assert answer.status_code == 401
        took.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(guess)
        await trio.testing.wait_all_tasks_blocked()
        answer = await guarded.ask("POST", "/api/login", json=RIGHT)
        assert answer.status_code == 200
        assert trio.current_time() - began < 1
    assert took == [pytest.approx(5, abs=0.1)]


async def test_guesses_at_once_are_few(guarded: Any, autojump_clock: object) -> None:
    statuses = []

    async def guess(body: dict[str, str]) -> None:
        answer = await guarded.ask("POST", "/api/login", json=body)
        statuses.append(answer.status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(login.MAX_WAITING_OF_ONE):
            nursery.start_soon(guess, WRONG)
        await trio.testing.wait_all_tasks_blocked()
        # Not even the right one is told from the others then.
        await guess(RIGHT)
        assert statuses == [429]
        guarded.client = "10.77.0.10"
        await guess(RIGHT)
        assert statuses == [429, 200]
    assert statuses == [429, 200, 401, 401, 401, 401]
    guarded.client = "10.77.0.9"
    await guess(RIGHT)
    assert statuses[-1] == 200


async def test_guesses_of_many_at_once_are_bounded(
    guarded: Any, autojump_clock: object
) -> None:
    statuses = []

    async def guess(body: dict[str, str]) -> None:
        answer = await guarded.ask("POST", "/api/login", json=body)
        statuses.append(answer.status_code)

    async with trio.open_nursery() as nursery:
        for number in range(login.MAX_WAITING):
            guarded.client = f"2001:db8:0:{number:x}::1"
            nursery.start_soon(guess, WRONG)
            await trio.testing.wait_all_tasks_blocked()
        guarded.client = "10.77.0.11"
        await guess(RIGHT)
        assert statuses == [429]
    assert statuses == [429] + [401] * login.MAX_WAITING


async def test_one_network_of_ipv6_is_one_client(
    guarded: Any, autojump_clock: object
) -> None:
    statuses = []

    async def guess() -> None:
        answer = await guarded.ask("POST", "/api/login", json=WRONG)
        statuses.append(answer.status_code)

    async with trio.open_nursery() as nursery:
        for number in range(login.MAX_WAITING_OF_ONE + 1):
            guarded.client = f"2001:db8::{number:x}"
            nursery.start_soon(guess)
            await trio.testing.wait_all_tasks_blocked()
    assert statuses == [429, 401, 401, 401, 401]


async def test_half_a_surrogate_pair_is_a_wrong_name(
    guarded: Any, autojump_clock: object
) -> None:
    body = rb'{"username":"\ud800","password":"\udfff"}'
    answer = await guarded.ask("POST", "/api/login", content=body)
    assert answer.status_code == 401


async def test_a_bomb_is_no_login_and_is_not_unpacked(
    guarded: Any, autojump_clock: object
) -> None:
    bomb = b"[[]" + b",[]" * 1_000_000 + b"]"
    before = time.process_time()
    answer = await guarded.ask("POST", "/api/login", content=bomb)
    assert time.process_time() - before < 0.3
    assert answer.status_code == 400
    assert answer.json()["details"] == ["Missing authorization credentials"]
