"""MPEG audio payloads (RFC 2250, RFC 3551): MP3 among them, on a 90 kHz clock."""

from __future__ import annotations

from typing import Final

from sansmedia.codecs import mp3
from sansmedia.sansio import ProtocolError

from .audio import AudioDepacketiser
from .frame import Frame, Limits, check_payload_size

__all__ = ["MpaDepacketiser", "MpaPacketiser", "packetise"]

CLOCK_RATE: Final = 90_000
"""Whatever the sampling frequency is (RFC 3551 §4.5.13)."""

_SOURCE: Final = "RFC 2250 §3.5"
_MAX_UNITS: Final = 64
_MAX_FRAME: Final = 8_192

# RFC 2250 §3.5:  +----------------+------------------+---------
#                 |    MBZ (16)    | Frag_offset (16) | frame ...
#                 +----------------+------------------+---------


def packetise(frame: bytes, max_size: int) -> list[bytes]:
    """Return the payloads of one audio frame, in order.

    One that does not fit is cut into fragments of exactly ``max_size`` octets, the
    last one shorter.

    Source: RFC 2250 §3.5.

    Args:
        frame: One frame with its header.
        max_size: Octets of the largest payload.

    Raises:
        ProtocolError: More than 8,192 octets.
    """
    check_payload_size(max_size)
    if len(frame) > _MAX_FRAME:
        raise ProtocolError(
            f"audio frame of {len(frame)} octets", code="limit", source=_SOURCE
        )
    step = max_size - 4
    return [
        at.to_bytes(4, "big") + frame[at : at + step]
        for at in range(0, len(frame), step)
    ]


class MpaPacketiser:
    """One audio frame a payload."""

    __slots__ = ()

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of one frame, in order; see `packetise`."""
        return packetise(frame, max_size)


class MpaDepacketiser(AudioDepacketiser):
    """Takes audio frames out of payloads, whole, several or in fragments.

    Source: RFC 2250 §3.5.

    Args:
        limits: What a frame may cost.
    """

    __slots__ = ("_held", "_parts", "_started_at", "_wanted")

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self._parts: list[bytes] = []
        self._held = 0
        self._wanted = 0
        self._started_at = 0

    @property
    def pending_bytes(self) -> int:
        """Octets held of an unfinished frame."""
        return self._held

    def _take(
        self, payload: bytes, timestamp: int, marker: bool, frames: list[Frame]
    ) -> None:
        if len(payload) < 5:
            raise ProtocolError("no audio", code="truncated", source=_SOURCE)
        offset = payload[2] << 8 | payload[3]
        if offset:
            self._take_fragment(payload[4:], offset, timestamp, frames)
            return
        self._clear()
        position, ticks = 4, 0
        for _ in range(_MAX_UNITS):
            header = mp3.decode_frame_header(payload[position : position + 4])
            # Free format does not say its size: then it is all that is here.
            size = header.frame_size or len(payload) - position
            duration = header.samples * CLOCK_RATE // header.sample_rate
            if position + size > len(payload):
                if position > 4:
                    raise ProtocolError(
                        "audio frame passes the end", code="truncated", source=_SOURCE
                    )
                self._wanted, self._started_at = size, timestamp
                self._parts = [payload[4:]]
                self._held = len(payload) - 4
                return
            at = (timestamp + ticks) & 0xFFFFFFFF
            unit = payload[position : position + size]
            frames.append(Frame(at, unit, duration=duration))
            position += size
            ticks += duration
            if position >= len(payload):
                return
        raise ProtocolError("too many audio frames", code="limit", source=_SOURCE)

    def _take_fragment(
        self, part: bytes, offset: int, timestamp: int, frames: list[Frame]
    ) -> None:
        if (
            offset != self._held
            or timestamp != self._started_at
            or self._held + len(part) > self._wanted
        ):
            raise ProtocolError("fragment out of place", source=_SOURCE)
        self._parts.append(part)
        self._held += len(part)
        if self._held == self._wanted:
            unit = b"".join(self._parts)
            self._parts = []
            self._held = 0
            header = mp3.decode_frame_header(unit)
            duration = header.samples * CLOCK_RATE // header.sample_rate
            frames.append(Frame(timestamp, unit, duration=duration))

    def _clear(self) -> None:
        if self._parts:
            self._drop()
            self._parts = []
            self._held = 0
