"""What comes out of `DtlsConnection`."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansmedia.sansio import Terminated

from .constants import CipherSuite, NamedGroup, SrtpProfile

__all__ = ["ApplicationDataReceived", "DtlsEvent", "HandshakeCompleted"]


@attrs.frozen(kw_only=True)
class HandshakeCompleted:
    """Both sides are sure of each other; keys are there, data may be sent."""

    peer_certificate: bytes | None
    """DER; None if the client has none, which only `Verification.OPTIONAL` allows."""
    peer_chain: tuple[bytes, ...]
    """Further certificates behind it, as sent, unchecked."""
    srtp_profile: SrtpProfile | None
    """None if there is none in common."""
    cipher_suite: CipherSuite
    version: int
    """`DTLS_1_2`."""
    group: NamedGroup
    """Of the key exchange."""
    alpn_protocol: str | None
    has_extended_master_secret: bool


@attrs.frozen
class ApplicationDataReceived:
    """One record of data from the peer, in the order of arrival."""

    data: bytes


DtlsEvent: TypeAlias = HandshakeCompleted | ApplicationDataReceived | Terminated
