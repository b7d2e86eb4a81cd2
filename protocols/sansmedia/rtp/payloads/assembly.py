"""Putting pictures together again: what the video formats have in common.

A frame is complete at the marker, or when the timestamp changes with nothing missing.
After a loss the formats judge for themselves whether a frame's beginning was seen.
"""

from __future__ import annotations

from sansmedia.sansio import ProtocolError

from .frame import DepacketiserStatistics, Frame, Limits

__all__ = ["VideoDepacketiser"]


class VideoDepacketiser:
    """Base of the video depacketisers: when a frame begins, ends, or is lost.

    A format implements `_take` (one payload, raising `ProtocolError` for damage),
    `_build` (the frame, at its end) and `_clear`. It sets `_has_picture` once coded
    picture data is in; before, whatever came is kept for the next picture.
    """

    __slots__ = (
        "_broken",
        "_damaged_payloads",
        "_dropped",
        "_dropped_frames",
        "_ended_at",
        "_frames",
        "_gaps",
        "_has_picture",
        "_limits",
        "_payloads",
        "_payloads_before",
        "_size",
        "_suspect",
        "_timestamp",
        "_trusts_marker",
        "needs_key_frame",
    )

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self.needs_key_frame = True
        """Nothing can be decoded until the next random access: time for a PLI."""
        self._timestamp = -1
        self._ended_at = -1
        # The last frame that a marker ended.
        self._has_picture = False
        self._broken = False
        # Whatever comes of this frame is dropped.
        self._suspect = True
        # Something is missing before what is held: a beginning must prove itself.
        self._trusts_marker = True
        self._size = 0
        self._payloads = 0
        self._payloads_before = 0
        self._dropped = 0
        self._frames = 0
        self._dropped_frames = 0
        self._damaged_payloads = 0
        self._gaps = 0

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
        frames: list[Frame] = []
        if timestamp != self._timestamp:
            if self._has_picture or self._broken:
                if gap:
                    self._drop()
                else:
                    self._end(frames)
            self._timestamp = timestamp
        if gap:
            self._gaps += 1
            self.needs_key_frame = True
            if self._has_picture:
                self._break()
            else:
                self._suspect = True
                self._lose()
        self._payloads += 1
        if not self._broken:
            self._size += len(payload)
            if (
                self._size > self._limits.frame_bytes
                or self._payloads - self._payloads_before > self._limits.frame_payloads
            ):
                self._damage()
            else:
                try:
                    self._take(payload)
                except ProtocolError:
                    self._damage()
        if marker and self._trusts_marker and (self._has_picture or self._broken):
            self._end(frames)
            self._ended_at = timestamp
        return frames

    def flush(self) -> list[Frame]:
        """Return what the end of the stream completes: a frame without marker."""
        frames: list[Frame] = []
        if self._has_picture or self._broken:
            self._end(frames)
        self._reset()
        return frames

    @property
    def pending_bytes(self) -> int:
        """Octets held of an unfinished frame."""
        return self._size

    def statistics(self) -> DepacketiserStatistics:
        """Return the counters."""
        return DepacketiserStatistics(
            self._payloads,
            self._frames,
            self._dropped_frames,
            self._damaged_payloads,
            self._gaps,
        )

    def _take(self, payload: bytes) -> None:
        """Add one payload to the frame."""

    def _lose(self) -> None:
        """Take note of a gap before any picture data."""

    def _build(self) -> Frame | None:
        """Return the frame that is complete now, or None if it cannot be trusted."""
        return None

    def _clear(self) -> None:
        """Forget what is held of the frame."""

    def _begins_decoding(self, frame: Frame) -> bool:
        return frame.random_access

    def _end(self, frames: list[Frame]) -> None:
        frame = None
        if not self._broken:
            try:
                frame = self._build()
            except ProtocolError:
                self._damaged_payloads += 1
        if frame is None:
            self._drop()
            return
        if self.needs_key_frame and self._begins_decoding(frame):
            self.needs_key_frame = False
        frame.decodable = not self.needs_key_frame
        frame.dropped, self._dropped = self._dropped, 0
        self._frames += 1
        frames.append(frame)
        self._reset()

    def _drop(self) -> None:
        self.needs_key_frame = True
        self._dropped += 1
        self._dropped_frames += 1
        self._reset()

    def _reset(self) -> None:
        self._has_picture = self._broken = self._suspect = False
        self._size = 0
        self._payloads_before = self._payloads
        self._clear()

    def _break(self) -> None:
        self._broken = True
        self._size = 0
        self._clear()

    def _damage(self) -> None:
        self._damaged_payloads += 1
        self._break()
