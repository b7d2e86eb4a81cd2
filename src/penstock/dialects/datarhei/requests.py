"""What a client asked for, taken apart once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import parse_qs, unquote

import attrs

from .answers import Failure

__all__ = ["Request", "split_path"]


@attrs.frozen
class Request:
    """One request, before its body is read."""

    method: str
    path: str
    """As it came, without its query."""
    arguments: tuple[str, ...]
    """What the route leaves open, percent-decoded, in its order."""
    raw_query: str
    headers: Mapping[str, str]
    """By lower-case name; of several the last."""
    client: str
    """Address of the client, behind proxies that are believed."""
    body: Callable[[], Awaitable[bytes]]
    """Reads the whole body, within limits of size and time."""
    blocks: Callable[[], AsyncIterator[bytes]] | None = None
    """Reads the body as it comes, of any size: instead of ``body``."""
    is_secure: bool = False
    """Whether it came over TLS."""

    @property
    def query(self) -> dict[str, str]:
        """Parameters by name, decoded once; of several the first.

        Raises: Failure if there are over 100.
        """
        try:
            found = parse_qs(self.raw_query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            raise Failure(400, "Bad Request", "too many parameters") from None
        return {name: values[0] for name, values in found.items()}


def split_path(path: str) -> tuple[str, ...]:
    """Return the segments of a path as it came, each decoded by itself.

    ``/a/b%2Fc`` is ("a", "b/c"); a slash at the end leaves an empty one.
    """
    return tuple(unquote(segment) for segment in path.removeprefix("/").split("/"))
