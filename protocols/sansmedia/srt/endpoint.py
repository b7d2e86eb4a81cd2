"""One UDP socket and all SRT connections that share it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from typing import Final

import attrs

from sansmedia.sansio import (
    Datagram,
    Dice,
    ProtocolError,
    Terminated,
    TerminationCause,
    UsageError,
)

from .caller import Caller
from .connection import Connection
from .constants import HEADER_SIZE, ControlType
from .deadlines import Deadlines
from .endpoint_events import (
    Closed,
    ConnectionEstablished,
    ConnectionRejected,
    EndpointEvent,
)
from .endpoint_statistics import EndpointStatistics
from .establishment import make_connection
from .extensions_wire import GroupMembership
from .handshake_wire import Handshake, HandshakeType, decode_handshake
from .handshaker import Agreed, Handshaker, Refused
from .limits import Limits
from .listener import Listener
from .options import SrtOptions
from .packet_filter import negotiate
from .packet_wire import HEADER
from .rejections import SYSTEM_CODES, RejectionCode
from .rendezvous import Rendezvous

__all__ = ["Endpoint"]

_ID_BITS: Final = 30
_PREFIX_BITS: Final = 8
_PREFIX_SHIFT: Final = _ID_BITS - _PREFIX_BITS
_EVENT_COST: Final = 200
_SHUTDOWN: Final = 0x8000 | ControlType.SHUTDOWN
# Nobody's socket id: the listener's place among the deadlines.
_LISTENER: Final = bytes(4)
# The first half-word of a handshake's header.
_IS_HANDSHAKE: Final = b"\x80\x00"


@attrs.define(eq=False)
class _Entry:
    """One connection that stands, and what belongs to it."""

    connection: Connection
    key: bytes
    """Our socket id as it stands in headers."""
    request_key: tuple[tuple[str, int], int] | None = None
    """For the listener, which answers repeated conclusions."""
    rendezvous: Rendezvous | None = None
    """What answers repeated handshakes of a rendezvous."""
    is_marked: bool = False
    """Whether it stands in the queue of events."""
    run: list[Datagram] = attrs.field(factory=list)
    """What came for it of a batch that is being sorted."""


class Endpoint:
    """Listens, calls and meets on one UDP socket, and routes to its connections.

    The run loop is that of every datagram machine::

        while (event := endpoint.next_event()) is not None:
            ...
        for datagram in endpoint.datagrams_to_send():
            ...

    Events: `ConnectionRequested` (answer with `accept` or `reject`), `RequestEnded`,
    `ConnectionEstablished`, `ConnectionRejected`; those of connections, which tell
    their ``socket_id``, with `Closed` as the last of each; `Terminated`.

    Args:
        limits: What peers may cost.
        dice: Makes secrets, socket ids, sequence numbers and keys.
        now: The time.
        local: Where the socket is, if a datagram does not say so itself.
        socket_id_prefix: 0 to 255 in the top bits of all socket ids here, so that
            several workers tell whose a datagram is; None: all bits are random.

    Raises:
        UsageError: The prefix is out of its range.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        dice: Dice,
        now: float,
        local: tuple[str, int] | None = None,
        socket_id_prefix: int | None = None,
    ) -> None:
        if socket_id_prefix is not None and not 0 <= socket_id_prefix < 256:
            raise UsageError("a prefix of socket ids is 0 to 255")
        self.is_terminated = False
        """Whether the last event was queued."""
        self._limits = limits or Limits()
        self._dice = dice
        self._local = local
        self._prefix = socket_id_prefix
        self._listener: Listener | None = None
        self._entries: dict[bytes, _Entry] = {}
        self._handshakers: dict[bytes, Handshaker] = {}
        self._meetings: dict[tuple[str, int], Rendezvous] = {}
        self._addresses: Counter[str] = Counter()
        self._deadlines: Deadlines[bytes] = Deadlines()
        self._events: deque[EndpointEvent | _Entry] = deque()
        self._output: list[Datagram] = []
        self._output_bytes = 0
        self._received = self._short = self._unknown = self._misdirected = 0
        self._malformed = self._ignored = self._unanswered = 0
        self._negotiate = partial(negotiate, limits=self._limits)

    # --- commands ------------------------------------------------------------------

    def listen(self, options: SrtOptions, *, now: float) -> None:
        """Let callers ask; again with other options for those that come from now on.

        Raises:
            UsageError: The options cannot be.
        """
        if self.is_terminated:
            return
        if self._listener is not None:
            self._listener.set_options(options)
            return
        self._listener = Listener(
            options,
            self._limits,
            negotiate_filter=self._negotiate,
            dice=self._dice,
            now=now,
        )

    def connect(
        self,
        peer: tuple[str, int],
        options: SrtOptions,
        *,
        now: float,
        group: GroupMembership | None = None,
        initial_sequence: int | None = None,
    ) -> int:
        """Call a listener; return our socket id, which events name.

        Args:
            peer: The listener's address.
            options: What this side wants.
            now: The time.
            group: The membership, if the connection is one of a group.
            initial_sequence: Of our first packet: that of the group; None: any.

        Raises:
            UsageError: The options cannot be.
        """
        socket_id = self._make_id()
        caller = Caller(
            options,
            socket_id=socket_id,
            peer=peer,
            local=self._local,
            group=group,
            negotiate_filter=self._negotiate,
            dice=self._dice,
            now=now,
            initial_sequence=initial_sequence,
        )
        return self._begin(caller, now)

    def rendezvous(
        self, peer: tuple[str, int], options: SrtOptions, *, now: float
    ) -> int:
        """Meet a peer that does the same; return our socket id, which events name.

        Raises:
            UsageError: The options cannot be, or such a meeting is under way.
        """
        if peer in self._meetings:
            raise UsageError(f"a rendezvous with {peer[0]} is under way")
        meeting = Rendezvous(
            options,
            socket_id=self._make_id(),
            peer=peer,
            local=self._local,
            negotiate_filter=self._negotiate,
            dice=self._dice,
            now=now,
        )
        if not self.is_terminated:
            self._meetings[peer] = meeting
        return self._begin(meeting, now)

    def accept(
        self,
        request_id: int,
        options: SrtOptions | None = None,
        *,
        group_id: int = 0,
        now: float,
    ) -> int | None:
        """Let a caller in; return our socket id, or None if it comes to nothing.

        The passphrase is checked now, so it may depend on what the caller asks for.
        `RequestEnded` tells why it comes to nothing.

        Args:
            request_id: From `ConnectionRequested`.
            options: What the connection is made with; None: those of `listen`.
            group_id: Our group, for a caller that is a member of one.
            now: The time.

        Raises:
            UsageError: The options cannot be.
        """
        listener = self._listener
        if listener is None or not listener.knows(request_id):
            return None
        acceptance = listener.accept(
            request_id,
            options or listener.options,
            socket_id=self._make_id(),
            group_id=group_id,
            now=now,
        )
        socket_id = None
        if acceptance is not None:
            self._collect_listener()
            entry = self._establish(
                acceptance.agreed, acceptance.peer, acceptance.local, now, request_id
            )
            entry.request_key = acceptance.key
            socket_id = entry.connection.socket_id
        self._settle_listener()
        return socket_id

    def reject(
        self, request_id: int, code: int = RejectionCode.FALLBACK, *, now: float
    ) -> None:
        """Tell a caller no.

        Args:
            request_id: From `ConnectionRequested`.
            code: A predefined `RejectionCode` (1000 and more) or one of the program's
                own (2000 and more).
            now: The time.

        Raises:
            UsageError: The code is none that a program may use.
        """
        if code in SYSTEM_CODES or not 0 <= code < 3000:
            raise UsageError(f"{code} is no code for programs")
        if self._listener is not None:
            self._listener.reject(request_id, code, now=now)
            self._settle_listener()

    def refuse_group(self, request_id: int, *, now: float) -> None:
        """Tell a caller that its group does not suit."""
        if self._listener is not None:
            self._listener.reject(request_id, RejectionCode.GROUP, now=now)
            self._settle_listener()

    def send(self, socket_id: int, messages: Sequence[bytes], *, now: float) -> int:
        """Queue messages on a connection; return how many were taken.

        See `Connection.send`.
        """
        entry = self._entries.get(socket_id.to_bytes(4))
        if entry is None:
            return 0
        taken = entry.connection.send(messages, now)
        self._settle(entry)
        return taken

    def write(self, socket_id: int, run: Sequence[bytes], *, now: float) -> list[bytes]:
        """Queue messages and return the packets that may go at once to the peer.

        See `Connection.write`.
        """
        entry = self._entries.get(socket_id.to_bytes(4))
        if entry is None:
            return []
        packets = entry.connection.write(run, now)
        self._settle(entry)
        return packets

    def close_connection(self, socket_id: int, reason: str = "", *, now: float) -> None:
        """Say goodbye on one connection, or give up asking for it."""
        key = socket_id.to_bytes(4)
        entry = self._entries.get(key)
        if entry is not None:
            entry.connection.close(reason, now=now)
            self._settle(entry)
            return
        handshaker = self._handshakers.get(key)
        if handshaker is not None:
            handshaker.refuse(RejectionCode.CLOSE, reason)
            self._settle_handshaker(key, handshaker, now)

    def connection(self, socket_id: int) -> Connection | None:
        """Return a connection that stands, for its statistics and rarer commands.

        After a command on it call `refresh`.
        """
        entry = self._entries.get(socket_id.to_bytes(4))
        return None if entry is None else entry.connection

    def refresh(self, socket_id: int) -> None:
        """Take note that a connection was given a command directly."""
        entry = self._entries.get(socket_id.to_bytes(4))
        if entry is not None:
            self._settle(entry)

    def close(self, reason: str = "", *, now: float) -> None:
        """Say goodbye to everybody and end."""
        if self.is_terminated:
            return
        for key, handshaker in list(self._handshakers.items()):
            handshaker.refuse(RejectionCode.CLOSE, reason)
            self._settle_handshaker(key, handshaker, now)
        for entry in list(self._entries.values()):
            # What lingers is told to end at once.
            entry.connection.close(reason, now=now)
            entry.connection.close(reason, now=now)
            self._settle(entry)
        if self._listener is not None:
            self._listener.close(now)
            self._collect_listener()
        self._deadlines.clear()
        self.is_terminated = True
        self._events.append(Terminated(TerminationCause.LOCAL, reason))

    # --- in ------------------------------------------------------------------------

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        """Take up to 64 datagrams of the socket."""
        if self.is_terminated:
            return
        self._received += len(batch)
        entries = self._entries
        addressed: list[_Entry] = []
        for datagram in batch:
            data = datagram.data
            if len(data) < HEADER_SIZE:
                self._short += 1
                continue
            key = data[12:16]
            if data[:2] == _IS_HANDSHAKE:
                # A goodbye before it may have made room.
                self._hand_over(addressed, now)
                addressed.clear()
                self._take_handshake(key, datagram, now)
                continue
            entry = entries.get(key)
            if entry is None:
                entry = self._take_stray(key, datagram, now)
                if entry is None:
                    continue
            elif datagram.peer != entry.connection.peer:
                self._misdirected += 1
                continue
            if not entry.run:
                addressed.append(entry)
            entry.run.append(datagram)
        self._hand_over(addressed, now)

    def _hand_over(self, addressed: list[_Entry], now: float) -> None:
        """Let each take all that came for it in one go: that costs as much as two."""
        for entry in addressed:
            run, entry.run = entry.run, []
            entry.connection.receive_datagrams(run, now)
            self._settle(entry)

    def _take_stray(self, key: bytes, datagram: Datagram, now: float) -> _Entry | None:
        """Take a packet that is no handshake and for no connection that stands."""
        handshaker = self._handshakers.get(key)
        if handshaker is None:
            self._unknown += 1
            return None
        if datagram.peer != handshaker.peer:
            self._misdirected += 1
            return None
        if isinstance(handshaker, Rendezvous):
            handshaker.receive_traffic()
            self._settle_handshaker(key, handshaker, now)
            return self._entries.get(key)
        if int.from_bytes(datagram.data[:2]) == _SHUTDOWN:
            handshaker.refuse(RejectionCode.PEER)
            self._settle_handshaker(key, handshaker, now)
        else:
            # It overtook the answer to our conclusion, and will be asked for.
            self._unknown += 1
        return None

    def _take_handshake(self, key: bytes, datagram: Datagram, now: float) -> None:
        try:
            handshake = decode_handshake(datagram.data[HEADER_SIZE:])
        except ProtocolError:
            self._malformed += 1
            return
        timestamp = HEADER.unpack_from(datagram.data)[2]
        came_at = datagram.at if 0 < datagram.at <= now else now
        if not any(key):
            meeting = self._meetings.get(datagram.peer)
            if meeting is not None and handshake.type != HandshakeType.INDUCTION:
                key = meeting.socket_id.to_bytes(4)
            elif self._listener is not None:
                self._ask_listener(handshake, timestamp, datagram, came_at, now)
                return
        handshaker = self._handshakers.get(key)
        entry = self._entries.get(key)
        if handshaker is not None:
            if datagram.peer != handshaker.peer:
                self._misdirected += 1
                return
            handshaker.receive(handshake, timestamp, came_at)
            self._settle_handshaker(key, handshaker, now)
        elif entry is not None:
            self._repeat_answer(entry, handshake, datagram, now)
        else:
            self._unknown += 1

    def _ask_listener(
        self,
        handshake: Handshake,
        timestamp: int,
        datagram: Datagram,
        came_at: float,
        now: float,
    ) -> None:
        listener = self._listener
        if listener is None:
            return
        if self._output_bytes > self._limits.output_bytes:
            self._unanswered += 1
            return
        listener.is_full = not self._has_room(datagram.peer[0])
        listener.receive(handshake, timestamp, datagram, came_at)
        self._settle_listener()

    def _repeat_answer(
        self, entry: _Entry, handshake: Handshake, datagram: Datagram, now: float
    ) -> None:
        """Answer a handshake of a peer whose connection stands here already."""
        connection, meeting = entry.connection, entry.rendezvous
        if datagram.peer != connection.peer:
            self._misdirected += 1
        elif (
            meeting is None
            or handshake.socket_id != connection.negotiated.peer_socket_id
            or self._output_bytes > self._limits.output_bytes
        ):
            self._ignored += 1
        else:
            meeting.reply_when_connected(handshake, now)
            self._queue(meeting.take_datagrams())

    # --- making connections --------------------------------------------------------

    def _make_id(self) -> int:
        while True:
            number = int.from_bytes(self._dice(4)) & (1 << _ID_BITS) - 1
            if self._prefix is not None:
                number &= (1 << _PREFIX_SHIFT) - 1
                number |= self._prefix << _PREFIX_SHIFT
            key = number.to_bytes(4)
            if number and key not in self._entries and key not in self._handshakers:
                return number

    def _has_room(self, host: str) -> bool:
        count = len(self._entries) + len(self._handshakers)
        return (
            count < self._limits.connections
            and self._addresses[host] < self._limits.connections_per_address
        )

    def _begin(self, handshaker: Handshaker, now: float) -> int:
        if not self.is_terminated:
            key = handshaker.socket_id.to_bytes(4)
            self._handshakers[key] = handshaker
            self._settle_handshaker(key, handshaker, now)
        return handshaker.socket_id

    def _establish(
        self,
        agreed: Agreed,
        peer: tuple[str, int],
        local: tuple[str, int] | None,
        now: float,
        request_id: int = 0,
    ) -> _Entry:
        connection = make_connection(
            agreed, self._limits, peer=peer, local=local, now=now
        )
        negotiated = agreed.negotiated
        entry = _Entry(connection, negotiated.socket_id.to_bytes(4))
        self._entries[entry.key] = entry
        self._addresses[peer[0]] += 1
        self._events.append(
            ConnectionEstablished(
                socket_id=negotiated.socket_id,
                negotiated=negotiated,
                peer=peer,
                request_id=request_id,
            )
        )
        self._settle(entry)
        return entry

    def _settle_handshaker(
        self, key: bytes, handshaker: Handshaker, now: float
    ) -> None:
        """Collect what a handshake has, and its outcome."""
        self._queue(handshaker.take_datagrams())
        outcome = handshaker.outcome
        if outcome is None:
            self._deadlines.wake(key, handshaker.next_timeout())
            return
        del self._handshakers[key]
        self._deadlines.forget(key)
        self._ignored += handshaker.ignored
        if isinstance(handshaker, Rendezvous):
            self._meetings.pop(handshaker.peer, None)
        if isinstance(outcome, Refused):
            self._events.append(
                ConnectionRejected(
                    socket_id=handshaker.socket_id,
                    code=outcome.code,
                    reason=outcome.reason,
                )
            )
            return
        entry = self._establish(outcome, handshaker.peer, handshaker.local, now)
        if isinstance(handshaker, Rendezvous):
            entry.rendezvous = handshaker

    def _settle_listener(self) -> None:
        self._collect_listener()
        if self._listener is not None:
            self._deadlines.wake(_LISTENER, self._listener.next_timeout())

    def _collect_listener(self) -> None:
        listener = self._listener
        if listener is not None:
            self._events.extend(listener.events)
            listener.events.clear()
            self._queue(listener.output)
            listener.output.clear()

    # --- connections ---------------------------------------------------------------

    def _settle(self, entry: _Entry) -> None:
        """Collect what a connection has after it did something."""
        connection = entry.connection
        self._output_bytes += connection.output_bytes
        self._output += connection.datagrams_to_send()
        if connection.has_events and not entry.is_marked:
            entry.is_marked = True
            self._events.append(entry)
        if connection.is_terminated:
            self._remove(entry)
            return
        self._deadlines.wake(entry.key, connection.next_timeout())

    def _remove(self, entry: _Entry) -> None:
        if self._entries.pop(entry.key, None) is None:
            return
        self._deadlines.forget(entry.key)
        if entry.request_key is not None and self._listener is not None:
            self._listener.forget(entry.request_key)
        host = entry.connection.peer[0]
        self._addresses[host] -= 1
        if not self._addresses[host]:
            del self._addresses[host]

    # --- time ----------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next."""
        return self._deadlines.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Let connections and handshakes do what is due.

        Whoever has nothing to do costs nothing.
        """
        for key in self._deadlines.pop_due(now):
            entry = self._entries.get(key)
            handshaker = self._handshakers.get(key)
            if entry is not None:
                # Does nothing if its deadline has moved on meanwhile.
                entry.connection.handle_timeout(now)
                self._settle(entry)
            elif handshaker is not None:
                handshaker.handle_timeout(now)
                self._settle_handshaker(key, handshaker, now)
            elif self._listener is not None:
                self._listener.handle_timeout(now)
                self._settle_listener()

    # --- out -----------------------------------------------------------------------

    def _queue(self, datagrams: list[Datagram]) -> None:
        self._output += datagrams
        self._output_bytes += sum([len(datagram.data) for datagram in datagrams])

    def datagrams_to_send(self) -> list[Datagram]:
        """Dequeue all datagrams of the socket."""
        output = self._output
        self._output = []
        self._output_bytes = 0
        return output

    def next_event(self) -> EndpointEvent | None:
        """Dequeue the oldest event."""
        while self._events:
            first = self._events[0]
            if not isinstance(first, _Entry):
                self._events.popleft()
                return first
            event = first.connection.next_event()
            if event is None:
                self._events.popleft()
                first.is_marked = False
            elif isinstance(event, Terminated):
                return Closed(socket_id=first.connection.socket_id, terminated=event)
            else:
                return event
        return None

    @property
    def pending_bytes(self) -> int:
        """Octets held, over all connections."""
        held = self._output_bytes
        if self._listener is not None:
            held += self._listener.pending_bytes
        held += sum(entry.connection.pending_bytes for entry in self._entries.values())
        for event in self._events:
            if not isinstance(event, _Entry):
                held += _EVENT_COST
            elif event.key not in self._entries:
                held += event.connection.pending_bytes
        return held

    def statistics(self) -> EndpointStatistics:
        """Return the counters."""
        listener = self._listener
        ignored = self._ignored + sum(
            handshaker.ignored for handshaker in self._handshakers.values()
        )
        return EndpointStatistics(
            connections=len(self._entries),
            handshaking=len(self._handshakers),
            requests=listener.waiting if listener else 0,
            datagrams_received=self._received,
            datagrams_short=self._short,
            datagrams_unknown=self._unknown,
            datagrams_misdirected=self._misdirected,
            handshakes_malformed=self._malformed,
            handshakes_ignored=ignored + (listener.dropped if listener else 0),
            inductions=listener.inductions if listener else 0,
            answers_dropped=self._unanswered,
        )
