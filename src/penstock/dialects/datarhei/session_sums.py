"""Sums of sessions that have ended, by whom, where and for what, within bounds."""

from __future__ import annotations

from typing import Any, Final

import attrs

from .session_rows import Row

__all__ = ["MAX_KEYS", "SessionLimits", "Summary", "Sums", "Totals"]

MAX_KEYS: Final = 1_000
"""Different peers, places or references that are summed apart; more are one."""
_OTHERS: Final = "(others)"


@attrs.frozen
class SessionLimits:
    """What the sessions of a collector may take together; 0 for no limit."""

    sessions: int = 0
    bps: int = 0
    """Bit/s that are sent."""


@attrs.define
class Sums:
    """What closed sessions came to."""

    sessions: int = 0
    bytes_rx: int = 0
    bytes_tx: int = 0

    def add(self, row: Row) -> None:
        """Count a session that has ended."""
        self.sessions += 1
        self.bytes_rx += row.bytes_rx
        self.bytes_tx += row.bytes_tx

    def shape(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "sessions": self.sessions,
            "traffic_rx_mb": self.bytes_rx >> 20,
            "traffic_tx_mb": self.bytes_tx >> 20,
        }


@attrs.define
class Totals:
    """What all sessions of one collector came to, closed or not."""

    active: int = 0
    sessions: int = 0
    bytes_rx: int = 0
    bytes_tx: int = 0
    kbit_rx: float = 0.0
    """Units of 1,024 bit/s; what goes on now."""
    kbit_tx: float = 0.0


@attrs.define
class Summary:
    """The sums of one collector, each of its maps bounded."""

    total: Sums = attrs.field(factory=Sums)
    remote: dict[str, Sums] = attrs.field(factory=dict)
    remote_local: dict[str, dict[str, Sums]] = attrs.field(factory=dict)
    local: dict[str, Sums] = attrs.field(factory=dict)
    reference: dict[str, Sums] = attrs.field(factory=dict)
    pairs: int = 0

    def add(self, row: Row) -> None:
        """Count a session that has ended."""
        self.total.add(row)
        _sums_of(self.local, row.local).add(row)
        _sums_of(self.reference, row.reference).add(row)
        peer = row.peer
        if peer not in self.remote and len(self.remote) >= MAX_KEYS:
            peer = _OTHERS
        _sums_of(self.remote, peer).add(row)
        places = self.remote_local.setdefault(peer, {})
        place = row.local
        if place not in places:
            # The maps within the map are bounded together.
            place = row.local if self.pairs < MAX_KEYS else _OTHERS
            self.pairs += place not in places
        _sums_of(places, place, 2 * MAX_KEYS).add(row)

    def shape(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        remote = {
            peer: {**sums.shape(), "local": _shapes(self.remote_local[peer])}
            for peer, sums in self.remote.items()
        }
        return {
            "remote": remote,
            "local": _shapes(self.local),
            "reference": _shapes(self.reference),
            **self.total.shape(),
        }


def _sums_of(sums: dict[str, Sums], key: str, limit: int = MAX_KEYS) -> Sums:
    if key not in sums and len(sums) >= limit:
        key = _OTHERS
    return sums.setdefault(key, Sums())


def _shapes(sums: dict[str, Sums]) -> dict[str, Any]:
    return {key: one.shape() for key, one in sums.items()}
