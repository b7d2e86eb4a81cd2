"""A viewer: one connection's cursor into the ring of an outlet.

At the head the outlet writes to it directly. Behind, the viewer's own `run` task owns
the wire: it finishes residue, writes units up to the end and hands itself back to the
head in the same step that finds nothing left.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio

from penstock.media import TrackKind
from penstock.net.wire import WireOverflow

if TYPE_CHECKING:
    from .outlet import Outlet

__all__ = ["SlowViewer", "Viewer", "ViewerState", "ViewerWire"]

_BATCH_BYTES = 64 << 10
_MAX_CONTROL = 256 << 10
"""Octets of control kept for a peer that asks and does not read the answers."""


class SlowViewer(Exception):
    """The viewer could not keep up for longer than it is allowed to."""


class ViewerWire(Protocol):
    """What a viewer writes to: a `penstock.net.wire.Wire`, or what acts as one."""

    secure: bool
    bytes_received: int
    bytes_sent: int
    residue_bytes: int

    @property
    def direct_send(self) -> Callable[[bytes], int]:
        """Send at once and return how many octets went; hot path of fan-out."""
        ...

    @property
    def is_clear(self) -> bool:
        """True if nothing waits to be sent."""
        ...

    def keep(self, data: bytes, sent: int) -> None:
        """Take over what `direct_send` left."""
        ...

    def offer(self, data: bytes) -> bool:
        """Send after what waits already; never blocks."""
        ...

    async def flush(self) -> None:
        """Wait until nothing waits."""
        ...


class ViewerState(enum.Enum):
    """Who owns the viewer's wire, and why."""

    WAITING = "waiting"
    """For a key unit (or a publisher); nothing was written yet."""
    HEAD = "head"
    """The outlet writes."""
    BEHIND = "behind"
    """`Viewer.run` writes."""
    DETACHED = "detached"
    """No outlet: paused, or gone."""


class Viewer:
    """One connection that takes units from an outlet.

    Args:
        wire: Where the bytes go. While attached, only `offer` may write to it.
        slow_limit_s: How long it may stay behind in one go.
        preamble: What goes before the very first unit: the head of an HTTP answer.
    """

    def __init__(
        self, wire: ViewerWire, *, slow_limit_s: float, preamble: bytes = b""
    ) -> None:
        self.wire = wire
        self.state = ViewerState.WAITING
        self.outlet: Outlet | None = None
        self.cursor = 0
        """Index of the next unit to write."""
        self.dropped = 0
        """Units skipped because this viewer was too slow."""
        self.end_reason = ""
        """Set by `finish`: leave politely once everything is written."""
        self.waiting_since = 0.0
        self.started = False
        """The header and a key unit have been written."""
        self._preamble = preamble
        self._slow_limit_s = slow_limit_s
        self._start_time = float("-inf")
        self._start_key = 0
        self._behind_since = 0.0
        self._failure: OSError | None = None
        self._wake = trio.Event()
        self._pending_config: bytes | None = None
        self._head_from = 0
        self._joined_at = 0
        self._skips = False
        self._control_bytes = 0

    # -- figures -------------------------------------------------------------

    @property
    def head_bytes(self) -> int:
        """Octets that the outlet wrote since the viewer came to the head.

        They are added to the wire's count when it leaves; TLS counts them itself.
        """
        if self.state is not ViewerState.HEAD or self.wire.secure:
            return 0
        if self.cursor == self._joined_at:
            return 0  # the ring may have let go of that unit
        assert self.outlet is not None
        return self.outlet.offset(self.cursor) - self._head_from

    @property
    def behind_bytes(self) -> int:
        """Octets that wait for this viewer: units not written, and residue."""
        behind = self.wire.residue_bytes
        if self.outlet is not None and self.state is ViewerState.BEHIND:
            behind += self.outlet.offset(self.outlet.end) - self.outlet.offset(
                self.cursor
            )
        return behind

    @property
    def is_whole(self) -> bool:
        """True unless the wire broke: bytes may follow the last unit."""
        return self._failure is None

    # -- called by the outlet -------------------------------------------------

    def begin(self, index: int, key: int, start_time: float, now: float) -> None:
        """Start at ``index``: the header, what the key unit needs, then units.

        Args:
            index: The first unit to write; the key unit itself, or audio before it.
            key: Index of the key unit.
            start_time: Audio before this time (seconds) is left out.
            now: The loop's time.
        """
        assert self.outlet is not None
        if self._skips and self.outlet is not None:
            self._count_dropped(self.outlet, index - self.cursor)
        self._skips = False
        self.cursor = index
        self._start_time = start_time
        self._start_key = key
        self._pending_config = self.outlet.unit(key).config
        self._become_behind(now)

    def joined_head(self, offset: int) -> None:
        """The outlet writes from here on; ``offset`` is where the cursor stands."""
        self.state = ViewerState.HEAD
        self._head_from = offset
        self._joined_at = self.cursor

    def fall_behind(self, now: float, unsent: int = 0) -> None:
        """Leave the head: the viewer's own task takes over.

        Args:
            now: The loop's time.
            unsent: Octets of the last direct write that did not go.
        """
        self._leave_head(unsent)
        self._become_behind(now)

    def _leave_head(self, unsent: int = 0) -> None:
        if self.state is ViewerState.HEAD and not self.wire.secure:
            self.wire.bytes_sent += self.head_bytes - unsent

    def _become_behind(self, now: float) -> None:
        self.state = ViewerState.BEHIND
        self._behind_since = now
        self._wake.set()

    def release(self) -> None:
        """The outlet lets go; residue is still finished."""
        self._leave_head()
        self._skips = False
        self.state = ViewerState.DETACHED
        self._wake.set()

    def fail(self, error: OSError, unsent: int = 0) -> None:
        """The wire broke under a direct write; `run` raises an error like ``error``."""
        # An error that is kept with its traceback is a cycle through the frames that
        # know us: 15 objects a viewer that only a full collection would find.
        self._failure = error.with_traceback(None)
        self._leave_head(unsent)
        self.state = ViewerState.DETACHED
        self._wake.set()

    def finish(self, reason: str) -> None:
        """Let `run` return once everything that was pushed is written."""
        if not self.end_reason:
            self.end_reason = reason
        if self.state is ViewerState.HEAD and self.outlet is not None:
            # The head may not have been written up to the end yet.
            self.outlet.leave_head(self)
            self.fall_behind(trio.current_time())
        self._wake.set()

    # -- called by the session -------------------------------------------------

    def offer(self, data: bytes) -> None:
        """Write control bytes at the next unit border.

        Raises:
            OSError: the connection is gone.
            WireOverflow: the peer asks for much and reads nothing.
        """
        if self.wire.is_clear:
            self._control_bytes = 0
        self._control_bytes += len(data)
        if self._control_bytes > _MAX_CONTROL:
            raise WireOverflow("peer does not read what it asks for")
        if self.wire.offer(data):
            return
        if self.state is ViewerState.HEAD:
            assert self.outlet is not None
            self.outlet.leave_head(self)
            self.fall_behind(trio.current_time())
        self._wake.set()

    async def run(self) -> str:
        """Write whatever the outlet does not; return why it is over.

        Afterwards nobody but the caller writes to the wire.

        Returns:
            The reason given to `finish`.

        Raises:
            OSError: the connection broke.
            SlowViewer: it stayed behind for too long.
        """
        if not self.wire.is_clear:
            self._wake.set()  # what the session wrote before we came
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            if self._failure is not None:
                raise type(self._failure)(*self._failure.args)
            if self.state is ViewerState.BEHIND:
                await self._catch_up_in_time()
            elif not self.wire.is_clear:
                await self._flush_in_time()
            if self.end_reason and self.state is not ViewerState.BEHIND:
                if self.outlet is not None:
                    self.outlet.leave_head(self)
                self.release()
                return self.end_reason

    async def _catch_up_in_time(self) -> None:
        with trio.move_on_at(self._behind_since + self._slow_limit_s) as scope:
            await self._catch_up()
        if not scope.cancelled_caught:
            return
        # It may have been paused and taken up again meanwhile: another deadline.
        if trio.current_time() >= self._behind_since + self._slow_limit_s:
            raise self._too_slow()
        self._wake.set()

    async def _flush_in_time(self) -> None:
        with trio.move_on_after(self._slow_limit_s) as scope:
            await self.wire.flush()
        if scope.cancelled_caught:
            raise self._too_slow()

    def _too_slow(self) -> SlowViewer:
        return SlowViewer(
            f"{self.behind_bytes} bytes behind for {self._slow_limit_s:g} s"
        )

    async def _catch_up(self) -> None:
        outlet = self.outlet
        assert outlet is not None
        while True:
            await self.wire.flush()
            if self.outlet is not outlet or self.state is not ViewerState.BEHIND:
                return  # paused or moved while we waited
            if self.cursor < outlet.first and not self._skip(outlet):
                return
            if self._pending_config is not None:
                self._write_config(outlet, self._pending_config)
            if self.cursor == outlet.end:
                if self.wire.is_clear:
                    outlet.join_head(self)
                    return
            else:
                self.wire.offer(self._next_batch(outlet))
            # One checkpoint a batch: a fast viewer with a long way to go must not
            # hold the loop.
            await trio.lowlevel.checkpoint()

    def _write_config(self, outlet: Outlet, config: bytes) -> None:
        self._pending_config = None
        if not self.started:
            self.started = True
            config = self._preamble + outlet.converter.header + config
        self.wire.offer(config)

    def _skip(self, outlet: Outlet) -> bool:
        """Jump to the newest key unit; False if there is none and we must wait."""
        if outlet.key is None:
            self._count_dropped(outlet, outlet.end - self.cursor)
            self._skips = True
            outlet.wait_for_key(self, trio.current_time())
        else:
            self._count_dropped(outlet, outlet.key - self.cursor)
            self.cursor = outlet.key
            key = outlet.unit(outlet.key)
            self._start_time = key.time
            self._pending_config = key.config
        return self.state is ViewerState.BEHIND

    def _count_dropped(self, outlet: Outlet, units: int) -> None:
        self.dropped += units
        outlet.dropped += units

    def _next_batch(self, outlet: Outlet) -> bytes:
        parts: list[bytes] = []
        size = 0
        cursor = self.cursor
        while cursor < outlet.end and size < _BATCH_BYTES:
            unit = outlet.unit(cursor)
            cursor += 1
            # Audio that plays before the first picture would only shift it, and
            # headers before the key unit stand in its own config already.
            if unit.kind is TrackKind.AUDIO and unit.time < self._start_time:
                continue
            if unit.kind is None and cursor <= self._start_key:
                continue
            parts.append(unit.data)
            size += len(unit.data)
        self.cursor = cursor
        return parts[0] if len(parts) == 1 else b"".join(parts)
