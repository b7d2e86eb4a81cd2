"""Why control refuses. Each dialect maps these to its own envelope."""

from __future__ import annotations

__all__ = [
    "Conflict",
    "ControlError",
    "Forbidden",
    "Invalid",
    "NotFound",
    "Unacceptable",
    "Unavailable",
]


class ControlError(Exception):
    """The base of all refusals; the text is one sentence for a person."""


class NotFound(ControlError):
    """No object has that id or key."""


class Invalid(ControlError):
    """An argument is of the wrong form or out of range."""


class Conflict(ControlError):
    """The object exists already or is busy."""


class Forbidden(ControlError):
    """Not allowed by the configuration or for this caller."""


class Unavailable(ControlError):
    """Needs something that this server does not have or has switched off."""


class Unacceptable(ControlError):
    """Well-formed, but it asks for nothing that this server can do."""
