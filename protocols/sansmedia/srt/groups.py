"""All bonding groups of a program, over all its endpoints.

Source: SRT draft-01 §3.2.1.4; libsrt's socket-groups.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs

from sansmedia.sansio import Dice, Terminated, UsageError

from .connection_events import MessagesDropped, MessagesReceived
from .constants import MAX_SEQUENCE_NUMBER
from .endpoint import Endpoint
from .endpoint_events import (
    Closed,
    ConnectionEstablished,
    ConnectionRejected,
    ConnectionRequested,
    EndpointEvent,
)
from .extensions_wire import GroupMembership
from .group import GROUP_BIT, Group
from .group_events import GroupClosed, GroupsEvent, GroupType
from .limits import Limits
from .options import SrtOptions

__all__ = ["Groups"]

_KEYS: Final = {kind.value: kind for kind in GroupType}


class Groups:
    """Makes groups, joins callers of the same one, and sorts out events of endpoints.

    It sends nothing itself. A driver with any number of sockets does this::

        while (event := endpoint.next_event()) is not None:
            if groups.take(endpoint, event, now=now):
                continue
            if isinstance(event, ConnectionRequested) and event.group is not None:
                groups.accept(endpoint, event, now=now)
        while (event := groups.next_event()) is not None:
            ...
        # All endpoints may have something to send now; and wake for
        # `groups.next_timeout()` as for that of each endpoint.

    Events: those of `Group`, with `GroupClosed` as the last of each.

    Args:
        limits: What peers may cost.
        dice: Makes ids and sequence numbers.
    """

    def __init__(self, limits: Limits | None = None, *, dice: Dice) -> None:
        self._limits = limits or Limits()
        self._dice = dice
        self._groups: dict[int, Group] = {}
        self._options: dict[int, SrtOptions] = {}
        self._initial: dict[int, int] = {}
        self._by_peer: dict[tuple[int, str], Group] = {}
        self._owners: dict[tuple[Endpoint, int], Group] = {}
        self._marked: deque[Group] = deque()
        self._is_marked: set[int] = set()
        self.refused = 0
        """Callers that were turned away here."""

    def _make_id(self) -> int:
        while True:
            number = int.from_bytes(self._dice(4)) & (GROUP_BIT - 1) | GROUP_BIT
            if number not in self._groups:
                return number

    # --- commands ------------------------------------------------------------------

    def create(self, kind: GroupType, options: SrtOptions, *, now: float) -> int:
        """Make a group for calling; return its id.

        Raises:
            UsageError: There are too many.
        """
        if len(self._groups) >= self._limits.groups:
            raise UsageError(f"{self._limits.groups} groups are as many as may be")
        group_id = self._make_id()
        self._groups[group_id] = Group(group_id, kind, options, self._limits, now=now)
        self._options[group_id] = options
        self._initial[group_id] = int.from_bytes(self._dice(4)) & MAX_SEQUENCE_NUMBER
        return group_id

    def connect(
        self,
        group_id: int,
        endpoint: Endpoint,
        peer: tuple[str, int],
        *,
        weight: int = 0,
        now: float,
    ) -> int | None:
        """Call a listener for one link more; return its socket id.

        Also to make a link again that was lost. None: the group is over.

        Raises:
            UsageError: There are too many links, or the weight is none.
        """
        group = self._groups.get(group_id)
        if group is None or group.is_terminated:
            return None
        if not 0 <= weight < 1 << 16:
            raise UsageError("a weight is 0 to 65535")
        if not group.has_room:
            raise UsageError("there are too many links")
        sequence = group.next_sequence
        if sequence is None:
            # All begin alike, so that it does not matter which one stands first.
            sequence = self._initial[group_id]
        socket_id = endpoint.connect(
            peer,
            self._options[group_id],
            now=now,
            group=GroupMembership(group_id, group.type, 0, weight),
            initial_sequence=sequence & MAX_SEQUENCE_NUMBER,
        )
        group.expect(endpoint, socket_id, peer=peer, weight=weight)
        self._owners[endpoint, socket_id] = group
        return socket_id

    def accept(
        self,
        endpoint: Endpoint,
        request: ConnectionRequested,
        options: SrtOptions | None = None,
        *,
        now: float,
    ) -> int | None:
        """Let in a caller that is a member of a group; return our group's id.

        The first makes our group. Another joins it by presenting the same group and
        the same stream. None: it comes to nothing, and was told so.

        Raises:
            UsageError: The options cannot be.
        """
        membership = request.group
        kind = None if membership is None else _KEYS.get(membership.type)
        if membership is None or kind is None or not request.is_live:
            self._refuse(endpoint, request, now)
            return None
        key = (membership.id, request.stream_id)
        group = self._by_peer.get(key)
        is_new = group is None or group.is_terminated
        if group is None or is_new:
            if len(self._groups) >= self._limits.groups:
                self._refuse(endpoint, request, now)
                return None
            wanted = options or SrtOptions()
            group = Group(self._make_id(), kind, wanted, self._limits, now=now)
        if group.type is not kind or not group.has_room:
            self._refuse(endpoint, request, now)
            return None
        wanted = attrs.evolve(options or SrtOptions(), group_connect=True)
        socket_id = endpoint.accept(
            request.request_id, wanted, group_id=group.group_id, now=now
        )
        if socket_id is None:
            return None
        if is_new:
            self._groups[group.group_id] = group
            self._by_peer[key] = group
        group.expect(endpoint, socket_id, peer=request.peer, weight=membership.weight)
        self._owners[endpoint, socket_id] = group
        joined = group.join(endpoint, socket_id, now=now)
        self._settle(group)
        return group.group_id if joined else None

    def _refuse(
        self, endpoint: Endpoint, request: ConnectionRequested, now: float
    ) -> None:
        self.refused += 1
        endpoint.refuse_group(request.request_id, now=now)

    def group(self, group_id: int) -> Group | None:
        """Return a group, for its statistics and rarer commands."""
        return self._groups.get(group_id)

    def send(
        self,
        group_id: int,
        messages: Sequence[bytes],
        *,
        now: float,
        source_time: float | None = None,
    ) -> int:
        """Send messages over a group; see `Group.send`."""
        group = self._groups.get(group_id)
        if group is None:
            return 0
        taken = group.send(messages, now, source_time=source_time)
        self._settle(group)
        return taken

    def close_group(self, group_id: int, reason: str = "", *, now: float) -> None:
        """Say goodbye on all links of a group."""
        group = self._groups.get(group_id)
        if group is not None:
            group.close(reason, now=now)
            self._settle(group)

    # --- in ------------------------------------------------------------------------

    def take(self, endpoint: Endpoint, event: EndpointEvent, *, now: float) -> bool:
        """Take an event of an endpoint; False if it is none of a group's."""
        socket_id = getattr(event, "socket_id", None)
        if socket_id is None:
            return False
        key = (endpoint, socket_id)
        group = self._owners.get(key)
        if group is None:
            return False
        if isinstance(event, ConnectionEstablished):
            if not event.request_id:
                group.join(endpoint, socket_id, now=now)
        elif isinstance(event, ConnectionRejected):
            del self._owners[key]
            group.reject(endpoint, socket_id, event.code, event.reason)
        elif isinstance(event, Closed):
            del self._owners[key]
            group.lose(endpoint, socket_id, event.terminated, now=now)
        elif not isinstance(event, MessagesReceived | MessagesDropped):
            return False
        self._settle(group)
        return True

    def _settle(self, group: Group) -> None:
        if group.group_id not in self._is_marked:
            self._is_marked.add(group.group_id)
            self._marked.append(group)

    # --- out -----------------------------------------------------------------------

    def next_event(self) -> GroupsEvent | None:
        """Dequeue the oldest event."""
        while self._marked:
            group = self._marked[0]
            event = group.next_event()
            if event is None:
                self._marked.popleft()
                self._is_marked.discard(group.group_id)
            elif isinstance(event, Terminated):
                self._forget(group)
                return GroupClosed(group_id=group.group_id, terminated=event)
            else:
                return event
        return None

    def _forget(self, group: Group) -> None:
        self._groups.pop(group.group_id, None)
        self._options.pop(group.group_id, None)
        self._initial.pop(group.group_id, None)
        for key, other in list(self._by_peer.items()):
            if other is group:
                del self._by_peer[key]

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next."""
        deadlines = [
            deadline
            for group in self._groups.values()
            if (deadline := group.next_timeout()) is not None
        ]
        return min(deadlines, default=None)

    def handle_timeout(self, now: float) -> None:
        """Deliver, and judge links: what is due."""
        for group in list(self._groups.values()):
            deadline = group.next_timeout()
            if deadline is not None and deadline <= now:
                group.handle_timeout(now)
                self._settle(group)

    @property
    def pending_bytes(self) -> int:
        """Octets held, over all groups."""
        return sum(group.pending_bytes for group in self._groups.values())
