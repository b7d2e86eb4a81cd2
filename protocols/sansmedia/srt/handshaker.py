"""What a caller and both sides of a rendezvous have in common."""

from __future__ import annotations

import abc
from typing import Final

import attrs

from sansmedia.sansio import Datagram, Dice, ProtocolError

from .constants import MAX_SEQUENCE_NUMBER, ControlType, Role
from .crypto import CryptoControl
from .extensions_wire import Extensions, GroupMembership, decode_extensions
from .handshake_wire import Handshake, encode_address, encode_handshake
from .negotiated import Negotiated
from .negotiation import Link, NegotiateFilter, check_options, terms_of
from .options import SrtOptions
from .packet_wire import ControlPacket, encode_control
from .rejections import Refusal, RejectionCode, rejection_text

__all__ = [
    "REPEAT_INTERVAL",
    "Agreed",
    "Handshaker",
    "Refused",
    "extensions_of",
    "handshake_packet",
    "timestamp_at",
]

REPEAT_INTERVAL: Final = 0.25
"""Seconds after which a handshake is sent again (SRT draft-01 §4.3.2.2)."""


@attrs.frozen(kw_only=True)
class Agreed:
    """A handshake that came to a good end."""

    negotiated: Negotiated
    """What the connection is made with."""
    crypto: CryptoControl
    """Its keys."""
    options: SrtOptions
    """What this side wanted."""


@attrs.frozen(kw_only=True)
class Refused:
    """A handshake that did not."""

    code: int
    """A `RejectionCode` or a program's own."""
    reason: str
    """One sentence for a log line."""


def timestamp_at(start: float, now: float) -> int:
    """Return the timestamp, in microseconds, of a packet sent now."""
    return round((now - start) * 1_000_000) & 0xFFFF_FFFF


def handshake_packet(
    handshake: Handshake, destination: int, start: float, now: float
) -> bytes:
    """Return the octets of a handshake, with header."""
    return encode_control(
        ControlPacket(
            ControlType.HANDSHAKE,
            0,
            0,
            timestamp_at(start, now),
            destination,
            encode_handshake(handshake),
        )
    )


def extensions_of(handshake: Handshake) -> Extensions:
    """Return what a handshake carries.

    Raises:
        Refusal: It cannot be read.
    """
    try:
        return decode_extensions(handshake.extensions, handshake.extension)
    except ProtocolError as error:
        raise Refusal(RejectionCode.ROGUE, error.reason) from None


class Handshaker(abc.ABC):
    """Asks one peer for a connection, again and again, until it has an outcome.

    Args:
        options: What this side wants.
        socket_id: Ours.
        peer: Where to ask.
        local: Where from.
        group: The membership, if the connection is one of a group.
        negotiate_filter: Judges packet filters.
        timeout: Seconds until it gives up.
        dice: Makes the sequence number, cookies and keys.
        now: The time.
        initial_sequence: Of our first packet; None: any.

    Raises:
        UsageError: The options cannot be.
    """

    role: Role

    def __init__(
        self,
        options: SrtOptions,
        *,
        socket_id: int,
        peer: tuple[str, int],
        local: tuple[str, int] | None,
        group: GroupMembership | None,
        negotiate_filter: NegotiateFilter,
        timeout: float,
        dice: Dice,
        now: float,
        initial_sequence: int | None = None,
    ) -> None:
        check_options(options)
        self.options = options
        self.socket_id = socket_id
        self.peer = peer
        self.outcome: Agreed | Refused | None = None
        """How it ended, once it has."""
        self.ignored = 0
        """Handshakes that did not suit the state."""
        self.local = local
        self._group = group
        self._negotiate_filter = negotiate_filter
        self._crypto = CryptoControl(options, dice=dice)
        self._dice = dice
        self._start = now
        if initial_sequence is None:
            initial_sequence = int.from_bytes(dice(4)) & MAX_SEQUENCE_NUMBER
        self._initial_sequence = initial_sequence
        self._output: list[Datagram] = []
        self._request: tuple[Handshake, int] | None = None
        self._repeat_at = now
        self._expires_at = now + timeout

    # --- in ------------------------------------------------------------------------

    @abc.abstractmethod
    def receive(self, handshake: Handshake, timestamp: int, now: float) -> None:
        """Take a handshake from the peer, and when it came."""

    @abc.abstractmethod
    def _end(self) -> None:
        """Move to the state of refusal."""

    def handle_timeout(self, now: float) -> None:
        """Ask again, or give up."""
        if self.outcome is not None:
            return
        if now >= self._expires_at:
            self.refuse(RejectionCode.TIMEOUT)
        elif now >= self._repeat_at:
            self._repeat(now)

    def refuse(self, code: int, reason: str = "") -> None:
        """End it."""
        if self.outcome is None:
            self.outcome = Refused(code=code, reason=reason or rejection_text(code))
            self._request = None
            self._end()

    # --- out -----------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` has something to do."""
        if self.outcome is not None:
            return None
        return min(self._repeat_at, self._expires_at)

    def take_datagrams(self) -> list[Datagram]:
        """Dequeue all datagrams for the peer."""
        output = self._output
        self._output = []
        return output

    @property
    def pending_bytes(self) -> int:
        """Octets that wait to be sent."""
        return sum(len(datagram.data) for datagram in self._output)

    def _handshake(self, kind: int, *, version: int = 5, cookie: int = 0) -> Handshake:
        return Handshake(
            version=version,
            initial_sequence=self._initial_sequence,
            mss=self.options.mss,
            flow_window=terms_of(self.options).flow_window,
            type=kind,
            socket_id=self.socket_id,
            cookie=cookie,
            peer_address=encode_address(self.peer[0]),
        )

    def _ask(self, handshake: Handshake, destination: int, now: float) -> None:
        """Send a handshake now, and again until another takes its place."""
        self._request = (handshake, destination)
        self._repeat(now)

    def _repeat(self, now: float) -> None:
        if self._request is not None:
            self._say(*self._request, now)
        self._repeat_at = now + REPEAT_INTERVAL

    def _say(self, handshake: Handshake, destination: int, now: float) -> None:
        data = handshake_packet(handshake, destination, self._start, now)
        self._output.append(Datagram(data, self.peer, self.local))

    def _say_shutdown(self, destination: int, now: float) -> None:
        """Tell a peer that takes us for connected that we are not."""
        packet = ControlPacket(
            ControlType.SHUTDOWN,
            0,
            0,
            timestamp_at(self._start, now),
            destination,
            bytes(4),
        )
        self._output.append(Datagram(encode_control(packet), self.peer, self.local))

    def _link(self, timestamp: int, now: float, stream_id: str = "") -> Link:
        return Link(
            role=self.role,
            socket_id=self.socket_id,
            initial_sequence=self._initial_sequence,
            start_time=self._start,
            timestamp=timestamp,
            timestamp_at=now,
            stream_id=stream_id,
        )

    def _agree(self, negotiated: Negotiated) -> None:
        self._request = None
        self.outcome = Agreed(
            negotiated=negotiated, crypto=self._crypto, options=self.options
        )

    def _refuse_for(self, refusal: Refusal) -> None:
        self.refuse(refusal.rejection, refusal.reason)
