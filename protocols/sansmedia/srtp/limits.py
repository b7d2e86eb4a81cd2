"""What one peer may cost."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on one direction of a session."""

    ssrcs: int = 64
    """Sources of the peer, RTP and RTCP each; more are dropped and counted."""
    replay_window: int = attrs.field(default=1024, validator=attrs.validators.ge(64))
    """How many packets late an RTP packet may be; retransmissions come late."""
    rtcp_replay_window: int = attrs.field(default=64, validator=attrs.validators.ge(64))
    """How many packets late an RTCP packet may be."""
