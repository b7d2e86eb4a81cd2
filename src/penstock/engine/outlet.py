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
_SLICE_S = 0.0015
"""The loop's budget is 2 ms, and the last writes before a look at the clock come on
top of a slice."""
_SLICE_STRIDE = 32
_SLICE_OCTETS = 256 << 10
"""Viewers, and octets written, between two looks at the clock (0.1 µs each): a write
takes from 12 µs to 100 (a key frame), so 32 of those alone would be 3 ms."""
_JOIN_LIMIT = 1 << 20
_UNIT_OVERHEAD = 200
"""What a unit's objects cost beside its bytes: tiny units must not grow the ring."""


@attrs.frozen
class RingLimits:
    """How much of the past one wire form keeps."""

    seconds: float = 10.0
    max_bytes: int = 32 << 20
    """Bound on `Outlet.ring_bytes`; at least the newest unit is kept."""
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
        """Memory that the kept units take."""
        self.dropped = 0
        """Units that slow viewers skipped, summed over them."""
        self.idle_since: float | None = None
        self.viewers: set[Viewer] = set()
        self._limits = limits
        self._units: dict[int, Unit] = {}
        self._offset = 0
        self._head: dict[Viewer, Callable[[bytes], int]] = {}
        self._waiting: set[Viewer] = set()
        self._fresh_from: int | None = 0
        """Where the publication began, until a picture has been seen of it."""
        self._lead: int | None = None
        """Where viewers of the newest key unit start, if that is before it: at the
        very beginning of a publication its first sounds are not cut off."""
        self._flushed = 0
        """The head has been written up to here; members that joined later are
        further on. Without flush pending all stand at the end."""
        self._flushed_offset = 0
        self._round_end = 0
        self._round_offset = 0
        self._flush_needed = trio.Event()
        self._round_running = False

    @property
    def ended(self) -> str:
        """Why the form cannot go on, or ""."""
        return self.converter.ended

    # -- the ring ---------------------------------------------------------------

    def unit(self, index: int) -> Unit:
        """Return a kept unit, ``first <= index < end``."""
        return self._units[index]

    def offset(self, index: int) -> int:
        """Return how many octets came before unit ``index``."""
        unit = self._units.get(index)
        if unit is not None:
            return unit.offset
        if index >= self.end:
            return self._offset
        # The head may stand at a unit that the ring has let go.
        if index == self._flushed:
            return self._flushed_offset
        if index == self._round_end:
            return self._round_offset
        return self._units[self.first].offset

    def _append(self, unit: Unit) -> None:
        unit.offset = self._offset
        self._offset += len(unit.data)
        self.ring_bytes += len(unit.data) + len(unit.config) + _UNIT_OVERHEAD
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
        group = self.key if limits.keep_group else None
        while self.first < self.end - 1:
            oldest = self._units[self.first]
            if self.ring_bytes <= limits.max_bytes:
                if oldest.time >= horizon:
                    break
                if group is not None and self.first >= group:
                    break  # the newest group of pictures starts here
            del self._units[self.first]
            self.ring_bytes -= len(oldest.data) + len(oldest.config) + _UNIT_OVERHEAD
            self.first += 1
        if self.key is not None and self.key < self.first:
            self.key = None

    # -- input --------------------------------------------------------------------

    def begin(self) -> None:
        """A new publication begins."""
        self._fresh_from = self.end
        self.converter.begin()

    def end_publication(self, now: float) -> None:
        """The publisher has gone: nobody new starts with what it left behind.

        Who watches gets what its converter still has.
        """
        self._extend(self.converter.finish(), now)
        self.key = self._lead = None

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
        self._note_flushed(self.end, self._offset)

    def _extend(self, units: list[Unit], now: float) -> None:
        if not units:
            return
        level = self._flushed == self.end
        begins: int | None = None
        for unit in units:
            if unit.key:
                begins = self.end
            self._append(unit)
        if not self._head:
            self._note_flushed(self.end, self._offset)
        elif (
            level
            and len(self._head) <= _INLINE_VIEWERS
            and not self._limits.merge_s
            and not self._round_running
        ):
            self._flush_inline(now)
        else:
            self._flush_needed.set()
        if begins is not None and begins >= self.first and self._waiting:
            waiting, self._waiting = self._waiting, set()
            for viewer in waiting:
                self._begin(viewer, begins, now)

    def _begin(self, viewer: Viewer, key: int, now: float) -> None:
        if key == self.key and self._lead is not None and self._lead >= self.first:
            viewer.begin(self._lead, key, float("-inf"), now)
        else:
            viewer.begin(key, key, self._units[key].time, now)

    # -- output: the head -----------------------------------------------------------

    def _gathered(self, start: int, end: int) -> bytes:
        if start == end - 1:
            return self._units[start].data
        return b"".join([self._units[i].data for i in range(start, end)])

    def _note_flushed(self, index: int, offset: int) -> None:
        if index > self._flushed:
            self._flushed, self._flushed_offset = index, offset

    def _flush_inline(self, now: float) -> None:
        """Write to the head; all of it stands at ``_flushed``."""
        if self._flushed < self.first:
            self._scatter_head(now)
            return
        end = self.end
        data = self._gathered(self._flushed, end)
        self._flushed, self._flushed_offset = end, self._offset
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
            viewer.fail(outcome, unsent=len(data))
            return
        # TLS keeps ciphertext itself and says -1; all of the unit was taken.
        unsent = len(data) - outcome if outcome >= 0 else 0
        try:
            viewer.wire.keep(data, outcome)
        except OSError as error:
            viewer.fail(error, unsent)
        else:
            viewer.fall_behind(now, unsent)

    def _scatter_head(self, now: float) -> None:
        """The ring has let go of what the head was about to be written: all skip."""
        for viewer in list(self._head):
            if viewer.cursor < self.first:
                del self._head[viewer]
                viewer.fall_behind(now)
        self._note_flushed(self.first, self._units[self.first].offset)

    async def run_flush(self) -> None:
        """Write to the head in slices; the outlet's one task, until cancelled."""
        merge_s = self._limits.merge_s
        while True:
            await self._flush_needed.wait()
            if merge_s:
                await trio.sleep(merge_s)
            self._flush_needed = trio.Event()
            gathered = self.end
            self._round_running = True
            try:
                while self._flushed < (gathered if merge_s else self.end):
                    await self._flush_round()
            finally:
                self._round_running = False
            if self._flushed < self.end:
                self._flush_needed.set()

    async def _flush_round(self) -> None:
        now = trio.current_time()
        if self._flushed < self.first:
            self._scatter_head(now)
        start = self._flushed
        end = self._round_end = self._bounded_end(start)
        self._round_offset = self.offset(end)
        data = self._gathered(start, end)
        deadline = perf_counter() + _SLICE_S
        stride = max(1, min(_SLICE_STRIDE, _SLICE_OCTETS // (len(data) + 1)))
        countdown = stride
        for viewer, send in list(self._head.items()):
            if viewer not in self._head:
                continue  # left or fell behind while we yielded
            if viewer.cursor == start:
                self._write(viewer, send, data, end, now)
            elif viewer.cursor < end:
                self._write_rest(viewer, send, end, now)
            countdown -= 1
            if not countdown:
                countdown = stride
                if perf_counter() >= deadline:
                    await trio.lowlevel.checkpoint()
                    deadline = perf_counter() + _SLICE_S
        self._note_flushed(end, self._round_offset)
        await trio.lowlevel.checkpoint()

    def _write(
        self,
        viewer: Viewer,
        send: Callable[[bytes], int],
        data: bytes,
        end: int,
        now: float,
    ) -> None:
        viewer.cursor = end
        try:
            sent = send(data)
        except BlockingIOError:
            self._part_from_head(viewer, data, 0, now)
        except OSError as error:
            self._part_from_head(viewer, data, error, now)
        else:
            if sent != len(data):
                self._part_from_head(viewer, data, sent, now)

    def _write_rest(
        self, viewer: Viewer, send: Callable[[bytes], int], end: int, now: float
    ) -> None:
        """Write to a member that joined after the round's first unit."""
        if viewer.cursor < self.first:
            del self._head[viewer]
            viewer.fall_behind(now)
        else:
            self._write(viewer, send, self._gathered(viewer.cursor, end), end, now)

    def _bounded_end(self, start: int) -> int:
        """Bound one write, so that a merged run stays a modest piece of memory."""
        end = start
        size = 0
        while end < self.end and size < _JOIN_LIMIT:
            size += len(self._units[end].data)
            end += 1
        return end

    # -- viewers ----------------------------------------------------------------------

    def attach(self, viewer: Viewer, now: float) -> None:
        """Take a viewer: it starts at the newest key unit, or waits for one."""
        self.viewers.add(viewer)
        self.idle_since = None
        viewer.outlet = self
        if self.key is not None and self._limits.keep_group:
            viewer.waiting_since = now
            self._begin(viewer, self.key, now)
        else:
            self.wait_for_key(viewer, now)

    def wait_for_key(self, viewer: Viewer, now: float) -> None:
        """Let the next key unit start this viewer."""
        viewer.state = ViewerState.WAITING
        viewer.waiting_since = now
        viewer.cursor = self.end
        self._waiting.add(viewer)

    def detach(self, viewer: Viewer, now: float) -> None:
        """Let go of a viewer, wherever it stands."""
        viewer.release()
        self.viewers.discard(viewer)
        self._head.pop(viewer, None)
        self._waiting.discard(viewer)
        if not self.viewers:
            self.idle_since = now

    def join_head(self, viewer: Viewer) -> None:
        """Take over a viewer whose cursor is at the end and whose wire is clear."""
        viewer.joined_head(self._offset)
        self._head[viewer] = viewer.wire.direct_send

    def leave_head(self, viewer: Viewer) -> None:
        """Write to this viewer no more; it stays attached."""
        self._head.pop(viewer, None)
