"""What the peer itself counts."""

from __future__ import annotations

import attrs

__all__ = ["Counts"]


@attrs.define
class Counts:
    """What the peer itself counts; the rest its parts do."""

    datagrams_received: int = 0
    datagrams_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    stray: int = 0
    damaged: int = 0
    dropped: int = 0
