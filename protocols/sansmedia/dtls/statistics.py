"""Counters of one connection."""

from __future__ import annotations

import attrs

__all__ = ["Statistics"]


@attrs.frozen(kw_only=True)
class Statistics:
    """What a connection did so far."""

    datagrams_received: int
    datagrams_sent: int
    records_received: int
    """Records that were taken; the rest is counted below."""
    records_malformed: int
    """Pieces of datagrams that are no record of the version spoken."""
    records_unauthentic: int
    """Records that the keys did not open."""
    records_replayed: int
    """Records that had come before, or are older than the window."""
    records_dropped: int
    """Records nobody waits for: of past epochs, or beyond a limit."""
    messages_repeated: int
    """Handshake fragments that had come before."""
    retransmissions: int
    """Flights sent again, by the timer or because the peer sent its own again."""
    alerts_ignored: int
    """Alerts that anybody could have sent, and warnings."""
    mtu: int
    """Octets of the largest datagram, after what loss taught."""
