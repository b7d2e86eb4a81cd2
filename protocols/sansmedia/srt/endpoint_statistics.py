"""Counters of one socket."""

from __future__ import annotations

import attrs

__all__ = ["EndpointStatistics"]


@attrs.frozen(kw_only=True)
class EndpointStatistics:
    """What became of datagrams, and how many connections there are."""

    connections: int
    """That stand."""
    handshaking: int
    """That this side asks for and has no answer to yet."""
    requests: int
    """Of callers, that wait for a decision."""
    datagrams_received: int
    datagrams_short: int
    """Dropped: they have no whole header."""
    datagrams_unknown: int
    """Dropped: for a socket id that nobody has. They are not answered."""
    datagrams_misdirected: int
    """Dropped: for one of our connections, and from another address than its peer's."""
    handshakes_malformed: int
    """Dropped: they cannot be read."""
    handshakes_ignored: int
    """Dropped: nobody waits for them, or their cookie is none of ours."""
    inductions: int
    """Cookies that were given to callers."""
    answers_dropped: int
    """Answers not made because `Limits.output_bytes` were waiting."""
