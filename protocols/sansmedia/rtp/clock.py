"""Which wall time an RTP timestamp stands for.

Source: RFC 3550 §6.4.1.
"""

from __future__ import annotations

from typing import Final

from sansmedia.sansio import unwrap

from .ntp import unix_from_ntp
from .rtcp_reports import SenderReport

__all__ = ["RtpClock"]

_FAR_S: Final = 30.0
"""How far from the stream's own timestamps a report's may be."""
_LATEST_S: Final = 10.0
_UNSET: Final = 0xFFFFFFFF
"""In the first report of OBS, whose source has no timestamp yet."""
_STEP_S: Final = 1.0
"""How far two reports may disagree; more is a wrong one, or a clock that was set."""


class RtpClock:
    """Unwraps the timestamps of one stream and maps them to time.

    Until the first sender report the arrival of packets is all there is: `arrival_time`
    maps by the packet that came with the least delay. From then on `wall_time` maps by
    the peer's clock, which is one for all its streams.

    A report is refused if its wall time is 0, or its timestamp 0xFFFFFFFF or far from
    those of the packets. One that disagrees with the last is refused too, and if the
    next agrees with it, that one is taken.

    Args:
        clock_rate: Ticks in a second.

    Source: RFC 3550 §5.1, RFC 3550 §6.4.1.
    """

    __slots__ = (
        "_clock_rate",
        "_delay",
        "_doubted",
        "_early",
        "_last",
        "_report",
        "refused",
    )

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._last: int | None = None
        self._delay: float | None = None
        self._early: SenderReport | None = None
        self._report: tuple[int, float] | None = None  # ticks, Unix seconds
        self._doubted: tuple[int, float] | None = None
        self.refused = 0
        """Reports that were refused."""

    @property
    def is_synchronised(self) -> bool:
        """Whether a sender report has told the wall time."""
        return self._report is not None

    def receive(self, timestamp: int, at: float) -> int:
        """Unwrap the timestamp of a packet and note when it came (0.3 µs).

        Args:
            timestamp: 32 bits.
            at: Seconds.

        Returns:
            Ticks that go on over 2**32; the first timestamp stands for itself.
        """
        last = self._last
        ticks = timestamp if last is None else unwrap(timestamp, last, 32)
        self._last = ticks
        delay = at - ticks / self._clock_rate
        least = self._delay
        # No packet is that late: the timestamps began anew.
        if least is None or delay < least or delay > least + _LATEST_S:
            self._delay = delay
        if self._early is not None:
            early, self._early = self._early, None
            self.receive_sender_report(early)
        return ticks

    def receive_sender_report(self, report: SenderReport) -> bool:
        """Take a report of the stream; False if it is refused.

        One that comes before any packet is judged with the first packet.
        """
        if not report.ntp_time or report.rtp_time == _UNSET:
            self.refused += 1
            return False
        if self._last is None:
            self._early = report
            return True
        ticks = unwrap(report.rtp_time, self._last, 32)
        if abs(ticks - self._last) > _FAR_S * self._clock_rate:
            self.refused += 1
            return False
        found = (ticks, unix_from_ntp(report.ntp_time))
        if self._report is not None and not self._agree(self._report, found):
            doubted, self._doubted = self._doubted, found
            if doubted is None or not self._agree(doubted, found):
                self.refused += 1
                return False
        self._doubted = None
        self._report = found
        return True

    def _agree(self, first: tuple[int, float], second: tuple[int, float]) -> bool:
        by_media = (second[0] - first[0]) / self._clock_rate
        return abs(second[1] - first[1] - by_media) <= _STEP_S

    def arrival_time(self, ticks: int) -> float | None:
        """Return when a packet of that time comes if nothing delays it.

        Args:
            ticks: As `receive` returns them.

        Returns:
            Seconds on the clock of ``at``; None before the first packet.
        """
        return None if self._delay is None else self._delay + ticks / self._clock_rate

    def wall_time(self, ticks: int) -> float | None:
        """Return the wall time of the peer's clock, or None before the first report.

        Args:
            ticks: As `receive` returns them.

        Returns:
            Unix seconds.
        """
        if self._report is None:
            return None
        reported, seconds = self._report
        return seconds + (ticks - reported) / self._clock_rate

    def ticks_at(self, wall_time: float) -> int | None:
        """Return the stream's ticks at a wall time, or None before the first report.

        Args:
            wall_time: Unix seconds on the peer's clock.
        """
        if self._report is None:
            return None
        reported, seconds = self._report
        return reported + round((wall_time - seconds) * self._clock_rate)
