"""HLS viewers as sessions, though each of their requests stands for itself.

A token in the query ties requests together. Who asks for a media playlist without one
gets a small master playlist that leads to the same list with a token, and from there
on the token stands in every URI.
"""

from __future__ import annotations

import posixpath
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import attrs
import trio

from .access import is_in_networks
from .file_requests import FileFailure
from .hls_playlists import (
    MasterLines,
    MediaLines,
    is_master,
    is_token,
    new_token,
    rewrite,
    synthetic_master,
)

__all__ = [
    "HlsViewerLimits",
    "HlsViewerView",
    "HlsViewers",
    "PlaylistRequest",
    "ViewerState",
]

MAX_TABLE = 16_384
"""Viewers in the table. Tokens cost their maker nothing, so beyond it the one that was
heard of longest ago makes room, first among those that have played nothing."""

_MAX_TEXT = 256
_RATE_S = 10

ViewerState: TypeAlias = Literal["pending", "active", "closed"]


@attrs.frozen
class HlsViewerLimits:
    """What viewers may take; 0 means no limit."""

    sessions: int = 0
    """Pending ones count, or many could begin at once."""
    bits_per_second: int = 0
    """Of all together."""
    pending_s: float = 5.0
    """How long who has fetched no segment is kept."""
    idle_s: float = 30.0
    """How long who fetches nothing more is kept."""


@attrs.frozen
class HlsViewerView:
    """One viewer as others see it."""

    id: str
    """The token."""
    reference: str
    """Name of the playlist without its ending."""
    path: str
    """Of the playlist's URL."""
    address: str
    """IP address of the client."""
    user_agent: str
    referrer: str
    """Host of the page that the player is on; "" if unknown."""
    since: float
    """Unix seconds."""
    state: ViewerState
    bytes_sent: int
    """Of bodies."""
    bits_per_second: float
    """Average of the last 10 s."""

    @property
    def kbit_per_s(self) -> float:
        """The same in units of 1,024 bits."""
        return self.bits_per_second / 1024


@attrs.frozen
class PlaylistRequest:
    """What is known of who asks for a playlist."""

    path: str
    """Of the URL, as it came."""
    query: str = ""
    token: str = ""
    """What the query says of a session."""
    address: str = ""
    user_agent: str = ""
    referrer: str = ""
    """The value of the header."""


@attrs.define(eq=False)
class _Rate:
    """Bytes of the last ten seconds, a bucket for each."""

    _second: int = 0
    _buckets: list[int] = attrs.field(factory=lambda: [0] * _RATE_S)

    def add(self, count: int, now: float) -> None:
        self._turn(now)
        self._buckets[self._second % _RATE_S] += count

    def bits_per_second(self, now: float) -> float:
        self._turn(now)
        return sum(self._buckets) * 8 / _RATE_S

    def _turn(self, now: float) -> None:
        second = int(now)
        for past in range(min(second - self._second, _RATE_S)):
            self._buckets[(second - past) % _RATE_S] = 0
        self._second = second


@attrs.define(eq=False)
class _Viewer:
    view: HlsViewerView
    seen_at: float
    bytes_sent: int = 0
    rate: _Rate = attrs.field(factory=_Rate)

    def view_at(self, now: float) -> HlsViewerView:
        return attrs.evolve(
            self.view,
            bytes_sent=self.bytes_sent,
            bits_per_second=self.rate.bits_per_second(now),
        )


@attrs.define(eq=False)
class HlsViewers:
    """The viewers of any number of mounts.

    Nothing runs in the background: who has gone is found when somebody asks.

    Attributes:
        limits: Asked anew each time, so that a reload counts.
        ignored: Addresses and networks whose requests are neither counted nor changed.
        random_bytes: Source of tokens.
        expected_bps: Bits a second that a playlist's stream probably takes, by its
            path; a new viewer must have room for them.
        changed: Told when a viewer becomes active, and when an active one is closed.
        clock: Seconds that never go back.
        wall: Unix seconds.
    """

    limits: Callable[[], HlsViewerLimits]
    ignored: Callable[[], Sequence[str]]
    random_bytes: Callable[[int], bytes]
    expected_bps: Callable[[str], float] = lambda path: 0.0
    changed: Callable[[HlsViewerView], None] = lambda view: None
    clock: Callable[[], float] = trio.current_time
    wall: Callable[[], float] = time.time
    _pending: OrderedDict[str, _Viewer] = attrs.field(factory=OrderedDict, init=False)
    """The one heard of longest ago first, in both."""
    _active: OrderedDict[str, _Viewer] = attrs.field(factory=OrderedDict, init=False)
    _rate: _Rate = attrs.field(factory=_Rate, init=False)

    def is_ignored(self, address: str) -> bool:
        """Tell whether a client's files stay as they are."""
        return is_in_networks(address, self.ignored())

    def views(self) -> tuple[HlsViewerView, ...]:
        """Return all viewers, pending ones first."""
        now = self._now()
        viewers = (*self._pending.values(), *self._active.values())
        return tuple(viewer.view_at(now) for viewer in viewers)

    async def playlist(self, request: PlaylistRequest, text: str) -> str:
        """Return what a viewer gets instead of a playlist.

        Raises:
            FileFailure: 403 for what cannot be a token; 509 beyond a limit.
        """
        self._admit(request)
        lines: MasterLines | MediaLines
        if is_master(text):
            lines = MasterLines(request.path, lambda: new_token(self.random_bytes))
        elif request.token:
            lines = MediaLines(request.token)
        else:
            token = new_token(self.random_bytes)
            name = posixpath.basename(request.path)
            return synthetic_master(name, request.query, token)
        return await rewrite(text, lines)

    def meter(self, token: str, *, is_media: bool) -> Callable[[int], None] | None:
        """Return what counts the bytes that go to a viewer; None for a stranger.

        Args:
            token: What the query says.
            is_media: The first segment makes a pending viewer an active one.
        """
        now = self._now()
        viewer = self._find(token)
        if viewer is None:
            return None
        if is_media and self._pending.pop(token, None) is not None:
            viewer.view = attrs.evolve(viewer.view, state="active")
            self._active[token] = viewer
            self.changed(viewer.view_at(now))
        self._touch(token, viewer, now)

        def count(octets: int) -> None:
            now = self.clock()
            viewer.bytes_sent += octets
            viewer.rate.add(octets, now)
            self._rate.add(octets, now)
            self._touch(token, viewer, now)

        return count

    def _admit(self, request: PlaylistRequest) -> None:
        now = self._now()
        viewer = self._find(request.token)
        if viewer is not None:
            self._touch(request.token, viewer, now)
            return
        limits = self.limits()
        if limits.sessions and len(self._active) + len(self._pending) >= (
            limits.sessions
        ):
            raise FileFailure(509, "Number of sessions exceeded", request.path)
        wanted = self._rate.bits_per_second(now) + self.expected_bps(request.path)
        if limits.bits_per_second and wanted > limits.bits_per_second:
            raise FileFailure(509, "Bitrate limit exceeded", request.path)
        if not request.token:
            return
        if not is_token(request.token):
            raise FileFailure(403, "This is no session", request.path)
        self._register(request, now)

    def _register(self, request: PlaylistRequest, now: float) -> None:
        if len(self._pending) + len(self._active) >= MAX_TABLE:
            if self._pending:
                self._pending.popitem(last=False)
            else:
                self._close(self._active.popitem(last=False)[1], now)
        view = HlsViewerView(
            request.token,
            posixpath.splitext(posixpath.basename(request.path))[0][:_MAX_TEXT],
            request.path[: 4 * _MAX_TEXT],
            request.address,
            request.user_agent[:_MAX_TEXT],
            _host_of(request.referrer),
            self.wall(),
            "pending",
            0,
            0.0,
        )
        self._pending[request.token] = _Viewer(view, now)

    def _find(self, token: str) -> _Viewer | None:
        return self._active.get(token) or self._pending.get(token)

    def _touch(self, token: str, viewer: _Viewer, now: float) -> None:
        viewer.seen_at = now
        for table in (self._active, self._pending):
            if table.get(token) is viewer:
                table.move_to_end(token)

    def _now(self) -> float:
        """Return the time, after closing those whose time is over."""
        now, limits = self.clock(), self.limits()
        while self._pending:
            token, viewer = next(iter(self._pending.items()))
            if now - viewer.seen_at < limits.pending_s:
                break
            del self._pending[token]
        while self._active:
            token, viewer = next(iter(self._active.items()))
            if now - viewer.seen_at < limits.idle_s:
                break
            del self._active[token]
            self._close(viewer, now)
        return now

    def _close(self, viewer: _Viewer, now: float) -> None:
        self.changed(attrs.evolve(viewer.view_at(now), state="closed"))


def _host_of(referrer: str) -> str:
    try:
        return (urlsplit(referrer[: 8 * _MAX_TEXT]).hostname or "")[:_MAX_TEXT]
    except ValueError:
        return ""
