"""The checksum of sections."""

from __future__ import annotations

__all__ = ["crc32"]


def _remainder(octet: int) -> int:
    value = octet << 24
    for _ in range(8):
        value = value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_TABLE = tuple(map(_remainder, range(256)))


def crc32(data: bytes) -> int:
    """Return CRC_32; 0 for data that ends with its own.

    `zlib.crc32` is no help: it goes through the bits the other way round.

    Source: ISO 13818-1 §A.2.
    """
    table = _TABLE
    value = 0xFFFFFFFF
    for octet in data:
        value = (value << 8 & 0xFFFFFFFF) ^ table[value >> 24 ^ octet]
    return value
