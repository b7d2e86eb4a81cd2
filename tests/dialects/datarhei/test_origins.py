"""Pages of others do not use the API for somebody who is asked for no login."""

from __future__ import annotations

import attrs
import pytest

from penstock.dialects.datarhei.answers import Failure
from penstock.dialects.datarhei.login import LoginDesk
from penstock.dialects.datarhei.origins import OriginGuard
from penstock.dialects.datarhei.requests import Request
from penstock.settings import DatarheiApiSettings

OWN = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}
EVIL = {"host": "127.0.0.1:8080", "origin": "https://evil.example"}
REBOUND = {"host": "evil.example:8080", "origin": "http://evil.example:8080"}


async def nothing() -> bytes:
    return b""


def request(headers: dict[str, str]) -> Request:
    path = "/api/v3/process"
    return Request("POST", path, (), "", headers, "127.0.0.1", nothing)


async def refusal(section: DatarheiApiSettings, headers: dict[str, str]) -> int:
    """Return the status of the refusal, 0 for none."""
    guard = OriginGuard(LoginDesk(lambda: section), lambda: section.origins)
    try:
        await guard(request(headers))
    except Failure as failure:
        return failure.status
    return 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8080"}, 0),
        ({"host": "core.example"}, 0),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, 0),
        (OWN, 0),
        (EVIL, 403),
        # A name that somebody else has pointed to this machine.
        (REBOUND, 403),
        ({"host": "evil.example", "sec-fetch-site": "same-origin"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "null"}, 403),
    ],
)
async def test_without_a_login(headers: dict[str, str], status: int) -> None:
    assert await refusal(DatarheiApiSettings(), headers) == status


async def test_origins_that_are_named_may() -> None:
    named = DatarheiApiSettings(origins=["https://evil.example"])
    assert await refusal(named, EVIL) == 0
    assert await refusal(named, REBOUND) == 403
    assert await refusal(DatarheiApiSettings(origins=["*"]), REBOUND) == 0


async def test_a_login_of_its_own_is_enough_and_one_left_out_is_not() -> None:
    section = DatarheiApiSettings(username="u", password="p")
    assert await refusal(section, EVIL) == 401
    # Whoever is on this machine needs none; a page that is open there is not them.
    local = attrs.evolve(section, disable_localhost=True)
    assert await refusal(local, OWN) == 0
    assert await refusal(local, EVIL) == 403
