"""A session's resource beyond its duties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sdp import Fragment, SessionDescription, encode_session
from sansmedia.whip import (
    FRAGMENT_TYPE,
    SDP_TYPE,
    AnswerReceived,
    CandidatesReceived,
    Limits,
    Request,
    ResourceConfig,
    Response,
    RestartRequested,
    SessionEnded,
    SessionResource,
    peer_credentials,
)

Kit: TypeAlias = Any
_Patch: TypeAlias = Callable[..., Request]
_TAG = '"tag1"'


def _status(result: object) -> int:
    assert isinstance(result, Response)
    return result.status


@pytest.mark.parametrize(
    ("ufrag", "pwd"), [("peer", None), (None, None), (None, "0123456789abcdefghijkl")]
)
def test_candidates_may_come_without_credentials(
    whip: Kit, patch: _Patch, ufrag: str | None, pwd: str | None
) -> None:
    event = whip.resource().handle(patch(ufrag, pwd, If_Match=_TAG), 0.0)
    assert isinstance(event, CandidatesReceived)


@pytest.mark.parametrize(
    ("ufrag", "pwd"), [("newu", None), (None, "9" * 22), ("peer", "9" * 22)]
)
def test_a_restart_needs_both_credentials_new(
    whip: Kit, patch: _Patch, ufrag: str | None, pwd: str | None
) -> None:
    """RFC 8445 §9."""
    assert _status(whip.resource().handle(patch(ufrag, pwd, If_Match="*"), 0.0)) == 400


def test_a_restart_may_name_the_current_tag(whip: Kit, patch: _Patch) -> None:
    """RFC 9725 §4.3.3 wants a star; what matters is that it is no older session."""
    resource = whip.resource()
    event = resource.handle(patch("newu", "9" * 22, If_Match=_TAG), 0.0)
    assert isinstance(event, RestartRequested)
    assert event.candidates == event.fragment.all_candidates
    assert len(event.candidates) == 1


def test_a_tag_in_an_etag_header_counts(whip: Kit, patch: _Patch) -> None:
    """What Eyevinn's client sends."""
    assert isinstance(whip.resource().handle(patch(ETag=_TAG), 0.0), CandidatesReceived)


def test_after_a_restart_its_credentials_count(whip: Kit, patch: _Patch) -> None:
    resource = whip.resource()
    event = resource.handle(patch("newu", "9" * 22, If_Match="*"), 0.0)
    assert isinstance(event, RestartRequested)
    with pytest.raises(UsageError):
        resource.accept(event.request_id, now=0.0)
    with pytest.raises(UsageError):
        resource.accept_restart(
            event.request_id, fragment=Fragment(), etag="tag1", now=0.0
        )
    response = resource.accept_restart(
        event.request_id, fragment=Fragment(), etag="tag2", now=0.0
    )
    assert _status(response) == 200
    assert resource.etag == "tag2"
    again = resource.handle(patch("newu", "9" * 22, If_Match='"tag2"'), 0.0)
    assert isinstance(again, CandidatesReceived)
    with pytest.raises(UsageError):
        resource.accept_restart(
            again.request_id, fragment=Fragment(), etag="tag3", now=0.0
        )


def test_without_restarts_no_tag_is_asked_for(whip: Kit, patch: _Patch) -> None:
    """RFC 9725 §4.3.1."""
    resource = whip.resource(etag=None, config=ResourceConfig(restart=False))
    assert isinstance(resource.handle(patch(), 0.0), CandidatesReceived)
    assert isinstance(resource.handle(patch(If_Match="*"), 0.0), CandidatesReceived)
    assert _status(resource.handle(patch(If_Match='"x"'), 0.0)) == 412


def test_restarts_need_a_tag(whip: Kit) -> None:
    with pytest.raises(UsageError):
        whip.resource(etag=None)
    with pytest.raises(UsageError):
        whip.resource(etag='"')


def test_a_session_that_takes_no_patch_says_so(whip: Kit, patch: _Patch) -> None:
    config = ResourceConfig(trickle=False, restart=False)
    resource = whip.resource(etag=None, config=config)
    response = resource.handle(patch(), 0.0)
    assert isinstance(response, Response)
    assert response.status == 405
    assert response.headers.get("allow") == "DELETE, OPTIONS, GET, HEAD"
    options = resource.handle(Request("OPTIONS"), 0.0)
    assert isinstance(options, Response)
    assert "accept-patch" not in options.headers


def test_options_say_what_is_taken(whip: Kit) -> None:
    response = whip.resource().handle(Request("OPTIONS"), 0.0)
    assert response.status == 200
    assert response.headers.get("accept-patch") == FRAGMENT_TYPE
    assert response.headers.get("allow") == "PATCH, DELETE, OPTIONS, GET, HEAD"


def test_posting_to_a_session_is_refused(whip: Kit) -> None:
    assert _status(whip.resource().handle(whip.post(), 0.0)) == 405


def test_fragments_are_bounded(whip: Kit, patch: _Patch) -> None:
    resource = whip.resource(limits=Limits(fragment_bytes=50))
    assert _status(resource.handle(patch(If_Match=_TAG), 0.0)) == 413
    many = tuple(map(str, range(300)))
    resource = whip.resource()
    assert _status(resource.handle(patch(candidates=many, If_Match=_TAG), 0.0)) == 413


def test_requests_that_wait_are_bounded(whip: Kit, patch: _Patch) -> None:
    resource = whip.resource(limits=Limits(pending_requests=1))
    event = resource.handle(patch(If_Match=_TAG), 0.0)
    assert isinstance(event, CandidatesReceived)
    response = resource.handle(patch(If_Match=_TAG), 0.0)
    assert isinstance(response, Response)
    assert (response.status, response.headers.get("retry-after")) == (503, "1")
    resource.abandon(event.request_id, now=0.0)
    assert resource.pending_requests == 0
    assert resource.accept(event.request_id, now=0.0) is None
    assert resource.reject(event.request_id, 500, now=0.0) is None
    assert (
        resource.accept_restart(
            event.request_id, fragment=Fragment(), etag="t", now=0.0
        )
        is None
    )


def test_a_session_can_end_from_our_side(whip: Kit, patch: _Patch) -> None:
    resource = whip.resource()
    event = resource.handle(patch(If_Match=_TAG), 0.0)
    resource.end()
    assert resource.accept(event.request_id, now=0.0) is None
    for request in (patch(If_Match=_TAG), Request("GET"), Request("DELETE")):
        assert _status(resource.handle(request, 0.0)) == 404
    assert _status(resource.handle(Request("OPTIONS"), 0.0)) == 200


# --- counter-offers --------------------------------------------------------------


def _answer(whep: Kit) -> Request:
    body = encode_session(whep.answer(whep.counter_offer)).encode()
    return Request("PATCH", headers={"Content-Type": SDP_TYPE}, body=body)


def _awaiting(whep: Kit) -> SessionResource:
    resource = whep.resource(peer=None, now=10.0)
    assert isinstance(resource, SessionResource)
    return resource


def test_a_counter_offer_is_answered_once(whep: Kit, patch: _Patch) -> None:
    """WHEP draft-03 §4.3.2."""
    resource = _awaiting(whep)
    options = resource.handle(Request("OPTIONS"), 10.0)
    assert isinstance(options, Response)
    assert options.headers.get("accept-patch") == f"{SDP_TYPE}, {FRAGMENT_TYPE}"
    assert _status(resource.handle(patch(If_Match=_TAG), 10.0)) == 409
    event = resource.handle(_answer(whep), 39.0)
    assert isinstance(event, AnswerReceived)
    assert event.answer == whep.answer(whep.counter_offer)
    assert _status(resource.accept(event.request_id, now=39.0)) == 204
    assert not resource.awaits_answer(39.0)
    assert _status(resource.handle(_answer(whep), 39.0)) == 415
    later = resource.handle(patch("answ", If_Match=_TAG), 100.0)
    assert isinstance(later, CandidatesReceived)


def test_a_counter_offer_does_not_last(whep: Kit) -> None:
    """WHEP draft-03 §4.3.2: 30 seconds."""
    resource = _awaiting(whep)
    assert resource.awaits_answer(39.9)
    assert not resource.awaits_answer(40.0)
    assert _status(resource.handle(_answer(whep), 40.0)) == 404


def test_a_counter_offer_can_be_deleted(whep: Kit) -> None:
    resource = _awaiting(whep)
    event = resource.handle(Request("DELETE"), 10.0)
    assert isinstance(event, SessionEnded)
    assert _status(resource.accept(event.request_id, now=10.0)) == 200


def test_an_answer_needs_credentials(whep: Kit) -> None:
    request = _answer(whep)
    body = request.body.replace(b"ice-ufrag", b"ice-other")
    wrong = Request("PATCH", headers={"Content-Type": SDP_TYPE}, body=body)
    assert _status(_awaiting(whep).handle(wrong, 10.0)) == 400
    long = Request("PATCH", headers=request.headers, body=b"x" * 262_145)
    assert _status(_awaiting(whep).handle(long, 10.0)) == 413


def test_the_peers_credentials_are_those_of_its_transport(whip: Kit) -> None:
    assert peer_credentials(whip.offer) == ("peer", "0123456789abcdefghijkl")
    with pytest.raises(ProtocolError):
        peer_credentials(SessionDescription())
