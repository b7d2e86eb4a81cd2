"""A viewer that takes RTP: it starts with cached pictures, then hears what is live.

Datagrams never wait, so a viewer has no backlog. What takes time is its start: the
pictures since the newest key frame are sent faster than they were made (paced, so that
no queue on the way overflows) and re-timed to end where the live ones go on, so that
they are decoded at once and shown in a blink.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import trio

from penstock.media import TrackKind

from .packet_ring import Packet, PacketRing
from .viewer import ViewerState

if TYPE_CHECKING:
    from .packet_outlet import PacketOutlet

__all__ = ["PacketSink", "PacketViewer"]

_PACE_S = 0.005
_PACE_OCTETS = 12_500
"""20 Mbit/s at least; a large cache goes faster, to be over in `_BURST_S`."""
_BURST_S = 0.25
_LONGEST_PIECE = 1 << 20
"""Octets of the cache that go in one piece, even if that ends inside a frame."""
_REJOIN_S = 2.0
"""Cached pictures are sent again at most so often to one viewer."""


class PacketSink(Protocol):
    """Where one viewer's packets go: its headers, its keys, its socket."""

    def select(self, kind: TrackKind, rings: Sequence[PacketRing]) -> PacketRing | None:
        """Choose the track to send of one kind, None for none."""
        ...

    def begin(self, ring: PacketRing, packet: Packet, edge: int | None) -> None:
        """Make ready to send a track from ``packet`` on.

        Args:
            ring: Which track.
            packet: The first packet to come.
            edge: Timestamp up to which all follows in quick succession: the live
                edge as a burst begins; None if ``packet`` is live.
        """
        ...

    def write(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        """Send packets of a track that has begun, in order. Never waits or raises."""
        ...

    def write_late(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        """Send packets that belong before what was sent already."""
        ...


class PacketViewer:
    """One peer's place in the RTP form of a stream.

    Args:
        sink: Where packets go.
    """

    def __init__(self, sink: PacketSink) -> None:
        self.sink = sink
        self.outlet: PacketOutlet | None = None
        self.state = ViewerState.WAITING
        self.end_reason = ""
        """Set by `finish`."""
        self.waiting_since = 0.0
        self.started = False
        """Something has been sent."""
        self.dropped = 0
        self.video: PacketRing | None = None
        self.audio: PacketRing | None = None
        self._next_video: PacketRing | None = None
        self._cursor: dict[PacketRing, int] = {}
        self._pace_octets = _PACE_OCTETS
        self._rejoined_at = float("-inf")
        self._wake = trio.Event()

    @property
    def head_bytes(self) -> int:
        """Octets that the session has not counted: none."""
        return 0

    @property
    def behind_bytes(self) -> int:
        """Octets that wait for this viewer: none."""
        return 0

    # -- called by the outlet ---------------------------------------------------------

    def attached(self, outlet: PacketOutlet, now: float) -> None:
        """The outlet has taken us."""
        self.outlet = outlet
        self.waiting_since = now
        self.tracks_changed(now)

    def tracks_changed(self, now: float) -> None:
        """Choose tracks again; what goes on being sent is not disturbed."""
        outlet = self.outlet
        if outlet is None:
            return
        rings = list(outlet.tracks())
        for ring in self._cursor.keys() - set(rings):
            del self._cursor[ring]
        video = self.sink.select(TrackKind.VIDEO, rings)
        audio = self.sink.select(TrackKind.AUDIO, rings)
        if audio is not None and audio is not self.audio:
            # It may have been sent before: what came meanwhile is not missed.
            self._cursor.pop(audio, None)
        self.audio = audio
        self._next_video = None
        if video is None:
            self.video = None
            if audio is None:
                self._wait(now)
            else:
                # Sound alone needs nothing to start with.
                self.state = ViewerState.HEAD
        elif video is self.video and self.state is not ViewerState.DETACHED:
            return
        elif self.video is not None and self.video in rings:
            self._next_video = video
            self.ask_for_key_frame(video)
        else:
            self.video = video
            self._start(video, now)

    def _start(self, ring: PacketRing, now: float) -> None:
        can_ask = self.outlet is not None and self.outlet.request_key_frame is not None
        # Whoever has seen pictures takes older ones, by the picture id of VP8, for
        # stragglers and drops them: it goes on with a new key frame.
        if ring.key is None or (self.started and can_ask):
            self._wait(now)
            self.ask_for_key_frame(ring)
            return
        self._join(ring, ring.key)

    def _wait(self, now: float) -> None:
        """Let the next key frame start this viewer."""
        self.state = ViewerState.WAITING
        self.waiting_since = now

    def _join(self, ring: PacketRing, key: int) -> None:
        """Let `run` send the cached pictures."""
        first = ring.get(key)
        assert first is not None
        self._rejoined_at = trio.current_time()
        self.sink.begin(ring, first, ring.newest_timestamp)
        self._cursor[ring] = key
        cached = sum(len(packet.payload) for packet in ring.since(key))
        self._pace_octets = max(_PACE_OCTETS, int(cached * _PACE_S / _BURST_S))
        self.state = ViewerState.BEHIND
        self._wake.set()

    def write(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        """Send live packets of one track, if it is one of ours."""
        if ring is self.video:
            if self.state is ViewerState.HEAD:
                self._write(ring, packets)
            elif self.state is ViewerState.WAITING:
                self._write_from_key(ring, packets)
        elif ring is self.audio:
            if self.state is ViewerState.HEAD or self.started:
                self._write(ring, packets)
        elif ring is self._next_video:
            self._write_from_key(ring, packets)

    def _write(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        cursor = self._cursor.get(ring)
        if cursor is None:
            self.sink.begin(ring, packets[0], None)
            self.started = True
        elif packets[0].number < cursor:
            # The burst has taken some of what the outlet gathered meanwhile.
            packets = [packet for packet in packets if packet.number >= cursor]
            if not packets:
                return
        self._cursor[ring] = packets[-1].number + 1
        self.sink.write(ring, packets)

    def _write_from_key(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        for at, packet in enumerate(packets):
            if packet.key:
                former = self.video
                if former is not None and former is not ring:
                    self._cursor.pop(former, None)
                self.video = ring
                if ring is self._next_video:
                    self._next_video = None
                self._rejoined_at = trio.current_time()
                self.state = ViewerState.HEAD
                self._cursor.pop(ring, None)
                self._write(ring, packets[at:])
                return

    def restarted(self, ring: PacketRing) -> None:
        """A track's numbers begin anew."""
        self._cursor.pop(ring, None)
        if ring is self.video and self.state is not ViewerState.DETACHED:
            self._wait(trio.current_time())
            self.ask_for_key_frame(ring)

    def write_late(self, ring: PacketRing, packets: Sequence[Packet]) -> None:
        """Send packets that fill gaps in what was sent."""
        if ring in self._cursor and (ring is self.audio or ring is self.video):
            cursor = self._cursor[ring]
            passed = [packet for packet in packets if packet.number < cursor]
            if passed:
                self.sink.write_late(ring, passed)

    def release(self) -> None:
        """The outlet lets go of us."""
        self.outlet = None
        self.state = ViewerState.DETACHED
        self._wake.set()

    def finish(self, reason: str) -> None:
        """Let `run` return."""
        if not self.end_reason:
            self.end_reason = reason
        self._wake.set()

    def fail(self, error: Exception) -> None:
        """Take nothing more and let `run` return: a bug of ours."""
        self.video = self.audio = self._next_video = None
        self.finish(f"internal error: {type(error).__name__}")

    # -- called by the session --------------------------------------------------------

    def ask_for_key_frame(self, ring: PacketRing) -> None:
        """Ask the publisher for a key frame, if it can be asked."""
        if self.outlet is not None and self.outlet.request_key_frame is not None:
            self.outlet.request_key_frame(ring.track)

    def key_frame_wanted(self) -> None:
        """The peer cannot decode: ask the publisher, or show the cache once more."""
        outlet, ring = self.outlet, self.video
        if outlet is None or ring is None or self.state is not ViewerState.HEAD:
            return
        if outlet.request_key_frame is not None:
            outlet.request_key_frame(ring.track)
            return
        since = trio.current_time() - self._rejoined_at
        if ring.key is not None and since >= _REJOIN_S:
            self._join(ring, ring.key)

    async def run(self) -> str:
        """Send cached pictures when it is time to; return why it is over."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            if self.end_reason:
                return self.end_reason
            while self.state is ViewerState.BEHIND and not self.end_reason:
                if self._send_burst():
                    self.state = ViewerState.HEAD
                else:
                    await trio.sleep(_PACE_S)

    def _send_burst(self) -> bool:
        """Send the next piece of the cache; True if that was the last."""
        ring = self.video
        if ring is None:
            return True
        self.started = True
        cursor = self._cursor[ring]
        if cursor < ring.first:
            # So long a start that the ring went on without it: from a newer key.
            self._wait(trio.current_time())
            if ring.key is not None:
                self._join(ring, ring.key)
            else:
                self.ask_for_key_frame(ring)
            return False
        batch: list[Packet] = []
        octets = 0
        for packet in ring.since(cursor):
            batch.append(packet)
            octets += len(packet.payload)
            # Whole frames, so that the last one is not torn by the pause; but a sender
            # that never ends one must not make this long.
            if octets >= self._pace_octets and (
                packet.marker or octets >= _LONGEST_PIECE
            ):
                break
        if batch:
            self._cursor[ring] = batch[-1].number + 1
            self.sink.write(ring, batch)
        return self._cursor[ring] >= ring.end
