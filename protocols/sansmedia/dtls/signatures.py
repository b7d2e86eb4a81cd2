"""Signatures over handshakes, and the keys they are made with. Version-neutral."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from sansmedia.sansio import ProtocolError

from .certificate_wire import PublicKeyInfo, decode_public_key_info
from .constants import SignatureScheme

__all__ = [
    "PrivateKey",
    "PublicKey",
    "choose_scheme",
    "decode_public_key",
    "sign",
    "verify",
]

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

MIN_RSA_BITS = 2048
"""Smaller keys vouch for nothing any more."""
_MAX_RSA_EXPONENT = 1 << 32
"""65,537 is what all have; a huge one would make each check cost milliseconds."""
_CURVES = {
    bytes.fromhex("06072a8648ce3d020106082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06072a8648ce3d020106052b81040022"): ec.SECP384R1(),
}
"""Curves by AlgorithmIdentifier. Source: RFC 5480 §2.1.1."""
_RSA_ALGORITHMS = (
    bytes.fromhex("06092a864886f70d0101010500"),
    bytes.fromhex("06092a864886f70d010101"),
)
"""rsaEncryption, with and without its NULL. Source: RFC 3279 §2.3.1."""


@attrs.frozen
class _Form:
    hash: hashes.HashAlgorithm
    is_ecdsa: bool = False
    is_pss: bool = False


_FORMS = {
    SignatureScheme.ECDSA_SECP256R1_SHA256: _Form(hashes.SHA256(), is_ecdsa=True),
    SignatureScheme.ECDSA_SECP384R1_SHA384: _Form(hashes.SHA384(), is_ecdsa=True),
    SignatureScheme.RSA_PSS_RSAE_SHA256: _Form(hashes.SHA256(), is_pss=True),
    SignatureScheme.RSA_PSS_RSAE_SHA384: _Form(hashes.SHA384(), is_pss=True),
    SignatureScheme.RSA_PSS_RSAE_SHA512: _Form(hashes.SHA512(), is_pss=True),
    SignatureScheme.RSA_PKCS1_SHA256: _Form(hashes.SHA256()),
    SignatureScheme.RSA_PKCS1_SHA384: _Form(hashes.SHA384()),
    SignatureScheme.RSA_PKCS1_SHA512: _Form(hashes.SHA512()),
}


def _ecdsa(algorithm: hashes.HashAlgorithm) -> ec.ECDSA:
    """Return ECDSA that the dice need not help (RFC 6979), where there is such."""
    try:
        return ec.ECDSA(algorithm, deterministic_signing=True)
    except (TypeError, UnsupportedAlgorithm):  # cryptography 42, or an old OpenSSL
        return ec.ECDSA(algorithm)


_SIGNERS = {
    scheme: _ecdsa(form.hash) for scheme, form in _FORMS.items() if form.is_ecdsa
}


def _rsa_padding(form: _Form) -> padding.PSS | padding.PKCS1v15:
    # The salt is as long as the hash. RFC 8446 §4.2.3.
    if form.is_pss:
        return padding.PSS(padding.MGF1(form.hash), form.hash.digest_size)
    return padding.PKCS1v15()


def choose_scheme(
    key: PrivateKey, ours: Iterable[SignatureScheme], offered: Iterable[int]
) -> SignatureScheme | None:
    """Return the first scheme of ours that the key can do and the peer takes.

    In TLS 1.2 a scheme names a hash, and the curve may be another.
    Source: RFC 5246 §7.4.1.4.1.
    """
    is_ecdsa = isinstance(key, ec.EllipticCurvePrivateKey)
    taken = set(offered)
    fitting = (s for s in ours if _FORMS[s].is_ecdsa == is_ecdsa and s in taken)
    return next(fitting, None)


def sign(key: PrivateKey, scheme: SignatureScheme, data: bytes) -> bytes:
    """Return the signature over ``data``."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, _SIGNERS[scheme])
    form = _FORMS[scheme]
    return key.sign(data, _rsa_padding(form), form.hash)


def verify(
    key: PublicKey,
    scheme: int,
    signature: bytes,
    data: bytes,
    allowed: Iterable[SignatureScheme],
) -> None:
    """Check a signature of the peer.

    Raises:
        ProtocolError: ``illegal_parameter`` for a scheme that we did not offer or the
            key cannot do, ``decrypt_error`` for a signature that is false.
    """
    form = next((_FORMS[ours] for ours in allowed if ours == scheme), None)
    if form is None or form.is_ecdsa != isinstance(key, ec.EllipticCurvePublicKey):
        raise ProtocolError(
            "the signature has a form that was not offered",
            code="illegal_parameter",
            source="RFC 5246 §7.4.1.4.1",
        )
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(form.hash))
        else:
            key.verify(signature, data, _rsa_padding(form), form.hash)
    except InvalidSignature:
        raise ProtocolError("the signature is false", code="decrypt_error") from None


def decode_public_key(certificate: bytes, max_rsa_bits: int = 8192) -> PublicKey:
    """Return the key that a certificate is for.

    Args:
        certificate: DER.
        max_rsa_bits: Size of the largest RSA key that is taken.

    Raises:
        ProtocolError: ``bad_certificate`` if it is malformed, or
            ``unsupported_certificate`` if its key is none that we can use.
    """
    try:
        info = decode_public_key_info(certificate)
        key = _load_key(info)
    except (ProtocolError, ValueError):
        raise ProtocolError(
            "the certificate cannot be read", code="bad_certificate"
        ) from None
    if isinstance(key, ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey)
        and MIN_RSA_BITS <= key.key_size <= max_rsa_bits
        and key.public_numbers().e < _MAX_RSA_EXPONENT
    ):
        return key
    raise ProtocolError(
        "the certificate's key is of no use here", code="unsupported_certificate"
    )


def _load_key(info: PublicKeyInfo) -> PublicKey | None:
    # The kinds are told apart here: what else a peer might put there is nothing that
    # a general loader should be let loose on.
    curve = _CURVES.get(info.algorithm)
    if curve is not None:
        if info.key[:1] != b"\x04":
            raise ValueError("the point is not in its uncompressed form")
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, info.key)
    if info.algorithm not in _RSA_ALGORITHMS:
        return None
    key = serialization.load_der_public_key(info.octets)
    return key if isinstance(key, rsa.RSAPublicKey) else None
