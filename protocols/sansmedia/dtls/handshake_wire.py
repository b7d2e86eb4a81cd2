"""The other handshake messages of DTLS 1.2."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansmedia.sansio import ProtocolError, Reader, Writer

__all__ = [
    "CertificateRequest",
    "CertificateVerify",
    "ServerKeyExchange",
    "decode_alert",
    "decode_certificate",
    "decode_certificate_request",
    "decode_certificate_verify",
    "decode_client_key_exchange",
    "decode_server_key_exchange",
    "encode_certificate",
    "encode_certificate_request",
    "encode_certificate_verify",
    "encode_client_key_exchange",
    "encode_ecdh_params",
    "encode_server_key_exchange",
]

_NAMED_CURVE = 3


@attrs.frozen
class ServerKeyExchange:
    """A server's ephemeral key, signed. Source: RFC 8422 §5.4."""

    group: int
    """A `NamedGroup`, or any other number."""
    public_key: bytes
    scheme: int
    """A `SignatureScheme`, or any other number."""
    signature: bytes


@attrs.frozen
class CertificateRequest:
    """What certificates a server takes. Source: RFC 5246 §7.4.4."""

    certificate_types: tuple[int, ...]
    schemes: tuple[int, ...]
    authorities: tuple[bytes, ...] = ()
    """Distinguished names, in DER."""


@attrs.frozen
class CertificateVerify:
    """A client's proof that it holds the key. Source: RFC 5246 §7.4.8."""

    scheme: int
    signature: bytes


def _finish(reader: Reader, what: str, source: str) -> None:
    if reader.remaining:
        raise ProtocolError(f"{what} has octets left over", source=source)


def decode_alert(content: bytes) -> tuple[int, int]:
    """Return level and description of an alert. Source: RFC 5246 §7.2."""
    reader = Reader(content, source="RFC 5246 §7.2")
    level, description = reader.u8(), reader.u8()
    _finish(reader, "an alert", "RFC 5246 §7.2")
    return level, description


def decode_certificate(body: bytes, most: int = 10) -> tuple[bytes, ...]:
    """Return the certificates of a chain, in DER, the peer's own first.

    Source: RFC 5246 §7.4.2.

    Args:
        body: Of a Certificate message.
        most: Certificates that the chain may have.

    Raises:
        ProtocolError: Code ``truncated``, ``malformed`` or ``limit``.
    """
    source = "RFC 5246 §7.4.2"
    reader = Reader(body, source=source)
    chain = Reader(reader.take(reader.u24()), source=source)
    _finish(reader, "a Certificate", source)
    certificates: list[bytes] = []
    while chain.remaining:
        size = chain.u24()
        if not size:
            raise ProtocolError("a certificate is empty", source=source)
        if len(certificates) >= most:
            raise ProtocolError("the chain has too many certificates", code="limit")
        certificates.append(chain.take(size))
    return tuple(certificates)


def encode_certificate(chain: Sequence[bytes]) -> bytes:
    """Return the body of a Certificate message."""
    block = Writer()
    for certificate in chain:
        block.u24(len(certificate)).put(certificate)
    return Writer().u24(len(block)).put(block.getvalue()).getvalue()


def decode_server_key_exchange(body: bytes) -> ServerKeyExchange:
    """Decode the body of a ServerKeyExchange with an ephemeral key.

    Raises:
        ProtocolError: Code ``truncated``, ``malformed`` or ``illegal_parameter``.
    """
    source = "RFC 8422 §5.4"
    reader = Reader(body, source=source)
    if reader.u8() != _NAMED_CURVE:
        raise ProtocolError(
            "the curve has no name", code="illegal_parameter", source=source
        )
    group = reader.u16()
    public_key = reader.take(reader.u8())
    scheme = reader.u16()
    signature = reader.take(reader.u16())
    _finish(reader, "a ServerKeyExchange", source)
    return ServerKeyExchange(group, public_key, scheme, signature)


def encode_ecdh_params(group: int, public_key: bytes) -> bytes:
    """Return ServerECDHParams, the part that is signed. Source: RFC 8422 §5.4."""
    writer = Writer().u8(_NAMED_CURVE).u16(group)
    return writer.u8(len(public_key)).put(public_key).getvalue()


def encode_server_key_exchange(message: ServerKeyExchange) -> bytes:
    """Return the body of a ServerKeyExchange."""
    params = encode_ecdh_params(message.group, message.public_key)
    writer = Writer().put(params).u16(message.scheme)
    return writer.u16(len(message.signature)).put(message.signature).getvalue()


def decode_certificate_request(body: bytes) -> CertificateRequest:
    """Decode the body of a CertificateRequest.

    Raises:
        ProtocolError: Code ``truncated`` or ``malformed``.
    """
    source = "RFC 5246 §7.4.4"
    reader = Reader(body, source=source)
    types = tuple(reader.take(reader.u8()))
    octets = reader.take(reader.u16())
    if len(octets) % 2:
        raise ProtocolError("a list of numbers has an odd length", source=source)
    pairs = Reader(octets, source=source)
    schemes = tuple(pairs.u16() for _ in range(len(octets) // 2))
    names = Reader(reader.take(reader.u16()), source=source)
    authorities = []
    while names.remaining:
        authorities.append(names.take(names.u16()))
    _finish(reader, "a CertificateRequest", source)
    return CertificateRequest(types, schemes, tuple(authorities))


def encode_certificate_request(request: CertificateRequest) -> bytes:
    """Return the body of a CertificateRequest."""
    writer = Writer().u8(len(request.certificate_types))
    writer.put(bytes(request.certificate_types)).u16(2 * len(request.schemes))
    for scheme in request.schemes:
        writer.u16(scheme)
    names = Writer()
    for name in request.authorities:
        names.u16(len(name)).put(name)
    return writer.u16(len(names)).put(names.getvalue()).getvalue()


def decode_client_key_exchange(body: bytes) -> bytes:
    """Return a client's ephemeral public key. Source: RFC 8422 §5.7."""
    source = "RFC 8422 §5.7"
    reader = Reader(body, source=source)
    public_key = reader.take(reader.u8())
    _finish(reader, "a ClientKeyExchange", source)
    return public_key


def encode_client_key_exchange(public_key: bytes) -> bytes:
    """Return the body of a ClientKeyExchange."""
    return Writer().u8(len(public_key)).put(public_key).getvalue()


def decode_certificate_verify(body: bytes) -> CertificateVerify:
    """Decode the body of a CertificateVerify.

    Raises:
        ProtocolError: Code ``truncated`` or ``malformed``.
    """
    source = "RFC 5246 §7.4.8"
    reader = Reader(body, source=source)
    message = CertificateVerify(reader.u16(), reader.take(reader.u16()))
    _finish(reader, "a CertificateVerify", source)
    return message


def encode_certificate_verify(message: CertificateVerify) -> bytes:
    """Return the body of a CertificateVerify."""
    writer = Writer().u16(message.scheme)
    return writer.u16(len(message.signature)).put(message.signature).getvalue()
