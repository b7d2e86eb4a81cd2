"""A frame: one access unit of one track, on its way through the server."""

from __future__ import annotations

import attrs

from .track import Track

__all__ = ["Frame"]


@attrs.define(eq=False)
class Frame:
    """One access unit. Made once at the ingest, then only read."""

    track: Track
    dts: int
    """Decoding time in ticks of the track's clock, unwrapped, one zero for all."""
    pts: int
    """Presentation time in the same ticks."""
    payload: bytes
    """Length-prefixed units (H.264, H.265), a temporal unit (AV1), or the packet."""
    random_access: bool = False
    """Decoding can start here; always true for audio."""
    sequence: int = 0
    """Counts the frames of one publication."""
    epoch: int = 0
    """Counts the publications of one stream."""
    duration: int | None = None
    """Exact length in ticks where the codec fixes it (audio)."""
    discardable: bool = False
    """No other frame refers to it."""
    temporal_layer: int = 0
    received_at: float = 0.0
    """When its last byte arrived, on the loop's clock (seconds)."""
    wall_clock: float | None = None
    """Unix time of capture, if the publisher told it."""
