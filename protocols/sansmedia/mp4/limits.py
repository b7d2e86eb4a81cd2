"""What one peer may cost the reader of this library."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen
class Limits:
    """Bounds of `decode_boxes` and `Mp4Demuxer`; sizes are judged as declared."""

    max_box_size: int = 64 << 20
    """Octets of one ``mdat``, and of all the samples of one fragment."""
    max_header_box_size: int = 4 << 20
    """Octets of one ``moov`` or ``moof``."""
    max_boxes: int = 4096
    """Boxes in one ``moov`` or ``moof``, or in one call of `decode_boxes`."""
    max_depth: int = 8
    """Boxes inside each other."""
    max_tracks: int = 16
    """Tracks of one ``moov``."""
    max_samples: int = 16_384
    """Samples of one fragment, all its runs together; and how many samples of a stream
    may be announced beyond the octets that came."""
