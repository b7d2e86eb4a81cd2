"""What a connection asks of encryption and of packet filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from .constants import KeyState
from .packet_wire import DataPacket

if TYPE_CHECKING:
    from .receive_buffer import ReceiveBuffer, Received
    from .receiver import Receiver

__all__ = ["Crypto", "Filtered", "ReceivingFilter", "ReceivingGroup", "SendingFilter"]


class Crypto(Protocol):
    """Keys of one connection, in both directions."""

    @property
    def state_send(self) -> KeyState:
        """How far our key is known to the peer."""
        ...

    @property
    def state_receive(self) -> KeyState:
        """How far the peer's key is known to us."""
        ...

    @property
    def encryption(self) -> str:
        """What is in use, as in ``AES-CTR-128``; empty for nothing."""
        ...

    @property
    def overhead(self) -> int:
        """Octets that a ciphertext is longer than its plaintext."""
        ...

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        """Return the message word with its key bits, and the ciphertext."""
        ...

    def decrypt(self, packet: DataPacket) -> bytes | None:
        """Return the plaintext, or None if there is none to have."""
        ...

    def take_control(self, now: float, rtt: float) -> list[tuple[int, bytes]]:
        """Return subtype and field of the user-defined packets that are due."""
        ...

    def receive_key_request(self, cif: bytes) -> bytes:
        """Take key material; return the answer's field."""
        ...

    def receive_key_response(self, cif: bytes) -> None:
        """Take the answer to ours."""
        ...

    def next_timeout(self) -> float | None:
        """Return when `take_control` has something again."""
        ...


class SendingFilter(Protocol):
    """Makes control packets of a packet filter out of what is sent."""

    def feed(self, packet: DataPacket) -> list[DataPacket]:
        """Take a packet as sent; return what is to be sent right after it."""
        ...


class Filtered(Protocol):
    """What a receiving filter makes of one packet."""

    @property
    def packets(self) -> Sequence[DataPacket]:
        """For the receive buffer: the packet itself and what was recovered."""
        ...

    @property
    def losses(self) -> Sequence[tuple[int, int]]:
        """Ranges that cannot be recovered, to be reported now."""
        ...


class ReceivingFilter(Protocol):
    """Recovers packets, and says which must be asked for."""

    @property
    def arq(self) -> Literal["always", "onreq", "never"]:
        """When losses are reported: at once, if the filter gives up, or never."""
        ...

    def feed(self, packet: DataPacket) -> Filtered:
        """Take a packet as it came."""
        ...


class ReceivingGroup(Protocol):
    """What delivers for several connections that bring the same packets."""

    @property
    def buffer(self) -> ReceiveBuffer:
        """What waits for delivery."""
        ...

    @property
    def expected(self) -> int:
        """The first packet that no member brought."""
        ...

    def admit(self, member: Receiver, sequence: int) -> bool:
        """Prepare a member for a packet; False: it cannot be one of the group's."""
        ...

    def take(self, member: Receiver, sequence: int, received: Received) -> None:
        """Take a packet that is new to a member."""
        ...

    def add_sample(
        self, member: Receiver, timestamp: int, at: float, rtt: float
    ) -> None:
        """Take a sample of the drift; see `TsbpdClock.add_sample`."""
        ...
