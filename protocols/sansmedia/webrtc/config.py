"""What a program decides about a peer before it begins."""

from __future__ import annotations

import attrs

from sansmedia.dtls import Certificate, SrtpProfile
from sansmedia.ice import IceConfig
from sansmedia.ice import Limits as IceLimits

__all__ = ["Limits", "PeerConfig"]


@attrs.frozen(kw_only=True)
class PeerConfig:
    """Settings of one `Peer`."""

    certificate: Certificate
    """Ours, for DTLS; its fingerprint is what we signal."""
    ice: IceConfig = attrs.field(factory=IceConfig)
    """Controlling for whoever offers."""
    srtp_profiles: tuple[SrtpProfile, ...] = (
        SrtpProfile.AEAD_AES_128_GCM,
        SrtpProfile.AEAD_AES_256_GCM,
        SrtpProfile.AES128_CM_HMAC_SHA1_80,
        SrtpProfile.AES128_CM_HMAC_SHA1_32,
    )
    """Best first: AES-GCM costs half of what AES-CM with HMAC-SHA1 does."""
    mtu: int = 1_200
    """Octets of the largest datagram of the handshake."""
    report_interval: float = 1.0
    """Seconds between two reports about what comes in."""
    max_bitrate_bps: int = 0
    """What senders without transport-wide feedback may send; 0 tells them nothing."""


@attrs.frozen(kw_only=True)
class Limits:
    """What one peer may cost."""

    connect_timeout: float = 30.0
    """Seconds from signalling to keys, and later without a path; then the peer is given
    up."""
    streams: int = 32
    """Incoming streams, retransmissions included."""
    rtcp_packets: int = 256
    """Packets of one compound that are looked at; a datagram holds no more than some
    hundred anyway."""
    events: int = 1_024
    """Events that wait to be taken; media and RTCP beyond are dropped and counted."""
    event_bytes: int = 8 * 1024 * 1024
    """Octets of those events; the same of what passes them."""
    ice: IceLimits = attrs.field(factory=IceLimits)
