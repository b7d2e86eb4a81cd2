"""What both roles of the DTLS 1.2 handshake share: transcript, secrets, Finished.

A handshake knows no time-outs, no datagrams and no events: it is fed whole messages in
order, and writes flights. `DtlsConnection` does the rest, for this version and others.
"""

from __future__ import annotations

import abc
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from sansmedia.sansio import Dice, ProtocolError

from .certificates import PeerIdentity
from .config import DtlsConfig
from .constants import (
    DTLS_1_2,
    CipherSuite,
    HandshakeType,
    NamedGroup,
    Role,
    SrtpProfile,
)
from .flights import FlightSender
from .fragments import Message, encode_message
from .handshake_wire import decode_certificate
from .key_exchange import EphemeralKey
from .key_schedule import (
    export_keying_material,
    extended_master_secret,
    key_block,
    master_secret,
    verify_data,
)
from .limits import Limits
from .protection import SUITES, Protection, make_protection
from .records import RecordLayer
from .signatures import PublicKey, decode_public_key
from .states import TABLES, Input, State

__all__ = ["Collaborators", "Handler", "Handshake12"]

Handler: TypeAlias = Callable[[Message, float, tuple[str, int]], Input]


@attrs.frozen
class Collaborators:
    """What a handshake works with; shared with the connection."""

    config: DtlsConfig
    limits: Limits
    dice: Dice
    records: RecordLayer
    flights: FlightSender
    identity: PeerIdentity


class Handshake12(abc.ABC):
    """A handshake under way, and afterwards its results.

    Args:
        parts: What it works with.
        role: Ours.
        state: Where it begins.
    """

    def __init__(self, parts: Collaborators, role: Role, state: State) -> None:
        self._config = parts.config
        self._limits = parts.limits
        self._dice = parts.dice
        self._records = parts.records
        self._flights = parts.flights
        self._identity = parts.identity
        self._role = role
        self._table = TABLES[role]
        self._transcript: list[bytes] = []
        self._ephemeral: EphemeralKey | None = None
        self._peer_key: PublicKey | None = None
        self._write_protection: Protection | None = None
        self._master = b""
        self._client_random = b""
        self._server_random = b""
        self.state = state
        self.cipher_suite: CipherSuite | None = None
        self.group: NamedGroup | None = None
        self.srtp_profile: SrtpProfile | None = None
        self.alpn_protocol: str | None = None
        self.has_extended_master_secret = False

    # --- for the connection --------------------------------------------------------

    @staticmethod
    def accepts(kind: int, epoch: int) -> bool:
        """Tell whether a message belongs into an epoch: only Finished is protected.

        What does not is dropped before it can do harm: anybody could have sent it.
        """
        return (kind == HandshakeType.FINISHED) == (epoch == 1)

    def receive(self, message: Message, now: float, peer: tuple[str, int]) -> None:
        """Take the message that is due.

        Raises:
            ProtocolError: It ends the handshake; `alert_for` says with which alert.
        """
        step, handler = self._handlers().get(message.type, (None, None))
        if step is None or handler is None or (self.state, step) not in self._table:
            raise ProtocolError(
                f"a message of type {message.type} is not due",
                code="unexpected_message",
                source="RFC 5246 §7.4",
            )
        self.state = self._table[self.state, handler(message, now, peer)]

    def move(self, step: Input) -> bool:
        """Take an input that is no message; False if it means nothing here."""
        state = self._table.get((self.state, step))
        if state is None:
            return False
        self.state = state
        return True

    def export(self, label: bytes, size: int, context: bytes | None) -> bytes:
        """Return keying material. Source: RFC 5705 §4."""
        return export_keying_material(
            self._hash,
            self._master,
            self._client_random,
            self._server_random,
            label,
            size,
            context,
        )

    @property
    def pending_bytes(self) -> int:
        """Octets of the transcript."""
        return sum(map(len, self._transcript))

    def clear(self) -> None:
        """Forget the transcript and the secrets."""
        self._transcript.clear()
        self._master = b""
        self._ephemeral = None
        self._write_protection = None

    # --- for the roles -------------------------------------------------------------

    @abc.abstractmethod
    def _handlers(self) -> Mapping[int, tuple[Input, Handler]]:
        """Return what each type of message is to the table, and what takes it.

        A handler returns the input that moves the state: the same, or a variant.
        """

    @property
    def _suite(self) -> CipherSuite:
        if self.cipher_suite is None:
            raise ProtocolError("no suite is negotiated", code="internal_error")
        return self.cipher_suite

    @property
    def _hash(self) -> str:
        return SUITES[self._suite].hash

    def _note(self, message: Message) -> None:
        """Enter a received message. Source: RFC 6347 §4.2.6."""
        self._transcript.append(
            encode_message(message.type, message.sequence, message.body)
        )

    def _send(self, kind: HandshakeType, body: bytes, epoch: int = 0) -> None:
        """Add a message to the flight and enter it."""
        self._transcript.append(self._flights.add(kind, body, epoch, DTLS_1_2))

    def _transcript_hash(self) -> bytes:
        return hashlib.new(self._hash, b"".join(self._transcript)).digest()

    def _take_certificate(self, message: Message) -> bool:
        """Take a peer's Certificate; False if it is empty."""
        chain = decode_certificate(message.body, self._limits.certificates)
        if chain:
            self._peer_key = decode_public_key(chain[0], self._limits.rsa_bits)
        self._identity.present(chain)
        self._note(message)
        return bool(chain)

    def _derive_keys(self, premaster: bytes) -> None:
        """Make the secrets; the transcript ends with the ClientKeyExchange.

        Source: RFC 7627 §4, RFC 5246 §8.1.
        """
        randoms = self._client_random, self._server_random
        if self.has_extended_master_secret:
            session_hash = self._transcript_hash()
            self._master = extended_master_secret(self._hash, premaster, session_hash)
        else:
            self._master = master_secret(self._hash, premaster, *randoms)
        suite = SUITES[self._suite]
        keys = key_block(
            suite.hash, self._master, *randoms, suite.key_size, suite.iv_size
        )
        client = make_protection(self._suite, keys.client_key, keys.client_iv)
        server = make_protection(self._suite, keys.server_key, keys.server_iv)
        is_client = self._role is Role.CLIENT
        self._write_protection = client if is_client else server
        # The number of an epoch says what a ChangeCipherSpec says, so that one that is
        # lost holds up nothing: only Finished is taken in epoch 1, and only there.
        self._records.install_read(1, server if is_client else client)
        self._ephemeral = None

    def _check_finished(self, message: Message) -> None:
        """Compare the peer's Finished. Source: RFC 5246 §7.4.9."""
        expected = verify_data(
            self._hash,
            self._master,
            self._transcript_hash(),
            is_client=self._role is Role.SERVER,
        )
        if not hmac.compare_digest(expected, message.body):
            raise ProtocolError(
                "Finished does not fit what was said",
                code="decrypt_error",
                source="RFC 5246 §7.4.9",
            )
        self._note(message)

    def _send_finished(self) -> None:
        """Add ChangeCipherSpec and Finished to the flight."""
        if self._write_protection is None:
            return
        self._flights.add_change_cipher_spec(0, DTLS_1_2)
        self._records.install_write(1, self._write_protection)
        body = verify_data(
            self._hash,
            self._master,
            self._transcript_hash(),
            is_client=self._role is Role.CLIENT,
        )
        self._send(HandshakeType.FINISHED, body, epoch=1)
