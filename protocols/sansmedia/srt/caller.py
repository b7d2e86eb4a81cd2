"""A caller's handshake. Source: SRT draft-01 §4.3.1."""

from __future__ import annotations

from typing import Final

import attrs

from sansmedia.sansio import Dice

from .constants import Role
from .extensions_wire import GroupMembership, encode_extensions
from .handshake_wire import HANDSHAKE_MAGIC, Handshake, HandshakeType
from .handshaker import Handshaker, extensions_of
from .negotiation import (
    NegotiateFilter,
    judge_response,
    make_request,
    require_version,
)
from .options import SrtOptions
from .rejections import Refusal, RejectionCode, code_of_type
from .states import CALLER, CallerInput, CallerState

__all__ = ["Caller"]

_UDT_DATAGRAM: Final = 2


class Caller(Handshaker):
    """Asks a listener for a connection: induction, then conclusion.

    Args:
        options: What this side wants.
        socket_id: Ours.
        peer: The listener.
        local: Where from.
        group: The membership, if the connection is one of a group.
        negotiate_filter: Judges packet filters.
        dice: Makes the sequence number and keys.
        now: The time.
        initial_sequence: Of our first packet; None: any.

    Raises:
        UsageError: The options cannot be.
    """

    role = Role.CALLER

    def __init__(
        self,
        options: SrtOptions,
        *,
        socket_id: int,
        peer: tuple[str, int],
        local: tuple[str, int] | None = None,
        group: GroupMembership | None = None,
        negotiate_filter: NegotiateFilter,
        dice: Dice,
        now: float,
        initial_sequence: int | None = None,
    ) -> None:
        super().__init__(
            options,
            socket_id=socket_id,
            peer=peer,
            local=local,
            group=group,
            negotiate_filter=negotiate_filter,
            timeout=options.connect_timeout,
            dice=dice,
            now=now,
            initial_sequence=initial_sequence,
        )
        self.state = CallerState.INDUCTION
        induction = attrs.evolve(
            self._handshake(HandshakeType.INDUCTION, version=4),
            extension=_UDT_DATAGRAM,
        )
        self._ask(induction, 0, now)

    def receive(self, handshake: Handshake, timestamp: int, now: float) -> None:
        """Take a handshake from the listener, and when it came."""
        code = code_of_type(handshake.type)
        try:
            if self.outcome is not None:
                self.ignored += 1
            elif code is not None:
                self.refuse(code)
            elif handshake.type == HandshakeType.INDUCTION:
                self._take_cookie(handshake, now)
            elif handshake.type == HandshakeType.CONCLUSION:
                self._take_conclusion(handshake, timestamp, now)
            else:
                self.ignored += 1
        except Refusal as refusal:
            if self.state is CallerState.CONCLUSION:
                self._say_shutdown(handshake.socket_id, now)
            self._refuse_for(refusal)

    def _move(self, what: CallerInput) -> bool:
        following = CALLER.get((self.state, what))
        if following is None:
            self.ignored += 1
            return False
        self.state = following
        return True

    def _end(self) -> None:
        self._move(CallerInput.END)

    def _take_cookie(self, theirs: Handshake, now: float) -> None:
        """Conclude. Source: SRT draft-01 §4.3.1.2.1."""
        if (self.state, CallerInput.INDUCTION) not in CALLER:
            self.ignored += 1
            return
        require_version(theirs)
        if theirs.extension != HANDSHAKE_MAGIC:
            raise Refusal(RejectionCode.ROGUE, "the listener is none of SRT")
        self._move(CallerInput.INDUCTION)
        key_request = self._crypto.begin(theirs.key_length)
        field, octets = encode_extensions(
            make_request(self.options, key_request, self._group)
        )
        conclusion = attrs.evolve(
            self._handshake(HandshakeType.CONCLUSION, cookie=theirs.cookie),
            encryption=self._crypto.key_length // 8,
            extension=field,
            extensions=octets,
        )
        self._ask(conclusion, 0, now)

    def _take_conclusion(self, theirs: Handshake, timestamp: int, now: float) -> None:
        if (self.state, CallerInput.CONCLUSION) not in CALLER:
            self.ignored += 1
            return
        if theirs.version == 0:
            raise Refusal(RejectionCode.PEER)
        require_version(theirs)
        extensions = extensions_of(theirs)
        negotiated = judge_response(
            self.options,
            theirs,
            extensions,
            self._link(timestamp, now, self.options.stream_id),
            group=self._group,
            negotiate_filter=self._negotiate_filter,
        )
        self._crypto.take_answer(
            extensions.key_response, peer_version=negotiated.peer_version
        )
        self._move(CallerInput.CONCLUSION)
        self._agree(negotiated)
