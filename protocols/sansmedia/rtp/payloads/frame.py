"""What all payload formats share: frames, limits, statistics, and the interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

import attrs

from sansmedia.sansio import UsageError

__all__ = [
    "MAX_PAYLOAD_SIZE",
    "MAX_RUN_BYTES",
    "MAX_RUN_SEGMENTS",
    "MIN_PAYLOAD_SIZE",
    "Depacketiser",
    "DepacketiserStatistics",
    "Frame",
    "Layer",
    "Limits",
    "Packetiser",
    "check_payload_size",
    "split_runs",
]

MIN_PAYLOAD_SIZE = 64
"""Least ``max_size`` that a packetiser takes: every header and some media fit."""
MAX_PAYLOAD_SIZE = 65_495
"""Most: an RTP header and this are a UDP datagram."""
MAX_RUN_SEGMENTS = 64
"""Packets in one run: UDP_MAX_SEGMENTS of Linux."""
MAX_RUN_BYTES = 64_000
"""Octets in one run: a UDP datagram's 65,507 with room for tunnels."""

Layer: TypeAlias = tuple[int, int]
"""Spatial and temporal layer; a plain tuple, because one is made per packet."""


@attrs.frozen
class Limits:
    """What one stream of payloads may cost."""

    frame_bytes: int = 8 << 20
    """Octets of one frame, counted as payloads; a larger one is dropped."""
    frame_payloads: int = 16_384
    """Payloads of one frame; each costs us more than its octets."""
    frame_units: int = 4_096
    """NAL units or OBUs of one frame."""


@attrs.define
class Frame:
    """One complete frame; made per frame, so not frozen."""

    timestamp: int
    """RTP timestamp as it stood on the wire: 32 bits, in the format's clock."""
    payload: bytes
    """NAL units after 4-octet lengths, a temporal unit with sizes, or the raw frame."""
    random_access: bool = True
    """Decoding can start here; always true for sound."""
    decodable: bool = True
    """False from a loss up to the next frame where decoding can start."""
    dropped: int = 0
    """Frames dropped since the one before, as far as they could be told."""
    parameter_sets: tuple[bytes, ...] = ()
    """Parameter sets, or the sequence header OBU, that came with this frame."""
    duration: int = 0
    """Ticks, where the payload tells (sound); else 0."""
    spatial_layer: int = 0
    """The highest one that came with this frame."""
    temporal_layer: int = 0


@attrs.frozen
class DepacketiserStatistics:
    """Counters of a depacketiser."""

    payloads: int
    """Payloads fed."""
    frames: int
    """Frames given out."""
    dropped_frames: int
    """Frames of which something came, but not all."""
    damaged_payloads: int
    """Payloads that could not be read, or had no place."""
    gaps: int
    """Payloads fed with ``gap`` set."""


class Depacketiser(Protocol):
    """A transform: payloads in order go in, complete frames come out."""

    def feed(
        self, payload: bytes, timestamp: int, marker: bool, gap: bool = False
    ) -> list[Frame]:
        """Take one packet's payload; return the frames that it completes.

        Args:
            payload: After the RTP header and its extensions, without padding.
            timestamp: Of the RTP header, 32 bits.
            marker: Of the RTP header.
            gap: Packets are missing between the last payload fed and this one.
        """
        ...

    def flush(self) -> list[Frame]:
        """Return what the end of the stream completes: a frame without marker."""
        ...

    @property
    def needs_key_frame(self) -> bool:
        """Nothing can be decoded until the next random access: time for a PLI."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Octets held of an unfinished frame."""
        ...

    def statistics(self) -> DepacketiserStatistics:
        """Return the counters."""
        ...


class Packetiser(Protocol):
    """Cuts frames into payloads; keeps picture ids, if the format has any."""

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of one frame, in order.

        For video the last one gets the marker, and all of them one timestamp.

        Args:
            frame: In the form of `Frame.payload`.
            max_size: Octets that a payload may have, at least `MIN_PAYLOAD_SIZE`.

        Raises:
            ProtocolError: The frame is malformed.
        """
        ...


def check_payload_size(max_size: int) -> None:
    """Refuse a size that headers alone would fill, or that no datagram carries."""
    if not MIN_PAYLOAD_SIZE <= max_size <= MAX_PAYLOAD_SIZE:
        raise UsageError(
            f"payloads of {max_size} octets, "
            f"not {MIN_PAYLOAD_SIZE} to {MAX_PAYLOAD_SIZE}"
        )


def split_runs(
    payloads: Sequence[bytes], *, overhead: int = 0
) -> Iterator[Sequence[bytes]]:
    """Cut payloads into runs that one call with UDP_SEGMENT can send.

    A run has payloads of one length; only its last may be shorter.

    Args:
        payloads: What a packetiser returned; no longer than `MAX_RUN_BYTES` each.
        overhead: Octets that every packet adds: RTP header, extensions, tag.
    """
    start, end = 0, len(payloads)
    while start < end:
        size = len(payloads[start])
        last = min(end, start + MAX_RUN_SEGMENTS)
        last = min(last, start + max(1, MAX_RUN_BYTES // (size + overhead)))
        stop = start + 1
        while stop < last:
            other = len(payloads[stop])
            if other > size:
                break
            stop += 1
            if other < size:
                break
        yield payloads[start:stop]
        start = stop
