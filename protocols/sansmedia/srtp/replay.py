"""Which packet indexes were there before.

Source: RFC 3711 §3.3.1, RFC 3711 §3.3.2.
"""

from __future__ import annotations

__all__ = ["ReplayWindow"]


class ReplayWindow:
    """The indexes up to ``size`` behind the highest, one bit each.

    Args:
        size: How far behind the highest an index may be.
        first: The first index that was used.

    Source: RFC 3711 §3.3.2.
    """

    __slots__ = ("_full", "_seen", "_size", "highest")

    def __init__(self, size: int, first: int) -> None:
        self._size = size
        self._full = (1 << size) - 1
        self._seen = 1
        self.highest = first
        """The highest index so far."""

    def new_index(self, sequence: int) -> int:
        """Return the packet index that ``sequence`` most likely stands for.

        Args:
            sequence: 16 bits, as in the packet.

        Returns:
            Rollover counter times 2**16, plus the sequence number; -1 if that index
            was there before or is too old to know.

        Source: RFC 3711 §3.3.1.
        """
        highest = self.highest
        last = highest & 0xFFFF
        index = highest - last + sequence
        if last < 0x8000:
            # Nothing lies before the first rollover counter: a jump that far is loss.
            if sequence - last > 0x8000 and highest > 0xFFFF:
                index -= 0x10000
        elif last - 0x8000 > sequence:
            index += 0x10000
        behind = highest - index
        if behind < 0:
            return index
        if behind >= self._size or self._seen >> behind & 1:
            return -1
        return index

    def is_new(self, index: int) -> bool:
        """Tell whether the index is none of before, nor too old to know."""
        behind = self.highest - index
        return behind < 0 or (behind < self._size and not self._seen >> behind & 1)

    def add(self, index: int) -> None:
        """Note that the index was used; it is known to be new."""
        ahead = index - self.highest
        if ahead == 1:  # nearly always, and half the time of a run
            self._seen = (self._seen << 1 | 1) & self._full
            self.highest = index
        elif ahead > 0:
            self.add_run(index, 1)
        else:
            self._seen |= 1 << -ahead

    def add_run(self, first: int, count: int) -> None:
        """Note a run of indexes that begins above the highest one."""
        ahead = first + count - 1 - self.highest
        run = (1 << min(count, self._size)) - 1
        if ahead < self._size:
            run |= self._seen << ahead & self._full
        self._seen = run
        self.highest += ahead
