"""What one peer may cost the reader of this library."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen
class Limits:
    """Bounds of `TransportDemuxer` and `Demuxer`."""

    max_programs: int = 16
    """Programs of one PAT; the others are left out."""
    max_tracks: int = 32
    """Elementary streams of all programs together; the others are left out."""
    max_pes_size: int = 4 << 20
    """Octets of one PES packet, and of one access unit or frame."""
    max_pending_bytes: int = 16 << 20
    """Octets held of all PES packets that are not whole, and as much again of access
    units and frames that are not."""
    max_frames_per_pes: int = 1024
    """Frames of one PES packet; what stands behind them is left out."""
