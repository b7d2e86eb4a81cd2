"""Octets that mean harm: forged, malformed, too many, too early, too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.dtls import (
    ApplicationDataReceived,
    DtlsConfig,
    DtlsConnection,
    Limits,
    Role,
    SignatureScheme,
    State,
    Verification,
)
from sansmedia.dtls.constants import ContentType, HandshakeType
from sansmedia.dtls.fragments import encode_message
from sansmedia.sansio import Datagram, Terminated, TerminationCause, UsageError
from sansmedia.sansio.testing import Conditions, DatagramPair, SeededDice

MakePair = Callable[..., Any]
MakeRaw = Callable[..., Any]
MakeHello = Callable[..., bytes]

_T = HandshakeType
_FATAL, _WARNING = 2, 1
_HANDSHAKE_FAILURE, _CLOSE_NOTIFY, _NO_RENEGOTIATION = 40, 0, 100


def _ended_by_limit(peer: Any) -> None:
    (end,) = peer.events()
    assert end.cause is TerminationCause.VIOLATION
    assert end.error.code == "limit"
    assert peer.alerts() == ["illegal_parameter"]
    assert peer.machine.pending_bytes == 0


def test_a_hello_in_sixty_fragments_is_refused(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    peer = make_raw()
    hello = make_hello({21: bytes(600)})
    step = -(-len(hello) // 60)
    for at in range(0, len(hello), step):
        piece = hello[at : at + step]
        peer.send(peer.fragment(_T.CLIENT_HELLO, piece, length=len(hello), offset=at))
    _ended_by_limit(peer)


def test_a_hello_of_nine_thousand_octets_is_refused_at_its_first_fragment(
    make_raw: MakeRaw,
) -> None:
    peer = make_raw()
    peer.send(peer.fragment(_T.CLIENT_HELLO, b"x", length=9000))
    _ended_by_limit(peer)


def test_a_certificate_of_16_kb_is_refused_at_its_first_fragment(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    peer = make_raw()
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello()))
    peer.messages()
    peer.send(peer.fragment(_T.CERTIFICATE, b"x", length=16_385, sequence=1))
    _ended_by_limit(peer)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x00",
        b"GET / HTTP/1.1\r\n",
        bytes.fromhex("000100002112a442") + bytes(12),
        bytes.fromhex("80e0") + bytes(30),
        bytes.fromhex("160301") + bytes(60),
        bytes.fromhex("2f") + bytes(60),
        bytes.fromhex("16fefd0000000000000000ffff"),
        bytes.fromhex("16fefd00000000000000000005") + bytes(4),
    ],
)
def test_what_is_no_dtls_is_dropped_in_every_state(
    make_pair: MakePair, octets: bytes
) -> None:
    """RFC 6347 §4.1.2.7."""
    pair = make_pair(Conditions(delay=0.01))
    for until in (0.0, 0.015, 0.025, 0.035, 1.0):
        pair.network.run(until)
        for machine in (pair.client, pair.server):
            before = machine.state
            forged = Datagram(octets, ("203.0.113.1", 6))
            machine.receive_datagrams([forged], until)
            assert machine.state is before
    assert pair.is_connected
    assert pair.network.misaddressed == 0


def _inject(pair: Any, octets: bytes, times: list[float]) -> None:
    """Give both sides a forged datagram at each time, while they shake hands."""
    for at in times:
        pair.network.run(at)
        for machine in (pair.client, pair.server):
            address = (
                DatagramPair.right_address
                if machine is pair.client
                else DatagramPair.left_address
            )
            machine.receive_datagrams([Datagram(octets, address)], at)


def test_forged_alerts_do_not_stop_a_handshake(make_pair: MakePair) -> None:
    """RFC 6347 §4.1.2.7: anybody can send them while there are no keys."""
    for description in (_HANDSHAKE_FAILURE, _CLOSE_NOTIFY):
        pair = make_pair(Conditions(delay=0.1))
        alert = bytes.fromhex("15fefd0000000000000007000202") + bytes((description,))
        _inject(pair, alert, [0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 2.0])
        pair.shake()
        pair.run(10.0)
        assert pair.is_connected
        assert pair.client.statistics().alerts_ignored > 2


def test_an_alert_that_is_meant_ends_the_handshake_after_a_while(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    peer = make_raw()
    peer.send(peer.alert(_FATAL, _HANDSHAKE_FAILURE))
    assert peer.machine.next_timeout() is None  # nobody is there yet
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello()))
    peer.send(peer.alert(_WARNING, _NO_RENEGOTIATION))
    peer.send(peer.alert(_FATAL, _HANDSHAKE_FAILURE))
    ended = []
    while (at := peer.machine.next_timeout()) is not None:
        peer.machine.handle_timeout(at)
        ended.append(at)
    assert ended[-1] == 4.0
    assert peer.events() == [
        Terminated(TerminationCause.PEER, "the peer sent alert handshake_failure")
    ]


def test_forged_finished_and_data_do_not_stop_a_handshake(make_pair: MakePair) -> None:
    pair = make_pair(Conditions(delay=0.1))
    finished = encode_message(_T.FINISHED, 5, bytes(12))
    forged = b"".join(
        bytes((kind,))
        + bytes.fromhex("fefd000000000000000700")
        + bytes((len(content),))
        + content
        for kind, content in ((22, finished), (23, b"data"), (20, b"\x01"), (21, b""))
    )
    protected = bytes.fromhex("16fefd00010000000000000040") + bytes(64)
    _inject(pair, forged + protected, [0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 2.0])
    pair.shake()
    assert pair.is_connected
    assert pair.server.statistics().records_unauthentic > 0


def test_messages_out_of_turn_end_the_handshake(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    """RFC 5246 §7.4."""
    for kind in (_T.CERTIFICATE, _T.SERVER_HELLO, _T.CLIENT_KEY_EXCHANGE, 99):
        peer = make_raw()
        peer.send(peer.message(kind, b"x"))
        (end,) = peer.events()
        assert end.error.code == "unexpected_message"
        assert peer.alerts() == ["unexpected_message"]
    peer = make_raw()
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello()))
    peer.messages()
    peer.send(peer.message(_T.CLIENT_KEY_EXCHANGE, b"\x01x", sequence=1))
    assert peer.alerts() == ["unexpected_message"]


def test_a_finished_without_a_proof_of_the_key_ends_the_handshake(
    make_raw: MakeRaw, make_hello: MakeHello, client_certificate: Any
) -> None:
    """A client may not pass over CertificateVerify. RFC 5246 §7.4.8."""
    peer = make_raw()
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello()))
    peer.messages()
    (der,) = client_certificate.chain
    size = len(der).to_bytes(3, "big")
    chain = (len(der) + 3).to_bytes(3, "big") + size + der
    peer.send(
        peer.message(_T.CERTIFICATE, chain, sequence=1),
        peer.message(_T.CLIENT_KEY_EXCHANGE, b"\x20" + b"\x09" * 32, sequence=2),
        peer.message(_T.CERTIFICATE_VERIFY, bytes.fromhex("04030001ff"), sequence=3),
    )
    (end,) = peer.events()
    assert end.error.code == "decrypt_error"
    assert peer.machine.state is State.TERMINATED


def _changing(pair: Any, old: str, new: str) -> None:
    """Let somebody change what the client sends."""
    there = pair.network.there
    send = there.send

    def change(datagrams: list[Datagram], now: float) -> None:
        for datagram in datagrams:
            data = datagram.data.replace(bytes.fromhex(old), bytes.fromhex(new))
            send([Datagram(data, datagram.peer, datagram.local)], now)

    there.send = change


def test_a_changed_hello_is_noticed_by_the_proof_of_the_key(
    make_pair: MakePair,
) -> None:
    """RFC 5246 §7.4.8: somebody takes the better half of what is offered away."""
    pair = make_pair()
    _changing(pair, "00080007000800010002", "00080001000800070002")
    pair.shake()
    assert pair.network.right_events[0].error.code == "decrypt_error"
    assert pair.client.is_terminated or not pair.is_connected


def test_a_changed_hello_is_noticed_by_finished(
    make_pair: MakePair, rsa_certificate: Any
) -> None:
    """RFC 5246 §7.4.9: without a client's signature and extended master secret."""
    pair = make_pair(
        both={"require_extended_master_secret": False},
        client={"certificate": rsa_certificate, "verification": Verification.REQUIRED},
        server={
            "verification": Verification.OPTIONAL,
            "signature_schemes": (SignatureScheme.ECDSA_SECP256R1_SHA256,),
        },
        knows=False,
    )
    _changing(pair, "ff0100010000170000", "ff0100010000fa0000")
    pair.shake()
    error = pair.network.right_events[0].error
    assert error.source == "RFC 5246 §7.4.9"
    assert error.code == "decrypt_error"


def test_a_peer_that_repeats_its_flight_for_ever_gets_a_bounded_answer(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    peer = make_raw()
    hello = peer.message(_T.CLIENT_HELLO, make_hello())
    sent = 0
    for step in range(30_000):
        peer.now = 1.0 + step / 1000
        peer.send(hello)
        deadline = peer.machine.next_timeout()
        if deadline is not None and deadline <= peer.now:
            peer.machine.handle_timeout(peer.now)
        sent += len(peer.machine.datagrams_to_send())
        assert peer.machine.pending_bytes < 5000
    assert peer.machine.state is State.WAIT_CERTIFICATE
    assert sent <= 30 / 0.1 + 17
    peer.machine.handle_timeout(31.0)
    (end,) = peer.events()
    assert end.cause is TerminationCause.TIMEOUT


def test_a_client_that_repeats_its_last_flight_for_ever_is_answered_for_ever(
    make_pair: MakePair,
) -> None:
    """RFC 6347 §4.2.4."""
    pair = make_pair()
    back = pair.network.back
    send, lost = back.send, 0

    def lose(datagrams: list[Datagram], now: float) -> None:
        nonlocal lost
        for datagram in datagrams:
            if datagram.data[0] == 20 and now < 25:
                lost += 1
            else:
                send([datagram], now)

    back.send = lose
    pair.network.run(24.5)
    assert pair.server.state is State.CONNECTED
    assert pair.client.state is State.WAIT_FINISHED
    assert lost > 10
    pair.shake()
    assert pair.is_connected


def test_nobody_drains_the_output(make_raw: MakeRaw, make_hello: MakeHello) -> None:
    limits = Limits(output_bytes=3000)
    peer = make_raw(limits=limits)
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello()))
    for _ in range(14):
        peer.machine.handle_timeout(peer.machine.next_timeout())
    waiting = sum(len(one.data) for one in peer.machine.datagrams_to_send())
    assert 3000 <= waiting < 4000
    peer.machine.handle_timeout(peer.machine.next_timeout())
    assert peer.machine.datagrams_to_send() != []


def test_renegotiation_is_refused_once_a_second(make_pair: MakePair) -> None:
    """RFC 5246 §7.2.2; RFC 5746 §3.4, §3.6: by a warning, and nothing else happens."""
    pair = make_pair()
    pair.shake()
    seen: list[Datagram] = []
    for side, other, kind in (
        (pair.client, pair.server, _T.CLIENT_HELLO),
        (pair.server, pair.client, _T.HELLO_REQUEST),
    ):
        message = encode_message(kind, 0, b"")
        for _ in range(3):
            records = side._records  # noqa: SLF001 - an honest peer never sends this
            octets = records.seal(ContentType.HANDSHAKE, message, 1)
            other.receive_datagrams([Datagram(octets, ("192.0.2.9", 4000))], 5.0)
        seen = other.datagrams_to_send()
        assert len(seen) == 1
        assert seen[0].data[0] == ContentType.ALERT
        side.receive_datagrams(seen, 5.0)
        assert side.statistics().alerts_ignored == 1
    assert pair.is_connected


def test_messages_that_nothing_asks_for_are_dropped_after_the_handshake(
    make_pair: MakePair,
) -> None:
    pair = make_pair()
    pair.shake()
    records = pair.client._records  # noqa: SLF001 - an honest peer never sends this
    message = encode_message(_T.CERTIFICATE, 9, b"")
    for octets in (
        records.seal(ContentType.HANDSHAKE, message, 1),
        records.seal(ContentType.HANDSHAKE, message, 0),
    ):
        pair.server.receive_datagrams([Datagram(octets, ("192.0.2.9", 4000))], 1.0)
    assert pair.server.statistics().records_dropped == 2
    assert pair.is_connected


def test_few_data_wait_for_the_fingerprints(
    make_pair: MakePair, client_certificate: Any, server_certificate: Any
) -> None:
    pair = make_pair(knows=False)
    pair.client.set_remote_fingerprints([server_certificate.fingerprint()], now=0.0)
    pair.shake(until=1.0)
    assert pair.server.state is State.WAIT_FINGERPRINTS
    for number in range(20):
        pair.client.send(bytes((number,)) * 1000, now=1.0)
        pair.run(0.01)
        assert pair.server.pending_bytes < 9000
    pair.server.set_remote_fingerprints([client_certificate.fingerprint()], now=2.0)
    pair.run(1.0)
    heard = pair.network.right_events[1:]
    assert [event.data[0] for event in heard] == list(range(7))
    assert pair.server.statistics().records_dropped == 13


def test_what_was_recorded_is_not_taken_again(make_pair: MakePair) -> None:
    """RFC 6347 §4.1.2.6."""
    pair = make_pair()
    pair.shake()
    pair.client.send(b"pay 100", now=1.0)
    recorded = pair.client.datagrams_to_send()
    for _ in range(3):
        pair.server.receive_datagrams(recorded, 1.0)
    assert pair.server.next_event() == ApplicationDataReceived(b"pay 100")
    assert pair.server.next_event() is None
    assert pair.server.statistics().records_replayed == 2


def test_changed_data_are_dropped_and_do_not_end_it(make_pair: MakePair) -> None:
    """RFC 6347 §4.1.2.7."""
    pair = make_pair()
    pair.shake()
    pair.client.send(b"data", now=1.0)
    (datagram,) = pair.client.datagrams_to_send()
    for at in range(len(datagram.data)):
        changed = bytearray(datagram.data)
        changed[at] ^= 1
        pair.server.receive_datagrams([Datagram(bytes(changed), datagram.peer)], 1.0)
    assert pair.server.next_event() is None
    assert pair.is_connected
    pair.server.receive_datagrams([datagram], 1.0)
    assert pair.server.next_event() == ApplicationDataReceived(b"data")


def test_an_alert_under_keys_ends_it_at_once(make_pair: MakePair) -> None:
    """RFC 5246 §7.2, §7.2.1."""
    pair = make_pair()
    pair.shake()
    records = pair.client._records  # noqa: SLF001 - an honest peer never sends this
    for content in (b"", b"\x02", b"\x01\x5a\x00"):
        octets = records.seal(ContentType.ALERT, content, 1)
        pair.server.receive_datagrams([Datagram(octets, ("192.0.2.9", 4000))], 1.0)
    assert pair.server.statistics().records_malformed == 3
    octets = records.seal(ContentType.ALERT, b"\x02\xc8", 1)
    pair.server.receive_datagrams([Datagram(octets, ("192.0.2.9", 4000))], 1.0)
    assert pair.server.next_event() == Terminated(
        TerminationCause.PEER, "the peer sent alert alert 200"
    )


def test_a_client_that_has_not_started_takes_nothing(client_certificate: Any) -> None:
    client = DtlsConnection(
        Role.CLIENT,
        DtlsConfig(certificate=client_certificate),
        dice=SeededDice(1),
        now=0.0,
    )
    hello = bytes.fromhex("16fefd0000000000000000000d 0200000100000000000000 0101")
    client.receive_datagrams([Datagram(hello, ("192.0.2.9", 4000))], 1.0)
    assert client.state is State.IDLE
    assert client.next_timeout() is None
    client.close(now=1.0)
    assert client.datagrams_to_send() == []
    client.start(now=1.0)
    assert client.datagrams_to_send() == []


def test_arguments_that_can_never_be_right_are_refused(
    make_pair: MakePair, client_certificate: Any
) -> None:
    pair = make_pair()
    with pytest.raises(UsageError):
        pair.client.set_remote_fingerprints([], now=0.0)
    with pytest.raises(UsageError):
        pair.client.send(bytes(16_385), now=0.0)
    for values in (
        {"mtu": 127},
        {"initial_retransmission_timeout": 0},
        {"initial_retransmission_timeout": 61.0, "max_retransmission_timeout": 61.0},
        {"initial_retransmission_timeout": 3.0},
        {"groups": ()},
    ):
        with pytest.raises(UsageError):
            DtlsConfig(certificate=client_certificate, **values)


def test_late_commands_do_nothing(make_pair: MakePair, client_certificate: Any) -> None:
    pair = make_pair()
    pair.shake()
    pair.server.close(now=1.0)
    pair.server.datagrams_to_send()
    pair.server.set_remote_fingerprints(
        [client_certificate.fingerprint("sha-1")], now=1
    )
    assert not pair.server.send(b"late", now=1.0)
    pair.server.start(now=1.0)
    pair.server.close("again", now=1.0)
    assert pair.server.datagrams_to_send() == []
    assert pair.server.srtp_keys() is None
