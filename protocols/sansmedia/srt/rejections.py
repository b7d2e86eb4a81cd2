"""Why a connection is refused: the codes that a handshake carries, and their words.

On the wire the code stands in the handshake type, plus 1,000. Source: SRT draft-01
§4.3, libsrt rejection-codes.md §SRT Rejection Codes.
"""

from __future__ import annotations

import enum
from typing import Final

from sansmedia.sansio import ProtocolError

__all__ = [
    "PREDEFINED_CODES",
    "SYSTEM_CODES",
    "USER_CODES",
    "WIRE_OFFSET",
    "Refusal",
    "RejectionCode",
    "code_of_type",
    "rejection_text",
    "type_of_code",
]

WIRE_OFFSET: Final = 1000
"""What the handshake type has more than the code."""
SYSTEM_CODES: Final = range(1000)
"""What the library itself tells; a program may not use them."""
PREDEFINED_CODES: Final = range(1000, 2000)
"""What programs tell, with a meaning that all share: 1000 and a status of HTTP."""
USER_CODES: Final = range(2000, 3000)
"""What programs tell each other, with a meaning of their own."""


class RejectionCode(enum.IntEnum):
    """The codes with a name. See libsrt rejection-codes.md §SRT Rejection Codes."""

    UNKNOWN = 0
    """No reason was given, or one of the future."""
    SYSTEM = 1
    PEER = 2
    """The peer refused without a reason."""
    RESOURCE = 3
    ROGUE = 4
    """The handshake does not make sense."""
    BACKLOG = 5
    """Too many are waiting."""
    INTERNAL_ERROR = 6
    CLOSE = 7
    """The listener is going."""
    VERSION = 8
    """One side is older than the other bears."""
    RDV_COOKIE = 9
    """Both cookies of a rendezvous are the same."""
    BADSECRET = 10
    """The passphrases differ."""
    UNSECURE = 11
    """Only one side has a passphrase."""
    MESSAGEAPI = 12
    """One side wants messages, the other a stream."""
    CONGESTION = 13
    FILTER = 14
    GROUP = 15
    TIMEOUT = 16
    CRYPTO = 17
    """The ciphers differ."""

    FALLBACK = 1000
    """The program refuses and says no more."""
    KEY_NOT_SUPPORTED = 1001
    FILEPATH = 1002
    HOST_NOT_FOUND = 1003
    BAD_REQUEST = 1400
    UNAUTHORIZED = 1401
    OVERLOAD = 1402
    FORBIDDEN = 1403
    NOT_FOUND = 1404
    BAD_MODE = 1405
    UNACCEPTABLE = 1406
    CONFLICT = 1409
    """Somebody publishes there already."""
    MEDIA_NOT_SUPPORTED = 1415
    LOCKED = 1423
    FAILED_DEPENDENCY = 1424
    SERVER_ERROR = 1500
    UNIMPLEMENTED = 1501
    GATEWAY = 1502
    DOWN = 1503
    APPLICATION_VERSION = 1505
    NO_ROOM = 1507


_R = RejectionCode
_TEXTS: Final = {
    _R.UNKNOWN: "refused for an unknown reason",
    _R.SYSTEM: "a system call failed",
    _R.PEER: "the peer refused without a reason",
    _R.RESOURCE: "resources are short",
    _R.ROGUE: "the handshake does not make sense",
    _R.BACKLOG: "too many connections are waiting",
    _R.INTERNAL_ERROR: "the peer has an error of its own",
    _R.CLOSE: "the listener is closing",
    _R.VERSION: "the peer's version does not suit",
    _R.RDV_COOKIE: "both cookies of the rendezvous are the same",
    _R.BADSECRET: "the passphrases differ",
    _R.UNSECURE: "only one side has a passphrase",
    _R.MESSAGEAPI: "one side wants messages and the other a stream",
    _R.CONGESTION: "the congestion controllers differ",
    _R.FILTER: "the packet filters do not suit each other",
    _R.GROUP: "the groups do not suit each other",
    _R.TIMEOUT: "nobody answered in time",
    _R.CRYPTO: "the ciphers differ",
    _R.FALLBACK: "the application refused",
    _R.KEY_NOT_SUPPORTED: "a key of the stream id is not supported",
    _R.FILEPATH: "the file was not found",
    _R.HOST_NOT_FOUND: "the host is not known",
    _R.BAD_REQUEST: "the request has an error of syntax",
    _R.UNAUTHORIZED: "the user is not authorized",
    _R.OVERLOAD: "the server is overloaded or the credit used up",
    _R.FORBIDDEN: "access is denied",
    _R.NOT_FOUND: "the resource was not found",
    _R.BAD_MODE: "the mode is not supported",
    _R.UNACCEPTABLE: "the parameters cannot be met",
    _R.CONFLICT: "the resource is in use by another publisher",
    _R.MEDIA_NOT_SUPPORTED: "the type of media is not supported",
    _R.LOCKED: "the resource is locked",
    _R.FAILED_DEPENDENCY: "the session does not exist",
    _R.SERVER_ERROR: "the server has an error of its own",
    _R.UNIMPLEMENTED: "the request is not supported yet",
    _R.GATEWAY: "the target refused the gateway",
    _R.DOWN: "the service is down",
    _R.APPLICATION_VERSION: "the application's version is not supported",
    _R.NO_ROOM: "there is no room left to store the stream",
}


class Refusal(ProtocolError):
    """What a peer asks for cannot be met: a handshake is answered with its code.

    Args:
        rejection: The code without the wire's offset.
        reason: One sentence for a log line; what the code says, by default.
        source: The clause.
    """

    def __init__(
        self, rejection: RejectionCode, reason: str = "", *, source: str = ""
    ) -> None:
        super().__init__(
            reason or rejection_text(rejection),
            code=rejection.name.lower(),
            source=source or "SRT draft-01 §4.3",
        )
        self.rejection = rejection
        """What the peer is told."""


def rejection_text(code: int) -> str:
    """Return what a code means, in words for a log line."""
    try:
        return _TEXTS[RejectionCode(code)]
    except ValueError:
        pass
    if code in USER_CODES:
        return f"the application refused with its own code {code}"
    if code in PREDEFINED_CODES:
        return f"the application refused with code {code}"
    return f"refused with the unknown code {code}"


def code_of_type(handshake_type: int) -> int | None:
    """Return the rejection code in a handshake type, or None if it is no rejection.

    A system code that nobody knows counts as unknown.
    """
    # What is larger than that are the types that have a minus in libsrt.
    if not WIRE_OFFSET <= handshake_type < 0x8000_0000:
        return None
    code = handshake_type - WIRE_OFFSET
    return RejectionCode.UNKNOWN if RejectionCode.CRYPTO < code < 1000 else code


def type_of_code(code: int) -> int:
    """Return the handshake type that carries a rejection code."""
    return code + WIRE_OFFSET
