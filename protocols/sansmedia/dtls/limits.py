"""What one peer may cost."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on one connection; passing one drops what passes it, or ends it."""

    hello_size: int = 8 * 1024
    """Octets that a ClientHello may declare. One with ML-KEM has about 1,500."""
    hello_fragments: int = 32
    """Fragments that a ClientHello may come in."""
    message_size: int = 16 * 1024
    """Octets that any other handshake message may declare."""
    message_fragments: int = 128
    """Fragments that any other handshake message may come in."""
    early_messages: int = 8
    """Handshake messages from the one that is due on; what is beyond is dropped."""
    reassembly_bytes: int = 48 * 1024
    """Octets that begun messages may declare together; what is beyond is dropped."""
    certificates: int = 10
    """Certificates in one chain."""
    rsa_bits: int = 8 * 1024
    """Size of the largest RSA key that signatures are checked with."""
    early_records: int = 16
    """Records that may come before their keys are known; more are dropped."""
    early_bytes: int = 8 * 1024
    """Octets of those records, and of data that come before the handshake's end."""
    output_bytes: int = 64 * 1024
    """Octets of answers that may wait for `datagrams_to_send`; more are not made."""
    handshake_timeout: float = 30.0
    """Seconds from the first ClientHello to the end of the handshake."""
    alert_grace: float = 3.0
    """Seconds without progress after a fatal alert that anybody could have sent."""
