"""Datagrams over TCP: two octets of length in front of each. Source: RFC 4571 §2."""

from __future__ import annotations

from typing import Final

from sansmedia.sansio import UsageError

__all__ = ["FrameReader", "encode_frame"]

_LENGTH_SIZE: Final = 2
_MAX_FRAME: Final = 0xFFFF


def encode_frame(datagram: bytes) -> bytes:
    """Return a datagram with its length in front. Source: RFC 4571 §2.

    Raises:
        UsageError: It is longer than 65,535 octets.
    """
    if len(datagram) > _MAX_FRAME:
        raise UsageError("a frame has at most 65,535 octets")
    return len(datagram).to_bytes(_LENGTH_SIZE, "big") + datagram


class FrameReader:
    """Takes a TCP stream apart into datagrams.

    Every octet is part of some frame, so there is no damage to find; a frame longer
    than the limit is passed over without being kept, and counted.

    Args:
        frame_size: Octets of the longest frame wanted.
    """

    __slots__ = ("_buffer", "_frame_size", "_skip", "oversized")

    def __init__(self, frame_size: int = 8192) -> None:
        self._buffer = bytearray()
        self._frame_size = frame_size
        self._skip = 0
        self.oversized = 0
        """Frames passed over."""

    @property
    def pending_bytes(self) -> int:
        """Octets of the frame that has begun."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take octets in any segmentation; return the datagrams that are whole.

        Empty frames are left out: no protocol that shares the port has them.
        """
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        buffer = self._buffer
        buffer += data
        frames = []
        at, size = 0, len(buffer)
        while size - at >= _LENGTH_SIZE:
            length = buffer[at] << 8 | buffer[at + 1]
            end = at + _LENGTH_SIZE + length
            if length > self._frame_size:
                self.oversized += 1
                self._skip = max(0, end - size)
                at = min(end, size)
                continue
            if end > size:
                break
            if length:
                frames.append(bytes(buffer[at + _LENGTH_SIZE : end]))
            at = end
        del buffer[:at]
        return frames
