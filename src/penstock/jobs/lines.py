"""Lines out of an untrusted stream of bytes, never more in memory than allowed."""

from __future__ import annotations

import attrs

__all__ = ["MAX_LINE_BYTES", "LineBudget", "LineSplitter"]

MAX_LINE_BYTES = 8192
"""The longest line that is kept whole. FFmpeg's own longest, the configuration in its
banner, has 2 to 4 KB."""


@attrs.define(eq=False)
class LineSplitter:
    """Split bytes at CR and at LF; empty pieces vanish.

    The same lines come whatever the segmentation. Of a line that is too long the
    beginning is kept and the rest is counted, so a program that never ends its line
    costs ``max_bytes`` and no more.
    """

    max_bytes: int = attrs.field(
        default=MAX_LINE_BYTES, validator=attrs.validators.ge(1)
    )
    """How much of a line is kept."""
    lines: int = 0
    """How many lines came."""
    cut_lines: int = 0
    """How many of them were longer than allowed."""
    dropped_bytes: int = 0
    """What was cut off them."""
    _begun: bytearray = attrs.field(factory=bytearray, init=False)
    _is_cut: bool = attrs.field(default=False, init=False)

    @property
    def pending_bytes(self) -> int:
        """Octets of the line that has not ended yet, at most ``max_bytes``."""
        return len(self._begun)

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that ended in ``data``; what is no UTF-8 is replaced."""
        *ended, rest = data.replace(b"\r", b"\n").split(b"\n")
        lines = []
        for number, piece in enumerate(ended):
            if number and len(piece) <= self.max_bytes:
                # Whole lines in one read are what a flood is made of: nothing to join.
                if piece:
                    lines.append(piece.decode("utf-8", "replace"))
                    self.lines += 1
            elif piece or self._begun:
                self._extend(piece)
                lines.append(self._finish())
        if rest:
            self._extend(rest)
        return lines

    def flush(self) -> list[str]:
        """Return the line that the end of the stream ended, if there is one."""
        return [self._finish()] if self._begun else []

    def _extend(self, piece: bytes) -> None:
        room = self.max_bytes - len(self._begun)
        self._begun += piece[:room]
        if len(piece) > room:
            self.dropped_bytes += len(piece) - room
            self._is_cut = True

    def _finish(self) -> str:
        line = self._begun.decode("utf-8", "replace")
        self.lines += 1
        self.cut_lines += self._is_cut
        self._begun.clear()
        self._is_cut = False
        return line


@attrs.define(eq=False)
class LineBudget:
    """How many lines are looked at each second; a flood is counted, not read.

    A job that prints 100 MB/s would otherwise take a core of the server for its log,
    of which 50 lines are shown.
    """

    per_second: int = 500
    """How many lines a second are admitted."""
    dropped: int = 0
    """How many were not."""
    _second: int = attrs.field(default=-1, init=False)
    _left: int = attrs.field(default=0, init=False)

    def admit(self, now: float) -> bool:
        """Tell whether a line that came at ``now`` (seconds) is worth looking at."""
        second = int(now)
        if second != self._second:
            self._second, self._left = second, self.per_second
        if self._left > 0:
            self._left -= 1
            return True
        self.dropped += 1
        return False
