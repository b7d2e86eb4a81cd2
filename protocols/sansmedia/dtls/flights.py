"""Flights out: packing into datagrams, retransmission, smaller datagrams after loss.

Version-neutral. Source: RFC 6347 §4.2.4.
"""

from __future__ import annotations

import attrs

from .constants import ContentType, HandshakeType
from .fragments import (
    FRAGMENT_HEADER_SIZE,
    Fragment,
    encode_fragment,
    encode_message,
)
from .records import RecordLayer

__all__ = ["FlightSender"]

_MTU_STEPS = (548, 228)
"""What every IPv4 path carries (576 octets), and what hardly any would not."""
_TIMEOUTS_PER_STEP = 2
_ITEM_COST = 64


@attrs.frozen
class _Item:
    """A message of a flight, or a ChangeCipherSpec if it has no type."""

    epoch: int
    type: HandshakeType | None
    sequence: int
    body: bytes
    version: int


class FlightSender:
    """Sends the messages that belong together, again and again until an answer comes.

    Args:
        records: Seals what is sent.
        mtu: Octets of the largest datagram.
        initial_timeout: Seconds to the first retransmission; doubles each time.
        max_timeout: Seconds that it does not pass.
    """

    def __init__(
        self,
        records: RecordLayer,
        *,
        mtu: int,
        initial_timeout: float,
        max_timeout: float,
    ) -> None:
        self._records = records
        self._initial_timeout = initial_timeout
        self._max_timeout = max_timeout
        self._timeout = initial_timeout
        self._items: list[_Item] = []
        self._answers = -1
        self._sent_at = 0.0
        self._timeouts = 0
        self._next_sequence = 0
        self._datagrams: list[bytes] = []
        self.mtu = mtu
        """Octets of the largest datagram, after what loss taught."""
        self.deadline: float | None = None
        """When the flight is sent again, or None."""
        self.retransmissions = 0

    # --- a new flight --------------------------------------------------------------

    def begin(self, *, answers: int) -> None:
        """Forget the flight before: the peer has answered it.

        Args:
            answers: ``message_seq`` of the peer's last message, -1 if there is none.
                When it comes again, the peer has not heard us.
        """
        self._items.clear()
        self._answers = answers
        self.deadline = None

    def add(self, kind: HandshakeType, body: bytes, epoch: int, version: int) -> bytes:
        """Add a message; return the form in which it enters the transcript."""
        sequence = self._next_sequence
        self._next_sequence += 1
        self._items.append(_Item(epoch, kind, sequence, body, version))
        return encode_message(kind, sequence, body)

    def add_change_cipher_spec(self, epoch: int, version: int) -> None:
        """Add a ChangeCipherSpec, a record of the epoch that it ends."""
        self._items.append(_Item(epoch, None, 0, b"\x01", version))

    def launch(self, now: float, *, awaits_answer: bool) -> None:
        """Send the flight.

        Args:
            now: The time.
            awaits_answer: Whether it is sent again by a timer. The last flight is not,
                only when the peer sends its own again.
        """
        # Kept over flights it would grow with every loss of a long handshake, and what
        # was lost says nothing about the next flight. RFC 6347 §4.2.4.1 allows both.
        self._timeout = self._initial_timeout
        self._timeouts = 0
        self._pack(now)
        self.deadline = now + self._timeout if awaits_answer else None

    # --- again ---------------------------------------------------------------------

    def handle_timeout(self, now: float, *, may_send: bool) -> None:
        """Send the flight again: no answer came. Source: RFC 6347 §4.2.4.1.

        Args:
            now: The time.
            may_send: Whether there is room for output.
        """
        self._timeouts += 1
        if self._timeouts % _TIMEOUTS_PER_STEP == 0:
            # The datagrams may be too large for the path. RFC 6347 §4.1.1.1.
            self.mtu = next((step for step in _MTU_STEPS if step < self.mtu), self.mtu)
        self._timeout = min(self._timeout * 2, self._max_timeout)
        self.deadline = now + self._timeout
        if may_send:
            self._repeat(now)

    def handle_repetition(self, sequence: int, now: float, *, may_send: bool) -> None:
        """Send the flight again if the peer repeats what it answered.

        Half of the first timeout has to pass in between: the network doubles
        datagrams too, and whoever replays ours shall not make us send at will.
        """
        if (
            may_send
            and self._items
            and sequence == self._answers
            and now - self._sent_at >= self._initial_timeout / 2
        ):
            self._repeat(now)
            if self.deadline is not None:
                self.deadline = now + self._timeout

    def _repeat(self, now: float) -> None:
        self.retransmissions += 1
        self._pack(now)

    # --- out -----------------------------------------------------------------------

    def _pack(self, now: float) -> None:
        """Seal the flight into as few datagrams as the MTU allows."""
        self._sent_at = now
        datagram = b""
        for item in self._items:
            overhead = self._records.overhead(item.epoch)
            whole = overhead + len(item.body)
            if item.type is not None:
                whole += FRAGMENT_HEADER_SIZE
            if datagram and len(datagram) + whole > self.mtu:
                self._datagrams.append(datagram)
                datagram = b""
            if item.type is None:
                datagram += self._seal(item, ContentType.CHANGE_CIPHER_SPEC, item.body)
                continue
            # Cut only what fits into no datagram: some peers take fragments ill.
            room = max(1, self.mtu - overhead - FRAGMENT_HEADER_SIZE)
            for offset in range(0, len(item.body) or 1, room):
                if offset:
                    self._datagrams.append(datagram)
                    datagram = b""
                piece = item.body[offset : offset + room]
                fragment = Fragment(
                    item.type, len(item.body), item.sequence, offset, piece
                )
                content = encode_fragment(fragment)
                datagram += self._seal(item, ContentType.HANDSHAKE, content)
        if datagram:
            self._datagrams.append(datagram)

    def _seal(self, item: _Item, kind: ContentType, content: bytes) -> bytes:
        return self._records.seal(kind, content, item.epoch, item.version)

    def take_datagrams(self) -> list[bytes]:
        """Dequeue what is to be sent."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    @property
    def pending_bytes(self) -> int:
        """Octets of the flight that is kept."""
        return sum(len(item.body) + _ITEM_COST for item in self._items)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._datagrams.clear()
        self.deadline = None
