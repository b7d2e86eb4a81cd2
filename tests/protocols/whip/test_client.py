"""The clients beyond their duties: odd servers, failures, limits.

RFC 9725 §4; WHEP draft-03 §4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from sansmedia.sansio import ProtocolError, Terminated, TerminationCause, UsageError
from sansmedia.sdp import SessionDescription, decode_fragment, encode_session
from sansmedia.whip import (
    ClientConfig,
    ClientRequest,
    ClientState,
    CounterOfferReceived,
    Established,
    IceServer,
    Limits,
    OfferPostponed,
    Response,
    RestartRefused,
    TokenPolicy,
    TrickleRefused,
    WhipClient,
)
from sansmedia.whip.states import CLIENT_SESSION, ClientInput

Kit: TypeAlias = Any
_Created: TypeAlias = Callable[..., Response]
_Way: TypeAlias = Callable[[WhipClient, ClientRequest], None]
_HOST = "https://media.example.org"


def _offered(
    kit: Kit, token: str | None = None, **arguments: object
) -> tuple[WhipClient, ClientRequest]:
    client = kit.client(token, **arguments)
    client.offer(kit.offer, now=0.0)
    [request] = client.requests_to_send()
    return client, request


def _events(client: WhipClient) -> list[Any]:
    events = []
    while (event := client.next_event()) is not None:
        events.append(event)
    return events


def _answered(kit: Kit, response: Response) -> list[Any]:
    client, request = _offered(kit)
    client.receive_response(request.request_id, response, 1.0)
    return _events(client)


# --- servers differ --------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/session/1", f"{_HOST}/session/1"),
        ("session/1", f"{_HOST}/live/cam/session/1"),
        ("?id=1", f"{_HOST}/live/cam/whip?id=1"),
        ("//two.example.org/s", "https://two.example.org/s"),
        ("https://two.example.org:8443/s", "https://two.example.org:8443/s"),
        ("http://media.example.org/s", None),
        ("ftp://media.example.org/s", None),
        ("https://media.example.org:port/s", None),
        ("https://[::1/s", None),
        ("/a b", None),
        ("", None),
    ],
)
def test_the_session_is_where_location_says(
    kit: Kit, created: _Created, location: str, url: str | None
) -> None:
    """RFC 9110 §10.2.2; RFC 3986 §5: and never from https down to http."""
    [event] = _answered(kit, created(Location=location))
    assert isinstance(event, Established)
    assert event.session_url == url


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_with_an_answer_is_one(
    kit: Kit, created: _Created, status: int
) -> None:
    [event] = _answered(kit, created(status, Location="/s"))
    assert isinstance(event, Established)
    assert event.answer == kit.answer(kit.offer)
    assert event.etag is None


def test_the_type_of_an_answer_does_not_matter(kit: Kit, created: _Created) -> None:
    response = created(Location="/s", Content_Type="text/plain")
    [event] = _answered(kit, Response(201, response.headers, response.body))
    assert isinstance(event, Established)


@pytest.mark.parametrize("etag", ['"x"', "x", "*", 'W/"x"'])
def test_a_tag_goes_back_as_it_came(kit: Kit, created: _Created, etag: str) -> None:
    client, request = _offered(kit)
    client.receive_response(request.request_id, created(Location="/s", ETag=etag), 1.0)
    client.add_candidates(["1"], now=1.0)
    [patch] = client.requests_to_send()
    assert patch.headers.get("if-match") == etag


def test_without_a_tag_there_is_no_condition(kit: Kit) -> None:
    client = kit.established(etag=None)
    client.add_candidates(["1"], now=1.0)
    [patch] = client.requests_to_send()
    assert "if-match" not in patch.headers


def test_without_a_session_url_nothing_is_sent_any_more(
    kit: Kit, created: _Created
) -> None:
    client, request = _offered(kit)
    client.receive_response(request.request_id, created(), 1.0)
    client.add_candidates(["1"], now=1.0)
    client.restart("newu", "9" * 22, [], now=1.0)
    client.close(now=1.0)
    assert client.requests_to_send() == []
    assert client.is_terminated


def test_links_of_all_forms_are_read(kit: Kit, created: _Created) -> None:
    """RFC 8288 §3; RFC 9725 §4.6."""
    response = created(Location="/s")
    headers = [
        *response.headers,
        ("Link", '<stun:a>; rel="ice-server", <turn:b>; rel=ice-server; username=u'),
        ("link", "this is none"),
        ("LINK", '<turns:c>; rel="ice-server"; username="u"; credential="p"'),
        ("Link", '</e>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; x=y'),
    ]
    [event] = _answered(kit, Response(201, headers, response.body))
    assert event.ice_servers == (
        IceServer("stun:a"),
        IceServer("turn:b", "u"),
        IceServer("turns:c", "u", "p"),
    )
    [extension] = event.extensions
    assert (extension.target, extension.parameter("x")) == (f"{_HOST}/e", "y")


def test_links_are_bounded(kit: Kit, created: _Created) -> None:
    response = created(Location="/s")
    headers = [*response.headers, *[("Link", "<stun:a>; rel=ice-server")] * 100]
    [event] = _answered(kit, Response(201, headers, response.body))
    assert len(event.ice_servers) == 64


# --- no, and not now -------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 599])
def test_an_offer_may_be_made_again_later(kit: Kit, status: int) -> None:
    """RFC 9725 §4.5; RFC 9110 §10.2.3, §15.5, §15.6; WHEP draft-03 §4.3.8."""
    client, request = _offered(kit)
    headers = {"Retry-After": "7", "Content-Type": "text/plain"}
    response = Response(status, headers, b"  not\n now ")
    client.receive_response(request.request_id, response, 1.0)
    assert _events(client) == [
        OfferPostponed(status=status, retry_after=7.0, detail="not now")
    ]
    assert client.state is ClientState.IDLE
    assert client.next_timeout() is None
    client.offer(kit.offer, now=8.0)
    [again] = client.requests_to_send()
    assert (again.method, again.url) == ("POST", request.url)


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 406, 422, 501])
def test_other_refusals_are_the_end(kit: Kit, status: int) -> None:
    client, request = _offered(kit)
    headers = {"Content-Type": "application/problem+json"}
    body = b'{"title": "No", "detail": "no such stream"}'
    client.receive_response(request.request_id, Response(status, headers, body), 1.0)
    [event] = _events(client)
    assert event == Terminated(
        TerminationCause.PEER, f"offer refused with {status}: no such stream"
    )
    assert client.requests_to_send() == []


@pytest.mark.parametrize(
    ("kind", "body", "detail"),
    [
        ("application/json", b'{"error": "full"}', "full"),
        ("application/json", b'{"title": "full"}', "full"),
        ("application/json", b'{"detail": 5}', ""),
        ("application/json", b"[" * 20_000, ""),
        ("application/json", b"\xff", ""),
        ("application/json", b"[]", ""),
        ("text/plain", b"caf\xe9 \x1b[1m" + b"x" * 5000, "caf\ufffd [1m" + "x" * 400),
        ("text/html", b"<p>no</p>", ""),
    ],
)
def test_what_a_refusal_says_is_told_within_reason(
    kit: Kit, kind: str, body: bytes, detail: str
) -> None:
    """RFC 9457 §3.1."""
    [event] = _answered(kit, Response(503, {"Content-Type": kind}, body))
    assert event.detail == detail[:300]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (201, b"", "accepted without an answer"),
        (204, b"", "accepted without an answer"),
        (201, b"hello", "line 1 is not of the form"),
        (201, b"x" * 262_145, "too long"),
    ],
)
def test_a_session_without_an_answer_is_deleted(
    kit: Kit, created: _Created, status: int, body: bytes, reason: str
) -> None:
    client, request = _offered(kit)
    response = created(status, body, Location="/s")
    client.receive_response(request.request_id, response, 1.0)
    [event] = _events(client)
    assert event.cause is TerminationCause.VIOLATION
    assert reason in str(event.error)
    [delete] = client.requests_to_send()
    assert (delete.method, delete.url) == ("DELETE", f"{_HOST}/s")


# --- redirections ----------------------------------------------------------------


def _redirect(url: str, status: int = 307) -> Response:
    return Response(status, {"Location": url})


def test_redirections_are_bounded(kit: Kit) -> None:
    """RFC 9725 §4.5; RFC 9110 §15.4."""
    client, request = _offered(kit)
    for number in range(5):
        client.receive_response(request.request_id, _redirect(f"/{number}"), 1.0)
        [request] = client.requests_to_send()
        assert request.url == f"{_HOST}/{number}"
    client.receive_response(request.request_id, _redirect("/6"), 1.0)
    event = _events(client)[-1]
    assert event.error.code == "limit"
    assert client.statistics().redirects == 5


@pytest.mark.parametrize(
    "url", ["http://media.example.org/", "ftp://x/", "", "mailto:x"]
)
def test_nobody_is_led_astray(kit: Kit, url: str) -> None:
    """RFC 9110 §15.4.8."""
    [event] = _answered(kit, _redirect(url))
    assert event.cause is TerminationCause.VIOLATION


@pytest.mark.parametrize(
    ("policy", "url", "has_token"),
    [
        (TokenPolicy.SAME_ORIGIN, "/b", True),
        (TokenPolicy.SAME_ORIGIN, "https://media.example.org:443/b", True),
        (TokenPolicy.SAME_ORIGIN, "https://media.example.org:444/b", False),
        (TokenPolicy.SAME_ORIGIN, "https://two.example.org/b", False),
        (TokenPolicy.ANY, "https://two.example.org/b", True),
    ],
)
def test_a_token_stays_at_its_origin_unless_told_otherwise(
    kit: Kit, created: _Created, policy: TokenPolicy, url: str, has_token: bool
) -> None:
    """RFC 9725 §4.7.1; RFC 9110 §15.4."""
    client, request = _offered(kit, "secret", config=ClientConfig(token_policy=policy))
    client.receive_response(request.request_id, _redirect(url), 1.0)
    [request] = client.requests_to_send()
    assert ("authorization" in request.headers) is has_token
    client.receive_response(request.request_id, created(Location="/s"), 1.0)
    client.close(now=2.0)
    [delete] = client.requests_to_send()
    assert ("authorization" in delete.headers) is has_token


def test_a_session_elsewhere_gets_the_token(kit: Kit, created: _Created) -> None:
    """RFC 9725 §4.7.1: the server that took the token named the session."""
    client, request = _offered(kit, "secret")
    response = created(Location="https://two.example.org/s")
    client.receive_response(request.request_id, response, 1.0)
    client.close(now=2.0)
    [delete] = client.requests_to_send()
    assert delete.headers.get("authorization") == "Bearer secret"


def test_an_authorization_goes_out_as_it_is(kit: Kit, created: _Created) -> None:
    """RFC 9110 §11.6.2: servers may ask for something else than a bearer token."""
    client, request = _offered(kit, "secret", authorization="Basic aGk6aGk=")
    assert request.headers.get("authorization") == "Basic aGk6aGk="
    client.receive_response(request.request_id, created(Location="/s"), 1.0)
    client.close(now=2.0)
    [delete] = client.requests_to_send()
    assert delete.headers.get("authorization") == "Basic aGk6aGk="


@pytest.mark.parametrize("text", ["two\r\nlines", "\u00e4", "nul\0"])
def test_an_authorization_that_would_forge_a_field_is_refused(text: str) -> None:
    """RFC 9110 §5.5."""
    with pytest.raises(UsageError, match="printable ASCII"):
        WhipClient("https://h/whip", authorization=text, now=0.0)
    with pytest.raises(UsageError, match="printable ASCII"):
        WhipClient("https://h/whip", token=text, now=0.0)


# --- time, failures, the end -----------------------------------------------------


def test_an_offer_that_nobody_answers_times_out(kit: Kit) -> None:
    client, request = _offered(kit)
    assert client.next_timeout() == 10.0
    client.handle_timeout(9.9)
    assert _events(client) == []
    client.handle_timeout(10.0)
    [event] = _events(client)
    assert event == Terminated(TerminationCause.TIMEOUT, "offer: no response")
    client.receive_response(request.request_id, Response(201), 11.0)
    assert _events(client) == []


def test_an_offer_that_cannot_be_sent_is_the_end(kit: Kit) -> None:
    client, request = _offered(kit)
    client.receive_failure(request.request_id, "connection refused", 1.0)
    [event] = _events(client)
    assert event == Terminated(TerminationCause.EOF, "offer: connection refused")


def test_trickling_ends_where_it_is_refused_and_the_session_does_not(kit: Kit) -> None:
    ways: list[_Way] = [
        lambda c, r: c.receive_response(r.request_id, Response(500), 2.0),
        lambda c, r: c.receive_response(r.request_id, Response(405), 2.0),
        lambda c, r: c.receive_failure(r.request_id, "reset", 2.0),
        lambda c, r: c.handle_timeout(11.0),
    ]
    for fail in ways:
        client = kit.established()
        client.add_candidates(["1"], now=1.0)
        [request] = client.requests_to_send()
        client.add_candidates(["2"], now=1.0)
        fail(client, request)
        [event] = _events(client)
        assert isinstance(event, TrickleRefused)
        client.add_candidates(["3"], now=3.0)
        assert client.requests_to_send() == []
        assert client.state is ClientState.ESTABLISHED


def test_one_patch_with_candidates_is_under_way_at_a_time(kit: Kit) -> None:
    """RFC 9725 §4.3.2: what comes meanwhile goes together."""
    client = kit.established()
    client.add_candidates(["1"], now=1.0)
    [first] = client.requests_to_send()
    client.add_candidates(["2"], now=1.0)
    client.add_candidates(["3"], now=1.0)
    assert client.requests_to_send() == []
    client.receive_response(first.request_id, Response(204), 2.0)
    [second] = client.requests_to_send()
    assert decode_fragment(second.body).all_candidates == ("2", "3")
    client.receive_response(second.request_id, Response(200), 3.0)
    assert client.statistics().candidates_sent == 3


def test_candidates_that_wait_are_bounded(kit: Kit) -> None:
    client = kit.client(limits=Limits(candidates=2))
    client.add_candidates(["1", "2", "3"], now=0.0)
    client.add_candidates(["4"], now=0.0)
    assert client.pending_bytes == 2


@pytest.mark.parametrize("how", ["failure", "timeout", "no content", "no sense"])
def test_a_restart_that_fails_leaves_what_was(kit: Kit, how: str) -> None:
    """RFC 9725 §4.3.3."""
    client = kit.established()
    client.restart("newu", "9" * 22, [], now=1.0)
    [request] = client.requests_to_send()
    number = request.request_id
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag"}
    if how == "failure":
        client.receive_failure(number, "reset", 2.0)
    elif how == "timeout":
        client.handle_timeout(11.0)
    elif how == "no content":
        client.receive_response(number, Response(204), 2.0)
    else:
        client.receive_response(number, Response(200, fragment, b"a=mid:0"), 2.0)
    [event] = _events(client)
    assert isinstance(event, RestartRefused)
    assert client.state is ClientState.ESTABLISHED


def test_who_closes_too_early_deletes_what_comes_of_it(
    kit: Kit, created: _Created
) -> None:
    client, request = _offered(kit)
    client.close("changed my mind", now=1.0)
    assert not client.is_terminated
    client.add_candidates(["1"], now=1.0)
    client.close("again", now=1.0)
    client.receive_response(request.request_id, created(Location="/s"), 2.0)
    [delete] = client.requests_to_send()
    assert (delete.method, delete.url) == ("DELETE", f"{_HOST}/s")
    assert _events(client) == [Terminated(TerminationCause.LOCAL, "changed my mind")]


def test_who_closes_too_early_does_not_wait_for_ever(kit: Kit) -> None:
    ways: list[_Way] = [
        lambda c, r: c.handle_timeout(10.0),
        lambda c, r: c.receive_failure(r.request_id, "reset", 2.0),
        lambda c, r: c.receive_response(r.request_id, Response(404), 2.0),
    ]
    for end in ways:
        client, request = _offered(kit)
        client.close("enough", now=1.0)
        end(client, request)
        assert _events(client) == [Terminated(TerminationCause.LOCAL, "enough")]
        assert client.requests_to_send() == []


def test_after_the_end_nothing_happens(kit: Kit) -> None:
    client = kit.established()
    client.close("done", now=1.0)
    [delete] = client.requests_to_send()
    _events(client)
    client.receive_response(delete.request_id, Response(404), 2.0)
    client.receive_failure(delete.request_id, "reset", 2.0)
    client.offer(kit.offer, now=2.0)
    client.add_candidates(["1"], now=2.0)
    client.restart("newu", "9" * 22, [], now=2.0)
    client.close(now=2.0)
    client.handle_timeout(1e9)
    assert _events(client) == []
    assert client.requests_to_send() == []
    assert client.next_timeout() is None
    assert client.pending_bytes == 0


def test_responses_that_nobody_asked_for_are_ignored(kit: Kit) -> None:
    client, request = _offered(kit)
    client.receive_response(request.request_id + 7, Response(404), 1.0)
    assert _events(client) == []
    assert client.statistics().responses == 0


def test_a_second_offer_under_way_is_ignored(kit: Kit) -> None:
    client, _ = _offered(kit)
    client.offer(kit.offer, now=1.0)
    assert client.requests_to_send() == []


@pytest.mark.parametrize(
    "url", ["", "/whip", "rtmp://x/y", "https://", "https://x y/", "https://x:y/"]
)
def test_an_endpoint_is_an_http_url(kit: Kit, url: str) -> None:
    with pytest.raises(UsageError):
        kit.client_type(url, now=0.0)


def test_an_offer_that_lacks_a_transport_is_our_mistake(kit: Kit) -> None:
    client = kit.client()
    bare = attrs.evolve(
        kit.offer,
        media=tuple(attrs.evolve(m, ice_ufrag=None) for m in kit.offer.media),
    )
    for offer in (bare, SessionDescription()):
        with pytest.raises(UsageError):
            client.offer(offer, now=0.0)


def test_a_user_agent_is_told_if_there_is_one(kit: Kit) -> None:
    _, request = _offered(kit, config=ClientConfig(user_agent="x/1"))
    assert request.headers.get("user-agent") == "x/1"


# --- counter-offers --------------------------------------------------------------


def _counter(whep: Kit, **headers: str) -> Response:
    body = encode_session(whep.counter_offer).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"Content-Type": "application/sdp", "Location": "/s"} | named
    return Response(406, given, body)


def test_a_counter_offer_says_how_long_it_holds(whep: Kit) -> None:
    """WHEP draft-03 §4.3.2."""
    kind = 'application/sdp; valid-until="Sun, 06 Nov 1994 08:50:37 GMT"'
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    [event] = _answered(whep, _counter(whep, Content_Type=kind, Date=date))
    assert isinstance(event, CounterOfferReceived)
    assert event.valid_for == 60.0
    assert event.session_url == f"{_HOST}/s"


@pytest.mark.parametrize(
    "change",
    [
        {"Content_Type": "text/plain"},
        {"Location": ""},
        {"Location": "http://media.example.org/s"},
    ],
)
def test_a_406_that_is_no_counter_offer_is_a_refusal(
    whep: Kit, change: dict[str, str]
) -> None:
    [event] = _answered(whep, _counter(whep, **change))
    assert event.cause is TerminationCause.PEER


def test_a_publisher_takes_no_counter_offer(whip: Kit, whep: Kit) -> None:
    [event] = _answered(whip, _counter(whep))
    assert event.cause is TerminationCause.PEER


def test_an_answer_that_is_refused_is_the_end(whep: Kit) -> None:
    client, request = _offered(whep)
    client.receive_response(request.request_id, _counter(whep), 1.0)
    client.answer(whep.answer(whep.counter_offer), now=1.0)  # type: ignore[attr-defined]
    [patch] = client.requests_to_send()
    client.receive_response(patch.request_id, Response(422), 2.0)
    assert _events(client)[-1].cause is TerminationCause.PEER
    [delete] = client.requests_to_send()
    assert delete.method == "DELETE"


def test_candidates_of_an_answer_follow_it(whep: Kit) -> None:
    client, request = _offered(whep)
    response = _counter(whep, ETag='"t"')
    client.receive_response(request.request_id, response, 1.0)
    client.add_candidates(["1"], now=1.0)
    client.answer(whep.answer(whep.counter_offer), now=1.0)  # type: ignore[attr-defined]
    [patch] = client.requests_to_send()
    client.receive_response(patch.request_id, Response(204), 2.0)
    [trickled] = client.requests_to_send()
    assert trickled.headers.get("if-match") == '"t"'
    assert decode_fragment(trickled.body).credentials[0] == "answ"


# --- the table -------------------------------------------------------------------


def test_every_state_can_be_reached_and_left() -> None:
    reached = set(CLIENT_SESSION.values())
    assert reached | {ClientState.IDLE} == set(ClientState)
    left = {state for state, _ in CLIENT_SESSION}
    assert left == set(ClientState) - {ClientState.TERMINATED}
    for state in left:
        assert CLIENT_SESSION[state, ClientInput.END] is ClientState.TERMINATED


def test_errors_are_records(kit: Kit) -> None:
    [event] = _answered(kit, Response(201, {}, b""))
    error = ProtocolError("accepted without an answer", source="RFC 9725 §4.2")
    assert event.error == error
