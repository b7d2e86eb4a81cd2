"""What was received and not delivered yet, by sequence number.

Source: SRT draft-01 §4.2, §4.5 and §4.6.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final, TypeAlias

from .packet_wire import (
    MESSAGE_FIRST,
    MESSAGE_IN_ORDER,
    MESSAGE_LAST,
    MESSAGE_NUMBER_MASK,
    MESSAGE_SOLO,
)
from .sequence_ranges import SequenceRanges

__all__ = ["Insertion", "ReceiveBuffer", "Received"]

Received: TypeAlias = tuple[int, int, bytes | None]
"""Timestamp (unwrapped, microseconds), message word, payload (None: not to be had)."""

# Stands for packets that will not come; due at any time.
_GAP: Final[Received] = (-(1 << 62), 0, None)


class Insertion(enum.Enum):
    """What became of a packet."""

    NEW = enum.auto()
    DUPLICATE = enum.auto()
    """It is there already."""
    BELATED = enum.auto()
    """It was delivered or given up before."""
    FULL = enum.auto()
    """It is beyond what the buffer may hold."""


class _Scattered:
    """What is known of a message of which packets came out of order."""

    __slots__ = ("count", "first", "last")

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self.last: int | None = None


class ReceiveBuffer:
    """Packets in order, those that came early, and what is missing between them.

    Args:
        sequence: Of the first packet.
        capacity: How many packets may be held.
        message_api: Whether borders of messages are kept.
        may_overtake: Whether a whole message whose sender does not care for order
            may overtake others.
    """

    __slots__ = (
        "_capacity",
        "_fragments",
        "_fragments_number",
        "_message_api",
        "_scattered",
        "early",
        "expected",
        "highest",
        "may_overtake",
        "missing",
        "octets",
        "ordered",
    )

    def __init__(
        self,
        sequence: int,
        *,
        capacity: int,
        message_api: bool,
        may_overtake: bool,
    ) -> None:
        self.expected = sequence
        """The first packet that was neither received nor given up."""
        self.highest = sequence - 1
        """The latest packet of all."""
        self.ordered: deque[Received] = deque()
        """What lies before `expected`, oldest first."""
        self.early: dict[int, Received] = {}
        """What came after something that is missing."""
        self.missing = SequenceRanges()
        """What lies between and has not come."""
        self.octets = 0
        """Of the payloads here, delivered ones not counted."""
        self._capacity = capacity
        self._message_api = message_api
        self.may_overtake = may_overtake
        """Whether a whole message may overtake others."""
        self._scattered: dict[int, _Scattered] = {}
        self._fragments: list[bytes] = []
        self._fragments_number = 0

    @property
    def available(self) -> int:
        """Packets from `expected` on that there is room for."""
        taken = len(self.ordered) + len(self._fragments)
        return max(self._capacity - taken, 0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return not self.ordered and not self.early

    def look(self, sequence: int) -> Insertion:
        """Tell what `insert` would do with a packet."""
        if sequence < self.expected:
            return Insertion.BELATED
        if sequence in self.early:
            return Insertion.DUPLICATE
        if sequence - self.expected >= self.available:
            return Insertion.FULL
        if sequence <= self.highest and sequence not in self.missing:
            return Insertion.BELATED
        return Insertion.NEW

    def insert(self, sequence: int, received: Received) -> None:
        """Put in a packet that `look` called new."""
        payload = received[2]
        if payload is not None:
            self.octets += len(payload)
        if sequence == self.expected:
            self.ordered.append(received)
            self.expected += 1
            if sequence > self.highest:
                self.highest = sequence
            else:
                self.missing.discard(sequence, sequence)
                self._advance()
            return
        self.early[sequence] = received
        if sequence > self.highest:
            if sequence > self.highest + 1:
                self.missing.add(self.highest + 1, sequence - 1)
            self.highest = sequence
        else:
            self.missing.discard(sequence, sequence)

    def _advance(self) -> None:
        """Move what is in order now behind the rest of what is."""
        gap = self.missing.first
        end = self.highest + 1 if gap is None else gap[0]
        pop, append = self.early.pop, self.ordered.append
        for sequence in range(self.expected, end):
            received = pop(sequence, _GAP)
            if self._scattered:
                self._scattered.pop(received[1] & MESSAGE_NUMBER_MASK, None)
            append(received)
        self.expected = end

    def give_up(self, low: int, high: int) -> int:
        """Wait no more for what is missing of a range; return how much that was.

        It may reach beyond the latest packet, as far as there is room.
        """
        low = max(low, self.expected)
        high = min(high, self.expected + self.available - 1)
        if low > high:
            return 0
        self.await_up_to(high)
        dropped = self.missing.discard(low, high)
        self._advance()
        return dropped

    def await_up_to(self, high: int) -> None:
        """Take it as known that packets up to ``high`` were sent."""
        high = min(high, self.expected + self.available - 1)
        if high > self.highest:
            self.missing.add(self.highest + 1, high)
            self.highest = high

    def restart(self, sequence: int) -> int:
        """Go on from a packet far ahead; return how many are given up.

        The buffer must be empty.
        """
        dropped = sequence - self.expected
        self.missing.clear()
        self._forget_fragments()
        self.expected = sequence
        self.highest = sequence - 1
        return dropped

    def next_timestamp(self, *, skipping: bool) -> int | None:
        """Return the timestamp of what is delivered next, or None.

        Args:
            skipping: Whether what is missing before it may be given up.
        """
        if self.ordered:
            return self.ordered[0][0]
        if not skipping or not self.early:
            return None
        return self._after_gap()[1]

    def _after_gap(self) -> tuple[int, int]:
        """Return number and timestamp of the first packet after what is missing."""
        gap = self.missing.first
        sequence = self.expected if gap is None else gap[1] + 1
        return sequence, self.early.get(sequence, _GAP)[0]

    def deliver(self, due: int | None, *, skipping: bool) -> tuple[list[Received], int]:
        """Take out what is due.

        Args:
            due: The latest timestamp that is; None: everything.
            skipping: Whether what is missing is given up once the next packet is due.

        Returns:
            The packets, and how many missing ones were given up.
        """
        ordered = self.ordered
        if due is None:
            delivered = list(ordered)
            ordered.clear()
            return delivered, 0
        delivered = []
        dropped = 0
        while True:
            while ordered and ordered[0][0] <= due:
                delivered.append(ordered.popleft())
            if ordered or not skipping or not self.early:
                return delivered, dropped
            sequence, timestamp = self._after_gap()
            if timestamp > due:
                return delivered, dropped
            dropped += self.missing.discard_below(sequence)
            delivered.append(_GAP)
            self.expected = sequence
            self._advance()

    # Messages.

    def assemble(self, packets: list[Received]) -> list[tuple[int, int, bytes]]:
        """Make messages of packets in order.

        Returns:
            For each its timestamp, its number and its data.
        """
        messages = []
        for timestamp, word, payload in packets:
            if payload is None:
                self._forget_fragments()
                continue
            number = word & MESSAGE_NUMBER_MASK
            self.octets -= len(payload)
            if word & MESSAGE_SOLO == MESSAGE_SOLO or not self._message_api:
                messages.append((timestamp, number, payload))
                continue
            whole = self._assemble(word, number, payload)
            if whole is not None:
                messages.append((timestamp, number, whole))
        return messages

    def _assemble(self, word: int, number: int, payload: bytes) -> bytes | None:
        fragments = self._fragments
        if word & MESSAGE_FIRST:
            self._forget_fragments()
            self._fragments_number = number
        elif not fragments or number != self._fragments_number:
            self._forget_fragments()
            return None
        fragments.append(payload)
        self.octets += len(payload)
        if word & MESSAGE_LAST:
            whole = b"".join(fragments)
            self._forget_fragments()
            return whole
        if not self.available:
            # It will never fit, and nothing else could come in the meantime.
            self._forget_fragments()
        return None

    def _forget_fragments(self) -> None:
        self.octets -= sum(map(len, self._fragments))
        self._fragments.clear()

    def overtake(self, sequence: int) -> tuple[int, int, bytes] | None:
        """Take out the message of an early packet, if it may overtake and is whole.

        Returns:
            Timestamp, number and data, or None.
        """
        received = self.early.get(sequence)
        if received is None or not (self.may_overtake and self._message_api):
            return None
        word = received[1]
        if word & MESSAGE_IN_ORDER or received[2] is None:
            return None
        number = word & MESSAGE_NUMBER_MASK
        known = self._scattered.setdefault(number, _Scattered())
        known.count += 1
        if word & MESSAGE_FIRST:
            known.first = sequence
        if word & MESSAGE_LAST:
            known.last = sequence
        if known.first is None or known.last is None:
            return None
        if known.last - known.first + 1 != known.count:
            return None
        del self._scattered[number]
        return self._take_out(known.first, known.last)

    def _take_out(self, first: int, last: int) -> tuple[int, int, bytes] | None:
        pieces = []
        timestamp, word, _ = self.early[last]
        for sequence in range(first, last + 1):
            received = self.early.get(sequence)
            if received is None or received[2] is None:
                return None
            pieces.append(received[2])
        for sequence in range(first, last + 1):
            self.early[sequence] = _GAP
        data = b"".join(pieces)
        self.octets -= len(data)
        return timestamp, word & MESSAGE_NUMBER_MASK, data

    def clear(self) -> None:
        """Forget everything."""
        self.ordered.clear()
        self.early.clear()
        self.missing.clear()
        self._scattered.clear()
        self._fragments.clear()
        self.octets = 0
