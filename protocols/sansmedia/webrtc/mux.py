"""Whose datagram it is: one socket, many peers.

A request of STUN names its session in its user name; an answer has the prefix of the
agent that asked; everything else comes over a path that an authenticated check has
shown. Nothing is kept of strangers.

Source: RFC 8445 §7.3, RFC 9443 §3.
"""

from __future__ import annotations

from collections.abc import Sequence

from sansmedia.ice import Path, local_ufrag_of, transaction_prefix_of
from sansmedia.sansio import Datagram

from .peer import Peer

__all__ = ["PeerMux"]

_STUN_END = 4


class PeerMux:
    """Sorts datagrams to peers; what it knows, `add`, `learn` and `remove` told it."""

    def __init__(self) -> None:
        self.strangers = 0
        """Datagrams that belong to nobody."""
        self._by_ufrag: dict[str, Peer] = {}
        self._by_prefix: dict[bytes, Peer] = {}
        self._by_path: dict[Path, Peer] = {}
        self._claims: dict[Path, Peer] = {}
        self._ufrags: dict[Peer, tuple[str, ...]] = {}
        self._paths: dict[Peer, set[Path]] = {}

    def __len__(self) -> int:
        return len(self._ufrags)

    def add(self, peer: Peer) -> None:
        """Take a peer; again after it has restarted ICE."""
        self._forget_ufrags(peer)
        self._ufrags[peer] = peer.ice.local_ufrags
        for ufrag in self._ufrags[peer]:
            self._by_ufrag[ufrag] = peer
        self._by_prefix[peer.ice.transaction_prefix] = peer
        self._paths.setdefault(peer, set())

    def is_free(self, ufrag: str, prefix: bytes) -> bool:
        """Tell whether no peer has this user name fragment or prefix."""
        return ufrag not in self._by_ufrag and prefix not in self._by_prefix

    def learn(self, path: Path, peer: Peer) -> None:
        """What comes over a path is this peer's; a peer that is not here gets nothing.

        While another peer is connected over it, it gets the path only after that one:
        whoever forges an address must not take away another's media.
        """
        paths = self._paths.get(peer)
        if paths is None:
            return
        paths.add(path)
        former = self._by_path.get(path)
        if former is not None and former is not peer:
            if former.is_connected and former.path == path:
                self._claims[path] = peer
                return
            self._paths[former].discard(path)
        self._by_path[path] = peer

    def forget(self, path: Path, peer: Peer) -> None:
        """What comes over a path is this peer's no longer."""
        if peer in self._paths:
            self._paths[peer].discard(path)
            self._release(path, peer)

    def _release(self, path: Path, peer: Peer) -> None:
        if self._claims.get(path) is peer:
            del self._claims[path]
        if self._by_path.get(path) is peer:
            del self._by_path[path]
            heir = self._claims.pop(path, None)
            if heir is not None:
                self._by_path[path] = heir

    def owner_of(self, path: Path) -> Peer | None:
        """Return the peer whose datagrams come over a path."""
        return self._by_path.get(path)

    def paths_of(self, peer: Peer) -> list[Path]:
        """Return the paths whose datagrams are a peer's."""
        return [
            path
            for path in self._paths.get(peer, ())
            if self._by_path.get(path) is peer
        ]

    def remove(self, peer: Peer) -> None:
        """Let go of a peer."""
        self._forget_ufrags(peer)
        self._ufrags.pop(peer, None)
        prefix = peer.ice.transaction_prefix
        if self._by_prefix.get(prefix) is peer:
            del self._by_prefix[prefix]
        for path in self._paths.pop(peer, ()):
            self._release(path, peer)

    def _forget_ufrags(self, peer: Peer) -> None:
        for ufrag in self._ufrags.get(peer, ()):
            if self._by_ufrag.get(ufrag) is peer:
                del self._by_ufrag[ufrag]

    def sort(self, batch: Sequence[Datagram]) -> dict[Peer, list[Datagram]]:
        """Return each peer's datagrams, in the order of arrival (0.5 µs each)."""
        sorted_batch: dict[Peer, list[Datagram]] = {}
        by_path = self._by_path
        for datagram in batch:
            data = datagram.data
            peer: Peer | None = None
            if data and data[0] < _STUN_END:
                peer = self._stun_peer(data)
            if peer is None and datagram.local is not None:
                path = Path(datagram.local, datagram.peer, datagram.transport)
                peer = by_path.get(path)
            if peer is None:
                self.strangers += 1
                continue
            run = sorted_batch.get(peer)
            if run is None:
                sorted_batch[peer] = [datagram]
            else:
                run.append(datagram)
        return sorted_batch

    def _stun_peer(self, data: bytes) -> Peer | None:
        ufrag = local_ufrag_of(data)
        if ufrag is not None:
            return self._by_ufrag.get(ufrag)
        prefix = transaction_prefix_of(data)
        return None if prefix is None else self._by_prefix.get(prefix)
