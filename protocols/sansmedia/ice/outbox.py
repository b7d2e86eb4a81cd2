"""What waits for the caller: datagrams and events."""

from __future__ import annotations

from sansmedia.sansio import Datagram

from .events import IceEvent, Path

__all__ = ["Outbox"]

_EVENT_COST = 64
"""Octets that a waiting event counts."""


class Outbox:
    """Two queues that every part of an agent writes to."""

    __slots__ = ("_bytes", "_datagrams", "_events", "bytes_sent", "datagrams_sent")

    def __init__(self) -> None:
        self._datagrams: list[Datagram] = []
        self._events: list[IceEvent] = []
        self._bytes = 0
        self.datagrams_sent = 0
        self.bytes_sent = 0

    def send(self, octets: bytes, path: Path) -> None:
        """Queue a datagram for the peer of a path."""
        self.send_datagram(
            Datagram(octets, path.peer, path.local, transport=path.transport)
        )

    def send_datagram(self, datagram: Datagram) -> None:
        """Queue a datagram."""
        self._datagrams.append(datagram)
        self._bytes += len(datagram.data)

    def tell(self, event: IceEvent) -> None:
        """Queue an event."""
        self._events.append(event)

    def take_datagrams(self) -> list[Datagram]:
        """Dequeue all datagrams."""
        taken = self._datagrams
        if taken:
            self.datagrams_sent += len(taken)
            self.bytes_sent += self._bytes
            self._datagrams = []
            self._bytes = 0
        return taken

    def take_event(self) -> IceEvent | None:
        """Dequeue the oldest event."""
        return self._events.pop(0) if self._events else None

    @property
    def pending_bytes(self) -> int:
        """Octets that wait, events included."""
        return self._bytes + _EVENT_COST * len(self._events)
