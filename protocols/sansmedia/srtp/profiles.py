"""Protection profiles, and session keys from master keys.

Source: RFC 5764 §4.1.2, RFC 6188 §2, RFC 7714 §11, RFC 7714 §14.2.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sansmedia.sansio import UsageError

__all__ = [
    "MasterKey",
    "ProtectionProfile",
    "SessionKeys",
    "derive_session_keys",
    "split_keying_material",
]


@attrs.frozen
class _Shape:
    number: int | None
    key_size: int
    salt_size: int
    tag_size: int
    is_aead: bool


class ProtectionProfile(enum.Enum):
    """What protects packets; the value holds the sizes, in octets."""

    AES128_CM_HMAC_SHA1_80 = _Shape(0x0001, 16, 14, 10, is_aead=False)
    AES128_CM_HMAC_SHA1_32 = _Shape(0x0002, 16, 14, 4, is_aead=False)
    AEAD_AES_128_GCM = _Shape(0x0007, 16, 12, 16, is_aead=True)
    AEAD_AES_256_GCM = _Shape(0x0008, 32, 12, 16, is_aead=True)
    AES_256_CM_HMAC_SHA1_80 = _Shape(None, 32, 14, 10, is_aead=False)
    """Has no number in DTLS. Source: RFC 6188 §6."""
    AES_256_CM_HMAC_SHA1_32 = _Shape(None, 32, 14, 4, is_aead=False)
    """Has no number in DTLS. Source: RFC 6188 §6."""

    @property
    def number(self) -> int | None:
        """Its number in the DTLS extension use_srtp, or None."""
        return self.value.number

    @property
    def key_size(self) -> int:
        """Octets of the master key, and of the session's encryption key."""
        return self.value.key_size

    @property
    def salt_size(self) -> int:
        """Octets of the master salt, and of the session's salt."""
        return self.value.salt_size

    @property
    def tag_size(self) -> int:
        """Octets that an RTP packet grows by."""
        return self.value.tag_size

    @property
    def rtcp_overhead(self) -> int:
        """Octets that an RTCP packet grows by: tag and index word.

        The tag is 80 bits even where RTP packets have 32. Source: RFC 5764 §4.1.2.
        """
        return 4 + (self.tag_size if self.is_aead else 10)

    @property
    def is_aead(self) -> bool:
        """Whether one algorithm encrypts and authenticates."""
        return self.value.is_aead

    @classmethod
    def from_number(cls, number: int) -> ProtectionProfile | None:
        """Return the profile of a number in use_srtp, or None if it is unknown."""
        return next((profile for profile in cls if profile.number == number), None)


@attrs.frozen
class MasterKey:
    """A master key with its salt, for one direction."""

    key: bytes = attrs.field(repr=False)
    salt: bytes = attrs.field(repr=False)


@attrs.frozen
class SessionKeys:
    """What encrypts, authenticates and salts; one set for RTP, one for RTCP."""

    encryption: bytes = attrs.field(repr=False)
    authentication: bytes = attrs.field(repr=False)
    """20 octets; empty in AEAD profiles."""
    salt: bytes = attrs.field(repr=False)


_RTP_LABELS: Final = (0, 1, 2)
_RTCP_LABELS: Final = (3, 4, 5)
_AUTHENTICATION_KEY_SIZE: Final = 20


def derive_session_keys(
    profile: ProtectionProfile, key: bytes, salt: bytes
) -> tuple[SessionKeys, SessionKeys]:
    """Return the keys for RTP and those for RTCP; the key derivation rate is 0.

    Args:
        profile: What they are for.
        key: The master key, `ProtectionProfile.key_size` octets.
        salt: The master salt, `ProtectionProfile.salt_size` octets.

    Raises:
        UsageError: A size is wrong.

    Source: RFC 3711 §4.3.1, RFC 3711 §4.3.2, RFC 6188 §2, RFC 7714 §11.
    """
    if len(key) != profile.key_size or len(salt) != profile.salt_size:
        raise UsageError(
            f"{profile.name} wants {profile.key_size} and {profile.salt_size} octets"
        )
    sets = []
    for labels in (_RTP_LABELS, _RTCP_LABELS):
        encryption, authentication, session_salt = labels
        sets.append(
            SessionKeys(
                _derive(key, salt, encryption, profile.key_size),
                b""
                if profile.is_aead
                else _derive(key, salt, authentication, _AUTHENTICATION_KEY_SIZE),
                _derive(key, salt, session_salt, profile.salt_size),
            )
        )
    return sets[0], sets[1]


def _derive(key: bytes, salt: bytes, label: int, size: int) -> bytes:
    # A salt of 12 octets is followed by zeros up to the 14 of AES-CM (RFC 7714 §11).
    start = int.from_bytes(salt.ljust(14, b"\x00"), "big") ^ label << 48
    counter = modes.CTR((start << 16).to_bytes(16, "big"))
    encryptor = Cipher(algorithms.AES(key), counter).encryptor()
    return encryptor.update(bytes(size))


def split_keying_material(
    profile: ProtectionProfile, material: bytes
) -> tuple[MasterKey, MasterKey]:
    """Return the master keys that the DTLS client and the DTLS server write with.

    Args:
        profile: As negotiated by use_srtp.
        material: What the exporter gave for ``EXTRACTOR-dtls_srtp``: twice key and
            salt, at the least.

    Raises:
        UsageError: It is too short.

    Source: RFC 5764 §4.2.
    """
    key, salt = profile.key_size, profile.salt_size
    if len(material) < 2 * (key + salt):
        raise UsageError(f"{profile.name} wants {2 * (key + salt)} octets of material")
    salts = 2 * key
    return (
        MasterKey(material[:key], material[salts : salts + salt]),
        MasterKey(material[key:salts], material[salts + salt : salts + 2 * salt]),
    )
