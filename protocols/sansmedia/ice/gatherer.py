"""Server-reflexive candidates: asking STUN servers how they see us.

Source: RFC 8445 §5.1.1.2.
"""

from __future__ import annotations

from typing import Final

from sansmedia.sansio import Dice, ProtocolError
from sansmedia.stun import (
    Address,
    AttributeType,
    Message,
    MessageClass,
    binding_request,
    decode_address,
    decode_xor_address,
    encode_message,
)

from .bases import Base, BaseTable
from .candidate import address_family, server_reflexive_candidate
from .config import IceConfig
from .events import GatheringCompleted, LocalCandidateFound, Path
from .outbox import Outbox
from .routing import TRANSACTION_PREFIX_SIZE
from .transactions import Transaction, TransactionKind, TransactionTable

__all__ = ["Gatherer"]

_MAX_QUESTIONS: Final = 64
"""Pairs of base and server; both are the caller's own."""


class Gatherer:
    """Asks each STUN server from each UDP base of its family, one at a time.

    Args:
        config: Of the agent.
        bases: Of the agent.
        transactions: Of the agent.
        outbox: Of the agent.
        dice: For transaction ids.
        prefix: The first octets of those.
    """

    def __init__(
        self,
        config: IceConfig,
        bases: BaseTable,
        transactions: TransactionTable,
        outbox: Outbox,
        dice: Dice,
        prefix: bytes,
    ) -> None:
        self._config = config
        self._bases = bases
        self._transactions = transactions
        self._outbox = outbox
        self._dice = dice
        self._prefix = prefix
        self._questions: list[tuple[Base, Address]] = []
        self._asked: dict[bytes, tuple[Base, Address]] = {}
        self._next_at = 0.0
        self._is_gathering = False

    def ask(self, server: Address) -> None:
        """Ask a server from every base there is."""
        self._is_gathering = True
        for base in self._bases.gathering(address_family(server[0])):
            if len(self._questions) < _MAX_QUESTIONS:
                self._questions.append((base, server))

    def advance(self, now: float) -> None:
        """Send the next question; tell if there is none left and all is answered."""
        while self._questions and now >= self._next_at and self._transactions.has_room:
            self._next_at = now + self._config.ta
            self._send(*self._questions.pop(0), now)
        if self._is_gathering and not self._questions and not self._asked:
            self._is_gathering = False
            self._outbox.tell(GatheringCompleted())

    def _send(self, base: Base, server: Address, now: float) -> None:
        transaction_id = self._prefix + self._dice(12 - TRANSACTION_PREFIX_SIZE)
        octets = encode_message(binding_request(transaction_id))
        path = Path(base.address, server)
        self._asked[transaction_id] = base, server
        # RFC 8445 §14.3.
        rto = max(self._config.rto, self._config.ta * len(self._asked))
        self._transactions.start(
            transaction_id, TransactionKind.GATHER, octets, path, b"", now, rto=rto
        )
        self._outbox.send(octets, path)

    def answered(self, transaction: Transaction, message: Message) -> None:
        """Take an answer; anything but an address ends the question without one."""
        question = self._asked.pop(transaction.transaction_id, None)
        if question is None or message.message_class is not MessageClass.SUCCESS:
            return
        base, server = question
        try:
            mapped = _mapped_address(message)
        except ProtocolError:
            return
        # A server that mixes the families up tells nothing about this base.
        if mapped is None or address_family(mapped[0]) != base.family:
            return
        candidate = server_reflexive_candidate(mapped, base.candidate, server)
        if mapped[1] and self._bases.add_reflexive(candidate):
            self._outbox.tell(LocalCandidateFound(candidate))

    def timed_out(self, transaction: Transaction) -> None:
        """Take that a server has not answered."""
        self._asked.pop(transaction.transaction_id, None)

    def next_timeout(self) -> float | None:
        """Return when `advance` has something to do."""
        if self._questions and self._transactions.has_room:
            return self._next_at
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._questions.clear()
        self._asked.clear()
        self._is_gathering = False


def _mapped_address(message: Message) -> Address | None:
    value = message.get(AttributeType.XOR_MAPPED_ADDRESS)
    if value is not None:
        return decode_xor_address(value, message.transaction_id)
    value = message.get(AttributeType.MAPPED_ADDRESS)
    return None if value is None else decode_address(value)
