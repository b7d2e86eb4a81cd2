"""Both sides of a session, and shorthand for their requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from sansmedia.sdp import (
    Capabilities,
    Direction,
    Fingerprint,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    SessionDescription,
    Transport,
    encode_fragment,
    encode_session,
    make_answer,
    make_fragment,
    make_offer,
)
from sansmedia.whip import (
    FRAGMENT_TYPE,
    SDP_TYPE,
    OfferReceived,
    Request,
    Response,
    SessionResource,
    WhepClient,
    WhepEndpoint,
    WhipClient,
    WhipEndpoint,
)

URL = "https://media.example.org/live/cam/whip"
PWD = "0123456789abcdefghijkl"
CANDIDATE = "1 1 udp 2130706431 192.0.2.1 8000 typ host"
_OPUS = OfferedCodec(encoding="opus", clock_rate=48000, channels=2)
_VP8 = OfferedCodec(encoding="VP8", clock_rate=90000, rtx=True)


def _transport(ufrag: str) -> Transport:
    return Transport(
        ice_ufrag=ufrag,
        ice_pwd=PWD,
        ice_options=("trickle", "ice2"),
        fingerprints=(Fingerprint("sha-256", ":".join(["AB"] * 32)),),
    )


def _sources() -> tuple[SendSource, ...]:
    return (
        SendSource(kind="audio", ssrc=1, cname="c", stream="s", track="a"),
        SendSource(kind="video", ssrc=2, rtx_ssrc=3, cname="c", stream="s", track="v"),
    )


def _offer(direction: Direction, ufrag: str) -> SessionDescription:
    sources = _sources() if direction is Direction.SENDONLY else (None, None)
    return make_offer(
        [
            OfferedMedia(kind="audio", codecs=(_OPUS,), source=sources[0]),
            OfferedMedia(kind="video", codecs=(_VP8,), source=sources[1]),
        ],
        direction=direction,
        transport=_transport(ufrag),
        session_id=1,
    )


@attrs.frozen
class Kit:
    """One of the two protocols, with all that a session of it is made of."""

    name: str
    endpoint_type: type[WhipEndpoint]
    client_type: type[WhipClient]
    sends: Direction
    """What the client does."""

    @property
    def offer(self) -> SessionDescription:
        """The client's offer."""
        return _offer(self.sends, "peer")

    @property
    def counter_offer(self) -> SessionDescription:
        """The server's offer."""
        return _offer(self.sends.reversed, "serv")

    def answer(self, offer: SessionDescription) -> SessionDescription:
        """Answer an offer, from whichever side it is not."""
        direction = offer.direction_of(offer.media[0]).reversed
        sources = _sources() if direction is Direction.SENDONLY else ()
        return make_answer(
            offer,
            capabilities=Capabilities(
                direction=direction, match=lambda *_: True, sections_per_kind=2
            ),
            transport=_transport("answ"),
            session_id=2,
            sources=sources,
        ).answer

    def endpoint(self, **arguments: object) -> WhipEndpoint:
        """Make an endpoint."""
        return self.endpoint_type(**arguments)  # type: ignore[arg-type]

    def client(self, token: str | None = None, **arguments: object) -> WhipClient:
        """Make a client."""
        return self.client_type(URL, token=token, now=0.0, **arguments)  # type: ignore[arg-type]

    def resource(self, **arguments: object) -> SessionResource:
        """Make the resource of a session."""
        given = {"peer": ("peer", PWD), "etag": "tag1", "now": 0.0} | arguments
        return SessionResource(**given)  # type: ignore[arg-type]

    def post(
        self, body: bytes | None = None, kind: str = SDP_TYPE, **headers: str
    ) -> Request:
        """Make the request that begins a session."""
        if body is None:
            body = encode_session(self.offer).encode()
        return Request("POST", "/live/cam/whip", {"Content-Type": kind} | headers, body)

    def offer_taken(self, **arguments: object) -> tuple[Any, OfferReceived]:
        """Make an endpoint that has told the offer."""
        endpoint = self.endpoint(**arguments)
        event = endpoint.handle(self.post(), 0.0)
        assert isinstance(event, OfferReceived)
        return endpoint, event

    def accepted(self, **arguments: object) -> Response:
        """Make the response that accepts the offer."""
        endpoint, event = self.offer_taken()
        given: dict[str, object] = {
            "answer": self.answer(event.offer),
            "session_url": "/session/1",
            "etag": "tag1",
        }
        response = endpoint.accept(event.request_id, **(given | arguments), now=0.0)
        assert isinstance(response, Response)
        return response

    def restarted(self, etag: str = "tag2", ufrag: str = "anew") -> Response:
        """Make the response that restarts ICE."""
        fragment = make_fragment(
            self.answer(self.offer), ["9"], credentials=(ufrag, "8" * 22)
        )
        headers = {"Content-Type": FRAGMENT_TYPE, "ETag": f'"{etag}"'}
        return Response(200, headers, encode_fragment(fragment).encode())

    def established(
        self, token: str | None = None, etag: str | None = "tag1"
    ) -> WhipClient:
        """Make a client whose offer has been accepted."""
        client = self.client(token)
        client.offer(self.offer, now=0.0)
        [request] = client.requests_to_send()
        response = self.accepted(etag=etag)
        client.receive_response(request.request_id, response, 0.0)
        client.next_event()
        return client


WHIP = Kit("WHIP", WhipEndpoint, WhipClient, Direction.SENDONLY)
WHEP = Kit("WHEP", WhepEndpoint, WhepClient, Direction.RECVONLY)


@pytest.fixture
def whip() -> Kit:
    """Publishing."""
    return WHIP


@pytest.fixture
def whep() -> Kit:
    """Watching."""
    return WHEP


@pytest.fixture(params=[WHIP, WHEP], ids=["whip", "whep"])
def kit(request: pytest.FixtureRequest) -> Kit:
    """Both, one after the other."""
    kit: Kit = request.param
    return kit


@pytest.fixture
def patch() -> Callable[..., Request]:
    """Make a PATCH with a fragment."""

    def make(
        ufrag: str | None = "peer",
        pwd: str | None = PWD,
        candidates: tuple[str, ...] = (CANDIDATE,),
        kind: str = FRAGMENT_TYPE,
        **headers: str,
    ) -> Request:
        lines = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0"]
        lines += [f"a=ice-ufrag:{ufrag}"] if ufrag else []
        lines += [f"a=ice-pwd:{pwd}"] if pwd else []
        lines += [f"a=candidate:{one}" for one in candidates]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = "\r\n".join(lines).encode()
        return Request("PATCH", "/session/1", {"Content-Type": kind} | named, body)

    return make


@pytest.fixture
def created(kit: Kit) -> Callable[..., Response]:
    """Make the response that accepts an offer, header by header."""

    def make(status: int = 201, body: bytes | None = None, **headers: str) -> Response:
        if body is None:
            body = encode_session(kit.answer(kit.offer)).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(status, {"Content-Type": SDP_TYPE} | named, body)

    return make
