"""How fast packets may go: live and file congestion control.

Source: SRT draft-01 §5.1 and §5.2.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from .constants import HEADER_SIZE, UDP_HEADER_SIZE
from .options import SrtOptions
from .rates import InputRate

__all__ = ["Congestion", "FileCongestion", "LiveCongestion", "Pacer"]

OVERHEAD: Final = HEADER_SIZE + UDP_HEADER_SIZE
_NO_WINDOW: Final = 1 << 30
_RC_INTERVAL: Final = 0.01
_RC_INTERVAL_US: Final = 10_000.0
_FIRST_WINDOW: Final = 16.0
_LOSS_TOLERATED: Final = 0.02
_DECREASE: Final = 1.03
_WARNING: Final = 1.125


class Pacer:
    """Says when the next packet may go; lets bursts of one tick pass.

    Args:
        burst: Seconds of sending that may be made up for after a pause.
    """

    __slots__ = ("_burst", "next_at", "per_octet", "period")

    def __init__(self, burst: float) -> None:
        self._burst = burst
        self.next_at = -math.inf
        """When the next packet may go."""
        self.period = 0.0
        """Seconds that each packet costs."""
        self.per_octet = 0.0
        """Seconds that each octet costs, headers included."""

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to wait for, ever."""
        return self.period > 0 or self.per_octet > 0

    def spend(self, size: int, now: float) -> None:
        """Count a packet with ``size`` octets of payload."""
        cost = self.period + (size + OVERHEAD) * self.per_octet
        self.next_at = max(self.next_at, now - self._burst) + cost


class Congestion(Protocol):
    """What sending asks of congestion control."""

    @property
    def window(self) -> int:
        """Packets that may be under way."""
        ...

    def add_input(self, packets: int, octets: int, now: float) -> None:
        """Count what the program sends."""
        ...

    def acknowledge(
        self, sequence: int, now: float, rtt: float, rate: float, capacity: float
    ) -> None:
        """Take a full acknowledgement; rates in packets a second."""
        ...

    def lose(
        self, sequence: int, last_sent: int, lost: int, rtt: float, rate: float
    ) -> None:
        """Take a loss report: its first packet, and how many are lost by now."""
        ...

    def expire(self, rtt: float, rate: float) -> None:
        """Take it that acknowledgements stay away."""
        ...

    def warn(self) -> None:
        """Take a congestion warning."""
        ...


class LiveCongestion:
    """Keeps to a bandwidth that is set, or measured at the input (SRT draft-01 §5.1).

    Sending costs by octets rather than by the period of an average packet: the same
    rate, without waiting for acknowledgements to correct it.
    """

    def __init__(self, options: SrtOptions, pacer: Pacer) -> None:
        self.window = _NO_WINDOW
        self._options = options
        self._pacer = pacer
        self._input: InputRate | None = None
        if options.max_bw > 0:
            self._limit(options.max_bw)
        elif options.max_bw == 0 and options.input_bw > 0:
            self._limit(self._with_overhead(options.input_bw))
        elif options.max_bw == 0:
            self._input = InputRate()
            self._limit(self._measured(self._input.rate))

    def _with_overhead(self, rate: int) -> float:
        return rate * (1 + self._options.overhead_bw / 100)

    def _measured(self, rate: int) -> float:
        return self._with_overhead(max(rate, self._options.min_input_bw))

    def _limit(self, rate: float) -> None:
        # With nothing coming in there may still be something to send again.
        if rate > 0:
            self._pacer.per_octet = 1 / rate

    def add_input(self, packets: int, octets: int, now: float) -> None:
        """Count what the program sends."""
        if self._input is not None and self._input.add(packets, octets, now):
            self._limit(self._measured(self._input.rate))

    def acknowledge(
        self, sequence: int, now: float, rtt: float, rate: float, capacity: float
    ) -> None:
        """Take a full acknowledgement: nothing to do."""

    def lose(
        self, sequence: int, last_sent: int, lost: int, rtt: float, rate: float
    ) -> None:
        """Take a loss report: nothing to do."""

    def expire(self, rtt: float, rate: float) -> None:
        """Take it that acknowledgements stay away: nothing to do."""

    def warn(self) -> None:
        """Slow down by an eighth, until the input is measured anew."""
        self._pacer.per_octet *= _WARNING


class FileCongestion:
    """Slow start once, then UDT's congestion avoidance (SRT draft-01 §5.2).

    Args:
        options: For the bandwidth that may be set.
        pacer: Told the period between packets.
        mss: Octets of a whole packet.
        sequence: The first that is sent.
        most: The largest window, in packets.
        seed: Of the numbers that decide which loss reports slow down.
    """

    def __init__(
        self,
        options: SrtOptions,
        pacer: Pacer,
        *,
        mss: int,
        sequence: int,
        most: int,
        seed: int,
    ) -> None:
        self.is_slow_start = True
        """Whether the path is still probed."""
        self._pacer = pacer
        self._mss = mss
        self._max_bw = max(options.max_bw, 0)
        self._most = most
        self._window = _FIRST_WINDOW
        self._period_us = 1.0
        self._last_ack = sequence
        self._last_rate_change = -math.inf
        self._is_loss_new = False
        self._last_decrease = sequence - 1
        self._last_decrease_period_us = 1.0
        self._naks = 0
        self._average_naks = 0
        self._decreases = 0
        self._decrease_at = 1
        self._seed = seed
        self._apply()

    @property
    def window(self) -> int:
        """Packets that may be under way."""
        return int(self._window)

    def _apply(self, rtt: float | None = None) -> None:
        if rtt is not None and not self.is_slow_start:
            # Where packets are lost at random the rate would fall without end; the
            # window lets twice as many as this be under way in any case.
            most = 2 * (rtt * 1e6 + _RC_INTERVAL_US) / _FIRST_WINDOW
            self._period_us = min(self._period_us, most)
        if self._max_bw:
            least = 1e6 * self._mss / self._max_bw
            self._period_us = max(self._period_us, least)
        self._pacer.period = self._period_us / 1e6

    def _end_slow_start(self, rtt: float, rate: float) -> None:
        self.is_slow_start = False
        if rate > 0:
            self._period_us = 1e6 / rate
        else:
            # The draft and libsrt divide the other way round, which is no period.
            self._period_us = (rtt * 1e6 + _RC_INTERVAL_US) / self._window

    def add_input(self, packets: int, octets: int, now: float) -> None:
        """Count what the program sends: nothing to do."""

    def acknowledge(
        self, sequence: int, now: float, rtt: float, rate: float, capacity: float
    ) -> None:
        """Take a full acknowledgement; rates in packets a second."""
        if now - self._last_rate_change < _RC_INTERVAL:
            return
        self._last_rate_change = now
        if self.is_slow_start:
            self._window += max(sequence - self._last_ack, 0)
            self._last_ack = sequence
            if self._window > self._most:
                self._window = float(self._most)
                self._end_slow_start(rtt, rate)
        else:
            self._window = rate * (rtt + _RC_INTERVAL) + _FIRST_WINDOW
        if not self.is_slow_start:
            if self._is_loss_new:
                self._is_loss_new = False
            else:
                self._speed_up(capacity)
        self._apply(rtt)

    def _speed_up(self, capacity: float) -> None:
        period, last = self._period_us, self._last_decrease_period_us
        # Twice the rate of the last loss, and no more than the path seems to bear.
        bearable = min(2e6 / last, capacity or math.inf)
        spare = bearable - 1e6 / period
        if period > last and bearable / 9 < spare:
            spare = bearable / 9
        increase = 1 / self._mss
        if spare > 0:
            magnitude = math.ceil(math.log10(spare * self._mss * 8))
            increase = max(10.0**magnitude * 0.0000015 / self._mss, increase)
        self._period_us = (
            period * _RC_INTERVAL_US / (period * increase + _RC_INTERVAL_US)
        )

    def lose(
        self, sequence: int, last_sent: int, lost: int, rtt: float, rate: float
    ) -> None:
        """Take a loss report: its first packet, and how many are lost by now."""
        if self.is_slow_start:
            self._end_slow_start(rtt, rate)
        self._is_loss_new = True
        under_way = rtt * 1e6 / self._period_us
        if under_way < 1 or lost / under_way < _LOSS_TOLERATED:
            self._last_decrease_period_us = self._period_us
        elif sequence > self._last_decrease:
            self._last_decrease_period_us = self._period_us
            self._period_us *= _DECREASE
            average = self._average_naks * 0.97 + self._naks * 0.03
            self._average_naks = math.ceil(average)
            self._naks = 1
            self._decreases = 1
            self._last_decrease = last_sent
            self._decrease_at = self._draw(self._average_naks)
        else:
            self._naks += 1
            if self._decreases <= 5 and not self._naks % self._decrease_at:
                self._decreases += 1
                self._period_us *= _DECREASE
                self._last_decrease = last_sent
        self._apply(rtt)

    def _draw(self, most: int) -> int:
        # Which of a burst of reports counts must not be the same for all connections
        # of a path; nothing secret hangs on it.
        self._seed = (self._seed * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        return 1 + (self._seed >> 16) % max(most, 1)

    def expire(self, rtt: float, rate: float) -> None:
        """Take it that acknowledgements stay away."""
        if self.is_slow_start:
            self._end_slow_start(rtt, rate)
            self._apply(rtt)

    def warn(self) -> None:
        """Slow down by an eighth."""
        self._period_us *= _WARNING
        self._apply()
