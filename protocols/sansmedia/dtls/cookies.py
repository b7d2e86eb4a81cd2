"""The stateless cookie that proves a client's address. Source: RFC 6347 §4.2.1."""

from __future__ import annotations

import hmac

import attrs

from .hello_wire import ClientHello, encode_client_hello

__all__ = ["COOKIE_SECRET_SIZE", "is_cookie_of", "make_cookie"]

COOKIE_SECRET_SIZE = 32
"""Octets of the secret that cookies are made with."""


def make_cookie(secret: bytes, peer: tuple[str, int], hello: ClientHello) -> bytes:
    """Return the cookie of a hello that came from an address.

    The same hello comes again with it, so every other field goes in.

    Args:
        secret: Nobody else's.
        peer: Where the hello came from.
        hello: With or without a cookie.
    """
    address = f"{peer[0]}|{peer[1]}|".encode()
    without = encode_client_hello(attrs.evolve(hello, cookie=b""))
    return hmac.digest(secret, address + without, "sha256")


def is_cookie_of(secret: bytes, peer: tuple[str, int], hello: ClientHello) -> bool:
    """Tell whether a hello has the cookie that `make_cookie` gave for it."""
    return hmac.compare_digest(make_cookie(secret, peer, hello), hello.cookie)
