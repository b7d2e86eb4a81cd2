"""``udp://`` addresses of MPEG-TS, with FFmpeg's parameters."""

from __future__ import annotations

import ipaddress
from urllib.parse import parse_qsl, urlsplit

import attrs
from sansmedia.sansio import ProtocolError

__all__ = ["UdpAddress", "decode_udp_address"]

_IGNORED = frozenset({"fifo_size", "overrun_nonfatal", "buffer_size", "timeout"})


@attrs.frozen(kw_only=True)
class UdpAddress:
    """Where a transport stream comes from or goes to."""

    host: str
    """An IP address or a name; "" for any of ours, to receive."""
    port: int
    interface: str = ""
    """IP address of ours whose interface multicast uses; "" for the system's choice."""
    sources: tuple[str, ...] = ()
    """Senders that are believed; empty: the first that sends."""
    ttl: int = 16
    """Routers that a multicast datagram may pass."""
    packet_size: int = 1316
    """Octets in a datagram, a multiple of 188."""

    @property
    def is_multicast(self) -> bool:
        """Whether the host is a group."""
        try:
            return ipaddress.ip_address(self.host).is_multicast
        except ValueError:
            return False


def decode_udp_address(text: str) -> UdpAddress:
    """Read ``udp://[@]host:port?localaddr=&sources=&ttl=&pkt_size=``.

    Raises:
        ProtocolError: ``malformed``, with what was expected.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as error:
        raise _malformed(str(error)) from None
    if parts.scheme != "udp" or not port:
        raise _malformed("expected udp://host:port")
    interface = given.pop("localaddr", "")
    sources = tuple(filter(None, given.pop("sources", "").split(",")))
    for address in (interface, *sources):
        if address and not _is_address(address):
            raise _malformed(f"{address[:40]!r} is no IP address")
    ttl = _number(given, "ttl", 16, range(1, 256))
    size = _number(given, "pkt_size", 1316, range(188, 1473, 188))
    for name in given:
        if name not in _IGNORED:
            raise _malformed(f"parameter {name[:40]!r} is not known")
    return UdpAddress(
        host=host,
        port=port,
        interface=interface,
        sources=sources,
        ttl=ttl,
        packet_size=size,
    )


def _number(given: dict[str, str], name: str, default: int, allowed: range) -> int:
    text = given.pop(name, str(default))
    if not text.isdecimal() or int(text) not in allowed:
        step = f" in steps of {allowed.step}" if allowed.step > 1 else ""
        raise _malformed(
            f"{name}: expected {allowed.start} to {allowed.stop - 1}{step}"
        )
    return int(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _malformed(reason: str) -> ProtocolError:
    return ProtocolError(reason, code="malformed", source="UDP URL")
