"""Requests and responses as plain records: this library reads and writes no HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

__all__ = ["ClientRequest", "Headers", "Request", "Response"]


def _pairs(
    given: Mapping[str, str] | Iterable[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    if isinstance(given, Headers):
        return given.pairs
    pairs = given.items() if isinstance(given, Mapping) else given
    return tuple((name, value) for name, value in pairs)


@attrs.frozen
class Headers:
    """Header fields in order; names compare without case. Source: RFC 9110 §5.1."""

    pairs: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_pairs)

    def get_all(self, name: str) -> list[str]:
        """Return every value of a name."""
        name = name.lower()
        return [value for key, value in self.pairs if key.lower() == name]

    def get(self, name: str) -> str | None:
        """Return the first value of a name without blanks around it, or None."""
        values = self.get_all(name)
        return values[0].strip() if values else None

    def joined(self, name: str) -> str | None:
        """Return all values of a name as one list, or None. Source: RFC 9110 §5.3."""
        values = self.get_all(name)
        return ", ".join(values) if values else None

    def __contains__(self, name: str) -> bool:
        return bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)


def _headers(
    given: Headers | Mapping[str, str] | Iterable[tuple[str, str]],
) -> Headers:
    return given if isinstance(given, Headers) else Headers(given)


@attrs.frozen
class Request:
    """A request to a server."""

    method: str
    """In upper case."""
    path: str = "/"
    """As it came; routing has been done, so nothing here looks at it."""
    headers: Headers = attrs.field(factory=Headers, converter=_headers)
    body: bytes = b""


@attrs.frozen
class Response:
    """A response; ``Content-Length`` is the writer's matter."""

    status: int
    headers: Headers = attrs.field(factory=Headers, converter=_headers)
    body: bytes = b""


@attrs.frozen
class ClientRequest:
    """A request of a client; its response comes back with the same id."""

    request_id: int
    method: str
    url: str
    """Absolute."""
    headers: Headers = attrs.field(factory=Headers, converter=_headers)
    body: bytes = b""
