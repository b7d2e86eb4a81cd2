"""The two exceptions of sansmedia: one for what the peer did, one for what we did."""

from __future__ import annotations

__all__ = ["ProtocolError", "UsageError"]


class ProtocolError(Exception):
    """The peer's bytes break a rule of the specification or of our limits.

    Pure codecs (``decode_*``) raise it and nothing else. A machine never lets it
    out: it turns it into farewell bytes and a last `Terminated` event.

    Args:
        reason: One sentence for a log line, without the peer's raw bytes.
        code: Stable machine-readable word (``"truncated"``, ``"limit"``, ...).
        source: The clause that is broken, for example ``"RTMP 1.0 §5.3.1.2"``.
    """

    def __init__(
        self, reason: str, *, code: str = "malformed", source: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.source = source

    # By value, so that two events that carry one compare as records do.
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.reason, self.code, self.source))

    def __str__(self) -> str:
        return f"{self.reason} ({self.source})" if self.source else self.reason


class UsageError(Exception):
    """The caller passed an argument that no order of events could make right."""
