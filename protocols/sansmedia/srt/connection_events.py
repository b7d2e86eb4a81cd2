"""What comes out of a `Connection`."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansmedia.sansio import Terminated

from .constants import KeyState

__all__ = [
    "BufferDrained",
    "ConnectionEvent",
    "KeyStateChanged",
    "MessagesDropped",
    "MessagesReceived",
    "PeerErrorReceived",
    "ReceivedMessage",
    "SendReady",
]


@attrs.define
class ReceivedMessage:
    """One message; in stream mode a piece of it. Made per packet, so not frozen."""

    data: bytes
    """As it was sent."""
    source_time: float
    """When it was sent, on our clock, corrected by the drift between both."""
    timestamp: int
    """When it was sent, in microseconds since the peer's clock began, not wrapped."""
    number: int
    """Its message number, 26 bits; of the last one, 1 comes after it."""


@attrs.define
class MessagesReceived:
    """Messages are due, in order; made per tick, so not frozen."""

    socket_id: int
    """Ours."""
    messages: list[ReceivedMessage]
    """Oldest first."""


@attrs.frozen
class MessagesDropped:
    """Packets were given up."""

    socket_id: int
    """Ours."""
    count: int
    """How many packets."""
    sending: bool
    """True: not sent or not acknowledged in time. False: not received in time."""


@attrs.frozen
class SendReady:
    """There is room for messages again, after some were refused."""

    socket_id: int
    """Ours."""


@attrs.frozen
class BufferDrained:
    """All that was sent has been acknowledged (file mode)."""

    socket_id: int
    """Ours."""


@attrs.frozen
class PeerErrorReceived:
    """The peer could not process what it received (SRT draft-01 §3.2.10)."""

    socket_id: int
    """Ours."""
    code: int
    """4000 is an error of its file system; others are not defined."""


@attrs.frozen
class KeyStateChanged:
    """The state of encryption is another one."""

    socket_id: int
    """Ours."""
    sending: KeyState
    """Of what we send."""
    receiving: KeyState
    """Of what we receive."""


ConnectionEvent: TypeAlias = (
    MessagesReceived
    | MessagesDropped
    | SendReady
    | BufferDrained
    | PeerErrorReceived
    | KeyStateChanged
    | Terminated
)
