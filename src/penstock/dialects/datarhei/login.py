"""Logging in, and who may pass without or with a token."""

from __future__ import annotations

import ipaddress
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hmac import compare_digest
from typing import Final, Protocol

import trio

from .answers import Answer, Failure, as_json
from .json_bodies import decode_body
from .requests import Request
from .site import Route
from .tokens import Use, bearer, decode_token, issue_token, signing_key

__all__ = ["LoginDesk", "LoginSection", "login_routes"]

DELAY_S: Final = 5.0
"""How long a failed login waits for its answer."""
_MAX_BODY: Final = 16 << 10
"""Octets of a name and a password."""
MAX_WAITING: Final = 64
"""Failed logins that wait at a time; while there are so many nobody is judged."""
MAX_WAITING_OF_ONE: Final = 4
"""The same of one address, or of one network of IPv6."""


class LoginSection(Protocol):
    """What of the configuration decides who may log in."""

    @property
    def username(self) -> str:
        """Whose login it is; "" asks nobody for one."""
        ...

    @property
    def password(self) -> str:
        """Theirs."""
        ...

    @property
    def jwt_secret(self) -> str:
        """Part of the key of tokens; "" for one that ends with the server."""
        ...

    @property
    def disable_localhost(self) -> bool:
        """Whether clients on loopback are asked for nothing."""
        ...


class LoginDesk:
    """Judges who asks.

    Args:
        section: Gives the configuration in force.
        wall: Unix seconds.
        random_bytes: As `os.urandom`.
    """

    def __init__(
        self,
        section: Callable[[], LoginSection],
        *,
        wall: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._section = section
        self._wall = wall
        self._random_bytes = random_bytes
        self._secret = random_bytes(32).hex()
        self._waiting: Counter[str] = Counter()

    @property
    def is_on(self) -> bool:
        """Whether anybody is asked for a login."""
        return bool(self._section().username)

    async def guard(self, request: Request) -> None:
        """Let a request pass, or not: a `Guard`. Raises: Failure 401."""
        if not self.is_known(request):
            raise _unauthorized()

    def is_known(self, request: Request) -> bool:
        """Tell whether a request may see and do everything."""
        if not self.is_on:
            return True
        if self._section().disable_localhost and _is_loopback(request.client):
            return True
        return self._holds(request, Use.ACCESS)

    async def log_in(self, request: Request) -> Answer:
        """Answer a name and a password with two tokens.

        Raises: Failure: They are missing or wrong, which takes 5 s to say; or too
            many others are waiting for that.
        """
        if not self.is_on:
            raise Failure(404, "Not Found", "Not Found")
        client = _network(request.client)
        # Whoever has the places full must not go on guessing beside them, so nothing
        # is judged then.
        if (
            self._waiting[client] >= MAX_WAITING_OF_ONE
            or self._waiting.total() >= MAX_WAITING
        ):
            details = "too many failed logins are waiting for their answers"
            raise Failure(
                429, "Too Many Requests", details, headers=[("Retry-After", "5")]
            )
        async with self._place(client):
            given = await _credentials(request)
            if given is not None and self._is_right(*given):
                return as_json(
                    {
                        "access_token": self._token(Use.ACCESS),
                        "refresh_token": self._token(Use.REFRESH),
                    }
                )
            await trio.sleep(DELAY_S)
        if given is None:
            raise Failure(400, "Bad Request", "Missing authorization credentials")
        details = "Invalid authorization credentials: invalid username or password"
        raise Failure(401, "Unauthorized", details)

    async def refresh(self, request: Request) -> Answer:
        """Answer a refresh token with an access token. Raises: Failure 401."""
        if not self.is_on:
            raise Failure(404, "Not Found", "Not Found")
        if not self._holds(request, Use.REFRESH):
            raise _unauthorized()
        return as_json({"access_token": self._token(Use.ACCESS)})

    @asynccontextmanager
    async def _place(self, client: str) -> AsyncIterator[None]:
        # Taken before the password is judged: a hundred guesses at once are a hundred.
        self._waiting[client] += 1
        try:
            yield
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    def _is_right(self, username: str, password: str) -> bool:
        section = self._section()
        is_name = _same(username, section.username)
        is_password = _same(password, section.password)
        # An empty password lets nobody in; both are compared, whichever is wrong.
        return is_name & is_password & bool(section.password)

    def _key(self) -> bytes:
        section = self._section()
        secret = section.jwt_secret or self._secret
        return signing_key(section.username, section.password, secret)

    def _token(self, use: Use) -> str:
        serial = str(uuid.UUID(bytes=self._random_bytes(16), version=4))
        username = self._section().username
        return issue_token(use, username, self._key(), self._wall(), serial)

    def bears_token(self, request: Request) -> bool:
        """Tell whether a request shows a login of its own; nobody does without one."""
        return self.is_on and self._holds(request, Use.ACCESS)

    def _holds(self, request: Request, use: Use) -> bool:
        token = bearer(request.headers.get("authorization", ""))
        username = self._section().username
        claims = decode_token(token, use, username, self._key(), self._wall())
        return claims is not None


def login_routes(desk: LoginDesk) -> list[Route]:
    """Return the routes of logging in."""
    return [
        Route("POST", "/api/login", desk.log_in, is_open=True),
        Route("GET", "/api/login/refresh", desk.refresh, is_open=True),
    ]


async def _credentials(request: Request) -> tuple[str, str] | None:
    octets = await request.body()
    if len(octets) > _MAX_BODY:
        return None  # nobody has proven anything yet, and a bomb takes half a second
    try:
        body = decode_body(octets, "application/json").value
    except Failure as failure:
        if failure.status != 400:
            raise
        return None
    if not isinstance(body, dict):
        return None
    username, password = body.get("username"), body.get("password")
    if isinstance(username, str) and isinstance(password, str) and username:
        return (username, password) if password else None
    return None


def _same(one: str, other: str) -> bool:
    return compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )


def _unauthorized() -> Failure:
    return Failure(401, "Unauthorized", "Missing or invalid JWT token")


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return parsed.is_loopback or (mapped is not None and mapped.is_loopback)


def _network(address: str) -> str:
    """Return what one client has many of: the address, or its /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed.packed, 64), strict=False))
