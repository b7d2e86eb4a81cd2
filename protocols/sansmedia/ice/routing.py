"""What a socket that serves many agents has to know of a datagram: whose it is.

All of this looks at a few octets and keeps nothing; nothing is authenticated here.
"""

from __future__ import annotations

import struct
from typing import Final

from sansmedia.stun import AttributeType, is_stun

__all__ = ["TRANSACTION_PREFIX_SIZE", "local_ufrag_of", "transaction_prefix_of"]

TRANSACTION_PREFIX_SIZE: Final = 4
"""Octets of each transaction id of an agent that are its own."""

_PAIR: Final = struct.Struct(">HH")
_USERNAME: Final = int(AttributeType.USERNAME)
_HEADER_SIZE: Final = 20
_MAX_ATTRIBUTES: Final = 16
_CLASS_BITS: Final = 0x0110
_REQUEST_BITS: Final = 0x0000
_SUCCESS_BITS: Final = 0x0100


def local_ufrag_of(data: bytes) -> str | None:
    """Return the user name fragment that a request is addressed to.

    It is the part of USERNAME before the colon; only the first 16 attributes are
    looked at. None for everything that is no request with a user name: answers
    (`transaction_prefix_of`), indications, other protocols. Source: RFC 8445 §7.2.2.
    """
    if not is_stun(data) or (data[0] << 8 | data[1]) & _CLASS_BITS != _REQUEST_BITS:
        return None
    size = len(data)
    at = _HEADER_SIZE
    for _ in range(_MAX_ATTRIBUTES):
        if at + 4 > size:
            return None
        attribute_type, length = _PAIR.unpack_from(data, at)
        if attribute_type == _USERNAME:
            name = data[at + 4 : min(at + 4 + length, size)]
            ufrag, colon, _ = name.partition(b":")
            return ufrag.decode("ascii") if colon and ufrag.isascii() else None
        at += 4 + (length + 3 & ~3)
    return None


def transaction_prefix_of(data: bytes) -> bytes | None:
    """Return the first 4 octets of the transaction id of an answer.

    They are `IceAgent.transaction_prefix` of the agent that asked. None for requests,
    indications and other protocols.
    """
    if not is_stun(data) or (data[0] << 8 | data[1]) & _SUCCESS_BITS != _SUCCESS_BITS:
        return None
    return data[8 : 8 + TRANSACTION_PREFIX_SIZE]
