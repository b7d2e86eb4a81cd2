"""Which networks may speak to the API at all, before anybody is asked for a login."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from .answers import Failure
from .requests import Request

__all__ = ["AccessGuard", "AccessSection", "is_admitted", "is_within"]

_GUARDED = frozenset({"api", "metrics", "profiling"})
"""First parts of paths; files have rules of their own."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AccessSection(Protocol):
    """What of the configuration says who may come."""

    @property
    def http_allow(self) -> Sequence[str]:
        """Networks that may use plain HTTP; none for all."""
        ...

    @property
    def http_block(self) -> Sequence[str]:
        """Those that may not, whatever is allowed."""
        ...

    @property
    def https_allow(self) -> Sequence[str]:
        """The same over TLS."""
        ...

    @property
    def https_block(self) -> Sequence[str]:
        """The same over TLS."""
        ...


class AccessGuard:
    """Refuses clients by their address.

    Args:
        section: Gives the configuration in force.
    """

    def __init__(self, section: Callable[[], AccessSection]) -> None:
        self._section = section

    def __call__(self, request: Request, first: str) -> None:
        """Let a request pass, or not.

        Args:
            request: Whose address counts.
            first: The first part of its path.

        Raises: Failure 403.
        """
        if first not in _GUARDED:
            return
        section = self._section()
        allow, block = section.http_allow, section.http_block
        if request.is_secure:
            allow, block = section.https_allow, section.https_block
        if not is_admitted(request.client, allow, block):
            raise Failure(403, "Forbidden", "this address is not allowed")


def is_admitted(address: str, allow: Sequence[str], block: Sequence[str]) -> bool:
    """Tell whether an address may come by two lists: block counts first."""
    if is_within(address, block):
        return False
    return not allow or is_within(address, allow)


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Tell whether an address is of one of these networks.

    What is no address is of none, and what is no network holds none. An IPv4 address
    in IPv6 clothes is IPv4.
    """
    if not networks:
        return False
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in network for network in _networks(tuple(networks)))


@lru_cache(maxsize=16)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return tuple(found)
