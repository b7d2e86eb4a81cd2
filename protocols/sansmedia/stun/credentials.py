"""Keys for the integrity attributes, and what goes with them.

The short-term mechanism, which ICE uses, needs none of this: its key is the password
in UTF-8. Source: RFC 8489 §9.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from typing import Final

from sansmedia.sansio import UsageError

from .constants import PasswordAlgorithm

__all__ = [
    "PASSWORD_ALGORITHMS_FEATURE",
    "USERNAME_ANONYMITY_FEATURE",
    "encode_nonce_cookie",
    "long_term_key",
    "opaque_string",
    "security_features",
    "userhash",
]

PASSWORD_ALGORITHMS_FEATURE: Final = 1 << 23
"""Bit 0 of the security features. Source: RFC 8489 §18.1."""
USERNAME_ANONYMITY_FEATURE: Final = 1 << 22
"""Bit 1 of the security features. Source: RFC 8489 §18.1."""

_NONCE_COOKIE: Final = "obMatJos2"
_COOKIE_SIZE: Final = len(_NONCE_COOKIE) + 4


def opaque_string(text: str) -> str:
    """Prepare a user name, realm or password: OpaqueString.

    Blanks of other scripts become the ASCII one, then the text is composed (NFC).
    Source: RFC 8265 §4.2.2.

    Raises:
        UsageError: The text is empty or contains control characters.
    """
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    prepared = unicodedata.normalize("NFC", spaced)
    if not prepared or any(unicodedata.category(c) == "Cc" for c in prepared):
        raise UsageError("a credential is some text without control characters")
    return prepared


def long_term_key(
    username: str,
    realm: str,
    password: str,
    algorithm: PasswordAlgorithm = PasswordAlgorithm.MD5,
) -> bytes:
    """Derive the key of long-term credentials.

    Source: RFC 8489 §9.2.2, §18.5.1.

    Args:
        username: As in USERNAME, prepared already.
        realm: Gets prepared here.
        password: Gets prepared here.
        algorithm: MD5 unless the server offered others.

    Returns:
        16 octets for MD5, 32 for SHA-256.
    """
    text = f"{username}:{opaque_string(realm)}:{opaque_string(password)}".encode()
    if algorithm is PasswordAlgorithm.SHA256:
        return hashlib.sha256(text).digest()
    return hashlib.md5(text, usedforsecurity=False).digest()


def userhash(username: str, realm: str) -> bytes:
    """Return the value of USERHASH, 32 octets. Source: RFC 8489 §14.4."""
    text = f"{opaque_string(username)}:{opaque_string(realm)}"
    return hashlib.sha256(text.encode()).digest()


def encode_nonce_cookie(features: int) -> str:
    """Return what a server puts before its nonces. Source: RFC 8489 §9.2, §18.1.

    Args:
        features: 24 bits, for example `PASSWORD_ALGORITHMS_FEATURE`.

    Raises:
        UsageError: The features have more bits.
    """
    if not 0 <= features < 1 << 24:
        raise UsageError("security features have 24 bits")
    return _NONCE_COOKIE + base64.b64encode(features.to_bytes(3, "big")).decode()


def security_features(nonce: str) -> int | None:
    """Return the 24 bits in a server's nonce, or None without a cookie.

    Source: RFC 8489 §9.2, §18.1.
    """
    if not nonce.startswith(_NONCE_COOKIE) or len(nonce) < _COOKIE_SIZE:
        return None
    try:
        digits = nonce[len(_NONCE_COOKIE) : _COOKIE_SIZE].encode("ascii")
        return int.from_bytes(base64.b64decode(digits, validate=True), "big")
    except (binascii.Error, UnicodeEncodeError):
        return None
