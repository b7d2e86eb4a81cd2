"""The receiving side of a group: what several links bring becomes one stream.

Source: SRT draft-01 §3.2.1.4; libsrt's socket-groups.md.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from .connection_events import ReceivedMessage
from .limits import Limits
from .receive_buffer import Insertion, ReceiveBuffer, Received
from .receiver import Receiver
from .sender import TICK
from .tsbpd import TsbpdClock

__all__ = ["GroupDelivery", "GroupReceiver"]

_HALF: Final = 1 << 30
_SEQUENCES: Final = 1 << 31
_TIMESTAMP_HALF: Final = 1 << 31
_MASK_32: Final = 0xFFFF_FFFF
_FOREVER: Final = 1 << 62
_RUN: Final = 64


@attrs.define
class GroupDelivery:
    """What has come due."""

    messages: list[ReceivedMessage]
    """In order."""
    dropped: int
    """Packets that no link brought in time."""


@attrs.define(eq=False)
class _Link:
    """What is known of one member."""

    started: bool = False
    """Whether it has brought a packet."""
    unique: int = 0
    """Packets that it brought first."""
    duplicates: int = 0
    """Packets that another had brought before."""
    brought_at: float = -math.inf
    """When its latest packet should have come."""


class GroupReceiver:
    """Puts the packets of all links into one buffer, and delivers each once, in time.

    A member keeps account of what came over its own link, for acknowledgements and loss
    reports, but holds no payload. What another link brought is not asked for.

    Args:
        first: The receiving side of the first member: its sequence numbers and its
            time base become the group's.
        limits: What the peer may cost.
        capacity: How many packets may wait.
        tsbpd: Whether packets are delivered by time.
        skipping: Whether what comes too late is dropped.
    """

    def __init__(
        self,
        first: Receiver,
        limits: Limits,
        *,
        capacity: int,
        tsbpd: bool,
        skipping: bool,
    ) -> None:
        self.clock: TsbpdClock = first.clock
        """Of the first member, and for all."""
        self.buffer = ReceiveBuffer(
            first.buffer.expected - len(first.buffer.ordered),
            capacity=capacity,
            message_api=True,
            may_overtake=False,
        )
        self.received = self.received_bytes = 0
        self.dropped = self.duplicates = self.refused = 0
        self._limits = limits
        self._capacity = capacity
        self._tsbpd = tsbpd
        self._skipping = skipping
        self._links: dict[Receiver, _Link] = {}
        self._reference: Receiver | None = first
        self._offset: float | None = 0.0
        self._delivered_at = -math.inf
        self._far = (0, 0)

    @property
    def expected(self) -> int:
        """The first packet that no member brought, and none gave up."""
        return self.buffer.expected

    # Members.

    def join(self, member: Receiver, now: float) -> None:
        """Take a member, and what it has received already."""
        old = member.buffer
        held = dict(enumerate(old.ordered, old.expected - len(old.ordered))) | old.early
        old.clear()
        member.clock = self.clock
        member.group = self
        self._links[member] = _Link()
        member.begin_at(self.expected)
        reference = self.clock.expected(now)
        for wire, (timestamp, word, payload) in sorted(held.items()):
            distance = (wire - self.expected + _HALF) & (_SEQUENCES - 1)
            sequence = self.expected + distance - _HALF
            elapsed = (timestamp - reference + _TIMESTAMP_HALF) & _MASK_32
            unwrapped = reference + elapsed - _TIMESTAMP_HALF
            if payload is None or not self.admit(member, sequence):
                continue
            if old.look(sequence) is Insertion.NEW:
                old.insert(sequence, (unwrapped, word, None))
                self.take(member, sequence, (unwrapped, word, payload))
        old.ordered.clear()

    def leave(self, member: Receiver) -> None:
        """Let a member go; what it brought stays."""
        self._links.pop(member, None)
        if self._reference is member:
            self._reference = next(iter(self._links), None)
            self._offset = None
            self.clock.begin_samples()

    def unique_of(self, member: Receiver) -> tuple[int, int]:
        """Return how many packets a member brought first, and how many not."""
        link = self._links.get(member)
        return (0, 0) if link is None else (link.unique, link.duplicates)

    def brought_at(self, member: Receiver) -> float:
        """Return about when a member brought its latest packet, or minus infinity."""
        link = self._links.get(member)
        return -math.inf if link is None else link.brought_at

    # What members bring.

    def admit(self, member: Receiver, sequence: int) -> bool:
        """Prepare a member for a packet; False: it cannot be one of the group's.

        What lies before it on its link and came over others counts as received; what
        nobody brought is lost.
        """
        ours, theirs = self.buffer, member.buffer
        link = self._links.get(member)
        if link is None or sequence < ours.expected - self._capacity:
            self.refused += 1
            return False
        if sequence - ours.expected >= ours.available and not self._restart(sequence):
            self.refused += 1
            return False
        if not link.started:
            link.started = True
            member.begin_at(min(sequence, ours.expected))
        if theirs.missing.count and theirs.expected < ours.expected:
            # A drop request may tell of packets that the group is past.
            member.give_up(theirs.expected, ours.expected - 1)
        if sequence <= theirs.highest + 1:
            return True
        if theirs.highest + 1 < ours.expected:
            member.begin_at(min(sequence, ours.expected))
        low, high = theirs.highest + 1, sequence - 1
        if low <= high:
            self._bridge(member, low, high)
        return True

    def _bridge(self, member: Receiver, low: int, high: int) -> None:
        """Account for what a link passed over, all of it beyond `expected`."""
        ours, theirs = self.buffer, member.buffer
        theirs.await_up_to(high)
        missing = ours.missing.within(low, min(high, ours.highest))
        if high > ours.highest:
            missing.append((max(low, ours.highest + 1), high))
        for start, end in missing:
            if low < start:
                theirs.give_up(low, start - 1)
            low = end + 1
            member.lose(start, end)
        if low <= high:
            theirs.give_up(low, high)
        theirs.ordered.clear()

    def _restart(self, sequence: int) -> bool:
        """Go on from far ahead if that is where the peer is, after a long outage."""
        last, count = self._far
        count = count + 1 if 0 < sequence - last <= _RUN else 1
        self._far = (sequence, count)
        if (
            count < self._limits.early_records
            or not self._skipping
            or not self.buffer.is_empty
        ):
            return False
        self._far = (0, 0)
        self.dropped += self.buffer.restart(sequence)
        return True

    def take(self, member: Receiver, sequence: int, received: Received) -> None:
        """Take a packet that is new to a member."""
        link = self._links[member]
        timestamp, _, payload = received
        link.brought_at = self.clock.source_time(timestamp)
        if payload is None:
            # Another link has another key, perhaps a good one.
            return
        ours = self.buffer
        if ours.look(sequence) is not Insertion.NEW:
            link.duplicates += 1
            self.duplicates += 1
            return
        if ours.octets > self._limits.receive_bytes:
            self.refused += 1
            return
        link.unique += 1
        ours.insert(sequence, received)
        for other in self._links:
            if other is not member and other.buffer.missing.count:
                other.give_up(sequence, sequence)

    def add_sample(
        self, member: Receiver, timestamp: int, at: float, rtt: float
    ) -> None:
        """Take a sample of the drift; one member's count, for links differ in delay.

        Once it is gone another's do, shifted so that they go on where those ended.
        """
        if member is not self._reference:
            return
        if self._offset is None:
            expected = self.clock.expected(at)
            shown = (timestamp - expected + _TIMESTAMP_HALF) & _MASK_32
            late = (_TIMESTAMP_HALF - shown) / 1e6
            self._offset = late - self.clock.drift
        self.clock.add_sample(timestamp, at - self._offset, rtt)

    # Delivery.

    def next_timeout(self) -> float:
        """Return when `deliver` has something."""
        if not self._tsbpd:
            return self._delivered_at + TICK if self.buffer.ordered else math.inf
        timestamp = self.buffer.next_timestamp(skipping=self._skipping)
        if timestamp is None:
            return math.inf
        return max(self.clock.delivery_time(timestamp), self._delivered_at + TICK)

    def deliver(self, now: float, *, everything: bool = False) -> GroupDelivery:
        """Take out what is due, or all for nothing comes any more."""
        self._delivered_at = now
        if not self._skipping:
            self._give_up_what_all_gave_up()
        if everything:
            packets, dropped = self.buffer.deliver(_FOREVER, skipping=True)
        else:
            due = self.clock.due(now) if self._tsbpd else None
            packets, dropped = self.buffer.deliver(due, skipping=self._skipping)
        base = self.clock.base
        messages = [
            ReceivedMessage(data, base + timestamp / 1e6, timestamp, number)
            for timestamp, number, data in self.buffer.assemble(packets)
        ]
        self.received += len(messages)
        self.received_bytes += sum([len(message.data) for message in messages])
        if dropped:
            self.dropped += dropped
            self._release_members(now)
        return GroupDelivery(messages, dropped)

    def _release_members(self, now: float) -> None:
        """Let members wait no more for what the group does not wait for."""
        end = self.buffer.expected - 1
        for member in self._links:
            if member.buffer.missing.count:
                low = member.buffer.expected
                member.dropped += member.give_up(low, end, now)

    def _give_up_what_all_gave_up(self) -> None:
        started = [member for member, link in self._links.items() if link.started]
        if started:
            end = min(member.buffer.expected for member in started) - 1
            if end >= self.buffer.expected:
                self.dropped += self.buffer.give_up(self.buffer.expected, end)

    def clear(self) -> None:
        """Forget everything that waits."""
        self.buffer.clear()
        self._links.clear()
