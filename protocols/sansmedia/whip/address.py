"""Addresses of endpoints in one word, for files and command lines.

DEVIATION(whip-scheme): RFC 9725 §4.2 knows ``https`` alone, which does not tell what is
spoken. ``whip``, ``whips``, ``whep`` and ``wheps`` do, as Live777's tools write them:
``wheps://token@host/path`` is ``https://host/path``, asked with that bearer token.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

import attrs

from sansmedia.sansio import ProtocolError

__all__ = ["EndpointAddress", "decode_address"]

_SCHEMES = {
    "whip": (False, "http"),
    "whips": (False, "https"),
    "whep": (True, "http"),
    "wheps": (True, "https"),
}
_MAX_LENGTH = 4_096


@attrs.frozen(kw_only=True)
class EndpointAddress:
    """Where an endpoint is, and which of the two it is."""

    plays: bool
    """WHEP; else WHIP."""
    url: str
    """``http`` or ``https``, without the token."""
    token: str | None = attrs.field(default=None, repr=False)
    """Bearer token."""


def decode_address(text: str) -> EndpointAddress:
    """Read ``whip(s)://`` or ``whep(s)://[token@]host[:port][/path][?query]``.

    Raises:
        ProtocolError: It is nothing like that.
    """
    scheme, colon, rest = text.partition("://")
    known = _SCHEMES.get(scheme.lower())
    if known is None or not colon:
        raise ProtocolError("no whip(s):// or whep(s):// address")
    plays, http = known
    if len(text) > _MAX_LENGTH or not text.isascii() or not text.isprintable():
        raise ProtocolError("the address is too long, or not plain ASCII")
    if " " in text:
        raise ProtocolError("a blank in the address")
    try:
        parts = urlsplit(f"{http}://{rest}")
        port = parts.port
    except ValueError as error:
        raise ProtocolError(f"the address cannot be read: {error}") from None
    if not parts.hostname or port == 0:
        raise ProtocolError("no host in the address")
    user, at, place = parts.netloc.rpartition("@")
    token = unquote(user) if at else None
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise ProtocolError("the token is no word of printable ASCII")
    return EndpointAddress(
        plays=plays,
        url=urlunsplit((http, place, parts.path or "/", parts.query, "")),
        token=token,
    )
