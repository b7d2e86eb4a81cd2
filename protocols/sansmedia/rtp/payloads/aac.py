"""AAC payloads (RFC 3640), mode AAC-hbr: AU-headers of 13 and 3 bits.

That is the one mode that FFmpeg, GStreamer, cameras and RTSP servers write. LATM
(RFC 6416, ``MP4A-LATM``) is another format and not spoken.
"""

from __future__ import annotations

from typing import Final

from sansmedia.sansio import ProtocolError

from .audio import AudioDepacketiser
from .frame import Frame, Limits, check_payload_size

__all__ = ["AacDepacketiser", "AacPacketiser", "packetise"]

_SOURCE: Final = "RFC 3640 §3.2.1"
_MAX_AU: Final = 0x1FFF
_MAX_UNITS: Final = 64

# RFC 3640 §3.3.6:  +-----------------------+-----------+-----+-- - -+---------
#                   | AU-headers-length (16)| size (13) |index|  ... | AUs ...
#                   +-----------------------+-----------+-----+-- - -+---------


def packetise(frame: bytes, max_size: int) -> list[bytes]:
    """Return the payloads of one access unit, in order.

    One that does not fit is cut into fragments of exactly ``max_size`` octets, the
    last one shorter, each with the size of the whole; the last gets the marker.

    Source: RFC 3640 §3.2.3.2, §3.3.6.

    Args:
        frame: One raw AAC frame, without ADTS header.
        max_size: Octets of the largest payload.

    Raises:
        ProtocolError: More than 8,191 octets.
    """
    check_payload_size(max_size)
    if len(frame) > _MAX_AU:
        raise ProtocolError(
            f"AAC frame of {len(frame)} octets", code="limit", source="RFC 3640 §3.3.6"
        )
    head = b"\0\x10" + (len(frame) << 3).to_bytes(2, "big")
    step = max_size - 4
    return [head + frame[at : at + step] for at in range(0, len(frame), step)]


class AacPacketiser:
    """One raw AAC frame a payload."""

    __slots__ = ()

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of one frame, in order; see `packetise`."""
        return packetise(frame, max_size)


class AacDepacketiser(AudioDepacketiser):
    """Takes access units out of payloads, whole, several or in fragments.

    Source: RFC 3640 §3.2.1, §3.2.3.

    Args:
        limits: What a frame may cost.
        frame_samples: Ticks of one access unit: 1,024 or 960 of AAC-LC; twice that
            with SBR where the clock rate is the output's.
    """

    __slots__ = ("_frame_samples", "_held", "_parts", "_started_at", "_wanted")

    def __init__(
        self, limits: Limits | None = None, *, frame_samples: int = 1024
    ) -> None:
        super().__init__(limits)
        self._frame_samples = frame_samples
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
        sizes, position = _read_headers(payload)
        if len(sizes) == 1 and sizes[0] > len(payload) - position:
            self._take_fragment(payload[position:], sizes[0], timestamp, frames)
            return
        if self._parts:
            self._clear()
        for number, size in enumerate(sizes):
            if size > len(payload) - position:
                raise ProtocolError(
                    "access unit passes the end", code="truncated", source=_SOURCE
                )
            unit = payload[position : position + size]
            position += size
            if unit:
                at = (timestamp + number * self._frame_samples) & 0xFFFFFFFF
                frames.append(Frame(at, unit, duration=self._frame_samples))

    def _take_fragment(
        self, part: bytes, size: int, timestamp: int, frames: list[Frame]
    ) -> None:
        if not part:
            raise ProtocolError("empty fragment", source="RFC 3640 §3.2.3.2")
        if self._parts and (
            timestamp != self._started_at
            or size != self._wanted
            or self._held + len(part) > size
        ):
            self._clear()
        if not self._parts:
            self._started_at, self._wanted = timestamp, size
        self._parts.append(part)
        self._held += len(part)
        if self._held == size:
            unit = b"".join(self._parts)
            self._parts = []
            self._held = 0
            frames.append(Frame(timestamp, unit, duration=self._frame_samples))

    def _clear(self) -> None:
        if self._parts:
            self._drop()
            self._parts = []
            self._held = 0


def _read_headers(payload: bytes) -> tuple[list[int], int]:
    """Return the sizes of the access units, and where the first one stands."""
    if len(payload) < 4:
        raise ProtocolError("no AU-header", code="truncated", source=_SOURCE)
    bits = payload[0] << 8 | payload[1]
    count, rest = divmod(bits, 16)
    position = 2 + 2 * count
    if rest or not count or position > len(payload):
        raise ProtocolError(f"AU-headers of {bits} bits", source=_SOURCE)
    if count > _MAX_UNITS:
        raise ProtocolError(f"{count} access units", code="limit", source=_SOURCE)
    sizes = []
    for at in range(2, position, 2):
        word = payload[at] << 8 | payload[at + 1]
        if word & 7:
            # AU-Index of the first is 0, AU-Index-deltas are 0 without interleaving.
            raise ProtocolError(
                "interleaved", code="unsupported", source="RFC 3640 §3.2.3.2"
            )
        sizes.append(word >> 3)
    return sizes, position
