"""The server side of STUN: who may ask, and what the answer is.

Source: RFC 8489 §9.1.3, RFC 8445 §7.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from sansmedia.sansio import Datagram, ProtocolError
from sansmedia.stun import (
    AttributeType,
    ErrorCode,
    Message,
    MessageClass,
    decode_u32,
    encode_error_code,
    encode_message,
    encode_unknown_attributes,
    encode_xor_address,
    response_to,
)

from .authentication import is_authentic, unknown_of
from .candidate import canonical_host
from .checker import Checker
from .outbox import Outbox

__all__ = ["Check", "Responder"]

_USERNAME: Final = int(AttributeType.USERNAME)
_PRIORITY: Final = int(AttributeType.PRIORITY)
_USE_CANDIDATE: Final = int(AttributeType.USE_CANDIDATE)
_XOR_MAPPED_ADDRESS: Final = int(AttributeType.XOR_MAPPED_ADDRESS)
_ERROR_CODE: Final = int(AttributeType.ERROR_CODE)
_UNKNOWN_ATTRIBUTES: Final = int(AttributeType.UNKNOWN_ATTRIBUTES)
_MAX_PRIORITY: Final = (1 << 31) - 1


@attrs.define
class Check:
    """A check of the peer that got a success."""

    checker: Checker
    """The session it belongs to."""
    ufrag: str
    """What it calls us: `Checker.requested`."""
    priority: int | None
    """Of a peer-reflexive candidate; None if the peer did not say."""
    use_candidate: bool


class Responder:
    """Answers requests, and says which of them mean something.

    An error for somebody unknown goes to an address that anybody may have written on
    the request: there are few of them, and none is longer than what it answers.

    Args:
        outbox: Takes the answers.
        rate: Errors a second for requests that are not authentic.
    """

    def __init__(self, outbox: Outbox, rate: int) -> None:
        self._outbox = outbox
        self._rate = rate
        self._left = rate
        self._second = -1
        self.answered = 0
        """Authentic requests."""
        self.rejected = 0
        """Others that got an error."""
        self.dropped = 0
        """Others that got nothing."""

    def receive(
        self,
        message: Message,
        datagram: Datagram,
        sessions: Iterable[Checker],
        current: Checker,
        now: float,
    ) -> Check | None:
        """Answer a request; return it if it is a check that succeeds.

        Source: RFC 8489 §9.1.3, §6.3.1, RFC 8445 §7.3, §7.3.1.1.

        Args:
            message: The request.
            datagram: It came in.
            sessions: Whose user name fragments are known.
            current: The one in which roles may still change.
            now: In seconds.
        """
        username = message.get(_USERNAME)
        if canonical_host(datagram.peer[0]) is None:
            self.dropped += 1
            return None
        if username is None or not (
            message.integrity_at or message.integrity_sha256_at
        ):
            self._reject(message, datagram, ErrorCode.BAD_REQUEST, now)
            return None
        checker = _addressed(username, sessions)
        if checker is None or not is_authentic(message, checker.key):
            self._reject(message, datagram, ErrorCode.UNAUTHENTICATED, now)
            return None
        self.answered += 1
        session = current if _is_of(username, current) else checker
        unknown = unknown_of(message)
        code = ErrorCode.UNKNOWN_ATTRIBUTE if unknown else None
        priority = None
        try:
            value = message.get(_PRIORITY)
            if value is not None:
                priority = min(max(decode_u32(value), 1), _MAX_PRIORITY)
            if not unknown and session is current and not session.repair_role(message):
                code = ErrorCode.ROLE_CONFLICT
        except ProtocolError:
            code = ErrorCode.BAD_REQUEST
        if code is not None:
            self._answer(_error(message, code, checker.key, unknown), datagram)
            return None
        # Seen as it came: RFC 8489 §6.3.1.1.
        mapped = encode_xor_address(datagram.peer, message.transaction_id)
        success = response_to(
            message, MessageClass.SUCCESS, [(_XOR_MAPPED_ADDRESS, mapped)]
        )
        self._answer(_signed(message, success, checker.key), datagram)
        use_candidate = message.get(_USE_CANDIDATE) is not None
        return Check(session, checker.ufrag, priority, use_candidate)

    def _reject(
        self, message: Message, datagram: Datagram, code: ErrorCode, now: float
    ) -> None:
        second = int(now)
        if second != self._second:
            self._second = second
            self._left = self._rate
        octets = _error(message, code, None, ())
        if not self._left or len(octets) > len(datagram.data):
            self.dropped += 1
            return
        self._left -= 1
        self.rejected += 1
        self._answer(octets, datagram)

    def _answer(self, octets: bytes, datagram: Datagram) -> None:
        # Exactly where it came from. RFC 8489 §6.3.1.2.
        self._outbox.send_datagram(
            Datagram(
                octets, datagram.peer, datagram.local, transport=datagram.transport
            )
        )


def _addressed(username: bytes, sessions: Iterable[Checker]) -> Checker | None:
    """Return the session of a user name. Source: RFC 8445 §7.3."""
    ufrag, colon, _ = username.partition(b":")
    for checker in sessions:
        if colon and ufrag == checker.ufrag.encode():
            return checker
    return None


def _is_of(username: bytes, session: Checker) -> bool:
    """Tell whether a peer is in a session, whatever it calls us. RFC 8445 §7.2.2."""
    _, _, theirs = username.partition(b":")
    return session.is_started and theirs == session.remote_ufrag.encode()


def _error(
    request: Message, code: ErrorCode, key: bytes | None, unknown: Sequence[int]
) -> bytes:
    """Write an error, without a digest if there is no key. RFC 8489 §9.1.3."""
    attributes = [(_ERROR_CODE, encode_error_code(code))]
    if code is ErrorCode.UNKNOWN_ATTRIBUTE:
        attributes.append((_UNKNOWN_ATTRIBUTES, encode_unknown_attributes(unknown)))
    response = response_to(request, MessageClass.ERROR, attributes)
    if key is None:
        return encode_message(response)
    return _signed(request, response, key)


def _signed(request: Message, response: Message, key: bytes) -> bytes:
    # An answer has the digest that its request had, and no other. RFC 8489 §9.1.3.
    if request.integrity_sha256_at:
        return encode_message(response, key_sha256=key)
    return encode_message(response, key=key)
