"""The sending side of a group: the same numbers on every link.

Source: SRT draft-01 §3.2.1.4; libsrt's bonding-main-backup.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs

from .connection import Connection
from .constants import MAX_MESSAGE_NUMBER
from .limits import Limits

__all__ = ["GroupSender"]

_LEAST_AGE: Final = 1.0


@attrs.define
class _Buffered:
    """A message that a link may have to send anew."""

    sequence: int
    number: int
    origin: float
    data: bytes


class GroupSender:
    """Gives messages their numbers, and keeps what no link has brought for certain.

    Args:
        sequence: Of the first packet.
        limits: What may wait.
        keeping: Whether messages are kept for a link that takes over.
        latency: The peer's, seconds.
    """

    def __init__(
        self, sequence: int, limits: Limits, *, keeping: bool, latency: float
    ) -> None:
        self.next = sequence
        """What the next packet will have, not wrapped."""
        self.message = 1
        """The number of the next message."""
        self.sent = self.sent_bytes = 0
        """Messages, each once, and their octets."""
        self.octets = 0
        """Of all messages kept."""
        self._limits = limits
        self._keeping = keeping
        self._age = max(_LEAST_AGE, 1.25 * latency)
        self._buffer: deque[_Buffered] = deque()

    def _align(self, connection: Connection, sequence: int, number: int) -> bool:
        """Let a link go on with these numbers; False if it is past them."""
        buffer = connection.sender.buffer
        if connection.sender.sent_unique and buffer.end > sequence:
            return False
        if buffer.end != sequence or buffer.message != number:
            connection.sender.jump(sequence, number)
        return True

    def send(
        self,
        links: Sequence[Connection],
        messages: Sequence[bytes],
        now: float,
        origin: float,
    ) -> int:
        """Send messages over some links, alike; return over how many any went."""
        served = 0
        for connection in links:
            if self._align(connection, self.next, self.message) and connection.send(
                messages, now, source_time=origin
            ):
                served += 1
        for data in messages:
            if self._keeping:
                self._buffer.append(_Buffered(self.next, self.message, origin, data))
                self.octets += len(data)
            self.next += 1
            number = self.message
            self.message = number + 1 if number < MAX_MESSAGE_NUMBER else 1
        self.sent += len(messages)
        self.sent_bytes += sum(map(len, messages))
        return served

    def trim(self, acknowledged: int, now: float) -> None:
        """Forget what was acknowledged over any link, or is too old to be of use."""
        buffer, limits = self._buffer, self._limits
        while buffer and (
            buffer[0].sequence < acknowledged
            or buffer[0].origin + self._age < now
            or len(buffer) > limits.group_buffer
            or self.octets > limits.send_bytes
        ):
            self.octets -= len(buffer.popleft().data)

    @property
    def kept(self) -> int:
        """Messages that are kept."""
        return len(self._buffer)

    def send_again(self, connection: Connection, now: float) -> int:
        """Send what is kept over a link that takes over; return how many messages."""
        ours = connection.sender.buffer
        used = connection.sender.sent_unique > 0
        count = 0
        for kept in self._buffer:
            # On a link, numbers never go back.
            if used and kept.sequence < ours.end:
                continue
            if not self._align(connection, kept.sequence, kept.number):
                break
            count += connection.send([kept.data], now, source_time=kept.origin)
        return count

    def clear(self) -> None:
        """Forget everything that waits."""
        self._buffer.clear()
        self.octets = 0
