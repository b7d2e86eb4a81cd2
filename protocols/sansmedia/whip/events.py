"""What the machines tell."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansmedia import sdp
from sansmedia.sansio import Terminated

from .link_wire import IceServer, Link

__all__ = [
    "AnswerReceived",
    "CandidatesReceived",
    "ClientEvent",
    "CounterOfferReceived",
    "EndpointEvent",
    "Established",
    "OfferPostponed",
    "OfferReceived",
    "Redirected",
    "ResourceEvent",
    "RestartCompleted",
    "RestartRefused",
    "RestartRequested",
    "SessionEnded",
    "TrickleRefused",
]


# --- server ----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class OfferReceived:
    """Somebody wants to publish or to watch; waits for an answer.

    `WhipEndpoint.accept`, `refuse`, `reject`, `redirect`, or a counter-offer.
    """

    request_id: int
    path: str
    """The request's, as it came."""
    offer: sdp.SessionDescription
    text: str
    """The offer as it came."""
    token: str | None = None
    """Of ``Authorization: Bearer``; nobody has looked at it."""


EndpointEvent: TypeAlias = OfferReceived


@attrs.frozen(kw_only=True)
class CandidatesReceived:
    """The peer has found candidates; `SessionResource.accept` or ``reject``."""

    request_id: int
    fragment: sdp.Fragment


@attrs.frozen(kw_only=True)
class RestartRequested:
    """The peer restarts ICE; `SessionResource.accept_restart` or ``reject``.

    Source: RFC 9725 §4.3.3.
    """

    request_id: int
    ice_ufrag: str
    ice_pwd: str
    candidates: tuple[str, ...]
    """They replace all candidates of the peer."""
    fragment: sdp.Fragment


@attrs.frozen(kw_only=True)
class AnswerReceived:
    """A player answers our counter-offer; `SessionResource.accept` or ``reject``.

    Source: WHEP draft-03 §4.3.2.
    """

    request_id: int
    answer: sdp.SessionDescription
    text: str


@attrs.frozen(kw_only=True)
class SessionEnded:
    """The peer deletes its session; `SessionResource.accept`.

    Source: RFC 9725 §4.2.
    """

    request_id: int


ResourceEvent: TypeAlias = (
    CandidatesReceived | RestartRequested | AnswerReceived | SessionEnded
)


# --- client ----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Redirected:
    """The offer goes to another address now. Source: RFC 9725 §4.5."""

    url: str


@attrs.frozen(kw_only=True)
class OfferPostponed:
    """The server says "not now"; `WhipClient.offer` may be called again.

    A conflict (nothing to watch yet), too many requests, or a fault of the server.
    """

    status: int
    retry_after: float | None = None
    """Seconds from now, if the server said so."""
    detail: str = ""


@attrs.frozen(kw_only=True)
class CounterOfferReceived:
    """The server rejects our offer and makes one; `WhepClient.answer` it.

    Source: WHEP draft-03 §4.3.2.
    """

    offer: sdp.SessionDescription
    session_url: str
    valid_for: float
    """Seconds."""


@attrs.frozen(kw_only=True)
class Established:
    """The session is there."""

    answer: sdp.SessionDescription | None
    """None if it was us who answered."""
    session_url: str | None
    """None if the server told none: then there is no trickling and no goodbye."""
    etag: str | None = None
    """As the server wrote it."""
    ice_servers: tuple[IceServer, ...] = ()
    extensions: tuple[Link, ...] = ()
    """Links whose relation is an extension's URN, with absolute targets."""


@attrs.frozen(kw_only=True)
class TrickleRefused:
    """The server did not take candidates; none are sent until a restart."""

    status: int
    """0 if no response came."""
    detail: str = ""


@attrs.frozen(kw_only=True)
class RestartCompleted:
    """The server has restarted ICE too. Source: RFC 9725 §4.3.3."""

    fragment: sdp.Fragment
    """Its new credentials, and the candidates that replace all of its old ones."""
    etag: str | None = None


@attrs.frozen(kw_only=True)
class RestartRefused:
    """The server did not restart ICE: what was goes on."""

    status: int
    """0 if no response came."""
    detail: str = ""


ClientEvent: TypeAlias = (
    Redirected
    | OfferPostponed
    | CounterOfferReceived
    | Established
    | TrickleRefused
    | RestartCompleted
    | RestartRefused
    | Terminated
)
