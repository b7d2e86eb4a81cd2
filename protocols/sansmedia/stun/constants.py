"""The registered numbers of STUN. Source: RFC 8489 §18."""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "COMPREHENSION_OPTIONAL",
    "HEADER_SIZE",
    "MAGIC_COOKIE",
    "AttributeType",
    "ErrorCode",
    "MessageClass",
    "Method",
    "PasswordAlgorithm",
]

MAGIC_COOKIE: Final = 0x2112A442
"""Third field of every header. Source: RFC 8489 §5."""
HEADER_SIZE: Final = 20
"""Octets before the attributes."""
COMPREHENSION_OPTIONAL: Final = 0x8000
"""Types from here on may be ignored. Source: RFC 8489 §14."""


class MessageClass(enum.IntEnum):
    """What a message is in its transaction. Source: RFC 8489 §5."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Method(enum.IntEnum):
    """What a message is about; other methods stay plain integers."""

    BINDING = 1


class AttributeType(enum.IntEnum):
    """Attributes by their type; other types stay plain integers."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    REALM = 0x0014
    NONCE = 0x0015
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    """RFC 8445 §16.1."""
    USE_CANDIDATE = 0x0025
    """RFC 8445 §16.1."""
    PASSWORD_ALGORITHMS = 0x8002
    ALTERNATE_DOMAIN = 0x8003
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    """RFC 8445 §16.1."""
    ICE_CONTROLLING = 0x802A
    """RFC 8445 §16.1."""


class PasswordAlgorithm(enum.IntEnum):
    """How a long-term password becomes a key. Source: RFC 8489 §18.5."""

    MD5 = 1
    SHA256 = 2


class ErrorCode(enum.IntEnum):
    """Codes of ERROR-CODE. Source: RFC 8489 §14.8."""

    TRY_ALTERNATE = 300
    BAD_REQUEST = 400
    UNAUTHENTICATED = 401
    UNKNOWN_ATTRIBUTE = 420
    STALE_NONCE = 438
    ROLE_CONFLICT = 487
    """RFC 8445 §16.2."""
    SERVER_ERROR = 500
