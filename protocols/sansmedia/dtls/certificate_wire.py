"""The one part of a certificate that a handshake needs."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError, Reader

__all__ = ["PublicKeyInfo", "decode_public_key_info"]

_SOURCE = "RFC 5280 §4.1"
_SEQUENCE = 0x30
_INTEGER = 0x02
_BIT_STRING = 0x03
_VERSION = 0xA0


def _content(reader: Reader, expected: int) -> bytes:
    """Take one DER element that has to have a tag; return its content."""
    tag = reader.u8()
    length = reader.u8()
    if length & 0x80:
        if not 0x81 <= length <= 0x83:
            raise ProtocolError("a length is out of bounds", source=_SOURCE)
        length = int.from_bytes(reader.take(length & 0x7F), "big")
    if tag != expected:
        raise ProtocolError("the certificate is malformed", source=_SOURCE)
    return reader.take(length)


@attrs.frozen
class PublicKeyInfo:
    """SubjectPublicKeyInfo. Source: RFC 5280 §4.1."""

    octets: bytes
    """The whole, in DER."""
    algorithm: bytes
    """The content of AlgorithmIdentifier: what kind of key, of which curve."""
    key: bytes
    """The content of the bit string, without its count of unused bits."""


def decode_public_key_info(certificate: bytes) -> PublicKeyInfo:
    """Return the key that a certificate (DER) is for.

    Nothing else is looked at: it is the fingerprint that vouches for a certificate,
    and browsers make some that no path validation would take.

    Source: RFC 5280 §4.1.

    Raises:
        ProtocolError: Code ``truncated`` or ``malformed``.
    """
    outer = Reader(certificate, source=_SOURCE)
    body = Reader(_content(outer, _SEQUENCE), source=_SOURCE)
    if outer.remaining:
        raise ProtocolError("the certificate has octets left over", source=_SOURCE)
    fields = Reader(_content(body, _SEQUENCE), source=_SOURCE)
    if fields.remaining and fields.peek_u8() == _VERSION:
        _content(fields, _VERSION)
    _content(fields, _INTEGER)  # the serial number
    for _ in range(4):  # signature, issuer, validity, subject
        _content(fields, _SEQUENCE)
    rest = fields.rest()
    whole = Reader(rest, source=_SOURCE)
    info = Reader(_content(whole, _SEQUENCE), source=_SOURCE)
    algorithm = _content(info, _SEQUENCE)
    bits = Reader(_content(info, _BIT_STRING), source=_SOURCE)
    if info.remaining or bits.u8():
        raise ProtocolError("the key in the certificate is malformed", source=_SOURCE)
    return PublicKeyInfo(rest[: whole.position], algorithm, bits.rest())
