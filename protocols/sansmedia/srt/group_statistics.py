"""Counters of a group, under libsrt's names where it has one.

Source: libsrt's statistics.md.
"""

from __future__ import annotations

import attrs

from .group_events import MemberState
from .statistics import Statistics

__all__ = ["GroupStatistics", "MemberStatistics"]


@attrs.frozen(kw_only=True)
class MemberStatistics:
    """One link of a group."""

    socket_id: int
    """Its socket here."""
    peer: tuple[str, int]
    """Its other end."""
    weight: int
    """Its priority."""
    state: MemberState
    """What we do with it."""
    is_receiving: bool
    """Whether the peer sends over it, as far as it was heard."""
    pkt_recv_first_total: int
    """Packets that it brought before any other link."""
    pkt_recv_duplicate_total: int
    """Packets that another had brought, or that were delivered or given up."""
    link: Statistics | None
    """Of its connection; None while it is being made."""


@attrs.frozen(kw_only=True)
class GroupStatistics:
    """A snapshot; octets include all headers (44 a packet)."""

    ms_time_stamp: float
    """Since the group began."""
    pkt_sent_unique_total: int
    """Messages sent, each once."""
    pkt_recv_unique_total: int
    """Messages delivered, each once."""
    pkt_rcv_drop_total: int
    """Packets that no link brought in time."""
    byte_sent_unique_total: int
    """`pkt_sent_unique_total` in octets."""
    byte_recv_unique_total: int
    """`pkt_recv_unique_total` in octets."""
    pkt_recv_duplicate_total: int
    """Packets that another link had brought, or too late for delivery."""
    pkt_rcv_refused_total: int
    """Packets too far from the others, or more than may wait."""
    pkt_snd_drop_total: int
    """Messages that were given to it while no link stood."""
    members_refused_total: int
    """Links that claimed to be the group's and could not be."""
    members: tuple[MemberStatistics, ...]
    """Each link."""
