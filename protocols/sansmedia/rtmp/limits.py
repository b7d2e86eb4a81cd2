"""What one peer may cost."""

from __future__ import annotations

import attrs

from sansmedia.amf import Limits as AmfLimits

from .constants import MAX_CHUNK_SIZE

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on one connection; passing one ends it with ``code="limit"``."""

    chunk_streams: int = 64
    """Chunk streams that the peer may open."""
    chunk_size: int = MAX_CHUNK_SIZE
    """Largest chunk size that the peer may announce."""
    message_size: int = 8 * 1024 * 1024
    """Octets that one message may declare; judged at its header."""
    command_size: int = 128 * 1024
    """Octets that one command or data message may declare."""
    partial_bytes: int = 16 * 1024 * 1024
    """Octets that all begun, unfinished messages may declare together."""
    empty_messages: int = 1_000
    """Messages without any payload in a row: each is one octet for the peer."""
    aggregate_messages: int = 1_024
    """Messages inside one aggregate message."""
    amf: AmfLimits = attrs.field(
        factory=lambda: AmfLimits(depth=16, values=4_096, bytes=128 * 1024)
    )
    """What the values of one command or data message may cost."""
    message_streams: int = 8
    """Message streams (createStream) that the peer may hold open."""
    pending_requests: int = 16
    """Requests that may wait for `accept` or `reject` at one time."""
    early_bytes: int = 256 * 1024
    """Octets of messages that may come before connect is answered."""
    output_bytes: int = 1024 * 1024
    """Octets of answers that may wait for `data_to_send`."""
    handshake_timeout: float = 10.0
    """Seconds from the start to the end of the handshake."""
    setup_timeout: float = 30.0
    """Seconds without any publish or play, counted from the handshake's end."""
