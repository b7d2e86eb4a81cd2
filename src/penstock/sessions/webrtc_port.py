"""The port of all WebRTC media: one UDP socket, many peers, one clock for all.

One task drains the socket and feeds the peers; what a peer tells is handled at once, in
the same step, so that a packet is on its way to the viewers before the next one is
read. Nothing here waits for a session, and no session's fault touches another's.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

import attrs
import trio
from sansmedia.dtls import Certificate
from sansmedia.ice import (
    FrameReader,
    IceConfig,
    Path,
    TcpType,
    encode_frame,
    host_candidate,
)
from sansmedia.sansio import Datagram
from sansmedia.webrtc import (
    Limits,
    PathForgotten,
    PathLearned,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerMux,
)

from penstock import log
from penstock.config import Address
from penstock.engine.registry import Refusal
from penstock.net.interfaces import local_addresses
from penstock.net.udp import UdpPort, bind_udp
from penstock.net.wire import Wire
from penstock.settings import WebRtcSettings

__all__ = ["PeerUser", "Traffic", "WebRtcPort"]

_SLICE_S = 0.002
_TICK_S = 1.0
_FIRST_CHECK_S = 10.0
"""A TCP connection over which no peer of ours has spoken by then is closed."""
_GOODBYE_S = 0.5
"""So long the last octets of a session may take over its TCP connection."""
_MAX_TCP_RESIDUE = 1 << 20
"""Octets that wait for one TCP connection; beyond, whole runs are dropped."""


class PeerUser(Protocol):
    """Who a peer works for."""

    def handle(self, event: PeerEvent, now: float) -> None:
        """Take what the peer tells. Never waits; what it raises ends the session."""
        ...

    def tick(self, now: float) -> None:
        """Do what is due once a second. As `handle`."""
        ...

    def fail(self, error: Exception) -> None:
        """End the session: it, or its peer, has a bug."""
        ...


@attrs.define(eq=False)
class Traffic:
    """Octets of one session, as its wire would count them."""

    bytes_received: int = 0
    bytes_sent: int = 0


@attrs.define(eq=False)
class _Entry:
    user: PeerUser
    traffic: Traffic
    deadline: float | None = None
    is_attended: bool = False
    """One of its events is being handled."""


@attrs.define(eq=False)
class _Connection:
    """One TCP connection of a peer."""

    wire: Wire
    residue: trio.Event = attrs.field(factory=trio.Event)
    """Something waits for room in it."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Cancelled when its peer leaves."""


class WebRtcPort:
    """All peers of one UDP socket.

    Args:
        udp: The socket; the port owns it.
        host: The address that it is bound to.
        certificate: Ours, for DTLS.
        settings: Gives the section ``webrtc`` in force.
    """

    def __init__(
        self,
        udp: UdpPort,
        host: str,
        certificate: Certificate,
        settings: Callable[[], WebRtcSettings],
    ) -> None:
        self.udp = udp
        self.mux = PeerMux()
        self._host = host
        self._certificate = certificate
        self._settings = settings
        self._entries: dict[Peer, _Entry] = {}
        self._deadlines: list[tuple[float, int, Peer]] = []
        self._count = 0
        self._sooner = trio.Event()
        self._sleeps_until = float("inf")
        self._scope = trio.CancelScope()
        self.tcp_port: int | None = None
        """Where TCP connections with RFC 4571's framing come in; None for nowhere."""
        self._connections: dict[Path, _Connection] = {}

    def sibling(self) -> WebRtcPort:
        """Return a port of its own for one peer that we call.

        Between two servers that each have one port, all sessions would go the same
        way, and nobody could tell whose a packet is; so it is when we call ourselves.

        Raises:
            OSError: There is none.
        """
        udp = UdpPort(bind_udp(str(Address(self._host, 0))))
        return WebRtcPort(udp, self._host, self._certificate, self._settings)

    @property
    def peers(self) -> int:
        """How many there are."""
        return len(self._entries)

    # -- peers ------------------------------------------------------------------------

    def make_peer(
        self,
        *,
        controlling: bool = False,
        addresses: Sequence[tuple[str, int]] = (),
        credentials: tuple[str, str] = ("", ""),
    ) -> Peer:
        """Return a peer with our candidates; `enter` makes it take part.

        Args:
            controlling: Whether we offer.
            addresses: IP addresses and ports to offer besides the configured ones;
                port 0 is our own.
            credentials: The user name fragment and password to have; empty ones are
                made by dice.

        Raises:
            Refusal: Another peer has that user name fragment.
            UsageError: The credentials have a wrong form.
        """
        settings = self._settings()
        now = trio.current_time()
        peer = Peer(
            PeerConfig(
                certificate=self._certificate,
                ice=IceConfig(
                    controlling=controlling,
                    # Who calls has to check: the other may be lite too.
                    lite=settings.ice_lite and not controlling,
                    ufrag=credentials[0] or None,
                    pwd=credentials[1] or None,
                    # FFmpeg 9 answers no consent check once it streams.
                    accept_requests_as_consent=True,
                ),
            ),
            Limits(connect_timeout=settings.connect_timeout_s),
            dice=os.urandom,
            now=now,
        )
        ufrag, prefix = peer.ice.local_ufrag, peer.ice.transaction_prefix
        if not self.mux.is_free(ufrag, prefix):
            # What comes for one of them would go to the other.
            raise Refusal("another session has this ICE user name fragment", "request")
        port = self.udp.port
        own = local_addresses(self._host)
        for number, address in enumerate(own):
            candidate = host_candidate(
                (address, port), local_preference=0xFFFF - number
            )
            peer.add_local_candidate(candidate, now=now)
        if self.tcp_port is not None and settings.tcp:
            for number, address in enumerate(own):
                passive = host_candidate(
                    (address, self.tcp_port),
                    tcp_type=TcpType.PASSIVE,
                    local_preference=0xFFF - number,
                )
                peer.add_local_candidate(passive, now=now)
        outer = [(address, port) for address in settings.public_addresses]
        outer += [(address, outside or port) for address, outside in addresses]
        for number, place in enumerate(dict.fromkeys(outer)):
            address, outside = place
            if address in own and outside == port:
                continue
            candidate = host_candidate(place, local_preference=0xFF00 - number)
            # Behind a router that translates one address into another.
            same = [one for one in own if (":" in one) == (":" in address)]
            if same:
                peer.add_local_candidate(candidate, base=(same[0], port), now=now)
        return peer

    def enter(self, peer: Peer, user: PeerUser, traffic: Traffic) -> None:
        """Let a peer's datagrams reach it."""
        self._entries[peer] = _Entry(user, traffic)
        self.mux.add(peer)
        self.attend(peer)

    def renew(self, peer: Peer) -> None:
        """Take a peer's new user name fragment, after it has restarted ICE."""
        if peer in self._entries:
            self.mux.add(peer)

    def leave(self, peer: Peer) -> None:
        """Let go of a peer; its last datagrams leave, its TCP connections end."""
        entry = self._entries.pop(peer, None)
        if entry is not None:
            self._send(peer, entry)
            self._remove(peer)

    def _remove(self, peer: Peer) -> None:
        for path in self.mux.paths_of(peer):
            self._hang_up(path)
        self.mux.remove(peer)

    def _hang_up(self, path: Path) -> None:
        connection = self._connections.get(path)
        if connection is not None:
            connection.scope.cancel()

    def attend(self, peer: Peer) -> None:
        """Do what a command to a peer has made due: events, datagrams, its clock."""
        entry = self._entries.get(peer)
        if entry is not None:
            self._attend(peer, entry, trio.current_time())

    def _attend(self, peer: Peer, entry: _Entry, now: float) -> None:
        if entry.is_attended:
            return  # a command given in `handle`: what it has made due comes after
        entry.is_attended = True
        try:
            while (event := peer.next_event()) is not None:
                if isinstance(event, PathLearned):
                    self.mux.learn(event.path, peer)
                elif isinstance(event, PathForgotten):
                    self.mux.forget(event.path, peer)
                    self._hang_up(event.path)
                else:
                    entry.user.handle(event, now)
            self._send(peer, entry)
            deadline = peer.next_timeout()
        except Exception as error:
            self._expel(peer, entry, error)
            return
        finally:
            entry.is_attended = False
        if deadline is not None and (
            entry.deadline is None or deadline < entry.deadline
        ):
            self._schedule(peer, entry, deadline)

    def _expel(self, peer: Peer, entry: _Entry, error: Exception) -> None:
        self._entries.pop(peer, None)
        self._remove(peer)
        entry.user.fail(error)

    def _send(self, peer: Peer, entry: _Entry) -> None:
        for datagram in peer.datagrams_to_send():
            sent = 0
            if datagram.transport == "udp":
                sent = self.udp.send(datagram)
            elif datagram.local is not None:
                path = Path(datagram.local, datagram.peer, "tcp")
                sent = self._send_frames(path, (datagram.data,))
            entry.traffic.bytes_sent += sent

    def send_run(self, path: Path, packets: Sequence[bytes]) -> int:
        """Send packets over a path, in order. Never waits, never raises.

        Returns:
            Octets of those that were not dropped.
        """
        if path.transport == "udp":
            return self.udp.send_run(packets, path.peer, path.local)
        return self._send_frames(path, packets)

    def _send_frames(self, path: Path, packets: Sequence[bytes]) -> int:
        connection = self._connections.get(path)
        if connection is None:
            return 0
        wire = connection.wire
        if wire.residue_bytes > _MAX_TCP_RESIDUE:
            return 0
        try:
            wire.offer(b"".join([encode_frame(packet) for packet in packets]))
        except OSError:
            return 0  # its reader notices too
        if not wire.is_clear:
            connection.residue.set()
        return sum(map(len, packets))

    # -- TCP --------------------------------------------------------------------------

    async def serve_tcp(self, wire: Wire, prefix: bytes) -> None:
        """Serve one connection of a peer (RFC 6544) until it ends; closes it.

        Args:
            wire: Accepted, and no TLS on it.
            prefix: What has been read of it.
        """
        path = Path(wire.local, wire.peer, "tcp")
        connection = self._connections[path] = _Connection(wire)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._flush_tcp, connection)
                with connection.scope:
                    await self._read_tcp(path, wire, prefix)
                nursery.cancel_scope.cancel()
        finally:
            del self._connections[path]
            if connection.scope.cancelled_caught:
                await wire.finish(timeout_s=_GOODBYE_S)  # shielded, that is its bound
            else:
                wire.close()
            peer = self.mux.owner_of(path)
            if peer is not None:
                peer.tcp_closed(path, now=trio.current_time())
                self.attend(peer)

    async def _read_tcp(self, path: Path, wire: Wire, prefix: bytes) -> None:
        reader = FrameReader()
        data = prefix
        known = False
        deadline = trio.current_time() + _FIRST_CHECK_S
        try:
            while data:
                now = trio.current_time()
                batch = [
                    Datagram(frame, path.peer, path.local, now, "tcp")
                    for frame in reader.feed(data)
                ]
                if batch:
                    self._take(batch, now)
                    known = known or self.mux.owner_of(path) is not None
                with trio.move_on_at(float("inf") if known else deadline) as scope:
                    data = await wire.receive_some()
                if scope.cancelled_caught:
                    return
        except OSError:
            pass

    @staticmethod
    async def _flush_tcp(connection: _Connection) -> None:
        try:
            while True:
                await connection.residue.wait()
                connection.residue = trio.Event()
                await connection.wire.flush()
        except OSError:
            pass

    # -- the socket -------------------------------------------------------------------

    async def run(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve all peers until `close` or a cancellation."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.udp.run_flush)
                nursery.start_soon(self._run_clock)
                nursery.start_soon(self._run_ticks)
                task_status.started()
                await self._run_reader()

    async def _run_reader(self) -> None:
        udp = self.udp
        while True:
            await udp.wait_readable()
            until = perf_counter() + _SLICE_S
            while True:
                now = trio.current_time()
                batch = udp.drain(now)
                if not batch:
                    break
                self._take(batch, now)
                if perf_counter() >= until:
                    await trio.lowlevel.checkpoint()
                    until = perf_counter() + _SLICE_S

    def _take(self, batch: list[Datagram], now: float) -> None:
        for peer, run in self.mux.sort(batch).items():
            entry = self._entries.get(peer)
            if entry is None:
                continue
            entry.traffic.bytes_received += sum(len(one.data) for one in run)
            try:
                # The contract promises batches of up to 64.
                for start in range(0, len(run), 64):
                    peer.receive_datagrams(run[start : start + 64], now)
            except Exception as error:
                self._expel(peer, entry, error)
            else:
                self._attend(peer, entry, now)

    # -- the clock --------------------------------------------------------------------

    def _schedule(self, peer: Peer, entry: _Entry, deadline: float) -> None:
        entry.deadline = deadline
        self._count += 1
        heapq.heappush(self._deadlines, (deadline, self._count, peer))
        if deadline < self._sleeps_until:
            self._sooner.set()

    async def _run_clock(self) -> None:
        while True:
            now = trio.current_time()
            until = perf_counter() + _SLICE_S
            while self._deadlines and self._deadlines[0][0] <= now:
                self._ring(now)
                if perf_counter() >= until:
                    await trio.lowlevel.checkpoint()
                    until = perf_counter() + _SLICE_S
            self._sooner = trio.Event()
            self._sleeps_until = (
                self._deadlines[0][0] if self._deadlines else float("inf")
            )
            with trio.move_on_at(self._sleeps_until):
                await self._sooner.wait()
            self._sleeps_until = float("-inf")

    def _ring(self, now: float) -> None:
        """Let the first in line do what is due; the caller's frame must keep nobody."""
        deadline, _, peer = heapq.heappop(self._deadlines)
        entry = self._entries.get(peer)
        if entry is None or entry.deadline != deadline:
            return  # gone, or due at another time by now
        entry.deadline = None
        try:
            due = peer.next_timeout()
            if due is not None and due <= now:
                peer.handle_timeout(now)
        except Exception as error:
            self._expel(peer, entry, error)
        else:
            self._attend(peer, entry, now)

    async def _run_ticks(self) -> None:
        """Give every user its tick: a task of its own would take each 8 KB."""
        while True:
            await trio.sleep(_TICK_S)
            await self._tick_all()

    async def _tick_all(self) -> None:
        until = perf_counter() + _SLICE_S
        for peer in list(self._entries):
            self._tick(peer)
            if perf_counter() >= until:
                await trio.lowlevel.checkpoint()
                until = perf_counter() + _SLICE_S

    def _tick(self, peer: Peer) -> None:
        entry = self._entries.get(peer)
        if entry is None:
            return
        try:
            entry.user.tick(trio.current_time())
        except Exception as error:
            self._expel(peer, entry, error)

    def close(self) -> None:
        """End `run` and close the socket."""
        self._scope.cancel()
        self.udp.close()


def log_pairs(peer: Peer, session_id: str) -> None:
    """Say which pairs of addresses were tried, and what became of each."""
    for pair in peer.pair_report():
        local = "" if pair.local is None else f"{pair.local[0]}:{pair.local[1]}"
        log.info(
            "ice pair",
            session=session_id,
            transport=pair.transport,
            local=local,
            remote=f"{pair.remote[0]}:{pair.remote[1]}",
            type=pair.remote_type.value,
            state=pair.state,
            checks=pair.checks_sent,
            reason=pair.error or None,
        )
