"""What a handshake leaves to the connection that it made."""

from __future__ import annotations

import attrs

from .constants import Role

__all__ = ["Negotiated"]


@attrs.frozen(kw_only=True)
class Negotiated:
    """The outcome of a handshake, in both directions."""

    role: Role
    """Ours."""
    socket_id: int
    """Ours: the destination of packets that come."""
    peer_socket_id: int
    """The peer's: the destination of packets that go."""
    initial_sequence: int
    """The first packet sequence number that we send."""
    peer_initial_sequence: int
    """The first that the peer sends."""
    start_time: float
    """When our timestamps began, on the clock of ``now``."""
    peer_timestamp: int
    """A timestamp of the peer's (microseconds) that came at `peer_timestamp_at`."""
    peer_timestamp_at: float
    """When it came: base of delivery by time."""
    peer_version: int
    """The peer's SRT version, as in 0x010501."""
    mss: int
    """Octets of an IP datagram: the smaller of both."""
    flow_window: int
    """Packets that we may have under way: what the peer told."""
    live: bool
    """Whether the live congestion controller was agreed on; file otherwise."""
    message_api: bool
    """Whether borders of messages are kept."""
    tsbpd_receive: bool
    """Deliver by time what comes."""
    tsbpd_send: bool
    """The peer delivers by time."""
    tlpkt_drop: bool
    """Whether what is too late is dropped, sending and receiving."""
    nak_report: bool
    """Whether the peer repeats its loss reports."""
    rexmit_flag: bool
    """Whether the R bit of message numbers means "sent before"."""
    receive_latency: float
    """Seconds from sending to delivery here."""
    send_latency: float
    """Seconds from sending to delivery there."""
    packet_filter: str
    """The agreed filter, complete; empty: none."""
    group_id: int
    """The peer's group, 0: none."""
    group_type: int
    """As on the wire: 1 broadcast, 2 main/backup."""
    group_weight: int
    """Of this link."""
    stream_id: str
    """What the caller sent."""
