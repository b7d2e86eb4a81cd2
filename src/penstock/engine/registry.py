"""Everything that is running: streams by key and id, sessions by id, totals."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio

from penstock.media.timeline import MillisecondTimeline
from penstock.slices import in_slices

from .rates import RateWindow
from .session import Role, Session, StreamKey
from .stream import Publication, Stream, StreamPolicy, Timeline
from .unit import Conversions

__all__ = ["MAX_NAME", "Refusal", "Registry", "VhostTotals", "check_key"]

MAX_NAME = 256
"""Octets of UTF-8 that an app's or a stream's name may have."""

_TAKEOVER_S = 5.0
"""A replaced publisher must have let go by then."""


class Refusal(Exception):
    """A client may not do what it asked for.

    Args:
        reason: One phrase for the client and the log.
        kind: Which rule: "busy", "limit", "auth", "address", "hook", "absent",
            "request".
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


def check_key(key: StreamKey) -> None:
    """Judge a client's words for a stream before they are kept or shown anywhere.

    Names are compared as they are: two that differ by Unicode normalisation alone
    are two streams.

    Raises:
        Refusal: a name is too long, has a character that nobody can see, is not
            UTF-8, or climbs as a path would.
    """
    for what, text in (("app", key.app), ("stream", key.name)):
        if len(text.encode("utf-8", "replace")) > MAX_NAME:
            raise Refusal(f"the {what}'s name is over {MAX_NAME} octets", "request")
        # U+FFFD stands where a decoder found no UTF-8.
        if not text.isprintable() or "\ufffd" in text:
            raise Refusal(f"the {what}'s name has an unprintable character", "request")
        if not {".", ".."}.isdisjoint(text.split("/")):
            raise Refusal(f"the {what}'s name is a relative path", "request")


@attrs.define(eq=False)
class VhostTotals:
    """What one virtual host has carried; kept until the process ends."""

    name: str
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    bytes_received: int = 0
    """By sessions that have ended."""
    bytes_sent: int = 0
    rates: RateWindow = attrs.field(factory=RateWindow)


class Registry:
    """The engine's index; only `app.py` makes one.

    Args:
        policy: How new streams behave; may be replaced by a reload.
        conversions: What makes wire forms.
        nursery: Where streams' tasks run.
        max_streams: Bound on stream entries with a publisher, and on those without;
            0 for none.
        replace_publisher: A second publisher takes over instead of being refused.
    """

    def __init__(
        self,
        policy: StreamPolicy,
        *,
        conversions: Conversions,
        nursery: trio.Nursery,
        max_streams: int = 0,
        replace_publisher: bool = False,
    ) -> None:
        self.policy = policy
        self.max_streams = max_streams
        self.replace_publisher = replace_publisher
        self.streams: dict[StreamKey, Stream] = {}
        self.streams_by_id: dict[str, Stream] = {}
        self.sessions: dict[str, Session] = {}
        self.vhosts: dict[str, VhostTotals] = {}
        self.sessions_total = 0
        self.session_errors_total = 0
        self.refusals: dict[str, int] = {}
        self.changes = 0
        """Counts what `wait_changed` waits for."""
        self._changed = trio.Event()
        self._conversions = conversions
        self._nursery = nursery
        self._received_before = 0
        self._sent_before = 0

    # -- streams ----------------------------------------------------------------------

    def stream(self, key: StreamKey, tc_url: str, *, claims: bool = False) -> Stream:
        """Return the stream of that key, making the entry if there is none.

        Args:
            key: Which.
            tc_url: ``app``'s address, as the client knows it.
            claims: It is for a publisher.

        Raises:
            Refusal: there are too many entries, or the key is none that may be.
        """
        stream = self.streams.get(key)
        if stream is None:
            check_key(key)
        is_one_more = stream is None or (claims and not stream.is_claimed)
        if is_one_more and self._is_full(claimed=claims):
            raise Refusal("too many streams", "limit")
        if stream is None:
            stream = Stream(
                key,
                self.policy,
                conversions=self._conversions,
                start_task=self._start_task,
                created_at=time.time(),
                tc_url=tc_url,
            )
            self.vhost(key.vhost)
            self.streams[key] = stream
            self.streams_by_id[stream.id] = stream
            self.note_change()
        return stream

    def _is_full(self, *, claimed: bool) -> bool:
        """Tell whether there are too many streams that are published, or that are not.

        Counted apart: anybody may wait for streams that never come, and that must keep
        no publisher out.
        """
        most = self.max_streams
        if not most or len(self.streams) < most:
            return False
        return sum(one.is_claimed is claimed for one in self.streams.values()) >= most

    def reserve(self, key: StreamKey) -> Stream:
        """Return the stream of that key and keep its entry until `destroy`.

        Raises:
            Refusal: there are too many entries, or the key is none that may be.
        """
        stream = self.stream(key, "")
        stream.reserved = True
        return stream

    async def destroy(self, stream: Stream, reason: str) -> None:
        """End the sessions of a stream and forget it; waits a few seconds at most."""
        stream.reserved = False
        for session in list(self.sessions.values()):
            if session.stream is stream:
                session.kick(reason)
        self.release(stream)
        with trio.move_on_after(_TAKEOVER_S):
            while stream.id in self.streams_by_id:
                await self.wait_changed(self.changes)

    def _start_task(
        self, task: Callable[[], Awaitable[None]], name: str
    ) -> Callable[[], None]:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await task()

        self._nursery.start_soon(run, name=name)
        return scope.cancel

    def release(self, stream: Stream) -> None:
        """Forget a stream that nobody publishes or watches any more."""
        if stream.is_unused and self.streams.get(stream.key) is stream:
            del self.streams[stream.key]
            del self.streams_by_id[stream.id]
            stream.close()
            self.note_change()

    # -- news -------------------------------------------------------------------------

    def note_change(self) -> None:
        """Wake whoever waits: streams or sessions are no longer what they were."""
        self.changes += 1
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def wait_changed(self, seen: int) -> int:
        """Wait until there have been other than ``seen`` changes; return how many."""
        while self.changes == seen:
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        return self.changes

    async def claim(
        self,
        session: Session,
        key: StreamKey,
        make_timeline: Callable[[int], Timeline] = MillisecondTimeline,
    ) -> Publication:
        """Make ``session`` the publisher of ``key``, alone.

        Args:
            session: Who publishes.
            key: What.
            make_timeline: Gives the clock that its protocol needs.

        Raises:
            Refusal: somebody publishes it already (or would not leave), or limits.
        """
        stream = self.stream(key, session.tc_url, claims=True)
        while stream.publication is not None:
            if not self.replace_publisher:
                raise Refusal("the stream has a publisher already", "busy")
            former = stream.publication
            former.session.kick("replaced by another publisher")
            with trio.move_on_after(_TAKEOVER_S) as scope:
                await former.ended.wait()
            if scope.cancelled_caught:
                raise Refusal("the former publisher does not leave", "busy")
            stream = self.stream(key, session.tc_url, claims=True)
        session.stream = stream
        session.role = Role.PUBLISH
        publication = stream.publish(session, time.time(), make_timeline)
        self.note_change()
        return publication

    def unclaim(self, publication: Publication) -> None:
        """End a publication and let whoever waits for its place go on."""
        stream = publication.session.stream
        if stream is not None:
            stream.unpublish(publication, trio.current_time())
            self.note_change()
            self.release(stream)

    # -- sessions ---------------------------------------------------------------------

    def enter(self, session: Session) -> None:
        """List a session."""
        self.sessions[session.id] = session
        self.sessions_total += 1

    def leave(self, session: Session, *, error: bool) -> None:
        """Take a session off the list and keep its totals."""
        if self.sessions.pop(session.id, None) is None:
            return
        self.note_change()
        self.session_errors_total += error
        self._received_before += session.bytes_received
        self._sent_before += session.bytes_sent
        if session.key is not None:
            totals = self.vhost(session.key.vhost)
            totals.bytes_received += session.bytes_received
            totals.bytes_sent += session.bytes_sent

    def refuse(self, refusal: Refusal) -> None:
        """Count a refusal."""
        self.refusals[refusal.kind] = self.refusals.get(refusal.kind, 0) + 1

    @property
    def bytes_received(self) -> int:
        """Octets from all sessions since the start."""
        current = sum(s.bytes_received for s in self.sessions.values())
        return self._received_before + current

    @property
    def bytes_sent(self) -> int:
        """Octets to all sessions since the start."""
        return self._sent_before + sum(s.bytes_sent for s in self.sessions.values())

    def vhost(self, name: str) -> VhostTotals:
        """Return the totals of a virtual host."""
        totals = self.vhosts.get(name)
        if totals is None:
            totals = self.vhosts[name] = VhostTotals(name)
        return totals

    # -- time --------------------------------------------------------------------------

    async def tick(self, now: float) -> None:
        """Do what is due in every stream; called about once a second.

        In slices: 2,000 viewers at once held the loop for 8 ms.
        """
        await in_slices(list(self.streams.values()), partial(self._tick_stream, now))
        sessions = list(self.sessions.values())
        await in_slices(sessions, partial(_sample_session, now))
        for totals in list(self.vhosts.values()):
            if totals.rates.is_due(now):
                await self._sample_vhost(totals, now)

    def _tick_stream(self, now: float, stream: Stream) -> None:
        stream.tick(now)
        if stream.has_news:
            stream.has_news = False
            self.note_change()
        self.release(stream)

    async def _sample_vhost(self, totals: VhostTotals, now: float) -> None:
        # Whoever leaves meanwhile is added to the totals, which are read first.
        received, sent = totals.bytes_received, totals.bytes_sent
        sessions = [
            session
            for session in self.sessions.values()
            if session.key is not None and session.key.vhost == totals.name
        ]
        octets = await in_slices(sessions, lambda s: (s.bytes_received, s.bytes_sent))
        received += sum(pair[0] for pair in octets)
        sent += sum(pair[1] for pair in octets)
        totals.rates.sample(now, received, sent)


def _sample_session(now: float, session: Session) -> None:
    if session.rates.is_due(now):
        session.rates.sample(now, session.bytes_received, session.bytes_sent)
