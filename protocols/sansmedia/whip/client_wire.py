"""What a client reads out of responses."""

from __future__ import annotations

import json
from urllib.parse import urljoin, urlsplit

import attrs

from sansmedia import sdp
from sansmedia.sansio import ProtocolError

from .events import Established
from .header_wire import decode_delay, decode_media_type
from .http import Response
from .limits import Limits
from .link_wire import IceServer, Link, decode_ice_servers, decode_links
from .responses import FRAGMENT_TYPE, SDP_TYPE

__all__ = [
    "Links",
    "Reply",
    "decode_counter_offer",
    "decode_created",
    "decode_fragment_reply",
    "decode_problem",
    "is_postponement",
    "resolve_url",
]

_EXTENSION_PREFIXES = ("urn:ietf:params:whip:ext", "urn:ietf:params:whep:ext")
_COUNTER_OFFER_LIFE = 30.0
"""Seconds. Source: WHEP draft-03 §4.3.2."""
_DETAIL_LENGTH = 300


def resolve_url(base: str, reference: str) -> str | None:
    """Resolve a reference against an absolute URL; None if that gives none.

    Source: RFC 9110 §10.2.2; RFC 3986 §5.
    """
    try:
        joined = urljoin(base, reference.strip())
        parts = urlsplit(joined)
        if parts.hostname is None or not joined.isascii() or not joined.isprintable():
            return None
        # A port that is no number shows only when it is asked for.
        return None if " " in joined or parts.port == 0 else joined
    except ValueError:
        return None


@attrs.frozen
class Links:
    """What the links of a response tell."""

    ice_servers: tuple[IceServer, ...] = ()
    extensions: tuple[Link, ...] = ()


@attrs.frozen
class Reply:
    """A response, and what was asked."""

    response: Response
    url: str

    @property
    def status(self) -> int:
        """The status."""
        return self.response.status

    @property
    def is_success(self) -> bool:
        """Whether it is 2xx: which of them is nothing to insist on."""
        return 200 <= self.response.status <= 299

    @property
    def media_type(self) -> str:
        """The body's type, in lower case."""
        return decode_media_type(self.response.headers.get("content-type"))[0]

    @property
    def location(self) -> str | None:
        """``Location``, absolute; None if there is none that makes sense."""
        text = self.response.headers.get("location")
        return resolve_url(self.url, text) if text else None

    @property
    def etag(self) -> str | None:
        """``ETag`` as written, to be sent back as it is.

        Servers write tags without quotes, and even a star: what they gave they know.
        """
        text = self.response.headers.get("etag")
        if not text or len(text) > 256 or not text.isascii() or not text.isprintable():
            return None
        return text

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, if the server says so."""
        headers = self.response.headers
        return decode_delay(headers.get("retry-after"), headers)

    def links(self, most: int) -> Links:
        """Return the links; fields that are malformed are passed over."""
        links: list[Link] = []
        for value in self.response.headers.get_all("link"):
            try:
                links += decode_links(value, most=max(0, most - len(links)))
            except ProtocolError:
                continue
        extensions = []
        for link in links:
            target = resolve_url(self.url, link.target)
            if target is not None and link.rel.startswith(_EXTENSION_PREFIXES):
                extensions.append(attrs.evolve(link, target=target))
        return Links(tuple(decode_ice_servers(links)), tuple(extensions))


def decode_created(
    reply: Reply, limits: Limits, session_url: str | None
) -> Established:
    """Read what came of an offer that was accepted.

    Raises:
        ProtocolError: There is no answer in it.
    """
    if not reply.response.body:
        raise ProtocolError("accepted without an answer", source="RFC 9725 §4.2")
    answer = sdp.decode_session(reply.response.body, limits.sdp)
    links = reply.links(limits.links)
    return Established(
        answer=answer,
        session_url=session_url,
        etag=reply.etag,
        ice_servers=links.ice_servers,
        extensions=links.extensions,
    )


def decode_counter_offer(
    reply: Reply, limits: Limits
) -> tuple[sdp.SessionDescription, float] | None:
    """Read a counter-offer and for how long it holds; None if it is only a refusal.

    Source: WHEP draft-03 §4.3.2.
    """
    headers = reply.response.headers
    kind, parameters = decode_media_type(headers.get("content-type"))
    if kind != SDP_TYPE:
        return None
    try:
        offer = sdp.decode_session(reply.response.body, limits.sdp)
    except ProtocolError:
        return None
    life = decode_delay(parameters.get("valid-until"), headers)
    return offer, _COUNTER_OFFER_LIFE if life is None else life


def decode_fragment_reply(reply: Reply, limits: Limits) -> sdp.Fragment | None:
    """Read the answer to a restart; None if it tells no new credentials."""
    if not reply.is_success or reply.media_type != FRAGMENT_TYPE:
        return None
    try:
        fragment = sdp.decode_fragment(reply.response.body, limits.sdp)
    except ProtocolError:
        return None
    return None if None in fragment.credentials else fragment


def decode_problem(reply: Reply) -> str:
    """Return what a refusal says for people; empty if it says nothing.

    Source: RFC 9457 §3.1.
    """
    text = ""
    body = reply.response.body
    if reply.media_type.endswith("json"):
        try:
            problem = json.loads(body)
        except (ValueError, RecursionError):
            problem = None
        if isinstance(problem, dict):
            told = problem.get("detail") or problem.get("title") or problem.get("error")
            text = told if isinstance(told, str) else ""
    elif reply.media_type == "text/plain":
        text = body[: 4 * _DETAIL_LENGTH].decode("utf-8", "replace")
    text = " ".join(text.split())
    return "".join(one for one in text if one.isprintable())[:_DETAIL_LENGTH]


def is_postponement(status: int) -> bool:
    """Tell whether the same request may go better later.

    Clients fall back to the class of a status that they do not know: so all of 5xx do,
    but for what is never going to be done.

    Source: RFC 9725 §4.1, §4.5; RFC 9110 §15.5, §15.6.
    """
    if 500 <= status <= 599:
        return status not in (501, 505)
    return status in (408, 409, 425, 429)
