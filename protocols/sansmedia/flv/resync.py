"""Finding tags again in a damaged FLV stream."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from typing import Final

__all__ = ["TagSearch"]

_PLAUSIBLE: Final = re.compile(
    rb"[\x08\x09\x0f\x12].{7}\x00\x00\x00|FLV\x01.\x00\x00\x00\x09", re.DOTALL
)
_LONGEST: Final = 11
_MAX_CANDIDATES: Final = 64


class TagSearch:
    """One search: looks for a tag that proves itself by the size behind it.

    Up to 64 candidates wait for their ends at a time, so that a chance likeness with a
    huge size does not hide the real tags inside it. What is found depends on the bytes
    alone and not on their segmentation: beginnings and ends are judged in the order in
    which they come in the stream.

    Args:
        measure: Returns where the tag at a position ends, its previous-tag size
            included, or None if none can stand there.
    """

    __slots__ = ("_candidates", "_measure", "_scanned")

    def __init__(self, measure: Callable[[int], int | None]) -> None:
        self._measure = measure
        self._candidates: list[tuple[int, int]] = []
        self._scanned = 0

    def advance(self, buffer: bytearray) -> tuple[int, bool]:
        """Search as far as ``buffer`` reaches.

        Returns:
            How many octets can go, and whether a tag or file header stands behind them.
            The next call gets the buffer without them.
        """
        candidates = self._candidates
        match = _PLAUSIBLE.search(buffer, self._scanned)
        while True:
            now = len(buffer) if match is None else match.end()
            if candidates and candidates[0][0] <= now:
                end, start = heapq.heappop(candidates)
                size = int.from_bytes(buffer[end - 4 : end], "big")
                if size == end - start - 4:
                    return start, True
                continue
            if match is None:
                break
            start = match.start()
            if buffer[start] == 0x46:
                return start, True
            self._scanned = start + 1
            if len(candidates) < _MAX_CANDIDATES:
                measured = self._measure(start)
                if measured is not None:
                    heapq.heappush(candidates, (measured, start))
            match = _PLAUSIBLE.search(buffer, self._scanned)
        self._scanned = max(self._scanned, len(buffer) - _LONGEST + 1)
        passed = min((start for _, start in candidates), default=self._scanned)
        self._scanned -= passed
        self._candidates = [(end - passed, start - passed) for end, start in candidates]
        return passed, False
