"""What all tests share: the event loop, and an engine that is lists of views.

The libraries' tests also run in an environment without trio and without penstock, so
neither is a setting of pytest's configuration (there, an unknown one is an error) or an
import that must succeed.
"""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import settings

# One commit has one result; `--hypothesis-profile=explore` looks further each time.
settings.register_profile("explore", deadline=None)
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")

if importlib.util.find_spec("pytest_trio") is not None:
    from pytest_trio.enable_trio_mode import *  # noqa: F403

if importlib.util.find_spec("penstock") is not None:
    import trio

    from penstock.control import (
        NotFound,
        RatesView,
        StreamView,
        Unavailable,
        WebRtcAnswer,
    )

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.control import (
        Control,
        ControlError,
        RelayView,
        ServerView,
        SessionView,
        VhostView,
        WebRtcOffer,
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
    offers: list[WebRtcOffer] = attrs.field(factory=list)
    answer: WebRtcAnswer | Exception = attrs.field(
        factory=lambda: WebRtcAnswer(session_id="", sdp="", ice_ufrag="")
    )
    """What an offer gets."""
    patches: list[tuple[str, str, str, tuple[str, ...], bool]] = attrs.field(
        factory=list
    )
    webrtc_sessions: set[str] = attrs.field(factory=set)
    kicks_at_once: bool = False
    """What is kicked goes by itself."""
    reserve_error: ControlError | None = None
    reserved: int = 0
    """Streams that were made by a command."""
    destroyed: list[tuple[str, str]] = attrs.field(factory=list)
    changes: int = 0
    changed: trio.Event = attrs.field(factory=lambda: trio.Event())
    selected: list[tuple[str, str]] = attrs.field(factory=list)
    muted: list[tuple[str, str, bool]] = attrs.field(factory=list)
    cascades: list[tuple[str, tuple[str, str, str], str, str]] = attrs.field(
        factory=list
    )
    cascade_answer: str | ControlError = "c" * 32
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

    async def find_stream(self, vhost: str, app: str, name: str) -> StreamView:
        for view in await self.streams():
            if (view.vhost, view.app, view.name) == (vhost, app, name):
                return view
        raise NotFound("No stream has that key.")

    async def reserve_stream(self, vhost: str, app: str, name: str) -> StreamView:
        await trio.lowlevel.checkpoint()
        if self.reserve_error is not None:
            raise self.reserve_error
        key = vhost, app, name
        for at, view in enumerate(self.stream_views):
            if (view.vhost, view.app, view.name) == key:
                self.stream_views[at] = attrs.evolve(view, reserved=True)
                return self.stream_views[at]
        self.reserved += 1
        view = StreamView(
            id=f"{self.reserved:032x}",
            vhost=vhost,
            app=app,
            name=name,
            state="idle",
            created_at=1_795_201_763.0,
            live_since=None,
            publisher_id=None,
            publisher_active=False,
            tracks=(),
            viewers=0,
            video_frames=0,
            bytes_received=0,
            bytes_sent=0,
            rates=RatesView(),
            bitrate_bps=0,
            tc_url="",
            cache_bytes=0,
            dropped_frames=0,
            reserved=True,
            viewers_left_at=1_795_201_763.0,
        )
        self.stream_views.append(view)
        self.change()
        return view

    async def destroy_stream(self, stream_id: str, reason: str) -> None:
        await self.stream(stream_id)
        self.destroyed.append((stream_id, reason))
        self.stream_views = [v for v in self.stream_views if v.id != stream_id]
        self.session_views = [v for v in self.session_views if v.stream_id != stream_id]
        self.change()

    def change(self) -> None:
        """Wake whoever waits for changes."""
        self.changes += 1
        changed, self.changed = self.changed, trio.Event()
        changed.set()

    async def wait_changed(self, seen: int) -> int:
        while self.changes == seen:
            await self.changed.wait()
        await trio.lowlevel.checkpoint()
        return self.changes

    async def select_layer(self, session_id: str, layer: str) -> None:
        await self.session(session_id)
        self.selected.append((session_id, layer))

    async def mute(self, session_id: str, kind: str, *, muted: bool) -> None:
        await self.session(session_id)
        self.muted.append((session_id, kind, muted))

    async def cascade_pull(
        self, *, vhost: str, app: str, name: str, url: str, authorization: str
    ) -> str:
        return await self._cascade("pull", (vhost, app, name), url, authorization)

    async def cascade_push(
        self, *, vhost: str, app: str, name: str, url: str, authorization: str
    ) -> str:
        return await self._cascade("push", (vhost, app, name), url, authorization)

    async def _cascade(
        self, way: str, key: tuple[str, str, str], url: str, authorization: str
    ) -> str:
        await trio.lowlevel.checkpoint()
        self.cascades.append((way, key, url, authorization))
        if isinstance(self.cascade_answer, Exception):
            raise self.cascade_answer
        return self.cascade_answer

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
        if self.kicks_at_once:
            self.vanish()
            self.change()

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

    async def start_relay(
        self, *, source: str, destination: str, on_demand: bool
    ) -> RelayView:
        await trio.lowlevel.checkpoint()
        raise Unavailable("no relays here")

    async def stop_relay(self, relay_id: str) -> None:
        await trio.lowlevel.checkpoint()
        raise NotFound(relay_id)

    async def offer_webrtc(self, offer: WebRtcOffer) -> WebRtcAnswer:
        await trio.lowlevel.checkpoint()
        self.offers.append(offer)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def patch_webrtc(
        self,
        session_id: str,
        *,
        ufrag: str = "",
        pwd: str = "",
        candidates: tuple[str, ...] = (),
        end: bool = False,
    ) -> tuple[str, str] | None:
        await self.webrtc_ufrag(session_id)
        self.patches.append((session_id, ufrag, pwd, candidates, end))
        return ("new1", "n" * 24) if ufrag else None

    async def webrtc_ufrag(self, session_id: str) -> str:
        await trio.lowlevel.checkpoint()
        if session_id not in self.webrtc_sessions:
            raise NotFound("No session has that id.")
        return "ours"

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


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., Path]:
    """Write programs of the shell that are taken for an FFmpeg; all are one file."""

    def write(script: str, version: str = "ffmpeg version n9.0") -> Path:
        path = tmp_path / "program"
        path.unlink(missing_ok=True)
        asked = f"[ \"$2\" != -version ] || {{ echo '{version}'; exit; }}"
        path.write_text(f"#!{shutil.which('sh')}\n{asked}\n{script}\n")
        path.chmod(0o755)
        return path

    return write
