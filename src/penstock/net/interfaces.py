"""The addresses that this machine has, for those who are told where to send."""

from __future__ import annotations

import ipaddress
import socket

import psutil

__all__ = ["local_addresses"]


def local_addresses(bound: str) -> list[str]:
    """Return the addresses at which a socket bound to ``bound`` is reached.

    Link-local ones are left out: they mean nothing without their interface. Loopback
    comes last.

    Args:
        bound: An IP address; of an unspecified one all interfaces count, and with
            ``::`` both families.
    """
    address = ipaddress.ip_address(bound)
    if not address.is_unspecified:
        return [bound]
    families = (
        {socket.AF_INET}
        if address.version == 4
        else {
            socket.AF_INET,
            socket.AF_INET6,
        }
    )
    found: dict[str, bool] = {}
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family in families:
                host = one.address.partition("%")[0]
                parsed = ipaddress.ip_address(host)
                if not parsed.is_link_local:
                    found[host] = parsed.is_loopback
    return sorted(found, key=lambda host: found[host])
