"""Stream addresses and the names that a server makes of requests."""

from __future__ import annotations

from sansmedia.rtmp import decode_url, resolve
from sansmedia.rtmp.url import resolve_reference
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # Decoding raises ProtocolError and nothing else; names never hold a path or query,
    # and resolving what an address gives comes to the same stream.
    first, _, rest = data.decode("utf-8", "replace").partition("\n")
    second, _, third = rest.partition("\n")
    resolved = resolve(first, second, third)
    assert "/" not in resolved.name
    assert "?" not in resolved.name + resolved.app
    assert resolve_reference(first, second) is not None
    try:
        address = decode_url(first)
    except ProtocolError as error:
        assert error.reason
        return
    assert "/" not in address.name
    if address.name and "..." not in address.app + address.name:
        again = resolve(address.tc_url, address.app, address.stream)
        assert (again.app, again.name) == (address.app, address.name)
