"""`DtlsConnection` against pyOpenSSL in this process: no sockets, simulated time.

OpenSSL's own timer runs on the real clock, which does not move here. So what it says
is late, doubled and out of order, but not lost; what we say is lost too where it is for
us to say it again.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import attrs
import pytest
from sansmedia.dtls import (
    ApplicationDataReceived,
    DtlsConfig,
    DtlsConnection,
    HandshakeCompleted,
    Role,
    State,
)
from sansmedia.sansio import Datagram, Reader
from sansmedia.sansio.testing import (
    Conditions,
    DatagramLink,
    DatagramPair,
    SeededDice,
)

pytestmark = pytest.mark.interop

_LATE = Conditions(delay=0.02, jitter=0.03, duplicate=0.2, reorder=0.3)
_LOSSY = attrs.evolve(_LATE, loss=0.3)


@pytest.fixture(scope="module")
def ssl() -> Any:
    """pyOpenSSL's module, or skip (fail if peers are required)."""
    try:
        return importlib.import_module("OpenSSL.SSL")
    except ImportError:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("pyOpenSSL is missing")
        pytest.skip("pyOpenSSL is missing")


class _OpenSsl:
    """A connection of OpenSSL over memory, with the shape of a machine."""

    is_terminated = False

    def __init__(self, ssl: Any, role: Role, files: Any, mtu: int) -> None:
        context = ssl.Context(ssl.DTLS_METHOD)
        context.set_verify(
            ssl.VERIFY_PEER | ssl.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True
        )
        context.use_certificate_file(str(files.certificate))
        context.use_privatekey_file(str(files.key))
        context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM")
        context.set_options(ssl.OP_NO_QUERY_MTU)
        self._ssl = ssl
        self._peer = (
            DatagramPair.right_address
            if role is Role.CLIENT
            else DatagramPair.left_address
        )
        self.connection = ssl.Connection(context, None)
        if role is Role.CLIENT:
            self.connection.set_connect_state()
        else:
            self.connection.set_accept_state()
        self.connection.set_ciphertext_mtu(mtu)
        self.is_done = False
        self.heard: list[bytes] = []
        self._step()

    def _step(self) -> None:
        try:
            if not self.is_done:
                self.connection.do_handshake()
                self.is_done = True
            self.heard.append(self.connection.recv(65536))
        except self._ssl.WantReadError:
            pass

    def receive_datagrams(self, batch: list[Datagram], now: float) -> None:
        for datagram in batch:
            self.connection.bio_write(datagram.data)
            self._step()

    def datagrams_to_send(self) -> list[Datagram]:
        try:
            octets = self.connection.bio_read(65536)
        except self._ssl.WantReadError:
            return []
        # Memory knows no datagrams, so each record becomes one.
        reader = Reader(octets)
        found = []
        while reader.remaining:
            head = reader.take(11)
            size = reader.u16()
            record = head + size.to_bytes(2, "big") + reader.take(size)
            found.append(Datagram(record, self._peer))
        return found

    def next_event(self) -> None:
        return None

    def next_timeout(self) -> None:
        return None

    def handle_timeout(self, now: float) -> None:
        pass


@attrs.define
class _Couple:
    us: DtlsConnection
    them: _OpenSsl
    network: Any
    events: list[Any]

    def shake(self) -> None:
        self.network.run(
            until=60.0,
            stop=lambda: self.them.is_done and self.us.state is State.CONNECTED,
        )
        assert self.them.is_done
        (told,) = self.events
        assert isinstance(told, HandshakeCompleted)
        label = b"EXTRACTOR-dtls_srtp"
        exported = self.us.export_keying_material(label, 60)
        assert self.them.connection.export_keying_material(label, 60) == exported
        assert told.srtp_profile is not None
        name = f"SRTP_{told.srtp_profile.name.replace('_HMAC', '')}"
        assert self.them.connection.get_selected_srtp_profile() == name.encode()


def _couple(
    ssl: Any,
    role: Role,
    files: Any,
    certificate: Any,
    *,
    ours: Conditions | None = None,
    theirs: Conditions | None = None,
    seed: int = 0,
    mtu: int = 1200,
) -> _Couple:
    config = DtlsConfig(certificate=certificate, mtu=mtu)
    us = DtlsConnection(
        role,
        config,
        dice=SeededDice(seed + 50),
        now=0.0,
        peer=DatagramPair.right_address,
    )
    us.set_remote_fingerprints([files.fingerprint], now=0.0)
    us.start(now=0.0)
    to_them = DatagramLink(ours, seed=seed)
    to_us = DatagramLink(theirs, seed=seed + 1)
    other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    them = _OpenSsl(ssl, other, files, mtu)
    network: Any
    left, right = (us, them) if role is Role.CLIENT else (them, us)
    there, back = (to_them, to_us) if role is Role.CLIENT else (to_us, to_them)
    network = DatagramPair(left, right, there=there, back=back)  # type: ignore[arg-type] # the parts of a machine that a pair needs
    is_left = role is Role.CLIENT
    events = network.left_events if is_left else network.right_events
    return _Couple(us, them, network, events)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", ["ecdsa", "p384", "rsa"])
@pytest.mark.parametrize("our_kind", ["ecdsa", "rsa"])
def test_both_roles_with_any_certificate(
    ssl: Any, theirs: Any, ours: Any, role: Role, kind: str, our_kind: str
) -> None:
    couple = _couple(ssl, role, theirs[kind], ours[our_kind])
    couple.shake()
    couple.us.send(b"from us", now=1.0)
    couple.them.connection.send(b"from openssl")
    couple.network.run(until=2.0)
    assert couple.events[1:] == [ApplicationDataReceived(b"from openssl")]
    assert couple.them.heard == [b"from us"]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("mtu", [300, 1200])
def test_late_doubled_and_reordered_datagrams(
    ssl: Any, theirs: Any, ours: Any, role: Role, mtu: int
) -> None:
    """RFC 6347 §4.2.3, §4.2.4."""
    for seed in range(50):
        couple = _couple(
            *(ssl, role, theirs["ecdsa"], ours["ecdsa"]),
            ours=_LATE,
            theirs=_LATE,
            seed=seed,
            mtu=mtu,
        )
        couple.shake()


def test_what_a_client_of_ours_says_may_be_lost(
    ssl: Any, theirs: Any, ours: Any
) -> None:
    """RFC 6347 §4.2.4: it says it again, and OpenSSL answers again."""
    for seed in range(50):
        couple = _couple(
            *(ssl, Role.CLIENT, theirs["ecdsa"], ours["ecdsa"]),
            ours=_LOSSY,
            theirs=_LATE,
            seed=seed,
        )
        couple.shake()
