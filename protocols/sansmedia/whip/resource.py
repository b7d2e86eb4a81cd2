"""The server's resource of one session: candidates, restarts, the end.

Source: RFC 9725 §4.3; WHEP draft-03 §4.3.2, §4.5.
"""

from __future__ import annotations

import hmac
from typing import TypeAlias

import attrs

from sansmedia import sdp
from sansmedia.sansio import ProtocolError, UsageError

from .events import (
    AnswerReceived,
    CandidatesReceived,
    ResourceEvent,
    RestartRequested,
    SessionEnded,
)
from .header_wire import (
    decode_bearer,
    decode_entity_tags,
    decode_media_type,
    encode_entity_tag,
)
from .http import Request, Response
from .limits import Limits
from .responses import (
    FRAGMENT_TYPE,
    SDP_TYPE,
    cors_headers,
    options_response,
    problem_response,
    restart_response,
    status_of,
)

__all__ = ["ResourceConfig", "SessionResource", "peer_credentials"]


@attrs.frozen(kw_only=True)
class ResourceConfig:
    """Behaviour of one session's resource."""

    trickle: bool = True
    """Whether candidates are taken."""
    restart: bool = True
    """Whether ICE can be restarted; then there has to be an entity-tag."""
    token: str | None = None
    """What requests have to bring; None asks for nothing."""
    realm: str = "media"
    allow_origin: str | None = "*"
    counter_offer_timeout: float = 30.0
    """Seconds in which a counter-offer can be answered."""


_Result: TypeAlias = Response | ResourceEvent


def peer_credentials(description: sdp.SessionDescription) -> tuple[str, str]:
    """Return ufrag and password of the transport that all sections share.

    Raises:
        ProtocolError: ``incomplete``.
    """
    for media in description.media:
        if not media.is_rejected:
            transport = description.transport_of(media)
            return transport.ice_ufrag, transport.ice_pwd
    raise ProtocolError("a description without a section", code="incomplete")


class SessionResource:
    """What a session's URL answers; WHIP and WHEP are the same here.

    ::

        resource = SessionResource(
            peer=peer_credentials(event.offer), etag="1", now=now
        )
        match resource.handle(request, now):
            case Response() as response:
                ...  # write it
            case RestartRequested() as event:
                new = ...  # our credentials and candidates
                number = event.request_id
                resource.accept_restart(number, fragment=new, etag="2", now=now)
            case event:
                resource.accept(event.request_id, now=now)

    Events: `CandidatesReceived`, `RestartRequested`, `AnswerReceived`, `SessionEnded`.
    Each waits for `accept` (`accept_restart`) or `reject`, which return the response,
    or None if the request has gone meanwhile.

    Args:
        peer: Its ufrag and password; None if it still has to answer our counter-offer.
        etag: Of the ICE session, without quotes; None for none.
        config: Behaviour.
        limits: What requests may cost.
        now: Seconds on the clock of all later calls.

    Raises:
        UsageError: A restart without an entity-tag, or one that no header can have.
    """

    def __init__(
        self,
        *,
        peer: tuple[str, str] | None,
        etag: str | None = None,
        config: ResourceConfig | None = None,
        limits: Limits | None = None,
        now: float,
    ) -> None:
        self._config = config or ResourceConfig()
        self._limits = limits or Limits()
        if etag is not None:
            encode_entity_tag(etag)
        elif self._config.restart:
            raise UsageError("a session that can restart ICE needs an entity-tag")
        self._peer = peer
        self._etag = etag
        self._answer_until = now + self._config.counter_offer_timeout
        self._pending: dict[int, ResourceEvent] = {}
        self._last_request = 0
        self.is_ended = False
        """Whether the peer has deleted the session, or `end` was called."""

    @property
    def etag(self) -> str | None:
        """The entity-tag of the current ICE session, without quotes."""
        return self._etag

    @property
    def pending_requests(self) -> int:
        """Requests that wait for a command."""
        return len(self._pending)

    def awaits_answer(self, now: float) -> bool:
        """Tell whether a counter-offer can still be answered."""
        return self._peer is None and not self.is_ended and now < self._answer_until

    def handle(self, request: Request, now: float) -> _Result:
        """Take a request; give its response, or an event. Never raises."""
        if request.method == "OPTIONS":
            return options_response(
                request,
                self._methods,
                accept_patch=self._accept_patch,
                allow_origin=self._config.allow_origin,
            )
        if self.is_ended or (self._peer is None and not self.awaits_answer(now)):
            return self._problem(404, "there is no such session")
        if not self._is_authorised(request):
            return self._problem(401, "a bearer token is needed")
        if request.method in ("GET", "HEAD"):
            return Response(204, cors_headers(self._config.allow_origin))
        if request.method == "DELETE":
            # RFC 9725 §4.3.1: an entity-tag means nothing here.
            return self._ask(SessionEnded(request_id=self._last_request + 1))
        if request.method == "PATCH" and "PATCH" in self._methods:
            return self._patch(request)
        return self._problem(405, f"{request.method[:20]} is not for a session")

    @property
    def _methods(self) -> tuple[str, ...]:
        takes_patch = self._config.trickle or self._config.restart or self._peer is None
        patch = ("PATCH",) if takes_patch else ()
        return (*patch, "DELETE", "OPTIONS", "GET", "HEAD")

    @property
    def _accept_patch(self) -> str | None:
        kinds = [SDP_TYPE] if self._peer is None else []
        if self._config.trickle or self._config.restart:
            kinds.append(FRAGMENT_TYPE)
        return ", ".join(kinds) or None

    def _is_authorised(self, request: Request) -> bool:
        if self._config.token is None:
            return True
        token = decode_bearer(request.headers) or ""
        return hmac.compare_digest(token.encode(), self._config.token.encode())

    def _patch(self, request: Request) -> _Result:
        kind, _ = decode_media_type(request.headers.get("content-type"))
        if kind == SDP_TYPE and self._peer is None:
            return self._take_answer(request)
        if kind != FRAGMENT_TYPE:
            accepted = self._accept_patch or ""
            return self._problem(415, f"a session takes {accepted}")
        if len(request.body) > self._limits.fragment_bytes:
            return self._problem(413, "the fragment is too long")
        try:
            fragment = sdp.decode_fragment(request.body, self._limits.sdp)
        except ProtocolError as error:
            return self._problem(status_of(error), error.reason)
        if self._peer is None:
            return self._problem(409, "our offer has not been answered")
        return self._take_fragment(request, fragment, self._peer)

    def _take_answer(self, request: Request) -> _Result:
        """Take the answer to our counter-offer. Source: WHEP draft-03 §4.3.2."""
        if len(request.body) > self._limits.body_bytes:
            return self._problem(413, "the answer is too long")
        try:
            answer = sdp.decode_session(request.body, self._limits.sdp)
            peer_credentials(answer)
        except ProtocolError as error:
            return self._problem(status_of(error), error.reason)
        return self._ask(
            AnswerReceived(
                request_id=self._last_request + 1,
                answer=answer,
                text=request.body.decode(),
            )
        )

    def _take_fragment(
        self, request: Request, fragment: sdp.Fragment, peer: tuple[str, str]
    ) -> _Result:
        """Tell candidates and restarts apart. Source: RFC 9725 §4.3.1, §4.3.3."""
        ufrag, pwd = fragment.credentials
        is_restart = (ufrag or peer[0], pwd or peer[1]) != peer
        if is_restart and not self._config.restart:
            return self._problem(422, "ICE cannot be restarted here")
        if is_restart and (ufrag is None or pwd is None or peer[0] == ufrag):
            # RFC 8445 §9: both are new, or it is no restart.
            return self._problem(400, "a restart needs a new ufrag and password")
        if not is_restart and not self._config.trickle:
            return self._problem(422, "candidates are not taken here")
        # Only what would be done otherwise is held against its conditions.
        # RFC 9110 §13.2.1.
        asked = decode_entity_tags(request.headers)
        if asked is None and self._etag is not None:
            return self._problem(428, "If-Match is missing")
        if asked is not None and not asked.match(self._etag):
            return self._problem(412, "If-Match names another ICE session")
        number = self._last_request + 1
        if ufrag is None or pwd is None or not is_restart:
            return self._ask(CandidatesReceived(request_id=number, fragment=fragment))
        return self._ask(
            RestartRequested(
                request_id=number,
                ice_ufrag=ufrag,
                ice_pwd=pwd,
                candidates=fragment.all_candidates,
                fragment=fragment,
            )
        )

    def _ask(self, event: ResourceEvent) -> _Result:
        if len(self._pending) >= self._limits.pending_requests:
            return self._problem(503, "too many requests wait for an answer")
        self._last_request += 1
        self._pending[self._last_request] = event
        return event

    def _problem(
        self, status: int, detail: str, retry_after: int | None = None
    ) -> Response:
        return problem_response(
            status,
            detail,
            allow=", ".join(self._methods) if status == 405 else None,
            challenge=(
                f'Bearer realm="{self._config.realm}"' if status == 401 else None
            ),
            retry_after=1 if status == 503 and retry_after is None else retry_after,
            allow_origin=self._config.allow_origin,
        )

    # --- commands --------------------------------------------------------------

    def accept(self, request_id: int, *, now: float) -> Response | None:
        """Say yes: 204 to candidates and to an answer, 200 to the end.

        Raises:
            UsageError: The request is a restart, which `accept_restart` answers.

        Source: RFC 9725 §4.2, §4.3.2; WHEP draft-03 §4.3.2.
        """
        event = self._pending.get(request_id)
        if isinstance(event, RestartRequested):
            raise UsageError("a restart is accepted with its fragment")
        if self._pending.pop(request_id, None) is None:
            return None
        headers = cors_headers(self._config.allow_origin)
        if isinstance(event, SessionEnded):
            self.end()
            return Response(200, headers)
        if isinstance(event, AnswerReceived):
            self._peer = peer_credentials(event.answer)
        return Response(204, headers)

    def accept_restart(
        self, request_id: int, *, fragment: sdp.Fragment, etag: str, now: float
    ) -> Response | None:
        """Say yes to a restart: 200 with what is new on our side.

        Args:
            request_id: One that has gone meanwhile gives None.
            fragment: Our new credentials and all our candidates.
            etag: A new one, without quotes.
            now: Seconds.

        Raises:
            UsageError: The request is no restart, or the tag is not new.

        Source: RFC 9725 §4.3.3.
        """
        event = self._pending.get(request_id)
        if event is not None and not isinstance(event, RestartRequested):
            raise UsageError("the request is no restart")
        if etag == self._etag:
            raise UsageError("a new ICE session needs a new entity-tag")
        response = restart_response(
            fragment, etag, allow_origin=self._config.allow_origin
        )
        if event is None:
            return None
        del self._pending[request_id]
        self._peer = (event.ice_ufrag, event.ice_pwd)
        self._etag = etag
        return response

    def reject(
        self,
        request_id: int,
        status: int,
        reason: str = "",
        *,
        retry_after: int | None = None,
        now: float,
    ) -> Response | None:
        """Say no; the session goes on as it was.

        Raises:
            UsageError: The status is not 400 to 599.

        Source: RFC 9725 §4.3.3.
        """
        response = self._problem(status, reason, retry_after)
        if self._pending.pop(request_id, None) is None:
            return None
        return response

    def abandon(self, request_id: int, *, now: float) -> None:
        """Forget a request: its connection has ended."""
        self._pending.pop(request_id, None)

    def end(self) -> None:
        """End the session from our side: from now on there is no such resource."""
        self.is_ended = True
        self._pending.clear()
