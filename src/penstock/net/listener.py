"""Listening TCP sockets and the loop that accepts from them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable

import trio

from penstock import log
from penstock.config import parse_address

__all__ = ["accept_forever", "bind_tcp", "tune"]

_BACKLOG = 1024
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NOTSENT_LOWAT = 128 << 10


def bind_tcp(address: str) -> socket.socket:
    """Return a listening socket on ``address``.

    ``[::]`` listens on IPv4 and IPv6 at once.

    Raises:
        OSError: the address is busy or not ours.
        ValueError: the text is no address.
    """
    parsed = parse_address(address)
    host, port = parsed.host, parsed.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if family == socket.AF_INET:
            host = socket.getaddrinfo(host, port, family)[0][4][0]  # type: ignore[assignment] # a str for AF_INET
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def tune(sock: socket.socket) -> None:
    """Set what every media connection wants; failures do not matter."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Without it a viewer that stops reading swallows 12 s of a stream in kernel
    # buffers before the first refusal.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOTSENT_LOWAT)


async def accept_forever(
    listener: socket.socket,
    handle: Callable[[socket.socket], Awaitable[None]],
    nursery: trio.Nursery,
    exhausted: Callable[[OSError], None],
) -> None:
    """Accept connections and start ``handle`` for each in ``nursery``.

    When the process runs out of descriptors, ``exhausted`` is told and accepting
    pauses for 100 ms, so that the listener neither dies nor spins.
    """
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(64):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    exhausted(error)
                    await trio.sleep(0.1)
                break  # the client has gone between SYN and accept
            try:
                tune(sock)
            except OSError:
                sock.close()
                continue
            nursery.start_soon(_guarded, handle, sock)


async def _guarded(
    handle: Callable[[socket.socket], Awaitable[None]], sock: socket.socket
) -> None:
    """Keep a bug in one connection's handling from ending the others."""
    try:
        await handle(sock)
    except Exception as error:
        log.exception("connection failed by a bug of ours", error)
    finally:
        if sock.fileno() >= 0:
            trio.lowlevel.notify_closing(sock)
            sock.close()
