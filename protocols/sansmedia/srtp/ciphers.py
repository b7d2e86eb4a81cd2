"""The transforms of packets, without any state but keys.

Measured per packet of 1,200 octets, as shares of sealing: AES-GCM 0.57 µs; AES-CM by
one context that is given a new counter each time 0.48 µs (a new context each time
2.8 µs); HMAC-SHA1 by copying two prepared SHA-1 states 0.97 µs (`hmac.digest` 1.7 µs).
libsrtp through pylibsrtp takes 1.4 µs (GCM) and 2.0 µs (AES-CM) for the same packets,
one by one and with indexes of its own: it is the tests' judge and no back end.

Source: RFC 3711 §4.1.1, RFC 3711 §4.2.1, RFC 7714 §8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from hmac import compare_digest
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .profiles import ProtectionProfile, SessionKeys

__all__ = ["AeadCipher", "AnyCipher", "CounterCipher", "make_cipher"]

_RTCP_HEADER_SIZE: Final = 8
_ENCRYPTED: Final = 0x80000000
_RTCP_TAG_SIZE: Final = 10
"""Of the AES-CM profiles, 80 bits in each. Source: RFC 5764 §4.1.2."""


class AeadCipher:
    """AES-GCM for RTP or for RTCP. Source: RFC 7714 §8.

    A context takes 2.8 KB and 0.9 µs to make: RTP's is made with the first packet and
    kept, RTCP's is made for each packet.
    """

    __slots__ = ("_gcm", "_key", "_salt")

    tag_size: Final = 16
    rtcp_overhead: Final = 20

    def __init__(self, keys: SessionKeys) -> None:
        self._key = keys.encryption
        self._salt = int.from_bytes(keys.salt, "big")
        self._gcm: AESGCM | None = None

    def _kept(self) -> AESGCM:
        gcm = self._gcm
        if gcm is None:
            gcm = self._gcm = AESGCM(self._key)
        return gcm

    def seal_run(
        self, ssrc: int, index: int, run: Iterable[tuple[bytes, bytes]]
    ) -> list[bytes]:
        """Protect RTP packets of consecutive indexes, each a header and a payload.

        Source: RFC 7714 §8.1, RFC 7714 §8.2.
        """
        encrypt = self._kept().encrypt
        # RFC 7714 §8.1: two zero octets, SSRC, rollover counter, sequence number.
        salt = self._salt ^ ssrc << 48
        sealed = []
        for header, payload in run:
            nonce = (salt ^ index).to_bytes(12, "big")
            sealed.append(header + encrypt(nonce, payload, header))
            index += 1
        return sealed

    def open(
        self, packet: bytes, header_size: int, ssrc: int, index: int
    ) -> bytes | None:
        """Return an RTP packet in the clear, or None if it is not authentic."""
        nonce = (self._salt ^ ssrc << 48 ^ index).to_bytes(12, "big")
        header = packet[:header_size]
        try:
            return header + self._kept().decrypt(nonce, packet[header_size:], header)
        except InvalidTag:
            return None

    def seal_rtcp(self, packet: bytes, ssrc: int, index: int) -> bytes:
        """Protect an RTCP packet. Source: RFC 7714 §9.1, RFC 7714 §9.2."""
        nonce = (self._salt ^ ssrc << 48 ^ index).to_bytes(12, "big")
        header = packet[:_RTCP_HEADER_SIZE]
        word = (_ENCRYPTED | index).to_bytes(4, "big")
        gcm = AESGCM(self._key)
        body = gcm.encrypt(nonce, packet[_RTCP_HEADER_SIZE:], header + word)
        return header + body + word

    def open_rtcp(self, packet: bytes, ssrc: int, word: int) -> bytes | None:
        """Return an RTCP packet in the clear, or None if it is not authentic.

        ``word`` is its last one. Source: RFC 7714 §9.2, RFC 7714 §9.3.
        """
        nonce = (self._salt ^ ssrc << 48 ^ word & ~_ENCRYPTED).to_bytes(12, "big")
        header, last = packet[:_RTCP_HEADER_SIZE], packet[-4:]
        gcm = AESGCM(self._key)
        try:
            if word & _ENCRYPTED:
                body = packet[_RTCP_HEADER_SIZE:-4]
                return header + gcm.decrypt(nonce, body, header + last)
            plain = packet[:-20]
            gcm.decrypt(nonce, packet[-20:-4], plain + last)
        except InvalidTag:
            return None
        return plain


class CounterCipher:
    """AES in counter mode with HMAC-SHA1 for RTP or for RTCP.

    Source: RFC 3711 §4.1.1, RFC 3711 §4.2.1.
    """

    __slots__ = ("_inner", "_outer", "_reset", "_salt", "_update", "tag_size")

    rtcp_overhead: Final = 4 + _RTCP_TAG_SIZE

    def __init__(self, keys: SessionKeys, tag_size: int) -> None:
        counter = modes.CTR(bytes(16))
        encryptor = Cipher(algorithms.AES(keys.encryption), counter).encryptor()
        self._reset = encryptor.reset_nonce
        self._update = encryptor.update
        self._salt = int.from_bytes(keys.salt, "big") << 16
        key = keys.authentication.ljust(64, b"\x00")
        self._inner = hashlib.sha1(bytes(octet ^ 0x36 for octet in key))
        self._outer = hashlib.sha1(bytes(octet ^ 0x5C for octet in key))
        self.tag_size = tag_size

    def _crypt(self, ssrc: int, index: int, data: bytes) -> bytes:
        iv = self._salt ^ ssrc << 64 ^ index << 16
        self._reset(iv.to_bytes(16, "big"))
        return self._update(data)

    def _mac(self, data: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(data)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def seal_run(
        self, ssrc: int, index: int, run: Iterable[tuple[bytes, bytes]]
    ) -> list[bytes]:
        """Protect RTP packets of consecutive indexes, each a header and a payload.

        Source: RFC 3711 §4.1.1, RFC 3711 §4.2.
        """
        reset, update = self._reset, self._update
        copy_inner, copy_outer = self._inner.copy, self._outer.copy
        salt = self._salt ^ ssrc << 64
        tag_size = self.tag_size
        # RFC 3711 §4.2: the rollover counter follows the packet into the hash.
        rollover = (index >> 16).to_bytes(4, "big")
        sealed = []
        for header, payload in run:
            reset((salt ^ index << 16).to_bytes(16, "big"))
            packet = header + update(payload)
            inner = copy_inner()
            inner.update(packet)
            inner.update(rollover)
            outer = copy_outer()
            outer.update(inner.digest())
            sealed.append(packet + outer.digest()[:tag_size])
            index += 1
            if not index & 0xFFFF:
                rollover = (index >> 16).to_bytes(4, "big")
        return sealed

    def open(
        self, packet: bytes, header_size: int, ssrc: int, index: int
    ) -> bytes | None:
        """Return an RTP packet in the clear, or None if it is not authentic."""
        end = len(packet) - self.tag_size
        inner = self._inner.copy()
        inner.update(packet[:end])
        inner.update((index >> 16).to_bytes(4, "big"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        if not compare_digest(outer.digest()[: self.tag_size], packet[end:]):
            return None
        self._reset((self._salt ^ ssrc << 64 ^ index << 16).to_bytes(16, "big"))
        return packet[:header_size] + self._update(packet[header_size:end])

    def seal_rtcp(self, packet: bytes, ssrc: int, index: int) -> bytes:
        """Protect an RTCP packet. Source: RFC 3711 §3.4."""
        body = self._crypt(ssrc, index, packet[_RTCP_HEADER_SIZE:])
        word = (_ENCRYPTED | index).to_bytes(4, "big")
        sealed = packet[:_RTCP_HEADER_SIZE] + body + word
        return sealed + self._mac(sealed)[:_RTCP_TAG_SIZE]

    def open_rtcp(self, packet: bytes, ssrc: int, word: int) -> bytes | None:
        """Return an RTCP packet in the clear, or None if it is not authentic.

        ``word`` stands in front of the tag. Source: RFC 3711 §3.4.
        """
        authentic, tag = packet[:-_RTCP_TAG_SIZE], packet[-_RTCP_TAG_SIZE:]
        if not compare_digest(self._mac(authentic)[:_RTCP_TAG_SIZE], tag):
            return None
        if not word & _ENCRYPTED:
            return authentic[:-4]
        body = authentic[_RTCP_HEADER_SIZE:-4]
        return packet[:_RTCP_HEADER_SIZE] + self._crypt(ssrc, word & ~_ENCRYPTED, body)


AnyCipher: TypeAlias = AeadCipher | CounterCipher


def make_cipher(profile: ProtectionProfile, keys: SessionKeys) -> AnyCipher:
    """Return the cipher of a profile under the given session keys."""
    if profile.is_aead:
        return AeadCipher(keys)
    return CounterCipher(keys, profile.tag_size)
