"""What one peer may cost."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on one agent; what passes one is left out and counted."""

    local_candidates: int = 32
    """Candidates of ours, found ones included."""
    remote_candidates: int = 100
    """Candidates that the peer may signal."""
    peer_reflexive_candidates: int = 20
    """Addresses of the peer that its checks may show; the oldest unused one goes."""
    pairs: int = 100
    """Pairs to check; those of the lowest priority go. RFC 8445 §6.1.2.5."""
    transactions: int = 200
    """Checks whose answer may be waited for."""
    tcp_connections: int = 8
    """Connections that the peer's passive candidates may make us open."""
    rejections: int = 10
    """Requests a second that are answered although nobody authenticated them."""
