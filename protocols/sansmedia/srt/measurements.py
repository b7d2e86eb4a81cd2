"""Fills in the statistics of a connection from its parts."""

from __future__ import annotations

from .congestion import OVERHEAD
from .negotiated import Negotiated
from .options import SrtOptions
from .receiver import Receiver
from .round_trip import RoundTrip
from .sender import Sender
from .statistics import Statistics

__all__ = ["take_statistics"]


def _with_headers(octets: float, packets: int) -> int:
    return round(octets + packets * OVERHEAD)


def _mbps(octets: float) -> float:
    return octets * 8 / 1e6


def take_statistics(
    negotiated: Negotiated,
    options: SrtOptions,
    sender: Sender,
    receiver: Receiver,
    round_trip: RoundTrip,
    *,
    now: float,
    acks_received: int,
    naks_received: int,
    refused: int,
) -> Statistics:
    """Return a snapshot."""
    sending, receiving = sender.buffer, receiver.buffer
    size = receiver.average_size
    octets = sender.pacer.per_octet
    full = sending.payload_size + OVERHEAD
    waiting = len(sending.packets)
    oldest = sending.packets.get(sending.first)
    spanned = 0.0
    if len(receiving.ordered) > 1:
        spanned = (receiving.ordered[-1][0] - receiving.ordered[0][0]) / 1e3
    return Statistics(
        ms_time_stamp=(now - negotiated.start_time) * 1e3,
        pkt_sent_total=sender.sent,
        pkt_recv_total=receiver.received,
        pkt_sent_unique_total=sender.sent_unique,
        pkt_recv_unique_total=receiver.unique,
        pkt_snd_loss_total=sender.lost,
        pkt_rcv_loss_total=receiver.lost,
        pkt_retrans_total=sender.retransmitted,
        pkt_rcv_retrans_total=receiver.received_again,
        pkt_sent_ack_total=receiver.acks.sent,
        pkt_recv_ack_total=acks_received,
        pkt_sent_nak_total=receiver.naks_sent,
        pkt_recv_nak_total=naks_received,
        us_snd_duration_total=sender.busy_at(now) * 1e6,
        pkt_snd_drop_total=sender.dropped,
        pkt_rcv_drop_total=receiver.dropped,
        pkt_rcv_undecrypt_total=receiver.undecrypted,
        pkt_rcv_belated_total=receiver.belated,
        byte_sent_total=_with_headers(sender.sent_bytes, sender.sent),
        byte_recv_total=_with_headers(receiver.received_bytes, receiver.received),
        byte_sent_unique_total=_with_headers(
            sender.sent_unique_bytes, sender.sent_unique
        ),
        byte_recv_unique_total=_with_headers(receiver.unique_bytes, receiver.unique),
        byte_rcv_loss_total=_with_headers(receiver.lost * size, receiver.lost),
        byte_retrans_total=_with_headers(
            sender.retransmitted_bytes, sender.retransmitted
        ),
        byte_snd_drop_total=_with_headers(sender.dropped_bytes, sender.dropped),
        byte_rcv_drop_total=_with_headers(receiver.dropped * size, receiver.dropped),
        byte_rcv_undecrypt_total=_with_headers(
            receiver.undecrypted_bytes, receiver.undecrypted
        ),
        pkt_snd_filter_extra_total=sender.filter_extra,
        pkt_rcv_filter_extra_total=receiver.filter_extra,
        pkt_rcv_filter_supply_total=receiver.filter_supply,
        pkt_rcv_filter_loss_total=receiver.filter_loss,
        us_pkt_snd_period=(sender.pacer.period + octets * full) * 1e6,
        pkt_flow_window=sender.flow_window,
        pkt_congestion_window=sender.congestion.window,
        pkt_flight_size=sender.flight,
        ms_rtt=round_trip.rtt * 1e3,
        ms_rtt_var=round_trip.variance * 1e3,
        mbps_bandwidth=_mbps(sender.link_capacity * full),
        mbps_send_rate=_mbps(sender.receiving_bytes),
        mbps_recv_rate=_mbps(receiver.acks.pace[1]),
        mbps_max_bw=_mbps(1 / octets) if octets else 0.0,
        byte_avail_snd_buf=sending.room * negotiated.mss,
        byte_avail_rcv_buf=receiving.available * negotiated.mss,
        byte_mss=negotiated.mss,
        pkt_snd_buf=waiting,
        byte_snd_buf=_with_headers(sending.octets, waiting),
        ms_snd_buf=0.0 if oldest is None else (now - oldest[3]) * 1e3,
        ms_snd_tsbpd_delay=negotiated.send_latency * 1e3
        if negotiated.tsbpd_send
        else 0.0,
        pkt_rcv_buf=len(receiving.ordered),
        byte_rcv_buf=receiving.octets,
        ms_rcv_buf=spanned,
        ms_rcv_tsbpd_delay=negotiated.receive_latency * 1e3
        if negotiated.tsbpd_receive
        else 0.0,
        pkt_reorder_distance=receiver.reordering.distance,
        pkt_reorder_tolerance=receiver.reordering.tolerance,
        pkt_rcv_avg_belated_time=receiver.belated_time * 1e3,
        control_refused_total=refused + sender.refused,
        pkt_rcv_refused_total=receiver.refused,
    )
