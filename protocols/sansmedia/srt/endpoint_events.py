"""What comes out of `Endpoint`."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansmedia.sansio import ProtocolError, Terminated

from .connection_events import (
    BufferDrained,
    KeyStateChanged,
    MessagesDropped,
    MessagesReceived,
    PeerErrorReceived,
    SendReady,
)
from .extensions_wire import GroupMembership
from .key_material_wire import KeyCipher
from .negotiated import Negotiated
from .stream_id import AccessRequest

__all__ = [
    "Closed",
    "ConnectionEstablished",
    "ConnectionRejected",
    "ConnectionRequested",
    "EndpointEvent",
    "RequestEnded",
]


@attrs.frozen(kw_only=True)
class ConnectionRequested:
    """A caller wants in; answer with `Endpoint.accept` or `Endpoint.reject`.

    Its address is proved, its passphrase is not yet: it is checked with the options
    that `accept` is given.
    """

    request_id: int
    """For the answer."""
    peer: tuple[str, int]
    """Where it calls from."""
    local: tuple[str, int] | None
    """Where it called, as far as the socket knows."""
    peer_socket_id: int
    """Its socket."""
    stream_id: str
    """As sent; empty if there is none."""
    access: AccessRequest | None
    """The same taken apart; None if it is free text or malformed."""
    access_error: ProtocolError | None
    """Set if it begins as the convention has it and is malformed."""
    peer_version: int
    """Of SRT, as in 0x010501."""
    is_encrypted: bool
    """Whether it has a passphrase."""
    key_length: int
    """Octets of its key, or 0."""
    cipher: KeyCipher | None
    """What it encrypts with; None if it does not, or with something unknown."""
    is_live: bool
    """Whether it wants the live congestion controller."""
    is_message_api: bool
    """Whether it keeps the borders of messages."""
    packet_filter: str
    """The filter that it asks for; empty: none."""
    group: GroupMembership | None
    """Its group, if the connection shall be a member of one."""


@attrs.frozen(kw_only=True)
class RequestEnded:
    """A request came to nothing without `reject`: the last word on it."""

    request_id: int
    code: int
    """What the caller was told: a `RejectionCode`."""
    reason: str
    """One sentence for a log line."""


@attrs.frozen(kw_only=True)
class ConnectionEstablished:
    """A connection stands."""

    socket_id: int
    """Ours."""
    negotiated: Negotiated
    peer: tuple[str, int]
    request_id: int = 0
    """Of the request that was accepted; 0 for a caller and in rendezvous."""


@attrs.frozen(kw_only=True)
class ConnectionRejected:
    """A connection that this side asked for will not be."""

    socket_id: int
    """Ours."""
    code: int
    """A `RejectionCode` or a program's own."""
    reason: str
    """One sentence for a log line."""


@attrs.frozen(kw_only=True)
class Closed:
    """A connection that stood is over: its last event."""

    socket_id: int
    """Ours."""
    terminated: Terminated
    """Who ended it, and how."""


EndpointEvent: TypeAlias = (
    ConnectionRequested
    | RequestEnded
    | ConnectionEstablished
    | ConnectionRejected
    | MessagesReceived
    | MessagesDropped
    | SendReady
    | BufferDrained
    | PeerErrorReceived
    | KeyStateChanged
    | Closed
    | Terminated
)
"""Everything that `Endpoint.next_event` gives."""
