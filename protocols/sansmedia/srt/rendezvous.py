"""A rendezvous: both sides call each other. Source: SRT draft-01 §4.3.2."""

from __future__ import annotations

import enum
from typing import Final

import attrs

from sansmedia.sansio import Dice

from .constants import Role
from .crypto import CryptoControl
from .extensions_wire import Extensions, encode_extensions
from .handshake_wire import Handshake, HandshakeType
from .handshaker import REPEAT_INTERVAL, Handshaker, extensions_of
from .negotiated import Negotiated
from .negotiation import (
    NegotiateFilter,
    judge_request,
    judge_response,
    make_request,
    require_version,
)
from .options import SrtOptions
from .rejections import Refusal, RejectionCode, code_of_type, type_of_code
from .states import (
    INITIATOR,
    RESPONDER,
    RendezvousInput,
    RendezvousState,
    RendezvousTable,
)

__all__ = ["Contest", "Rendezvous", "contest"]

_PATIENCE: Final = 10
# What the peer repeats is answered, but not by two answers in a row: one side that
# repeats at once what the other answers at once would go on without end.
_LEAST_GAP: Final = 0.05


class Contest(enum.Enum):
    """What comparing cookies gives (SRT draft-01 §4.3.2.1)."""

    INITIATOR = "initiator"
    RESPONDER = "responder"
    DRAW = "draw"


def contest(ours: int, theirs: int) -> Contest:
    """Say which part is ours. Source: SRT draft-01 §4.3.2.1.

    libsrt takes the sign of the 32-bit difference, which for cookies more than 2^31
    apart is not what the draft's code does; both sides must do the same, and libsrt
    is the other side.
    """
    difference = (ours - theirs) & 0xFFFF_FFFF
    if not difference:
        return Contest.DRAW
    if difference == 0x8000_0000:
        # The same seen from both sides; here libsrt compares the signed values.
        return Contest.RESPONDER if ours & 0x8000_0000 else Contest.INITIATOR
    return Contest.RESPONDER if difference & 0x8000_0000 else Contest.INITIATOR


class Rendezvous(Handshaker):
    """Meets one peer that does the same.

    Args:
        options: What this side wants; the stream id is not sent.
        socket_id: Ours.
        peer: The other side.
        local: Where from.
        negotiate_filter: Judges packet filters.
        dice: Makes the sequence number, the cookie and keys.
        now: The time.

    Raises:
        UsageError: The options cannot be.
    """

    role = Role.RENDEZVOUS

    def __init__(
        self,
        options: SrtOptions,
        *,
        socket_id: int,
        peer: tuple[str, int],
        local: tuple[str, int] | None = None,
        negotiate_filter: NegotiateFilter,
        dice: Dice,
        now: float,
    ) -> None:
        super().__init__(
            options,
            socket_id=socket_id,
            peer=peer,
            local=local,
            group=None,
            negotiate_filter=negotiate_filter,
            timeout=_PATIENCE * options.connect_timeout,
            dice=dice,
            now=now,
        )
        self.state = RendezvousState.WAVING
        self.part = Contest.DRAW
        """Ours, once both cookies are known."""
        self._cookie = self._make_cookie()
        self._peer_id = 0
        self._announced = options.pbkeylen // 8
        self._negotiated: Negotiated | None = None
        self._answer: tuple[int, bytes] = (0, b"")
        self._wave(now)

    def receive(self, handshake: Handshake, timestamp: int, now: float) -> None:
        """Take a handshake from the peer, and when it came."""
        code = code_of_type(handshake.type)
        try:
            if self.outcome is not None:
                self.ignored += 1
            elif code is not None:
                self.refuse(code)
            else:
                self._take(handshake, timestamp, now)
        except Refusal as refusal:
            rejection = self._handshake(
                type_of_code(refusal.rejection), cookie=self._cookie
            )
            self._say(rejection, handshake.socket_id, now)
            self._refuse_for(refusal)

    def receive_traffic(self) -> None:
        """Take note that a packet came that only a connected peer sends.

        An agreement that was lost is not missed then. Source: SRT draft-01 §4.3.2.6.
        """
        if self.part is Contest.RESPONDER and self._move(RendezvousInput.TRAFFIC):
            self._conclude()

    def reply_when_connected(self, handshake: Handshake, now: float) -> None:
        """Answer a handshake of a peer that does not know yet that it is connected."""
        if handshake.type != HandshakeType.AGREEMENT:
            self._agree_with(now)

    # --- inside --------------------------------------------------------------------

    def _make_cookie(self) -> int:
        # libsrt takes 0 for "not known yet".
        return int.from_bytes(self._dice(4)) or 1

    def _wave(self, now: float) -> None:
        wave = self._handshake(HandshakeType.WAVEAHAND, cookie=self._cookie)
        self._ask(attrs.evolve(wave, encryption=self._announced), 0, now)

    def _move(self, what: RendezvousInput) -> bool:
        table = RESPONDER if self.part is Contest.RESPONDER else INITIATOR
        following = table.get((self.state, what))
        if following is None:
            self.ignored += 1
            return False
        self.state = following
        return True

    def _end(self) -> None:
        self._move(RendezvousInput.END)

    def _take(self, theirs: Handshake, timestamp: int, now: float) -> None:
        if theirs.type not in (
            HandshakeType.WAVEAHAND,
            HandshakeType.CONCLUSION,
            HandshakeType.AGREEMENT,
        ):
            self.ignored += 1
            return
        require_version(theirs)
        if theirs.socket_id == self.socket_id:
            raise Refusal(RejectionCode.RDV_COOKIE, "this side met itself")
        is_new = self.part is Contest.DRAW or theirs.socket_id != self._peer_id
        if is_new and not self._compare(theirs, now):
            return
        extensions = extensions_of(theirs)
        if theirs.type == HandshakeType.WAVEAHAND:
            what = RendezvousInput.WAVEAHAND
        elif theirs.type == HandshakeType.AGREEMENT:
            what = RendezvousInput.AGREEMENT
        elif self._is_awaited(extensions):
            what = RendezvousInput.CONCLUSION
        else:
            what = RendezvousInput.EMPTY_CONCLUSION
        if self.part is Contest.INITIATOR:
            self._initiate(what, theirs, extensions, timestamp, now)
        else:
            self._respond(what, theirs, extensions, timestamp, now)

    def _compare(self, theirs: Handshake, now: float) -> bool:
        """Find our part; begin anew with a peer that begins anew."""
        if self.part is not Contest.DRAW:
            if theirs.type != HandshakeType.WAVEAHAND:
                self.ignored += 1
                return False
            self._begin_anew()
        part = contest(self._cookie, theirs.cookie)
        if part is Contest.DRAW or not theirs.cookie:
            self.ignored += 1
            self._cookie = self._make_cookie()
            self._wave(now)
            return False
        self.part = part
        self._peer_id = theirs.socket_id
        return True

    def _begin_anew(self) -> None:
        self.state = RendezvousState.WAVING
        self._crypto = CryptoControl(self.options, dice=self._dice)
        self._negotiated = None
        self._answer = (0, b"")

    def _is_awaited(self, extensions: Extensions) -> bool:
        if self.part is Contest.RESPONDER:
            return extensions.request is not None
        # An answer to what this side has not asked is none.
        is_waving = self.state is RendezvousState.WAVING
        return extensions.response is not None and not is_waving

    def _initiate(
        self,
        what: RendezvousInput,
        theirs: Handshake,
        extensions: Extensions,
        timestamp: int,
        now: float,
    ) -> None:
        if (self.state, what) not in INITIATOR:
            self.ignored += 1
            return
        if what is RendezvousInput.CONCLUSION:
            negotiated = judge_response(
                self.options,
                theirs,
                extensions,
                self._link(timestamp, now),
                group=None,
                negotiate_filter=self._negotiate_filter,
            )
            self._crypto.take_answer(
                extensions.key_response, peer_version=negotiated.peer_version
            )
            self._move(what)
            self._negotiated = negotiated
            self._agree_with(now)
            self._conclude()
            return
        if self._is_repeated(what, INITIATOR, now):
            return
        self._move(what)
        key_request = self._crypto.begin(theirs.key_length)
        self._ask_to_conclude(
            encode_extensions(
                make_request(self.options, key_request, None, with_stream_id=False)
            ),
            now,
        )

    def _respond(
        self,
        what: RendezvousInput,
        theirs: Handshake,
        extensions: Extensions,
        timestamp: int,
        now: float,
    ) -> None:
        if (self.state, what) not in RESPONDER:
            self.ignored += 1
            return
        if what is RendezvousInput.CONCLUSION and self._negotiated is None:
            negotiated, response = judge_request(
                self.options,
                theirs,
                extensions,
                self._link(timestamp, now),
                group=None,
                negotiate_filter=self._negotiate_filter,
            )
            key_response = self._crypto.answer(
                extensions.key_request, peer_version=negotiated.peer_version
            )
            self._negotiated = negotiated
            self._answer = encode_extensions(
                attrs.evolve(response, key_response=key_response)
            )
        if self._is_repeated(what, RESPONDER, now):
            return
        self._move(what)
        if self.state is RendezvousState.CONNECTED:
            self._conclude()
        else:
            self._ask_to_conclude(self._answer, now)

    def _is_repeated(
        self, what: RendezvousInput, table: RendezvousTable, now: float
    ) -> bool:
        """Tell whether an input changes nothing and was answered just now."""
        asked_at = self._repeat_at - REPEAT_INTERVAL
        stays = table[self.state, what] is self.state
        return stays and now - asked_at < _LEAST_GAP

    def _ask_to_conclude(self, answer: tuple[int, bytes], now: float) -> None:
        field, octets = answer
        conclusion = self._handshake(HandshakeType.CONCLUSION, cookie=self._cookie)
        conclusion = attrs.evolve(
            conclusion,
            encryption=self._crypto.key_length // 8 or self._announced,
            extension=field,
            extensions=octets,
        )
        self._ask(conclusion, self._peer_id, now)

    def _agree_with(self, now: float) -> None:
        agreement = self._handshake(HandshakeType.AGREEMENT, cookie=self._cookie)
        self._say(agreement, self._peer_id, now)

    def _conclude(self) -> None:
        if self._negotiated is not None:
            self._agree(self._negotiated)
