"""What all tests share: the event loop, and an engine that is lists of views.

The libraries' tests also run in an environment without trio and without penstock, so
neither is a setting of pytest's configuration (there, an unknown one is an error) or an
import that must succeed.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import attrs
import pytest

if importlib.util.find_spec("pytest_trio") is not None:
    from pytest_trio.enable_trio_mode import *  # noqa: F403

if importlib.util.find_spec("penstock") is not None:
    import trio

    from penstock.control import NotFound

if TYPE_CHECKING:
    from penstock.control import (
        Control,
        ControlError,
        RelayView,
        ServerView,
        SessionView,
        StreamView,
        VhostView,
    )


@attrs.define
class FakeControl:
    """A `Control` over lists of views; what is kicked goes when a test says so."""

    server_view: ServerView
    vhost_views: list[VhostView] = attrs.field(factory=list)
    stream_views: list[StreamView] = attrs.field(factory=list)
    session_views: list[SessionView] = attrs.field(factory=list)
    kicked: list[tuple[str, str]] = attrs.field(factory=list)
    asked: int = 0
    """Times that all streams were asked for."""
    reloads: int = 0
    reload_error: ControlError | None = None
    failure: Exception | None = None
    """What asking for the server raises."""

    async def server(self) -> ServerView:
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        return self.server_view

    async def vhosts(self) -> list[VhostView]:
        await trio.lowlevel.checkpoint()
        return list(self.vhost_views)

    async def streams(self) -> list[StreamView]:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return list(self.stream_views)

    async def stream(self, stream_id: str) -> StreamView:
        for view in await self.streams():
            if view.id == stream_id:
                return view
        raise NotFound("No stream has that id.")

    async def sessions(self) -> list[SessionView]:
        await trio.lowlevel.checkpoint()
        return list(self.session_views)

    async def session(self, session_id: str) -> SessionView:
        for view in await self.sessions():
            if view.id == session_id:
                return view
        raise NotFound("No session has that id.")

    async def kick(self, session_id: str, reason: str) -> None:
        await self.session(session_id)
        self.kicked.append((session_id, reason))

    def vanish(self) -> None:
        """Let the sessions go that were kicked, and the publications of theirs."""
        gone = {session_id for session_id, _ in self.kicked}
        self.session_views = [v for v in self.session_views if v.id not in gone]
        self.stream_views = [
            attrs.evolve(view, publisher_active=False, tracks=(), viewers=1)
            if view.publisher_id in gone
            else view
            for view in self.stream_views
        ]

    async def relays(self) -> list[RelayView]:
        await trio.lowlevel.checkpoint()
        return []

    async def reload(self) -> None:
        await trio.lowlevel.checkpoint()
        self.reloads += 1
        if self.reload_error is not None:
            raise self.reload_error


def _checked(fake: FakeControl) -> Control:
    """Let mypy hold the fake against the protocol; fixtures lose its type."""
    return fake


@pytest.fixture
def fake_control() -> type[FakeControl]:
    """The class of a `Control` whose answers are what a test puts into it."""
    return FakeControl
