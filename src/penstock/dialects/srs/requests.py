"""What a request says, by SRS's rules: query, paging, method, credentials; pure."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping

import attrs

__all__ = [
    "ApiRequest",
    "Page",
    "bearer_token",
    "effective_method",
    "is_allowed",
    "is_callback",
    "page",
    "parse_query",
]

_SEPARATORS = re.compile(r"[&;,]")
_CALLBACK = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
_LEADING_INTEGER = re.compile(r"\s*([+-]?\d{1,18})")
_OVERRIDES = frozenset({"GET", "PUT", "POST", "DELETE"})

DEFAULT_COUNT = 10


@attrs.define
class ApiRequest:
    """One request to the API."""

    method: str
    """After JSONP's override; HEAD is GET."""
    path: str
    query: Mapping[str, str]
    host: str
    """Whom the client addressed, without port."""
    local_address: str
    """The server's own address and port that took the request."""
    local_port: int
    query_string: str = ""
    """As it came."""
    authority: str = ""
    """The Host header, with its port."""
    client: str = ""
    """IP address of who asks."""
    user_agent: str = ""
    referer: str = ""
    bearer: str = attrs.field(default="", repr=False)
    """Token of ``Authorization: Bearer``."""
    body: bytes = b""
    """Only under ``/rtc/``."""


@attrs.frozen
class Page:
    """Which entries of a list to answer."""

    start: int
    count: int


def parse_query(text: str) -> dict[str, str]:
    """Split a query as SRS does: at ``&``, ``;``, ``,`` and ``=``, nothing decoded.

    A value ends at its own ``=`` too. Of two equal names the last wins; a name
    without a value has an empty one.
    """
    if not text:
        return {}
    found = {}
    for item in _SEPARATORS.split(text):
        name, _, rest = item.partition("=")
        if name:
            found[name] = rest.partition("=")[0]
    return found


def effective_method(method: str, query: Mapping[str, str]) -> str:
    """Return the method that counts: JSONP may replace it, HEAD is GET."""
    override = query.get("method", "")
    if query.get("callback") and override in _OVERRIDES:
        return override
    return "GET" if method == "HEAD" else method


def is_callback(name: str) -> bool:
    """Say whether a JSONP callback is one that SRS accepts."""
    return _CALLBACK.fullmatch(name) is not None


def _integer(text: str) -> int:
    # As C's atoi: leading digits count, anything else is 0.
    match = _LEADING_INTEGER.match(text)
    return int(match[1]) if match else 0


def page(query: Mapping[str, str]) -> Page:
    """Read ``start`` (at least 0) and ``count`` (10 unless given, at least 1)."""
    count = query.get("count", "")
    return Page(
        start=max(0, _integer(query.get("start", ""))),
        count=max(1, _integer(count)) if count else DEFAULT_COUNT,
    )


def bearer_token(authorization: str | None) -> str:
    """Return the token of an Authorization header, or "". Source: RFC 6750 §2.1."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_allowed(authorization: str | None, username: str, password: str) -> bool | None:
    """Judge an Authorization header in constant time.

    Returns:
        True for the right pair, False for a missing header or a wrong pair, None for
        a header that is not Basic authentication. Source: RFC 7617 §2.
    """
    if authorization is None:
        return False
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "basic" or not token.strip():
        return None
    try:
        pair = base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    # A password may hold ":", a user name may not.
    name, colon, secret = pair.partition(b":")
    if not colon:
        return None
    same_name = hmac.compare_digest(name, username.encode())
    same_secret = hmac.compare_digest(secret, password.encode())
    return same_name and same_secret and bool(password)
