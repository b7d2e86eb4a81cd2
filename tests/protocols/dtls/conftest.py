"""Certificates, two connections that talk to each other, and peers made of bytes."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from sansmedia.dtls import (
    Certificate,
    DtlsConfig,
    DtlsConnection,
    DtlsEvent,
    Limits,
    Role,
    State,
    generate_certificate,
)
from sansmedia.dtls.alerts import alert_name
from sansmedia.dtls.constants import DTLS_1_0, DTLS_1_2, ContentType, HandshakeType
from sansmedia.dtls.fragments import (
    Fragment,
    decode_fragment,
    encode_fragment,
    encode_message,
)
from sansmedia.dtls.hello_wire import ClientHello, encode_client_hello
from sansmedia.dtls.record_wire import Record, decode_record, encode_record
from sansmedia.sansio import Datagram, Reader
from sansmedia.sansio.testing import (
    Conditions,
    DatagramLink,
    DatagramPair,
    SeededDice,
)

NOT_BEFORE = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)


@pytest.fixture(scope="session")
def server_certificate() -> Certificate:
    """A P-256 certificate, the same in every run."""
    return generate_certificate(SeededDice(1), not_before=NOT_BEFORE)


@pytest.fixture(scope="session")
def client_certificate() -> Certificate:
    """Another one."""
    return generate_certificate(SeededDice(2), not_before=NOT_BEFORE)


def _self_signed(key: Any) -> Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    made = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_BEFORE + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    return Certificate((made.public_bytes(serialization.Encoding.DER),), key)


@pytest.fixture(scope="session")
def self_signed() -> Callable[[Any], Certificate]:
    """Make a certificate for any private key."""
    return _self_signed


@pytest.fixture(scope="session")
def rsa_certificate() -> Certificate:
    """A certificate with an RSA key of 2,048 bits."""
    return _self_signed(rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="session")
def p384_certificate() -> Certificate:
    """A certificate with a key of P-384."""
    return _self_signed(ec.generate_private_key(ec.SECP384R1()))


@attrs.define
class Pair:
    """A client (left) and a server (right) over a network in simulated time."""

    network: DatagramPair[DtlsEvent, DtlsEvent]
    client: DtlsConnection
    server: DtlsConnection

    @property
    def is_connected(self) -> bool:
        """Whether both say so."""
        return self.client.state is self.server.state is State.CONNECTED

    @property
    def is_over(self) -> bool:
        """Whether both are connected or one has ended."""
        ended = self.client.is_terminated or self.server.is_terminated
        return ended or self.is_connected

    def shake(self, until: float = 60.0) -> None:
        """Run until both are connected or one has ended."""
        self.network.run(until, stop=lambda: self.is_over)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.network.run(self.network.now + seconds)


MakePair: TypeAlias = Callable[..., Pair]


@pytest.fixture
def make_pair(
    server_certificate: Certificate, client_certificate: Certificate
) -> MakePair:
    """Make a pair that knows each other's fingerprints; the client has started."""

    def make(
        conditions: Conditions | None = None,
        *,
        seed: int = 0,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        both: dict[str, Any] | None = None,
        limits: Limits | None = None,
        knows: bool = True,
    ) -> Pair:
        ours = DtlsConfig(
            **{"certificate": server_certificate} | (both or {}) | (server or {})
        )
        theirs = DtlsConfig(
            **{"certificate": client_certificate} | (both or {}) | (client or {})
        )
        left = DtlsConnection(
            Role.CLIENT,
            theirs,
            limits,
            dice=SeededDice(2 * seed + 100),
            now=0.0,
            peer=DatagramPair.right_address,
        )
        right = DtlsConnection(
            Role.SERVER, ours, limits, dice=SeededDice(2 * seed + 101), now=0.0
        )
        if knows:
            left.set_remote_fingerprints([ours.certificate.fingerprint()], now=0.0)
            right.set_remote_fingerprints([theirs.certificate.fingerprint()], now=0.0)
        left.start(now=0.0)
        network: DatagramPair[DtlsEvent, DtlsEvent] = DatagramPair(
            left,
            right,
            there=DatagramLink(conditions, seed=seed),
            back=DatagramLink(conditions, seed=seed + 10_000),
        )
        return Pair(network, left, right)

    return make


@attrs.define
class RawPeer:
    """A peer made of bytes in front of a connection, for what no honest one sends."""

    machine: DtlsConnection
    now: float = 1.0
    address: tuple[str, int] = ("192.0.2.9", 4000)
    sequence: int = 0
    """Of the next record in epoch 0."""

    def record(
        self,
        content: bytes,
        kind: ContentType = ContentType.HANDSHAKE,
        *,
        epoch: int = 0,
        version: int = DTLS_1_2,
    ) -> bytes:
        """Return a record with the next sequence number."""
        self.sequence += 1
        return encode_record(Record(kind, version, epoch, self.sequence - 1, content))

    def fragment(
        self,
        kind: int,
        body: bytes,
        *,
        length: int | None = None,
        sequence: int = 0,
        offset: int = 0,
    ) -> bytes:
        """Return a record with one fragment."""
        size = len(body) if length is None else length
        return self.record(
            encode_fragment(Fragment(kind, size, sequence, offset, body))
        )

    def message(self, kind: HandshakeType, body: bytes, sequence: int = 0) -> bytes:
        """Return a record with a whole message."""
        return self.record(encode_message(kind, sequence, body))

    def alert(self, level: int, description: int) -> bytes:
        """Return an alert that nothing vouches for."""
        return self.record(bytes((level, description)), ContentType.ALERT)

    def send(self, *datagrams: bytes) -> None:
        """Give datagrams to the machine."""
        batch = [Datagram(octets, self.address) for octets in datagrams]
        self.machine.receive_datagrams(batch, self.now)

    def records(self) -> list[Record]:
        """Take all records of the machine's output."""
        found = []
        for datagram in self.machine.datagrams_to_send():
            assert datagram.peer == self.address
            reader = Reader(datagram.data)
            while reader.remaining:
                found.append(decode_record(reader))
        return found

    def messages(self) -> list[Fragment]:
        """Take the handshake fragments of epoch 0 in the machine's output."""
        found = []
        for record in self.records():
            reader = Reader(record.fragment)
            while (
                record.type is ContentType.HANDSHAKE
                and record.epoch == 0
                and reader.remaining
            ):
                found.append(decode_fragment(reader))
        return found

    def alerts(self) -> list[str]:
        """Take the output; return the names of the alerts in it that are readable."""
        return [
            alert_name(record.fragment[1])
            for record in self.records()
            if record.type is ContentType.ALERT and record.epoch == 0
        ]

    def events(self) -> list[DtlsEvent]:
        """Take all events."""
        found = []
        while (event := self.machine.next_event()) is not None:
            found.append(event)
        return found


MakeRaw: TypeAlias = Callable[..., RawPeer]


@pytest.fixture
def make_raw(
    server_certificate: Certificate, client_certificate: Certificate
) -> MakeRaw:
    """Make a peer of bytes in front of a server, or of a client that has started."""

    def make(
        role: Role = Role.SERVER,
        *,
        limits: Limits | None = None,
        knows: bool = True,
        **values: Any,
    ) -> RawPeer:
        ours = server_certificate if role is Role.SERVER else client_certificate
        theirs = client_certificate if role is Role.SERVER else server_certificate
        config = DtlsConfig(**{"certificate": ours} | values)
        peer = RawPeer(
            DtlsConnection(
                role,
                config,
                limits,
                dice=SeededDice(3),
                now=0.0,
                peer=("192.0.2.9", 4000),
            )
        )
        if knows:
            peer.machine.set_remote_fingerprints([theirs.fingerprint()], now=0.0)
        peer.machine.start(now=1.0)
        return peer

    return make


EXTENSIONS = {
    0xFF01: b"\x00",
    23: b"",
    10: bytes.fromhex("0006001d00170018"),
    11: bytes.fromhex("0100"),
    13: bytes.fromhex("00080403080404010503"),
    14: bytes.fromhex("000600010008000700"),
}


@pytest.fixture
def make_hello() -> Callable[..., bytes]:
    """Make the body of a ClientHello; ``extensions`` changes them, None drops one."""

    def make(extensions: dict[int, bytes | None] | None = None, **values: Any) -> bytes:
        merged = EXTENSIONS | (extensions or {})
        kept = {kind: body for kind, body in merged.items() if body is not None}
        fields: dict[str, Any] = {
            "version": DTLS_1_2,
            "random": bytes(range(32)),
            "cipher_suites": (0xC02B, 0xC02F),
            "extensions": kept,
        }
        return encode_client_hello(ClientHello(**fields | values))

    return make


@pytest.fixture(scope="session")
def first_version() -> int:
    """What the records of a first flight carry."""
    return DTLS_1_0
