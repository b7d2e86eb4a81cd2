"""Named deadlines of one machine."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["TimerTable"]

K = TypeVar("K", bound=Hashable)


class TimerTable(Generic[K]):
    """A handful of deadlines by name; made for tables of up to some dozens."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[K, float] = {}

    def set(self, name: K, deadline: float) -> None:
        """Arm ``name`` for ``deadline`` (seconds), replacing an earlier one."""
        self._deadlines[name] = deadline

    def cancel(self, name: K) -> None:
        """Disarm ``name``; nothing happens if it is not armed."""
        self._deadlines.pop(name, None)

    def clear(self) -> None:
        """Disarm everything."""
        self._deadlines.clear()

    def __contains__(self, name: K) -> bool:
        return name in self._deadlines

    def next_timeout(self) -> float | None:
        """Return the earliest deadline, or None if nothing is armed."""
        return min(self._deadlines.values(), default=None)

    def pop_due(self, now: float) -> list[K]:
        """Disarm and return the names due at ``now``, earliest first."""
        due = [(at, name) for name, at in self._deadlines.items() if at <= now]
        due.sort(key=lambda entry: entry[0])
        for _, name in due:
            del self._deadlines[name]
        return [name for _, name in due]
