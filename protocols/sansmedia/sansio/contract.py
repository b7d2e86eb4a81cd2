"""The shapes that all machines have in common, as typing protocols.

A driver needs nothing else: it feeds input, sends what `data_to_send` gives, hands out
events and calls `handle_timeout` when `next_timeout` has come.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import attrs

from .errors import ProtocolError

__all__ = [
    "Datagram",
    "DatagramMachine",
    "Dice",
    "Lane",
    "StreamMachine",
    "Terminated",
    "TerminationCause",
]

Dice: TypeAlias = Callable[[int], bytes]
"""Randomness: returns that many octets. Programs pass ``os.urandom``, tests a seed."""


class TerminationCause(enum.Enum):
    """Who ended a machine, and how."""

    LOCAL = "local"
    """`close` was called, or a command ended the session."""
    PEER = "peer"
    """The peer said goodbye in the protocol's own way."""
    EOF = "eof"
    """The transport ended."""
    TIMEOUT = "timeout"
    """A deadline of ours passed."""
    VIOLATION = "violation"
    """The peer broke the protocol or one of our limits; ``error`` says how."""


def _without_traceback(error: ProtocolError | None) -> ProtocolError | None:
    # It knows the frames that the error passed, and they know the machine: whoever
    # keeps both would keep a cycle.
    return None if error is None else error.with_traceback(None)


@attrs.frozen
class Terminated:
    """The last event of every machine: exactly one, then silence."""

    cause: TerminationCause
    reason: str = ""
    """One sentence for a log line."""
    error: ProtocolError | None = attrs.field(
        default=None, converter=_without_traceback
    )
    """Set if and only if the cause is `TerminationCause.VIOLATION`."""


@attrs.define
class Datagram:
    """One datagram with its path; made per packet, so not frozen (3x cheaper)."""

    data: bytes
    peer: tuple[str, int]
    local: tuple[str, int] | None = None
    at: float = 0.0
    """When the kernel received it, on the clock of ``now``; 0 when sending."""
    transport: Literal["udp", "tcp"] = "udp"
    """``tcp``: one RFC 4571 frame on the connection between ``local`` and ``peer``."""


E_co = TypeVar("E_co", covariant=True)


class _Machine(Protocol[E_co]):
    def next_event(self) -> E_co | None:
        """Dequeue the oldest event, or None. Never works, never raises."""
        ...

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next, or None."""
        ...

    def handle_timeout(self, now: float) -> None:
        """Do what is due at ``now``; afterwards `next_timeout` is later or None."""
        ...

    def close(self, reason: str = "", *, now: float) -> None:
        """End politely: farewell bytes, then `Terminated`. A second call is void."""
        ...

    @property
    def is_terminated(self) -> bool:
        """True once `Terminated` was queued; inputs are ignored from then on."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Octets held for the peer's sake (input, output, events)."""
        ...

    def statistics(self) -> Any:  # noqa: ANN401 - each library has its own record
        """Return a frozen record of counters."""
        ...


class StreamMachine(_Machine[E_co], Protocol[E_co]):
    """A machine over an ordered byte stream."""

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the peer, in any segmentation. Never raises."""
        ...

    def receive_eof(self, now: float) -> None:
        """Take the end of the peer's stream."""
        ...

    def data_to_send(self) -> bytes:
        """Dequeue all bytes for the peer; empty if there are none."""
        ...


class DatagramMachine(_Machine[E_co], Protocol[E_co]):
    """A machine over datagrams."""

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        """Take up to 64 datagrams. Never raises; what nobody sent us is dropped."""
        ...

    def datagrams_to_send(self) -> list[Datagram]:
        """Dequeue all datagrams for the peer; empty if there are none."""
        ...


R_contra = TypeVar("R_contra", contravariant=True)


class Lane(Protocol[R_contra]):
    """The way of bulk media out of a machine: pure, without events.

    The machine owns what the lane needs (chunk size, keys, counters); whoever holds
    the lane writes runs of media and sends the bytes itself.
    """

    def write(self, run: R_contra) -> list[bytes]:
        """Return the wire form of ``run``."""
        ...
