"""Clients of WHIP and WHEP.

Source: RFC 9725 §4; WHEP draft-03 §4.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

import attrs

from sansmedia import sdp
from sansmedia.sansio import (
    ProtocolError,
    Terminated,
    TerminationCause,
    TimerTable,
    UsageError,
)

from .client_wire import (
    Reply,
    decode_counter_offer,
    decode_created,
    decode_fragment_reply,
    decode_problem,
    is_postponement,
)
from .config import ClientConfig, ClientStatistics, TokenPolicy
from .events import (
    ClientEvent,
    CounterOfferReceived,
    Established,
    OfferPostponed,
    Redirected,
    RestartCompleted,
    RestartRefused,
    TrickleRefused,
)
from .http import ClientRequest, Response
from .limits import Limits
from .responses import FRAGMENT_TYPE, SDP_TYPE
from .states import CLIENT_SESSION, ClientInput, ClientState

__all__ = ["WhepClient", "WhipClient"]


class _Kind(enum.Enum):
    OFFER = "offer"
    ANSWER = "answer"
    CANDIDATES = "candidates"
    RESTART = "restart"
    DELETE = "delete"


@attrs.frozen
class _Exchange:
    kind: _Kind
    url: str
    candidates: int = 0


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _is_http(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        # A port that is no number shows only when it is asked for.
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname)
        ) and parts.port != 0
    except ValueError:
        return False


def _require_whole(description: sdp.SessionDescription) -> bytes:
    """Encode a description of ours, from which fragments can be cut later."""
    try:
        sdp.make_fragment(description, [])
    except ProtocolError as error:
        raise UsageError(error.reason) from None
    return sdp.encode_session(description).encode()


class WhipClient:
    """Publishes one session.

    ::

        client = WhipClient("https://example.org/whip", token="...", now=now)
        client.offer(description, now=now)
        while not client.is_terminated:
            for request in client.requests_to_send():
                ...  # send it, and when its response is there:
                client.receive_response(request.request_id, response, now)
            while (event := client.next_event()) is not None:
                ...

    Events: `Established`; `OfferPostponed`, after which `offer` may be called again;
    `Redirected`; `TrickleRefused`; `RestartCompleted`, `RestartRefused`; last
    `Terminated`. After that one more request may have to be sent: the DELETE.

    Args:
        url: The endpoint's, absolute.
        token: Bearer token; None sends none.
        authorization: The ``Authorization`` field as it is, for servers that ask for
            something else than a bearer token; stronger than ``token``.
        config: Behaviour.
        limits: What the server may cost.
        now: Seconds on the clock of all later calls.

    Raises:
        UsageError: The URL is not http or https, or what goes into the field is no
            printable ASCII.
    """

    _TAKES_COUNTER_OFFERS = False

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        authorization: str | None = None,
        config: ClientConfig | None = None,
        limits: Limits | None = None,
        now: float,
    ) -> None:
        if not _is_http(url):
            raise UsageError(f"{url[:100]!r} is no http or https URL")
        self._config = config or ClientConfig()
        self._limits = limits or Limits()
        self._first_url = self._endpoint_url = url
        if authorization is None and token is not None:
            authorization = f"Bearer {token}"
        if authorization is not None and not (
            authorization.isascii() and authorization.isprintable()
        ):
            raise UsageError("the authorization is no printable ASCII")
        self._authorization = authorization
        self._state = ClientState.IDLE
        self._events: deque[ClientEvent] = deque()
        self._requests: deque[ClientRequest] = deque()
        self._exchanges: dict[int, _Exchange] = {}
        self._timers: TimerTable[int] = TimerTable()
        self._last_request = 0
        self._responses = 0
        self._redirects = 0
        self._followed = 0
        self._candidates_sent = 0
        self._close_reason = ""
        # What was offered or answered: fragments are cut from it.
        self._local: sdp.SessionDescription | None = None
        self._body = b""
        self._credentials: tuple[str, str] | None = None
        self._session_url: str | None = None
        self._etag: str | None = None
        self._counter: Reply | None = None
        self._waiting: list[str] = []
        self._end_waits = False
        self._trickles = True
        self._patch: int | None = None
        self._restart: int | None = None

    # --- commands --------------------------------------------------------------

    def offer(self, offer: sdp.SessionDescription, *, now: float) -> None:
        """Send an offer: POST. Ignored unless nothing is under way.

        Raises:
            UsageError: It lacks ICE credentials, a fingerprint or a section.

        Source: RFC 9725 §4.2.
        """
        body = _require_whole(offer)
        if not self._move(ClientInput.OFFER):
            return
        self._local = offer
        self._body = body
        self._followed = 0
        # Redirections were temporary.
        self._endpoint_url = self._first_url
        self._post(now)

    def add_candidates(
        self, candidates: Sequence[str], *, end: bool = False, now: float
    ) -> None:
        """Tell candidates of ours that stand in no offer: PATCH, when it is time.

        They wait until the session is there and no PATCH is under way, then go
        together.

        Args:
            candidates: Text behind ``candidate:``; beyond the limit they are dropped.
            end: Whether no candidates follow.
            now: Seconds.

        Source: RFC 9725 §4.3.2.
        """
        if self._state in (ClientState.TERMINATED, ClientState.ENDING):
            return
        room = self._limits.candidates - len(self._waiting)
        self._waiting += candidates[: max(0, room)]
        self._end_waits = self._end_waits or end
        self._flush(now)

    def restart(
        self, ice_ufrag: str, ice_pwd: str, candidates: Sequence[str], *, now: float
    ) -> None:
        """Restart ICE: PATCH. Ignored if there is no session to restart.

        An earlier restart that is under way, and candidates that are, do not count any
        more: what comes in answer to them is ignored.

        Args:
            ice_ufrag: New.
            ice_pwd: New.
            candidates: All that there are so far.
            now: Seconds.

        Source: RFC 9725 §4.3.3.
        """
        if self._state is not ClientState.ESTABLISHED or self._session_url is None:
            return
        for request_id in (self._patch, self._restart):
            if request_id is not None:
                self._forget(request_id)
        self._waiting.clear()
        self._end_waits = False
        self._patch = None
        self._credentials = (ice_ufrag, ice_pwd)
        self._restart = self._send_fragment(
            _Kind.RESTART, list(candidates), end=False, if_match="*", now=now
        )

    def close(self, reason: str = "", *, now: float) -> None:
        """Say goodbye: DELETE, if the server told where.

        While an offer is under way, its response is waited for.

        Source: RFC 9725 §4.2.
        """
        if self._state is ClientState.OFFERING:
            self._close_reason = reason
            self._move(ClientInput.CLOSE)
            self._waiting.clear()
        elif self._state is not ClientState.ENDING:
            self._end(TerminationCause.LOCAL, reason, now)

    # --- input -----------------------------------------------------------------

    def receive_response(self, request_id: int, response: Response, now: float) -> None:
        """Take the response to a request. Never raises."""
        exchange = self._forget(request_id)
        if exchange is None or self.is_terminated:
            return
        self._responses += 1
        reply = Reply(response, exchange.url)
        try:
            if exchange.kind is _Kind.OFFER and reply.is_success:
                # Whatever is wrong with the answer, there is a session to delete.
                self._session_url = self._usable(reply.location)
            if len(response.body) > self._limits.body_bytes:
                raise ProtocolError("the response is too long", code="limit")
            self._take(exchange, reply, now)
        except ProtocolError as error:
            self._end(TerminationCause.VIOLATION, error.reason, now, error)

    def receive_failure(self, request_id: int, reason: str, now: float) -> None:
        """Take word that a request got no response."""
        self._fail(request_id, reason, TerminationCause.EOF, now)

    def handle_timeout(self, now: float) -> None:
        """Give up requests whose time is over."""
        for request_id in self._timers.pop_due(now):
            self._fail(request_id, "no response", TerminationCause.TIMEOUT, now)

    def _fail(
        self, request_id: int, reason: str, cause: TerminationCause, now: float
    ) -> None:
        exchange = self._forget(request_id)
        if exchange is None or self.is_terminated:
            return
        if exchange.kind is _Kind.RESTART:
            self._restart = None
            self._events.append(RestartRefused(status=0, detail=reason))
        elif exchange.kind is _Kind.CANDIDATES:
            self._refuse_trickle(0, reason)
        elif self._state is ClientState.ENDING:
            self._end(TerminationCause.LOCAL, self._close_reason, now)
        else:
            self._end(cause, f"{exchange.kind.value}: {reason}", now)

    def _take(self, exchange: _Exchange, reply: Reply, now: float) -> None:
        if exchange.kind is _Kind.OFFER:
            self._take_offer_reply(reply, now)
        elif exchange.kind is _Kind.ANSWER:
            self._take_answer_reply(reply, now)
        elif exchange.kind is _Kind.CANDIDATES:
            self._patch = None
            if reply.is_success:
                self._candidates_sent += exchange.candidates
            else:
                self._refuse_trickle(reply.status, decode_problem(reply))
            self._flush(now)
        elif exchange.kind is _Kind.RESTART:
            self._restart = None
            self._take_restart_reply(reply)
            self._flush(now)

    def _take_offer_reply(self, reply: Reply, now: float) -> None:
        """Source: RFC 9725 §4.2, §4.5; WHEP draft-03 §4.3.3, §4.3.8."""
        if self._state is ClientState.ENDING:
            if reply.status == 406:
                self._session_url = self._usable(reply.location)
            self._end(TerminationCause.LOCAL, self._close_reason, now)
        elif reply.is_success:
            created = decode_created(reply, self._limits, self._session_url)
            self._establish(created, now)
        elif reply.status in (307, 308):
            self._follow(reply, now)
        elif reply.status == 406 and self._take_counter_offer(reply):
            return
        elif is_postponement(reply.status):
            self._move(ClientInput.POSTPONED)
            self._events.append(
                OfferPostponed(
                    status=reply.status,
                    retry_after=reply.retry_after,
                    detail=decode_problem(reply),
                )
            )
        else:
            self._end(TerminationCause.PEER, _refusal("offer", reply), now)

    def _take_counter_offer(self, reply: Reply) -> bool:
        if not self._TAKES_COUNTER_OFFERS:
            return False
        counter = decode_counter_offer(reply, self._limits)
        url = self._usable(reply.location)
        if counter is None or url is None:
            return False
        offer, valid_for = counter
        self._move(ClientInput.COUNTERED)
        self._counter = reply
        self._session_url = url
        self._events.append(
            CounterOfferReceived(offer=offer, session_url=url, valid_for=valid_for)
        )
        return True

    def _take_answer_reply(self, reply: Reply, now: float) -> None:
        """Source: WHEP draft-03 §4.3.2."""
        if not reply.is_success or self._counter is None:
            self._end(TerminationCause.PEER, _refusal("answer", reply), now)
            return
        told, self._counter = self._counter, None
        links = told.links(self._limits.links)
        self._establish(
            Established(
                answer=None,
                session_url=self._session_url,
                # The answer may bring the tag, or the offer has.
                etag=reply.etag or told.etag,
                ice_servers=links.ice_servers,
                extensions=links.extensions,
            ),
            now,
        )

    def _take_restart_reply(self, reply: Reply) -> None:
        """Source: RFC 9725 §4.3.3."""
        fragment = decode_fragment_reply(reply, self._limits)
        if fragment is None:
            detail = decode_problem(reply) or "no new credentials came"
            self._events.append(RestartRefused(status=reply.status, detail=detail))
            return
        if reply.etag is not None:
            self._etag = reply.etag
        self._trickles = True
        self._events.append(RestartCompleted(fragment=fragment, etag=reply.etag))

    def _establish(self, event: Established, now: float) -> None:
        self._move(ClientInput.ACCEPTED)
        self._etag = event.etag
        self._events.append(event)
        self._flush(now)

    def _follow(self, reply: Reply, now: float) -> None:
        """Go where the server points. Source: RFC 9725 §4.5; RFC 9110 §15.4."""
        url = self._usable(reply.location)
        if url is None:
            raise ProtocolError(
                "redirected to no http or https address", source="RFC 9110 §15.4.8"
            )
        self._followed += 1
        if self._followed > self._limits.redirects:
            raise ProtocolError(
                f"more than {self._limits.redirects} redirections", code="limit"
            )
        self._redirects += 1
        self._endpoint_url = url
        self._events.append(Redirected(url=url))
        self._post(now)

    # --- inside ----------------------------------------------------------------

    def _move(self, step: ClientInput) -> bool:
        state = CLIENT_SESSION.get((self._state, step))
        if state is None:
            return False
        self._state = state
        return True

    def _usable(self, url: str | None) -> str | None:
        """Return an address that may be asked: never from https down to http."""
        if url is None or not _is_http(url):
            return None
        first, other = urlsplit(self._first_url).scheme, urlsplit(url).scheme
        return None if (first, other) == ("https", "http") else url

    def _post(self, now: float) -> None:
        headers = [("Content-Type", SDP_TYPE)]
        exchange = _Exchange(_Kind.OFFER, self._endpoint_url)
        self._send("POST", exchange, headers, self._body, now)

    def _flush(self, now: float) -> None:
        """Send the candidates that wait, if it is time. Source: RFC 9725 §4.3.2."""
        if (
            self._state is not ClientState.ESTABLISHED
            or self._patch is not None
            or self._restart is not None
            or not (self._waiting or self._end_waits)
        ):
            return
        candidates, end = self._waiting, self._end_waits
        self._waiting, self._end_waits = [], False
        if self._trickles and self._session_url is not None:
            self._patch = self._send_fragment(
                _Kind.CANDIDATES, candidates, end=end, if_match=self._etag, now=now
            )

    def _send_fragment(
        self,
        kind: _Kind,
        candidates: list[str],
        *,
        end: bool,
        if_match: str | None,
        now: float,
    ) -> int | None:
        if self._local is None or self._session_url is None:
            return None
        fragment = sdp.make_fragment(
            self._local,
            candidates,
            end_of_candidates=end,
            credentials=self._credentials,
        )
        headers = [("Content-Type", FRAGMENT_TYPE)]
        if if_match is not None:
            headers.append(("If-Match", if_match))
        exchange = _Exchange(kind, self._session_url, len(candidates))
        body = sdp.encode_fragment(fragment).encode()
        return self._send("PATCH", exchange, headers, body, now)

    def _send(
        self,
        method: str,
        exchange: _Exchange,
        headers: list[tuple[str, str]],
        body: bytes,
        now: float,
    ) -> int:
        self._last_request += 1
        if self._authorization is not None and self._may_have_token(exchange):
            headers.append(("Authorization", self._authorization))
        if self._config.user_agent is not None:
            headers.append(("User-Agent", self._config.user_agent))
        self._requests.append(
            ClientRequest(self._last_request, method, exchange.url, headers, body)
        )
        if exchange.kind is not _Kind.DELETE:
            self._exchanges[self._last_request] = exchange
            deadline = now + self._config.request_timeout
            self._timers.set(self._last_request, deadline)
        return self._last_request

    def _may_have_token(self, exchange: _Exchange) -> bool:
        """Judge an address; those that lead from https to http were refused before.

        RFC 9725 §4.7.1 sends the token to endpoint and session alike. A redirection to
        another origin is where HTTP clients stop (RFC 9110 §15.4).
        """
        if exchange.kind is not _Kind.OFFER:
            return self._config.token_policy is TokenPolicy.ANY or (
                _origin(self._endpoint_url) == _origin(self._first_url)
                or _origin(exchange.url) == _origin(self._first_url)
            )
        return self._config.token_policy is TokenPolicy.ANY or (
            _origin(exchange.url) == _origin(self._first_url)
        )

    def _forget(self, request_id: int) -> _Exchange | None:
        self._timers.cancel(request_id)
        return self._exchanges.pop(request_id, None)

    def _refuse_trickle(self, status: int, detail: str) -> None:
        self._patch = None
        self._trickles = False
        self._events.append(TrickleRefused(status=status, detail=detail))

    def _end(
        self,
        cause: TerminationCause,
        reason: str,
        now: float,
        error: ProtocolError | None = None,
    ) -> None:
        if self.is_terminated:
            return
        self._move(ClientInput.END)
        # Of what nobody has taken yet, only the goodbye matters now.
        self._requests.clear()
        self._exchanges.clear()
        self._timers.clear()
        self._waiting.clear()
        url = self._usable(self._session_url)
        if url is not None:
            self._send("DELETE", _Exchange(_Kind.DELETE, url), [], b"", now)
        self._events.append(Terminated(cause, reason, error))

    # --- polls -----------------------------------------------------------------

    def requests_to_send(self) -> list[ClientRequest]:
        """Dequeue all requests; empty if there are none."""
        requests = list(self._requests)
        self._requests.clear()
        return requests

    def next_event(self) -> ClientEvent | None:
        """Dequeue the oldest event, or None."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next, or None."""
        return self._timers.next_timeout()

    @property
    def is_terminated(self) -> bool:
        """True once `Terminated` was queued."""
        return self._state is ClientState.TERMINATED

    @property
    def state(self) -> ClientState:
        """Where the session stands."""
        return self._state

    @property
    def pending_bytes(self) -> int:
        """Octets of bodies and candidates that wait to be sent."""
        return sum(len(request.body) for request in self._requests) + sum(
            map(len, self._waiting)
        )

    def statistics(self) -> ClientStatistics:
        """Return the counters."""
        return ClientStatistics(
            requests=self._last_request,
            responses=self._responses,
            redirects=self._redirects,
            candidates_sent=self._candidates_sent,
        )


def _refusal(what: str, reply: Reply) -> str:
    detail = decode_problem(reply)
    return f"{what} refused with {reply.status}" + (f": {detail}" if detail else "")


class WhepClient(WhipClient):
    """Watches one session. The same, but for counter-offers.

    Event beside those of `WhipClient`: `CounterOfferReceived`, which wants `answer`.
    """

    _TAKES_COUNTER_OFFERS = True

    def answer(self, answer: sdp.SessionDescription, *, now: float) -> None:
        """Answer a counter-offer: PATCH. Ignored if there is none.

        Raises:
            UsageError: It lacks ICE credentials, a fingerprint or a section.

        Source: WHEP draft-03 §4.3.2.
        """
        body = _require_whole(answer)
        if self._session_url is None or not self._move(ClientInput.ANSWER):
            return
        self._local = answer
        exchange = _Exchange(_Kind.ANSWER, self._session_url)
        self._send("PATCH", exchange, [("Content-Type", SDP_TYPE)], body, now)
