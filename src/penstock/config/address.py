"""Listen addresses: ``host:port``, ``[::]:port``."""

from __future__ import annotations

import ipaddress
import re

import attrs

__all__ = ["Address", "is_loopback", "parse_address"]

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


@attrs.frozen
class Address:
    """A host (IP literal without brackets, or a name) and a TCP or UDP port."""

    host: str
    port: int
    """0 lets the system choose."""

    def __str__(self) -> str:
        return (
            f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}"
        )


def parse_address(text: str) -> Address:
    """Read ``host:port``; IPv6 addresses stand in brackets.

    Raises:
        ValueError: With what was expected, if ``text`` is of another form.
    """
    expected = 'expected "host:port", as "0.0.0.0:8000" or "[::]:8000"'
    host, separator, port_text = text.rpartition(":")
    if not separator or not port_text.isascii() or not port_text.isdigit():
        raise ValueError(expected)
    if len(port_text) > 5 or int(port_text) > 65_535:
        raise ValueError("expected a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("expected an IPv6 address between [ and ]") from None
    elif ":" in host:
        raise ValueError("expected brackets around an IPv6 address, as [::]:8000")
    elif not _HOST.fullmatch(host):
        raise ValueError(expected)
    elif re.fullmatch(r"[\d.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("expected four numbers from 0 to 255") from None
    return Address(host, int(port_text))


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches ``host`` (an IP literal or a name)."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
