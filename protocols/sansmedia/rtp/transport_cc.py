"""Transport-wide feedback, from arrivals to messages and from messages to pairs.

Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from sansmedia.sansio import unwrap

from .limits import Limits
from .rtcp_transport import DELTA_S, REFERENCE_TICKS, TransportFeedback

__all__ = ["SentPacket", "TransportFeedbackGenerator", "TransportHistory"]

_LATEST: Final = 1_000
"""How many packets late an arrival is still told of."""
_WIDEST_GAP: Final = 1_000
"""Missing packets in a row that are told of; beyond it, a message begins anew."""
_ARRIVAL_COST: Final = 32
_REFERENCE_S: Final = REFERENCE_TICKS * DELTA_S


class TransportFeedbackGenerator:
    """Tells a sender which of its packets came, and when.

    A transform with time: `feed` it the transport-wide sequence numbers of all packets
    that come on a transport; send what it returns.

    Args:
        sender_ssrc: Our SSRC in the messages.
        interval: Seconds from the first untold arrival to its message.
        limits: Its ``feedback_packets`` is used.

    Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
    """

    __slots__ = (
        "_arrivals",
        "_count",
        "_due_at",
        "_highest",
        "_interval",
        "_most",
        "_next",
        "_told",
        "media_ssrc",
        "sender_ssrc",
    )

    def __init__(
        self,
        sender_ssrc: int,
        *,
        interval: float = 0.1,
        limits: Limits | None = None,
    ) -> None:
        self._interval = interval
        self._most = (limits or Limits()).feedback_packets
        self._arrivals: dict[int, int] = {}  # unwrapped number: ticks
        self._told: dict[int, int] = {}
        self._highest: int | None = None
        self._next: int | None = None
        self._due_at = 0.0
        self._count = 0
        self.sender_ssrc = sender_ssrc
        """Our SSRC in the messages."""
        self.media_ssrc = 0
        """One of the peer's sources; set it when one is known."""

    def feed(
        self, arrivals: Iterable[tuple[int, float]], now: float
    ) -> list[TransportFeedback]:
        """Take (sequence number, seconds of its arrival) of packets.

        0.6 µs a packet, its share of the messages included. Of two arrivals of one
        number the first counts.
        """
        pending = self._arrivals
        for sequence, at in arrivals:
            if self._highest is None:
                number = self._highest = sequence
            else:
                number = unwrap(sequence, self._highest, 16)
                if number > self._highest:
                    self._highest = number
                elif number <= self._highest - _LATEST:
                    continue
            if not pending:
                self._due_at = now + self._interval
            if number not in pending:
                pending[number] = round(at / DELTA_S)
        if len(pending) >= self._most or (pending and now >= self._due_at):
            return self._messages()
        return []

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, or None."""
        return self._due_at if self._arrivals else None

    def handle_timeout(self, now: float) -> list[TransportFeedback]:
        """Return what is due."""
        if self._arrivals and now >= self._due_at:
            return self._messages()
        return []

    @property
    def pending_bytes(self) -> int:
        """Octets that arrivals take: those to tell of, and those that were told of."""
        return _ARRIVAL_COST * (len(self._arrivals) + len(self._told))

    def _messages(self) -> list[TransportFeedback]:
        pending, self._arrivals = self._arrivals, {}
        base = min(pending)
        following = self._next
        told = self._told
        if following is not None:
            if base < following:
                # Late: the message goes back to it, and repeats what it passes.
                for number in range(base, following):
                    if number in told and number not in pending:
                        pending[number] = told[number]
            elif base - following < _WIDEST_GAP:
                # Messages join, so that a lost one is not taken for lost packets.
                base = following
        arrivals = sorted(pending.items())
        told.update(pending)
        if len(told) > 2 * _LATEST:
            oldest = arrivals[-1][0] - _LATEST
            self._told = {n: at for n, at in told.items() if n > oldest}
        messages: list[TransportFeedback] = []
        feedback: TransportFeedback | None = None
        ticks = number = 0
        for number, at in arrivals:
            if feedback is not None:
                end = base + len(feedback.deltas)
                is_far = number - end > _WIDEST_GAP
                if (
                    is_far
                    or number - base >= self._most
                    or not -0x8000 <= at - ticks <= 0x7FFF
                ):
                    base = number if is_far else end
                    feedback = None
            if feedback is None:
                reference = at // REFERENCE_TICKS
                ticks = reference * REFERENCE_TICKS
                feedback = self._message(base, reference)
                messages.append(feedback)
            feedback.deltas += [None] * (number - base - len(feedback.deltas))
            feedback.deltas.append(at - ticks)
            ticks = at
        self._next = max(number + 1, following or 0)
        return messages

    def _message(self, base: int, reference: int) -> TransportFeedback:
        signed = (reference + 0x800000 & 0xFFFFFF) - 0x800000
        count, self._count = self._count, self._count + 1 & 0xFF
        return TransportFeedback(
            self.sender_ssrc, self.media_ssrc, base & 0xFFFF, signed, count, []
        )


@attrs.define
class SentPacket:
    """What became of a packet that was sent."""

    sequence: int
    """Unwrapped: counts all packets of the transport."""
    octets: int
    sent_at: float
    """Seconds on our clock."""
    received_at: float | None = None
    """Seconds on the receiver's clock; None: it had not come by then."""


class TransportHistory:
    """Numbers the packets that are sent, and pairs them with their feedback.

    Args:
        limits: Its ``history_packets`` and ``history_time`` are used.

    Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §2.
    """

    __slots__ = ("_limits", "_next", "_reference", "_sent", "in_flight")

    def __init__(self, *, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._sent: dict[int, SentPacket] = {}
        self._next = 0
        self._reference: int | None = None
        self.in_flight = 0
        """Octets of packets that nobody has told to have come."""

    def send(self, octets: int, now: float) -> int:
        """Return the number for a packet that is sent now; the extension has 16 bits.

        Args:
            octets: Its size.
            now: Seconds on our clock.
        """
        number = self._next
        self._next += 1
        sent = self._sent
        sent[number] = SentPacket(number, octets, now)
        self.in_flight += octets
        if len(sent) > self._limits.history_packets:
            self.in_flight -= sent.pop(next(iter(sent))).octets
        return number & 0xFFFF

    def feed(self, feedback: TransportFeedback, now: float) -> list[SentPacket]:
        """Return what a message tells of packets that were sent.

        A packet that came is told of once; one that did not may be told of again.
        """
        self._forget(now)
        sent = self._sent
        if not self._next:
            return []
        reference = feedback.reference_time
        if self._reference is not None:
            reference = unwrap(reference & 0xFFFFFF, self._reference, 24)
        self._reference = reference
        shift = (reference - feedback.reference_time) * _REFERENCE_S
        number = unwrap(feedback.base_sequence, self._next - 1, 16)
        told = []
        for _, at in feedback.arrivals():
            if at is None:
                packet = sent.get(number)
                if packet is not None:
                    told.append(SentPacket(number, packet.octets, packet.sent_at))
            else:
                packet = sent.pop(number, None)
                if packet is not None:
                    self.in_flight -= packet.octets
                    packet.received_at = at + shift
                    told.append(packet)
            number += 1
        return told

    def _forget(self, now: float) -> None:
        sent = self._sent
        oldest = now - self._limits.history_time
        while sent:
            number = next(iter(sent))
            if sent[number].sent_at >= oldest:
                return
            self.in_flight -= sent.pop(number).octets
