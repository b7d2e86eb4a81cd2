"""Deadlines of many, by key: a heap whose stale entries go when they come up."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """When to wake whom; made for thousands that mostly sleep.

    A deadline that moves to a later time costs nothing until the earlier one comes:
    then its owner is woken, has nothing to do, and asks again.
    """

    __slots__ = ("_due", "_heap", "_pushed")

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._pushed = 0

    def wake(self, key: K, at: float | None) -> None:
        """Wake ``key`` at that time or earlier; None asks for nothing."""
        if at is None:
            return
        due = self._due.get(key)
        if due is None or at < due:
            self._due[key] = at
            self._pushed += 1
            heapq.heappush(self._heap, (at, self._pushed, key))

    def forget(self, key: K) -> None:
        """Do not wake ``key`` any more."""
        self._due.pop(key, None)
        # What is left of it is thrown away at the latest once it is most of the heap.
        if len(self._heap) > 64 + 4 * len(self._due):
            self._heap = [
                entry for entry in self._heap if self._due.get(entry[2]) == entry[0]
            ]
            heapq.heapify(self._heap)

    def clear(self) -> None:
        """Wake nobody."""
        self._due.clear()
        self._heap.clear()

    def next_timeout(self) -> float | None:
        """Return the earliest deadline, perhaps a stale one."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[K]:
        """Return whom to wake, earliest first."""
        heap, keys = self._heap, []
        while heap and heap[0][0] <= now:
            at, _, key = heapq.heappop(heap)
            if self._due.get(key) == at:
                del self._due[key]
                keys.append(key)
        return keys
