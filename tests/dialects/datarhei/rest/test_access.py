"""Networks that may speak to the API, and those that may not."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.dialects.datarhei.access import AccessGuard, is_admitted
from penstock.dialects.datarhei.answers import Failure
from penstock.dialects.datarhei.requests import Request


@pytest.mark.parametrize(
    ("address", "allow", "block", "may"),
    [
        ("10.0.0.1", (), (), True),
        ("10.0.0.1", ("10.0.0.0/8",), (), True),
        ("11.0.0.1", ("10.0.0.0/8",), (), False),
        ("10.0.0.1", (), ("10.0.0.0/8",), False),
        # What is blocked is so whatever is allowed.
        ("10.0.0.1", ("10.0.0.1/32",), ("10.0.0.0/8",), False),
        ("::ffff:10.0.0.1", (), ("10.0.0.0/8",), False),
        ("fe80::1%eth0", ("fe80::/10",), (), True),
        ("2001:db8::1", ("10.0.0.0/8",), (), False),
        ("", ("0.0.0.0/0",), (), False),
        ("nobody", (), ("0.0.0.0/0",), True),
        ("10.0.0.1", ("nonsense",), (), False),
    ],
)
def test_block_goes_before_allow(
    address: str, allow: tuple[str, ...], block: tuple[str, ...], may: bool
) -> None:
    assert is_admitted(address, allow, block) is may


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/login", "/api/v3/config", "/api/nothing", "/metrics"],
)
async def test_who_is_blocked_hears_nothing_of_the_api(world: Any, path: str) -> None:
    world.section.http_block = ("10.77.0.0/16",)
    answer = await world.ask("GET", path)
    assert (answer.status_code, answer.json()) == (
        403,
        {
            "code": 403,
            "message": "Forbidden",
            "details": ["this address is not allowed"],
        },
    )
    asks = {"Origin": "http://a.example"}
    assert (await world.ask("OPTIONS", path, headers=asks)).status_code == 403
    assert (await world.ask("GET", "/ping")).text == "pong"


async def test_the_lists_change_while_the_server_runs(world: Any) -> None:
    world.section.http_allow = ("192.0.2.0/24",)
    assert (await world.ask("GET", "/api")).status_code == 403
    world.section.http_allow = ("192.0.2.0/24", "10.77.0.9/32")
    assert (await world.ask("GET", "/api")).status_code == 200


async def _nothing() -> bytes:
    return b""


@pytest.mark.parametrize("is_secure", [False, True])
async def test_each_scheme_has_its_own_lists(world: Any, is_secure: bool) -> None:
    world.section.https_block = ("10.0.0.0/8",)
    guard = AccessGuard(lambda: world.section)
    request = Request(
        "GET", "/api", (), "", {}, "10.0.0.1", _nothing, is_secure=is_secure
    )
    if is_secure:
        with pytest.raises(Failure):
            guard(request, "api")
    else:
        guard(request, "api")
    guard(request, "ping")
