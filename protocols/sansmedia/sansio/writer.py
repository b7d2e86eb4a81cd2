"""Builds wire bytes: the mirror image of `Reader`."""

from __future__ import annotations

import struct

from .errors import UsageError

__all__ = ["Writer"]

_F64 = struct.Struct(">d")


class Writer:
    """Appends integers and byte strings; `getvalue` gives the whole.

    Every method returns the writer, so calls chain. A value that does not fit its
    field raises `UsageError`: it is our mistake, never the peer's.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def _integer(self, value: int, size: int, order: str = "big") -> Writer:
        if not 0 <= value < 1 << (8 * size):
            raise UsageError(f"{value} does not fit {8 * size} bits")
        self._buffer += value.to_bytes(size, "little" if order == "little" else "big")
        return self

    def u8(self, value: int) -> Writer:
        """Append an unsigned 8-bit integer."""
        return self._integer(value, 1)

    def u16(self, value: int) -> Writer:
        """Append an unsigned 16-bit integer."""
        return self._integer(value, 2)

    def u24(self, value: int) -> Writer:
        """Append an unsigned 24-bit integer."""
        return self._integer(value, 3)

    def i24(self, value: int) -> Writer:
        """Append a signed 24-bit integer."""
        if not -(1 << 23) <= value < 1 << 23:
            raise UsageError(f"{value} does not fit 24 bits")
        return self._integer(value & 0xFFFFFF, 3)

    def u32(self, value: int) -> Writer:
        """Append an unsigned 32-bit integer."""
        return self._integer(value, 4)

    def u64(self, value: int) -> Writer:
        """Append an unsigned 64-bit integer."""
        return self._integer(value, 8)

    def u32_le(self, value: int) -> Writer:
        """Append an unsigned 32-bit integer, little-endian."""
        return self._integer(value, 4, "little")

    def f64(self, value: float) -> Writer:
        """Append an IEEE 754 double."""
        self._buffer += _F64.pack(value)
        return self

    def put(self, data: bytes | bytearray | memoryview) -> Writer:
        """Append octets as they are."""
        self._buffer += data
        return self

    def getvalue(self) -> bytes:
        """Return everything appended so far."""
        return bytes(self._buffer)
