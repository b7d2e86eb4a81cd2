"""Making large blocks of small ones."""

from __future__ import annotations

from typing import TypeAlias

import attrs

__all__ = ["Block", "BlockGatherer"]

Block: TypeAlias = bytes | bytearray | memoryview
"""Some bytes of a file; a memoryview has the format ``B`` and is contiguous."""


_CRUMB_BYTES = 4096


@attrs.define(eq=False)
class BlockGatherer:
    """Collects bytes until a block of the wanted size is together.

    Without it a writer that sends single bytes would cost a Python object (memory) or
    a change of threads (disk) for each. What comes in large pieces is passed on as it
    is, without a copy.
    """

    block_bytes: int
    _pieces: list[bytes] = attrs.field(factory=list, init=False)
    _gathered: int = attrs.field(default=0, init=False)
    """Bytes in the pieces."""
    _crumbs: bytearray = attrs.field(factory=bytearray, init=False)
    """What is too small to be kept as an object; behind the pieces."""

    def add(self, block: Block) -> list[bytes]:
        """Take bytes; return the blocks that are complete now, often none."""
        # A bytearray or a view may change later, or keep much more memory alive than
        # it shows, so these two are copied.
        if type(block) is bytes and len(block) >= _CRUMB_BYTES:
            if len(block) * 2 >= self.block_bytes:
                return [*self.rest(), block]
            # Joined once when the block is complete: 1.3 to 1.5 times as fast as a
            # bytearray that grows, which copies on the way and once more at the end.
            self._sweep()
            self._pieces.append(block)
            self._gathered += len(block)
        else:
            self._crumbs += block
        is_complete = self._gathered + len(self._crumbs) >= self.block_bytes
        return self.rest() if is_complete else []

    def rest(self) -> list[bytes]:
        """Return what is left over, as one block or none."""
        self._sweep()
        if not self._pieces:
            return []
        block = b"".join(self._pieces)
        self._pieces.clear()
        self._gathered = 0
        return [block]

    def _sweep(self) -> None:
        if self._crumbs:
            self._pieces.append(bytes(self._crumbs))
            self._gathered += len(self._crumbs)
            self._crumbs.clear()
