"""The engine as sessions see it: registry, gate, settings, time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from time import perf_counter

import attrs
import trio

from penstock.settings import Settings

from .gate import Gate
from .rates import ShortRate
from .read_tick import ReadTick
from .registry import Refusal, Registry
from .session import Role, Session, StreamKey
from .stream import Stream, StreamPolicy

__all__ = ["Engine", "policy_of"]

_TICK_S = 1.0
_PROBE_S = 0.05
_STALL_WINDOW_S = 60.0


def policy_of(settings: Settings) -> StreamPolicy:
    """Return how streams behave under these settings."""
    stream = settings.stream
    return StreamPolicy(
        gop_cache=stream.gop_cache,
        cache_max_bytes=stream.cache_max_bytes,
        ring_seconds=stream.ring_seconds,
        ring_max_bytes=stream.ring_max_bytes,
        slow_viewer_s=stream.slow_viewer_s,
        wait_for_publisher_s=stream.wait_for_publisher_s,
        republish_wait_s=stream.republish_wait_s,
        merge_s=settings.rtmp.merge_ms / 1000,
    )


@attrs.define(eq=False)
class Engine:
    """What every session is given; made once by `app.py`."""

    settings: Settings
    registry: Registry
    gate: Gate
    farewell_s: float = 2.0
    """How long an ended session may take to say goodbye."""
    is_stopping: bool = False
    _lobby: set[trio.CancelScope] = attrs.field(factory=set)
    read_tick: ReadTick = attrs.field(factory=ReadTick)
    """Shared by all publishers that send in small pieces."""
    _send_rate: ShortRate = attrs.field(factory=ShortRate)
    _address_rates: dict[str, ShortRate] = attrs.field(factory=dict)
    _over_since: dict[str, float] = attrs.field(factory=dict)
    _stalls: list[tuple[float, float]] = attrs.field(factory=list)

    def vhost_name(self, host: str) -> str:
        """Return the virtual host that a client's host name means."""
        return host if host in self.settings.vhosts else "default"

    # -- the end --------------------------------------------------------------------

    @contextlib.contextmanager
    def lobby(self, timeout_s: float) -> Iterator[trio.CancelScope]:
        """Bound what a connection does before it is a session; `stop` ends it."""
        with trio.move_on_after(timeout_s) as scope:
            self._lobby.add(scope)
            try:
                yield scope
            finally:
                self._lobby.discard(scope)

    def stop(self, drain_s: float) -> None:
        """End all sessions and let none begin.

        Args:
            drain_s: How long hooks and goodbyes may take together.
        """
        self.is_stopping = True
        self.farewell_s = min(self.farewell_s, drain_s * 0.3)
        self.gate.callbacks.until = trio.current_time() + drain_s * 0.6
        for scope in list(self._lobby):
            scope.cancel()
        for session in list(self.registry.sessions.values()):
            session.kick("server stops")

    async def admit_viewer(self, session: Session, key: StreamKey) -> Stream:
        """Ask whether a session may play a stream; return the stream.

        The stream is kept for it until its viewer is detached, or `Stream.part`.

        Raises:
            Refusal: it may not, or nobody publishes and nobody may wait.
        """
        registry = self.registry
        stream = registry.streams.get(key)
        absent = stream is None or not (stream.is_claimed or stream.reserved)
        if absent and not self.settings.stream.wait_for_publisher_s:
            raise Refusal("nobody publishes this stream", "absent")
        session.role = Role.PLAY
        # The entry is there before the hooks are asked: they are told its id.
        session.stream = stream = registry.stream(key, session.tc_url)
        try:
            await self.gate.play(session)
        except BaseException:
            session.stream = None
            registry.release(stream)
            raise
        # Another session may have let go of an unused entry meanwhile.
        session.stream = stream = registry.stream(key, session.tc_url)
        stream.join(session)
        registry.note_change()
        return stream

    # -- totals ---------------------------------------------------------------------

    @property
    def bytes_received(self) -> int:
        """Octets from all media sessions since the start."""
        return self.registry.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Octets to all media sessions since the start."""
        return self.registry.bytes_sent

    def loop_stall_s(self) -> float:
        """Return the longest stall of the event loop in the last minute."""
        horizon = trio.current_time() - _STALL_WINDOW_S
        return max((stall for at, stall in self._stalls if at >= horizon), default=0.0)

    # -- time -----------------------------------------------------------------------

    async def run_ticks(self) -> None:
        """Keep time for streams, rates and limits, until cancelled."""
        while True:
            await trio.sleep(_TICK_S)
            await self.tick(trio.current_time())

    async def tick(self, now: float) -> None:
        """Do what is due once a second."""
        await self.registry.tick(now)
        limits = self.settings.limits
        if limits.bandwidth_bps:
            self._send_rate.sample(now, 0, self.bytes_sent)
            self.gate.send_bps = self._send_rate.bits_per_s
        if limits.bandwidth_per_address_bps:
            self._measure_addresses(now)
        if limits.publish_bitrate_bps:
            self._end_heavy_publishers(now, limits.publish_bitrate_bps)

    def _measure_addresses(self, now: float) -> None:
        sent: dict[str, int] = {}
        for session in self.registry.sessions.values():
            sent[session.address] = sent.get(session.address, 0) + session.bytes_sent
        rates = {
            address: self._address_rates.get(address) or ShortRate() for address in sent
        }
        for address, rate in rates.items():
            rate.sample(now, 0, sent[address])
        self._address_rates = rates
        self.gate.send_bps_by_address = {a: r.bits_per_s for a, r in rates.items()}

    def _end_heavy_publishers(self, now: float, limit_bps: int) -> None:
        over: dict[str, float] = {}
        for stream in self.registry.streams.values():
            publication = stream.publication
            if publication is None or publication.rate.bits_per_s <= limit_bps:
                continue
            session = publication.session
            over[session.id] = self._over_since.get(session.id, now)
            if now - over[session.id] >= 10.0:
                session.kick(f"sends more than {limit_bps} bit/s")
        self._over_since = over

    async def run_stall_probe(self) -> None:
        """Measure how late the loop is, until cancelled."""
        while True:
            before = perf_counter()
            await trio.sleep(_PROBE_S)
            late = perf_counter() - before - _PROBE_S
            now = trio.current_time()
            self._stalls.append((now, max(0.0, late)))
            if len(self._stalls) > 2 * _STALL_WINDOW_S / _PROBE_S:
                horizon = now - _STALL_WINDOW_S
                self._stalls = [s for s in self._stalls if s[0] >= horizon]
