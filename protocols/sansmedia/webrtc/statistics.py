"""Counters of a peer."""

from __future__ import annotations

import attrs

from sansmedia.srtp import ReceiverStatistics

from .counts import Counts
from .receive import MediaReceiver

__all__ = ["PeerStatistics", "make_statistics"]


@attrs.frozen
class PeerStatistics:
    """Counters of one peer."""

    datagrams_received: int
    datagrams_sent: int
    bytes_received: int
    bytes_sent: int
    """By this machine: what lanes send is the sender's to count."""
    stray: int
    """Datagrams that are of no protocol here, came before their time, or over a way
    that the peer has not shown."""
    unauthentic: int
    replayed: int
    damaged: int
    """Authentic packets that could not be read."""
    unsorted: int
    """Authentic packets of nothing that was negotiated."""
    dropped: int
    """Packets that nobody took in time."""
    round_trip_time: float | None
    """Of the selected path, in seconds."""


def make_statistics(
    counts: Counts,
    opened: ReceiverStatistics | None,
    receiver: MediaReceiver | None,
    round_trip_time: float | None,
) -> PeerStatistics:
    """Put together what the parts of a peer have counted."""
    return PeerStatistics(
        datagrams_received=counts.datagrams_received,
        datagrams_sent=counts.datagrams_sent,
        bytes_received=counts.bytes_received,
        bytes_sent=counts.bytes_sent,
        stray=counts.stray,
        unauthentic=0 if opened is None else opened.unauthentic,
        replayed=0 if opened is None else opened.replayed,
        damaged=counts.damaged + (0 if receiver is None else receiver.damaged),
        unsorted=0 if receiver is None else receiver.unsorted,
        dropped=counts.dropped,
        round_trip_time=round_trip_time,
    )
