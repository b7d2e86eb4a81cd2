"""What a server makes of hellos, and a client of a server's answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from sansmedia.dtls import NamedGroup, Role, SignatureScheme, State, Verification
from sansmedia.dtls.constants import HandshakeType
from sansmedia.dtls.handshake_wire import (
    CertificateRequest,
    ServerKeyExchange,
    decode_certificate_request,
    decode_server_key_exchange,
    encode_certificate,
    encode_certificate_request,
    encode_ecdh_params,
    encode_server_key_exchange,
)
from sansmedia.dtls.hello_wire import (
    HelloVerifyRequest,
    ServerHello,
    decode_client_hello,
    decode_hello_verify_request,
    decode_server_hello,
    decode_use_srtp,
    encode_client_hello,
    encode_hello_verify_request,
    encode_server_hello,
)
from sansmedia.dtls.signatures import sign
from sansmedia.sansio import TerminationCause

MakeRaw = Callable[..., Any]
MakeHello = Callable[..., bytes]

_DATA = Path(__file__).parents[2] / "data" / "dtls"
_T = HandshakeType


def _failure(peer: Any) -> str:
    """Assert that the machine ended by a violation; return the alert it sent."""
    end = peer.events()[-1]
    assert end.cause is TerminationCause.VIOLATION
    assert peer.machine.is_terminated
    assert peer.machine.next_timeout() is None
    (alert,) = peer.alerts()
    return str(alert)


# --- a server ----------------------------------------------------------------------


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 2, 1), (1, 1, 2)])
def test_the_hello_of_chromium_is_answered_once_both_datagrams_are_there(
    make_raw: MakeRaw, order: tuple[int, ...]
) -> None:
    """RFC 6347 §4.2.3: 1.2 is chosen although 1.3 is offered. RFC 8446 §4.2.1."""
    peer = make_raw()
    for number in order[:-1]:
        peer.send((_DATA / f"chromium156-hello-{number}.bin").read_bytes())
        assert peer.machine.datagrams_to_send() == []
        assert peer.machine.state is State.WAIT_CLIENT_HELLO
    peer.send((_DATA / f"chromium156-hello-{order[-1]}.bin").read_bytes())
    messages = peer.messages()
    types = [_T.SERVER_HELLO, _T.CERTIFICATE, _T.SERVER_KEY_EXCHANGE]
    types += [_T.CERTIFICATE_REQUEST, _T.SERVER_HELLO_DONE]
    assert [message.type for message in messages] == types
    assert [message.sequence for message in messages] == list(range(5))
    hello = decode_server_hello(messages[0].body)
    assert hello.version == 0xFEFD
    assert hello.session_id == b""
    # No sentinel: whoever speaks 1.2 alone was not talked down.
    assert not hello.random.endswith((b"DOWNGRD\x01", b"DOWNGRD\x00"))
    extensions = hello.extensions or {}
    assert list(extensions) == [0xFF01, 23, 11, 14]
    assert decode_use_srtp(extensions[14]).profiles == (7,)
    assert decode_server_key_exchange(messages[2].body).group == 29
    # RFC 8422 §5.5
    request = decode_certificate_request(messages[3].body)
    assert request.certificate_types == (64, 1)
    assert request.schemes[0] == 0x0403


@pytest.mark.parametrize(
    ("extensions", "values", "alert"),
    [
        ({}, {"version": 0xFEFF}, "protocol_version"),
        ({}, {"version": 0x0303}, "protocol_version"),
        ({43: b"\x02\xfe\xfc"}, {}, "protocol_version"),
        ({43: b"\x01\xfe"}, {}, "decode_error"),
        ({}, {"compression_methods": b"\x01"}, "illegal_parameter"),
        ({}, {"cipher_suites": (0xC02F, 0x1301)}, "handshake_failure"),
        ({10: b"\x00\x02\x01\x00"}, {}, "handshake_failure"),
        ({10: b"\x00\x02\x00\x1d"}, {}, "handshake_failure"),
        ({10: b"\x00\x03\x00\x1d\x00"}, {}, "decode_error"),
        ({11: b"\x01\x01"}, {}, "illegal_parameter"),
        ({13: None}, {}, "handshake_failure"),
        ({13: b"\x00\x02\x02\x01"}, {}, "handshake_failure"),
        ({14: b"\x00\x02\x00\x01"}, {}, "decode_error"),
        ({23: None}, {}, "handshake_failure"),
        ({0xFF01: b"\x02ab"}, {}, "handshake_failure"),
        ({16: b"\x00\x02\x02a"}, {}, "decode_error"),
    ],
)
def test_a_hello_that_will_not_do_is_refused_with_the_right_alert(
    make_raw: MakeRaw,
    make_hello: MakeHello,
    extensions: dict[int, bytes | None],
    values: dict[str, Any],
    alert: str,
) -> None:
    """RFC 5246 §7.4.1.2, §7.4.1.3; RFC 8422 §5.1.1, §5.1.2; RFC 5746 §3.6.

    Without the extended master secret: RFC 7627 §5, §5.2.
    """
    peer = make_raw()
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello(extensions, **values)))
    assert _failure(peer) == alert


@pytest.mark.parametrize(
    ("extensions", "values"),
    [
        ({10: None, 11: None, 14: None}, {}),
        ({0xFF01: None}, {"cipher_suites": (0xC02B, 0x00FF)}),
        ({43: b"\x04\xfe\xfc\xfe\xfd"}, {"version": 0xFEFD}),
        ({}, {"version": 0xFEFC}),
        # GREASE and what this library does not know. RFC 8701 is tolerated.
        (
            {
                0x0A0A: b"",
                0xFAFA: b"\x00",
                0: b"\x00\x06\x00\x00\x03abc",
                28: b"\x40\x01",
            },
            {"cipher_suites": (0x0A0A, 0xC02B), "session_id": bytes(32)},
        ),
        ({10: b"\x00\x04\x0a\x0a\x00\x17"}, {}),
        ({14: b"\x00\x04\x0a\x0a\x00\x01\x02xy"}, {}),
        ({16: b"\x00\x09\x08c-webrtc"}, {}),
    ],
)
def test_what_is_unknown_or_missing_without_harm_is_tolerated(
    make_raw: MakeRaw,
    make_hello: MakeHello,
    extensions: dict[int, bytes | None],
    values: dict[str, Any],
) -> None:
    """The suite in place of renegotiation_info, too: RFC 5746 §3.3."""
    peer = make_raw()
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello(extensions, **values)))
    messages = peer.messages()
    assert messages[0].type == _T.SERVER_HELLO
    answers = decode_server_hello(messages[0].body).extensions or {}
    assert answers[0xFF01] == b"\x00"
    if 14 in answers:
        assert decode_use_srtp(answers[14]).mki == b""
    offered = decode_client_hello(make_hello(extensions, **values)).extensions or {}
    assert answers.keys() - {0xFF01} <= offered.keys()


def test_no_group_in_common_is_refused(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    """RFC 8422 §5.1.1: P-256 is our certificate's, and no group of ours."""
    peer = make_raw(groups=(NamedGroup.X25519,))
    hello = make_hello({10: b"\x00\x04\x00\x17\x00\x18"})
    peer.send(peer.message(_T.CLIENT_HELLO, hello))
    assert _failure(peer) == "handshake_failure"


def test_a_client_that_names_no_group_gets_p256(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    peer = make_raw()
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello({10: None})))
    exchange = decode_server_key_exchange(peer.messages()[2].body)
    assert exchange.group == 23


def test_the_extended_master_secret_may_be_missing_where_that_is_allowed(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    """RFC 7627 §5."""
    peer = make_raw(require_extended_master_secret=False)
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello({23: None})))
    answers = decode_server_hello(peer.messages()[0].body).extensions or {}
    assert 23 not in answers
    peer = make_raw(Role.CLIENT, require_extended_master_secret=False)
    peer.messages()
    answer = encode_server_hello(attrs.evolve(_ANSWER, extensions=None))
    peer.send(peer.message(_T.SERVER_HELLO, answer))
    assert peer.machine.state is State.WAIT_CERTIFICATE


def test_a_cookie_is_asked_for_and_checked(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    """RFC 6347 §4.2.1."""
    peer = make_raw(cookie_exchange=True)
    hello = make_hello()
    peer.sequence = 7
    peer.send(peer.message(_T.CLIENT_HELLO, hello))
    (record,) = peer.records()
    assert (record.version, record.sequence) == (0xFEFF, 7)
    assert record.fragment[0] == _T.HELLO_VERIFY_REQUEST
    request = decode_hello_verify_request(record.fragment[12:])
    assert request.version == 0xFEFF
    assert peer.machine.state is State.WAIT_CLIENT_HELLO

    def second(cookie: bytes) -> bytes:
        changed = attrs.evolve(decode_client_hello(hello), cookie=cookie)
        return encode_client_hello(changed)

    peer.send(peer.message(_T.CLIENT_HELLO, second(bytes(32)), sequence=1))
    (again,) = peer.messages()
    assert (again.type, again.sequence) == (_T.HELLO_VERIFY_REQUEST, 1)
    assert decode_hello_verify_request(again.body) == request
    peer.send(peer.message(_T.CLIENT_HELLO, second(request.cookie), sequence=2))
    answer = peer.messages()
    assert [message.sequence for message in answer] == [2, 3, 4, 5, 6]
    assert answer[0].type == _T.SERVER_HELLO


def test_a_cookie_of_another_address_or_hello_is_none(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    peer = make_raw(cookie_exchange=True)
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello()))
    cookie = decode_hello_verify_request(peer.messages()[0].body).cookie
    peer.send(
        peer.message(
            _T.CLIENT_HELLO, make_hello(cookie=cookie, random=bytes(32)), sequence=1
        )
    )
    assert peer.messages()[0].type == _T.HELLO_VERIFY_REQUEST
    peer.address = ("192.0.2.10", 4000)
    peer.send(peer.message(_T.CLIENT_HELLO, make_hello(cookie=cookie), sequence=2))
    assert peer.messages()[0].type == _T.HELLO_VERIFY_REQUEST


def test_a_client_that_repeats_its_first_hello_gets_the_same_request_again(
    make_raw: MakeRaw, make_hello: MakeHello
) -> None:
    peer = make_raw(cookie_exchange=True)
    hello = peer.message(_T.CLIENT_HELLO, make_hello())
    peer.send(hello)
    first = peer.messages()
    peer.now = 1.5
    peer.send(hello)
    assert peer.messages() == first


# --- a client ----------------------------------------------------------------------


def test_a_client_offers_what_its_configuration_says(make_raw: MakeRaw) -> None:
    """RFC 6347 §4.2.1; RFC 5746 §3.4."""
    peer = make_raw(Role.CLIENT)
    (record,) = peer.records()
    assert (record.version, record.epoch, record.sequence) == (0xFEFF, 0, 0)
    hello = decode_client_hello(record.fragment[12:])
    assert hello.version == 0xFEFD
    assert hello.session_id == hello.cookie == b""
    assert hello.compression_methods == b"\x00"
    assert hello.cipher_suites == (0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC02C, 0xC030)
    extensions = hello.extensions or {}
    assert list(extensions) == [0xFF01, 23, 10, 11, 13, 14]
    assert decode_use_srtp(extensions[14]).profiles == (7, 8, 1, 2)


def _hello_of(peer: Any) -> Any:
    return decode_client_hello(peer.messages()[0].body)


_ANSWER = ServerHello(
    version=0xFEFD,
    random=bytes(32),
    cipher_suite=0xC02B,
    extensions={0xFF01: b"\x00", 23: b""},
)


@pytest.mark.parametrize(
    ("changes", "alert"),
    [
        ({"version": 0xFEFF}, "protocol_version"),
        ({"cipher_suite": 0x002F}, "illegal_parameter"),
        ({"compression_method": 1}, "illegal_parameter"),
        ({"extensions": None}, "handshake_failure"),
        ({"extensions": {23: b"", 16: b"\x00\x03\x02h2"}}, "unsupported_extension"),
        ({"extensions": {23: b"", 0xFF01: b"\x02ab"}}, "handshake_failure"),
        ({"extensions": {23: b"", 11: b"\x01\x01"}}, "illegal_parameter"),
        ({"extensions": {23: b"", 14: b"\x00\x02\x00\x05\x00"}}, "illegal_parameter"),
        ({"extensions": {23: b"", 14: b"\x00\x02\x00\x07\x01x"}}, "illegal_parameter"),
        (
            {"extensions": {23: b"", 14: b"\x00\x04\x00\x07\x00\x08\x00"}},
            "illegal_parameter",
        ),
    ],
)
def test_an_answer_that_was_not_offered_is_refused(
    make_raw: MakeRaw, changes: dict[str, Any], alert: str
) -> None:
    """RFC 5246 §7.4.1.3, §7.4.1.4; RFC 5746 §3.4; RFC 5764 §4.1.1; RFC 8422 §5.2.

    Without the extended master secret: RFC 7627 §5.2.
    """
    peer = make_raw(Role.CLIENT)
    peer.messages()
    answer = encode_server_hello(attrs.evolve(_ANSWER, **changes))
    peer.send(peer.message(_T.SERVER_HELLO, answer))
    assert _failure(peer) == alert


def test_another_protocol_than_was_offered_is_refused(make_raw: MakeRaw) -> None:
    """RFC 7301 §3.1."""
    peer = make_raw(Role.CLIENT, offer_alpn=True)
    assert _hello_of(peer).extensions[16] == b"\x00\x07\x06webrtc"
    answer = attrs.evolve(_ANSWER, extensions={23: b"", 16: b"\x00\x03\x02h2"})
    peer.send(peer.message(_T.SERVER_HELLO, encode_server_hello(answer)))
    assert _failure(peer) == "illegal_parameter"


def test_a_client_sends_its_hello_again_with_the_cookie(make_raw: MakeRaw) -> None:
    """RFC 6347 §4.2.1: all else is the same."""
    peer = make_raw(Role.CLIENT)
    first = _hello_of(peer)
    request = encode_hello_verify_request(HelloVerifyRequest(0xFEFF, b"cookie"))
    peer.send(peer.message(_T.HELLO_VERIFY_REQUEST, request))
    (second,) = peer.messages()
    assert second.sequence == 1
    expected = attrs.evolve(first, cookie=b"cookie")
    assert decode_client_hello(second.body) == expected
    assert peer.machine.state is State.WAIT_SERVER_HELLO


def _flight(
    peer: Any,
    certificate: Any,
    *,
    suite: int = 0xC02B,
    key: bytes = bytes(range(1, 33)),
    group: int = 29,
    scheme: int = 0x0403,
    signed: bytes | None = None,
    chain: tuple[bytes, ...] | None = None,
    done: bytes = b"",
) -> list[bytes]:
    """Make a server's flight, true unless an argument makes it false."""
    random = _hello_of(peer).random
    params = encode_ecdh_params(group, key)
    data = random + _ANSWER.random + params if signed is None else signed
    signature = sign(
        certificate.private_key,
        SignatureScheme.ECDSA_SECP256R1_SHA256
        if certificate.is_ecdsa
        else SignatureScheme.RSA_PKCS1_SHA256,
        data,
    )
    exchange = ServerKeyExchange(group, key, scheme, signature)
    hello = attrs.evolve(_ANSWER, cipher_suite=suite)
    sent = certificate.chain if chain is None else chain
    request = CertificateRequest((64,), (0x0403,))
    return [
        peer.message(kind, body, sequence=number)
        for number, (kind, body) in enumerate(
            [
                (_T.SERVER_HELLO, encode_server_hello(hello)),
                (_T.CERTIFICATE, encode_certificate(sent)),
                (_T.SERVER_KEY_EXCHANGE, encode_server_key_exchange(exchange)),
                (_T.CERTIFICATE_REQUEST, encode_certificate_request(request)),
                (_T.SERVER_HELLO_DONE, done),
            ]
        )
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_a_flight_is_answered_however_it_is_packed(
    make_raw: MakeRaw, server_certificate: Any, packed: bool
) -> None:
    """RFC 6347 §4.1.1, §4.2.3: records in datagrams, messages in records."""
    peer = make_raw(Role.CLIENT)
    flight = _flight(peer, server_certificate)
    if packed:
        peer.send(b"".join(flight))
    else:
        one_record = peer.record(b"".join(record[13:] for record in flight))
        peer.send(one_record)
    messages = peer.messages()
    assert [message.type for message in messages] == [11, 16, 15]
    assert peer.machine.state is State.WAIT_FINISHED


@pytest.mark.parametrize("missing", [(3,), ()])
def test_a_server_need_not_ask_for_a_certificate(
    make_raw: MakeRaw, server_certificate: Any, missing: tuple[int, ...]
) -> None:
    """FFmpeg 9 does not."""
    peer = make_raw(Role.CLIENT)
    flight = _flight(peer, server_certificate)
    if missing:
        done = peer.message(_T.SERVER_HELLO_DONE, b"", sequence=3)
        flight = [*flight[:3], done]
    peer.send(*flight)
    types = [message.type for message in peer.messages()]
    assert types == ([16] if missing else [11, 16, 15])


@pytest.mark.parametrize(
    ("changes", "alert"),
    [
        ({"signed": b"something else"}, "decrypt_error"),
        ({"scheme": 0x0203}, "illegal_parameter"),
        ({"scheme": 0x0401}, "illegal_parameter"),
        ({"group": 25}, "illegal_parameter"),
        ({"key": bytes(32)}, "illegal_parameter"),
        ({"key": b"short"}, "illegal_parameter"),
        ({"suite": 0xC02F}, "unsupported_certificate"),
        ({"chain": ()}, "handshake_failure"),
        ({"chain": (b"x",)}, "bad_certificate"),
        ({"chain": (b"x",) * 11}, "illegal_parameter"),
        ({"done": b"x"}, "decode_error"),
    ],
)
def test_a_flight_that_is_false_is_refused_with_the_right_alert(
    make_raw: MakeRaw, server_certificate: Any, changes: dict[str, Any], alert: str
) -> None:
    """RFC 8422 §5.3, §5.4; RFC 5246 §7.4.2, §7.4.5."""
    peer = make_raw(Role.CLIENT)
    peer.send(*_flight(peer, server_certificate, **changes))
    assert _failure(peer) == alert


def test_a_server_without_a_certificate_is_refused_by_everybody(
    make_raw: MakeRaw, server_certificate: Any
) -> None:
    """RFC 5246 §7.4.2: these suites have none without."""
    peer = make_raw(Role.CLIENT, verification=Verification.OPTIONAL, knows=False)
    peer.send(*_flight(peer, server_certificate, chain=()))
    assert _failure(peer) == "decode_error"


def test_a_client_shows_no_certificate_of_a_kind_that_is_not_asked_for(
    make_raw: MakeRaw, server_certificate: Any, rsa_certificate: Any
) -> None:
    """RFC 5246 §7.4.4, §7.4.6."""
    peer = make_raw(Role.CLIENT, certificate=rsa_certificate)
    peer.send(*_flight(peer, server_certificate))
    messages = peer.messages()
    assert [message.type for message in messages] == [11, 16]
    assert messages[0].body == bytes(3)


def test_the_certificate_of_somebody_else_is_refused(
    make_raw: MakeRaw, client_certificate: Any
) -> None:
    """RFC 8122 §6.2: its signature is true, its fingerprint is not."""
    peer = make_raw(Role.CLIENT)
    peer.send(*_flight(peer, client_certificate))
    assert _failure(peer) == "bad_certificate"
