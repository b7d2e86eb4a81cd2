"""What one peer may cost."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on one socket and on each of its connections.

    What passes one is refused, or dropped and counted.
    """

    connections: int = 2000
    """Connections of one socket that stand or are being made; more are refused."""
    connections_per_address: int = 500
    """Of those, with one address."""
    decision_timeout: float = 5.0
    """Seconds that a request waits for `Endpoint.accept` or `Endpoint.reject`."""
    early_records: int = 8
    """Packets in a row beyond the receive buffer, in order among themselves, after
    which an empty buffer goes on from there (live mode, after a long outage)."""
    filter_matrix: int = 4096
    """Packets in one matrix of a packet filter (columns times rows). A receiver holds
    the payloads of three matrices at most; a larger one is refused."""
    group_buffer: int = 8192
    """Packets that a main/backup group keeps for a link that may take over."""
    group_members: int = 16
    """Links of one group that stand or are being made; more are refused."""
    groups: int = 1000
    """Groups at the same time; more are refused."""
    key_packets: int = 64
    """Key material packets answered in a second; more are not."""
    linger: float = 180.0
    """Seconds that a closed connection goes on sending what is not acknowledged (file
    mode)."""
    loss_ranges: int = 1024
    """Ranges of missing packets that are kept in mind for loss reports; the packets
    of more are still waited for, but not asked for."""
    output_bytes: int = 256 * 1024
    """Octets of answers that may wait for `datagrams_to_send`; more are not made. A
    socket's handshakes and each connection's packets count on their own."""
    receive_bytes: int = 16 * 1024 * 1024
    """Octets that wait for delivery or to be taken; what is beyond is not taken."""
    refusal_memory: float = 3.0
    """Seconds that a refused request is kept in mind, so that a repetition gets its
    answer."""
    refusals: int = 256
    """Refused requests that are."""
    requests: int = 256
    """Requests that wait for a decision; more are refused."""
    requests_per_address: int = 32
    """Of those, from one address."""
    requests_per_second: int = 300
    """Requests that are taken up; a caller whose request was not asks again. Each may
    cost a millisecond of key derivation."""
    retransmissions: int = 1024
    """Entries of the loss list looked at in one go; the rest waits for a tick."""
    send_bytes: int = 16 * 1024 * 1024
    """Octets that wait to be sent or acknowledged."""
