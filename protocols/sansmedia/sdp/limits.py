"""What one description may cost."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen
class Limits:
    """Bounds of `decode_session` and `decode_fragment`."""

    description_bytes: int = 262_144
    """Octets of one description; judged before anything else is looked at."""
    line_bytes: int = 8_192
    """Octets of one line."""
    lines: int = 8_192
    """Lines of one description."""
    media_sections: int = 64
    """``m=`` lines."""
    section_attributes: int = 2_048
    """``a=`` lines of one section, or of the session."""
    candidates: int = 256
    """ICE candidates of one section, or of the session."""
