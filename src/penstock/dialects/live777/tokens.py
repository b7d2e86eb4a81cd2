"""Who may do what: tokens that may do all, and JSON Web Tokens for one stream."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable

import attrs

__all__ = ["EVERYTHING", "Grant", "Mode", "decode_jwt", "judge"]

EVERYTHING = "*"
_LEEWAY_S = 60
"""Clocks differ: an expired token counts for so long."""
_MAX_TOKEN = 8_192


class Mode:
    """Bits of a token's ``mode``."""

    READ = 4
    WRITE = 2
    EXECUTE = 1


@attrs.frozen
class Grant:
    """What a token allows."""

    stream: str
    """The only stream, or `EVERYTHING`."""
    mode: int = 0
    digest: bytes = b""
    """Tells this token from others."""

    @property
    def is_full(self) -> bool:
        """Whether it may do anything."""
        return self.stream == EVERYTHING

    def may(self, stream: str, needed: int) -> bool:
        """Tell whether it allows what needs a bit of `Mode`; 0 needs none."""
        if self.is_full:
            return True
        return self.stream == stream and (not needed or bool(self.mode & needed))


def judge(
    authorization: str | None, tokens: Iterable[str], secret: str, now: float
) -> Grant | None:
    """Return what an Authorization field allows; None if it proves nothing.

    Args:
        authorization: Its value.
        tokens: Those that may do all.
        secret: The key of JSON Web Tokens; "" takes none.
        now: Unix seconds.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        return None
    given = token.strip().encode("utf-8", "surrogateescape")
    known = False
    for one in tokens:
        # No early return: the time must not tell which token came close.
        known |= hmac.compare_digest(given, one.encode())
    if known:
        return Grant(EVERYTHING)
    return decode_jwt(given, secret, now) if secret else None


def decode_jwt(token: bytes, secret: str, now: float) -> Grant | None:
    """Return what a signed token claims; None unless it is ours and still holds.

    Source: RFC 7519 §7.2; RFC 7515 §5.2.
    """
    head, _, rest = token.partition(b".")
    body, dot, signature = rest.partition(b".")
    given = _base64(signature)
    if not dot or given is None:
        return None
    proof = hmac.digest(secret.encode(), head + b"." + body, hashlib.sha256)
    if not hmac.compare_digest(given, proof):
        return None
    header, claims = _object(head), _object(body)
    if header is None or claims is None or header.get("alg") != "HS256":
        return None
    stream, mode, expiry = (claims.get(name) for name in ("id", "mode", "exp"))
    if not isinstance(stream, str) or not _is_integer(mode) or not _is_integer(expiry):
        return None
    assert isinstance(mode, int)
    assert isinstance(expiry, int)
    if expiry + _LEEWAY_S < now:
        return None
    return Grant(stream, mode, hashlib.sha256(token).digest())


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _base64(text: bytes) -> bytes | None:
    if b"=" in text or b"+" in text or b"/" in text:
        return None
    try:
        return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None


def _object(part: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(_base64(part) or b"")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
