"""Bit cursors: the reader can run out only by `ProtocolError`."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError, UsageError

__all__ = ["UE_MAX", "BitReader", "BitWriter"]

UE_MAX = (1 << 32) - 2
"""Largest codeNum of ue(v) that any syntax element may have (H.264 §7.2)."""


class BitReader:
    """Reads bit fields off the front of ``data``, most significant bit first.

    Each read costs the octets it touches, whatever the length of ``data``.

    Args:
        data: The octets to read; emulation prevention already removed.
        source: Clause quoted by the errors of this reader.
    """

    __slots__ = ("_data", "_end", "_source", "position")

    def __init__(self, data: bytes, *, source: str = "") -> None:
        self._data = data
        self._end = 8 * len(data)
        self._source = source
        self.position = 0
        """Bits consumed so far."""

    @property
    def remaining(self) -> int:
        """Bits left."""
        return self._end - self.position

    def error(self, reason: str, *, code: str = "malformed") -> ProtocolError:
        """Return an error that quotes this reader's clause."""
        return ProtocolError(reason, code=code, source=self._source)

    def u(self, count: int) -> int:
        """Return the next ``count`` bits as an unsigned integer."""
        start = self.position
        end = start + count
        if count < 0 or end > self._end:
            raise self.error(
                f"needs {count} bits, {self._end - start} left", code="truncated"
            )
        self.position = end
        window = int.from_bytes(self._data[start >> 3 : (end + 7) >> 3], "big")
        return (window >> (-end & 7)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Return the next bit."""
        start = self.position
        if start >= self._end:
            raise self.error("needs 1 bit, 0 left", code="truncated")
        self.position = start + 1
        return bool(self._data[start >> 3] >> (7 - (start & 7)) & 1)

    def skip(self, count: int) -> None:
        """Pass over ``count`` bits."""
        if count < 0 or count > self._end - self.position:
            raise self.error(f"cannot skip {count} bits", code="truncated")
        self.position += count

    def align(self) -> None:
        """Pass over bits up to the next octet border."""
        self.position = (self.position + 7) & ~7

    def ue(self, maximum: int = UE_MAX) -> int:
        """Return an unsigned Exp-Golomb code of at most ``maximum``.

        Source: H.264 §9.1, H.265 §9.2.

        Raises:
            ProtocolError: ``"truncated"`` at the end, ``"limit"`` above ``maximum``.
        """
        start = self.position
        first = start >> 3
        window = int.from_bytes(self._data[first : first + 5], "big")
        width = 8 * min(5, len(self._data) - first) - (start & 7)
        window &= (1 << max(width, 0)) - 1
        zeros = width - window.bit_length()
        if not window:
            if width < 32:
                raise self.error("Exp-Golomb code cut short", code="truncated")
            raise self.error("Exp-Golomb code above 32 bits")
        if zeros > 31:
            raise self.error("Exp-Golomb code above 32 bits")
        self.position = start + zeros
        try:
            value = self.u(zeros + 1) - 1
        except ProtocolError:
            self.position = start
            raise
        if value > maximum:
            raise self.error(f"{value} exceeds {maximum}", code="limit")
        return value

    def se(self) -> int:
        """Return a signed Exp-Golomb code. Source: H.264 §9.1.1, H.265 §9.2.2."""
        code = self.ue()
        return (code + 1) >> 1 if code & 1 else -(code >> 1)

    def more_rbsp_data(self) -> bool:
        """Tell whether syntax elements precede the stop bit. Source: H.264 §7.2."""
        if self.position >= self._end:
            return False
        tail = self._data[self.position >> 3 :].rstrip(b"\0")
        if not tail:
            return False
        last = tail[-1]
        stop = 8 * (self.position >> 3) + 8 * len(tail) - (last & -last).bit_length()
        return self.position < stop


class BitWriter:
    """Builds bit fields, most significant bit first: the mirror of `BitReader`."""

    __slots__ = ("_count", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._count = 0

    @property
    def count(self) -> int:
        """Bits written so far."""
        return self._count

    def u(self, count: int, value: int) -> BitWriter:
        """Append ``value`` as ``count`` bits.

        Raises:
            UsageError: ``value`` does not fit.
        """
        if not 0 <= value < 1 << count:
            raise UsageError(f"{value} does not fit {count} bits")
        self._value = self._value << count | value
        self._count += count
        return self

    def flag(self, value: bool) -> BitWriter:
        """Append one bit."""
        return self.u(1, int(value))

    def ue(self, value: int) -> BitWriter:
        """Append an unsigned Exp-Golomb code. Source: H.264 §9.1."""
        if not 0 <= value <= UE_MAX:
            raise UsageError(f"{value} has no Exp-Golomb code")
        width = (value + 1).bit_length()
        return self.u(2 * width - 1, value + 1)

    def se(self, value: int) -> BitWriter:
        """Append a signed Exp-Golomb code. Source: H.264 §9.1.1."""
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def align(self) -> BitWriter:
        """Append zero bits up to the next octet border."""
        return self.u(-self._count % 8, 0)

    def put(self, data: bytes) -> BitWriter:
        """Append octets, aligned or not."""
        return self.u(8 * len(data), int.from_bytes(data, "big"))

    def rbsp_trailing(self) -> BitWriter:
        """Append the stop bit and align. Source: H.264 §7.3.2.11."""
        return self.u(1, 1).align()

    def getvalue(self) -> bytes:
        """Return everything appended so far, the last octet filled with zeros."""
        pad = -self._count % 8
        return (self._value << pad).to_bytes((self._count + pad) // 8, "big")
