"""Counters of one connection."""

from __future__ import annotations

import attrs

from .handshake import HandshakeScheme

__all__ = ["Statistics"]


@attrs.frozen(kw_only=True)
class Statistics:
    """What a connection did so far; lanes' bytes are counted by their holder."""

    bytes_received: int
    bytes_sent: int
    """Octets that `data_to_send` gave."""
    bytes_acknowledged: int
    """The peer's last acknowledgement, 32-bit wrapped."""
    messages_received: int
    messages_ignored: int
    """Of unknown types, or media on a stream that is not open for it."""
    messages_discarded: int
    """Begun messages that the peer aborted or overwrote."""
    handshake: HandshakeScheme
    chunk_size: int
    """Chunk size that the peer announced."""
    round_trip_time: float | None
    """Seconds, from the last answered ping."""
