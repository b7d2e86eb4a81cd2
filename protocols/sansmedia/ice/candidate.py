"""Candidates: what they are, what they are worth, and how SDP writes them.

Source: RFC 8445 §5.1, RFC 8839 §5.1, RFC 6544 §4.5.
"""

from __future__ import annotations

import enum
import ipaddress
import re
import zlib
from functools import lru_cache
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.stun import Address

__all__ = [
    "Candidate",
    "CandidateType",
    "TcpType",
    "candidate_priority",
    "canonical_host",
    "decode_candidate",
    "encode_candidate",
    "host_candidate",
    "reflexive_priority",
    "server_reflexive_candidate",
]

_SOURCE: Final = "RFC 8839 §5.1"
_ICE_CHARS: Final = re.compile(r"[A-Za-z0-9+/]+")
_HOST: Final = re.compile(r"[A-Za-z0-9._:%\-]{1,255}")
_MAX_EXTENSIONS: Final = 32
_MAX_TEXT: Final = 4096
_COMPONENT: Final = 1
"""RTP and RTCP share it, as everybody multiplexes them."""
_DISCARD_PORT: Final = 9
"""The port of active candidates, which have none. Source: RFC 6544 §4.5."""
_IPV6_LINK_LOCAL: Final = ipaddress.ip_network("fe80::/10")


class CandidateType(enum.Enum):
    """How an address was found. Source: RFC 8445 §5.1.1."""

    HOST = "host"
    SERVER_REFLEXIVE = "srflx"
    PEER_REFLEXIVE = "prflx"
    RELAYED = "relay"


class TcpType(enum.Enum):
    """Who opens the connection. Source: RFC 6544 §4."""

    ACTIVE = "active"
    PASSIVE = "passive"
    SIMULTANEOUS_OPEN = "so"


# RFC 8445 §5.1.2.2 and, for TCP, RFC 6544 §4.2: below UDP's of the same kind.
_TYPE_PREFERENCE: Final = {
    (CandidateType.HOST, "udp"): 126,
    (CandidateType.PEER_REFLEXIVE, "udp"): 110,
    (CandidateType.SERVER_REFLEXIVE, "udp"): 100,
    (CandidateType.RELAYED, "udp"): 0,
    (CandidateType.HOST, "tcp"): 90,
    (CandidateType.PEER_REFLEXIVE, "tcp"): 80,
    (CandidateType.SERVER_REFLEXIVE, "tcp"): 70,
    (CandidateType.RELAYED, "tcp"): 0,
}
# RFC 6544 §4.2, for host candidates.
_DIRECTION_PREFERENCE: Final = {
    TcpType.ACTIVE: 6,
    TcpType.PASSIVE: 4,
    TcpType.SIMULTANEOUS_OPEN: 2,
}


@attrs.frozen
class Candidate:
    """One candidate, as its agent signals it."""

    foundation: str
    """Equal for candidates that probably work or fail together."""
    component: int
    """1; others are of peers that do not multiplex RTCP."""
    transport: str
    """``udp``, ``tcp``, or something that nobody here speaks."""
    priority: int
    """1 to 2^31 - 1."""
    host: str
    """An IP address in its shortest form, or a name (mDNS, or another)."""
    port: int
    """9 for active TCP candidates."""
    type: CandidateType
    related: Address | None = None
    """The base of a reflexive candidate; may be withheld."""
    tcp_type: TcpType | None = None
    """Of ``tcp`` alone."""
    extensions: tuple[tuple[str, str], ...] = ()
    """Name and value of everything else (``generation``, ``ufrag``, ...)."""

    @property
    def address(self) -> Address:
        """Host and port."""
        return self.host, self.port

    def extension(self, name: str) -> str | None:
        """Return the value of an extension, or None."""
        return dict(self.extensions).get(name)


@lru_cache(maxsize=4096)
def canonical_host(host: str) -> str | None:
    """Return an IP address in its shortest form; None for a name."""
    try:
        return str(ipaddress.ip_address(host)) if "%" not in host else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def address_family(host: str) -> str:
    """Return what must be the same on both sides of a pair.

    IPv6 link-local addresses pair with each other alone. Source: RFC 8445 §6.1.2.2.
    """
    address = ipaddress.ip_address(host)
    if address.version == 4:
        return "IPv4"
    return "IPv6 link-local" if address in _IPV6_LINK_LOCAL else "IPv6"


def candidate_priority(
    candidate_type: CandidateType,
    *,
    transport: str = "udp",
    tcp_type: TcpType | None = None,
    local_preference: int = 0xFFFF,
) -> int:
    """Return the recommended priority of a candidate of component 1.

    Source: RFC 8445 §5.1.2.1, RFC 6544 §4.2.

    Args:
        candidate_type: Of the candidate.
        transport: ``udp`` or ``tcp``.
        tcp_type: Of ``tcp``.
        local_preference: Orders the addresses of one host, 0 to 65535; its low 13 bits
            count for ``tcp``.

    Raises:
        UsageError: The preference is out of range.
    """
    if not 0 <= local_preference <= 0xFFFF:
        raise UsageError("a local preference has 16 bits")
    if tcp_type is not None:
        direction = _DIRECTION_PREFERENCE[tcp_type]
        local_preference = direction << 13 | local_preference & 0x1FFF
    preference = _TYPE_PREFERENCE[candidate_type, transport]
    return preference << 24 | local_preference << 8 | 256 - _COMPONENT


def reflexive_priority(priority: int, transport: str) -> int:
    """Return the priority that a base would have as a peer-reflexive candidate.

    Source: RFC 8445 §7.1.1.
    """
    preference = _TYPE_PREFERENCE[CandidateType.PEER_REFLEXIVE, transport]
    return preference << 24 | priority & 0xFFFFFF


def _foundation(
    candidate_type: CandidateType, base_host: str, transport: str, server: str = ""
) -> str:
    """Return a text that is the same if all of this is. Source: RFC 8445 §5.1.1.3."""
    text = f"{candidate_type.value} {base_host} {transport} {server}"
    return str(zlib.crc32(text.encode()))


def host_candidate(
    address: Address,
    *,
    tcp_type: TcpType | None = None,
    local_preference: int = 0xFFFF,
) -> Candidate:
    """Return a host candidate for an address of this machine.

    Source: RFC 8445 §5.1.1.1.

    Args:
        address: Where the peer reaches us, behind a NAT that maps one to one the
            outer address.
        tcp_type: Makes it a TCP candidate; active ones have no port of their own.
        local_preference: As for `candidate_priority`.

    Raises:
        UsageError: The host is no IP address, or the port no port.
    """
    host = canonical_host(address[0])
    port = _DISCARD_PORT if tcp_type is TcpType.ACTIVE else address[1]
    if host is None or not 0 < port <= 0xFFFF:
        raise UsageError(f"{address} is no transport address")
    transport = "udp" if tcp_type is None else "tcp"
    return Candidate(
        foundation=_foundation(CandidateType.HOST, host, transport),
        component=_COMPONENT,
        transport=transport,
        priority=candidate_priority(
            CandidateType.HOST,
            transport=transport,
            tcp_type=tcp_type,
            local_preference=local_preference,
        ),
        host=host,
        port=port,
        type=CandidateType.HOST,
        tcp_type=tcp_type,
    )


def server_reflexive_candidate(
    mapped: Address, base: Candidate, server: Address
) -> Candidate:
    """Return the UDP candidate that a STUN server's answer shows.

    Source: RFC 8445 §5.1.1.2, §5.1.1.3.

    Args:
        mapped: What the server saw.
        base: The host candidate whose base asked.
        server: The server.
    """
    preference = _TYPE_PREFERENCE[CandidateType.SERVER_REFLEXIVE, "udp"]
    return Candidate(
        foundation=_foundation(
            CandidateType.SERVER_REFLEXIVE, base.host, "udp", server[0]
        ),
        component=_COMPONENT,
        transport="udp",
        priority=preference << 24 | base.priority & 0xFFFFFF,
        host=mapped[0],
        port=mapped[1],
        type=CandidateType.SERVER_REFLEXIVE,
        related=base.address,
    )


def encode_candidate(candidate: Candidate) -> str:
    """Write the value of the ``candidate`` attribute, without the name.

    Source: RFC 8839 §5.1, RFC 6544 §4.5.
    """
    words = [
        candidate.foundation,
        str(candidate.component),
        candidate.transport,
        str(candidate.priority),
        candidate.host,
        str(candidate.port),
        "typ",
        candidate.type.value,
    ]
    if candidate.related is not None:
        words += ["raddr", candidate.related[0], "rport", str(candidate.related[1])]
    if candidate.tcp_type is not None:
        words += ["tcptype", candidate.tcp_type.value]
    for name, value in candidate.extensions:
        words += [name, value]
    return " ".join(words)


def decode_candidate(text: str) -> Candidate:
    """Read the value of a ``candidate`` attribute.

    Names are kept as they are: whoever can resolve one makes a candidate of the
    address. Source: RFC 8839 §5.1, RFC 6544 §4.5.

    Args:
        text: With or without ``candidate:`` in front, as JavaScript has it.

    Raises:
        ProtocolError: ``malformed`` for what the grammar does not allow,
            ``unsupported`` for a type that nobody knows, which an agent ignores.
    """
    if len(text) > _MAX_TEXT:
        raise ProtocolError("candidate is too long", code="limit", source=_SOURCE)
    words = text.removeprefix("candidate:").split(" ")
    if len(words) < 8 or len(words) % 2 or words[6].lower() != "typ":
        raise ProtocolError("candidate lacks a part", source=_SOURCE)
    foundation, transport = words[0], words[2].lower()
    if len(foundation) > 32 or not _ICE_CHARS.fullmatch(foundation):
        raise ProtocolError("foundation of a wrong form", source=_SOURCE)
    named = list(zip(words[8::2], words[9::2], strict=True))
    if len(named) > _MAX_EXTENSIONS or not all(name and value for name, value in named):
        raise ProtocolError("extensions of a wrong form", source=_SOURCE)
    candidate_type = _decode_type(words[7])
    host = _decode_host(words[4])
    related, named = _take_related(named)
    tcp_type, named = _take_tcp_type(named, transport)
    return Candidate(
        foundation=foundation,
        component=_decode_number(words[1], 1, 256),
        transport=transport,
        priority=_decode_number(words[3], 1, (1 << 31) - 1),
        host=host,
        port=_decode_number(words[5], 0, 0xFFFF),
        type=candidate_type,
        related=related,
        tcp_type=tcp_type,
        extensions=tuple(named),
    )


def _decode_number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ProtocolError("number of a wrong form", source=_SOURCE)
    number = int(text)
    if not low <= number <= high:
        raise ProtocolError(f"{number} is out of range", source=_SOURCE)
    return number


def _decode_type(text: str) -> CandidateType:
    try:
        return CandidateType(text.lower())
    except ValueError:
        raise ProtocolError(
            "candidate of an unknown type", code="unsupported", source=_SOURCE
        ) from None


def _decode_host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ProtocolError("address of a wrong form", source=_SOURCE)
    return canonical_host(text) or text


def _take_related(
    named: list[tuple[str, str]],
) -> tuple[Address | None, list[tuple[str, str]]]:
    """Take the related address off the front, where the grammar has it."""
    if not named or named[0][0].lower() != "raddr":
        return None, named
    port = 0
    rest = named[1:]
    if rest and rest[0][0].lower() == "rport":
        port = _decode_number(rest[0][1], 0, 0xFFFF)
        rest = rest[1:]
    return (_decode_host(named[0][1]), port), rest


def _take_tcp_type(
    named: list[tuple[str, str]], transport: str
) -> tuple[TcpType | None, list[tuple[str, str]]]:
    if transport != "tcp":
        return None, named
    for number, (name, value) in enumerate(named):
        if name.lower() == "tcptype":
            try:
                return TcpType(value.lower()), named[:number] + named[number + 1 :]
            except ValueError:
                break
    raise ProtocolError("TCP candidate without its kind", source="RFC 6544 §4.5")
