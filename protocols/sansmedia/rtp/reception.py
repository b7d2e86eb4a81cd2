"""What reports say: counts of what came and was sent, and round trips.

Source: RFC 3550 §6.4.1, RFC 3550 §A.1, RFC 3550 §A.3, RFC 3550 §A.8, RFC 3611 §4.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from sansmedia.sansio import serial_distance

from .limits import Limits
from .ntp import ntp_middle
from .rtcp_reports import ReportBlock, SenderReport
from .rtcp_xr import DelaySinceLastReport, DlrrBlock

__all__ = [
    "ReceptionStatistics",
    "ReferenceTimes",
    "SenderStatistics",
    "StreamStatistics",
    "round_trip_time",
]

_CYCLE: Final = 1 << 16
_UNIT: Final = 65_536
_LONGEST_ROUND_TRIP_S: Final = 60.0
_LARGEST_JITTER_S: Final = 5.0


def round_trip_time(last: int, delay: int, ntp_now: int) -> float | None:
    """Return the round trip that a report block or a DLRR entry shows, in seconds.

    Args:
        last: Its last SR or last RR.
        delay: The delay since then, in units of 1/65,536 s.
        ntp_now: Wall time of its arrival, as an NTP timestamp.

    Returns:
        None if the peer had no report yet, or claims more than a minute.

    Source: RFC 3550 §6.4.1, RFC 3611 §4.5.
    """
    if not last:
        return None
    # The peer's clock is none too exact: a little less than nothing is nothing.
    units = serial_distance(last + delay & 0xFFFFFFFF, ntp_middle(ntp_now), 32)
    if units > _LONGEST_ROUND_TRIP_S * _UNIT or units < -_UNIT:
        return None
    return max(0, units) / _UNIT


@attrs.frozen
class StreamStatistics:
    """Counters of a `ReceptionStatistics`."""

    received: int
    """Packets, duplicates included."""
    expected: int
    """Packets, from the first to the highest sequence number."""
    lost: int
    """Expected less received; below 0 by duplicates."""
    highest_sequence: int
    """With its cycles."""
    jitter_s: float
    restarts: int
    """Times that the sequence numbers began anew."""


class ReceptionStatistics:
    """Counts the packets of one source and makes report blocks of it.

    Sources are authentic where this is used, so there is no probation. Retransmissions
    belong to a source of their own.

    Args:
        ssrc: The source.
        clock_rate: Ticks of its timestamps in a second.
        limits: Its ``jump`` is used.

    Source: RFC 3550 §A.1, RFC 3550 §A.3, RFC 3550 §A.8.
    """

    __slots__ = (
        "_base",
        "_clock_rate",
        "_cycles",
        "_expected_before",
        "_highest",
        "_jitter",
        "_jump",
        "_last_at",
        "_last_sr",
        "_last_sr_at",
        "_last_timestamp",
        "_received",
        "_received_before",
        "_restarts",
        "_suspect",
        "ssrc",
    )

    def __init__(
        self, ssrc: int, clock_rate: int, *, limits: Limits | None = None
    ) -> None:
        self.ssrc = ssrc
        """The source."""
        self._clock_rate = clock_rate
        self._jump = (limits or Limits()).jump
        self._base = -1
        self._highest = 0
        self._cycles = 0
        self._received = 0
        self._expected_before = 0
        self._received_before = 0
        self._suspect = -1
        self._jitter = 0.0
        self._last_at = 0.0
        self._last_timestamp = 0
        self._last_sr = 0
        self._last_sr_at = 0.0
        self._restarts = 0

    def receive(self, sequence: int, timestamp: int, at: float) -> None:
        """Count one packet (0.3 µs).

        Args:
            sequence: 16 bits.
            timestamp: 32 bits.
            at: When it came, in seconds.
        """
        if self._base < 0:
            self._begin(sequence)
        else:
            ahead = sequence - self._highest & 0xFFFF
            if ahead < self._jump:
                if sequence < self._highest:
                    self._cycles += _CYCLE
                self._highest = sequence
            elif ahead <= _CYCLE - self._jump:
                # Two in a row: the source began anew. Source: RFC 3550 §A.1.
                if sequence != self._suspect:
                    self._suspect = sequence + 1 & 0xFFFF
                    return
                self._restarts += 1
                self._begin(sequence)
            elapsed = (at - self._last_at) * self._clock_rate
            step = serial_distance(self._last_timestamp, timestamp, 32)
            difference = abs(elapsed - step)
            # Beyond that the timestamps have jumped, and tell nothing of the network.
            if difference < _LARGEST_JITTER_S * self._clock_rate:
                self._jitter += (difference - self._jitter) / 16
        self._received += 1
        self._last_at = at
        self._last_timestamp = timestamp

    def _begin(self, sequence: int) -> None:
        self._base = self._highest = sequence
        self._cycles = self._received = 0
        self._expected_before = self._received_before = 0
        self._suspect = -1

    def receive_sender_report(self, report: SenderReport, at: float) -> None:
        """Note when the source's report came."""
        self._last_sr = ntp_middle(report.ntp_time)
        self._last_sr_at = at

    @property
    def _expected(self) -> int:
        return self._cycles + self._highest - self._base + 1 if self._base >= 0 else 0

    def report_block(self, now: float) -> ReportBlock:
        """Return what a report says at ``now``; the fraction counts from the last one.

        Source: RFC 3550 §6.4.1, RFC 3550 §A.3.
        """
        expected = self._expected
        interval = expected - self._expected_before
        lost = interval - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        fraction = min(255, (lost << 8) // interval) if lost > 0 and interval else 0
        cumulative = max(-0x800000, min(0x7FFFFF, expected - self._received))
        delay = 0
        if self._last_sr:
            delay = min(0xFFFFFFFF, max(0, int((now - self._last_sr_at) * _UNIT)))
        return ReportBlock(
            self.ssrc,
            fraction,
            cumulative,
            self._cycles + self._highest & 0xFFFFFFFF,
            int(self._jitter),
            self._last_sr,
            delay,
        )

    def statistics(self) -> StreamStatistics:
        """Return the counters."""
        return StreamStatistics(
            received=self._received,
            expected=self._expected,
            lost=self._expected - self._received,
            highest_sequence=self._cycles + self._highest,
            jitter_s=self._jitter / self._clock_rate,
            restarts=self._restarts,
        )


class SenderStatistics:
    """Counts what one source sent and makes its reports.

    Args:
        ssrc: The source.

    Source: RFC 3550 §6.4.1.
    """

    __slots__ = ("octets", "packets", "round_trip_time", "ssrc")

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        """The source."""
        self.packets = 0
        """Sent so far."""
        self.octets = 0
        """Of payloads, sent so far."""
        self.round_trip_time: float | None = None
        """By the last report block that showed one, in seconds."""

    def send(self, packets: int, octets: int) -> None:
        """Count a run that is sent; octets of payloads alone."""
        self.packets += packets
        self.octets += octets

    def sender_report(
        self, ntp_time: int, rtp_time: int, reports: Sequence[ReportBlock] = ()
    ) -> SenderReport:
        """Return a report.

        Args:
            ntp_time: Wall time as an NTP timestamp.
            rtp_time: The same moment in the source's clock; taken modulo 2**32.
            reports: About what the reporter receives.
        """
        return SenderReport(
            self.ssrc,
            ntp_time,
            rtp_time & 0xFFFFFFFF,
            self.packets & 0xFFFFFFFF,
            self.octets & 0xFFFFFFFF,
            list(reports),
        )

    def receive_report_block(self, block: ReportBlock, ntp_now: int) -> None:
        """Take what a receiver reports about the source."""
        measured = round_trip_time(block.last_sr, block.delay_since_last_sr, ntp_now)
        if measured is not None:
            self.round_trip_time = measured


class ReferenceTimes:
    """Answers receivers that send no media and want to know their round trip.

    Args:
        limits: Its ``reference_times`` is used.

    Source: RFC 3611 §4.4, RFC 3611 §4.5.
    """

    __slots__ = ("_limit", "_waiting")

    def __init__(self, *, limits: Limits | None = None) -> None:
        self._limit = (limits or Limits()).reference_times
        self._waiting: dict[int, tuple[int, float]] = {}

    def receive(self, ssrc: int, ntp_time: int, at: float) -> None:
        """Take a receiver's reference time; the oldest gives way to a stranger's."""
        self._waiting.pop(ssrc, None)
        if len(self._waiting) >= self._limit:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[ssrc] = (ntp_middle(ntp_time), at)

    def answer(self, now: float) -> DlrrBlock | None:
        """Return the answers to all that came since the last call, or None."""
        if not self._waiting:
            return None
        entries = [
            DelaySinceLastReport(
                ssrc, last, min(0xFFFFFFFF, max(0, int((now - at) * _UNIT)))
            )
            for ssrc, (last, at) in self._waiting.items()
        ]
        self._waiting.clear()
        return DlrrBlock(entries)
