"""A seeded, simulated network, itself sans-IO: a bad minute runs in milliseconds.

Two ways to carry things in one direction: `DatagramLink` loses, delays, reorders and
duplicates datagrams; `StreamPipe` carries bytes in order, cut at random, as TCP does.
Both say by `next_timeout` when something arrives next. Time is in seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

import attrs

from sansmedia.sansio.contract import Datagram

from .dice import SeededDice

__all__ = ["Conditions", "DatagramLink", "LinkStatistics", "StreamPipe"]

# What a lost segment costs a stream: TCP's least retransmission time-out as Linux
# sets it. RFC 6298 §2.4 would have 1 s; real stacks do not wait that long.
_RETRANSMISSION_S = 0.2


@attrs.frozen(kw_only=True)
class Conditions:
    """What a link does to its traffic; the default is a perfect link."""

    delay: float = 0.0
    """Seconds every datagram or segment is under way."""
    jitter: float = 0.0
    """Seconds added at random, evenly from 0 to this; never reorders by itself."""
    loss: float = 0.0
    """Probability of loss; on a stream, of a retransmission (0.2 s more)."""
    duplicate: float = 0.0
    """Probability that a datagram arrives twice."""
    reorder: float = 0.0
    """Probability that a datagram is held back and overtaken by later ones."""
    reorder_delay: float = 0.02
    """Seconds that a held-back datagram loses."""
    rate_bps: float | None = None
    """Bits per second through the bottleneck; None is without limit."""
    queue_bytes: int = 64 * 1024
    """Octets that wait before the bottleneck; a datagram beyond them is lost."""
    outages: tuple[tuple[float, float], ...] = ()
    """Times ``[start, end)`` when nothing passes: datagrams die, a stream waits."""

    def outage_end(self, now: float) -> float | None:
        """Return when the outage of this moment ends, or None if there is none."""
        for start, end in self.outages:
            if start <= now < end:
                return end
        return None


@attrs.frozen(kw_only=True)
class LinkStatistics:
    """What became of the datagrams of one link."""

    sent: int = 0
    """Datagrams given to the link."""
    delivered: int = 0
    """Datagrams that arrived, duplicates among them."""
    lost: int = 0
    """Lost by `Conditions.loss`."""
    overflowed: int = 0
    """Lost because the queue before the bottleneck was full."""
    cut: int = 0
    """Lost in an outage."""
    duplicated: int = 0
    """Copies made."""
    reordered: int = 0
    """Held back."""


class _Bottleneck:
    """The queue before a rate limit, kept as the time when the line falls free."""

    __slots__ = ("_free_at", "_rate_bps")

    def __init__(self, rate_bps: float | None) -> None:
        self._rate_bps = rate_bps
        self._free_at = 0.0

    def backlog(self, now: float) -> float:
        """Return the octets that wait."""
        if self._rate_bps is None:
            return 0.0
        return max(0.0, self._free_at - now) * self._rate_bps / 8

    def departure(self, size: int, now: float) -> float:
        """Return when the last bit of ``size`` octets has left."""
        if self._rate_bps is None:
            return now
        self._free_at = max(now, self._free_at) + size * 8 / self._rate_bps
        return self._free_at


class DatagramLink:
    """One direction of a datagram network.

    Args:
        conditions: What happens on the way.
        seed: Pins every loss, delay and duplicate.
    """

    def __init__(self, conditions: Conditions | None = None, *, seed: int = 0) -> None:
        self._conditions = conditions or Conditions()
        self._dice = SeededDice(seed)
        self._bottleneck = _Bottleneck(self._conditions.rate_bps)
        self._under_way: list[tuple[float, int, Datagram]] = []
        self._number = 0
        self._latest = 0.0
        self._counts = dict.fromkeys(attrs.fields_dict(LinkStatistics), 0)

    def send(self, datagrams: Iterable[Datagram], now: float) -> None:
        """Put datagrams on the way."""
        for datagram in datagrams:
            self._send(datagram, now)

    def _send(self, datagram: Datagram, now: float) -> None:
        conditions, dice, counts = self._conditions, self._dice, self._counts
        counts["sent"] += 1
        # Each datagram draws the same number of dice, so that changing one condition
        # leaves what happens by the others as it was.
        lost = dice.chance(conditions.loss)
        held_back = dice.chance(conditions.reorder)
        doubled = dice.chance(conditions.duplicate)
        jitter = dice.uniform() * conditions.jitter
        if conditions.outage_end(now) is not None:
            counts["cut"] += 1
            return
        if lost:
            counts["lost"] += 1
            return
        size = len(datagram.data)
        if (
            conditions.rate_bps is not None
            and self._bottleneck.backlog(now) + size > conditions.queue_bytes
        ):
            counts["overflowed"] += 1
            return
        departure = self._bottleneck.departure(size, now)
        arrival = departure + conditions.delay + jitter
        if held_back:
            counts["reordered"] += 1
            arrival += conditions.reorder_delay
        else:
            arrival = self._latest = max(arrival, self._latest)
        self._enqueue(arrival, datagram)
        if doubled:
            counts["duplicated"] += 1
            self._enqueue(arrival, datagram)

    def _enqueue(self, arrival: float, datagram: Datagram) -> None:
        self._number += 1
        heapq.heappush(self._under_way, (arrival, self._number, datagram))

    def next_timeout(self) -> float | None:
        """Return when the next datagram arrives, or None."""
        return self._under_way[0][0] if self._under_way else None

    def arrivals(self, now: float) -> list[Datagram]:
        """Dequeue copies of what has arrived, ``at`` set to the arrival."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            at, _, datagram = heapq.heappop(self._under_way)
            arrived.append(attrs.evolve(datagram, at=at))
        self._counts["delivered"] += len(arrived)
        return arrived

    def statistics(self) -> LinkStatistics:
        """Return the counters so far."""
        return LinkStatistics(**self._counts)


class StreamPipe:
    """One direction of a byte stream: everything arrives, in order, cut anew.

    `Conditions.duplicate`, ``reorder`` and ``queue_bytes`` mean nothing here.

    Args:
        conditions: What happens on the way.
        seed: Pins every cut and delay.
        max_segment: Octets of the largest piece; pieces are 1 to this, at random.
    """

    def __init__(
        self,
        conditions: Conditions | None = None,
        *,
        seed: int = 0,
        max_segment: int = 1460,
    ) -> None:
        self._conditions = conditions or Conditions()
        self._dice = SeededDice(seed)
        self._bottleneck = _Bottleneck(self._conditions.rate_bps)
        self._max_segment = max_segment
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._latest = 0.0
        self._eof_at: float | None = None
        self._eof_taken = False

    @property
    def pending_bytes(self) -> int:
        """Octets under way."""
        return sum(len(segment) for _, segment in self._under_way)

    def send(self, data: bytes, now: float) -> None:
        """Put bytes on the way; nothing may follow `send_eof`."""
        position = 0
        while position < len(data):
            end = position + self._dice.between(1, self._max_segment)
            segment = data[position:end]
            self._under_way.append((self._arrival(len(segment), now), segment))
            position = end

    def send_eof(self, now: float) -> None:
        """End the stream after what is under way."""
        if self._eof_at is None:
            self._eof_at = self._arrival(0, now)

    def _arrival(self, size: int, now: float) -> float:
        conditions = self._conditions
        lost = self._dice.chance(conditions.loss)
        jitter = self._dice.uniform() * conditions.jitter
        outage_end = conditions.outage_end(now)
        departure = self._bottleneck.departure(
            size, now if outage_end is None else outage_end
        )
        arrival = departure + conditions.delay + jitter
        if lost:
            arrival += _RETRANSMISSION_S
        self._latest = max(arrival, self._latest)
        return self._latest

    def next_timeout(self) -> float | None:
        """Return when the next segment or the end arrives, or None."""
        if self._under_way:
            return self._under_way[0][0]
        return None if self._eof_taken else self._eof_at

    def arrivals(self, now: float) -> list[bytes]:
        """Dequeue the segments that have arrived."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(self._under_way.popleft()[1])
        return arrived

    def take_eof(self, now: float) -> bool:
        """Tell once that the end has arrived; False before and ever after."""
        deadline = self.next_timeout()
        if self._under_way or deadline is None or deadline > now:
            return False
        self._eof_taken = True
        return True
