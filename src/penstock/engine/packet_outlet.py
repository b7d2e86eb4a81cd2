"""RTP out of one stream: a ring of payloads for each track, and who takes them.

The counterpart of `Outlet` for viewers that are datagrams away: nothing is ever behind
because the kernel is full, so there is no catching up; but each viewer has headers and
keys of its own, and starts with cached pictures that are paced and re-timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Protocol

import trio

from penstock import log
from penstock.media import Frame, Track, TrackKind

from .outlet import RingLimits
from .packet_ring import Packet, PacketRing
from .packet_viewer import PacketViewer
from .unit import Form

__all__ = ["PacketOutlet", "Packetiser"]

_INLINE_VIEWERS = 48
"""Up to so many viewers are written to inside `push`: some 25 µs each for a frame."""
_SLICE_S = 0.0015
_STRIDE = 8
"""Viewers between two looks at the clock."""

TrackName = tuple[TrackKind, int]


class Packetiser(Protocol):
    """Frames of one track into RTP payloads."""

    rate: int
    """Ticks a second of RTP timestamps."""

    def payloads(self, frame: Frame) -> list[bytes]:
        """Return the payloads of one frame, in order; the last ends it."""
        ...


class PacketOutlet:
    """The RTP form of one stream.

    Args:
        form: Which wire form this is.
        limits: Bounds of each track's ring.
        make_packetiser: Gives what makes payloads of a track's frames, None if RTP
            cannot carry them.
    """

    def __init__(
        self,
        form: Form,
        limits: RingLimits,
        make_packetiser: Callable[[Track], Packetiser | None],
    ) -> None:
        self.form = form
        self.rings: dict[TrackName, PacketRing] = {}
        self.viewers: set[PacketViewer] = set()
        self.idle_since: float | None = None
        self.ended = ""
        """Why it cannot go on: never, RTP takes tracks as they come."""
        self.passes_packets = False
        """The publisher sends RTP itself: frames are for others."""
        self.request_key_frame: Callable[[Track], None] | None = None
        """Asks the publisher, if it can be asked."""
        self._limits = limits
        self._make_packetiser = make_packetiser
        self._packetisers: dict[TrackName, Packetiser] = {}
        self._pending: dict[PacketRing, list[Packet]] = {}
        self._round: dict[PacketRing, list[Packet]] = {}
        """What is being written to one viewer after the other."""
        self._flush_needed = trio.Event()

    # -- tracks -----------------------------------------------------------------------

    def begin(self) -> None:
        """A new publication begins."""
        self.passes_packets = False
        self.request_key_frame = None
        self._packetisers.clear()
        self._pending.clear()
        for ring in self.rings.values():
            ring.restart()  # viewers remember it for a while
        self.rings.clear()
        for viewer in self.viewers:
            viewer.tracks_changed(trio.current_time())

    def restart(self, ring: PacketRing) -> None:
        """Forget a track's packets: what follows has other numbers and times."""
        ring.restart()
        self._restarted(ring)

    def _restarted(self, ring: PacketRing) -> None:
        self._pending.pop(ring, None)
        self._round.pop(ring, None)
        for viewer in self.viewers:
            viewer.restarted(ring)

    def end_publication(self, now: float) -> None:
        """The publisher has gone: nobody new starts with what it left behind."""
        self.request_key_frame = None
        self.passes_packets = False
        for ring in self.rings.values():
            ring.end_group()

    def announce(self, track: Track, now: float) -> None:
        """Take a track before its first frame, or its new configuration."""
        if self.passes_packets or track.kind is TrackKind.DATA:
            return
        name = (track.kind, track.id)
        packetiser = self._make_packetiser(track)
        if packetiser is None:
            self._packetisers.pop(name, None)
            return
        self._packetisers[name] = packetiser
        self.ring_of(track, packetiser.rate, now)

    def ring_of(self, track: Track, rate: int, now: float) -> PacketRing:
        """Return a track's ring; a track of another codec or clock has a new one."""
        name = (track.kind, track.id)
        ring = self.rings.get(name)
        if ring is not None and ring.rate == rate and ring.track.codec is track.codec:
            ring.track = track
            return ring
        if ring is not None:
            ring.restart()  # viewers remember it for a while
            self._pending.pop(ring, None)
        ring = self.rings[name] = PacketRing(
            track,
            rate,
            seconds=self._limits.seconds,
            max_bytes=self._limits.max_bytes,
            keep_group=self._limits.keep_group,
        )
        for viewer in list(self.viewers):
            viewer.tracks_changed(now)
        return ring

    # -- input ------------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Make packets of one frame and write them. Never waits, never raises."""
        if self.passes_packets:
            return
        track = frame.track
        name = (track.kind, track.id)
        packetiser = self._packetisers.get(name)
        ring = self.rings.get(name)
        if packetiser is not None and ring is not None:
            packets = self._packets(frame, packetiser, ring)
            self.push_packets(ring, packets, frame.received_at)

    def _packets(
        self, frame: Frame, packetiser: Packetiser, ring: PacketRing
    ) -> list[Packet]:
        payloads = packetiser.payloads(frame)
        # Decoding times: timestamps must not run back, even with B-frames.
        rate = frame.track.clock_rate
        timestamp = frame.dts if rate == ring.rate else frame.dts * ring.rate // rate
        start = ring.end
        last = len(payloads) - 1
        is_video = frame.track.is_video
        return [
            Packet(
                start + n,
                payload,
                timestamp,
                is_video and n == last,
                is_video and n == 0 and frame.random_access,
            )
            for n, payload in enumerate(payloads)
        ]

    def push_packets(
        self, ring: PacketRing, packets: Sequence[Packet], now: float
    ) -> None:
        """Keep packets and write them to everybody. Never waits, never raises."""
        restarts = ring.restarts
        fresh, late = ring.add(packets)
        if not self.viewers:
            return
        if ring.restarts != restarts:
            self._restarted(ring)
        if late:
            for viewer in self.viewers:
                self._write(viewer, viewer.write_late, ring, late)
        if not fresh:
            return
        waiting = self._pending or self._round
        if len(self.viewers) <= _INLINE_VIEWERS and not waiting:
            for viewer in self.viewers:
                self._write(viewer, viewer.write, ring, fresh)
        else:
            self._pending.setdefault(ring, []).extend(fresh)
            self._flush_needed.set()

    def _write(
        self,
        viewer: PacketViewer,
        write: Callable[[PacketRing, Sequence[Packet]], None],
        ring: PacketRing,
        packets: Sequence[Packet],
    ) -> None:
        """Let one viewer have packets; its fault ends nobody else."""
        try:
            write(ring, packets)
        except Exception as error:
            log.exception("viewer failed", error, format=self.form.format)
            viewer.fail(error)

    def push_metadata(self, values: dict[str, object], now: float) -> None:
        """RTP has no place for them."""

    def replay(
        self, tracks: list[Track], metadata: dict[str, object], frames: list[Frame]
    ) -> None:
        """Fill the rings of a new outlet from the cached group of pictures."""
        now = frames[-1].received_at if frames else 0.0
        for track in tracks:
            self.announce(track, now)
        for frame in frames:
            self.push(frame)

    async def run_flush(self) -> None:
        """Write to many viewers in slices; the outlet's one task, until cancelled."""
        while True:
            await self._flush_needed.wait()
            # A burst comes in several datagrams, and the first one wakes us: by now
            # the others are here, and all of them go to a viewer in one call.
            await trio.lowlevel.checkpoint()
            self._flush_needed = trio.Event()
            while self._pending:
                self._round, self._pending = self._pending, {}
                await self._write_round()
                self._round = {}

    async def _write_round(self) -> None:
        deadline = perf_counter() + _SLICE_S
        countdown = _STRIDE
        for viewer in list(self.viewers):
            for ring, packets in self._round.items():
                self._write(viewer, viewer.write, ring, packets)
            countdown -= 1
            if not countdown:
                countdown = _STRIDE
                if perf_counter() >= deadline:
                    await trio.lowlevel.checkpoint()
                    deadline = perf_counter() + _SLICE_S
        await trio.lowlevel.checkpoint()

    # -- viewers ----------------------------------------------------------------------

    def attach(self, viewer: PacketViewer, now: float) -> None:
        """Take a viewer: it starts with the cached pictures, or waits for some."""
        self.viewers.add(viewer)
        self.idle_since = None
        viewer.attached(self, now)

    def detach(self, viewer: PacketViewer, now: float) -> None:
        """Let go of a viewer."""
        viewer.release()
        self.viewers.discard(viewer)
        if not self.viewers and not self.passes_packets:
            self.idle_since = now

    def tracks(self) -> Iterable[PacketRing]:
        """Return the rings in the order of their tracks."""
        order = {TrackKind.VIDEO: 0, TrackKind.AUDIO: 1, TrackKind.DATA: 2}
        return [
            ring
            for _, ring in sorted(
                self.rings.items(), key=lambda item: (order[item[0][0]], item[0][1])
            )
        ]
