"""The handshake: RTMP 1.0 §5.2, §5.2.2, and the digests of the field."""

from __future__ import annotations

import pytest
from sansmedia.rtmp import ClientHandshake, HandshakeScheme, ServerHandshake
from sansmedia.rtmp.handshake import HANDSHAKE_SIZE, find_digest
from sansmedia.sansio import ProtocolError
from sansmedia.sansio.testing import SeededDice


def _exchange(client: ClientHandshake, server: ServerHandshake) -> tuple[bytes, bytes]:
    """Return what is left over at the server and at the client."""
    server_rest = server.receive(client.data_to_send())
    client_rest = client.receive(server.data_to_send() + b"from server")
    server_rest += server.receive(client.data_to_send() + b"from client")
    return server_rest, client_rest


@pytest.mark.parametrize("scheme", list(HandshakeScheme))
def test_both_sides_end_with_the_scheme_that_the_client_chose(
    scheme: HandshakeScheme,
) -> None:
    client = ClientHandshake(SeededDice(1), scheme)
    server = ServerHandshake(SeededDice(2))
    assert _exchange(client, server) == (b"from client", b"from server")
    assert client.is_complete
    assert server.is_complete
    assert client.scheme is scheme
    assert server.scheme is scheme


@pytest.mark.parametrize("scheme", list(HandshakeScheme))
def test_octet_by_octet_comes_to_the_same(scheme: HandshakeScheme) -> None:
    client = ClientHandshake(SeededDice(1), scheme)
    server = ServerHandshake(SeededDice(2))
    for octet in client.data_to_send():
        assert server.receive(bytes((octet,))) == b""
    for octet in server.data_to_send():
        assert client.receive(bytes((octet,))) == b""
    assert client.is_complete
    assert not server.is_complete
    for octet in client.data_to_send():
        server.receive(bytes((octet,)))
    assert server.is_complete


def test_a_simple_handshake_echoes_the_client() -> None:
    server = ServerHandshake(SeededDice(1))
    c1 = bytes(8) + SeededDice(3)(HANDSHAKE_SIZE - 8)
    server.receive(b"\x03" + c1)
    answer = server.data_to_send()
    assert answer[:1] == b"\x03"
    assert len(answer) == 1 + 2 * HANDSHAKE_SIZE
    assert answer[-HANDSHAKE_SIZE:] == c1


def test_a_digest_that_does_not_fit_is_answered_simply() -> None:
    client = ClientHandshake(SeededDice(1), HandshakeScheme.KEY_FIRST)
    c0c1 = bytearray(client.data_to_send())
    c0c1[-1] ^= 1
    server = ServerHandshake(SeededDice(2))
    server.receive(bytes(c0c1))
    assert server.data_to_send()[-HANDSHAKE_SIZE:] == bytes(c0c1[1:])
    assert server.scheme is HandshakeScheme.SIMPLE


def test_a_digest_client_falls_back_when_the_server_is_simple() -> None:
    client = ClientHandshake(SeededDice(1), HandshakeScheme.DIGEST_FIRST)
    c1 = client.data_to_send()[1:]
    s1 = bytes(8) + SeededDice(3)(HANDSHAKE_SIZE - 8)
    client.receive(b"\x03" + s1 + c1)
    assert client.data_to_send() == s1
    assert client.scheme is HandshakeScheme.SIMPLE


def test_a_c2_that_echoes_nothing_is_tolerated() -> None:
    server = ServerHandshake(SeededDice(1))
    server.receive(b"\x03" + bytes(HANDSHAKE_SIZE))
    assert server.receive(b"\xaa" * HANDSHAKE_SIZE + b"rest") == b"rest"
    assert server.is_complete


@pytest.mark.parametrize("version", [0, 3, 6, 31])
def test_every_rtmp_version_is_answered_with_3(version: int) -> None:
    server = ServerHandshake(SeededDice(1))
    server.receive(bytes((version,)) + bytes(HANDSHAKE_SIZE))
    assert server.data_to_send()[:1] == b"\x03"


@pytest.mark.parametrize("first", [b"G", b"\x20", b"\xff"])
def test_other_protocols_are_refused_at_their_first_octet(first: bytes) -> None:
    server = ServerHandshake(SeededDice(1))
    with pytest.raises(ProtocolError) as caught:
        server.receive(first)
    assert caught.value.code == "unsupported"


def test_tls_on_a_plain_port_is_called_by_its_name() -> None:
    # A record of type handshake, RFC 8446 §5.1: what rtmps:// to 1935 begins with.
    server = ServerHandshake(SeededDice(1))
    with pytest.raises(ProtocolError, match="TLS came where plain RTMP is spoken"):
        server.receive(b"\x16\x03\x01\x02\x00\x01")


def test_a_server_of_another_protocol_is_refused() -> None:
    client = ClientHandshake(SeededDice(1))
    with pytest.raises(ProtocolError):
        client.receive(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_packet_without_a_digest_has_none() -> None:
    assert find_digest(bytes(HANDSHAKE_SIZE), b"key") is None
