"""Key material messages. Source: SRT draft-01 §3.2.2."""

#   0                   1                   2                   3
#   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |S|  V  |   PT  |              Sign             |   Resv1   | KK|
#  |                              KEKI                             |
#  |     Cipher    |      Auth     |       SE      |     Resv2     |
#  |             Resv3             |     SLen/4    |     KLen/4    |
#  |                              Salt                             |
#  |                          Wrapped Key                          |

from __future__ import annotations

import enum
import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError

from .constants import KeyState

__all__ = [
    "EVEN",
    "ODD",
    "SALT_SIZE",
    "KeyCipher",
    "KeyMaterial",
    "decode_key_material",
    "decode_key_state",
    "encode_key_material",
    "encode_key_state",
]

_HEADER: Final = struct.Struct(">BHBIBBBBHBB")
_SOURCE: Final = "SRT draft-01 §3.2.2"
_VERSION_AND_TYPE: Final = 0x12
_SIGN: Final = 0x2029
_ENCAPSULATION: Final = 2

EVEN: Final = 1
"""The even key, in KK."""
ODD: Final = 2
"""The odd key, in KK."""
SALT_SIZE: Final = 16
"""Octets of salt; there is no other size."""
_INTEGRITY_SIZE: Final = 8
_KEY_SIZES: Final = (16, 24, 32)
_KNOWN_STATES: Final = {int(state): state for state in KeyState}


class KeyCipher(enum.IntEnum):
    """What the keys are for."""

    AES_CTR = 2
    AES_GCM = 4


@attrs.frozen(kw_only=True)
class KeyMaterial:
    """One or two stream encrypting keys, wrapped."""

    keys: int
    """`EVEN`, `ODD` or both."""
    cipher: KeyCipher
    key_length: int
    """16, 24 or 32 octets."""
    salt: bytes
    """16 octets."""
    wrapped: bytes
    """The keys, the even one first, and 8 octets that prove them."""

    @property
    def count(self) -> int:
        """How many keys there are."""
        return 2 if self.keys == EVEN | ODD else 1


def decode_key_material(field: bytes) -> KeyMaterial:
    """Read key material.

    Raises:
        ProtocolError: Code ``cipher`` if it is for a cipher that we do not know;
            otherwise ``truncated`` or ``malformed``.
    """
    if len(field) < _HEADER.size:
        raise ProtocolError(
            f"key material of {len(field)} octets", code="truncated", source=_SOURCE
        )
    (
        version_and_type,
        sign,
        keys,
        key_index,
        cipher,
        authentication,
        encapsulation,
        _,
        _,
        salt_words,
        key_words,
    ) = _HEADER.unpack_from(field)
    if version_and_type != _VERSION_AND_TYPE or sign != _SIGN:
        raise ProtocolError("no key material", source=_SOURCE)
    if key_index or encapsulation != _ENCAPSULATION:
        raise ProtocolError("key material of another kind", source=_SOURCE)
    if (cipher, authentication) not in ((2, 0), (4, 1)):
        raise ProtocolError(
            f"key material for cipher {cipher} and authentication {authentication}",
            code="cipher",
            source=_SOURCE,
        )
    material = KeyMaterial(
        keys=keys & 3,
        cipher=KeyCipher(cipher),
        key_length=4 * key_words,
        salt=field[_HEADER.size : _HEADER.size + SALT_SIZE],
        wrapped=field[_HEADER.size + SALT_SIZE :],
    )
    if not material.keys:
        raise ProtocolError("key material without a key", source=_SOURCE)
    if 4 * salt_words != SALT_SIZE or material.key_length not in _KEY_SIZES:
        raise ProtocolError("key material with odd lengths", source=_SOURCE)
    wrapped_size = material.count * material.key_length + _INTEGRITY_SIZE
    if len(material.wrapped) != wrapped_size:
        raise ProtocolError(
            f"{len(material.wrapped)} octets of wrapped keys, {wrapped_size} announced",
            code="truncated",
            source=_SOURCE,
        )
    return material


def encode_key_material(material: KeyMaterial) -> bytes:
    """Write key material."""
    header = _HEADER.pack(
        _VERSION_AND_TYPE,
        _SIGN,
        material.keys,
        0,
        material.cipher,
        1 if material.cipher is KeyCipher.AES_GCM else 0,
        _ENCAPSULATION,
        0,
        0,
        len(material.salt) // 4,
        material.key_length // 4,
    )
    return header + material.salt + material.wrapped


def decode_key_state(field: bytes) -> KeyState | None:
    """Read an answer that is no key material, or return None if it may be some.

    libsrt writes the word in its host's order, which is little-endian everywhere
    today; the draft's figure has it in network order. Both are read.

    Raises:
        ProtocolError: It is one word and no state.
    """
    if len(field) != 4:
        return None
    state = _KNOWN_STATES.get(field[0] if field[0] else field[3])
    if state is None or any(field[1:3]) or (field[0] and field[3]):
        raise ProtocolError("no key state", source="SRT draft-01 §3.2.1.2")
    return state


def encode_key_state(state: KeyState) -> bytes:
    """Write an answer that says why there is no key, as libsrt does."""
    return struct.pack("<I", state)
