"""Access and refresh tokens: JSON Web Tokens signed with HMAC-SHA256. Pure.

Source: RFC 7519 §7; RFC 7515 §5, §7.1.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["Use", "bearer", "decode_token", "issue_token", "signing_key"]

_ISSUER = "datarhei-core"
_HEADER = {"alg": "HS256", "typ": "JWT"}
_MAX_TOKEN = 4_096
"""Characters; ours have three hundred."""


class Use(enum.Enum):
    """What a token is good for."""

    ACCESS = "access"
    REFRESH = "refresh"

    @property
    def lifetime(self) -> int:
        """Seconds that it holds."""
        return 600 if self is Use.ACCESS else 86_400


def signing_key(username: str, password: str, secret: str) -> bytes:
    """Return the key of tokens: a changed password ends those that are out."""
    return f"{username}{password}{secret}".encode("utf-8", "surrogatepass")


def issue_token(use: Use, username: str, key: bytes, now: float, serial: str) -> str:
    """Return a fresh token.

    Args:
        use: What it is for.
        username: Whose it is.
        key: Of `signing_key`.
        now: Unix seconds.
        serial: A UUID, never used before.
    """
    claims = {
        "exi": use.lifetime,
        "exp": int(now) + use.lifetime,
        "iat": int(now),
        "iss": _ISSUER,
        "jti": serial,
        "sub": username,
        "usefor": use.value,
    }
    signed = f"{_part(_HEADER)}.{_part(claims)}"
    return f"{signed}.{_text(_proof(signed.encode(), key))}"


def decode_token(
    token: str, use: Use, username: str, key: bytes, now: float
) -> dict[str, Any] | None:
    """Return the claims of a token; None unless it is ours, for that use, and holds.

    Args:
        token: As it came.
        use: What it is wanted for.
        username: Whose it must be.
        key: Of `signing_key`.
        now: Unix seconds.
    """
    if len(token) > _MAX_TOKEN or not token.isascii():
        return None
    signed, _, signature = token.rpartition(".")
    given = _octets(signature)
    if given is None or signed.count(".") != 1:
        return None
    # Before anything of it is believed.
    if not hmac.compare_digest(given, _proof(signed.encode(), key)):
        return None
    head, _, body = signed.partition(".")
    header, claims = _object(head), _object(body)
    if header is None or claims is None or header.get("alg") != _HEADER["alg"]:
        return None
    expiry = claims.get("exp")
    if not isinstance(expiry, int | float) or isinstance(expiry, bool):
        return None
    wanted = {"iss": _ISSUER, "sub": username, "usefor": use.value}
    if any(claims.get(name) != value for name, value in wanted.items()):
        return None
    return claims if now < expiry else None


def bearer(authorization: str) -> str:
    """Return the token of an Authorization field; "" if there is none.

    Source: RFC 6750 §2.1.
    """
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _proof(signed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)


def _part(value: Mapping[str, object]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes | None:
    """Decode base64url without padding, and nothing else; None if it is not that."""
    try:
        octets = base64.b64decode(
            text + "=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        return None
    # One token has one spelling.
    return octets if _text(octets) == text else None


def _object(part: str) -> dict[str, Any] | None:
    try:
        value = json.loads(_octets(part) or b"")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
