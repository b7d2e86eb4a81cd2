"""What one side of a connection wants: libsrt's socket options under their names."""

from __future__ import annotations

import attrs

from .constants import CryptoMode, TransmissionType

__all__ = ["SrtOptions"]


@attrs.frozen(kw_only=True)
class SrtOptions:
    """Options of one socket; times in seconds, rates in octets a second.

    The names are libsrt's without ``SRTO_``, and so are the defaults.
    """

    transmission_type: TransmissionType = TransmissionType.LIVE
    """Live or file; what follows from it is a default below where it says None."""
    stream_id: str = ""
    """Sent by a caller: at most 512 octets of UTF-8."""
    passphrase: str = ""
    """10 to 80 octets of UTF-8, or none."""
    pbkeylen: int = 0
    """16, 24 or 32 octets of key; 0: the peer's, and 16 if nobody says."""
    crypto_mode: CryptoMode = CryptoMode.AUTO
    """AES-CTR or AES-GCM."""
    enforced_encryption: bool = True
    """Refuse a peer whose passphrase differs; without it such a connection stands and
    delivers nothing that it cannot decrypt."""
    km_refresh_rate: int = 1 << 24
    """Packets sent under one key."""
    km_pre_announce: int = 1 << 12
    """Packets before and after a change in which both keys are known."""
    rcv_latency: float = 0.120
    """How long after its sending a packet is delivered, at least; a peer may ask
    for more."""
    peer_latency: float = 0.0
    """The least latency that we ask of the peer as a receiver."""
    tsbpd_mode: bool | None = None
    """Deliver by time stamps; None: in live mode."""
    tlpkt_drop: bool | None = None
    """Drop what comes too late; None: in live mode."""
    nak_report: bool | None = None
    """Send loss reports again until answered; None: in live mode."""
    snd_drop_delay: float = 0.0
    """Added to the latency before a sender drops; negative: never."""
    drift_tracer: bool = True
    """Correct delivery by the drift between both clocks."""
    message_api: bool = True
    """Keep the borders of messages; off is stream mode, in file mode only."""
    congestion: str | None = None
    """``live`` or ``file``; None: by the transmission type."""
    payload_size: int | None = None
    """Octets that one packet carries at most; None: 1316 live, what fits otherwise."""
    mss: int = 1500
    """Octets of a whole IP datagram; the smaller of both sides' counts."""
    flow_window: int = 25600
    """Packets that may be on their way unacknowledged (FC)."""
    send_buffer: int = 8192
    """Packets that wait to be sent or acknowledged at most (SNDBUF)."""
    receive_buffer: int = 8192
    """Packets that wait for delivery at most (RCVBUF)."""
    max_bw: int = -1
    """Octets a second to send at most; -1: no limit, 0: by `input_bw`."""
    input_bw: int = 0
    """Octets a second of the input; 0: measured. Counts if `max_bw` is 0."""
    min_input_bw: int = 0
    """The least that a measured input rate counts."""
    overhead_bw: int = 25
    """Percent above the input rate for retransmissions, if `max_bw` is 0."""
    max_rexmit_bw: int = -1
    """Octets a second for retransmissions at most; -1: no limit."""
    loss_max_ttl: int = 0
    """Packets of reordering that are tolerated before a loss report."""
    packet_filter: str = ""
    """Forward error correction, as in ``fec,cols:10,rows:5``."""
    group: str = ""
    """``broadcast`` or ``backup`` asks for a bonding group; empty: none."""
    group_connect: bool = False
    """A listener takes members of groups."""
    group_min_stable_timeout: float = 0.060
    """Silence under which a link of a main/backup group is never unstable
    (GROUPMINSTABLETIMEO)."""
    connect_timeout: float = 3.0
    """Until a caller gives up; ten times that in rendezvous."""
    peer_idle_timeout: float = 5.0
    """Silence after which the peer counts as gone."""
    min_version: int = 0x010000
    """The oldest peer that is let in."""
