"""The paths that something authentic has come over: what a socket routes by."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from sansmedia.sansio import Datagram
from sansmedia.stun import Address

from .bases import BaseTable
from .events import Path, RemotePathForgotten, RemotePathLearned
from .outbox import Outbox

__all__ = ["PathTable"]

_Key: TypeAlias = tuple[Address | None, Address, str]


class PathTable:
    """Finds the path of a datagram, and keeps the authentic ones, newest last.

    Args:
        bases: Of the agent.
        outbox: Is told what is learned and forgotten.
    """

    __slots__ = ("_bases", "_known", "_outbox")

    def __init__(self, bases: BaseTable, outbox: Outbox) -> None:
        self._bases = bases
        self._outbox = outbox
        # By what the datagrams say: several may mean one path.
        self._known: OrderedDict[_Key, Path] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, datagram: Datagram) -> Path | None:
        """Return the path of a datagram, its local end as the candidates have it."""
        local, peer, transport = datagram.local, datagram.peer, datagram.transport
        known = self._known.get((local, peer, transport))
        if known is not None:
            return known
        if transport == "tcp" and local is not None:
            return Path(local, peer, transport)
        base = self._bases.find(local, peer, transport)
        return None if base is None else Path(base.address, peer, transport)

    def learn(
        self, datagram: Datagram, path: Path, *, keep: Path | None, limit: int
    ) -> None:
        """Take that something authentic came over a path.

        Args:
            datagram: It came in.
            path: What `find` gave.
            keep: Is never forgotten.
            limit: How many may be known; the one that was silent longest goes.
        """
        key = datagram.local, datagram.peer, datagram.transport
        if key in self._known:
            self._known.move_to_end(key)
            return
        is_new = path not in self._known.values()
        self._known[key] = path
        if is_new:
            self._outbox.tell(RemotePathLearned(path))
        if len(self._known) > limit:
            self._forget(next(k for k, old in self._known.items() if old != keep))

    def close(self, path: Path) -> None:
        """Forget a path whose connection has ended."""
        for key in [key for key, known in self._known.items() if known == path]:
            self._forget(key)

    def _forget(self, key: _Key) -> None:
        path = self._known.pop(key)
        if path not in self._known.values():
            self._outbox.tell(RemotePathForgotten(path))

    def clear(self) -> None:
        """Forget everything, silently."""
        self._known.clear()
