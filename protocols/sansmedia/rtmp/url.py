"""Stream addresses: the URL a user writes, and what a server makes of a request.

The vhost rules are those that SRS users write by: ``?vhost=NAME`` or ``?domain=NAME``
in the application or the stream, ``app...vhost...NAME``, else the host part.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

import attrs

from sansmedia.sansio import ProtocolError

__all__ = [
    "ResolvedName",
    "StreamAddress",
    "decode_url",
    "resolve",
    "resolve_reference",
]

_PORTS = {"rtmp": 1935, "rtmps": 443}
_VHOST_NAMES = ("vhost", "domain")
_INSTANCE = "_definst_"


@attrs.frozen
class StreamAddress:
    """Where a stream is, from its URL."""

    host: str
    """Name or address, IPv6 without brackets."""
    port: int
    vhost: str | None
    """Only if the URL names one besides the host."""
    app: str
    name: str
    query: str = ""
    """As written, without the question mark."""
    scheme: str = "rtmp"
    """``"rtmp"`` or ``"rtmps"``."""

    @property
    def tc_url(self) -> str:
        """What `ClientConfig.tc_url` wants."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}/{self.app}"

    @property
    def stream(self) -> str:
        """What `RtmpClient.publish` and `RtmpClient.play` want: name and query."""
        return f"{self.name}?{self.query}" if self.query else self.name


class ResolvedName(NamedTuple):
    """What a server makes of a connect and a publish or play."""

    vhost: str | None
    """As named, else the host part of the tcUrl; None if there is neither."""
    app: str
    name: str
    parameters: dict[str, str]
    """Of the stream, the application and the tcUrl; the first of these wins."""


def _query(text: str) -> dict[str, str]:
    """Decode ``k=v&k=v``; a second question mark separates too, as clients write it."""
    parameters: dict[str, str] = {}
    for pair in text.replace("?", "&").split("&"):
        key, _, value = pair.partition("=")
        if key:
            parameters.setdefault(unquote(key), unquote(value))
    return parameters


def _cut(text: str) -> tuple[str, str]:
    path, _, query = text.replace("#", "?").partition("?")
    return path, query


def _dotted(path: str) -> tuple[str, dict[str, str]]:
    """Take ``app...vhost...NAME`` apart."""
    base, *rest = path.split("...")
    return base, dict(zip(rest[::2], rest[1::2], strict=False))


def _named_vhost(parameters: dict[str, str]) -> str | None:
    for key in _VHOST_NAMES:
        if parameters.get(key):
            return parameters[key]
    return None


def _segments(path: str) -> list[str]:
    return [part for part in path.split("/") if part and part != _INSTANCE]


def decode_url(url: str) -> StreamAddress:
    """Decode ``rtmp://host[:port]/app[/more]/stream[?k=v]``.

    The last segment is the stream; with one segment only that is the application.
    ``app?k=v/stream`` equals ``app/stream?k=v``, and ``#`` works like ``?``.

    Raises:
        ProtocolError: The scheme is neither ``rtmp`` nor ``rtmps``, or the host or port
            is missing or malformed.
    """
    try:
        parts = urlsplit(url.replace("#", "?"))
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ProtocolError(f"URL: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise ProtocolError("URL is neither rtmp:// nor rtmps://", code="unsupported")
    if not host:
        raise ProtocolError("URL without a host")
    path, query = parts.path, parts.query
    if "/" in query and len(_segments(path)) < 2:
        query, _, rest = query.partition("/")
        rest, _, more = rest.partition("?")
        path = f"{path}/{rest}"
        query = f"{query}&{more}" if more else query
    path, dotted = _split_dotted(path)
    segments = _segments(path)
    name = segments.pop() if len(segments) > 1 else ""
    return StreamAddress(
        host=host,
        port=port or _PORTS[scheme],
        vhost=_named_vhost(_query(query) | dotted),
        app="/".join(segments),
        name=name,
        query=query,
        scheme=scheme,
    )


def _split_dotted(path: str) -> tuple[str, dict[str, str]]:
    parameters: dict[str, str] = {}
    segments = []
    for segment in path.split("/"):
        base, found = _dotted(segment)
        parameters |= found
        segments.append(base if found else segment)
    return "/".join(segments), parameters


def resolve(tc_url: str, app: str, name: str) -> ResolvedName:
    """Resolve a connect's ``tcUrl`` and ``app`` and a publish's or play's name.

    Never raises: a tcUrl that is no URL merely gives no vhost.
    """
    app_path, app_query = _cut(app)
    name_path, name_query = _cut(name)
    app_path, dotted = _split_dotted(app_path)
    url, url_query = _cut(tc_url)
    parameters = (
        _query(url_query.partition("/")[0])
        | dotted
        | _query(app_query)
        | _query(name_query)
    )
    segments = _segments(app_path) + _segments(name_path)
    # An application alone (no stream name) stays an application.
    resolved = segments.pop() if _segments(name_path) else ""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    vhost = _named_vhost(parameters) or host
    return ResolvedName(vhost, "/".join(segments), resolved, parameters)


def resolve_reference(base: str, reference: str) -> str:
    """Resolve a tcUrl of a reconnect request against the connection's own.

    Source: E-RTMP v2 §Reconnect Request.
    """
    scheme, separator, rest = base.partition("://")
    if not separator:
        return reference or base
    # urljoin resolves only for schemes that it knows; the rules are the same for all.
    try:
        joined = urljoin(f"http://{rest}", reference)
    except ValueError:
        return base
    return scheme + joined[4:] if joined.startswith("http://") else joined
