"""The ``Link`` header field, and the ICE servers in it.

Source: RFC 8288 §3; RFC 9725 §4.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from sansmedia.sansio import ProtocolError, UsageError

__all__ = [
    "ICE_SERVER",
    "IceServer",
    "Link",
    "decode_ice_servers",
    "decode_links",
    "encode_link",
    "ice_server_link",
]

ICE_SERVER = "ice-server"
"""Relation of a STUN or TURN server. Source: RFC 9725 §6.1."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What stands in a quoted string: anything but a quote, or a pair with a backslash.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_TARGET = re.compile(r"<([^<>]*)>")
# A value without quotes ends where the next parameter or link begins; clients of the
# field do not quote values that are no tokens.
_BARE = re.compile(r'[^\s;,"]+')
_BLANKS = re.compile(r"[ \t\r\n]*")
_VISIBLE = re.compile(r"[!-;=?-~]+")


@attrs.frozen
class Link:
    """One link."""

    target: str
    """A URI, maybe relative."""
    rel: str = ""
    """Relation, or several with blanks between."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Every parameter but ``rel``, names in lower case."""

    @property
    def relations(self) -> tuple[str, ...]:
        """The relations, in lower case unless they are URIs."""
        return tuple(word if ":" in word else word.lower() for word in self.rel.split())

    def parameter(self, name: str) -> str | None:
        """Return the first value of a parameter, or None."""
        for key, value in self.parameters:
            if key == name:
                return value
        return None


@attrs.frozen
class IceServer:
    """A STUN or TURN server, as RTCConfiguration has it."""

    url: str
    """``stun:``, ``turn:`` or ``turns:``."""
    username: str | None = None
    credential: str | None = None
    credential_type: str = "password"


class _Cursor:
    """A place in a header field."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def take(self, octet: str) -> bool:
        self.match(_BLANKS)
        if self._text.startswith(octet, self._at):
            self._at += 1
            self.match(_BLANKS)
            return True
        return False

    @property
    def is_done(self) -> bool:
        self.match(_BLANKS)
        return self._at >= len(self._text)


def decode_links(text: str, *, most: int = 64) -> list[Link]:
    """Decode the value of a ``Link`` field: one link or several.

    Args:
        text: The value; several fields may be joined by commas.
        most: Links that are taken.

    Raises:
        ProtocolError: ``malformed``, or ``limit`` for more links than ``most``.

    Source: RFC 8288 §3.
    """
    cursor = _Cursor(text)
    links: list[Link] = []
    while not cursor.is_done:
        if cursor.take(","):
            continue
        target = cursor.match(_TARGET)
        if target is None:
            raise _malformed()
        if len(links) >= most:
            raise ProtocolError(f"more than {most} links", code="limit")
        links.append(_decode_parameters(cursor, target[1].strip()))
        if not cursor.take(",") and not cursor.is_done:
            raise _malformed()
    return links


def _decode_parameters(cursor: _Cursor, target: str) -> Link:
    rel: str | None = None
    parameters = []
    while cursor.take(";"):
        name = cursor.match(_TOKEN)
        if name is None:
            continue
        value = ""
        if cursor.take("="):
            quoted = cursor.match(_QUOTED)
            if quoted is not None:
                value = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
            else:
                bare = cursor.match(_BARE)
                value = bare[0] if bare is not None else ""
        if name[0].lower() != "rel":
            parameters.append((name[0].lower(), value))
        elif rel is None:
            # RFC 8288 §3.3: of several, the first counts.
            rel = value
    return Link(target, rel or "", tuple(parameters))


def _malformed() -> ProtocolError:
    return ProtocolError("Link header field is malformed", source="RFC 8288 §3")


def encode_link(link: Link) -> str:
    """Encode one link, every value in quotes.

    Raises:
        UsageError: The target is no URI, a name is no token, or a value has a control
            character in it.

    Source: RFC 8288 §3.
    """
    if not _VISIBLE.fullmatch(link.target):
        raise UsageError(f"{link.target!r} is no URI")
    parts = [f"<{link.target}>"]
    for name, value in (("rel", link.rel), *link.parameters):
        if not _TOKEN.fullmatch(name):
            raise UsageError(f"{name!r} is no token")
        if not value.isprintable() or not value.isascii():
            raise UsageError(f"{name} of a link with characters that no header has")
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(f'{name}="{escaped}"')
    return "; ".join(parts)


def ice_server_link(server: IceServer) -> Link:
    """Return the link that tells of an ICE server. Source: RFC 9725 §4.6."""
    parameters: list[tuple[str, str]] = []
    if server.username is not None:
        parameters.append(("username", server.username))
    if server.credential is not None:
        parameters.append(("credential", server.credential))
    if server.credential is not None or server.credential_type != "password":
        parameters.append(("credential-type", server.credential_type))
    return Link(server.url, ICE_SERVER, tuple(parameters))


def decode_ice_servers(links: Iterable[Link]) -> list[IceServer]:
    """Return the ICE servers among links. Source: RFC 9725 §4.6."""
    return [
        IceServer(
            link.target,
            link.parameter("username"),
            link.parameter("credential"),
            link.parameter("credential-type") or "password",
        )
        for link in links
        if ICE_SERVER in link.relations
        and link.target.lower().startswith(("stun:", "stuns:", "turn:", "turns:"))
    ]
