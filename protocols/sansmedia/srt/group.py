"""One bonding group: several connections that carry the same stream.

Source: SRT draft-01 §3.2.1.4; libsrt's socket-groups.md and bonding-main-backup.md.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs

from sansmedia.sansio import Terminated, TerminationCause, UsageError

from .backup import Health, LinkHealth
from .connection import Connection
from .connection_events import MessagesDropped, MessagesReceived
from .constants import HEADER_SIZE, UDP_HEADER_SIZE
from .endpoint import Endpoint
from .group_events import (
    GroupEstablished,
    GroupEvent,
    GroupType,
    MemberActivated,
    MemberJoined,
    MemberLost,
    MemberRejected,
    MemberSilenced,
    MemberState,
)
from .group_receiver import GroupReceiver
from .group_sender import GroupSender
from .group_statistics import GroupStatistics, MemberStatistics
from .limits import Limits
from .options import SrtOptions

__all__ = ["GROUP_BIT", "Group"]

GROUP_BIT: Final = 1 << 30
"""Set in ids of groups, as libsrt wants it; never in those of sockets."""
_CHECK: Final = 0.01
_PAYLOAD_COST: Final = HEADER_SIZE + UDP_HEADER_SIZE


@attrs.define(eq=False)
class _Member:
    """One link."""

    endpoint: Endpoint
    socket_id: int
    weight: int
    peer: tuple[str, int]
    connection: Connection | None = None
    state: MemberState = MemberState.PENDING
    health: LinkHealth = attrs.Factory(LinkHealth)
    drains: bool = False
    """Whether a link that was silenced has yet to say so to its peer."""


class Group:
    """Carries messages over several connections, which may be of several endpoints.

    It has no datagrams of its own: after every call the endpoints of its members may
    have some. `Groups` makes it, joins its members and hands it the events of
    endpoints. A driver calls `handle_timeout` when `next_timeout` says so, takes
    `next_event`, and then lets all endpoints send.

    Events: `GroupEstablished`, `MemberJoined`, `MemberRejected`, `MemberLost`,
    `MemberActivated`, `MemberSilenced`, `MessagesReceived` and `MessagesDropped` with
    the group's id for a socket's, `Terminated`.

    Args:
        group_id: Ours, with `GROUP_BIT`.
        kind: What it does with its links.
        options: Of all members.
        limits: What the peer may cost.
        now: The time.
    """

    def __init__(
        self,
        group_id: int,
        kind: GroupType,
        options: SrtOptions,
        limits: Limits | None = None,
        *,
        now: float,
    ) -> None:
        self.group_id = group_id
        """Ours."""
        self.type = kind
        """What it does with its links."""
        self.peer_group_id = 0
        """The peer's; 0 as long as no link stands."""
        self.stream_id = ""
        """What the caller asked for."""
        self.is_terminated = False
        """Whether the last event was queued."""
        self._options = options
        self._limits = limits or Limits()
        self._began = now
        self._start_time = now
        self._members: dict[tuple[Endpoint, int], _Member] = {}
        self._receiver: GroupReceiver | None = None
        self._sender: GroupSender | None = None
        self._events: deque[tuple[GroupEvent, int]] = deque()
        self._event_bytes = 0
        self._checked_at = now
        self._refused = self._dropped_unsent = 0

    # --- members -------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether another link may be added."""
        return not self.is_terminated and (
            len(self._members) < self._limits.group_members
        )

    @property
    def next_sequence(self) -> int | None:
        """What a link that is made now begins with; None: that is still open."""
        return None if self._sender is None else self._sender.next

    def expect(
        self,
        endpoint: Endpoint,
        socket_id: int,
        *,
        peer: tuple[str, int],
        weight: int = 0,
    ) -> None:
        """Take note of a connection that is being made for the group.

        Raises:
            UsageError: There are too many links.
        """
        if not self.has_room:
            raise UsageError(
                f"{self._limits.group_members} links are as many as may be"
            )
        key = (endpoint, socket_id)
        self._members[key] = _Member(endpoint, socket_id, weight, peer)

    def join(self, endpoint: Endpoint, socket_id: int, *, now: float) -> bool:
        """Take in a connection that stands now and was expected.

        Returns:
            False if it cannot be a member; it was closed then, and that was told.
        """
        member = self._members.get((endpoint, socket_id))
        connection = endpoint.connection(socket_id)
        if member is None or connection is None or self.is_terminated:
            return False
        complaint = self._complaint(connection)
        if complaint:
            self._refused += 1
            self._reject(member, 0, complaint)
            endpoint.close_connection(socket_id, complaint, now=now)
            self._end_if_empty(TerminationCause.VIOLATION, complaint)
            return False
        member.connection = connection
        member.state = MemberState.IDLE
        if self._sender is None or self._receiver is None:
            self._establish(connection)
        if self._receiver is not None:
            connection.begin_at(self._start_time)
            self._receiver.join(connection.receiver, now)
        self._tell(
            MemberJoined(
                group_id=self.group_id,
                socket_id=socket_id,
                peer=member.peer,
                weight=member.weight,
            )
        )
        if self.type is GroupType.BROADCAST:
            member.state = MemberState.RUNNING
        endpoint.refresh(socket_id)
        return True

    def _complaint(self, connection: Connection) -> str:
        agreed = connection.negotiated
        if not agreed.live or not agreed.message_api:
            return "a group carries live messages only"
        if agreed.group_type != self.type:
            return "the link is of another type of group"
        if self.peer_group_id and agreed.group_id != self.peer_group_id:
            return "the link leads to another group"
        if self._receiver is not None and agreed.stream_id != self.stream_id:
            return "the link is for another stream"
        return ""

    def _establish(self, connection: Connection) -> None:
        """Take the first link's numbers and times for the group's."""
        agreed = connection.negotiated
        self.peer_group_id = agreed.group_id
        self.stream_id = agreed.stream_id
        self._start_time = agreed.start_time
        limits, options = self._limits, self._options
        self._sender = GroupSender(
            agreed.initial_sequence,
            limits,
            keeping=self.type is GroupType.BACKUP,
            latency=agreed.send_latency,
        )
        self._receiver = GroupReceiver(
            connection.receiver,
            limits,
            capacity=max(min(options.receive_buffer, limits.receive_bytes // 1456), 1),
            tsbpd=agreed.tsbpd_receive,
            skipping=agreed.tsbpd_receive and agreed.tlpkt_drop,
        )
        self._tell(
            GroupEstablished(
                group_id=self.group_id,
                peer_group_id=self.peer_group_id,
                type=self.type,
                stream_id=self.stream_id,
            )
        )

    def reject(
        self, endpoint: Endpoint, socket_id: int, code: int, reason: str
    ) -> None:
        """Take note that an expected connection will not be."""
        member = self._members.get((endpoint, socket_id))
        if member is not None:
            self._reject(member, code, reason)
            self._end_if_empty(TerminationCause.PEER, reason)

    def _reject(self, member: _Member, code: int, reason: str) -> None:
        del self._members[member.endpoint, member.socket_id]
        self._tell(
            MemberRejected(
                group_id=self.group_id,
                socket_id=member.socket_id,
                code=code,
                reason=reason,
            )
        )

    def lose(
        self,
        endpoint: Endpoint,
        socket_id: int,
        terminated: Terminated,
        *,
        now: float,
    ) -> None:
        """Take note that a member is over."""
        member = self._members.pop((endpoint, socket_id), None)
        if member is None or self.is_terminated:
            return
        member.state = MemberState.BROKEN
        if member.connection is not None and self._receiver is not None:
            self._receiver.leave(member.connection.receiver)
        self._tell(
            MemberLost(
                group_id=self.group_id, socket_id=socket_id, terminated=terminated
            )
        )
        if self.type is GroupType.BACKUP:
            self._check(now)
        if not self._members and self._receiver is not None:
            self._deliver(now, everything=True)
        self._end_if_empty(terminated.cause, terminated.reason)

    def remove(self, endpoint: Endpoint, socket_id: int, *, now: float) -> None:
        """Close one link; the group goes on with the others."""
        endpoint.close_connection(socket_id, "the link was removed", now=now)

    def _end_if_empty(self, cause: TerminationCause, reason: str) -> None:
        if not self._members and not self.is_terminated:
            self._end(cause, reason)

    def _end(self, cause: TerminationCause, reason: str) -> None:
        self.is_terminated = True
        self._events.append((Terminated(cause, reason), 0))
        self._members.clear()
        for part in (self._receiver, self._sender):
            if part is not None:
                part.clear()

    def close(self, reason: str = "", *, now: float) -> None:
        """Say goodbye on all links and end."""
        if self.is_terminated:
            return
        members = list(self._members.values())
        self._end(TerminationCause.LOCAL, reason)
        for member in members:
            member.endpoint.close_connection(member.socket_id, reason, now=now)

    # --- sending -------------------------------------------------------------------

    def _in_state(self, state: MemberState) -> list[_Member]:
        return [member for member in self._members.values() if member.state is state]

    @property
    def first_connection(self) -> Connection | None:
        """The oldest link that stands, for what was agreed on."""
        for member in self._members.values():
            if member.connection is not None:
                return member.connection
        return None

    @property
    def payload_size(self) -> int:
        """Octets that one message has at most; 0 as long as no link stands."""
        sizes = [
            member.connection.payload_size
            for member in self._members.values()
            if member.connection is not None
        ]
        return min(sizes, default=0)

    def send(
        self,
        messages: Sequence[bytes],
        now: float,
        *,
        source_time: float | None = None,
    ) -> int:
        """Send messages over all links, or over the one that is chosen.

        Returns:
            How many were taken: all, or none if no link stands.

        Raises:
            UsageError: A message is empty or does not fit a packet.
        """
        sender = self._sender
        if not messages or self.is_terminated:
            return 0
        if sender is None or not self.payload_size:
            self._dropped_unsent += len(messages)
            return 0
        largest = max(map(len, messages))
        if not min(map(len, messages)):
            raise UsageError("an empty message cannot be sent")
        if largest > self.payload_size:
            raise UsageError(
                f"{largest} octets are too long: {self.payload_size} fit a packet"
            )
        origin = now if source_time is None else source_time
        origin = min(max(origin, self._start_time), now)
        if self.type is GroupType.BACKUP:
            self._check(now)
        running = self._in_state(MemberState.RUNNING)
        links = [one.connection for one in running if one.connection is not None]
        sender.send(links, messages, now, origin)
        for member in running:
            member.endpoint.refresh(member.socket_id)
        return len(messages)

    # --- main/backup ---------------------------------------------------------------

    def _check(self, now: float) -> None:
        """Judge all running links; activate and silence what that asks for."""
        sender = self._sender
        if sender is None:
            return
        self._checked_at = now
        acknowledged = 0
        for member in self._members.values():
            connection = member.connection
            if connection is None:
                continue
            if connection.sender.sent_unique:
                acknowledged = max(acknowledged, connection.sender.last_ack)
            if member.state is MemberState.RUNNING:
                member.health.judge(
                    connection.link_quality,
                    latency=connection.negotiated.send_latency,
                    least=self._options.group_min_stable_timeout,
                    now=now,
                )
            elif member.drains and not connection.sender.flight:
                # The last word for a while: the peer knows that the link stands by.
                member.drains = False
                connection.keep_alive(now)
                member.endpoint.refresh(member.socket_id)
        sender.trim(acknowledged, now)
        self._activate_if_needed(now)
        self._silence_redundant(now)
        self._close_hopeless(now)

    def _activate_if_needed(self, now: float) -> None:
        idle = self._in_state(MemberState.IDLE)
        if not idle or self._sender is None:
            return
        running = self._in_state(MemberState.RUNNING)
        best = max(idle, key=lambda member: (member.weight, -member.socket_id))
        is_served = any(one.health.health >= Health.FRESH for one in running)
        heaviest = max((one.weight for one in running), default=-1)
        if is_served and best.weight <= heaviest:
            return
        connection = best.connection
        if connection is None:
            return
        best.state = MemberState.RUNNING
        best.drains = False
        best.health.activate(connection.link_quality, now)
        resent = self._sender.send_again(connection, now)
        best.endpoint.refresh(best.socket_id)
        self._tell(
            MemberActivated(
                group_id=self.group_id, socket_id=best.socket_id, resent=resent
            )
        )

    def _silence_redundant(self, now: float) -> None:
        """Let those stand by that are no better than a stable link."""
        running = self._in_state(MemberState.RUNNING)
        stable = [one for one in running if one.health.health is Health.STABLE]
        if not stable:
            return
        best = max(stable, key=lambda member: (member.weight, -member.socket_id))
        for member in running:
            if member is best or member.weight > best.weight:
                continue
            member.state = MemberState.IDLE
            member.drains = True
            self._tell(
                MemberSilenced(group_id=self.group_id, socket_id=member.socket_id)
            )

    def _close_hopeless(self, now: float) -> None:
        """Close what has been unstable for too long while another link is stable."""
        running = self._in_state(MemberState.RUNNING)
        if not any(one.health.health is Health.STABLE for one in running):
            return
        for member in running:
            since = member.health.unstable_since
            if since is not None and now - since >= self._options.peer_idle_timeout:
                reason = "the link was unstable for too long"
                member.endpoint.close_connection(member.socket_id, reason, now=now)

    def _check_at(self) -> float:
        if self.type is not GroupType.BACKUP or len(self._members) < 2:
            return math.inf
        for member in self._members.values():
            connection = member.connection
            if connection is None:
                continue
            restless = member.drains
            if member.state is MemberState.RUNNING:
                restless = bool(connection.sender.flight) or (
                    member.health.health is not Health.STABLE
                )
            if restless:
                return self._checked_at + _CHECK
        return math.inf

    # --- receiving and time --------------------------------------------------------

    def _deliver(self, now: float, *, everything: bool = False) -> None:
        receiver = self._receiver
        if receiver is None or self._event_bytes > self._limits.receive_bytes:
            return
        delivery = receiver.deliver(now, everything=everything)
        if delivery.dropped:
            self._tell(MessagesDropped(self.group_id, delivery.dropped, False))
            for member in self._members.values():
                # They have something else to acknowledge now.
                member.endpoint.refresh(member.socket_id)
        if delivery.messages:
            size = sum([len(message.data) for message in delivery.messages])
            self._event_bytes += size
            event = MessagesReceived(self.group_id, delivery.messages)
            self._events.append((event, size))

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next."""
        if self.is_terminated or self._receiver is None:
            return None
        deadline = self._check_at()
        if self._event_bytes <= self._limits.receive_bytes:
            deadline = min(deadline, self._receiver.next_timeout())
        return None if deadline == math.inf else deadline

    def handle_timeout(self, now: float) -> None:
        """Deliver, and judge links: what is due."""
        if self.is_terminated or self._receiver is None:
            return
        if self._receiver.next_timeout() <= now:
            self._deliver(now)
        if self._check_at() <= now:
            self._check(now)

    def _tell(self, event: GroupEvent) -> None:
        self._events.append((event, 0))

    def next_event(self) -> GroupEvent | None:
        """Dequeue the oldest event."""
        if not self._events:
            return None
        event, size = self._events.popleft()
        self._event_bytes -= size
        return event

    # --- measurements --------------------------------------------------------------

    @property
    def pending_bytes(self) -> int:
        """Octets held, those of members not counted: their endpoints count them."""
        held = self._event_bytes
        if self._sender is not None:
            held += self._sender.octets
        if self._receiver is not None:
            held += self._receiver.buffer.octets
        return held

    def statistics(self, now: float) -> GroupStatistics:
        """Return counters of the group and of each member."""
        receiver, sender = self._receiver, self._sender
        members = []
        for member in self._members.values():
            connection = member.connection
            first = again = 0
            if connection is not None and receiver is not None:
                first, again = receiver.unique_of(connection.receiver)
            members.append(
                MemberStatistics(
                    socket_id=member.socket_id,
                    peer=member.peer,
                    weight=member.weight,
                    state=member.state,
                    is_receiving=self._is_receiving(member),
                    pkt_recv_first_total=first,
                    pkt_recv_duplicate_total=again,
                    link=None if connection is None else connection.statistics(now),
                )
            )
        received = receiver.received if receiver else 0
        received_bytes = receiver.received_bytes if receiver else 0
        sent = sender.sent if sender else 0
        sent_bytes = sender.sent_bytes if sender else 0
        return GroupStatistics(
            ms_time_stamp=(now - self._began) * 1e3,
            pkt_sent_unique_total=sent,
            pkt_recv_unique_total=received,
            pkt_rcv_drop_total=receiver.dropped if receiver else 0,
            byte_sent_unique_total=sent_bytes + sent * _PAYLOAD_COST,
            byte_recv_unique_total=received_bytes + received * _PAYLOAD_COST,
            pkt_recv_duplicate_total=receiver.duplicates if receiver else 0,
            pkt_rcv_refused_total=receiver.refused if receiver else 0,
            pkt_snd_drop_total=self._dropped_unsent,
            members_refused_total=self._refused,
            members=tuple(members),
        )

    def _is_receiving(self, member: _Member) -> bool:
        connection = member.connection
        if connection is None or self._receiver is None:
            return False
        at = self._receiver.brought_at(connection.receiver)
        return at > connection.link_quality.keepalive_at
