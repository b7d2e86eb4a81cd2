"""When the receiving side acknowledges, and what it says then.

Source: SRT draft-01 §3.2.4, §4.8 and §4.10.
"""

from __future__ import annotations

import math
from typing import Final

from .ack_wire import Acknowledgement, encode_ack
from .constants import MAX_SEQUENCE_NUMBER, ControlType
from .rates import LinkCapacity, ReceivingRate
from .round_trip import AckWindow, RoundTrip

__all__ = ["ACK_INTERVAL", "Acknowledger"]

ACK_INTERVAL: Final = 0.01
"""Seconds from one full acknowledgement to the next."""
_LIGHT_ACK_PACKETS: Final = 64
_LIVE_MEASURING_INTERVAL: Final = 0.1


class Acknowledger:
    """Acknowledgements of one connection.

    Args:
        sequence: The first packet that the peer sends.
        full_size: Octets of payload of a packet of full size.
        live: Whether rates are for show, and seldom measured: only the pacing of files
            goes by them.
        round_trip: Of the connection.
        control: Where control packets are put, as type, information and field.
    """

    def __init__(
        self,
        sequence: int,
        *,
        full_size: int,
        live: bool,
        round_trip: RoundTrip,
        control: list[tuple[ControlType, int, bytes]],
    ) -> None:
        self.at = math.inf
        """When to acknowledge next."""
        self.sent = 0
        """Full acknowledgements that were sent."""
        self.since = 0
        """Packets that came since the last one."""
        self.pace = (0, 0)
        """Packets and octets a second that arrive."""
        self.capacity = LinkCapacity(full_size)
        """Of the path from the peer."""
        self._round_trip = round_trip
        self._control = control
        self._rate = ReceivingRate()
        self._link = 0
        self._measured_at = -math.inf
        self._measuring_interval = _LIVE_MEASURING_INTERVAL if live else 0.0
        self._window = AckWindow()
        self._number = 0
        self._sequence = sequence
        """What the last one acknowledged, ..."""
        self._sent_at = -math.inf
        """... and when it left."""
        self._told_rates_at = -math.inf
        """When the last one left that told rates."""
        self._confirmed = sequence
        """What the peer knows to be acknowledged."""
        self.was_full = False
        """Whether the peer was told last that there is no room."""
        self._light = 0

    def begin_at(self, sequence: int) -> None:
        """Go on from another packet."""
        self._sequence = self._confirmed = sequence

    def want(self, at: float) -> None:
        """Acknowledge at that time at the latest."""
        if at < self.at:
            self.at = at

    def want_soon(self, earliest: float = -math.inf) -> None:
        """Acknowledge when that may be done again, and not before ``earliest``."""
        self.want(max(self._sent_at + ACK_INTERVAL, earliest))

    def stop(self) -> None:
        """Acknowledge nothing."""
        self.at = math.inf

    def acknowledge_lightly(self, sequence: int) -> None:
        """Between full ones, tell a fast peer every 64 packets what has come."""
        if self.since < _LIGHT_ACK_PACKETS * (self._light + 1):
            return
        self._light = self.since // _LIGHT_ACK_PACKETS
        if sequence > self._confirmed:
            field = encode_ack(Acknowledgement(sequence & MAX_SEQUENCE_NUMBER))
            self._control.append((ControlType.ACK, 0, field))

    def acknowledge(
        self, sequence: int, now: float, *, available: int, packets: int, octets: int
    ) -> None:
        """Send a full acknowledgement if it says anything new, or got no answer.

        Args:
            sequence: The first packet that is missing.
            now: The time.
            available: Packets that there is room for.
            packets: All that came so far.
            octets: The same.
        """
        trip = self._round_trip
        self.since = self._light = 0
        reopened = self.was_full and available > 0
        if sequence == self._confirmed and not reopened:
            self.at = math.inf
            return
        patience = trip.rtt + 4 * trip.variance
        again_at = self._sent_at + patience
        if sequence == self._sequence and not reopened and now < again_at:
            self.at = again_at
            return
        report = Acknowledgement(
            sequence & MAX_SEQUENCE_NUMBER,
            round(trip.rtt * 1e6),
            round(trip.variance * 1e6),
            available,
        )
        if now - self._told_rates_at >= ACK_INTERVAL - 1e-6:
            self._told_rates_at = now
            if now - self._measured_at >= self._measuring_interval:
                self._measured_at = now
                self.pace = self._rate.look(now, packets, octets)
                self._link = max(self.capacity.rate, self.pace[0])
            report.receiving_rate, report.receiving_bytes = self.pace
            report.link_capacity = self._link
        self._sequence = sequence
        self._sent_at = now
        # Until the peer says that it knows, or more comes.
        self.at = now + max(patience, ACK_INTERVAL)
        self.was_full = not available
        number = self._number + 1
        self._number = number if number <= MAX_SEQUENCE_NUMBER else 1
        self._window.store(self._number, sequence, now)
        self._control.append((ControlType.ACK, self._number, encode_ack(report)))
        self.sent += 1

    def find(self, number: int) -> tuple[int, float] | None:
        """Return what an answered acknowledgement acknowledged and when it left."""
        return self._window.acknowledge(number)

    def confirm(self, sequence: int, *, expected: int) -> None:
        """Take it that the peer knows what was acknowledged.

        Args:
            sequence: Up to where.
            expected: The first packet that is missing by now.
        """
        self._confirmed = max(self._confirmed, sequence)
        if self._confirmed == expected:
            self.at = math.inf
