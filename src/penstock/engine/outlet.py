"""An outlet: one wire form of one stream, converted once, written to many.

The ring holds the newest units in their final bytes. Every viewer is a cursor into it;
those at the end form the *head* and are written to directly, either inside `push` (few
viewers) or by the flush task in slices of at most 2 ms (many, or when merging).
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import attrs
import trio

from penstock.media import Frame, Track, TrackKind

from .unit import Converter, Form, Unit
from .viewer import Viewer, ViewerState

__all__ = ["Outlet", "RingLimits"]

_INLINE_VIEWERS = 64
"""Up to so many viewers are written to inside `push`: about 0.4 ms at 6 µs each."""
_SLICE_S = 0.002
_SLICE_STRIDE = 32
"""Viewers between two looks at the clock (0.1 µs each)."""
_JOIN_LIMIT = 1 << 20


@attrs.frozen
class RingLimits:
    """How much of the past one wire form keeps."""

    seconds: float = 10.0
    max_bytes: int = 32 << 20
    keep_group: bool = True
    """Keep the newest group of pictures even if it is older than ``seconds``."""
    merge_s: float = 0.0
    """Gather this long before writing to the head."""


class Outlet:
    """One wire form of one stream: a ring of units and the viewers that take them.

    Args:
        form: Which wire form.
        converter: Makes the units.
        limits: Bounds of the ring.
    """

    def __init__(self, form: Form, converter: Converter, limits: RingLimits) -> None:
        self.form = form
        self.converter = converter
        self.first = 0
        """Index of the oldest unit kept."""
        self.end = 0
        """Index of the next unit to come."""
        self.key: int | None = None
        """Index of the newest key unit, if it is still kept."""
        self.ring_bytes = 0
        self.dropped = 0
        self.idle_since: float | None = None
        self.viewers: set[Viewer] = set()
        self._limits = limits
        self._units: dict[int, Unit] = {}
        self._offset = 0
        self._head: dict[Viewer, Callable[[bytes], int]] = {}
        self._ahead: set[Viewer] = set()
        self._waiting: set[Viewer] = set()
        self._fresh_from: int | None = 0
        """Where the publication began, until a picture has been seen of it."""
        self._lead: int | None = None
        """Where viewers of the newest key unit start, if that is before it: at the
        very beginning of a publication its first sounds are not cut off."""
        self._flushed = 0
        self._flush_needed = trio.Event()
        self._round_running = False

    # -- the ring ---------------------------------------------------------------

    def unit(self, index: int) -> Unit:
        """Return a kept unit, ``first <= index < end``."""
        return self._units[index]

    def offset(self, index: int) -> int:
        """Return how many octets came before unit ``index``."""
        unit = self._units.get(index)
        if unit is not None:
            return unit.offset
        return self._offset if index >= self.end else self._oldest_offset()

    def _oldest_offset(self) -> int:
        unit = self._units.get(self.first)
        return self._offset if unit is None else unit.offset

    def _append(self, unit: Unit) -> None:
        unit.offset = self._offset
        self._offset += len(unit.data)
        self.ring_bytes += len(unit.data)
        self._units[self.end] = unit
        if unit.key:
            self.key = self.end
            self._lead = self._fresh_from
            self._fresh_from = None
        elif unit.kind is TrackKind.VIDEO:
            self._fresh_from = None
        self.end += 1
        self._trim(unit.time)

    def _trim(self, newest: float) -> None:
        limits = self._limits
        horizon = newest - limits.seconds
        while self.first < self.end - 1:
            oldest = self._units[self.first]
            if self.ring_bytes <= limits.max_bytes:
                if oldest.time >= horizon:
                    break
                if self.key is not None and self.first >= self.key:
                    break  # the newest group of pictures starts here
            del self._units[self.first]
            self.ring_bytes -= len(oldest.data)
            self.first += 1
        if self.key is not None and self.key < self.first:
            self.key = None

    # -- input --------------------------------------------------------------------

    def begin(self) -> None:
        """A new publication begins."""
        self._fresh_from = self.end
        self.converter.begin()

    def push(self, frame: Frame) -> None:
        """Convert one frame and write it to the head. Never waits, never raises."""
        self._extend(self.converter.convert(frame), frame.received_at)

    def push_metadata(self, values: dict[str, object], now: float) -> None:
        """Convert new metadata and write it to the head."""
        self._extend(self.converter.metadata(values), now)

    def announce(self, track: Track, now: float) -> None:
        """Take a new track or configuration of the publication."""
        self._extend(self.converter.announce(track), now)

    def replay(
        self, tracks: list[Track], metadata: dict[str, object], frames: list[Frame]
    ) -> None:
        """Fill the ring of a new outlet from the cached group of pictures."""
        if metadata:
            self.converter.metadata(metadata)
        for track in tracks:
            self.converter.announce(track)
        for frame in frames:
            for unit in self.converter.convert(frame):
                self._append(unit)
        self._flushed = self.end

    def _extend(self, units: list[Unit], now: float) -> None:
        if not units:
            return
        begins: int | None = None
        for unit in units:
            if unit.key:
                begins = self.end
            self._append(unit)
        if self._head or self._ahead:
            if (
                len(self._head) > _INLINE_VIEWERS
                or self._limits.merge_s
                or self._round_running
            ):
                self._flush_needed.set()
            else:
                self._flush_inline(now)
        else:
            self._flushed = self.end
        if begins is not None and self._waiting:
            waiting, self._waiting = self._waiting, set()
            for viewer in waiting:
                self._begin(viewer, begins, now)

    def _begin(self, viewer: Viewer, key: int, now: float) -> None:
        if key == self.key and self._lead is not None and self._lead >= self.first:
            viewer.begin(self._lead, key, float("-inf"), now)
        else:
            viewer.begin(key, key, self._units[key].time, now)

    # -- output: the head -----------------------------------------------------------

    def _gathered(self, start: int) -> bytes:
        if start == self.end - 1:
            return self._units[start].data
        return b"".join([self._units[i].data for i in range(start, self.end)])

    def _flush_inline(self, now: float) -> None:
        if self._ahead:
            self._admit_ahead(now)
        if self._flushed == self.end:
            return
        data = self._gathered(max(self._flushed, self.first))
        self._flushed = end = self.end
        size = len(data)
        troubled: list[tuple[Viewer, int | OSError]] = []
        for viewer, send in self._head.items():
            viewer.cursor = end
            try:
                sent = send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                troubled.append((viewer, error))
                continue
            if sent != size:
                troubled.append((viewer, sent))
        for viewer, outcome in troubled:
            self._part_from_head(viewer, data, outcome, now)

    def _part_from_head(
        self, viewer: Viewer, data: bytes, outcome: int | OSError, now: float
    ) -> None:
        del self._head[viewer]
        if isinstance(outcome, OSError):
            viewer.fail(outcome)
            return
        try:
            viewer.wire.keep(data, outcome)
        except OSError as error:
            viewer.fail(error)
        else:
            # TLS keeps ciphertext itself and says -1; all of the unit was taken.
            viewer.fall_behind(now, unsent=len(data) - outcome if outcome >= 0 else 0)

    async def run_flush(self) -> None:
        """Write to the head in slices; the outlet's one task, until cancelled."""
        while True:
            await self._flush_needed.wait()
            if self._limits.merge_s:
                await trio.sleep(self._limits.merge_s)
            self._flush_needed = trio.Event()
            self._round_running = True
            try:
                while self._flushed < self.end:
                    await self._flush_round()
                    if self._limits.merge_s:
                        break
            finally:
                self._round_running = False
            if self._flushed < self.end:
                self._flush_needed.set()

    async def _flush_round(self) -> None:
        now = trio.current_time()
        if self._ahead:
            self._admit_ahead(now)
        end = self._round_end()
        data = b"".join(
            [self._units[i].data for i in range(max(self._flushed, self.first), end)]
        )
        size = len(data)
        deadline = perf_counter() + _SLICE_S
        countdown = _SLICE_STRIDE
        for viewer, send in list(self._head.items()):
            if viewer.state is not ViewerState.HEAD or viewer not in self._head:
                continue  # left or fell behind while we yielded
            viewer.cursor = end
            try:
                sent = send(data)
            except BlockingIOError:
                self._part_from_head(viewer, data, 0, now)
            except OSError as error:
                self._part_from_head(viewer, data, error, now)
            else:
                if sent != size:
                    self._part_from_head(viewer, data, sent, now)
            countdown -= 1
            if not countdown:
                countdown = _SLICE_STRIDE
                if perf_counter() >= deadline:
                    await trio.lowlevel.checkpoint()
                    deadline = perf_counter() + _SLICE_S
        self._flushed = end
        await trio.lowlevel.checkpoint()

    def _round_end(self) -> int:
        """Bound one write, so that a merged run stays a modest piece of memory."""
        end = self._flushed
        size = 0
        while end < self.end and size < _JOIN_LIMIT:
            unit = self._units.get(end)
            size += len(unit.data) if unit else 0
            end += 1
        return end

    def _admit_ahead(self, now: float) -> None:
        """Bring viewers that had read past the last flush level with the head."""
        level = [v for v in self._ahead if v.cursor <= self._flushed]
        for viewer in level:
            self._ahead.discard(viewer)
            self._head[viewer] = viewer.wire.direct_send
        for viewer in list(self._ahead):
            # Its own writing reached further than the head; once the head gets
            # there it joins, until then it is simply served here.
            if viewer.cursor < self.end:
                data = self._gathered(viewer.cursor)
                viewer.cursor = self.end
                try:
                    clear = viewer.wire.offer(data)
                except OSError as error:
                    self._ahead.discard(viewer)
                    viewer.fail(error)
                    continue
                viewer.skip_count(len(data))
                if not clear:
                    self._ahead.discard(viewer)
                    viewer.fall_behind(now)

    # -- viewers ----------------------------------------------------------------------

    def attach(self, viewer: Viewer, now: float) -> None:
        """Take a viewer: it starts at the newest key unit, or waits for one."""
        self.viewers.add(viewer)
        self.idle_since = None
        viewer.outlet = self
        viewer.waiting_since = now
        if self.key is not None and self._limits.keep_group:
            self._begin(viewer, self.key, now)
        else:
            self.wait_for_key(viewer)

    def wait_for_key(self, viewer: Viewer) -> None:
        """Let the next key unit start this viewer."""
        viewer.state = ViewerState.WAITING
        viewer.cursor = self.end
        self._waiting.add(viewer)

    def detach(self, viewer: Viewer, now: float) -> None:
        """Let go of a viewer, wherever it stands."""
        viewer.release()
        self.viewers.discard(viewer)
        self._head.pop(viewer, None)
        self._ahead.discard(viewer)
        self._waiting.discard(viewer)
        if not self.viewers:
            self.idle_since = now

    def join_head(self, viewer: Viewer) -> None:
        """Take over a viewer whose cursor is at the end."""
        viewer.joined_head(self._offset)
        if viewer.cursor == self._flushed and not self._round_running:
            self._head[viewer] = viewer.wire.direct_send
        else:
            self._ahead.add(viewer)

    def leave_head(self, viewer: Viewer) -> None:
        """The viewer's own task writes from now on."""
        self._head.pop(viewer, None)
        self._ahead.discard(viewer)

    @property
    def is_waiting_empty(self) -> bool:
        """True if nobody waits for a key unit."""
        return not self._waiting
