"""The HTTP side of a WHIP or WHEP session that we open: offer, answer, goodbye."""

from __future__ import annotations

import importlib.metadata
import os

import attrs
import httpx
import trio
from sansmedia.sansio import Terminated
from sansmedia.sdp import (
    NegotiatedSession,
    SessionDescription,
    Setup,
    apply_answer,
    make_answer,
)
from sansmedia.webrtc import Peer
from sansmedia.whip import (
    ClientConfig,
    ClientRequest,
    CounterOfferReceived,
    Established,
    Limits,
    OfferPostponed,
    Redirected,
    Response,
    WhepClient,
    WhipClient,
)

from penstock import log

from .rtmp_client import RemoteRefusal
from .webrtc_media import receiving

__all__ = ["Endpoint", "WhipCall"]

_LIMITS = Limits()


@attrs.frozen(kw_only=True)
class Endpoint:
    """Another server's endpoint."""

    plays: bool
    """WHEP; else WHIP."""
    url: str
    """``http`` or ``https``."""
    shown: str
    """As it was written: for logs and views, which mask it."""
    authorization: str | None = attrs.field(default=None, repr=False)
    """Value of the ``Authorization`` field."""


class WhipCall:
    """One session at another server.

    Args:
        client: Sends requests.
        endpoint: Whom to ask.

    Raises:
        UsageError: The address or the authorization cannot be sent.
    """

    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self.session_url = ""
        """Where the session is, once it is."""
        self._client = client
        version = importlib.metadata.version("penstock")
        kind = WhepClient if endpoint.plays else WhipClient
        self._machine = kind(
            endpoint.url,
            authorization=endpoint.authorization,
            config=ClientConfig(user_agent=f"penstock/{version}"),
            limits=_LIMITS,
            now=trio.current_time(),
        )

    async def open(self, offer: SessionDescription, peer: Peer) -> NegotiatedSession:
        """Send an offer; return what it and the answer have come to.

        Args:
            offer: Ours.
            peer: Ours too: it answers if the server offers something else.

        Raises:
            RemoteRefusal: The server cannot be reached, or says no.
            ProtocolError: Its answer does not fit.
        """
        machine = self._machine
        machine.offer(offer, now=trio.current_time())
        countered: NegotiatedSession | None = None
        while True:
            await self._exchange()
            while (event := machine.next_event()) is not None:
                match event:
                    case Established():
                        self.session_url = event.session_url or ""
                        if event.answer is not None:
                            return apply_answer(offer, event.answer)
                        assert countered is not None
                        return countered
                    case CounterOfferReceived():
                        countered = self._answer(event.offer, peer)
                    case OfferPostponed():
                        detail = f": {event.detail}" if event.detail else ""
                        reason = f"offer refused with {event.status}{detail}"
                        raise RemoteRefusal(reason)
                    case Redirected():
                        log.debug("redirected", url=event.url)
                    case Terminated():
                        raise RemoteRefusal(event.reason or event.cause.value)
                    case _:
                        pass

    def _answer(self, offer: SessionDescription, peer: Peer) -> NegotiatedSession:
        """Answer a counter-offer; WHEP alone has them."""
        plan = make_answer(
            offer,
            capabilities=receiving(),
            transport=peer.transport(Setup.ACTIVE),
            session_id=int.from_bytes(os.urandom(7), "big"),
        )
        machine = self._machine
        assert isinstance(machine, WhepClient)
        machine.answer(plan.answer, now=trio.current_time())
        return plan.session

    async def close(self, reason: str) -> None:
        """Say goodbye, if there is somebody to say it to."""
        self._machine.close(reason, now=trio.current_time())
        for request in self._machine.requests_to_send():
            # An offer that nobody waits for any more is not worth its answer.
            if request.method == "DELETE":
                try:
                    await self._ask(request)
                except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                    log.debug("no goodbye", url=request.url, reason=_said(error))

    async def _exchange(self) -> None:
        """Send what waits, and give the machine what comes back."""
        machine = self._machine
        for request in machine.requests_to_send():
            deadline = machine.next_timeout()
            with trio.move_on_at(float("inf") if deadline is None else deadline):
                try:
                    response = await self._ask(request)
                # The last is what the resolver says to labels that it cannot take.
                except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                    machine.receive_failure(
                        request.request_id, _said(error), trio.current_time()
                    )
                else:
                    machine.receive_response(
                        request.request_id, response, trio.current_time()
                    )
        machine.handle_timeout(trio.current_time())

    async def _ask(self, request: ClientRequest) -> Response:
        async with self._client.stream(
            request.method,
            request.url,
            # What is packed may unpack to any size.
            headers=[*request.headers, ("Accept-Encoding", "identity")],
            content=request.body,
            follow_redirects=False,
        ) as response:
            body = b""
            # To the end: httpx's generators do not bear being left.
            async for part in response.aiter_raw():
                if len(body) <= _LIMITS.body_bytes:
                    body += part
            return Response(response.status_code, response.headers.multi_items(), body)


def _said(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "no host name"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
