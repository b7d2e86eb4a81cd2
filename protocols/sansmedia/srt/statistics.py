"""Counters and measurements of one connection, under libsrt's names.

Source: libsrt's statistics.md; ``pktSentTotal`` is ``pkt_sent_total`` here.
"""

from __future__ import annotations

import attrs

__all__ = ["LinkQuality", "Statistics"]


@attrs.frozen(kw_only=True)
class LinkQuality:
    """What decides whether a link is good enough: cheap to ask for."""

    heard_at: float
    """When the peer was heard last."""
    rtt: float
    """Smoothed round-trip time, in seconds."""
    rtt_variance: float
    """Its variance."""
    flight_size: int
    """Packets under way."""
    lost: int
    """Packets reported lost by the peer, in all."""
    dropped: int
    """Packets that the sender gave up, in all."""
    waiting_since: float
    """Since when something is under way, or when last an acknowledgement came."""
    keepalive_at: float
    """When last the peer said that it has nothing to say."""


@attrs.frozen(kw_only=True)
class Statistics:
    """A snapshot; the names say the units.

    Octets include all headers (44 a packet), and a packet is a data packet.
    """

    ms_time_stamp: float
    """Since the connection began."""
    pkt_sent_total: int
    """Sent, with repetitions and the filter's own packets."""
    pkt_recv_total: int
    """Received, with repetitions and the filter's own packets."""
    pkt_sent_unique_total: int
    """Sent for the first time."""
    pkt_recv_unique_total: int
    """Received or recovered in time, each once."""
    pkt_snd_loss_total: int
    """Reported or taken for lost while sending."""
    pkt_rcv_loss_total: int
    """Found missing, late ones included."""
    pkt_retrans_total: int
    """Sent again."""
    pkt_rcv_retrans_total: int
    """Received with the mark of having been sent again."""
    pkt_sent_ack_total: int
    """Acknowledgements sent."""
    pkt_recv_ack_total: int
    """Acknowledgements received."""
    pkt_sent_nak_total: int
    """Loss reports sent."""
    pkt_recv_nak_total: int
    """Loss reports received."""
    us_snd_duration_total: float
    """In which there was something to send or to be acknowledged."""
    pkt_snd_drop_total: int
    """Given up by the sender, or refused because its buffer was full."""
    pkt_rcv_drop_total: int
    """Given up by the receiver, undecryptable ones included."""
    pkt_rcv_undecrypt_total: int
    """Received but not decrypted."""
    pkt_rcv_belated_total: int
    """Received after they were delivered or given up."""
    byte_sent_total: int
    """`pkt_sent_total` in octets."""
    byte_recv_total: int
    """`pkt_recv_total` in octets."""
    byte_sent_unique_total: int
    """`pkt_sent_unique_total` in octets."""
    byte_recv_unique_total: int
    """`pkt_recv_unique_total` in octets."""
    byte_rcv_loss_total: int
    """`pkt_rcv_loss_total` in octets, by the average size."""
    byte_retrans_total: int
    """`pkt_retrans_total` in octets."""
    byte_snd_drop_total: int
    """`pkt_snd_drop_total` in octets."""
    byte_rcv_drop_total: int
    """`pkt_rcv_drop_total` in octets, by the average size."""
    byte_rcv_undecrypt_total: int
    """`pkt_rcv_undecrypt_total` in octets."""
    pkt_snd_filter_extra_total: int
    """Packets that the filter made."""
    pkt_rcv_filter_extra_total: int
    """Packets that the peer's filter made."""
    pkt_rcv_filter_supply_total: int
    """Packets that the filter recovered."""
    pkt_rcv_filter_loss_total: int
    """Packets that the filter could not recover."""
    us_pkt_snd_period: float
    """Between two packets, at least; 0 without a limit."""
    pkt_flow_window: int
    """Packets that the peer has room for."""
    pkt_congestion_window: int
    """Packets that congestion control lets be under way."""
    pkt_flight_size: int
    """Packets under way."""
    ms_rtt: float
    """Smoothed round-trip time."""
    ms_rtt_var: float
    """Its variance (not in libsrt's record)."""
    mbps_bandwidth: float
    """Of the path, estimated by packet pairs."""
    mbps_send_rate: float
    """What the peer says arrives."""
    mbps_recv_rate: float
    """What arrives here."""
    mbps_max_bw: float
    """The limit of sending; 0: none."""
    byte_avail_snd_buf: int
    """Room in the send buffer."""
    byte_avail_rcv_buf: int
    """Room in the receive buffer."""
    byte_mss: int
    """Octets of a whole IP datagram."""
    pkt_snd_buf: int
    """Packets that wait to be sent or acknowledged."""
    byte_snd_buf: int
    """The same in octets."""
    ms_snd_buf: float
    """Time that they span."""
    ms_snd_tsbpd_delay: float
    """Latency of the peer as a receiver."""
    pkt_rcv_buf: int
    """Packets that wait in order for their time."""
    byte_rcv_buf: int
    """Octets that wait, early ones included."""
    ms_rcv_buf: float
    """Time that those in order span."""
    ms_rcv_tsbpd_delay: float
    """Latency of ours as a receiver."""
    pkt_reorder_distance: int
    """The farthest that a packet came out of order."""
    pkt_reorder_tolerance: int
    """Packets that are waited for before a loss is reported."""
    pkt_rcv_avg_belated_time: float
    """By how much belated packets are late, smoothed; in milliseconds."""
    control_refused_total: int
    """Control packets, or parts of them, that were malformed or cannot be true."""
    pkt_rcv_refused_total: int
    """Data packets too large or beyond the buffer."""
