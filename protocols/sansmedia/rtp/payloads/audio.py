"""Sound whose packets are payloads as they stand: Opus, G.711 and G.722."""

from __future__ import annotations

from typing import Final

from sansmedia.codecs import opus
from sansmedia.sansio import ProtocolError

from .frame import DepacketiserStatistics, Frame, Layer, Limits, check_payload_size

__all__ = [
    "AudioDepacketiser",
    "G711Depacketiser",
    "G711Packetiser",
    "OpusDepacketiser",
    "OpusPacketiser",
    "is_start",
    "layer",
]

_MAX_SAMPLED_BYTES: Final = 0xFFFF


class AudioDepacketiser:
    """Base of the depacketisers for sound: no frame refers to another one.

    A format implements `_take`, which adds frames or raises `ProtocolError` for
    damage, and `_clear` if it puts frames together from several payloads.
    """

    __slots__ = (
        "_damaged_payloads",
        "_dropped",
        "_dropped_frames",
        "_frames",
        "_gaps",
        "_limits",
        "_payloads",
    )
    needs_key_frame = False
    """Sound can be decoded from any frame on."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._payloads = self._frames = self._dropped_frames = self._dropped = 0
        self._damaged_payloads = self._gaps = 0

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
        self._payloads += 1
        if gap:
            self._gaps += 1
            self._clear()
        frames: list[Frame] = []
        if payload:
            try:
                self._take(payload, timestamp, marker, frames)
            except ProtocolError:
                self._damaged_payloads += 1
                self._clear()
        if frames:
            frames[0].dropped, self._dropped = self._dropped, 0
            self._frames += len(frames)
        return frames

    def flush(self) -> list[Frame]:
        """End the stream: what is unfinished is dropped."""
        self._clear()
        return []

    @property
    def pending_bytes(self) -> int:
        """Octets held of an unfinished frame."""
        return 0

    def statistics(self) -> DepacketiserStatistics:
        """Return the counters."""
        return DepacketiserStatistics(
            self._payloads,
            self._frames,
            self._dropped_frames,
            self._damaged_payloads,
            self._gaps,
        )

    def _take(
        self, payload: bytes, timestamp: int, marker: bool, frames: list[Frame]
    ) -> None:
        """Add the frames of one payload."""

    def _clear(self) -> None:
        """Forget an unfinished frame."""

    def _drop(self) -> None:
        self._dropped += 1
        self._dropped_frames += 1


class OpusPacketiser:
    """One Opus packet a payload. Source: RFC 7587 §4.2."""

    __slots__ = ()

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the packet; Opus cannot be cut, so ``max_size`` is not kept."""
        check_payload_size(max_size)
        return [frame] if frame else []


class OpusDepacketiser(AudioDepacketiser):
    """Takes each payload for one Opus packet. Source: RFC 7587 §4.2."""

    __slots__ = ()

    def _take(
        self, payload: bytes, timestamp: int, marker: bool, frames: list[Frame]
    ) -> None:
        duration = opus.packet_duration(payload)
        frames.append(Frame(timestamp, payload, duration=duration))


class G711Packetiser:
    """Cuts G.711 or G.722 anywhere between samples.

    The payloads after the first are later by the durations of those before: one tick
    an octet and channel, in G.722 too.

    Source: RFC 3551 §4.5.2, §4.5.14.

    Args:
        channels: A cut never comes between the samples of one instant.
    """

    __slots__ = ("channels",)

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of some sound, in order; all but the last are equal."""
        check_payload_size(max_size)
        step = max_size - max_size % self.channels
        return [frame[at : at + step] for at in range(0, len(frame), step)]


class G711Depacketiser(AudioDepacketiser):
    """Takes each payload for a frame of G.711, or of G.722.

    G.722 has 16,000 samples a second and two of them in an octet, but an RTP clock of
    8,000, by a mistake that was kept: so it is one tick an octet here too.

    Source: RFC 3551 §4.5.2, §4.5.14.

    Args:
        limits: What a frame may cost.
        channels: Octets that share one tick.
    """

    __slots__ = ("_channels",)

    def __init__(self, limits: Limits | None = None, *, channels: int = 1) -> None:
        super().__init__(limits)
        self._channels = max(1, channels)

    def _take(
        self, payload: bytes, timestamp: int, marker: bool, frames: list[Frame]
    ) -> None:
        if len(payload) % self._channels or len(payload) > _MAX_SAMPLED_BYTES:
            raise ProtocolError("part of a sample", source="RFC 3551 §4.5.14")
        duration = len(payload) // self._channels
        frames.append(Frame(timestamp, payload, duration=duration))


def is_start(payload: bytes) -> bool:
    """Tell whether decoding can begin here: with sound, at any payload."""
    return bool(payload)


def layer(payload: bytes) -> Layer:
    """Return (0, 0): sound has no layers."""
    return (0, 0)
