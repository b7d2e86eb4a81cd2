"""What comes out of `Group` and `Groups`."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from sansmedia.sansio import Terminated

from .connection_events import MessagesDropped, MessagesReceived

__all__ = [
    "GroupClosed",
    "GroupEstablished",
    "GroupEvent",
    "GroupType",
    "GroupsEvent",
    "MemberActivated",
    "MemberJoined",
    "MemberLost",
    "MemberRejected",
    "MemberSilenced",
    "MemberState",
]


class GroupType(enum.IntEnum):
    """What a group does with its links (SRT draft-01 §3.2.1.4)."""

    BROADCAST = 1
    """Sends everything over every link."""
    BACKUP = 2
    """Sends over one, and goes over to another when that is about to fail."""


class MemberState(enum.Enum):
    """What a link does (libsrt's SRT_MEMBERSTATUS)."""

    PENDING = "pending"
    """It is being made."""
    IDLE = "idle"
    """It stands by."""
    RUNNING = "running"
    """It carries messages."""
    BROKEN = "broken"
    """It is over."""


@attrs.frozen(kw_only=True)
class GroupEstablished:
    """The first link stands."""

    group_id: int
    """Ours."""
    peer_group_id: int
    """The peer's."""
    type: GroupType
    stream_id: str
    """What the caller asked for."""


@attrs.frozen(kw_only=True)
class MemberJoined:
    """A link stands."""

    group_id: int
    """Ours."""
    socket_id: int
    """Its socket here."""
    peer: tuple[str, int]
    """Its other end."""
    weight: int
    """Its priority in a main/backup group, 0 the least."""


@attrs.frozen(kw_only=True)
class MemberRejected:
    """A link that was asked for will not be."""

    group_id: int
    """Ours."""
    socket_id: int
    """Its socket here."""
    code: int
    """A `RejectionCode` or a program's own."""
    reason: str
    """One sentence for a log line."""


@attrs.frozen(kw_only=True)
class MemberLost:
    """A link that stood is over; the group goes on with the others."""

    group_id: int
    """Ours."""
    socket_id: int
    """Its socket here."""
    terminated: Terminated
    """Who ended it, and how."""


@attrs.frozen(kw_only=True)
class MemberActivated:
    """A link of a main/backup group carries messages from now on."""

    group_id: int
    """Ours."""
    socket_id: int
    """Its socket here."""
    resent: int
    """Messages that went over it anew."""


@attrs.frozen(kw_only=True)
class MemberSilenced:
    """A link of a main/backup group stands by from now on."""

    group_id: int
    """Ours."""
    socket_id: int
    """Its socket here."""


@attrs.frozen(kw_only=True)
class GroupClosed:
    """A group is over: its last event."""

    group_id: int
    """Ours."""
    terminated: Terminated
    """Who ended it, and how."""


GroupEvent: TypeAlias = (
    GroupEstablished
    | MemberJoined
    | MemberRejected
    | MemberLost
    | MemberActivated
    | MemberSilenced
    | MessagesReceived
    | MessagesDropped
    | Terminated
)
"""Everything that `Group.next_event` gives; messages tell the group's id."""

GroupsEvent: TypeAlias = (
    GroupEstablished
    | MemberJoined
    | MemberRejected
    | MemberLost
    | MemberActivated
    | MemberSilenced
    | MessagesReceived
    | MessagesDropped
    | GroupClosed
)
"""Everything that `Groups.next_event` gives."""
