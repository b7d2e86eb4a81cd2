"""The duties that RFC 9725 §4.3 and WHEP draft-03 §4.5 make of ICE, a row each.

The form of a row is that of ``test_duties``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from sansmedia.sdp import (
    decode_fragment,
    make_fragment,
)
from sansmedia.whip import (
    FRAGMENT_TYPE,
    SDP_TYPE,
    CandidatesReceived,
    Request,
    ResourceConfig,
    Response,
    RestartCompleted,
    RestartRefused,
    RestartRequested,
    SessionEnded,
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


# --- PATCH -----------------------------------------------------------------------


@duty(
    "RFC 9725 §4.3.1; WHEP draft-03 §4.5.1",
    "session",
    "refuses a PATCH of another type, or a malformed one, with 4xx",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource()
    assert _status(resource.handle(patch(kind=SDP_TYPE, If_Match="*"), 0.0)) == 415
    wrong = Request("PATCH", headers={"Content-Type": FRAGMENT_TYPE}, body=b"hello")
    assert _status(resource.handle(wrong, 0.0)) == 400


@duty(
    "RFC 9725 §4.3.1; WHEP draft-03 §4.5.1",
    "session",
    "answers 422 to candidates if it can only restart, whatever the condition",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    """RFC 9110 §13.2.1 holds conditions against what would be done otherwise."""
    resource = kit.resource(config=ResourceConfig(trickle=False))
    assert _status(resource.handle(patch(If_Match='"tag1"'), 0.0)) == 422
    assert _status(resource.handle(patch(), 0.0)) == 422
    restart = resource.handle(patch("newu", "9" * 22, If_Match="*"), 0.0)
    assert isinstance(restart, RestartRequested)


@duty(
    "RFC 9725 §4.3.1; WHEP draft-03 §4.5.1",
    "session",
    "answers 422 to a restart if it can only trickle",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource(config=ResourceConfig(restart=False), etag=None)
    restart = patch("newu", "9" * 22, If_Match="*")
    assert _status(resource.handle(restart, 0.0)) == 422
    assert isinstance(resource.handle(patch(), 0.0), CandidatesReceived)


@duty(
    "RFC 9725 §4.3.1; WHEP draft-03 §4.5.1",
    "endpoint",
    "tells a strong entity-tag in the 201",
)
def _(kit: Kit, patch: object) -> None:
    assert kit.accepted(etag="xyzzy").headers.get("etag") == '"xyzzy"'


@duty(
    "RFC 9725 §4.3.1; WHEP draft-03 §4.5.1",
    "session",
    "ignores an entity-tag on DELETE",
)
def _(kit: Kit, patch: object) -> None:
    request = Request("DELETE", headers={"If-Match": '"wrong"'})
    assert isinstance(kit.resource().handle(request, 0.0), SessionEnded)


@duty(
    "RFC 9725 §4.3.1; WHEP draft-03 §4.5.1",
    "session",
    "answers 428 without an entity-tag, 412 to another one",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource()
    assert _status(resource.handle(patch(), 0.0)) == 428
    for other in ('"tag2"', 'W/"tag1"', "tag1"):
        assert _status(resource.handle(patch(If_Match=other), 0.0)) == 412


# --- trickle ICE -----------------------------------------------------------------


@duty(
    "RFC 9725 §4.3.2; WHEP draft-03 §4.5.2",
    "client",
    "keeps candidates until the session is there, then sends them together",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.client()
    client.offer(kit.offer, now=0.0)
    [request] = client.requests_to_send()
    client.add_candidates(["1"], now=0.0)
    client.add_candidates(["2"], end=True, now=0.0)
    assert client.requests_to_send() == []
    client.receive_response(request.request_id, kit.accepted(), 1.0)
    [sent] = client.requests_to_send()
    assert decode_fragment(sent.body).all_candidates == ("1", "2")
    assert decode_fragment(sent.body).has_ended


@duty(
    "RFC 9725 §4.3.2; WHEP draft-03 §4.5.2",
    "client",
    "keeps candidates until a restart has a new entity-tag",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.restart("newu", "9" * 22, ["1"], now=1.0)
    [restart] = client.requests_to_send()
    client.add_candidates(["2"], now=1.0)
    assert client.requests_to_send() == []
    client.receive_response(restart.request_id, kit.restarted(), 2.0)
    [sent] = client.requests_to_send()
    assert sent.headers.get("if-match") == '"tag2"'
    assert decode_fragment(sent.body).all_candidates == ("2",)


@duty(
    "RFC 9725 §4.3.2; WHEP draft-03 §4.5.2",
    "client",
    "sends a fragment of the bundle's first section",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.add_candidates(["1"], now=1.0)
    [sent] = client.requests_to_send()
    assert (sent.method, sent.headers.get("content-type")) == ("PATCH", FRAGMENT_TYPE)
    assert decode_fragment(sent.body) == make_fragment(kit.offer, ["1"])


@duty(
    "RFC 9725 §4.3.2; WHEP draft-03 §4.5.2",
    "client and session",
    "use entity-tags and conditional requests",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    client = kit.established(etag="tag7")
    client.add_candidates(["1"], now=1.0)
    [sent] = client.requests_to_send()
    assert sent.headers.get("if-match") == '"tag7"'
    resource = kit.resource(etag="tag7")
    request = Request("PATCH", "/", sent.headers, sent.body)
    assert isinstance(resource.handle(request, 0.0), CandidatesReceived)


@duty(
    "RFC 9725 §4.3.2; WHEP draft-03 §4.5.2",
    "session",
    "answers candidates with 204, without body and entity-tag",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource()
    event = resource.handle(patch(If_Match='"tag1"'), 0.0)
    assert isinstance(event, CandidatesReceived)
    response = resource.accept(event.request_id, now=0.0)
    assert (response.status, response.body) == (204, b"")
    assert "etag" not in response.headers


@duty(
    "RFC 9725 §4.3.2; WHEP draft-03 §4.5.2",
    "session",
    "passes over candidates that it cannot use, not over the request",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    odd = ("1 1 quic 1 no-such-host.example 9 typ host", "x")
    event = kit.resource().handle(patch(candidates=odd, If_Match='"tag1"'), 0.0)
    assert isinstance(event, CandidatesReceived)
    assert event.fragment.all_candidates == odd


# --- ICE restarts ----------------------------------------------------------------


@duty(
    "RFC 9725 §4.3.3; WHEP draft-03 §4.5.3",
    "client",
    "restarts with new credentials, its candidates and If-Match: *",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.restart("newu", "9" * 22, ["1"], now=1.0)
    [sent] = client.requests_to_send()
    fragment = decode_fragment(sent.body)
    assert sent.method == "PATCH"
    assert sent.headers.get("if-match") == "*"
    assert fragment.credentials == ("newu", "9" * 22)
    assert fragment.all_candidates == ("1",)


@duty(
    "RFC 9725 §4.3.3; WHEP draft-03 §4.5.3",
    "client and session",
    "say the same ice-options and ice-lite as in offer and answer",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.restart("newu", "9" * 22, [], now=1.0)
    [sent] = client.requests_to_send()
    assert decode_fragment(sent.body).ice_options == ("trickle", "ice2")
    lite = attrs.evolve(kit.answer(kit.offer), ice_lite=True)
    fragment = make_fragment(lite, [], credentials=("anew", "8" * 22))
    assert (fragment.ice_lite, fragment.ice_options) == (True, ("trickle", "ice2"))


@duty(
    "RFC 9725 §4.3.3; WHEP draft-03 §4.5.3",
    "session",
    "takes new credentials for a restart; answers 200, fragment and new entity-tag",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource()
    event = resource.handle(patch("newu", "9" * 22, If_Match="*"), 0.0)
    assert isinstance(event, RestartRequested)
    assert (event.ice_ufrag, event.ice_pwd) == ("newu", "9" * 22)
    fragment = make_fragment(
        kit.answer(kit.offer), ["9"], credentials=("anew", "8" * 22)
    )
    response = resource.accept_restart(
        event.request_id, fragment=fragment, etag="tag2", now=0.0
    )
    assert response.status == 200
    assert response.headers.get("content-type") == FRAGMENT_TYPE
    assert response.headers.get("etag") == '"tag2"'
    assert decode_fragment(response.body) == fragment
    late = resource.handle(patch("newu", "9" * 22, If_Match='"tag1"'), 0.0)
    assert _status(late) == 412


@duty(
    "RFC 9725 §4.3.3; WHEP draft-03 §4.5.3",
    "session",
    "goes on as it was if a restart cannot be done",
)
def _(kit: Kit, patch: Callable[..., Request]) -> None:
    resource = kit.resource()
    event = resource.handle(patch("newu", "9" * 22, If_Match="*"), 0.0)
    assert resource.reject(event.request_id, 500, now=0.0).status == 500
    assert not resource.is_ended
    again = resource.handle(patch(If_Match='"tag1"'), 0.0)
    assert isinstance(again, CandidatesReceived)


@duty(
    "RFC 9725 §4.3.3; WHEP draft-03 §4.5.3",
    "client",
    "ignores what comes in answer to a PATCH from before a restart",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.add_candidates(["1"], now=1.0)
    [before] = client.requests_to_send()
    client.restart("newu", "9" * 22, [], now=1.0)
    [restart] = client.requests_to_send()
    client.receive_response(before.request_id, Response(412), 2.0)
    assert client.next_event() is None
    client.receive_response(restart.request_id, kit.restarted(), 2.0)
    assert isinstance(client.next_event(), RestartCompleted)


@duty(
    "RFC 9725 §4.3.3; WHEP draft-03 §4.5.3",
    "client",
    "applies what comes in answer to its last restart alone",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.restart("new1", "9" * 22, [], now=1.0)
    client.restart("new2", "7" * 22, [], now=1.0)
    first, second = client.requests_to_send()
    client.receive_response(second.request_id, kit.restarted("tag3", "two2"), 2.0)
    client.receive_response(first.request_id, kit.restarted("tag2", "one1"), 2.0)
    [event] = _events(client)
    assert event.fragment.credentials[0] == "two2"
    client.add_candidates(["1"], now=3.0)
    [sent] = client.requests_to_send()
    assert sent.headers.get("if-match") == '"tag3"'
    assert decode_fragment(sent.body).credentials[0] == "new2"


@duty(
    "RFC 9725 §4.3.3; WHEP draft-03 §4.5.3",
    "client",
    "keeps its session if a restart is refused",
)
def _(kit: Kit, patch: object) -> None:
    client = kit.established()
    client.restart("newu", "9" * 22, [], now=1.0)
    [sent] = client.requests_to_send()
    client.receive_response(sent.request_id, Response(503), 2.0)
    assert isinstance(client.next_event(), RestartRefused)
    assert not client.is_terminated
    client.restart("new2", "7" * 22, [], now=3.0)
    assert len(client.requests_to_send()) == 1


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
