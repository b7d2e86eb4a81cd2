"""The checklist: which pairs there are, and which one is to be checked next.

Source: RFC 8445 §6.1.2, §6.1.4, RFC 8838 §12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from .bases import Base
from .candidate import Candidate, CandidateType, TcpType, address_family, canonical_host
from .events import Path
from .limits import Limits
from .states import PAIR, PairInput, PairState

__all__ = ["Checklist", "Pair", "Remote", "pair_priority"]

_RECORD_COST: Final = 300
"""Octets that a pair or a remote candidate counts."""
_CHECKED = (PairState.WAITING, PairState.IN_PROGRESS)


def pair_priority(controlling: int, controlled: int) -> int:
    """Return the priority of a pair of candidates with these priorities.

    Source: RFC 8445 §6.1.2.3.
    """
    low, high = sorted((controlling, controlled))
    return (low << 32) + 2 * high + (controlling > controlled)


@attrs.define(eq=False)
class Remote:
    """A candidate of the peer."""

    candidate: Candidate
    family: str
    learned: bool
    """Whether its checks have shown it, and no signalling."""


@attrs.define(eq=False)
class Pair:
    """A way that is checked, with all that is known of it."""

    base: Base
    remote: Remote
    path: Path | None
    """None for active TCP until the connection stands."""
    priority: int = 0
    state: PairState = PairState.FROZEN
    valid: bool = False
    nominated: bool = False
    nominate_on_success: bool = False
    """The controlling peer has nominated it, and our own check is under way."""
    nominating: bool = False
    """We are nominating it."""
    nominated_at: float = 0.0
    """When the peer's last USE-CANDIDATE came."""
    confirmed_at: float = 0.0
    """When the last answer came."""
    heard_at: float = 0.0
    """When the peer's last request came."""
    ufrag: str = ""
    """What the peer last called us over it; empty before its first request."""
    connecting: bool = False
    consent_lost: bool = False
    """RFC 7675 §5.1: it is not asked again in this session."""
    mapped: tuple[str, int] | None = None
    """How the peer sees us over it."""
    error: str = ""
    """Why it failed."""
    round_trip_time: float | None = None
    checks_sent: int = 0

    @property
    def foundation(self) -> tuple[str, str]:
        """Equal for pairs that probably work or fail together."""
        return self.base.candidate.foundation, self.remote.candidate.foundation

    def move(self, given: PairInput) -> bool:
        """Go to the next state; False if the table has none."""
        following = PAIR.get((self.state, given))
        if following is None:
            return False
        self.state = following
        return True


class Checklist:
    """The pairs of one session, by priority, and the queue of triggered checks.

    Args:
        limits: Bounds of pairs and candidates.
        controlling: Our role, for the priorities.
    """

    def __init__(self, limits: Limits, *, controlling: bool) -> None:
        self._limits = limits
        self._controlling = controlling
        self._remotes: dict[tuple[str, str, int], Remote] = {}
        self._pairs: list[Pair] = []
        self._by_path: dict[Path, Pair] = {}
        self._triggered: list[Pair] = []
        self._learned = 0
        self.is_stopped = False
        """Whether only triggered checks are still made."""
        self.discarded = 0
        """Pairs and candidates that a limit has kept out."""
        self._unusable: list[tuple[Candidate, str]] = []

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def pending_bytes(self) -> int:
        """Octets held."""
        held = len(self._pairs) + len(self._remotes) + len(self._unusable)
        return held * _RECORD_COST

    def find(self, path: Path) -> Pair | None:
        """Return the pair whose datagrams take this path."""
        return self._by_path.get(path)

    # --- candidates -------------------------------------------------------------

    def add_remote(self, candidate: Candidate, ufrag: str) -> Remote | None:
        """Add a candidate that the peer has signalled; None if it pairs with nothing.

        One that its checks have shown already becomes what it is signalled as.
        Source: RFC 8445 §7.3.1.3.

        Args:
            candidate: Any.
            ufrag: The peer's user name fragment; empty while it is not known.
        """
        reason = _unusable(candidate, ufrag)
        if reason:
            self._keep_unusable(candidate, reason)
            return None
        key = (candidate.transport, candidate.host, candidate.port)
        if candidate.tcp_type is TcpType.ACTIVE:
            # Its connections come from ports that no candidate tells.
            self._keep_unusable(candidate, "waits for the peer to connect")
            return None
        known = self._remotes.get(key)
        if known is not None:
            if known.learned:
                known.learned = False
                self._learned -= 1
                known.candidate = candidate
                self.prioritise(self._controlling)
            return None
        if len(self._remotes) - self._learned >= self._limits.remote_candidates:
            self.discarded += 1
            return None
        remote = Remote(candidate, address_family(candidate.host), False)
        self._remotes[key] = remote
        return remote

    def unpaired(self) -> Iterator[tuple[Candidate, str]]:
        """Return the candidates that no pair has, and why."""
        yield from self._unusable
        paired = {id(pair.remote) for pair in self._pairs}
        for remote in self._remotes.values():
            if id(remote) not in paired:
                yield remote.candidate, "fits no local candidate or is one too many"

    def _keep_unusable(self, candidate: Candidate, reason: str) -> None:
        if len(self._unusable) < self._limits.remote_candidates:
            self._unusable.append((candidate, reason))
        else:
            self.discarded += 1

    def learn_remote(
        self, peer: tuple[str, int], transport: str, priority: int
    ) -> Remote:
        """Return the candidate of an address, a peer-reflexive one if it is new.

        Source: RFC 8445 §7.3.1.3.
        """
        key = (transport, *peer)
        known = self._remotes.get(key)
        if known is not None:
            return known
        candidate = Candidate(
            # Unlike every signalled one: a dot is no ice-char.
            foundation=f"{transport}.{peer[0]}.{peer[1]}",
            component=1,
            transport=transport,
            priority=priority,
            host=peer[0],
            port=peer[1],
            type=CandidateType.PEER_REFLEXIVE,
            tcp_type=TcpType.ACTIVE if transport == "tcp" else None,
        )
        remote = Remote(candidate, address_family(peer[0]), True)
        self._remotes[key] = remote
        self._learned += 1
        return remote

    def oldest_learned(self, keep: Pair | None) -> Pair | None:
        """Return the pair to forget if there are too many learned addresses."""
        if self._learned < self._limits.peer_reflexive_candidates:
            return None
        learned = [
            pair for pair in self._pairs if pair.remote.learned and pair is not keep
        ]
        return min(learned, key=lambda pair: pair.heard_at, default=None)

    def remotes(self) -> Iterator[Remote]:
        """Return the candidates that pairs are made of."""
        return iter(list(self._remotes.values()))

    # --- pairs ------------------------------------------------------------------

    def pair(self, base: Base, remote: Remote) -> Pair | None:
        """Make the pair of a base and a signalled candidate, if they fit.

        Source: RFC 8445 §6.1.2.2, RFC 6544 §6.2.
        """
        if base.transport != remote.candidate.transport or base.family != remote.family:
            return None
        path: Path | None = Path(base.address, remote.candidate.address)
        if base.transport == "tcp":
            if base.tcp_type is not TcpType.ACTIVE or remote.learned:
                return None
            path = None
        return self._insert(Pair(base, remote, path))

    def insert_learned(self, base: Base, remote: Remote, path: Path) -> Pair | None:
        """Make the pair that a check of the peer came over. RFC 8445 §7.3.1.4."""
        return self._insert(Pair(base, remote, path))

    def _insert(self, pair: Pair) -> Pair | None:
        if pair.path is not None and pair.path in self._by_path:
            return self._by_path[pair.path]
        pair.priority = self._priority(pair)
        if len(self._pairs) >= self._limits.pairs and not self._make_room(pair):
            self.discarded += 1
            return None
        same = [other for other in self._pairs if other.foundation == pair.foundation]
        # RFC 8838 §12: the first of its foundation, or one whose like has worked.
        if not same or any(other.state is PairState.SUCCEEDED for other in same):
            pair.move(PairInput.UNFREEZE)
        self._pairs.append(pair)
        self._pairs.sort(key=lambda entry: -entry.priority)
        if pair.path is not None:
            self._by_path[pair.path] = pair
        return pair

    def _make_room(self, pair: Pair) -> bool:
        """Discard an unchecked pair of lower priority. Source: RFC 8445 §6.1.2.5."""
        for other in reversed(self._pairs):
            if other.priority >= pair.priority and not pair.remote.learned:
                return False
            if not other.valid and other.state is not PairState.IN_PROGRESS:
                self.discarded += 1
                self.forget(other)
                return True
        return False

    def forget(self, pair: Pair) -> None:
        """Remove a pair, and its candidate if no signalling has told of it."""
        self._pairs.remove(pair)
        if pair.path is not None:
            self._by_path.pop(pair.path, None)
        if pair in self._triggered:
            self._triggered.remove(pair)
        remote = pair.remote
        if remote.learned and not any(entry.remote is remote for entry in self._pairs):
            candidate = remote.candidate
            key = (candidate.transport, candidate.host, candidate.port)
            if self._remotes.pop(key, None) is not None:
                self._learned -= 1

    def connect(self, pair: Pair, path: Path) -> None:
        """Give a pair of active TCP its connection."""
        pair.path = path
        self._by_path[path] = pair

    def disconnect(self, pair: Pair) -> None:
        """Take the connection of a pair away."""
        if pair.path is not None:
            self._by_path.pop(pair.path, None)
        if pair.base.tcp_type is TcpType.ACTIVE:
            pair.path = None

    def _priority(self, pair: Pair) -> int:
        ours, theirs = pair.base.candidate.priority, pair.remote.candidate.priority
        return pair_priority(*((ours, theirs) if self._controlling else (theirs, ours)))

    def prioritise(self, controlling: bool) -> None:
        """Compute all priorities again, for a role. Source: RFC 8445 §7.2.5.1."""
        self._controlling = controlling
        for pair in self._pairs:
            pair.priority = self._priority(pair)
        self._pairs.sort(key=lambda entry: -entry.priority)

    # --- what to check ----------------------------------------------------------

    def trigger(self, pair: Pair, *, first: bool = False) -> None:
        """Have a pair checked before all others. Source: RFC 8445 §6.1.4.1."""
        if pair in self._triggered:
            return
        if first:
            self._triggered.insert(0, pair)
        else:
            self._triggered.append(pair)

    def unfreeze(self, pair: Pair) -> None:
        """Unfreeze what is like a pair that works. Source: RFC 8445 §7.2.5.3.3."""
        for other in self._pairs:
            if other.foundation == pair.foundation:
                other.move(PairInput.UNFREEZE)

    @property
    def has_work(self) -> bool:
        """Whether `take_next` would give a pair."""
        if self._triggered:
            return True
        if self.is_stopped:
            return False
        return any(pair.state is PairState.WAITING for pair in self._pairs) or bool(
            self._thawing()
        )

    def take_next(self) -> Pair | None:
        """Return the pair to check now. Source: RFC 8445 §6.1.4.2."""
        if self._triggered:
            return self._triggered.pop(0)
        if self.is_stopped:
            return None
        waiting = self._first_waiting()
        if waiting is None:
            for pair in self._thawing():
                pair.move(PairInput.UNFREEZE)
            waiting = self._first_waiting()
        return waiting

    def _first_waiting(self) -> Pair | None:
        for pair in self._pairs:
            if pair.state is PairState.WAITING:
                return pair
        return None

    def _thawing(self) -> list[Pair]:
        """Return the best frozen pair of each foundation that nobody checks."""
        busy = {pair.foundation for pair in self._pairs if pair.state in _CHECKED}
        found: dict[tuple[str, str], Pair] = {}
        for pair in self._pairs:
            if pair.state is PairState.FROZEN and pair.foundation not in busy:
                found.setdefault(pair.foundation, pair)
        return list(found.values())

    def stop(self) -> None:
        """End ordinary checks, since a pair is nominated. Source: RFC 8445 §8.1.2."""
        self.is_stopped = True
        self._triggered.clear()

    def count(self, *states: PairState) -> int:
        """Return how many pairs are in these states."""
        return sum(pair.state in states for pair in self._pairs)

    def is_under_way(self, than: int = -1) -> bool:
        """Tell whether a pair above a priority may still come to work."""
        return any(
            pair.priority > than
            and pair.state
            in (PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS)
            for pair in self._pairs
        )

    def clear(self) -> None:
        """Forget everything."""
        self._pairs.clear()
        self._by_path.clear()
        self._remotes.clear()
        self._triggered.clear()
        self._unusable.clear()
        self._learned = 0


def _unusable(candidate: Candidate, ufrag: str) -> str:
    """Return why a candidate cannot be checked, or nothing."""
    if ufrag and candidate.extension("ufrag") not in (None, ufrag):
        # It was under way when the peer restarted.
        return "is of another session"
    if candidate.component != 1:
        return "is of another component"
    if candidate.transport not in ("udp", "tcp"):
        return "has a transport that is not spoken"
    if candidate.tcp_type is TcpType.SIMULTANEOUS_OPEN:
        return "wants a simultaneous open"
    if canonical_host(candidate.host) is None:
        return "has a name instead of an address"
    return "" if candidate.port else "has port 0"
