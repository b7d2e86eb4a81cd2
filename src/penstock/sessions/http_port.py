"""The public HTTP port: live paths go to viewers, everything else to the web app."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

from penstock import log
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.net.http_host import HttpHost
from penstock.net.tls import TlsWire
from penstock.net.wire import Wire

from .http_live import plain_answer, serve_live
from .http_request import LivePath, read_head
from .webrtc_port import WebRtcPort

__all__ = ["serve_http_connection"]

_TLS_RECORD = 0x16
_LONGEST_FRAME = 0x02
"""First octet of RFC 4571's length: a check of ICE has less than 768 octets, while
letters and records of TLS begin above."""
_MAGIC_COOKIE = b"\x21\x12\xa4\x42"
_HEAD_S = 10.0


async def serve_http_connection(
    engine: Engine,
    host: HttpHost,
    tls: Callable[[], ssl.SSLContext | None],
    webrtc: WebRtcPort | None,
    sock: socket.socket,
) -> None:
    """Serve one accepted connection of the public port: HTTP, TLS or not, or media."""
    wire = Wire(sock)
    address = wire.peer[0]
    try:
        engine.gate.admit(address)
    except Refusal as refusal:
        engine.registry.refuse(refusal)
        with contextlib.suppress(OSError):
            wire.offer(plain_answer("503 Service Unavailable", refusal.reason, []))
        await wire.finish(timeout_s=0.5)
        return
    try:
        await _serve(engine, host, tls, webrtc, wire)
    except (OSError, ValueError) as error:
        # Not a session yet: a scanner, or a client that lost its way.
        log.debug("http connection dropped", client=address, reason=str(error))
        wire.close()
    finally:
        engine.gate.dismiss(address)


async def _serve(
    engine: Engine,
    host: HttpHost,
    tls: Callable[[], ssl.SSLContext | None],
    webrtc: WebRtcPort | None,
    wire: Wire,
) -> None:
    with engine.lobby(_HEAD_S) as scope:
        prefix = await wire.receive_some()
    if scope.cancelled_caught or not prefix:
        wire.close()
    elif webrtc is not None and _begins_a_check(prefix):
        await webrtc.serve_tcp(wire, prefix)
    else:
        await _serve_http(engine, host, tls, wire, prefix)


def _begins_a_check(prefix: bytes) -> bool:
    """Tell whether a connection begins as ICE's do: with a request in a frame.

    Source: RFC 4571 §2, RFC 8489 §5.
    """
    if prefix[0] > _LONGEST_FRAME:
        return False
    cookie = prefix[6:10]
    return cookie == _MAGIC_COOKIE[: len(cookie)]


async def _serve_http(
    engine: Engine,
    host: HttpHost,
    tls: Callable[[], ssl.SSLContext | None],
    wire: Wire,
    prefix: bytes,
) -> None:
    with engine.lobby(_HEAD_S) as scope:
        context = tls()
        if prefix[:1] == bytes((_TLS_RECORD,)) and context is not None:
            secure = TlsWire(wire.sock, context, prefix=prefix)
            secure.bytes_received = wire.bytes_received
            wire, prefix = secure, b""
            await secure.handshake()
        try:
            head = await read_head(wire, prefix)
            path = None if head is None else LivePath.of(head.target)
        except ValueError as error:
            engine.registry.refuse(Refusal(str(error), "request"))
            log.debug("http request refused", client=wire.peer[0], reason=str(error))
            wire.offer(plain_answer("400 Bad Request", str(error), []))
            await wire.finish(timeout_s=0.5)
            return
    if scope.cancelled_caught or head is None:
        wire.close()
        return
    if path is not None:
        await serve_live(engine, wire, head, path)
    else:
        await host.serve(wire, head.raw)
