"""Where an agent sends from: the bases of its candidates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import attrs

from sansmedia.stun import Address

from .candidate import (
    Candidate,
    CandidateType,
    TcpType,
    address_family,
    canonical_host,
    host_candidate,
    reflexive_priority,
)

__all__ = ["Base", "BaseTable"]

_WILDCARD: Final = {"IPv4": "0.0.0.0", "IPv6": "::", "IPv6 link-local": "::"}


@attrs.define(eq=False)
class Base:
    """One local transport address, with the candidates that lead to it."""

    address: Address
    """Of active TCP: the host to connect from, and port 0."""
    transport: Literal["udp", "tcp"]
    tcp_type: TcpType | None
    candidate: Candidate
    """The one with the highest priority: what a pair's priority is made of. A pair has
    its base for a local candidate, and the pairs of the others are redundant with its
    own. RFC 8445 §6.1.2.4."""
    family: str
    """Only equal ones pair."""

    @property
    def check_priority(self) -> int:
        """The PRIORITY of our checks. Source: RFC 8445 §7.1.1."""
        return reflexive_priority(self.candidate.priority, self.transport)


class BaseTable:
    """All bases of an agent, and which one a datagram came to."""

    __slots__ = ("_bases", "_candidates", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bases: dict[tuple[str, str, int], Base] = {}
        self._candidates: list[Candidate] = []

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every local candidate, found ones included."""
        return tuple(self._candidates)

    @property
    def is_full(self) -> bool:
        """Whether no more candidates fit."""
        return len(self._candidates) >= self._limit

    def __iter__(self) -> Iterator[Base]:
        return iter(list(self._bases.values()))

    def add(self, candidate: Candidate, base: Address) -> Base | None:
        """Add a host candidate; return its base if that is new."""
        self._candidates.append(candidate)
        return self._insert(candidate, base)

    def add_reflexive(self, candidate: Candidate) -> bool:
        """Add a reflexive candidate; False if its address is a candidate already.

        Source: RFC 8445 §5.1.3.
        """
        if self.is_full or self.has_address(candidate.address, candidate.transport):
            return False
        self._candidates.append(candidate)
        return True

    def has_address(self, address: Address, transport: str) -> bool:
        """Tell whether an address is that of a candidate or of a base."""
        return (transport, *address) in self._bases or any(
            candidate.address == address and candidate.transport == transport
            for candidate in self._candidates
        )

    def _insert(self, candidate: Candidate, address: Address) -> Base | None:
        transport: Literal["udp", "tcp"] = (
            "tcp" if candidate.transport == "tcp" else "udp"
        )
        key = (transport, *address)
        known = self._bases.get(key)
        if known is not None:
            if candidate.priority > known.candidate.priority:
                known.candidate = candidate
            return None
        base = Base(
            address,
            transport,
            candidate.tcp_type,
            candidate,
            # A wildcard is of its candidate's family, whatever that is.
            address_family(candidate.host),
        )
        self._bases[key] = base
        return base

    def find(
        self, local: Address | None, peer: Address, transport: Literal["udp", "tcp"]
    ) -> Base | None:
        """Return the base that a datagram came to.

        Args:
            local: As far as the caller knows it. An address that no candidate has
                becomes a base of its own: a socket bound to every address receives on
                interfaces that nobody has listed.
            peer: Where it came from.
            transport: Of the datagram.
        """
        if local is None:
            return self._best(peer, transport)
        base = self._bases.get((transport, *local))
        if base is not None:
            return base
        if canonical_host(local[0]) is None:
            return None
        family = address_family(local[0])
        base = self._bases.get((transport, _WILDCARD[family], local[1]))
        if base is not None or len(self._bases) >= self._limit or not local[1]:
            return base
        tcp_type = TcpType.PASSIVE if transport == "tcp" else None
        return self._insert(
            host_candidate(local, tcp_type=tcp_type, local_preference=0), local
        )

    def _best(self, peer: Address, transport: str) -> Base | None:
        family = address_family(peer[0])
        fitting = [
            base
            for base in self._bases.values()
            if base.transport == transport and base.family == family and base.address[1]
        ]
        return max(fitting, key=lambda base: base.candidate.priority, default=None)

    def gathering(self, family: str) -> list[Base]:
        """Return the UDP bases that may ask a STUN server of that family."""
        return [
            base
            for base in self._bases.values()
            if base.transport == "udp"
            and base.family == family
            and base.candidate.type is CandidateType.HOST
        ]
