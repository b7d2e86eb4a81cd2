"""What a program decides about a client, and what it can ask of one."""

from __future__ import annotations

import enum

import attrs

__all__ = ["ClientConfig", "ClientStatistics", "TokenPolicy"]


class TokenPolicy(enum.Enum):
    """To whom the bearer token goes after a redirection."""

    SAME_ORIGIN = "same origin"
    """Only where the offer went first; a session's URL gets it too, as the server that
    took the token named it."""
    ANY = "any"
    """To every address, as OBS does; never from https to http."""


@attrs.frozen(kw_only=True)
class ClientConfig:
    """Behaviour of one client."""

    request_timeout: float = 10.0
    """Seconds from a request to its response."""
    token_policy: TokenPolicy = TokenPolicy.SAME_ORIGIN
    user_agent: str | None = None


@attrs.frozen(kw_only=True)
class ClientStatistics:
    """Counters of a client."""

    requests: int
    responses: int
    """That belonged to a request; others are ignored."""
    redirects: int
    candidates_sent: int
