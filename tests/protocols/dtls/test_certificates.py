"""Our certificate, keys in certificates, signatures, and fingerprints."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.dtls import (
    Certificate,
    Fingerprint,
    NamedGroup,
    SignatureScheme,
    Verification,
    decode_fingerprint,
    fingerprint_of,
    generate_certificate,
)
from sansmedia.dtls.certificates import PeerIdentity
from sansmedia.dtls.key_exchange import CURVES, make_ephemeral_key
from sansmedia.dtls.signatures import choose_scheme, decode_public_key, sign, verify
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sansio.testing import SeededDice, mutate_bytes

_NOW = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
_SCHEMES = list(SignatureScheme)


def test_the_same_dice_make_the_same_certificate() -> None:
    made = [generate_certificate(SeededDice(5), not_before=_NOW) for _ in range(2)]
    assert made[0].chain == made[1].chain
    assert made[0].chain != generate_certificate(SeededDice(6), not_before=_NOW).chain


def test_a_certificate_is_of_p256_for_30_days_and_signs_itself() -> None:
    """RFC 8827 §6.5."""
    made = generate_certificate(SeededDice(5), not_before=_NOW)
    read = x509.load_der_x509_certificate(made.chain[0])
    read.verify_directly_issued_by(read)
    assert read.not_valid_before_utc == _NOW
    assert read.not_valid_after_utc == _NOW + datetime.timedelta(days=30)
    assert read.serial_number.bit_length() == 127
    assert read.subject.rfc4514_string() == "CN=WebRTC"
    key = decode_public_key(made.chain[0])
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert made.is_ecdsa


def test_secrets_are_not_shown(server_certificate: Certificate) -> None:
    assert repr(server_certificate) == "Certificate()"


def test_a_certificate_made_elsewhere_is_read(rsa_certificate: Certificate) -> None:
    (der,) = rsa_certificate.chain
    pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    key = rsa_certificate.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    read = Certificate.from_pem(pem, key)
    assert read.chain == rsa_certificate.chain
    assert not read.is_ecdsa
    for chain, private in ((b"", key), (pem, b""), (b"x" + pem[40:], key)):
        with pytest.raises(UsageError):
            Certificate.from_pem(chain, private)
    for other in (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
    ):
        private = other.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with pytest.raises(UsageError):
            Certificate.from_pem(pem, private)


# --- keys and signatures ----------------------------------------------------------


def test_keys_are_found_in_certificates(
    rsa_certificate: Certificate, p384_certificate: Certificate
) -> None:
    """RFC 5280 §4.1; RFC 5480 §2.1.1; RFC 3279 §2.3.1."""
    for certificate in (rsa_certificate, p384_certificate):
        key = decode_public_key(certificate.chain[0])
        assert key == certificate.private_key.public_key()


def test_keys_of_no_use_are_refused(
    self_signed: Callable[[Any], Certificate], rsa_certificate: Certificate
) -> None:
    small = rsa.generate_private_key(65537, 1024)
    for key in (small, ec.generate_private_key(ec.SECP521R1())):
        with pytest.raises(ProtocolError) as caught:
            decode_public_key(self_signed(key).chain[0])
        assert caught.value.code == "unsupported_certificate"
    with pytest.raises(ProtocolError) as caught:
        decode_public_key(rsa_certificate.chain[0], max_rsa_bits=1024)
    assert caught.value.code == "unsupported_certificate"


def test_an_rsa_key_with_a_huge_exponent_is_refused(
    rsa_certificate: Certificate,
) -> None:
    """Each check of a signature would cost what making one costs."""
    (der,) = rsa_certificate.chain
    # The exponent's three octets become the four of one above 2^32; lengths follow.
    exponent = bytes.fromhex("0203010001")
    at = der.rindex(exponent, 0, len(der) - 256)
    key = decode_public_key(der)
    assert isinstance(key, rsa.RSAPublicKey)
    modulus = key.public_numbers().n
    huge = rsa.RSAPublicNumbers((1 << 33) + 1, modulus).public_key()
    info = huge.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    old = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert at > 0
    assert old in der
    grown = der.replace(old, info)
    more = len(info) - len(old)
    outer = int.from_bytes(der[2:4], "big") + more
    inner = int.from_bytes(der[6:8], "big") + more
    grown = der[:2] + outer.to_bytes(2, "big") + der[4:6] + inner.to_bytes(2, "big")
    grown += der[8:].replace(old, info)
    with pytest.raises(ProtocolError) as caught:
        decode_public_key(grown)
    assert caught.value.code == "unsupported_certificate"


def test_a_damaged_certificate_is_refused_or_gives_a_key(
    server_certificate: Certificate, rsa_certificate: Certificate
) -> None:
    dice = SeededDice(9)
    codes = set()
    for _ in range(2000):
        one, other = server_certificate.chain[0], rsa_certificate.chain[0]
        damaged = mutate_bytes(*dice.choice(((one, other), (other, one))), dice)
        try:
            decode_public_key(damaged)
        except ProtocolError as error:
            codes.add(error.code)
    assert codes == {"bad_certificate", "unsupported_certificate"}


@given(st.binary(max_size=80))
def test_any_octets_are_no_certificate(octets: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_public_key(octets)
    assert caught.value.code == "bad_certificate"


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_every_scheme_signs_and_verifies(
    scheme: SignatureScheme,
    server_certificate: Certificate,
    rsa_certificate: Certificate,
) -> None:
    """RFC 8446 §4.2.3; RFC 5246 §7.4.1.4.1."""
    is_ecdsa = "ECDSA" in scheme.name
    ours = server_certificate if is_ecdsa else rsa_certificate
    other = rsa_certificate if is_ecdsa else server_certificate
    key = ours.private_key
    signature = sign(key, scheme, b"data")
    verify(key.public_key(), scheme, signature, b"data", _SCHEMES)
    if is_ecdsa:
        assert sign(key, scheme, b"data") == signature
    changed = signature[:-1] + bytes((signature[-1] ^ 1,))
    for public, named, made, code in (
        (key.public_key(), scheme, changed, "decrypt_error"),
        (key.public_key(), scheme, b"", "decrypt_error"),
        (key.public_key(), 0x0201, signature, "illegal_parameter"),
        (other.private_key.public_key(), scheme, signature, "illegal_parameter"),
    ):
        with pytest.raises(ProtocolError) as caught:
            verify(public, named, made, b"data", _SCHEMES)
        assert caught.value.code == code
    not_offered = [one for one in _SCHEMES if one is not scheme]
    with pytest.raises(ProtocolError):
        verify(key.public_key(), scheme, signature, b"data", not_offered)


def test_the_first_scheme_in_common_is_chosen(
    server_certificate: Certificate, rsa_certificate: Certificate
) -> None:
    key = server_certificate.private_key
    assert choose_scheme(key, _SCHEMES, (0x0503, 0x0403)) is (
        SignatureScheme.ECDSA_SECP256R1_SHA256
    )
    assert choose_scheme(key, _SCHEMES, (0x0401, 0x0201)) is None
    assert choose_scheme(rsa_certificate.private_key, _SCHEMES, (0x0804,)) is (
        SignatureScheme.RSA_PSS_RSAE_SHA256
    )


# --- key exchange ------------------------------------------------------------------


@pytest.mark.parametrize("group", list(NamedGroup))
def test_both_sides_of_an_exchange_get_the_same(group: NamedGroup) -> None:
    one, two = (make_ephemeral_key(group, SeededDice(seed)) for seed in (1, 2))
    assert one.exchange(two.public_key) == two.exchange(one.public_key)
    again = make_ephemeral_key(group, SeededDice(1))
    assert again.public_key == one.public_key != two.public_key


@pytest.mark.parametrize("group", list(NamedGroup))
def test_what_is_no_public_key_is_refused(group: NamedGroup) -> None:
    """RFC 8422 §5.4.1, §5.11."""
    ours = make_ephemeral_key(group, SeededDice(1))
    size = len(ours.public_key)
    wrong = [b"", bytes(size), ours.public_key[:-1], ours.public_key + b"\x00"]
    if group is not NamedGroup.X25519:
        point = ec.generate_private_key(CURVES[group][0]).public_key()
        encoding, form = serialization.Encoding.X962, serialization.PublicFormat
        compressed = point.public_bytes(encoding, form.CompressedPoint)
        wrong += [compressed, b"\x04" + bytes(size - 1), b"\x04" + b"\x07" * (size - 1)]
    else:
        wrong += [b"\x01" + bytes(31)]  # a point of small order
    for octets in wrong:
        with pytest.raises(ProtocolError) as caught:
            ours.exchange(octets)
        assert caught.value.code == "illegal_parameter"


# --- fingerprints ------------------------------------------------------------------


def test_a_fingerprint_is_read_and_written_as_sdp_has_it() -> None:
    """RFC 8122 §5."""
    text = "sha-256 " + ":".join(f"{octet:02X}" for octet in range(32))
    fingerprint = decode_fingerprint(text)
    assert fingerprint == Fingerprint("sha-256", bytes(range(32)))
    assert str(fingerprint) == text
    assert decode_fingerprint(text.replace("sha", "SHA").lower()) == fingerprint


@pytest.mark.parametrize(
    "text", ["", "sha-256", "sha-256 ", "sha-256 4A:4", "sha-256 4A4B", "sha-256 GG"]
)
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_fingerprint(text)


@pytest.mark.parametrize("bits", [1, 224, 256, 384, 512])
def test_fingerprints_are_hashes_of_the_certificate(bits: int) -> None:
    name = f"sha-{bits}"
    digest = hashlib.new(name.replace("-", ""), b"certificate").digest()
    assert fingerprint_of(b"certificate", name.upper()) == Fingerprint(name, digest)


@pytest.mark.parametrize("name", ["md5", "md2", "sha-3", ""])
def test_weak_hashes_are_not_made(name: str) -> None:
    """RFC 8122 §5: MD2 and MD5 must not be used."""
    with pytest.raises(UsageError):
        fingerprint_of(b"certificate", name)


def _accepts(*expected: Fingerprint) -> bool:
    identity = PeerIdentity(Verification.FINGERPRINT)
    identity.present([b"certificate"])
    before = identity.is_verified
    try:
        identity.expect(expected)
    except ProtocolError as error:
        return error.code != "bad_certificate"
    return identity.is_verified and not before


def test_one_of_several_fingerprints_is_enough() -> None:
    """RFC 8122 §6.2."""
    right, wrong = fingerprint_of(b"certificate"), fingerprint_of(b"another")
    assert _accepts(wrong, right)
    assert not _accepts(wrong)
    assert not _accepts(Fingerprint("sha-256", right.value[:-1]))
    assert not _accepts()


def test_the_strongest_hash_decides() -> None:
    """RFC 8122 §5: a match of a weaker one is no match."""
    weak = fingerprint_of(b"certificate", "sha-1")
    assert _accepts(weak)
    assert not _accepts(weak, fingerprint_of(b"another", "sha-512"))
    assert _accepts(Fingerprint("sha-9", b"x"), weak)


def test_unknown_and_forbidden_hashes_match_nothing() -> None:
    digest = hashlib.md5(b"certificate", usedforsecurity=False).digest()
    assert not _accepts(Fingerprint("md5", digest))
    assert not _accepts(Fingerprint("sha-9", b"x"))


def test_a_peer_without_a_certificate_is_refused_unless_it_may() -> None:
    """RFC 5246 §7.4.6."""
    for verification in (Verification.FINGERPRINT, Verification.REQUIRED):
        with pytest.raises(ProtocolError) as caught:
            PeerIdentity(verification).present([])
        assert caught.value.code == "handshake_failure"
    identity = PeerIdentity(Verification.OPTIONAL)
    identity.present([])
    assert identity.is_verified
    with pytest.raises(ProtocolError):
        identity.expect([fingerprint_of(b"certificate")])
