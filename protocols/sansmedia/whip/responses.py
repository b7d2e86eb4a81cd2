"""Responses of a server, each made by one pure function.

Dialects that differ from the specifications build theirs from the same pieces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from sansmedia import sdp
from sansmedia.sansio import ProtocolError, UsageError

from .header_wire import encode_entity_tag, encode_http_date
from .http import Headers, Request, Response
from .link_wire import IceServer, Link, encode_link, ice_server_link

__all__ = [
    "FRAGMENT_TYPE",
    "SDP_TYPE",
    "cors_headers",
    "counter_offer_response",
    "created_response",
    "link_headers",
    "options_response",
    "problem_response",
    "restart_response",
    "status_of",
]

SDP_TYPE = "application/sdp"
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"
"""Source: RFC 8840 §9."""

_URL = re.compile(r"[!-~]+")
_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    428: "Precondition Required",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_EXPOSED = "Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"
_ALLOWED = "Authorization, Content-Type, If-Match, Link"


def _url(url: str) -> str:
    if not _URL.fullmatch(url):
        raise UsageError(f"{url!r} is no URL")
    return url


def _text(description: sdp.SessionDescription | str) -> bytes:
    if isinstance(description, sdp.SessionDescription):
        description = sdp.encode_session(description)
    return description.encode()


def status_of(error: ProtocolError) -> int:
    """Return the status for a body that could not be taken.

    413 for what costs too much, 422 for what is well-formed and not for us, else 400.
    Source: RFC 9725 §4.2, §4.4.2, §4.4.3.
    """
    return {"limit": 413, "unsupported": 422}.get(error.code, 400)


def cors_headers(allow_origin: str | None) -> list[tuple[str, str]]:
    """Return what lets a page of another origin read a response."""
    if allow_origin is None:
        return []
    return [
        ("Access-Control-Allow-Origin", allow_origin),
        ("Access-Control-Expose-Headers", _EXPOSED),
    ]


def link_headers(
    ice_servers: Iterable[IceServer] = (), extensions: Iterable[Link] = ()
) -> list[tuple[str, str]]:
    """Return one ``Link`` field each. Source: RFC 9725 §4.6, §4.9."""
    links = [*map(ice_server_link, ice_servers), *extensions]
    return [("Link", encode_link(link)) for link in links]


def options_response(
    request: Request,
    methods: Iterable[str],
    *,
    accept_post: str | None = None,
    accept_patch: str | None = None,
    allow_origin: str | None = "*",
    ice_servers: Iterable[IceServer] = (),
) -> Response:
    """Answer OPTIONS, a preflight of a browser or not.

    ICE servers are told to who asks for them: to anybody but a preflight that does not
    name ``Link`` among its headers.

    Source: RFC 9725 §4.2, §4.6; Fetch Standard §3.2.
    """
    allow = ", ".join(methods)
    headers = [("Allow", allow)]
    if accept_post is not None:
        headers.append(("Accept-Post", accept_post))
    if accept_patch is not None:
        headers.append(("Accept-Patch", accept_patch))
    headers += cors_headers(allow_origin)
    is_preflight = "access-control-request-method" in request.headers
    if allow_origin is not None:
        headers += [
            ("Access-Control-Allow-Methods", allow),
            ("Access-Control-Allow-Headers", _ALLOWED),
            ("Access-Control-Max-Age", "86400"),
        ]
    wanted = (request.headers.joined("access-control-request-headers") or "").lower()
    if not is_preflight or "link" in [word.strip() for word in wanted.split(",")]:
        headers += link_headers(ice_servers)
    return Response(200, headers)


def created_response(
    answer: sdp.SessionDescription | str,
    session_url: str,
    *,
    etag: str | None = None,
    accept_patch: str | None = FRAGMENT_TYPE,
    ice_servers: Iterable[IceServer] = (),
    extensions: Iterable[Link] = (),
    allow_origin: str | None = "*",
) -> Response:
    """Answer an offer that is accepted.

    Args:
        answer: The SDP answer, with all candidates.
        session_url: Absolute, or relative to the request's.
        etag: Without quotes; needed if ICE can be restarted.
        accept_patch: None if the session takes no PATCH.
        ice_servers: For the client to use.
        extensions: Protocol extensions; their ``rel`` is their URN.
        allow_origin: For pages of other origins; None for none.

    Raises:
        UsageError: A value that no header field can have.

    Source: RFC 9725 §4.2, §4.3.1, §4.6, §4.9.
    """
    headers = [("Content-Type", SDP_TYPE), ("Location", _url(session_url))]
    if etag is not None:
        headers.append(("ETag", encode_entity_tag(etag)))
    if accept_patch is not None:
        headers.append(("Accept-Patch", accept_patch))
    headers += link_headers(ice_servers, extensions)
    headers += cors_headers(allow_origin)
    return Response(201, headers, _text(answer))


def counter_offer_response(
    offer: sdp.SessionDescription | str,
    session_url: str,
    *,
    valid_until: int | None = None,
    etag: str | None = None,
    ice_servers: Iterable[IceServer] = (),
    extensions: Iterable[Link] = (),
    allow_origin: str | None = "*",
) -> Response:
    """Answer an offer with one of ours.

    Args:
        offer: Ours.
        session_url: Where the player's answer goes.
        valid_until: Seconds since 1970; None says nothing, which means 30 s.
        etag: As in `created_response`.
        ice_servers: As in `created_response`.
        extensions: As in `created_response`.
        allow_origin: As in `created_response`.

    Source: WHEP draft-03 §4.3.2.
    """
    made = created_response(
        offer,
        session_url,
        etag=etag,
        accept_patch=f"{SDP_TYPE}, {FRAGMENT_TYPE}",
        ice_servers=ice_servers,
        extensions=extensions,
        allow_origin=allow_origin,
    )
    headers = list(made.headers)
    if valid_until is not None:
        kind = f'{SDP_TYPE}; valid-until="{encode_http_date(valid_until)}"'
        headers[0] = ("Content-Type", kind)
    return Response(406, headers, made.body)


def restart_response(
    fragment: sdp.Fragment, etag: str, *, allow_origin: str | None = "*"
) -> Response:
    """Answer an ICE restart. Source: RFC 9725 §4.3.3."""
    headers = [
        ("Content-Type", FRAGMENT_TYPE),
        ("ETag", encode_entity_tag(etag)),
        *cors_headers(allow_origin),
    ]
    return Response(200, headers, sdp.encode_fragment(fragment).encode())


def problem_response(
    status: int,
    detail: str = "",
    *,
    retry_after: int | None = None,
    allow: str | None = None,
    challenge: str | None = None,
    allow_origin: str | None = "*",
) -> Response:
    """Refuse a request, with a problem statement for people.

    Args:
        status: 400 to 599.
        detail: One sentence.
        retry_after: Seconds.
        allow: Methods, for 405.
        challenge: Value of ``WWW-Authenticate``, for 401.
        allow_origin: For pages of other origins; None for none.

    Raises:
        UsageError: The status is no refusal.

    Source: RFC 9725 §4.1; RFC 9457 §3; RFC 9110 §10.2.3, §11.6.1, §15.5.6.
    """
    if not 400 <= status <= 599:
        raise UsageError(f"{status} refuses nothing")
    problem: dict[str, str | int] = {"status": status}
    if status in _REASONS:
        problem = {"title": _REASONS[status], "status": status}
    if detail:
        problem["detail"] = detail
    headers = [("Content-Type", "application/problem+json")]
    if allow is not None:
        headers.append(("Allow", allow))
    if challenge is not None:
        headers.append(("WWW-Authenticate", challenge))
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    headers += cors_headers(allow_origin)
    return Response(status, Headers(headers), json.dumps(problem).encode())
