"""Ask again for packets that are missing.

Source: RFC 4585 §6.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

import attrs

from sansmedia.sansio import unwrap

from .limits import Limits

__all__ = ["NackGenerator", "NackStatistics"]

_SHORTEST_INTERVAL_S: Final = 0.02
_MARGIN_S: Final = 0.01
"""What the peer may need to answer."""
_LONGEST_BACK_OFF: Final = 8.0
_MISSING_COST: Final = 64


@attrs.frozen
class NackStatistics:
    """Counters of a `NackGenerator`."""

    missed: int
    """Packets that were missing when a later one came."""
    recovered: int
    """Of these, those that came after all, reordered or sent again."""
    given_up: int
    """Of these, those that were asked for often or long enough."""
    requests: int
    """Sequence numbers asked for, repetitions included."""


@attrs.define
class _Missing:
    noticed_at: float
    due_at: float
    requests: int = 0


class NackGenerator:
    """Finds gaps in one stream's sequence numbers and says when to ask for them.

    A transform with time: each call returns the sequence numbers to put into a `Nack`
    now. A number is first asked for a little after it was missed (it may only be
    reordered), then again each round trip and longer each time.

    Args:
        wait: Seconds before the first request.
        limits: Its ``missing``, ``requests``, ``request_time`` and ``jump`` are used.
    """

    __slots__ = (
        "_given_up",
        "_highest",
        "_limits",
        "_missed",
        "_missing",
        "_next",
        "_recovered",
        "_requests",
        "_wait",
        "round_trip_time",
    )

    def __init__(self, *, wait: float = 0.005, limits: Limits | None = None) -> None:
        self._wait = wait
        self._limits = limits or Limits()
        self._highest: int | None = None
        self._missing: dict[int, _Missing] = {}  # unwrapped, ascending
        self._next = 0.0
        self._missed = 0
        self._recovered = 0
        self._given_up = 0
        self._requests = 0
        self.round_trip_time = 0.1
        """Seconds; set it when it is known better."""

    def feed(self, sequences: Iterable[int], now: float) -> list[int]:
        """Take the sequence numbers of packets that came; return those to ask for.

        0.1 µs a packet in batches of 8 while nothing is missing. Packets that came as
        retransmissions belong here under their original numbers.
        """
        for sequence in sequences:
            highest = self._highest
            if highest is None:
                self._highest = sequence
                continue
            ahead = sequence - highest & 0xFFFF
            if ahead == 1:
                self._highest = highest + 1
            elif ahead < 0x8000:
                if ahead:
                    self._miss(highest + 1, highest + ahead, now)
            else:
                number = unwrap(sequence, highest, 16)
                if self._missing.pop(number, None):
                    self._recovered += 1
                elif highest - number >= self._limits.jump:
                    self._begin_anew(sequence)
        return self._due(now) if self._missing else []

    def _miss(self, first: int, end: int, now: float) -> None:
        """Note that the numbers up to ``end``, which came, are missing."""
        self._highest = end
        if end - first >= self._limits.jump:
            self._begin_anew(end)
            return
        self._missed += end - first
        first_kept = max(first, end - self._limits.missing)
        self._given_up += first_kept - first
        if not self._missing:
            self._next = now + self._wait
        else:
            self._next = min(self._next, now + self._wait)
        for number in range(first_kept, end):
            self._missing[number] = _Missing(now, now + self._wait)
        excess = max(0, len(self._missing) - self._limits.missing)
        # One by one, each would be looked for behind all that went before it.
        for number in list(islice(self._missing, excess)):
            del self._missing[number]
        self._given_up += excess

    def _begin_anew(self, highest: int) -> None:
        # Nobody has the packets in between.
        self._highest = highest
        self.forget()

    def _due(self, now: float) -> list[int]:
        if now < self._next:
            return []
        base = max(_SHORTEST_INTERVAL_S, self.round_trip_time + _MARGIN_S)
        limits = self._limits
        due = []
        over = []
        following = now + limits.request_time
        for number, missing in self._missing.items():
            if missing.due_at <= now:
                end = missing.noticed_at + limits.request_time
                if missing.requests >= limits.requests or now >= end:
                    over.append(number)
                    continue
                back_off = min(1.5**missing.requests, _LONGEST_BACK_OFF)
                missing.requests += 1
                missing.due_at = min(now + base * back_off, end)
                due.append(number & 0xFFFF)
            following = min(following, missing.due_at)
        for number in over:
            del self._missing[number]
        self._next = following
        self._given_up += len(over)
        self._requests += len(due)
        return due

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, or None."""
        return self._next if self._missing else None

    def handle_timeout(self, now: float) -> list[int]:
        """Return the sequence numbers to ask for now."""
        return self._due(now) if self._missing else []

    def forget(self) -> None:
        """Ask no longer for what is missing: a key frame makes it useless."""
        self._given_up += len(self._missing)
        self._missing.clear()

    @property
    def pending_bytes(self) -> int:
        """Octets that the packets asked for take."""
        return _MISSING_COST * len(self._missing)

    def statistics(self) -> NackStatistics:
        """Return the counters."""
        return NackStatistics(
            missed=self._missed,
            recovered=self._recovered,
            given_up=self._given_up,
            requests=self._requests,
        )
