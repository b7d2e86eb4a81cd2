"""Handshake messages: round trips, malformed bodies, and what real peers sent."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.dtls import (
    CipherSuite,
    Limits,
    NamedGroup,
    SignatureScheme,
    SrtpProfile,
)
from sansmedia.dtls.fragments import Message, Reassembler, decode_fragment
from sansmedia.dtls.handshake_wire import (
    CertificateRequest,
    CertificateVerify,
    ServerKeyExchange,
    decode_alert,
    decode_certificate,
    decode_certificate_request,
    decode_certificate_verify,
    decode_client_key_exchange,
    decode_server_key_exchange,
    encode_certificate,
    encode_certificate_request,
    encode_certificate_verify,
    encode_client_key_exchange,
    encode_ecdh_params,
    encode_server_key_exchange,
)
from sansmedia.dtls.hello_wire import (
    ClientHello,
    HelloVerifyRequest,
    ServerHello,
    UseSrtp,
    decode_client_hello,
    decode_hello_verify_request,
    decode_point_formats,
    decode_protocol_names,
    decode_renegotiation_info,
    decode_server_hello,
    decode_supported_versions,
    decode_u16_list,
    decode_use_srtp,
    encode_client_hello,
    encode_hello_verify_request,
    encode_point_formats,
    encode_protocol_names,
    encode_server_hello,
    encode_u16_list,
    encode_use_srtp,
)
from sansmedia.dtls.record_wire import decode_record
from sansmedia.dtls.signatures import decode_public_key, verify
from sansmedia.sansio import ProtocolError, Reader

_DATA = Path(__file__).parents[2] / "data" / "dtls"

_u16 = st.integers(0, 0xFFFF)
_u16s = st.lists(_u16, min_size=1, max_size=5).map(tuple)
_short = st.binary(max_size=40)
_extensions = st.none() | st.dictionaries(_u16, _short, max_size=4)
_random = st.binary(min_size=32, max_size=32)
_session_id = st.binary(max_size=32)

_ROUND_TRIPS: list[
    tuple[st.SearchStrategy[Any], Callable[..., Any], Callable[..., Any]]
]
_ROUND_TRIPS = [
    (
        st.builds(
            ClientHello,
            version=_u16,
            random=_random,
            session_id=_session_id,
            cookie=_short,
            cipher_suites=_u16s,
            compression_methods=st.binary(min_size=1, max_size=3),
            extensions=_extensions,
        ),
        encode_client_hello,
        decode_client_hello,
    ),
    (
        st.builds(
            ServerHello,
            version=_u16,
            random=_random,
            session_id=_session_id,
            cipher_suite=_u16,
            compression_method=st.integers(0, 255),
            extensions=_extensions,
        ),
        encode_server_hello,
        decode_server_hello,
    ),
    (
        st.builds(HelloVerifyRequest, _u16, _short),
        encode_hello_verify_request,
        decode_hello_verify_request,
    ),
    (
        st.builds(ServerKeyExchange, _u16, _short, _u16, _short),
        encode_server_key_exchange,
        decode_server_key_exchange,
    ),
    (
        st.builds(
            CertificateRequest,
            st.lists(st.integers(0, 255), max_size=4).map(tuple),
            st.lists(_u16, max_size=5).map(tuple),
            st.lists(_short, max_size=3).map(tuple),
        ),
        encode_certificate_request,
        decode_certificate_request,
    ),
    (
        st.builds(CertificateVerify, _u16, _short),
        encode_certificate_verify,
        decode_certificate_verify,
    ),
    (_short, encode_client_key_exchange, decode_client_key_exchange),
    (
        st.lists(st.binary(min_size=1, max_size=40), max_size=10).map(tuple),
        encode_certificate,
        decode_certificate,
    ),
    (_u16s, encode_u16_list, decode_u16_list),
    (st.binary(min_size=1, max_size=9), encode_point_formats, decode_point_formats),
    (st.builds(UseSrtp, _u16s, _short), encode_use_srtp, decode_use_srtp),
    (
        st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4).map(tuple),
        encode_protocol_names,
        decode_protocol_names,
    ),
]
_DECODERS = [
    *(decode for _, _, decode in _ROUND_TRIPS),
    decode_supported_versions,
    decode_renegotiation_info,
    decode_alert,
]
_named = pytest.mark.parametrize("decode", _DECODERS, ids=lambda f: f.__name__)


@pytest.mark.parametrize(
    ("values", "encode", "decode"),
    _ROUND_TRIPS,
    ids=[decode.__name__ for _, _, decode in _ROUND_TRIPS],
)
@given(data=st.data())
def test_a_message_comes_back_as_it_was(
    values: st.SearchStrategy[Any],
    encode: Callable[[Any], bytes],
    decode: Callable[[bytes], Any],
    data: st.DataObject,
) -> None:
    """RFC 6347 §4.2.1, §4.3.2; RFC 5246 §7.4.1.2, §7.4.1.3; RFC 8422 §5.7."""
    value = data.draw(values)
    octets = encode(value)
    assert decode(octets) == value
    with pytest.raises(ProtocolError):
        decode(octets + b"\x00\x00\x00\x00\x00\x00\x00\x01")
    if len(octets) > 1:
        # A block of extensions may be missing, so a cut there is no fault.
        try:
            shorter = decode(octets[:-1])
        except ProtocolError:
            return
        assert shorter != value


@_named
@given(body=st.binary(max_size=120))
def test_any_octets_are_decoded_or_refused(
    decode: Callable[[bytes], Any], body: bytes
) -> None:
    codes = {"truncated", "malformed", "limit", "illegal_parameter"}
    try:
        decode(body)
    except ProtocolError as error:
        codes.remove(error.code)


def test_an_extension_that_stands_twice_is_refused() -> None:
    """RFC 5246 §7.4.1.4."""
    hello = encode_client_hello(
        ClientHello(version=0xFEFD, random=bytes(32), cipher_suites=(1,))
    )
    with pytest.raises(ProtocolError) as caught:
        decode_client_hello(hello + bytes.fromhex("000800170000 00170000"))
    assert caught.value.code == "illegal_parameter"


def test_a_session_id_has_32_octets_at_most() -> None:
    """RFC 5246 §7.4.1.2."""
    with pytest.raises(ProtocolError):
        decode_server_hello(bytes.fromhex("fefd") + bytes(32) + b"\x21" + bytes(33 + 3))


def test_a_curve_without_a_name_is_refused() -> None:
    """RFC 8422 §5.4."""
    with pytest.raises(ProtocolError) as caught:
        decode_server_key_exchange(b"\x01" + bytes(20))
    assert caught.value.code == "illegal_parameter"


def test_a_chain_has_ten_certificates_at_most_and_none_is_empty() -> None:
    """RFC 5246 §7.4.2."""
    assert len(decode_certificate(encode_certificate([b"x"] * 10))) == 10
    with pytest.raises(ProtocolError) as caught:
        decode_certificate(encode_certificate([b"x"] * 11))
    assert caught.value.code == "limit"
    with pytest.raises(ProtocolError):
        decode_certificate(encode_certificate([b""]))


def test_schemes_are_pairs_of_octets() -> None:
    """RFC 5246 §7.4.4."""
    with pytest.raises(ProtocolError):
        decode_certificate_request(b"\x01\x40\x00\x03\x04\x03\x05\x00\x00")


def test_versions_a_client_supports_are_read() -> None:
    """RFC 8446 §4.2.1."""
    assert decode_supported_versions(bytes.fromhex("04fefcfefd")) == (0xFEFC, 0xFEFD)


def test_renegotiation_info_is_read() -> None:
    """RFC 5746 §3.2."""
    assert decode_renegotiation_info(b"\x00") == b""
    assert decode_renegotiation_info(b"\x02ab") == b"ab"


# --- what real peers sent ---------------------------------------------------------


def _messages(*names: str) -> list[Message]:
    """Return the messages in recorded datagrams."""
    reassembler = Reassembler(Limits())
    found = []
    for name in names:
        reader = Reader((_DATA / f"{name}.bin").read_bytes())
        while reader.remaining:
            content = Reader(decode_record(reader).fragment)
            while content.remaining:
                reassembler.feed(decode_fragment(content), 0)
                while (message := reassembler.next_message()) is not None:
                    found.append(message)
    return found


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 1, 2, 1)])
def test_the_hello_of_chromium_is_read_from_its_two_datagrams(
    order: tuple[int, ...],
) -> None:
    """RFC 6347 §4.2.3."""
    (message,) = _messages(*(f"chromium156-hello-{number}" for number in order))
    hello = decode_client_hello(message.body)
    assert len(message.body) == 1413
    assert hello.version == 0xFEFD
    assert encode_client_hello(hello) == message.body
    extensions = hello.extensions or {}
    assert decode_supported_versions(extensions[43]) == (0xFEFC, 0xFEFD)
    assert decode_u16_list(extensions[10]) == (0x11EC, 29, 23, 24)
    assert decode_use_srtp(extensions[14]) == UseSrtp((1, 8, 7))
    assert 23 in extensions


@pytest.mark.parametrize("name", ["chromium156-server-flight", "ffmpeg9-server-flight"])
def test_the_flight_of_a_real_server_is_read_and_its_signature_is_true(
    name: str,
) -> None:
    """RFC 5246 §7.3; RFC 8422 §5.4; RFC 5280 §4.1."""
    facts = tomllib.loads((_DATA / f"{name}.toml").read_text())["expected"]
    messages = _messages(name)
    assert [message.type for message in messages] == facts["types"]
    hello = decode_server_hello(messages[0].body)
    assert hello.cipher_suite == CipherSuite[facts["cipher_suite"]]
    assert len(hello.session_id) == facts["session_id_octets"]
    (profile,) = decode_use_srtp((hello.extensions or {})[14]).profiles
    assert profile == SrtpProfile[facts["srtp_profile"]]
    (certificate,) = decode_certificate(messages[1].body)
    exchange = decode_server_key_exchange(messages[2].body)
    assert exchange.group == NamedGroup[facts["group"]]
    assert exchange.scheme == SignatureScheme[facts["scheme"]]
    params = encode_ecdh_params(exchange.group, exchange.public_key)
    signed = bytes.fromhex(facts["client_random"]) + hello.random + params
    key = decode_public_key(certificate)
    schemes = list(SignatureScheme)
    verify(key, exchange.scheme, exchange.signature, signed, schemes)
    with pytest.raises(ProtocolError) as caught:
        verify(key, exchange.scheme, exchange.signature, signed + b"x", schemes)
    assert caught.value.code == "decrypt_error"
