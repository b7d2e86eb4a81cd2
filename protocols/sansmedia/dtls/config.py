"""What a program decides about a connection before it begins."""

from __future__ import annotations

import attrs

from sansmedia.sansio import UsageError

from .certificates import Certificate, Verification
from .constants import CipherSuite, NamedGroup, SignatureScheme, SrtpProfile

__all__ = ["DtlsConfig"]

_MIN_MTU = 128
_S = SignatureScheme


@attrs.frozen(kw_only=True)
class DtlsConfig:
    """Behaviour of one `DtlsConnection`; every preference is the first one first."""

    certificate: Certificate
    """Ours."""
    verification: Verification = Verification.FINGERPRINT
    """What the peer's certificate has to be."""
    srtp_profiles: tuple[SrtpProfile, ...] = (
        SrtpProfile.AEAD_AES_128_GCM,
        SrtpProfile.AEAD_AES_256_GCM,
        SrtpProfile.AES128_CM_HMAC_SHA1_80,
        SrtpProfile.AES128_CM_HMAC_SHA1_32,
    )
    """What a server picks from and a client offers; empty for no SRTP."""
    require_srtp: bool = False
    """Whether a handshake without a common profile fails."""
    cipher_suites: tuple[CipherSuite, ...] = (
        CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite.ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite.ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite.ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite.ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite.ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    )
    """A server takes those that suit its certificate."""
    groups: tuple[NamedGroup, ...] = (
        NamedGroup.X25519,
        NamedGroup.SECP256R1,
        NamedGroup.SECP384R1,
    )
    """Of the key exchange. What a client offers is for the curves of certificates too:
    without P-256 there is no talking to most. Source: RFC 8422 §5.1.1."""
    signature_schemes: tuple[SignatureScheme, ...] = (
        _S.ECDSA_SECP256R1_SHA256,
        _S.ECDSA_SECP384R1_SHA384,
        _S.RSA_PSS_RSAE_SHA256,
        _S.RSA_PSS_RSAE_SHA384,
        _S.RSA_PSS_RSAE_SHA512,
        _S.RSA_PKCS1_SHA256,
        _S.RSA_PKCS1_SHA384,
        _S.RSA_PKCS1_SHA512,
    )
    """What we sign with and what we take."""
    alpn_protocols: tuple[str, ...] = ("webrtc",)
    """What a server answers if the client offers it. Source: RFC 8833 §3."""
    offer_alpn: bool = False
    """Whether a client offers them; few WebRTC clients do."""
    require_extended_master_secret: bool = True
    """Whether a peer without it is refused. Source: RFC 7627 §5."""
    cookie_exchange: bool = False
    """Whether a server makes clients prove their address; behind ICE they have."""
    mtu: int = 1200
    """Octets of the largest datagram, without UDP's header."""
    initial_retransmission_timeout: float = 0.2
    """Seconds. The specification's 1 s costs a viewer a second for one lost datagram;
    0.2 s is beyond most round trips, so a path without loss sees nothing twice. Who
    knows the round trip (from ICE) may set twice that. Source: RFC 6347 §4.2.4.1."""
    max_retransmission_timeout: float = 2.0
    """Seconds that the doubling stops at; up to 60. A kilobyte every other second is
    no load, and a handshake shall come through a bad path before people give up."""

    def __attrs_post_init__(self) -> None:
        if self.mtu < _MIN_MTU:
            raise UsageError(f"an MTU is at least {_MIN_MTU} octets")
        if not 0 < self.initial_retransmission_timeout <= 60:
            raise UsageError("a retransmission timeout is above 0 and up to 60 seconds")
        if self.max_retransmission_timeout < self.initial_retransmission_timeout:
            raise UsageError("the largest timeout is not below the first")
        if not (self.cipher_suites and self.groups and self.signature_schemes):
            raise UsageError("suites, groups and signature schemes are not empty")
