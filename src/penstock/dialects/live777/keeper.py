"""Streams that this API made: kept, deleted by the strategy, and bounded.

Live777 keeps a stream that was made by a first publisher or subscriber when they have
left. Here so many of them are kept that nobody who may play can use up all entries.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import trio

from penstock.control import Control, NotFound, StreamView
from penstock.settings import Live777Strategy

from .names import Key
from .shapes import publish_leave_ms, subscribe_leave_ms

__all__ = ["Keeper"]

_TICK_S = 1.0
_MOST_KEPT = 256
"""Unused streams that were made without a command; the longest known go first."""


class Keeper:
    """Makes streams for first publishers and subscribers, and deletes them in time.

    Args:
        control: The door into the engine.
        strategy: Gives the strategy in force.
        wall: Unix seconds.
    """

    def __init__(
        self,
        control: Control,
        strategy: Callable[[], Live777Strategy],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._control = control
        self._strategy = strategy
        self._wall = wall
        self._made: dict[str, None] = {}

    async def keep(self, key: Key) -> StreamView:
        """Keep a stream, made for whoever came first. Raises: ControlError."""
        view = await self._control.reserve_stream(*key)
        self._made[view.id] = None
        if len(self._made) > _MOST_KEPT:
            await self._forget_some(view.id)
        return view

    async def forget_unused(self, stream_id: str) -> None:
        """Take back a stream that has been made for nothing."""
        with contextlib.suppress(NotFound):
            if _is_unused(await self._control.stream(stream_id)):
                await self._control.destroy_stream(stream_id, "nobody came")
        self._made.pop(stream_id, None)

    async def _forget_some(self, but: str) -> None:
        for stream_id in list(self._made):
            if len(self._made) <= _MOST_KEPT:
                return
            if stream_id == but:
                continue
            try:
                view = await self._control.stream(stream_id)
            except NotFound:
                self._made.pop(stream_id, None)
                continue
            if _is_unused(view):
                await self.forget_unused(stream_id)

    async def run(self) -> None:
        """Delete what the strategy says, once a second, until cancelled."""
        while True:
            await trio.sleep(_TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """Delete streams whose publisher or last subscriber left long enough ago."""
        strategy = self._strategy()
        if strategy.auto_delete_whip < 0 and strategy.auto_delete_whep < 0:
            return
        now_ms = int(self._wall() * 1_000)
        for view in await self._control.streams():
            # Streams of other protocols come and go by their own rules.
            if view.reserved and _is_due(view, strategy, now_ms):
                with contextlib.suppress(NotFound):
                    await self._control.destroy_stream(view.id, "auto delete")


def _is_unused(view: StreamView) -> bool:
    return not view.publisher_active and view.viewers_left_at is not None


def _is_due(view: StreamView, strategy: Live777Strategy, now_ms: int) -> bool:
    rules = [
        (publish_leave_ms(view), strategy.auto_delete_whip),
        (subscribe_leave_ms(view), strategy.auto_delete_whep),
    ]
    return any(
        left_ms > 0 and patience_ms >= 0 and now_ms - left_ms > patience_ms
        for left_ms, patience_ms in rules
    )
