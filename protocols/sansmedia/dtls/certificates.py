"""Our certificate, fingerprints, and whether a peer's certificate is the right one."""

from __future__ import annotations

import datetime
import enum
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sansmedia.sansio import Dice, ProtocolError, UsageError

from .constants import NamedGroup
from .key_exchange import derive_curve_key
from .signatures import PrivateKey

__all__ = [
    "FINGERPRINT_ALGORITHMS",
    "Certificate",
    "Fingerprint",
    "PeerIdentity",
    "Verification",
    "decode_fingerprint",
    "fingerprint_of",
    "generate_certificate",
]

FINGERPRINT_ALGORITHMS = {
    "sha-512": "sha512",
    "sha-384": "sha384",
    "sha-256": "sha256",
    "sha-224": "sha224",
    "sha-1": "sha1",
}
"""Hash functions that a fingerprint may have, the strongest first; MD5 and MD2 must
not be used. Source: RFC 8122 §5."""
_CURVES = {"secp256r1": NamedGroup.SECP256R1, "secp384r1": NamedGroup.SECP384R1}
_HEX = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*")


def _lower(text: str) -> str:
    return text.lower()


@attrs.frozen
class Fingerprint:
    """A hash over a certificate, as ``a=fingerprint`` has it. Source: RFC 8122 §5."""

    algorithm: str = attrs.field(converter=_lower)
    """``"sha-256"`` and so on; an unknown one matches nothing."""
    value: bytes

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value.hex(':').upper()}"


def decode_fingerprint(text: str) -> Fingerprint:
    """Decode ``sha-256 4A:AD:...``, the value of ``a=fingerprint``.

    Source: RFC 8122 §5.

    Raises:
        ProtocolError: It is no algorithm with octets in hexadecimal.
    """
    algorithm, _, octets = text.strip().partition(" ")
    if not algorithm or not _HEX.fullmatch(octets.strip()):
        raise ProtocolError("the fingerprint is malformed", source="RFC 8122 §5")
    return Fingerprint(algorithm, bytes.fromhex(octets.strip().replace(":", "")))


def fingerprint_of(certificate: bytes, algorithm: str = "sha-256") -> Fingerprint:
    """Return the fingerprint of a certificate.

    Args:
        certificate: DER.
        algorithm: A key of `FINGERPRINT_ALGORITHMS`.

    Raises:
        UsageError: The algorithm is none of them.
    """
    name = FINGERPRINT_ALGORITHMS.get(algorithm.lower())
    if name is None:
        raise UsageError(f"no fingerprints are made with {algorithm}")
    digest = hashlib.new(name, certificate, usedforsecurity=False).digest()
    return Fingerprint(algorithm, digest)


@attrs.frozen(eq=False)
class Certificate:
    """Who we are: a chain and the key of its first certificate."""

    chain: tuple[bytes, ...] = attrs.field(repr=False)
    """DER; usually one, signed by itself."""
    private_key: PrivateKey = attrs.field(repr=False)

    @property
    def is_ecdsa(self) -> bool:
        """Whether the key is one of a curve; RSA otherwise."""
        return isinstance(self.private_key, ec.EllipticCurvePrivateKey)

    @property
    def curve(self) -> NamedGroup | None:
        """The curve of the key; None for RSA."""
        if not isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            return None
        return _CURVES.get(self.private_key.curve.name)

    def fingerprint(self, algorithm: str = "sha-256") -> Fingerprint:
        """Return the fingerprint to tell the peer."""
        return fingerprint_of(self.chain[0], algorithm)

    @classmethod
    def from_pem(cls, chain: bytes, key: bytes) -> Certificate:
        """Return a certificate that was made elsewhere.

        Args:
            chain: One or more certificates, in PEM.
            key: The private key of the first, in PEM, without a passphrase.

        Raises:
            UsageError: They cannot be read, or the key is no P-256, P-384 or RSA key.
        """
        try:
            certificates = x509.load_pem_x509_certificates(chain)
            private = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError) as error:
            raise UsageError(f"the certificate cannot be read: {error}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise UsageError("the key is neither of a curve nor RSA")
        der = [one.public_bytes(serialization.Encoding.DER) for one in certificates]
        made = cls(tuple(der), private)
        if made.is_ecdsa and made.curve is None:
            raise UsageError("the key's curve is neither P-256 nor P-384")
        return made


def generate_certificate(
    dice: Dice,
    *,
    not_before: datetime.datetime,
    lifetime: datetime.timedelta = datetime.timedelta(days=30),
    common_name: str = "WebRTC",
) -> Certificate:
    """Make a P-256 key and a certificate that it signs itself.

    The same dice and times give the same octets, where cryptography signs as RFC 6979
    says (43 and later, on OpenSSL 3.2 and later).

    Args:
        dice: Decides the key and the serial number.
        not_before: Wall time, with its zone; take a day off, for clocks that go wrong.
        lifetime: How long it is valid from then on.
        common_name: The subject. One name for all tells least. Source: RFC 8827 §6.5.
    """
    key = derive_curve_key(NamedGroup.SECP256R1, dice)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=int.from_bytes(dice(16), "big") >> 1 | 1 << 126,
        not_valid_before=not_before,
        not_valid_after=not_before + lifetime,
    )
    try:
        made = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    except TypeError:  # cryptography 42
        made = builder.sign(key, hashes.SHA256())
    return Certificate((made.public_bytes(serialization.Encoding.DER),), key)


class Verification(enum.Enum):
    """What a peer's certificate has to be."""

    FINGERPRINT = "fingerprint"
    """There, and one of `DtlsConnection.set_remote_fingerprints`."""
    REQUIRED = "required"
    """There; whether it is the right one is the caller's business."""
    OPTIONAL = "optional"
    """A client may have none."""


class PeerIdentity:
    """What a peer has shown and what we expect of it.

    Args:
        verification: What the certificate has to be.
    """

    def __init__(self, verification: Verification) -> None:
        self._verification = verification
        self._expected: tuple[Fingerprint, ...] | None = None
        self.chain: tuple[bytes, ...] | None = None
        """The peer's certificates; empty if it has none, None before it said so."""

    def present(self, chain: Sequence[bytes]) -> None:
        """Take the peer's chain.

        Raises:
            ProtocolError: ``handshake_failure`` if it has to have one and has none,
                ``bad_certificate`` if it is not the expected one.
        """
        if not chain and self._verification is not Verification.OPTIONAL:
            raise ProtocolError(
                "the peer has no certificate",
                code="handshake_failure",
                source="RFC 5246 §7.4.6",
            )
        self.chain = tuple(chain)
        self._check()

    def expect(self, fingerprints: Iterable[Fingerprint]) -> None:
        """Take what the peer's certificate shall have.

        Raises:
            ProtocolError: ``bad_certificate`` if the peer has shown another one.
        """
        self._expected = tuple(fingerprints)
        self._check()

    @property
    def is_verified(self) -> bool:
        """Whether nothing more is wanted; `present` was called before."""
        return (
            self._verification is not Verification.FINGERPRINT
            or self._expected is not None
        )

    def _check(self) -> None:
        if self._expected is None or self.chain is None:
            return
        if not self.chain or not _matches(self.chain[0], self._expected):
            raise ProtocolError(
                "the certificate has another fingerprint",
                code="bad_certificate",
                source="RFC 8122 §6.2",
            )


def _matches(certificate: bytes, expected: Sequence[Fingerprint]) -> bool:
    """Compare with the fingerprints of the strongest hash. Source: RFC 8122 §5."""
    for algorithm in FINGERPRINT_ALGORITHMS:
        values = [one.value for one in expected if one.algorithm == algorithm]
        if values:
            shown = fingerprint_of(certificate, algorithm).value
            return any(hmac.compare_digest(shown, value) for value in values)
    return False
