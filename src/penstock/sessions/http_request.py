"""The head of an HTTP request on the public port: read, judge, find the live path."""

from __future__ import annotations

import ipaddress
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import h11

from penstock.engine.gate import in_networks
from penstock.engine.session import StreamKey
from penstock.net.wire import Wire
from penstock.settings import Settings

__all__ = ["MAX_HEAD", "LivePath", "RequestHead", "client_address", "read_head"]

MAX_HEAD = 32 << 10
"""Octets that a request's head may have."""

_EXTENSIONS = (".flv", ".mp4", ".ts")


@attrs.frozen
class RequestHead:
    """A request's first line and headers, and every byte read for them."""

    method: str
    target: str
    http_version: str
    headers: tuple[tuple[str, str], ...]
    raw: bytes
    """What was read off the wire; the head and perhaps more."""

    def header(self, name: str) -> str:
        """Return a header's value by lower-case name, "" if it is missing."""
        for key, value in self.headers:
            if key == name:
                return value
        return ""

    @property
    def wants_websocket(self) -> bool:
        """True for a WebSocket handshake. RFC 6455 §4.1."""
        return "websocket" in self.header("upgrade").lower()

    @property
    def is_from_a_browser(self) -> bool:
        """True if a page asks: every browser's User-Agent begins like this."""
        return self.header("user-agent").startswith("Mozilla/")


@attrs.frozen
class LivePath:
    """A path that names a stream in a wire form."""

    app: str
    name: str
    extension: str
    query: str

    @classmethod
    def of(cls, target: str) -> LivePath | None:
        """Return what a request target names, None if it is no live path.

        Raises:
            ValueError: the target is no URL.
        """
        parts = urlsplit(target)
        path = unquote(parts.path)
        for extension in _EXTENSIONS:
            if path.endswith(extension):
                app, slash, name = path[1 : -len(extension)].rpartition("/")
                if slash and name and app and ".." not in path:
                    return cls(app, name, extension, parts.query)
        return None

    def key(self, host: str, settings: Settings) -> StreamKey:
        """Return the stream, by ``?vhost=`` or the Host header."""
        given = dict(parse_qsl(self.query))
        vhost = given.get("vhost") or given.get("domain") or host
        vhost = vhost if vhost in settings.vhosts else "default"
        return StreamKey(vhost, self.app, self.name)


async def read_head(wire: Wire, prefix: bytes = b"") -> RequestHead | None:
    """Read one request head.

    Returns:
        None if the client left before a whole head.

    Raises:
        ValueError: what came is no HTTP request, or its head is too long.
    """
    data = prefix
    while b"\r\n\r\n" not in data and b"\n\n" not in data:
        if len(data) > MAX_HEAD:
            raise ValueError("the request's head is too long")
        if data and not data[:1].isalpha():
            raise ValueError("not HTTP")
        more = await wire.receive_some()
        if not more:
            return None
        data += more
    return _decode_head(data)


def _decode_head(data: bytes) -> RequestHead:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise ValueError(f"not HTTP: {error}") from error
    if not isinstance(event, h11.Request):
        raise ValueError("not an HTTP request")
    return RequestHead(
        event.method.decode("ascii"),
        event.target.decode("ascii"),
        event.http_version.decode("ascii"),
        tuple(
            (name.decode("ascii"), value.decode("latin-1"))
            for name, value in event.headers
        ),
        data,
    )


def client_address(head: RequestHead, peer: str, trusted: list[str]) -> str:
    """Return the client's address, believing X-Forwarded-For of trusted proxies only.

    The rightmost address that is no trusted proxy is the client: everything left of
    it may be made up by the client itself.
    """
    if not trusted or not in_networks(peer, trusted):
        return peer
    forwarded = [part.strip() for part in head.header("x-forwarded-for").split(",")]
    for address in reversed([part for part in forwarded if part]):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return peer
        if not in_networks(address, trusted):
            return address
    return peer
