"""The port of all SRT: one UDP socket, many connections, one clock for all.

One task drains the socket and feeds the endpoint; what a connection tells is handled at
once, in the same step. Delivery, acknowledgements and pacing of all connections share
one timer. Nothing here waits for a session, and no session's fault touches another's.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import trio
from sansmedia.sansio import Terminated
from sansmedia.srt import (
    Closed,
    Connection,
    ConnectionRejected,
    ConnectionRequested,
    Endpoint,
    EndpointEvent,
    GroupClosed,
    Groups,
    GroupsEvent,
    Limits,
    MessagesReceived,
    RejectionCode,
    RequestEnded,
    SrtOptions,
)

from penstock import log
from penstock.engine.registry import Refusal
from penstock.net.udp import UdpPort

from .srt_bond import Bond
from .srt_wire import PayloadCutter, SrtWire

__all__ = ["SrtPort", "SrtUser"]

_SLICE_S = 0.002
_TICK_S = 0.01
_CROWD = 4
"""From so many connections on the socket is read and time kept by the tick, ..."""
_QUIET = 48
_DATAGRAM_COST = 2304
"""... as long as what comes in a tick is that little, or takes but a quarter of the
kernel's buffer, in which a datagram costs so many octets."""
_MAX_REFUSALS = 1_000
_MAX_LINKS = 16
"""Links that wait for the first of their group."""
_LIMITS = Limits(
    # `[limits]` counts sessions of all protocols together, and may say less.
    connections=20_000,
    connections_per_address=20_000,
    # Hooks are asked before a caller is answered; it gives up after 3 s as a rule.
    decision_timeout=30.0,
    requests=2_000,
    requests_per_address=200,
)


_LinkKey = tuple[int, str]


def _link_key(request: ConnectionRequested) -> _LinkKey:
    """Return what the links of one group have in common."""
    return (0 if request.group is None else request.group.id, request.stream_id)


def _next_tick(at: float) -> float:
    """Return the first tick after ``at``."""
    return (at // _TICK_S + 1) * _TICK_S


class SrtUser(Protocol):
    """Who a connection works for."""

    def handle(self, event: EndpointEvent, now: float) -> None:
        """Take what the connection tells. Never waits; what it raises ends it."""
        ...

    def fail(self, error: Exception) -> None:
        """End the session: it, or its connection, has a bug."""
        ...

    def check_link(self, address: str) -> None:
        """Judge the address of another link of its group. Raises: Refusal."""
        ...


class SrtPort:
    """All SRT connections of one UDP socket.

    Args:
        udp: The socket; the port owns it.
    """

    def __init__(self, udp: UdpPort) -> None:
        self.udp = udp
        self.cutter = PayloadCutter()
        self.endpoint = Endpoint(_LIMITS, dice=os.urandom, now=trio.current_time())
        self.groups = Groups(_LIMITS, dice=os.urandom)
        self._bonds: dict[_LinkKey, tuple[int, SrtOptions, SrtUser]] = {}
        """Groups that stand, by what their callers present."""
        self._links: dict[_LinkKey, list[ConnectionRequested]] = {}
        """Links that came while the first of their group waits for its answer."""
        self.waiting: set[SrtWire] = set()
        """Wires that wait for room in their connection's buffer."""
        self._admit: Callable[[ConnectionRequested], None] | None = None
        self._users: dict[int, SrtUser] = {}
        self._refusals: dict[int, RequestEnded] = {}
        """Of requests that nobody has been told of yet."""
        self._scope = trio.CancelScope()
        self._nap = trio.CancelScope()
        """What the reader sleeps in: its deadline is the next of any connection."""
        room = udp.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self._quiet = max(_QUIET, room // (4 * _DATAGRAM_COST))
        self._is_attended = False

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._users)

    # -- connections -------------------------------------------------------------------

    def listen(
        self, options: SrtOptions, admit: Callable[[ConnectionRequested], None]
    ) -> None:
        """Take callers; ``admit`` is told of each, and sees to an answer."""
        self._admit = admit
        self.endpoint.listen(options, now=trio.current_time())

    def accept(
        self, request: ConnectionRequested, options: SrtOptions, user: SrtUser
    ) -> Connection | Bond:
        """Let a caller in, alone or as the first link of a group.

        Args:
            request: What it said.
            options: What holds for this connection.
            user: Who takes what comes.

        Raises:
            Refusal: The passphrase or something else does not fit, or the caller has
                given up.
        """
        endpoint, now = self.endpoint, trio.current_time()
        link: Connection | Bond | None
        if request.group is not None and options.group_connect:
            link = self._bond(request, options, user, now)
            socket_id = None if link is None else link.socket_id
        else:
            socket_id = endpoint.accept(request.request_id, options, now=now)
            link = None if socket_id is None else endpoint.connection(socket_id)
            for other in self._links.pop(_link_key(request), []):
                self.reject(other.request_id, RejectionCode.FALLBACK)
        if socket_id is None or link is None:
            self.attend()
            ended = self._refusals.pop(request.request_id, None)
            reason = "the caller gave up" if ended is None else ended.reason
            raise Refusal(reason, "auth")
        self._users[socket_id] = user
        self.attend()
        return link

    # -- bonding -----------------------------------------------------------------------

    def _bond(
        self,
        request: ConnectionRequested,
        options: SrtOptions,
        user: SrtUser,
        now: float,
    ) -> Bond | None:
        group_id = self.groups.accept(self.endpoint, request, options, now=now)
        group = None if group_id is None else self.groups.group(group_id)
        first = None if group is None else group.first_connection
        waiting = self._links.pop(_link_key(request), [])
        if group is None or first is None:
            for other in waiting:
                self.reject(other.request_id, RejectionCode.FALLBACK)
            return None
        self._bonds[_link_key(request)] = (group.group_id, options, user)
        for other in waiting:
            self._join(other)
        return Bond(group, first, self.attend)

    def _join(self, request: ConnectionRequested) -> None:
        """Let another link of a group in, if its address may."""
        _, options, user = self._bonds[_link_key(request)]
        try:
            user.check_link(request.peer[0])
        except Refusal:
            self.reject(request.request_id, RejectionCode.FORBIDDEN)
            return
        self.groups.accept(self.endpoint, request, options, now=trio.current_time())

    def _is_link(self, request: ConnectionRequested) -> bool:
        """Take a caller that belongs to a group which is here, or about to be."""
        if request.group is None:
            return False
        key = _link_key(request)
        if key in self._bonds:
            self._join(request)
            return True
        waiting = self._links.get(key)
        if waiting is None:
            # The first: its session decides for all that come meanwhile.
            if len(self._links) < _MAX_REFUSALS:
                self._links[key] = []
            return False
        if len(waiting) >= _MAX_LINKS:
            self.endpoint.reject(
                request.request_id, RejectionCode.OVERLOAD, now=trio.current_time()
            )
        else:
            waiting.append(request)
        return True

    def _end_bond(self, group_id: int) -> None:
        for key, bond in list(self._bonds.items()):
            if bond[0] == group_id:
                del self._bonds[key]

    # -- endings -----------------------------------------------------------------------

    def turn_away(self, request: ConnectionRequested, code: int) -> None:
        """Send a caller away, and the links of its group that came meanwhile."""
        self.reject(request.request_id, code)
        for other in self._links.pop(_link_key(request), []):
            self.reject(other.request_id, code)

    def reject(self, request_id: int, code: int) -> None:
        """Send a caller away with libsrt's code for the reason."""
        self._refusals.pop(request_id, None)
        self.endpoint.reject(request_id, code, now=trio.current_time())
        self.attend()

    def call(
        self,
        peer: tuple[str, int],
        options: SrtOptions,
        user: SrtUser,
        *,
        rendezvous: bool = False,
    ) -> int:
        """Begin a connection to ``peer``; return its socket id."""
        begin = self.endpoint.rendezvous if rendezvous else self.endpoint.connect
        socket_id = begin(peer, options, now=trio.current_time())
        self._users[socket_id] = user
        self.attend()
        return socket_id

    def leave(self, socket_id: int, reason: str) -> None:
        """Let go of a connection; its goodbye leaves."""
        self._users.pop(socket_id, None)
        now = trio.current_time()
        if self.groups.group(socket_id) is not None:
            self._end_bond(socket_id)
            self.groups.close_group(socket_id, reason, now=now)
        else:
            self.endpoint.close_connection(socket_id, reason, now=now)
        self.attend()

    # -- what is due -------------------------------------------------------------------

    def attend(self) -> None:
        """Do what inputs and commands have made due: events, datagrams, the clock."""
        if self._is_attended:
            return  # a command given in `handle`: what it has made due comes after
        self._is_attended = True
        endpoint, now = self.endpoint, trio.current_time()
        try:
            while (event := endpoint.next_event()) is not None:
                if not self.groups.take(endpoint, event, now=now):
                    self._hand_out(event, now)
            while (news := self.groups.next_event()) is not None:
                self._hand_out_of_group(news, now)
            self._send()
        finally:
            self._is_attended = False
        deadline = self._next_timeout()
        if deadline < self._nap.deadline:
            self._nap.deadline = deadline

    def _next_timeout(self) -> float:
        deadlines = (self.endpoint.next_timeout(), self.groups.next_timeout())
        return min([at for at in deadlines if at is not None], default=math.inf)

    def _hand_out_of_group(self, event: GroupsEvent, now: float) -> None:
        """Tell a session of its group as of a connection."""
        if isinstance(event, GroupClosed):
            self._end_bond(event.group_id)
            end = Closed(socket_id=event.group_id, terminated=event.terminated)
            self._hand_out(end, now)
        elif isinstance(event, MessagesReceived):
            self._hand_out(event, now)
        else:
            # A link has come or gone: the stream goes on by the others.
            log.debug("bonding", news=type(event).__name__)

    def _hand_out(self, event: EndpointEvent, now: float) -> None:
        if isinstance(event, ConnectionRequested):
            if self._is_link(event):
                return
            if self._admit is None:
                code = RejectionCode.DOWN
                self.endpoint.reject(event.request_id, code, now=now)
            else:
                self._admit(event)
            return
        if isinstance(event, RequestEnded):
            if len(self._refusals) >= _MAX_REFUSALS:
                del self._refusals[next(iter(self._refusals))]
            self._refusals[event.request_id] = event
            return
        if isinstance(event, Terminated):
            return
        user = self._users.get(event.socket_id)
        if user is None:
            return
        if isinstance(event, Closed | ConnectionRejected):
            del self._users[event.socket_id]
        try:
            user.handle(event, now)
        except Exception as error:
            self._users.pop(event.socket_id, None)
            user.fail(error)

    def _send(self) -> None:
        """Send what is due; datagrams to one peer go together."""
        run: list[bytes] = []
        peer: tuple[str, int] | None = None
        local: tuple[str, int] | None = None
        for datagram in self.endpoint.datagrams_to_send():
            if datagram.peer != peer or datagram.local != local:
                if run and peer is not None:
                    self.udp.send_run(run, peer, local)
                run, peer, local = [], datagram.peer, datagram.local
            run.append(datagram.data)
        if run and peer is not None:
            self.udp.send_run(run, peer, local)

    # -- the socket --------------------------------------------------------------------

    async def run(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve all connections until `close` or a cancellation."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.udp.run_flush)
                task_status.started()
                await self._run_loop()

    async def _run_loop(self) -> None:
        came = 0
        while True:
            if 0 < came < self._quiet and len(self._users) >= _CROWD:
                # Packets come one by one, and a turn of the loop for each would cost
                # more than the packet. Each has the time at which the kernel got it.
                await trio.sleep_until(_next_tick(trio.current_time()))
            else:
                with trio.CancelScope(deadline=self._next_timeout()) as self._nap:
                    await self.udp.wait_readable()
            came = await self._read()
            self._keep_time()

    async def _read(self) -> int:
        """Take what has arrived; return how many datagrams that were."""
        udp, endpoint = self.udp, self.endpoint
        until = perf_counter() + _SLICE_S
        came = 0
        while True:
            now = trio.current_time()
            batch = udp.drain(now)
            if not batch:
                return came
            came += len(batch)
            for start in range(0, len(batch), 64):
                endpoint.receive_datagrams(batch[start : start + 64], now)
            self.attend()
            if perf_counter() >= until:
                await trio.lowlevel.checkpoint()
                until = perf_counter() + _SLICE_S

    def _keep_time(self) -> None:
        """Do what is due by now."""
        now = trio.current_time()
        if self._next_timeout() > now:
            return
        self.endpoint.handle_timeout(now)
        self.groups.handle_timeout(now)
        self.attend()
        for wire in list(self.waiting):
            wire.note_room()

    def close(self) -> None:
        """End `run` and close the socket."""
        self.endpoint.close("server stops", now=trio.current_time())
        self._send()
        self._scope.cancel()
        self.udp.close()
