"""Rates that a connection measures: what comes, what the path bears, what goes in.

Source: SRT draft-01 §5.1.1 and §5.2.1.3.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .constants import HEADER_SIZE, UDP_HEADER_SIZE

__all__ = ["InputRate", "LinkCapacity", "ReceivingRate"]

_OVERHEAD: Final = HEADER_SIZE + UDP_HEADER_SIZE
_SNAPSHOTS: Final = 16
_PAIRS: Final = 64
# As libsrt: half a second until the first measurement, a second afterwards, or as
# many packets as that in the beginning; until then this many octets a second.
_FAST_START: Final = 0.5
_RUNNING: Final = 1.0
_FAST_PACKETS: Final = 2000
_FIRST_RATE: Final = 10_000_000 // 8


class ReceivingRate:
    """Packets and octets a second, over the last 16 looks at the counters.

    UDT takes the median of packet intervals. Packets come in batches here, and the
    kernel's times within one say little, so counters over time it is.
    """

    __slots__ = ("_snapshots",)

    def __init__(self) -> None:
        self._snapshots: deque[tuple[float, int, int]] = deque(maxlen=_SNAPSHOTS)

    def look(self, now: float, packets: int, octets: int) -> tuple[int, int]:
        """Take the counters; return packets and octets (headers included) a second."""
        snapshots = self._snapshots
        # What lies before a pause would be taken for a slow path.
        while snapshots and now - snapshots[0][0] > 1.0:
            snapshots.popleft()
        snapshots.append((now, packets, octets))
        # The long view is steady, the short one is right while the rate doubles with
        # every round trip.
        rates = [
            self._since(number, now, packets, octets)
            for number in {0, max(len(snapshots) - 3, 0)}
        ]
        return max(rates)

    def _since(
        self, number: int, now: float, packets: int, octets: int
    ) -> tuple[int, int]:
        began, first_packets, first_octets = self._snapshots[number]
        span = now - began
        if span <= 0:
            return 0, 0
        came = packets - first_packets
        size = octets - first_octets + came * _OVERHEAD
        return round(came / span), round(size / span)


class LinkCapacity:
    """Packets a second that the path bears, by pairs that were sent back to back.

    Every sixteenth packet is followed at once by the next; the median of the last 64
    distances says how fast the narrowest link lets packets through.
    """

    __slots__ = ("_distances", "_full_size", "_is_stale", "_pair", "_rate")

    def __init__(self, full_size: int) -> None:
        self._full_size = full_size
        self._distances: deque[float] = deque(maxlen=_PAIRS)
        self._pair: tuple[int, float] | None = None
        self._rate = 0
        self._is_stale = False

    def first(self, sequence: int, at: float) -> None:
        """Take the first packet of a pair."""
        self._pair = (sequence, at)

    def second(self, sequence: int, at: float, size: int) -> None:
        """Take the second packet of a pair, with its octets of payload."""
        pair, self._pair = self._pair, None
        if pair is None or pair[0] != sequence - 1 or at <= pair[1]:
            return
        whole = self._full_size + _OVERHEAD
        self._distances.append((at - pair[1]) * whole / (size + _OVERHEAD))
        self._is_stale = True

    @property
    def rate(self) -> int:
        """Packets of full size a second; 0: not known."""
        if self._is_stale:
            self._is_stale = False
            ordered = sorted(self._distances)
            median = ordered[len(ordered) // 2]
            near = [one for one in ordered if median / 8 < one < median * 8]
            self._rate = min(round(len(near) / sum(near)), 0x7FFF_FFFF)
        return self._rate


class InputRate:
    """Octets a second that the program sends, headers included."""

    __slots__ = ("_began", "_octets", "_packets", "_period", "rate")

    def __init__(self) -> None:
        self.rate = _FIRST_RATE
        """The last measurement."""
        self._began: float | None = None
        self._octets = 0
        self._packets = 0
        self._period = _FAST_START

    def add(self, packets: int, octets: int, now: float) -> bool:
        """Count what is to be sent; tell whether there is a new measurement."""
        if self._began is None:
            self._began = now
            return False
        self._packets += packets
        self._octets += octets
        span = now - self._began
        early = self._period < _RUNNING and self._packets > _FAST_PACKETS
        if span <= 0 or (span <= self._period and not early):
            return False
        self.rate = round((self._octets + self._packets * _OVERHEAD) / span)
        self._began = now
        self._octets = self._packets = 0
        self._period = _RUNNING
        return True
