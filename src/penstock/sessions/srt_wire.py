"""An SRT connection as the wire of a viewer: it takes octets, and packets leave."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence

import trio
from sansmedia.srt import Connection

from penstock.net.udp import UdpPort

from .srt_bond import Bond

__all__ = ["PAYLOAD_SIZE", "PayloadCutter", "SrtWire"]

PAYLOAD_SIZE = 1316
"""Seven MPEG-TS packets: what live mode carries in one of its own."""
_MAX_RESIDUE = 8 << 20
_LATE_S = 0.1
"""By how much the other end may be later than its latency says."""


class PayloadCutter:
    """Cuts units into payloads.

    The viewers of a unit come one after the other, so remembering the last one is
    enough to cut each once.

    Args:
        size: Octets of a payload.
    """

    def __init__(self, size: int = PAYLOAD_SIZE) -> None:
        self._size = size
        self._data = b""
        self._pieces: Sequence[bytes] = ()

    def cut(self, data: bytes) -> Sequence[bytes]:
        """Return the payloads, all of one size but the last."""
        if self._data is not data:
            size = self._size
            self._pieces = [
                data[start : start + size] for start in range(0, len(data), size)
            ]
            self._data = data
        return self._pieces


class SrtWire:
    """What `Viewer` and `Outlet` need of a connection, over SRT.

    Args:
        connection: Established.
        udp: The socket that its packets leave by.
        cutter: Shared by all wires of a socket.
        waiting: Where it stands while it waits for room, for `note_room`.
    """

    secure = False

    def __init__(
        self,
        connection: Connection | Bond,
        udp: UdpPort,
        cutter: PayloadCutter,
        waiting: set[SrtWire],
    ) -> None:
        self._waiting = waiting
        self._connection = connection
        self._udp = udp
        self._cut = cutter.cut
        self.bytes_received = 0
        self.bytes_sent = 0
        """Octets that `offer` took; the viewer adds what `direct_send` did."""
        self._residue: deque[memoryview] = deque()
        self.residue_bytes = 0
        self.closed = False
        self._sent_at = float("-inf")
        self._room = trio.Event()

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port of the other end."""
        return self._connection.peer

    @property
    def is_clear(self) -> bool:
        """True if nothing waits outside of the connection's own buffer."""
        return not self._residue

    @property
    def played_at(self) -> float:
        """When the other end will have delivered all that was sent to it.

        A goodbye before that costs it what it still holds: libsrt throws that away.
        """
        # A packet is at most its latency under way, and where a queue on the way grows,
        # libsrt takes half of what that adds for the drift of a clock.
        latency = self._connection.negotiated.send_latency
        return self._sent_at + 1.5 * latency + _LATE_S

    # -- writing ----------------------------------------------------------------------

    def direct_send(self, data: bytes) -> int:
        """Send at once, or keep for pacing; as `Wire.direct_send`.

        Raises:
            BlockingIOError: The connection's buffer is full.
            OSError: The connection has ended.
        """
        connection = self._connection
        if connection.is_terminated or self.closed:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        pieces = self._cut(data)
        if connection.send_room < len(pieces):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._sent_at = now = trio.current_time()
        packets = connection.write(pieces, now)
        if packets:
            self._udp.send_run(packets, connection.peer, connection.local)
        return len(data)

    def keep(self, data: bytes, sent: int) -> None:
        """Take over what `direct_send` left of ``data`` after ``sent`` octets."""
        if self.residue_bytes + len(data) - sent > _MAX_RESIDUE:
            raise OSError(errno.ENOBUFS, "peer does not acknowledge")
        rest = memoryview(data)[sent:]
        self._residue.append(rest)
        self.residue_bytes += len(rest)

    def offer(self, data: bytes) -> bool:
        """Send after what waits already; never blocks. As `Wire.offer`."""
        if data:
            self.keep(data, 0)
        return self.try_flush()

    def try_flush(self) -> bool:
        """Hand on what waits, as far as the connection's buffer takes it."""
        connection = self._connection
        while self._residue:
            room = connection.send_room * PAYLOAD_SIZE
            if room <= 0 and not connection.is_terminated:
                return False
            first = self._residue.popleft()
            piece = bytes(first[:room])
            if len(piece) < len(first):
                self._residue.appendleft(first[room:])
            self.direct_send(piece)
            self.residue_bytes -= len(piece)
            self.bytes_sent += len(piece)
        return True

    async def flush(self) -> None:
        """Wait until nothing waits. Raises: OSError."""
        try:
            while not self.try_flush():
                self._waiting.add(self)
                self._room = trio.Event()
                await self._room.wait()
        finally:
            self._waiting.discard(self)

    def note_room(self) -> None:
        """The connection's buffer may have emptied, by acknowledgements or by age."""
        self._room.set()

    def close(self) -> None:
        """Take nothing more."""
        self.closed = True
        self._room.set()
        self._residue.clear()
        self.residue_bytes = 0
