"""One lock for each name that somebody changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

__all__ = ["NameLocks"]


@attrs.define(eq=False)
class _Held:
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    users: int = 0


class NameLocks:
    """Locks by name: whoever changes what it stands for waits for the others.

    Names that nobody changes cost nothing.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def __contains__(self, name: str) -> bool:
        """Say whether somebody changes what the name stands for."""
        return name in self._held

    def __len__(self) -> int:
        """Return how many names are held or waited for."""
        return len(self._held)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Wait for the name, and keep others waiting."""
        held = self._held.setdefault(name, _Held())
        held.users += 1
        try:
            async with held.lock:
                yield
        finally:
            held.users -= 1
            if not held.users:
                del self._held[name]
