"""What one peer may cost."""

from __future__ import annotations

import attrs

from sansmedia import sdp

__all__ = ["Limits"]


@attrs.frozen
class Limits:
    """Bounds of the endpoints, of a session's resource and of the clients."""

    body_bytes: int = 262_144
    """Octets of an offer or answer, and of any response."""
    fragment_bytes: int = 65_536
    """Octets of a fragment in a PATCH."""
    pending_requests: int = 256
    """Requests of one endpoint or session that may wait for an answer at one time."""
    candidates: int = 256
    """Candidates that a client holds back until they can be sent."""
    redirects: int = 5
    """Redirections of one offer that a client follows."""
    links: int = 64
    """Links of one response."""
    sdp: sdp.Limits = attrs.field(factory=sdp.Limits)
    """What one description or fragment may cost."""
