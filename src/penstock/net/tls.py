"""A wire through TLS, on `ssl.SSLObject` with memory buffers.

A non-blocking `SSLSocket` insists on the same buffer after a refused write, and
`trio.SSLStream` cannot send without waiting; an `SSLObject` does neither: ciphertext
is ours to keep as residue.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

import trio

from .wire import Wire

__all__ = ["TlsWire", "client_context", "server_context"]

_MAX_RECORDS = 256
"""Records decrypted in one go: half a millisecond's worth, even of one octet each."""


class TlsWire(Wire):
    """A TLS connection over TCP; `handshake` must be awaited first.

    Args:
        sock: A connected stream socket.
        context: The TLS configuration.
        server_hostname: Given, this end is the client and checks that name.
        prefix: Bytes of the peer that were read off the socket already.
    """

    secure = True

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        prefix: bytes = b"",
    ) -> None:
        super().__init__(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._incoming.write(prefix)
        self._object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
        )
        self.direct_send = self._direct_send
        self._failure: ssl.SSLError | None = None
        """What came behind data that had to be handed out first."""

    async def handshake(self) -> None:
        """Do the TLS handshake. Raises: ssl.SSLError or OSError if it fails."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self._push()
                await self._pull()
            except ssl.SSLError:
                # The alert says why; the peer should see it.
                with contextlib.suppress(OSError):
                    await self._push()
                raise
            else:
                await self._push()
                return

    async def _push(self) -> None:
        if not super().offer(self._outgoing.read()):
            await self.flush()

    async def _pull(self) -> None:
        data = await super().receive_some()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _direct_send(self, data: bytes) -> int:
        """Encrypt and send; -1 if ciphertext had to be kept."""
        return len(data) if self.offer(data) else -1

    def keep(self, data: bytes, sent: int) -> None:
        """Keep residue; after `direct_send` gave -1 it is kept already."""
        if sent >= 0:
            super().keep(data, sent)

    def offer(self, data: bytes) -> bool:
        """Encrypt and send ``data``; see `Wire.offer`."""
        rest = memoryview(data)
        while rest:
            # OpenSSL may be built to take one record at a time.
            rest = rest[self._object.write(rest) :]
        return super().offer(self._outgoing.read())

    async def receive_some(self, max_bytes: int = 1 << 16) -> bytes:
        """Return decrypted bytes; empty at the peer's end, clean or not."""
        # Decrypting buffered records needs no I/O, so others run first; after the
        # read it would be too late to be cancelled: the bytes would be lost.
        await trio.lowlevel.checkpoint()
        while True:
            data = self._decrypted(max_bytes)
            if data is not None:
                return data
            if self._outgoing.pending and not super().offer(self._outgoing.read()):
                await self.flush()
            await self._pull()

    def _decrypted(self, max_bytes: int) -> bytes | None:
        """Return what the complete records at hand hold; None if there is none.

        One record at a time would starve a publisher: FFmpeg makes one of each
        message, and small reads wait for the next tick.
        """
        if self._failure is not None:
            raise self._failure
        parts: list[bytes] = []
        size = 0
        try:
            while size < max_bytes and len(parts) < _MAX_RECORDS:
                part = self._object.read(max_bytes - size)
                if not part:
                    break
                parts.append(part)
                size += len(part)
        except ssl.SSLWantReadError:
            if not parts:
                return None
        except ssl.SSLZeroReturnError:
            pass  # and it will say so again
        except ssl.SSLError as error:
            if error.reason not in ("UNEXPECTED_EOF_WHILE_READING", None):
                if not parts:
                    raise
                self._failure = error
        return b"".join(parts)

    def receive_nowait(self) -> bytes | None:
        """Return None: whether records are complete shows while they are read."""
        return None

    def _farewell(self) -> None:
        # Only our close_notify: nobody waits for the peer's.
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        super().offer(self._outgoing.read())


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """Return a server's TLS configuration, read from PEM files.

    HTTP/1.1 is the only ALPN protocol: live viewers' sockets are handed around
    whole, which HTTP/2 streams cannot be.

    Raises:
        OSError, ssl.SSLError: the files are missing or do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A handshake costs us much more than the client who asks for another one.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context() -> ssl.SSLContext:
    """Return a client's TLS configuration that checks names and chains."""
    return ssl.create_default_context()
