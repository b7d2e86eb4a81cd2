"""A cursor over peer bytes that can run out only by `ProtocolError`."""

from __future__ import annotations

import struct

from .errors import ProtocolError

__all__ = ["Reader"]

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")
_U16LE = struct.Struct("<H")
_U32LE = struct.Struct("<I")
_U64LE = struct.Struct("<Q")


class Reader:
    """Reads integers and slices off the front of ``data``.

    Big-endian unless the name ends in ``_le``. Every read that would pass the end
    raises ``ProtocolError(code="truncated")`` and leaves the cursor where it was.

    Args:
        data: The bytes to read; kept by reference, never copied as a whole.
        source: Clause quoted by the errors of this reader.
    """

    __slots__ = ("_data", "_end", "_source", "position")

    def __init__(self, data: bytes, *, source: str = "") -> None:
        self._data = data
        self._end = len(data)
        self._source = source
        self.position = 0
        """Octets consumed so far."""

    @property
    def remaining(self) -> int:
        """Octets left."""
        return self._end - self.position

    def _advance(self, count: int) -> int:
        start = self.position
        if count < 0 or start + count > self._end:
            raise ProtocolError(
                f"needs {count} octets, {self._end - start} left",
                code="truncated",
                source=self._source,
            )
        self.position = start + count
        return start

    def take(self, count: int) -> bytes:
        """Return the next ``count`` octets."""
        start = self._advance(count)
        return bytes(self._data[start : start + count])

    def rest(self) -> bytes:
        """Return everything that is left; may be empty."""
        return self.take(self._end - self.position)

    def skip(self, count: int) -> None:
        """Pass over ``count`` octets."""
        self._advance(count)

    def peek_u8(self) -> int:
        """Return the next octet without consuming it."""
        start = self._advance(1)
        self.position = start
        return self._data[start]

    def u8(self) -> int:
        """Return an unsigned 8-bit integer."""
        return self._data[self._advance(1)]

    def u16(self) -> int:
        """Return an unsigned 16-bit integer."""
        value: int = _U16.unpack_from(self._data, self._advance(2))[0]
        return value

    def u24(self) -> int:
        """Return an unsigned 24-bit integer."""
        start = self._advance(3)
        return int.from_bytes(self._data[start : start + 3], "big")

    def i24(self) -> int:
        """Return a signed 24-bit integer."""
        value = self.u24()
        return value - (1 << 24) if value & 0x800000 else value

    def u32(self) -> int:
        """Return an unsigned 32-bit integer."""
        value: int = _U32.unpack_from(self._data, self._advance(4))[0]
        return value

    def u64(self) -> int:
        """Return an unsigned 64-bit integer."""
        value: int = _U64.unpack_from(self._data, self._advance(8))[0]
        return value

    def f64(self) -> float:
        """Return an IEEE 754 double."""
        value: float = _F64.unpack_from(self._data, self._advance(8))[0]
        return value

    def u16_le(self) -> int:
        """Return an unsigned 16-bit integer, little-endian."""
        value: int = _U16LE.unpack_from(self._data, self._advance(2))[0]
        return value

    def u32_le(self) -> int:
        """Return an unsigned 32-bit integer, little-endian."""
        value: int = _U32LE.unpack_from(self._data, self._advance(4))[0]
        return value

    def u64_le(self) -> int:
        """Return an unsigned 64-bit integer, little-endian."""
        value: int = _U64LE.unpack_from(self._data, self._advance(8))[0]
        return value
