"""The server's endpoint: it takes offers.

Source: RFC 9725 §4.2; WHEP draft-03 §4.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from sansmedia import sdp
from sansmedia.sansio import ProtocolError, UsageError

from .events import OfferReceived
from .header_wire import decode_bearer, decode_media_type
from .http import Headers, Request, Response
from .limits import Limits
from .link_wire import IceServer, Link
from .responses import (
    FRAGMENT_TYPE,
    SDP_TYPE,
    cors_headers,
    counter_offer_response,
    created_response,
    options_response,
    problem_response,
    status_of,
)

__all__ = ["EndpointConfig", "EndpointStatistics", "WhepEndpoint", "WhipEndpoint"]

_METHODS = ("POST", "OPTIONS", "GET", "HEAD")


@attrs.frozen(kw_only=True)
class EndpointConfig:
    """Behaviour of one endpoint."""

    require_token: bool = False
    """Whether an offer without a bearer token is refused at once."""
    realm: str = "media"
    """Named in challenges."""
    allow_origin: str | None = "*"
    """Whose pages may talk to us; None for none but our own."""
    ice_servers: tuple[IceServer, ...] = ()
    """Told in answer to OPTIONS, for clients that need them before their offer."""
    request_timeout: float = 60.0
    """Seconds after which a request that nobody answered is forgotten, if its place
    is needed."""
    retry_after: int = 2
    """Seconds told with 409 and 503 if nothing else is said."""


@attrs.frozen(kw_only=True)
class EndpointStatistics:
    """Counters of an endpoint."""

    requests: int
    offers: int
    """That were well-formed and became events."""
    accepted: int
    refused: int
    """By us at once, or by a command."""
    pending: int


class WhipEndpoint:
    """One endpoint, or all of a server: routing and names are the caller's.

    ::

        endpoint = WhipEndpoint()
        match endpoint.handle(request, now):
            case Response() as response:
                ...  # write it
            case OfferReceived() as event:
                ...  # decide, then write what this returns:
                endpoint.accept(event.request_id, answer=..., session_url=..., now=now)

    Event: `OfferReceived`. It waits for `accept`, `refuse`, `reject` or `redirect`,
    which return the response, or None if the request has gone meanwhile.

    Args:
        config: Behaviour.
        limits: What requests may cost.
    """

    _DISCOVERY: ClassVar[Response] = Response(204)
    _SENDS: ClassVar[bool] = True
    """Whether the peer sends."""

    def __init__(
        self, *, config: EndpointConfig | None = None, limits: Limits | None = None
    ) -> None:
        self._config = config or EndpointConfig()
        self._limits = limits or Limits()
        self._pending: dict[int, float] = {}
        self._last_request = 0
        self._requests = 0
        self._accepted = 0
        self._refused = 0

    def handle(self, request: Request, now: float) -> Response | OfferReceived:
        """Take a request; give its response, or an event. Never raises."""
        self._requests += 1
        config = self._config
        if request.method == "POST":
            result = self._take_offer(request, now)
            if isinstance(result, Response):
                self._refused += 1
            return result
        if request.method == "OPTIONS":
            return options_response(
                request,
                (*_METHODS, "PATCH", "DELETE"),
                accept_post=SDP_TYPE,
                allow_origin=config.allow_origin,
                ice_servers=config.ice_servers,
            )
        if request.method in ("GET", "HEAD"):
            found = self._DISCOVERY
            headers = [*found.headers, *cors_headers(config.allow_origin)]
            return Response(found.status, Headers(headers))
        return self._problem(405, f"{request.method[:20]} is not for an endpoint")

    def _take_offer(self, request: Request, now: float) -> Response | OfferReceived:
        token = decode_bearer(request.headers)
        if token is None and self._config.require_token:
            return self._problem(401, "a bearer token is needed")
        if len(request.body) > self._limits.body_bytes:
            return self._problem(413, "the offer is too long")
        kind, _ = decode_media_type(request.headers.get("content-type"))
        if kind != SDP_TYPE:
            return self._problem(415, f"an offer is {SDP_TYPE}")
        try:
            offer = sdp.decode_session(request.body, self._limits.sdp)
            self._require_direction(offer)
        except ProtocolError as error:
            return self._problem(status_of(error), error.reason)
        self._forget_old(now)
        if len(self._pending) >= self._limits.pending_requests:
            return self._problem(503, "too many offers wait for an answer")
        self._last_request += 1
        self._pending[self._last_request] = now
        return OfferReceived(
            request_id=self._last_request,
            path=request.path,
            offer=offer,
            text=request.body.decode(),
            token=token,
        )

    def _require_direction(self, offer: sdp.SessionDescription) -> None:
        """Refuse an offer in which nothing flows our way."""
        for media in offer.media:
            direction = offer.direction_of(media)
            flows = direction.sends if self._SENDS else direction.receives
            if media.kind in ("audio", "video") and flows:
                return
        verb = "sends" if self._SENDS else "receives"
        raise ProtocolError(
            f"the offer {verb} neither audio nor video",
            code="unsupported",
            source="RFC 9725 §4.2" if self._SENDS else "WHEP draft-03 §4.3.5",
        )

    def _forget_old(self, now: float) -> None:
        # In order of age, so that what is kept is not looked at.
        if len(self._pending) < self._limits.pending_requests:
            return
        oldest = now - self._config.request_timeout
        for request_id, since in list(self._pending.items()):
            if since > oldest:
                return
            del self._pending[request_id]

    def _problem(self, status: int, detail: str = "") -> Response:
        challenge = f'Bearer realm="{self._config.realm}"' if status == 401 else None
        return problem_response(
            status,
            detail,
            allow=", ".join(_METHODS) if status == 405 else None,
            challenge=challenge,
            retry_after=self._config.retry_after if status in (409, 503) else None,
            allow_origin=self._config.allow_origin,
        )

    # --- commands --------------------------------------------------------------

    def accept(
        self,
        request_id: int,
        *,
        answer: sdp.SessionDescription | str,
        session_url: str,
        etag: str | None = None,
        takes_patch: bool = True,
        ice_servers: Iterable[IceServer] = (),
        extensions: Iterable[Link] = (),
        now: float,
    ) -> Response | None:
        """Accept an offer: 201.

        Args:
            request_id: One that has gone meanwhile gives None.
            answer: With all candidates: there is no way to add one later.
            session_url: Hard to guess; absolute, or relative to the request's.
            etag: Of the ICE session, without quotes; needed for restarts.
            takes_patch: Whether the session trickles or restarts.
            ice_servers: For the client.
            extensions: Links whose ``rel`` is an extension's URN.
            now: Seconds.

        Raises:
            UsageError: A value that no header field can have.
        """
        response = created_response(
            answer,
            session_url,
            etag=etag,
            accept_patch=FRAGMENT_TYPE if takes_patch else None,
            ice_servers=ice_servers,
            extensions=extensions,
            allow_origin=self._config.allow_origin,
        )
        return self._settle(request_id, response)

    def refuse(
        self, request_id: int, error: ProtocolError, *, now: float
    ) -> Response | None:
        """Refuse an offer for what is wrong with it: 400, 413 or 422.

        Source: RFC 9725 §4.4.2, §4.4.3.
        """
        return self.reject(request_id, status_of(error), error.reason, now=now)

    def reject(
        self,
        request_id: int,
        status: int,
        reason: str = "",
        *,
        retry_after: int | None = None,
        now: float,
    ) -> Response | None:
        """Refuse an offer for reasons of our own.

        401 and 403 for a wrong token, 404 and 409 for a stream that is not there or
        taken, 503 for lack of room; 409 and 503 always have a ``Retry-After``.

        Raises:
            UsageError: The status is not 400 to 599.

        Source: RFC 9725 §4.5, §4.7.1; WHEP draft-03 §4.3.8.
        """
        if retry_after is None and status in (409, 503):
            retry_after = self._config.retry_after
        challenge = None
        if status == 401:
            challenge = f'Bearer realm="{self._config.realm}", error="invalid_token"'
        response = problem_response(
            status,
            reason,
            retry_after=retry_after,
            challenge=challenge,
            allow_origin=self._config.allow_origin,
        )
        return self._settle(request_id, response)

    def redirect(self, request_id: int, url: str, *, now: float) -> Response | None:
        """Send an offer elsewhere: 307. Source: RFC 9725 §4.5.

        Raises:
            UsageError: It is no URL.
        """
        if not url.isascii() or not url.isprintable() or " " in url or not url:
            raise UsageError(f"{url!r} is no URL")
        headers = [("Location", url), *cors_headers(self._config.allow_origin)]
        return self._settle(request_id, Response(307, headers))

    def abandon(self, request_id: int, *, now: float) -> None:
        """Forget a request: its connection has ended."""
        self._pending.pop(request_id, None)

    def _settle(self, request_id: int, response: Response) -> Response | None:
        if self._pending.pop(request_id, None) is None:
            return None
        if response.status == 201:
            self._accepted += 1
        elif response.status >= 400:
            self._refused += 1
        return response

    def statistics(self) -> EndpointStatistics:
        """Return the counters."""
        return EndpointStatistics(
            requests=self._requests,
            offers=self._last_request,
            accepted=self._accepted,
            refused=self._refused,
            pending=len(self._pending),
        )


class WhepEndpoint(WhipEndpoint):
    """The same for players: they receive, and may get a counter-offer.

    HEAD and GET tell that this is an endpoint. Source: WHEP draft-03 §4.2.
    """

    _DISCOVERY: ClassVar[Response] = Response(200, {"Content-Type": SDP_TYPE})
    _SENDS: ClassVar[bool] = False

    def counter_offer(
        self,
        request_id: int,
        *,
        offer: sdp.SessionDescription | str,
        session_url: str,
        valid_until: int | None = None,
        etag: str | None = None,
        ice_servers: Iterable[IceServer] = (),
        extensions: Iterable[Link] = (),
        now: float,
    ) -> Response | None:
        """Reject an offer and make one: 406.

        The answer comes to a `SessionResource` that awaits one.

        Args:
            request_id: One that has gone meanwhile gives None.
            offer: Ours, with all candidates.
            session_url: Where the answer goes.
            valid_until: Seconds since 1970; None means 30 s from now.
            etag: Of the ICE session, without quotes; needed for restarts.
            ice_servers: For the player.
            extensions: Links whose ``rel`` is an extension's URN.
            now: Seconds.

        Raises:
            UsageError: A value that no header field can have.

        Source: WHEP draft-03 §4.3.2.
        """
        response = counter_offer_response(
            offer,
            session_url,
            valid_until=valid_until,
            etag=etag,
            ice_servers=ice_servers,
            extensions=extensions,
            allow_origin=self._config.allow_origin,
        )
        return self._settle(request_id, response)
