"""Which alert says which error, and what an alert is called."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError

from .constants import AlertDescription, AlertLevel

__all__ = ["alert_for", "alert_name", "encode_alert"]

_CODES = {
    "truncated": AlertDescription.DECODE_ERROR,
    "malformed": AlertDescription.DECODE_ERROR,
    # What libraries of the field say to messages beyond their bounds.
    "limit": AlertDescription.ILLEGAL_PARAMETER,
}
_CODES |= {description.name.lower(): description for description in AlertDescription}
_NAMES = {int(description): name for name, description in _CODES.items()}


def alert_for(error: ProtocolError) -> AlertDescription:
    """Return the alert that tells a peer of its error."""
    return _CODES.get(error.code, AlertDescription.INTERNAL_ERROR)


def alert_name(description: int) -> str:
    """Return the specification's name of an alert. Source: RFC 5246 §7.2."""
    return _NAMES.get(description, f"alert {description}")


def encode_alert(level: AlertLevel, description: AlertDescription) -> bytes:
    """Return an alert's octets. Source: RFC 5246 §7.2."""
    return bytes((level, description))
