"""Events that wait to be taken, within their limits."""

from __future__ import annotations

from .config import Limits
from .counts import Counts
from .events import PeerEvent

__all__ = ["EventQueue"]

_EVENT_COST = 64


class EventQueue:
    """A queue that refuses what a peer makes too much of; all else it takes.

    Args:
        limits: Its ``events`` and ``event_bytes`` are used.
        counts: Where what is refused is counted.
    """

    __slots__ = ("_counts", "_events", "_limits", "pending_bytes")

    def __init__(self, limits: Limits, counts: Counts) -> None:
        self._limits = limits
        self._counts = counts
        self._events: list[tuple[PeerEvent, int]] = []
        self.pending_bytes = 0
        """Octets that wait."""

    def tell(self, event: PeerEvent) -> None:
        """Queue an event of which there are few."""
        self._events.append((event, _EVENT_COST))
        self.pending_bytes += _EVENT_COST

    def offer(self, event: PeerEvent, octets: int, count: int = 1) -> None:
        """Queue an event, or count the packets that it is made of."""
        limits = self._limits
        if len(self._events) >= limits.events or (
            self.pending_bytes >= limits.event_bytes
        ):
            self._counts.dropped += count
            return
        octets += _EVENT_COST
        self._events.append((event, octets))
        self.pending_bytes += octets

    def take(self) -> PeerEvent | None:
        """Dequeue the oldest event, or None."""
        if not self._events:
            return None
        event, octets = self._events.pop(0)
        self.pending_bytes -= octets
        return event
