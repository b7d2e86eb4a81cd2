"""Every MUST and SHALL of RFC 9725 and of WHEP draft-03 but those on ICE, a row each.

A row names the clauses, who has to keep the duty and what it is in our words. What the
library cannot keep, as it has neither sockets nor media, has no row: consent and its
revocation, full ICE, replacing remote candidates and noticing a mismatch (who has the
ICE agent: RFC 9725 §4.2, §4.3.3, §4.4.5), all candidates in the answer (who gathers
them: RFC 9725 §4.3.2), simulcast (RFC 9725 §4.8: ``sansmedia.sdp`` and its tests).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from sansmedia.sansio import ProtocolError, Terminated
from sansmedia.sdp import (
    Direction,
    SessionDescription,
    decode_session,
    encode_session,
)
from sansmedia.whip import (
    SDP_TYPE,
    AnswerReceived,
    CandidatesReceived,
    CounterOfferReceived,
    EndpointConfig,
    Established,
    Link,
    OfferPostponed,
    OfferReceived,
    Redirected,
    Request,
    ResourceConfig,
    Response,
    SessionEnded,
    WhepClient,
    WhepEndpoint,
    peer_credentials,
)

Kit: TypeAlias = Any
"""The fixture of ``conftest``."""
_Check: TypeAlias = Callable[[Kit, Callable[..., Request]], None]


@attrs.frozen
class Duty:
    """One row."""

    clauses: str
    holder: str
    what: str
    check: _Check
    protocols: tuple[str, ...]


_DUTIES: list[Duty] = []


def duty(
    clauses: str, holder: str, what: str, *protocols: str
) -> Callable[[_Check], _Check]:
    """Add a row, for both protocols unless it names one."""

    def add(check: _Check) -> _Check:
        _DUTIES.append(
            Duty(clauses, holder, what, check, protocols or ("WHIP", "WHEP"))
        )
        return check

    return add


def _status(result: object) -> int:
    assert isinstance(result, Response)
    return result.status


def _events(client: Any) -> list[Any]:
    events = []
    while (event := client.next_event()) is not None:
        events.append(event)
    return events


# --- HTTP ------------------------------------------------------------------------


@duty(
    "RFC 9725 §4.1; WHEP draft-03 §4.1",
    "client",
    "falls back to the class of a status that it does not know",
)
def _(kit: Kit, patch: object) -> None:
    for status, expected in [
        (299, Established),
        (399, Terminated),
        (499, Terminated),
        (599, OfferPostponed),
    ]:
        client = kit.client()
        client.offer(kit.offer, now=0.0)
        [request] = client.requests_to_send()
        body = encode_session(kit.answer(kit.offer)).encode() if status < 300 else b""
        response = Response(status, {"Location": "/s"}, body)
        client.receive_response(request.request_id, response, 0.0)
        assert isinstance(_events(client)[-1], expected), status


@duty(
    "RFC 9725 §4.1; WHEP draft-03 §4.1",
    "endpoint",
    "answers GET with 2xx and no content",
)
def _(kit: Kit, patch: object) -> None:
    response = kit.endpoint().handle(Request("GET"), 0.0)
    assert 200 <= response.status <= 299
    assert response.body == b""


@duty(
    "RFC 9725 §4.1; WHEP draft-03 §4.1",
    "session",
    "answers GET with 2xx and no content",
)
def _(kit: Kit, patch: object) -> None:
    response = kit.resource().handle(Request("GET"), 0.0)
    assert 200 <= response.status <= 299
    assert response.body == b""


@duty(
    "WHEP draft-03 §4.2",
    "endpoint",
    "answers HEAD with the headers of GET and no body",
    "WHEP",
)
def _(kit: Kit, patch: object) -> None:
    endpoint = kit.endpoint()
    head = endpoint.handle(Request("HEAD"), 0.0)
    get = endpoint.handle(Request("GET"), 0.0)
    assert head.headers == get.headers
    assert (head.status, head.body) == (200, b"")
    assert head.headers.get("content-type") == SDP_TYPE


# --- offer and answer ------------------------------------------------------------


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.3",
    "client",
    "posts an offer of JSEP's rules as application/sdp",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.client()
    client.offer(kit.offer, now=0.0)
    [request] = client.requests_to_send()
    assert (request.method, request.headers.get("content-type")) == ("POST", SDP_TYPE)
    assert decode_session(request.body) == kit.offer


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.3.1",
    "endpoint",
    "answers 201 with type, answer and Location",
)
def _(kit: Kit, patch: object) -> None:
    response = kit.accepted()
    assert response.status == 201
    assert response.headers.get("content-type") == SDP_TYPE
    assert response.headers.get("location") == "/session/1"
    assert decode_session(response.body) == kit.answer(kit.offer)


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.3.4",
    "endpoint",
    "refuses another content type with 4xx",
)
def _(kit: Kit, patch: object) -> None:
    for kind in ("text/plain", "application/json", ""):
        assert _status(kit.endpoint().handle(kit.post(kind=kind), 0.0)) == 415


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.3.4",
    "endpoint",
    "refuses a malformed offer with 4xx",
)
def _(kit: Kit, patch: object) -> None:
    for body in (b"", b"hello", b"\xff", encode_session(kit.offer).encode()[9:]):
        assert _status(kit.endpoint().handle(kit.post(body), 0.0)) == 400


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.3.5",
    "client and endpoint",
    "an offer flows the way of its protocol, and no other is taken",
)
def _(kit: Kit, patch: object) -> None:
    text = encode_session(kit.offer)
    said = f"a={kit.sends.value}"
    assert text.count(said) == 2
    assert isinstance(
        kit.endpoint().handle(kit.post(text.replace(said, "a=sendrecv").encode()), 0.0),
        OfferReceived,
    )
    for wrong in (kit.sends.reversed.value, "inactive"):
        body = text.replace(said, f"a={wrong}").encode()
        assert _status(kit.endpoint().handle(kit.post(body), 0.0)) == 422


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.3.5",
    "endpoint",
    "an answer flows the other way",
)
def _(kit: Kit, patch: object) -> None:
    answer = kit.answer(kit.offer)
    assert {media.direction for media in answer.media} == {kit.sends.reversed}


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.4",
    "client",
    "deletes its session to end it",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.close("done", now=1.0)
    [request] = client.requests_to_send()
    assert (request.method, request.url) == (
        "DELETE",
        "https://media.example.org/session/1",
    )


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.4",
    "session",
    "is gone once it has been deleted",
)
def _(kit: Kit, patch: object) -> None:
    resource = kit.resource()
    event = resource.handle(Request("DELETE"), 0.0)
    assert isinstance(event, SessionEnded)
    assert resource.accept(event.request_id, now=0.0).status == 200
    assert _status(resource.handle(Request("DELETE"), 0.0)) == 404


@duty(
    "RFC 9725 §4.2; WHEP draft-03 §4.4",
    "endpoint",
    "answers a browser's preflight and names what it takes",
)
def _(kit: Kit, patch: object) -> None:
    headers = {
        "Origin": "https://page.example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    response = kit.endpoint().handle(Request("OPTIONS", headers=headers), 0.0)
    assert response.status == 200
    assert response.headers.get("accept-post") == SDP_TYPE
    assert response.headers.get("access-control-allow-origin") == "*"
    allowed = response.headers.get("access-control-allow-headers").lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    assert "POST" in response.headers.get("access-control-allow-methods")


# --- the counter-offer -----------------------------------------------------------


def _counter(kit: Kit, **arguments: object) -> Response:
    endpoint, event = kit.offer_taken()
    assert isinstance(endpoint, WhepEndpoint)
    response = endpoint.counter_offer(
        event.request_id,
        offer=kit.counter_offer,
        session_url="/session/1",
        **arguments,  # type: ignore[arg-type]
        now=0.0,
    )
    assert response is not None
    return response


def _countered(kit: Kit) -> WhepClient:
    client = kit.client()
    assert isinstance(client, WhepClient)
    client.offer(kit.offer, now=0.0)
    [request] = client.requests_to_send()
    client.receive_response(request.request_id, _counter(kit), 0.0)
    return client


@duty(
    "WHEP draft-03 §4.3.2",
    "endpoint",
    "counters with 406, its own offer, type and Location",
    "WHEP",
)
def _(kit: Kit, patch: object) -> None:
    response = _counter(kit)
    assert response.status == 406
    assert response.headers.get("content-type") == SDP_TYPE
    assert response.headers.get("location") == "/session/1"
    assert decode_session(response.body) == kit.counter_offer


@duty("WHEP draft-03 §4.3.2", "endpoint", "writes valid-until as an HTTP-date", "WHEP")
def _(kit: Kit, patch: object) -> None:
    response = _counter(kit, valid_until=784111777)
    assert response.headers.get("content-type") == (
        'application/sdp; valid-until="Sun, 06 Nov 1994 08:49:37 GMT"'
    )


@duty(
    "WHEP draft-03 §3, §4.3.2, §4.3.3",
    "player",
    "takes a counter-offer, and patches the session with its answer",
    "WHEP",
)
def _(kit: Kit, patch: object) -> None:
    client = _countered(kit)
    event = client.next_event()
    assert isinstance(event, CounterOfferReceived)
    assert event.valid_for == 30.0
    client.answer(kit.answer(event.offer), now=1.0)
    [request] = client.requests_to_send()
    assert (request.method, request.url) == (
        "PATCH",
        "https://media.example.org/session/1",
    )
    assert request.headers.get("content-type") == SDP_TYPE
    assert decode_session(request.body) == kit.answer(event.offer)
    client.receive_response(request.request_id, Response(204), 1.0)
    established = client.next_event()
    assert isinstance(established, Established)
    assert established.answer is None


@duty(
    "WHEP draft-03 §4.3.5",
    "endpoint and player",
    "a counter-offer sends, and its answer receives",
    "WHEP",
)
def _(kit: Kit, patch: object) -> None:
    offer = kit.counter_offer
    assert {media.direction for media in offer.media} == {Direction.SENDONLY}
    answer = kit.answer(offer)
    assert {media.direction for media in answer.media} == {Direction.RECVONLY}


@duty(
    "WHEP draft-03 §4.3.2",
    "session",
    "answers 204 to an answer, 4xx to a malformed one",
    "WHEP",
)
def _(kit: Kit, patch: object) -> None:
    resource = kit.resource(peer=None)
    headers = {"Content-Type": SDP_TYPE}
    wrong = Request("PATCH", headers=headers, body=b"hello")
    assert _status(resource.handle(wrong, 1.0)) == 400
    body = encode_session(kit.answer(kit.counter_offer)).encode()
    event = resource.handle(Request("PATCH", headers=headers, body=body), 1.0)
    assert isinstance(event, AnswerReceived)
    response = resource.accept(event.request_id, now=1.0)
    assert (response.status, response.body) == (204, b"")


@duty(
    "WHEP draft-03 §4.3.8",
    "endpoint",
    "answers 409 with Retry-After while there is nothing to watch",
    "WHEP",
)
def _(kit: Kit, patch: object) -> None:
    endpoint, event = kit.offer_taken()
    response = endpoint.reject(event.request_id, 409, "not live", now=0.0)
    assert response.status == 409
    assert int(response.headers.get("retry-after")) > 0


# --- WebRTC ----------------------------------------------------------------------


def _descriptions(kit: Kit) -> tuple[SessionDescription, SessionDescription]:
    return kit.offer, kit.answer(kit.offer)


@duty(
    "RFC 9725 §4.4.1; WHEP draft-03 §4.6.1",
    "client and endpoint",
    "share one transport: BUNDLE, rtcp-mux, rtcp-mux-only",
)
def _(kit: Kit, patch: object) -> None:
    for description in _descriptions(kit):
        assert description.bundle == ("0", "1")
        assert all(media.rtcp_mux for media in description.media)
        assert all(media.rtcp_mux_only for media in description.media)


@duty(
    "RFC 9725 §4.4.2; WHEP draft-03 §4.6.2",
    "sender",
    "sends one MediaStream: one msid stream in all sections",
)
def _(kit: Kit, patch: object) -> None:
    offer, answer = _descriptions(kit)
    sender = offer if kit.sends is Direction.SENDONLY else answer
    assert {m.stream for media in sender.media for m in media.msids} == {"s"}
    assert len({m.track for media in sender.media for m in media.msids}) == 2


@duty(
    "RFC 9725 §4.4.2",
    "endpoint",
    "refuses more tracks or streams than it takes with 422 or 400",
    "WHIP",
)
def _(kit: Kit, patch: object) -> None:
    endpoint, event = kit.offer_taken()
    error = ProtocolError("more than 1 sections of video", code="unsupported")
    response = endpoint.refuse(event.request_id, error, now=0.0)
    assert response.status == 422
    assert json.loads(response.body)["detail"] == "more than 1 sections of video"


@duty(
    "RFC 9725 §4.5; WHEP draft-03 §4.7",
    "client",
    "follows a redirection of its POST",
)
def _(kit: Kit, patch: object) -> None:
    for status in (307, 308):
        client = kit.client()
        client.offer(kit.offer, now=0.0)
        [first] = client.requests_to_send()
        response = Response(status, {"Location": "https://two.example.org/w"})
        client.receive_response(first.request_id, response, 1.0)
        [second] = client.requests_to_send()
        assert (second.method, second.url) == ("POST", "https://two.example.org/w")
        assert second.body == first.body
        assert isinstance(client.next_event(), Redirected)


@duty(
    "RFC 9725 §4.5; WHEP draft-03 §4.7",
    "endpoint and client",
    "use neither 301 nor 302",
)
def _(kit: Kit, patch: object) -> None:
    endpoint, event = kit.offer_taken()
    response = endpoint.redirect(event.request_id, "https://two.example.org", now=0.0)
    assert response.status == 307
    for status in (301, 302, 303):
        client = kit.client()
        client.offer(kit.offer, now=0.0)
        [first] = client.requests_to_send()
        response = Response(status, {"Location": "https://two.example.org/w"})
        client.receive_response(first.request_id, response, 1.0)
        assert client.requests_to_send() == []
        assert client.is_terminated


# --- authentication --------------------------------------------------------------


@duty(
    "RFC 9725 §4.7; WHEP draft-03 §4.9",
    "endpoint",
    "asks for a bearer token, and hands on the one that came",
)
def _(kit: Kit, patch: object) -> None:
    endpoint = kit.endpoint(config=EndpointConfig(require_token=True))
    response = endpoint.handle(kit.post(), 0.0)
    assert response.status == 401
    assert response.headers.get("www-authenticate").startswith("Bearer ")
    event = endpoint.handle(kit.post(Authorization="Bearer secret"), 0.0)
    assert event.token == "secret"


@duty(
    "RFC 9725 §4.7; WHEP draft-03 §4.9",
    "session",
    "asks for a bearer token",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource(config=ResourceConfig(token="secret"))
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = resource.handle(Request("DELETE", headers=headers), 0.0)
        assert response.status == 401
        assert response.headers.get("www-authenticate").startswith("Bearer ")
    right = {"Authorization": "Bearer secret"}
    assert isinstance(
        resource.handle(Request("DELETE", headers=right), 0.0), SessionEnded
    )


@duty(
    "RFC 9725 §4.7.1; WHEP draft-03 §4.9.1",
    "client",
    "sends its token with every request, to endpoint and session",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.client("secret")
    client.offer(kit.offer, now=0.0)
    requests = client.requests_to_send()
    client.receive_response(requests[0].request_id, kit.accepted(), 0.0)
    client.add_candidates(["1"], now=0.0)
    requests += client.requests_to_send()
    client.restart("newu", "9" * 22, [], now=0.0)
    requests += client.requests_to_send()
    client.close(now=0.0)
    requests += client.requests_to_send()
    assert [one.method for one in requests] == ["POST", "PATCH", "PATCH", "DELETE"]
    for request in requests:
        assert request.headers.get("authorization") == "Bearer secret"


@duty(
    "RFC 9725 §4.7.1; WHEP draft-03 §4.9.1",
    "client",
    "sends no Authorization without a token",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.client()
    client.offer(kit.offer, now=0.0)
    [request] = client.requests_to_send()
    assert "authorization" not in request.headers


# --- extensions ------------------------------------------------------------------


@duty(
    "RFC 9725 §4.9; WHEP draft-03 §4.10",
    "endpoint",
    "tells each extension in the 201 by a Link of its own",
)
def _(kit: Kit, patch: object) -> None:
    urns = [f"urn:ietf:params:{kit.name.lower()}:ext:core:{n}" for n in ("a", "b")]
    links = [Link(f"/session/1/{urn[-1]}", urn) for urn in urns]
    response = kit.accepted(extensions=links)
    assert response.headers.get_all("link") == [
        f'</session/1/{urn[-1]}>; rel="{urn}"' for urn in urns
    ]


@duty(
    "RFC 9725 §4.9; WHEP draft-03 §4.10",
    "client",
    "ignores links of a relation that it does not know",
)
def _(kit: Kit, patch: object) -> None:
    known = Link("/x", f"urn:ietf:params:{kit.name.lower()}:ext:core:layer")
    response = kit.accepted(extensions=[Link("/style.css", "stylesheet"), known])
    client = kit.client()
    client.offer(kit.offer, now=0.0)
    [request] = client.requests_to_send()
    client.receive_response(request.request_id, response, 0.0)
    [event] = _events(client)
    assert event.extensions == (
        attrs.evolve(known, target="https://media.example.org/x"),
    )


@duty(
    "RFC 9725 §4.9; WHEP draft-03 §4.10",
    "session",
    "needs no extension to be used",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource(peer=peer_credentials(kit.offer))
    assert isinstance(
        resource.handle(patch(If_Match='"tag1"'), 0.0), CandidatesReceived
    )


# --- the rows --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "protocol"),
    [
        pytest.param(row, protocol, id=f"{protocol}, {row.holder}: {row.what}")
        for row in _DUTIES
        for protocol in row.protocols
    ],
)
def test_the_duty_is_kept(
    row: Duty,
    protocol: str,
    patch: Callable[..., Request],
    request: pytest.FixtureRequest,
) -> None:
    row.check(request.getfixturevalue(protocol.lower()), patch)
