"""Keys: derived from a passphrase, wrapped for the peer, and put to use.

Source: SRT draft-01 §6.1, §6.2, §6.3.
"""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from sansmedia.sansio import ProtocolError

from .key_material_wire import EVEN, ODD, KeyCipher, KeyMaterial
from .packet_wire import HEADER, MESSAGE_RETRANSMITTED

__all__ = [
    "TAG_SIZE",
    "KeyEncryptingKeys",
    "StreamCipher",
    "make_cipher",
    "unwrap_keys",
    "wrap_keys",
]

TAG_SIZE: Final = 16
"""Octets that AES-GCM makes a packet longer."""
_ROUNDS: Final = 2048
_KEPT: Final = 4


class StreamCipher(Protocol):
    """Encrypts and decrypts packets under one stream encrypting key."""

    def seal(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> bytes:
        """Encrypt; the words are those of the packet's header."""
        ...

    def open(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> bytes | None:
        """Decrypt, or return None if the packet is not what was sent."""
        ...


class _CtrCipher:
    """AES-CTR. Source: SRT draft-01 §6.1.2."""

    __slots__ = ("_prefix", "_reset", "_update")

    def __init__(self, key: bytes, salt: bytes) -> None:
        # One context for all packets: a new one costs 5 µs, a new counter 0.4 µs.
        context = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._reset = context.reset_nonce
        self._update = context.update
        self._prefix = int.from_bytes(salt[:14]) << 16

    def seal(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> bytes:
        self._reset((self._prefix ^ sequence << 16).to_bytes(16))
        return self._update(payload)

    open = seal


class _GcmCipher:
    """AES-GCM over the payload, with the header as associated data.

    No document says how; libsrt since 1.5.4 does it so, as the capture in
    tests/data/srt shows: the nonce is the first 12 octets of the salt, the packet
    sequence number laid over the last four; the header is the one of the first
    sending, without the retransmission flag.
    """

    __slots__ = ("_decrypt", "_encrypt", "_prefix")

    def __init__(self, key: bytes, salt: bytes) -> None:
        aead = AESGCM(key)
        self._encrypt = aead.encrypt
        self._decrypt = aead.decrypt
        self._prefix = int.from_bytes(salt[:12])

    def seal(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> bytes:
        header = HEADER.pack(
            sequence, message & ~MESSAGE_RETRANSMITTED, timestamp, destination
        )
        return self._encrypt((self._prefix ^ sequence).to_bytes(12), payload, header)

    def open(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> bytes | None:
        header = HEADER.pack(
            sequence, message & ~MESSAGE_RETRANSMITTED, timestamp, destination
        )
        nonce = (self._prefix ^ sequence).to_bytes(12)
        try:
            return self._decrypt(nonce, payload, header)
        except InvalidTag:
            return None


def make_cipher(cipher: KeyCipher, key: bytes, salt: bytes) -> StreamCipher:
    """Return what encrypts and decrypts under a key."""
    if cipher is KeyCipher.AES_GCM:
        return _GcmCipher(key, salt)
    return _CtrCipher(key, salt)


class KeyEncryptingKeys:
    """Derives key encrypting keys from a passphrase. Source: SRT draft-01 §6.1.4.

    One costs a millisecond, and a refresh keeps its salt: the last few are kept.

    Args:
        passphrase: Its octets.
    """

    def __init__(self, passphrase: bytes) -> None:
        self._passphrase = passphrase
        self._kept: dict[tuple[bytes, int], bytes] = {}

    def derive(self, salt: bytes, length: int) -> bytes:
        """Return the key for a salt and a length in octets."""
        found = self._kept.get((salt, length))
        if found is None:
            found = hashlib.pbkdf2_hmac(
                "sha1", self._passphrase, salt[-8:], _ROUNDS, length
            )
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[salt, length] = found
        return found


def wrap_keys(
    keys: dict[int, bytes], cipher: KeyCipher, salt: bytes, secrets: KeyEncryptingKeys
) -> KeyMaterial:
    """Wrap one key or two. Source: SRT draft-01 §6.2.1.

    Args:
        keys: By `EVEN` and `ODD`; of one length.
        cipher: What they are for.
        salt: 16 octets.
        secrets: Of the passphrase.
    """
    plain = keys.get(EVEN, b"") + keys.get(ODD, b"")
    length = len(next(iter(keys.values())))
    return KeyMaterial(
        keys=sum(keys),
        cipher=cipher,
        key_length=length,
        salt=salt,
        wrapped=aes_key_wrap(secrets.derive(salt, length), plain),
    )


def unwrap_keys(material: KeyMaterial, secrets: KeyEncryptingKeys) -> dict[int, bytes]:
    """Return the keys by `EVEN` and `ODD`. Source: SRT draft-01 §6.3.1.

    Raises:
        ProtocolError: Code ``secret``: the passphrase is another one.
    """
    length = material.key_length
    try:
        plain = aes_key_unwrap(secrets.derive(material.salt, length), material.wrapped)
    except InvalidUnwrap:
        raise ProtocolError(
            "the keys are wrapped with another passphrase",
            code="secret",
            source="SRT draft-01 §6.3.1",
        ) from None
    if material.keys == EVEN | ODD:
        return {EVEN: plain[:length], ODD: plain[length:]}
    return {material.keys: plain}
