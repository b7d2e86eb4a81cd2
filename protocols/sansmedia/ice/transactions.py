"""Requests of ours that wait for an answer. Source: RFC 8489 §6.2."""

from __future__ import annotations

import enum
from typing import Final

import attrs

from .checklist import Pair
from .events import Path

__all__ = ["Transaction", "TransactionKind", "TransactionTable"]

_RECORD_COST: Final = 100
"""Octets that a transaction counts besides its request."""


class TransactionKind(enum.Enum):
    """What a request is for."""

    CHECK = "check"
    CONSENT = "consent"
    GATHER = "gather"


@attrs.define(eq=False)
class Transaction:
    """One request and its timer."""

    transaction_id: bytes
    kind: TransactionKind
    octets: bytes
    path: Path
    key: bytes
    """What the answer is authenticated with; empty for a STUN server's."""
    sent_at: float
    deadline: float
    """When to send again, or to give up."""
    interval: float
    """Seconds to the deadline after the next sending."""
    sends_left: int
    final_wait: float
    """Seconds between the last sending and giving up."""
    pair: Pair | None = None
    controlling: bool = False
    """The role that the request tells."""
    nominating: bool = False
    """Whether the request has USE-CANDIDATE."""
    cancelled: bool = False
    """Not sent again, and nothing fails when no answer comes."""
    sends: int = 1


class TransactionTable:
    """Every transaction of an agent.

    Retransmissions double their interval; after ``rc`` sendings the answer may take
    ``rm`` times the first interval. Source: RFC 8489 §6.2.1.
    """

    __slots__ = ("_by_id", "_bytes", "_limit", "_rc", "_rm")

    def __init__(self, *, rc: int, rm: int, limit: int) -> None:
        self._rc = rc
        self._rm = rm
        self._limit = limit
        self._by_id: dict[bytes, Transaction] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def has_room(self) -> bool:
        """Whether one more fits; those given up make room."""
        return len(self._by_id) < self._limit or self._oldest_cancelled() is not None

    def _oldest_cancelled(self) -> Transaction | None:
        for transaction in self._by_id.values():
            if transaction.cancelled:
                return transaction
        return None

    def start(
        self,
        transaction_id: bytes,
        kind: TransactionKind,
        octets: bytes,
        path: Path,
        key: bytes,
        now: float,
        *,
        rto: float | None,
        final_wait: float = 0.0,
        pair: Pair | None = None,
        controlling: bool = False,
        nominating: bool = False,
    ) -> Transaction:
        """Remember a request that is being sent.

        Args:
            transaction_id: Of the request.
            kind: What it is for.
            octets: To send again.
            path: Where it goes.
            key: Of the answer.
            now: In seconds.
            rto: Seconds to the first retransmission; None if there shall be none.
            final_wait: Without retransmissions: seconds to wait for the answer.
            pair: Of checks and consent.
            controlling: The role that the request tells.
            nominating: Whether it has USE-CANDIDATE.
        """
        if len(self._by_id) >= self._limit:
            oldest = self._oldest_cancelled()
            if oldest is not None:
                self.remove(oldest)
        repeated = rto is not None and self._rc > 1
        wait = final_wait if rto is None else rto * self._rm
        transaction = Transaction(
            transaction_id,
            kind,
            octets,
            path,
            key,
            now,
            now + (rto if rto is not None and repeated else wait),
            2 * rto if rto is not None else 0.0,
            self._rc - 1 if repeated else 0,
            wait,
            pair,
            controlling,
            nominating,
        )
        self._by_id[transaction_id] = transaction
        self._bytes += len(octets) + _RECORD_COST
        return transaction

    def get(self, transaction_id: bytes) -> Transaction | None:
        """Return the transaction of an answer."""
        return self._by_id.get(transaction_id)

    def remove(self, transaction: Transaction) -> None:
        """Forget a transaction that has ended."""
        if self._by_id.pop(transaction.transaction_id, None) is not None:
            self._bytes -= len(transaction.octets) + _RECORD_COST

    def cancel(self, pair: Pair) -> None:
        """Give up the checks of a pair without their failing.

        Source: RFC 8445 §7.3.1.4.
        """
        for transaction in self._by_id.values():
            if transaction.pair is pair and not transaction.cancelled:
                transaction.cancelled = True
                transaction.deadline += sum(
                    transaction.interval * (1 << n)
                    for n in range(max(0, transaction.sends_left - 1))
                ) + (transaction.final_wait if transaction.sends_left else 0.0)
                transaction.sends_left = 0

    def remove_of(self, pair: Pair) -> None:
        """Forget the transactions of a pair."""
        for transaction in list(self._by_id.values()):
            if transaction.pair is pair:
                self.remove(transaction)

    def remove_all(self, kind: TransactionKind) -> None:
        """Forget the transactions of one kind."""
        for transaction in list(self._by_id.values()):
            if transaction.kind is kind:
                self.remove(transaction)

    def has(self, kind: TransactionKind) -> bool:
        """Tell whether there is one of that kind."""
        return any(entry.kind is kind for entry in self._by_id.values())

    def due(self, now: float) -> tuple[list[Transaction], list[Transaction]]:
        """Return those to send again, and those that nobody has answered.

        The second are forgotten, the first get their next deadline.
        """
        again, over = [], []
        for transaction in list(self._by_id.values()):
            if transaction.deadline > now:
                continue
            if not transaction.sends_left:
                self.remove(transaction)
                over.append(transaction)
                continue
            transaction.sends_left -= 1
            transaction.sends += 1
            if transaction.sends_left:
                transaction.deadline = now + transaction.interval
                transaction.interval *= 2
            else:
                transaction.deadline = now + transaction.final_wait
            again.append(transaction)
        return again, over

    def next_timeout(self) -> float | None:
        """Return when `due` has something."""
        return min((entry.deadline for entry in self._by_id.values()), default=None)

    def clear(self) -> None:
        """Forget everything."""
        self._by_id.clear()
        self._bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Octets held."""
        return self._bytes
