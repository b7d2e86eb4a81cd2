"""One TCP connection's bytes: reading that waits, writing that never does.

A wire has one writer at a time. `offer` sends what the kernel takes at once and keeps
the rest as *residue*; nothing else goes out before the residue is gone, so a begun
unit is always finished first. Whoever owns the wire awaits `flush` when `offer` said
False. See docs/design/writer.md for the measurements behind this shape.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable

import trio

__all__ = ["MAX_RESIDUE", "Wire", "WireOverflow"]

MAX_RESIDUE = 64 << 20
"""Octets kept for one peer before it is given up: one huge unit and some control."""

_READ_SIZE = 1 << 16
_LAST_READ = 1 << 20
"""Octets of a peer that `Wire.finish` reads and forgets; then it has had its time."""


class WireOverflow(OSError):
    """The peer takes nothing and the residue has reached its bound."""


class Wire:
    """A plain TCP connection.

    Args:
        sock: A connected stream socket; the wire makes it non-blocking and owns it.
    """

    secure = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.bytes_received = 0
        self.bytes_sent = 0
        """Octets given to the kernel; what `direct_send` of a plain wire wrote is
        added by the viewer when it leaves the head."""
        self._residue: deque[memoryview] = deque()
        self.residue_bytes = 0
        self.closed = False
        self._flush_lock = trio.Lock()
        self.direct_send: Callable[[bytes], int] = sock.send
        """Hot path of fan-out: send at once, return how many octets went.

        Only to be called while there is no residue. Anything but ``len(data)``
        must be handed to `keep`. A plain wire raises BlockingIOError when nothing
        went. The bound C method saves one Python call per viewer and frame.
        """

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port of the other end; ("", 0) if it has gone."""
        return _endpoint(self.sock.getpeername)

    @property
    def local(self) -> tuple[str, int]:
        """Address and port of this end."""
        return _endpoint(self.sock.getsockname)

    @property
    def is_clear(self) -> bool:
        """True if nothing is waiting to be sent."""
        return not self._residue

    # -- writing -------------------------------------------------------------

    def keep(self, data: bytes, sent: int) -> None:
        """Take over what `direct_send` left of ``data`` after ``sent`` octets."""
        rest = memoryview(data)[sent:]
        if self.residue_bytes + len(rest) > MAX_RESIDUE:
            raise WireOverflow("peer does not read")
        self._residue.append(rest)
        self.residue_bytes += len(rest)

    def offer(self, data: bytes) -> bool:
        """Send ``data`` after what waits already; never blocks.

        Returns:
            True if everything went to the kernel, False if residue remains.

        Raises:
            OSError: the connection is gone.
        """
        if not data:
            return not self._residue
        if self._residue:
            self.keep(data, 0)
            return self.try_flush()
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        self.bytes_sent += sent
        if sent == len(data):
            return True
        self.keep(data, sent)
        return False

    def try_flush(self) -> bool:
        """Send residue until it is gone (True) or the kernel refuses (False)."""
        residue = self._residue
        while residue:
            first = residue[0]
            try:
                sent = self.sock.send(first)
            except BlockingIOError:
                return False
            self.bytes_sent += sent
            self.residue_bytes -= sent
            if sent == len(first):
                residue.popleft()
            else:
                residue[0] = first[sent:]
        return True

    async def flush(self) -> None:
        """Wait until the residue is gone; several tasks may."""
        if self.try_flush():
            return
        async with self._flush_lock:
            while not self.try_flush():
                await trio.lowlevel.wait_writable(self.sock)

    async def send_all(self, data: bytes) -> None:
        """Offer and flush; for the owner while no outlet writes."""
        if not self.offer(data):
            await self.flush()
        else:
            await trio.lowlevel.checkpoint()

    # -- reading -------------------------------------------------------------

    async def receive_some(self, max_bytes: int = _READ_SIZE) -> bytes:
        """Return what has arrived, at least one octet; empty at the peer's end."""
        while True:
            if self.closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            await trio.lowlevel.wait_readable(self.sock)
            try:
                data = self.sock.recv(max_bytes)
            except BlockingIOError:
                continue
            self.bytes_received += len(data)
            return data

    def receive_nowait(self) -> bytes | None:
        """Return what has arrived, None if nothing has; empty at the peer's end."""
        try:
            data = self.sock.recv(_READ_SIZE)
        except BlockingIOError:
            return None
        self.bytes_received += len(data)
        return data

    # -- ending --------------------------------------------------------------

    async def finish(self, timeout_s: float = 2.0) -> None:
        """Flush for at most ``timeout_s``, say goodbye, close. Never raises."""
        try:
            with trio.move_on_after(timeout_s, shield=True):
                await self.flush()
                self._farewell()
                await Wire.flush(self)
                self.sock.shutdown(socket.SHUT_WR)
                # Close only after the peer saw our last bytes: closing with unread
                # input makes the kernel send RST, which can destroy them.
                last = self.bytes_received + _LAST_READ
                while await Wire.receive_some(self):
                    if self.bytes_received > last:
                        break
        except (OSError, trio.ClosedResourceError, trio.BusyResourceError):
            pass  # the peer has gone, or somebody else closes or reads
        self.close()

    def _farewell(self) -> None:
        """Send what the transport itself owes its peer at the end."""

    def close(self) -> None:
        """Close at once; whoever waits on the socket is woken with an error."""
        if not self.closed:
            self.closed = True
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()
            self._residue.clear()
            self.residue_bytes = 0
            # A bound method of our own would keep us in a cycle.
            self.direct_send = _send_to_closed


def _send_to_closed(data: bytes) -> int:
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _endpoint(name: Callable[[], object]) -> tuple[str, int]:
    try:
        address = name()
    except OSError:
        return ("", 0)
    if isinstance(address, tuple) and len(address) >= 2:
        host = str(address[0])
        # An IPv4 client of a dual-stack listener is shown as what it is.
        return (host.removeprefix("::ffff:"), int(address[1]))
    return ("", 0)
