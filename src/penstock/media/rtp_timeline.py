"""One RTP publication's time: each track's own clock on the stream's one zero.

RTP timestamps start at random, wrap (13 h at 90 kHz), and say nothing of other tracks.
Sender reports tie each track to the sender's wall clock, and so to each other; until
the first report a track stands where its packets arrived. What a later report corrects
is *slewed*: time goes a little faster or slower until it fits.
"""

from __future__ import annotations

from collections.abc import Hashable

import attrs
from sansmedia.sansio import unwrap

from .timestamp import milliseconds

__all__ = ["RtpTimeline"]

_GAP_S = 0.02
"""Put between what a restart of a clock or a new publisher separates."""
_SLEW = 0.02
"""Seconds of correction a second: 2 % is nothing that anybody sees or hears."""
_STEP_WITHIN_S = 2.0
"""A track this young is put right at once: few have seen it yet."""
_JUMP_S = 10.0
"""A timestamp this far from where its arrival puts it comes from a new clock."""
_BACK_S = 1.0
"""So does one this far back, as in a looped file: no order of pictures goes there."""
_SENDER_STEP_S = 5.0
"""A report this far from the former comes from a sender whose wall clock was set."""


@attrs.define(eq=False)
class _Clock:
    """How one track's timestamps become stream time."""

    rate: int
    unwrapped: int
    offset_s: float
    """Stream time = unwrapped / rate + offset."""
    began: float
    arrival: float
    target_s: float | None = None
    """What reports say the offset should be."""


class RtpTimeline:
    """Maps the RTP timestamps of one publication's tracks.

    Args:
        origin_ms: Where the stream's time stands; 0 for the first publication.
    """

    def __init__(self, origin_ms: int = 0) -> None:
        self.last_ms = origin_ms
        """The latest time given out."""
        self.jumps = 0
        """How often a track's clock started anew."""
        self._origin_s = origin_ms / 1000 + (_GAP_S if origin_ms else 0.0)
        self._first_arrival: float | None = None
        self._ntp_zero: float | None = None
        """The sender's wall clock at stream time 0, once a report has come."""
        self._clocks: dict[Hashable, _Clock] = {}

    def map(self, track: Hashable, rate: int, timestamp: int, now: float) -> int:
        """Return the presentation time of a packet or frame in ticks, never negative.

        Args:
            track: Which clock; any name.
            rate: Ticks a second of that clock.
            timestamp: 32-bit wrapped, as it stands in the header.
            now: When it arrived, in seconds.
        """
        clock = self._clocks.get(track)
        if clock is None or clock.rate != rate:
            clock = self._clocks[track] = self._started(rate, timestamp, now)
        unwrapped = unwrap(timestamp, clock.unwrapped, 32)
        passed_s = (unwrapped - clock.unwrapped) / rate
        waited_s = now - clock.arrival
        if abs(passed_s - waited_s) > _JUMP_S or passed_s < -_BACK_S:
            self.jumps += 1
            clock = self._clocks[track] = self._started(rate, timestamp, now)
            clock.began = float("-inf")  # everybody has seen this track
        else:
            self._slew(clock, waited_s)
            clock.unwrapped = unwrapped
            clock.arrival = max(clock.arrival, now)
        ticks = max(0, round(clock.unwrapped + clock.offset_s * rate))
        self.last_ms = max(self.last_ms, milliseconds(ticks, rate))
        return ticks

    def _started(self, rate: int, timestamp: int, now: float) -> _Clock:
        if self._first_arrival is None:
            self._first_arrival = now
        stream_s = self._origin_s + now - self._first_arrival
        return _Clock(rate, timestamp, stream_s - timestamp / rate, now, now)

    def report(self, track: Hashable, ntp_s: float, timestamp: int, now: float) -> None:
        """Take a sender report: at ``ntp_s`` the track's clock showed ``timestamp``.

        Source: RFC 3550 §6.4.1.

        Args:
            track: As for `map`; reports before the first packet say nothing.
            ntp_s: The sender's wall clock, seconds since any epoch.
            timestamp: The report's RTP timestamp, 32-bit wrapped.
            now: When the report arrived.
        """
        clock = self._clocks.get(track)
        if clock is None:
            return
        shown = unwrap(timestamp, clock.unwrapped, 32)
        behind_s = (shown - clock.unwrapped) / clock.rate - (now - clock.arrival)
        if ntp_s <= 0 or abs(behind_s) > _JUMP_S:
            return  # OBS's first report tells a timestamp of all ones
        media_s = shown / clock.rate
        if self._ntp_zero is None:
            self._ntp_zero = ntp_s - (media_s + clock.offset_s)
        target_s = ntp_s - self._ntp_zero - media_s
        if abs(target_s - clock.offset_s) > _SENDER_STEP_S:
            # Its wall clock was set: what is in sync stays where it is.
            self._ntp_zero = ntp_s - (media_s + clock.offset_s)
            for other in self._clocks.values():
                other.target_s = None
            return
        young = clock.target_s is None and now - clock.began < _STEP_WITHIN_S
        clock.target_s = target_s
        if young:
            clock.offset_s = target_s

    @staticmethod
    def _slew(clock: _Clock, waited_s: float) -> None:
        if clock.target_s is None or waited_s <= 0:
            return
        most_s = waited_s * _SLEW
        wrong_s = clock.target_s - clock.offset_s
        clock.offset_s += max(-most_s, min(most_s, wrong_s))
