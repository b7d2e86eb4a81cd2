"""Outgoing TCP connections, plain or TLS."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl

import trio

from .listener import tune
from .tls import TlsWire
from .wire import Wire

__all__ = ["connect_tcp"]


async def connect_tcp(
    host: str, port: int, *, tls: ssl.SSLContext | None, timeout_s: float = 10.0
) -> Wire:
    """Connect to the first address of ``host`` that answers.

    Args:
        host: Name or IP address.
        port: TCP port.
        tls: Given, TLS is spoken and the certificate checked against ``host``.
        timeout_s: For everything, handshake included.

    Raises:
        OSError: no address could be reached, or not in time; TLS failures too.
    """
    try:
        with trio.fail_after(timeout_s):
            sock = await _connect_any(host, port)
            if tls is None:
                return Wire(sock)
            wire = TlsWire(sock, tls, server_hostname=host)
            try:
                await wire.handshake()
            except BaseException:
                wire.close()
                raise
            return wire
    except trio.TooSlowError:
        raise TimeoutError(
            f"no connection to {host}:{port} in {timeout_s:g} s"
        ) from None


async def _connect_any(host: str, port: int) -> socket.socket:
    failure: OSError | None = None
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as unencodable:
        raise OSError(f"{host} is no host name") from unencodable
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(address)
            await trio.lowlevel.wait_writable(sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            tune(sock)
        except OSError as caught:
            sock.close()
            failure = caught
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError(f"{host} has no address")
