"""The endpoint beyond its duties."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pytest
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sdp import encode_session
from sansmedia.whip import (
    EndpointConfig,
    IceServer,
    Limits,
    OfferReceived,
    Request,
    Response,
    WhepEndpoint,
    WhipEndpoint,
    status_of,
)

Kit: TypeAlias = Any
_SERVER = IceServer("stun:stun.example.org")


def _asked(endpoint: WhipEndpoint, request: Request, now: float = 0.0) -> OfferReceived:
    event = endpoint.handle(request, now)
    assert isinstance(event, OfferReceived)
    return event


def _refused(endpoint: WhipEndpoint, request: Request, now: float = 0.0) -> Response:
    response = endpoint.handle(request, now)
    assert isinstance(response, Response)
    return response


def test_an_offer_is_told_as_it_came(kit: Kit) -> None:
    event = _asked(kit.endpoint(), kit.post(kind="Application/SDP; charset=utf-8"))
    assert event.offer == kit.offer
    assert event.text == encode_session(kit.offer)
    assert (event.path, event.token) == ("/live/cam/whip", None)


def test_an_offer_of_ffmpeg_is_told(whip: Kit) -> None:
    """`a=sendonly` in each section, and nothing but what it must have."""
    text = encode_session(whip.offer).replace("\r\n", "\n") + "\n"
    assert _asked(whip.endpoint(), whip.post(text.encode())).offer == whip.offer


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "BREW", ""])
def test_other_methods_are_told_which_there_are(kit: Kit, method: str) -> None:
    """RFC 9110 §15.5.6."""
    response = _refused(kit.endpoint(), Request(method))
    assert response.status == 405
    assert response.headers.get("allow") == "POST, OPTIONS, GET, HEAD"


def test_what_is_refused_says_why(kit: Kit) -> None:
    """RFC 9457 §3."""
    response = _refused(kit.endpoint(), kit.post(b"v=1"))
    assert response.headers.get("content-type") == "application/problem+json"
    assert json.loads(response.body) == {
        "title": "Bad Request",
        "status": 400,
        "detail": "description begins without v=0",
    }


def test_what_is_too_long_is_not_looked_at(kit: Kit) -> None:
    endpoint = kit.endpoint(limits=Limits(body_bytes=100))
    assert _refused(endpoint, kit.post(b"x" * 101)).status == 413
    assert _refused(kit.endpoint(), kit.post(b"x" * 262_145)).status == 413
    assert _refused(kit.endpoint(), kit.post(b"v=0\n" + b"\n" * 9000)).status == 413


@pytest.mark.parametrize(
    ("code", "status"),
    [("limit", 413), ("unsupported", 422), ("malformed", 400), ("incomplete", 400)],
)
def test_an_error_has_a_status(code: str, status: int) -> None:
    """RFC 9725 §4.2, §4.4.2, §4.4.3."""
    assert status_of(ProtocolError("x", code=code)) == status


def test_a_wrong_token_is_challenged(kit: Kit) -> None:
    """RFC 9110 §11.6.1; RFC 6750 §3."""
    endpoint = kit.endpoint(config=EndpointConfig(realm="cam"))
    event = _asked(endpoint, kit.post(Authorization="Bearer wrong"))
    response = endpoint.reject(event.request_id, 401, now=0.0)
    assert response is not None
    challenge = 'Bearer realm="cam", error="invalid_token"'
    assert response.headers.get("www-authenticate") == challenge


@pytest.mark.parametrize(("status", "told"), [(409, "2"), (503, "2"), (404, None)])
def test_who_may_come_back_is_told_when(
    kit: Kit, status: int, told: str | None
) -> None:
    """RFC 9110 §10.2.3; RFC 9725 §4.5."""
    endpoint = kit.endpoint()
    for retry_after, expected in ((None, told), (7, "7")):
        event = _asked(endpoint, kit.post())
        response = endpoint.reject(
            event.request_id, status, retry_after=retry_after, now=0.0
        )
        assert response is not None
        assert response.headers.get("retry-after") == expected


def test_ice_servers_are_told_with_the_answer(kit: Kit) -> None:
    """RFC 9725 §4.6."""
    endpoint = kit.endpoint()
    response = endpoint.accept(
        _asked(endpoint, kit.post()).request_id,
        answer="v=0\r\n",
        session_url="s",
        takes_patch=False,
        ice_servers=[_SERVER, _SERVER],
        now=0.0,
    )
    assert response is not None
    assert len(response.headers.get_all("link")) == 2
    assert "etag" not in response.headers
    assert "accept-patch" not in response.headers
    assert response.body == b"v=0\r\n"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, True),
        ({"Access-Control-Request-Method": "POST"}, False),
        (
            {
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, Link",
            },
            True,
        ),
    ],
)
def test_ice_servers_are_told_to_who_asks_for_them(
    kit: Kit, headers: dict[str, str], told: bool
) -> None:
    """RFC 9725 §4.6: not to every preflight."""
    endpoint = kit.endpoint(config=EndpointConfig(ice_servers=(_SERVER,)))
    response = _refused(endpoint, Request("OPTIONS", headers=headers))
    assert ("link" in response.headers) is told


def test_pages_of_other_origins_can_be_shut_out(kit: Kit) -> None:
    """Fetch Standard §3.2."""
    endpoint = kit.endpoint(config=EndpointConfig(allow_origin=None))
    for request in (Request("OPTIONS"), Request("GET"), kit.post(b"")):
        names = [name for name, _ in _refused(endpoint, request).headers]
        assert not any(name.startswith("Access-Control") for name in names)


def test_every_answer_can_be_read_by_a_page(kit: Kit) -> None:
    endpoint = kit.endpoint()
    event = _asked(endpoint, kit.post())
    responses = [
        _refused(endpoint, Request("GET")),
        _refused(endpoint, kit.post(b"")),
        endpoint.accept(event.request_id, answer="", session_url="s", now=0.0),
    ]
    for response in responses:
        assert response is not None
        exposed = response.headers.get("access-control-expose-headers")
        assert exposed is not None
        assert "Location" in exposed
        assert "ETag" in exposed


def test_a_late_command_is_void(kit: Kit) -> None:
    endpoint = kit.endpoint()
    event = _asked(endpoint, kit.post())
    endpoint.abandon(event.request_id, now=0.0)
    number = event.request_id
    assert endpoint.accept(number, answer="", session_url="s", now=0.0) is None
    assert endpoint.reject(number, 404, now=0.0) is None
    assert endpoint.redirect(99, "https://b.example.org", now=0.0) is None
    assert endpoint.statistics().pending == 0


def test_what_no_header_can_have_is_our_mistake(kit: Kit) -> None:
    endpoint = kit.endpoint()
    number = _asked(endpoint, kit.post()).request_id
    with pytest.raises(UsageError):
        endpoint.accept(number, answer="", session_url="a\r\nb", now=0.0)
    with pytest.raises(UsageError):
        endpoint.accept(number, answer="", session_url="s", etag='"', now=0.0)
    with pytest.raises(UsageError):
        endpoint.redirect(number, "a b", now=0.0)
    with pytest.raises(UsageError):
        endpoint.reject(number, 200, now=0.0)
    assert endpoint.statistics().pending == 1


def test_offers_that_wait_are_bounded_and_grow_old(kit: Kit) -> None:
    endpoint = kit.endpoint(limits=Limits(pending_requests=2))
    first = _asked(endpoint, kit.post(), 0.0)
    _asked(endpoint, kit.post(), 30.0)
    response = _refused(endpoint, kit.post(), 50.0)
    assert response.status == 503
    assert response.headers.get("retry-after") == "2"
    _asked(endpoint, kit.post(), 60.0)
    assert endpoint.reject(first.request_id, 404, now=60.0) is None


def test_offers_are_counted(whep: Kit) -> None:
    endpoint: WhepEndpoint = whep.endpoint()
    for _ in range(4):
        _asked(endpoint, whep.post())
    endpoint.accept(1, answer="", session_url="s", now=0.0)
    endpoint.reject(2, 404, now=0.0)
    endpoint.counter_offer(3, offer="", session_url="s", now=0.0)
    endpoint.handle(whep.post(b""), 0.0)
    counted = endpoint.statistics()
    assert (counted.requests, counted.offers) == (5, 4)
    assert (counted.accepted, counted.refused, counted.pending) == (1, 3, 1)
