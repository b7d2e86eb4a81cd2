"""A wire dressed as the Trio stream that Hypercorn's TCP server takes."""

from __future__ import annotations

import socket

import trio

from .wire import Wire

__all__ = ["HttpStream"]

_FAREWELL_S = 1.0


class _Transport:
    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock


class HttpStream:
    """What Hypercorn needs of a stream, over an accepted wire.

    Args:
        wire: The connection; Hypercorn closes it.
        prefix: Bytes that were read already and that it shall see first.
    """

    def __init__(self, wire: Wire, prefix: bytes) -> None:
        self._wire = wire
        self._prefix = prefix
        if wire.secure:
            # Hypercorn tells TLS by this attribute, and `https` from that.
            self.transport_stream = _Transport(wire.sock)
        else:
            self.socket = wire.sock

    async def do_handshake(self) -> None:
        """Say whether this is TLS: the handshake itself is over."""
        if not self._wire.secure:
            raise AttributeError("not TLS")

    def selected_alpn_protocol(self) -> str:
        """Return the only protocol that we offer."""
        return "http/1.1"

    async def receive_some(self, max_bytes: int = 1 << 16) -> bytes:
        """Return bytes of the client. Raises: trio.BrokenResourceError."""
        if self._prefix:
            data, self._prefix = self._prefix, b""
            await trio.lowlevel.checkpoint()
            return data
        try:
            return await self._wire.receive_some(max_bytes)
        except OSError as error:
            raise trio.BrokenResourceError("connection lost") from error

    async def send_all(self, data: bytes) -> None:
        """Send bytes to the client. Raises: trio.BrokenResourceError."""
        try:
            await self._wire.send_all(data)
        except OSError as error:
            raise trio.BrokenResourceError("connection lost") from error

    async def send_eof(self) -> None:
        """End our direction, if the connection is still there."""
        if self._wire.secure or self._wire.closed:
            return
        try:
            self._wire.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise trio.BrokenResourceError("connection lost") from error

    async def aclose(self) -> None:
        """Close the connection after the last byte has arrived."""
        await self._wire.finish(_FAREWELL_S)
        await trio.lowlevel.checkpoint()
