"""A client and a server over good and bad networks, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.dtls import (
    DTLS_1_2,
    ApplicationDataReceived,
    Certificate,
    CipherSuite,
    Fingerprint,
    HandshakeCompleted,
    NamedGroup,
    SrtpProfile,
    State,
    Verification,
)
from sansmedia.sansio import Datagram, Terminated, TerminationCause
from sansmedia.sansio.testing import Conditions

MakePair = Callable[..., Any]

_BAD: dict[str, Any] = {"delay": 0.02, "jitter": 0.03, "duplicate": 0.1, "reorder": 0.2}


def _sent(keys: Any) -> tuple[bytes, bytes]:
    return keys.local_key, keys.local_salt


def _received(keys: Any) -> tuple[bytes, bytes]:
    return keys.remote_key, keys.remote_salt


def _agree(pair: Any) -> None:
    """Assert that both sides tell the same of the handshake."""
    (one,) = [e for e in pair.network.left_events if isinstance(e, HandshakeCompleted)]
    (two,) = [e for e in pair.network.right_events if isinstance(e, HandshakeCompleted)]
    for name in ("srtp_profile", "cipher_suite", "version", "group", "alpn_protocol"):
        assert getattr(one, name) == getattr(two, name)
    label = b"EXPERIMENTAL anything"
    exported = pair.client.export_keying_material(label, 40, b"context")
    assert exported == pair.server.export_keying_material(label, 40, b"context")
    left, right = pair.client.srtp_keys(), pair.server.srtp_keys()
    if one.srtp_profile is None:
        assert left is right is None
    else:
        assert _sent(left) == _received(right)
        assert _sent(right) == _received(left)


def test_a_handshake_on_a_good_network(
    make_pair: MakePair,
    server_certificate: Certificate,
    client_certificate: Certificate,
) -> None:
    pair = make_pair()
    pair.shake()
    assert pair.network.left_events == [
        HandshakeCompleted(
            peer_certificate=server_certificate.chain[0],
            peer_chain=(),
            srtp_profile=SrtpProfile.AEAD_AES_128_GCM,
            cipher_suite=CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            version=DTLS_1_2,
            group=NamedGroup.X25519,
            alpn_protocol=None,
            has_extended_master_secret=True,
        )
    ]
    (told,) = pair.network.right_events
    assert told.peer_certificate == client_certificate.chain[0]
    _agree(pair)
    assert pair.network.now == 0.0
    assert pair.network.misaddressed == 0
    for side in (pair.client, pair.server):
        assert side.next_timeout() is None
        assert side.statistics().retransmissions == 0
        assert side.statistics().records_dropped == 0
    assert pair.client.statistics().datagrams_sent == 2
    assert pair.server.statistics().datagrams_sent == 2


@pytest.mark.parametrize("suite", list(CipherSuite))
@pytest.mark.parametrize("group", list(NamedGroup))
def test_every_suite_and_group(
    make_pair: MakePair,
    rsa_certificate: Certificate,
    suite: CipherSuite,
    group: NamedGroup,
) -> None:
    server: dict[str, Any] = {"cipher_suites": (suite,), "groups": (group,)}
    if "ECDHE_RSA" in suite.name:
        server["certificate"] = rsa_certificate
    pair = make_pair(server=server)
    pair.shake()
    _agree(pair)
    told = pair.network.left_events[0]
    assert (told.cipher_suite, told.group) == (suite, group)


def test_certificates_of_other_kinds(
    make_pair: MakePair, rsa_certificate: Certificate, p384_certificate: Certificate
) -> None:
    for ours, theirs in (
        (rsa_certificate, p384_certificate),
        (p384_certificate, rsa_certificate),
    ):
        pair = make_pair(server={"certificate": ours}, client={"certificate": theirs})
        pair.shake()
        _agree(pair)


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("mtu", [1200, 300])
def test_every_handshake_comes_through_loss(
    make_pair: MakePair, loss: float, mtu: int
) -> None:
    """RFC 6347 §4.2.4."""
    for seed in range(100):
        pair = make_pair(Conditions(loss=loss, **_BAD), seed=seed, both={"mtu": mtu})
        pair.shake()
        assert pair.is_connected, f"seed {seed}: {pair.network.left_events[-1:]}"
        _agree(pair)
        pair.run(3.0)
        assert pair.is_connected


def test_handshakes_with_cookies_come_through_loss(make_pair: MakePair) -> None:
    for seed in range(40):
        pair = make_pair(
            Conditions(loss=0.2, **_BAD), seed=seed, server={"cookie_exchange": True}
        )
        pair.shake()
        assert pair.is_connected, f"seed {seed}"
        _agree(pair)


@pytest.mark.parametrize("mtu", [128, 256, 512, 1200])
def test_no_datagram_is_larger_than_the_mtu(make_pair: MakePair, mtu: int) -> None:
    """RFC 6347 §4.1.1.1, §4.2.3."""
    pair = make_pair(both={"mtu": mtu})
    sizes: list[int] = []
    for link in (pair.network.there, pair.network.back):
        send = link.send

        def spy(datagrams: list[Datagram], now: float, send: Any = send) -> None:
            sizes.extend(len(datagram.data) for datagram in datagrams)
            send(datagrams, now)

        link.send = spy
    pair.shake()
    _agree(pair)
    assert max(sizes) <= mtu
    assert pair.client.max_data_size == mtu - 13 - 24


def test_datagrams_shrink_where_large_ones_are_lost(make_pair: MakePair) -> None:
    """RFC 6347 §4.1.1.1: a path that carries 560 octets and says nothing."""
    pair = make_pair()
    for link in (pair.network.there, pair.network.back):
        send = link.send

        def narrow(datagrams: list[Datagram], now: float, send: Any = send) -> None:
            send([one for one in datagrams if len(one.data) <= 560], now)

        link.send = narrow
    pair.shake()
    assert pair.is_connected
    assert pair.server.statistics().mtu == 548
    assert pair.network.now < 3


@pytest.mark.parametrize("lost", range(4))
def test_every_flight_may_be_lost(make_pair: MakePair, lost: int) -> None:
    """The last one too: the client repeats its own. RFC 6347 §4.2.4."""
    pair = make_pair()
    sent = 0
    for link in (pair.network.there, pair.network.back):
        send = link.send

        def lose(datagrams: list[Datagram], now: float, send: Any = send) -> None:
            nonlocal sent
            for datagram in datagrams:
                sent += 1
                if sent != lost + 1:
                    send([datagram], now)

        link.send = lose
    pair.shake()
    assert pair.is_connected
    assert pair.network.now == 0.2
    _agree(pair)


def test_data_goes_both_ways(make_pair: MakePair) -> None:
    pair = make_pair(Conditions(delay=0.01))
    pair.shake()
    pair.run(1.0)
    assert pair.client.send(b"up", now=pair.network.now)
    assert pair.server.send(b"down", now=pair.network.now)
    assert pair.server.send(bytes(16_384), now=pair.network.now)
    pair.run(1.0)
    assert pair.network.right_events[1:] == [ApplicationDataReceived(b"up")]
    assert pair.network.left_events[1:] == [
        ApplicationDataReceived(b"down"),
        ApplicationDataReceived(bytes(16_384)),
    ]


def test_data_that_overtake_the_last_flight_wait_for_it(make_pair: MakePair) -> None:
    pair = make_pair()
    back = pair.network.back
    send = back.send
    held: list[Datagram] = []

    def hold(datagrams: list[Datagram], now: float) -> None:
        """Let whatever follows the server's ChangeCipherSpec overtake it."""
        for datagram in datagrams:
            if datagram.data[0] == 20 and not held:
                held.append(datagram)
            else:
                send([datagram], now)

    back.send = hold
    pair.network.run(0.1)
    assert pair.server.state is State.CONNECTED
    assert pair.client.state is State.WAIT_FINISHED
    pair.server.send(b"early", now=0.1)
    pair.network.run(0.15)
    assert pair.network.left_events == []
    send(held, 0.15)
    pair.network.run(0.16)
    assert isinstance(pair.network.left_events[0], HandshakeCompleted)
    assert pair.network.left_events[1:] == [ApplicationDataReceived(b"early")]


def test_a_lost_change_cipher_spec_holds_nothing_up(make_pair: MakePair) -> None:
    """DEVIATION: the epoch of a record says what ChangeCipherSpec says."""
    pair = make_pair()
    for link in (pair.network.there, pair.network.back):
        send = link.send

        def strip(datagrams: list[Datagram], now: float, send: Any = send) -> None:
            for datagram in datagrams:
                at = datagram.data.find(bytes.fromhex("14fefd0000"))
                if at >= 0:
                    data = datagram.data[:at] + datagram.data[at + 14 :]
                    datagram = Datagram(data, datagram.peer, datagram.local)
                send([datagram], now)

        link.send = strip
    pair.shake()
    assert pair.is_connected
    assert pair.network.now == 0.0


def test_fingerprints_may_come_after_the_handshake(
    make_pair: MakePair,
    server_certificate: Certificate,
    client_certificate: Certificate,
) -> None:
    """RFC 8122 §6.2; RFC 8827 §6.5: nobody is connected before."""
    pair = make_pair(knows=False)
    pair.run(1.0)
    assert pair.client.state is pair.server.state is State.WAIT_FINGERPRINTS
    assert pair.network.left_events == pair.network.right_events == []
    assert not pair.client.send(b"too early", now=1.0)
    assert pair.client.srtp_keys() is None
    pair.server.set_remote_fingerprints([client_certificate.fingerprint()], now=1.0)
    assert pair.server.send(b"waits", now=1.0)
    pair.run(1.0)
    assert pair.network.left_events == []
    pair.client.set_remote_fingerprints([server_certificate.fingerprint()], now=2.0)
    pair.run(1.0)
    _agree(pair)
    assert pair.network.left_events[1:] == [ApplicationDataReceived(b"waits")]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_wrong_fingerprint_ends_it_on_both_sides(
    make_pair: MakePair, server_certificate: Certificate, side: str, late: bool
) -> None:
    """RFC 8122 §6.2."""
    pair = make_pair(knows=not late)
    machine = getattr(pair, side)
    if late:
        pair.run(1.0)
    other_hash = server_certificate.fingerprint("sha-384")
    wrong = Fingerprint("sha-256", other_hash.value[:32])
    machine.set_remote_fingerprints([wrong], now=pair.network.now)
    pair.run(5.0)
    ours, theirs = pair.network.left_events[-1], pair.network.right_events[-1]
    if side == "server":
        ours, theirs = theirs, ours
    assert ours.cause is TerminationCause.VIOLATION
    assert ours.error.code == "bad_certificate"
    if late:
        other = pair.server if side == "client" else pair.client
        assert other.state in (State.WAIT_FINGERPRINTS, State.TERMINATED)
    assert theirs == Terminated(
        TerminationCause.PEER, "the peer sent alert bad_certificate"
    )


def test_a_client_may_be_asked_for_no_certificate_and_still_give_it(
    make_pair: MakePair,
) -> None:
    pair = make_pair(both={"verification": Verification.OPTIONAL}, knows=False)
    pair.shake()
    assert pair.network.right_events[0].peer_certificate is not None


@pytest.mark.parametrize("verification", [Verification.OPTIONAL, Verification.REQUIRED])
def test_a_client_whose_certificate_no_server_takes_shows_none(
    make_pair: MakePair, rsa_certificate: Certificate, verification: Verification
) -> None:
    """RFC 5246 §7.4.4, §7.4.6."""
    pair = make_pair(
        client={"certificate": rsa_certificate, "verification": Verification.REQUIRED},
        server={
            "verification": verification,
            "signature_schemes": (0x0403,),
        },
        knows=False,
    )
    pair.shake()
    if verification is Verification.OPTIONAL:
        assert pair.network.right_events[0].peer_certificate is None
        _agree(pair)
    else:
        assert pair.network.right_events[0].error.code == "handshake_failure"


def test_close_notify_ends_both_sides(make_pair: MakePair) -> None:
    """RFC 5246 §7.2.1."""
    pair = make_pair()
    pair.shake()
    pair.client.close("enough", now=pair.network.now)
    pair.run(1.0)
    assert pair.network.left_events[-1] == Terminated(TerminationCause.LOCAL, "enough")
    assert pair.network.right_events[-1] == Terminated(
        TerminationCause.PEER, "the peer closed the connection"
    )
    assert pair.client.export_keying_material(b"label", 20) is None


@pytest.mark.parametrize("role", ["client", "server"])
def test_srtp_is_agreed_by_the_servers_preference(
    make_pair: MakePair, role: str
) -> None:
    """RFC 5764 §4.1.1."""
    profiles = SrtpProfile.AES128_CM_HMAC_SHA1_32, SrtpProfile.AEAD_AES_256_GCM
    other = "client" if role == "server" else "server"
    options = {
        role: {"srtp_profiles": profiles},
        other: {"srtp_profiles": profiles[::-1]},
    }
    pair = make_pair(**options)
    pair.shake()
    chosen = options["server"]["srtp_profiles"][0]
    assert pair.network.left_events[0].srtp_profile is chosen
    _agree(pair)
    other_keys = pair.client.srtp_keys(SrtpProfile.AES128_CM_HMAC_SHA1_80)
    assert len(other_keys.local_salt) == 14


@pytest.mark.parametrize("role", ["client", "server"])
def test_no_srtp_in_common_fails_where_it_is_required(
    make_pair: MakePair, role: str
) -> None:
    """RFC 5764 §4.1.1."""
    options: dict[str, dict[str, Any]] = {
        "client": {"srtp_profiles": (SrtpProfile.AEAD_AES_128_GCM,)},
        "server": {"srtp_profiles": ()},
    }
    pair = make_pair(**options)
    pair.shake()
    assert pair.network.left_events[0].srtp_profile is None
    _agree(pair)
    options[role]["require_srtp"] = True
    pair = make_pair(**options)
    pair.shake()
    ended = pair.network.left_events if role == "client" else pair.network.right_events
    assert ended[0].error.code == "handshake_failure"


def test_alpn_is_answered_if_it_is_known(make_pair: MakePair) -> None:
    """RFC 7301 §3.1, §3.2; RFC 8833 §3: c-webrtc is more than we promise."""
    offers = {"offer_alpn": True, "alpn_protocols": ("c-webrtc", "webrtc")}
    pair = make_pair(client=offers)
    pair.shake()
    assert pair.network.left_events[0].alpn_protocol == "webrtc"
    _agree(pair)
    pair = make_pair(client=offers, server={"alpn_protocols": ("h2",)})
    pair.shake()
    assert pair.network.left_events[0].alpn_protocol is None


def test_a_silent_peer_is_given_up(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.network.there.send = lambda datagrams, now: None
    pair.shake()
    assert pair.network.now == 30.0
    assert pair.network.left_events == [
        Terminated(TerminationCause.TIMEOUT, "the handshake took too long")
    ]
    # 0.2, 0.6, 1.4, 3, 5, ... 29: doubling up to 2 s.
    assert pair.client.statistics().retransmissions == 17


@pytest.mark.parametrize("timeout", [1.0, 0.05])
def test_the_timer_doubles_to_its_largest_value(
    make_pair: MakePair, timeout: float
) -> None:
    """RFC 6347 §4.2.4.1."""
    options = {
        "initial_retransmission_timeout": timeout,
        "max_retransmission_timeout": 8 * timeout,
    }
    pair = make_pair(client=options)
    times: list[float] = []
    pair.network.there.send = lambda datagrams, now: times.append(now)
    pair.network.run(until=29 * timeout)
    steps = [0, 1, 3, 7, 15, 23]
    assert times == pytest.approx([step * timeout for step in steps])


def test_a_path_may_change_once_the_handshake_is_done(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.shake()
    pair.client.send(b"from elsewhere", now=1.0)
    (datagram,) = pair.client.datagrams_to_send()
    moved = Datagram(datagram.data, ("198.51.100.7", 9), ("192.0.2.2", 5000))
    forged = Datagram(b"\x16\xfe\xfd" + bytes(20), ("203.0.113.1", 6))
    pair.server.receive_datagrams([moved, forged], 1.0)
    pair.server.send(b"answer", now=1.0)
    (answer,) = pair.server.datagrams_to_send()
    assert (answer.peer, answer.local) == (moved.peer, moved.local)
