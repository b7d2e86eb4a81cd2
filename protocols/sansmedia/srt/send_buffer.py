"""What is to be sent, and what was sent and not acknowledged.

Source: SRT draft-01 §4.2 and §4.6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

from sansmedia.sansio import UsageError

from .constants import MAX_MESSAGE_NUMBER
from .packet_wire import (
    MESSAGE_FIRST,
    MESSAGE_IN_ORDER,
    MESSAGE_LAST,
    MESSAGE_NUMBER_MASK,
    MESSAGE_SOLO,
)

__all__ = ["Record", "SendBuffer"]

Record: TypeAlias = tuple[int, int, bytes, float, float]
"""Message word, timestamp (32 bits), payload, time of origin, time to give it up."""

_TIMESTAMP_MASK: Final = 0xFFFF_FFFF


class SendBuffer:
    """Packets by unwrapped sequence number.

    Payloads are kept as they came: packets for many viewers share them. Once one was
    encrypted its ciphertext takes its place, for it is sent again as it is.

    Args:
        sequence: Of the first packet.
        start_time: When our timestamps began.
        packets: How many packets may wait.
        octets: How many octets may wait.
        payload_size: Octets of payload that one packet carries.
        message: Number of the first message.
    """

    __slots__ = (
        "_capacity",
        "_limit",
        "_message",
        "_start_time",
        "end",
        "first",
        "next",
        "octets",
        "packets",
        "payload_size",
    )

    def __init__(
        self,
        sequence: int,
        *,
        start_time: float,
        packets: int,
        octets: int,
        payload_size: int,
        message: int = 1,
    ) -> None:
        self.packets: dict[int, Record] = {}
        """From `first` on; given up ones are missing."""
        self.first = sequence
        """The oldest packet that is not acknowledged."""
        self.next = sequence
        """The first that was not sent yet."""
        self.end = sequence
        """What the next packet will have."""
        self.octets = 0
        """Of all payloads held."""
        self._start_time = start_time
        self._capacity = packets
        self._limit = octets
        self.payload_size = payload_size
        """Octets that one packet carries."""
        self._message = message

    @property
    def message(self) -> int:
        """The number of the next message."""
        return self._message

    @property
    def room(self) -> int:
        """Packets that still fit."""
        if self.octets >= self._limit:
            return 0
        return max(self._capacity - (self.end - self.first), 0)

    def timestamp(self, at: float) -> int:
        """Return a moment as it stands on the wire."""
        return int((at - self._start_time) * 1e6 + 0.5) & _TIMESTAMP_MASK

    def _next_message(self) -> int:
        number = self._message
        self._message = number + 1 if number < MAX_MESSAGE_NUMBER else 1
        return number

    def queue_solo(self, messages: Sequence[bytes], origin: float, flags: int) -> int:
        """Queue messages that fit one packet each; return how many there was room for.

        Args:
            messages: Of at most one packet's payload.
            origin: When they came from their source.
            flags: `MESSAGE_IN_ORDER` or 0.
        """
        timestamp = self.timestamp(origin)
        flags |= MESSAGE_SOLO
        packets = self.packets
        number, sequence, octets = self._message, self.end, self.octets
        room = self._capacity - (sequence - self.first)
        taken = 0
        for message in messages:
            if taken >= room or octets >= self._limit:
                break
            packets[sequence] = (flags | number, timestamp, message, origin, math.inf)
            octets += len(message)
            sequence += 1
            number = number + 1 if number < MAX_MESSAGE_NUMBER else 1
            taken += 1
        self._message, self.end, self.octets = number, sequence, octets
        return taken

    def queue_message(
        self, message: bytes, origin: float, *, in_order: bool, expires: float
    ) -> bool:
        """Queue a message of any size, whole or not at all.

        Raises:
            UsageError: It could never fit.
        """
        size = self.payload_size
        count = max(1, -(-len(message) // size))
        if count > self._capacity:
            raise UsageError(f"a message of {len(message)} octets never fits")
        if count > self.room:
            return False
        word = self._next_message() | (MESSAGE_IN_ORDER if in_order else 0)
        timestamp = self.timestamp(origin)
        for index in range(count):
            position = MESSAGE_FIRST if index == 0 else 0
            if index == count - 1:
                position |= MESSAGE_LAST
            payload = message[index * size : (index + 1) * size]
            record = (word | position, timestamp, payload, origin, expires)
            self.packets[self.end] = record
            self.end += 1
            self.octets += len(payload)
        return True

    def jump(self, sequence: int, message: int) -> None:
        """Give the next packet and its message these numbers."""
        if self.first == self.end:
            self.first = self.next = sequence
        self.end = sequence
        self._message = message

    def begin_at(self, start_time: float) -> None:
        """Count timestamps from another time."""
        self._start_time = start_time

    def release(self, sequence: int) -> None:
        """Forget what lies before ``sequence``, which is at most `end`."""
        if sequence <= self.first:
            return
        pop = self.packets.pop
        octets = 0
        for number in range(self.first, sequence):
            record = pop(number, None)
            if record is not None:
                octets += len(record[2])
        self.octets -= octets
        self.first = sequence
        if self.next < sequence:
            self.next = sequence

    def drop_older(self, now: float, age: float) -> tuple[int, int]:
        """Give up the oldest as far as they are of that age.

        Returns:
            How many packets, and how many octets of payload.
        """
        before = self.octets
        sequence = self.first
        packets = 0
        while sequence < self.end:
            record = self.packets.get(sequence)
            if record is not None:
                if record[3] + age > now:
                    break
                packets += 1
            sequence += 1
        self.release(sequence)
        return packets, before - self.octets

    def drop_message(self, sequence: int) -> tuple[int, int, int]:
        """Give up the message of a packet that is held.

        Returns:
            Its number, and the first and the last sequence number of it.
        """
        number = self.packets[sequence][0] & MESSAGE_NUMBER_MASK
        low = self._edge(sequence, number, -1)
        high = self._edge(sequence, number, 1)
        for one in range(low, high + 1):
            self.octets -= len(self.packets.pop(one)[2])
        return number, low, high

    def _edge(self, sequence: int, number: int, step: int) -> int:
        while True:
            record = self.packets.get(sequence + step)
            if record is None or record[0] & MESSAGE_NUMBER_MASK != number:
                return sequence
            sequence += step

    def clear(self) -> None:
        """Forget everything."""
        self.packets.clear()
        self.octets = 0
        self.first = self.next = self.end
