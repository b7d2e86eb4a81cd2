"""Telling whose a message is. Source: RFC 8489 §6.3, §9.1.3, §9.1.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sansmedia.stun import (
    AttributeType,
    Message,
    check_integrity,
    check_integrity_sha256,
    unknown_attributes,
)

__all__ = ["is_authentic", "unknown_of"]

_KNOWN: Final = frozenset(int(known) for known in AttributeType)


def is_authentic(message: Message, key: bytes) -> bool:
    """Tell whether a message is from somebody who knows the password.

    The stronger digest counts if both are there. Source: RFC 8489 §9.1.3, §9.1.4.
    """
    if message.integrity_sha256_at:
        return check_integrity_sha256(message, key)
    return check_integrity(message, key)


def unknown_of(message: Message) -> Sequence[int]:
    """Return the types that would have to be understood. RFC 8489 §6.3."""
    return unknown_attributes(message, _KNOWN)
