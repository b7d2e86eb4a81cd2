"""Encryption of one connection: keys of both directions, their exchange and refresh.

Source: SRT draft-01 §6; libsrt API-socket-options.md §List of options, where
passphrases differ or are missing.
"""

from __future__ import annotations

import enum
from typing import Final

from sansmedia.sansio import Dice, ProtocolError, UsageError

from .constants import CryptoMode, KeyState, TransmissionType
from .extensions_wire import ExtensionType
from .key_material import (
    TAG_SIZE,
    KeyEncryptingKeys,
    StreamCipher,
    make_cipher,
    unwrap_keys,
    wrap_keys,
)
from .key_material_wire import (
    EVEN,
    ODD,
    SALT_SIZE,
    KeyCipher,
    decode_key_material,
    decode_key_state,
    encode_key_material,
    encode_key_state,
)
from .options import SrtOptions
from .packet_wire import KEY_SHIFT, DataPacket
from .rejections import Refusal, RejectionCode

__all__ = ["GCM_VERSION", "CryptoControl"]

GCM_VERSION: Final = 0x010504
"""The first libsrt whose AES-GCM is sound: before, 65,536 packets shared a nonce."""
_DEFAULT_KEY_LENGTH: Final = 16
_PASSPHRASE_SIZES: Final = range(10, 81)
_KEY_MASK: Final = ~(3 << KEY_SHIFT)
# A sequence number comes again after 2^31 packets, and with it the counter.
_MOST_PACKETS: Final = 1 << 30
_FAST_RETRIES: Final = 10
_SLOW_RETRY: Final = 1.0
_LEAST_RETRY: Final = 0.02
_NEVER: Final = 1 << 62


class _Stage(enum.Enum):
    """Where the sending key is in its life. Source: SRT draft-01 §6.1.6."""

    SETTLED = "settled"
    """One key."""
    ANNOUNCED = "announced"
    """The next one is on its way to the peer."""
    SWITCHED = "switched"
    """The last one may still be needed there."""


def _passphrase_of(options: SrtOptions) -> bytes:
    octets = options.passphrase.encode()
    if octets and len(octets) not in _PASSPHRASE_SIZES:
        raise UsageError("a passphrase has 10 to 80 octets")
    if options.pbkeylen not in (0, 16, 24, 32):
        raise UsageError("a key has 16, 24 or 32 octets")
    return octets


def _has_tsbpd(options: SrtOptions) -> bool:
    if options.tsbpd_mode is None:
        return options.transmission_type is TransmissionType.LIVE
    return options.tsbpd_mode


class CryptoControl:
    """Keys of one connection.

    A handshake's initiator calls `begin` and then `take_answer`, its responder
    `answer`; the connection does the rest. Without a passphrase nothing is encrypted.

    Args:
        options: Of this side.
        dice: Makes keys.

    Raises:
        UsageError: The passphrase or the key length is none that SRT has, or AES-GCM
            is asked for without delivery by time.
    """

    def __init__(self, options: SrtOptions, *, dice: Dice) -> None:
        passphrase = _passphrase_of(options)
        self._dice = dice
        self._mode = options.crypto_mode
        if not _has_tsbpd(options):
            if self._mode is CryptoMode.AES_GCM:
                raise UsageError("AES-GCM needs delivery by time")
            self._mode = CryptoMode.AES_CTR
        self._enforced = options.enforced_encryption
        self._secrets = KeyEncryptingKeys(passphrase) if passphrase else None
        self._pbkeylen = options.pbkeylen
        refresh = min(max(3, options.km_refresh_rate), _MOST_PACKETS)
        self._refresh_rate = refresh
        self._pre_announce = min(max(1, options.km_pre_announce), (refresh - 1) // 2)

        self.state_send = KeyState.UNSECURED
        """How far the peer knows the key that we send with."""
        self.state_receive = KeyState.UNSECURED
        """How far we know the key that the peer sends with."""
        self.cipher = KeyCipher.AES_CTR
        """What is in use, if anything is encrypted."""
        self.key_length = 0
        """Octets of the key in use; 0: nothing is encrypted."""
        self.overhead = 0
        """Octets that a ciphertext is longer than its plaintext."""
        self.refreshes = 0
        """How often the sending key was replaced."""

        self._salt = b""
        self._keys: dict[int, bytes] = {}
        self._current = EVEN
        self._sealer: StreamCipher | None = None
        self._key_bits = 0
        self._openers: list[StreamCipher | None] = [None] * 4
        self._stage = _Stage.SETTLED
        self._count = 0
        self._check_at = _NEVER

        self._first_request = b""
        self._request = b""
        self._request_due = 0.0
        self._request_tries = 0
        self._is_confirmed = False

    @property
    def encryption(self) -> str:
        """What is in use, as in ``AES-CTR-128``; empty for nothing."""
        if not self.key_length:
            return ""
        return f"{self.cipher.name.replace('_', '-')}-{8 * self.key_length}"

    @property
    def has_passphrase(self) -> bool:
        """Whether this side has one."""
        return self._secrets is not None

    # --- the handshake -------------------------------------------------------------

    def begin(self, announced: int = 0) -> bytes | None:
        """Make the first key; return the KMREQ for the handshake, or None without one.

        The same again for a handshake that is repeated.

        Args:
            announced: The peer's key length; it holds where we have none of our own.
        """
        if self._secrets is None:
            return None
        if not self._first_request:
            if self._mode is CryptoMode.AES_GCM:
                self.cipher = KeyCipher.AES_GCM
            self._salt = self._dice(SALT_SIZE)
            self._use_key(self._make_key(announced))
            # One key serves both directions until the other side refreshes its own.
            self._openers[EVEN] = self._cipher_of(EVEN)
            self.state_send = self.state_receive = KeyState.SECURING
            self._first_request = self._wrap()
        return self._first_request

    def take_answer(self, field: bytes | None, *, peer_version: int) -> None:
        """Take the KMRSP of the handshake's answer, or None if there is none.

        Source: SRT draft-01 §3.2.1.2.

        Raises:
            Refusal: Such a connection shall not be.
        """
        try:
            told = None if field is None else decode_key_state(field)
        except ProtocolError as error:
            raise Refusal(RejectionCode.ROGUE, error.reason) from None
        if field is not None and told is None:
            if field != self._first_request:
                self._fail(KeyState.BADSECRET)
            else:
                self._require_sound(peer_version)
                self.state_send = self.state_receive = KeyState.SECURED
        elif told is KeyState.BADSECRET or told is KeyState.BADCRYPTOMODE:
            self._fail(told)
        elif self._secrets is not None:
            # The peer has no passphrase; what it sends comes in the clear.
            self.state_send = KeyState.NOSECRET
            self.state_receive = KeyState.UNSECURED
        elif field is not None:
            self.state_receive = KeyState.NOSECRET
        self._require_agreement()

    def answer(self, field: bytes | None, *, peer_version: int) -> bytes | None:
        """Take the KMREQ of a handshake, or None; return the KMRSP, or None.

        Source: SRT draft-01 §3.2.1.2, §4.3.1.2.2.

        Raises:
            Refusal: Such a connection shall not be.
        """
        if field is None:
            if self._secrets is None:
                return None
            self._send_in_vain(KeyState.NOSECRET)
            told = KeyState.UNSECURED
        elif self._secrets is None:
            self.state_receive = told = KeyState.NOSECRET
        else:
            told = self._take_first_request(field, peer_version)
        self._require_agreement()
        if told is KeyState.SECURED:
            return field
        return encode_key_state(told)

    def _take_first_request(self, field: bytes, peer_version: int) -> KeyState:
        told = self._install(field)
        if told is not KeyState.SECURED:
            self._fail(told)
            self._send_in_vain(told)
            return told
        self._require_sound(peer_version)
        self.state_send = self.state_receive = KeyState.SECURED
        # What we send is encrypted with the same key. Source: SRT draft-01 §6.1.5.
        self._use_key(max(self._keys))
        return told

    def _require_sound(self, peer_version: int) -> None:
        if self.cipher is KeyCipher.AES_GCM and peer_version < GCM_VERSION:
            raise Refusal(
                RejectionCode.CRYPTO, "the peer's AES-GCM is of an unsound version"
            )

    def _require_agreement(self) -> None:
        states = (self.state_send, self.state_receive)
        if KeyState.BADCRYPTOMODE in states:
            raise Refusal(RejectionCode.CRYPTO)
        if self._enforced and states[0] not in (KeyState.UNSECURED, KeyState.SECURED):
            secret = states[0] is KeyState.BADSECRET
            raise Refusal(RejectionCode.BADSECRET if secret else RejectionCode.UNSECURE)
        if self._enforced and states[0] is not states[1]:
            raise Refusal(RejectionCode.UNSECURE)

    def _fail(self, state: KeyState) -> None:
        self.state_send = self.state_receive = state

    def _send_in_vain(self, state: KeyState) -> None:
        """Encrypt what the peer cannot read: in the clear it must not go."""
        if not self._salt:
            self._salt = self._dice(SALT_SIZE)
        self._keys.clear()
        self._use_key(self._make_key(0))
        self.state_send = state

    # --- keys ----------------------------------------------------------------------

    def _make_key(self, announced: int) -> int:
        """Make a key beside the current one; return which it is."""
        which = ODD + EVEN - self._current if self._keys else EVEN
        length = self._pbkeylen or self.key_length or announced
        self._keys[which] = self._dice(length or _DEFAULT_KEY_LENGTH)
        return which

    def _cipher_of(self, which: int) -> StreamCipher:
        return make_cipher(self.cipher, self._keys[which], self._salt)

    def _use_key(self, which: int) -> StreamCipher:
        self._current = which
        self._sealer = self._cipher_of(which)
        self._key_bits = which << KEY_SHIFT
        self.key_length = len(self._keys[which])
        self.overhead = TAG_SIZE if self.cipher is KeyCipher.AES_GCM else 0
        self._count = 0
        self._check_at = self._refresh_rate - self._pre_announce
        return self._sealer

    def _wrap(self) -> bytes:
        if self._secrets is None:
            return b""
        material = wrap_keys(self._keys, self.cipher, self._salt, self._secrets)
        return encode_key_material(material)

    def _install(self, field: bytes) -> KeyState:
        """Take the peer's keys; say how that went."""
        if self._secrets is None:
            return KeyState.NOSECRET
        try:
            material = decode_key_material(field)
            if not self._is_welcome(material.cipher):
                return KeyState.BADCRYPTOMODE
            keys = unwrap_keys(material, self._secrets)
        except ProtocolError as error:
            bad_cipher = error.code == "cipher"
            return KeyState.BADCRYPTOMODE if bad_cipher else KeyState.BADSECRET
        for which, key in keys.items():
            self._openers[which] = make_cipher(material.cipher, key, material.salt)
        if self._sealer is None:
            self.cipher, self._salt, self._keys = material.cipher, material.salt, keys
        return KeyState.SECURED

    def _is_welcome(self, cipher: KeyCipher) -> bool:
        if self._sealer is not None:
            return cipher is self.cipher
        if self._mode is CryptoMode.AUTO:
            return True
        return (cipher is KeyCipher.AES_GCM) == (self._mode is CryptoMode.AES_GCM)

    # --- packets -------------------------------------------------------------------

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        """Return the message word with its key bits, and the ciphertext.

        A packet that is sent again goes as it is; it is not encrypted again.
        """
        sealer = self._sealer
        if sealer is None:
            return message, payload
        self._count += 1
        if self._count > self._check_at:
            sealer = self._manage(sealer)
        message = message & _KEY_MASK | self._key_bits
        return message, sealer.seal(sequence, message, timestamp, destination, payload)

    def decrypt(self, packet: DataPacket) -> bytes | None:
        """Return the plaintext, or None if there is none to have.

        What comes in the clear although both sides have the keys is nobody's.
        """
        message = packet.message
        key = message >> KEY_SHIFT & 3
        if self.state_receive is not KeyState.SECURED:
            if not key:
                return packet.payload
            if self.state_receive is KeyState.UNSECURED:
                # The peer has a passphrase after all.
                self.state_receive = (
                    KeyState.SECURING if self.has_passphrase else KeyState.NOSECRET
                )
            return None
        opener = self._openers[key]
        if opener is None:
            return None
        return opener.open(
            packet.sequence,
            message,
            packet.timestamp,
            packet.destination,
            packet.payload,
        )

    # --- refresh -------------------------------------------------------------------

    def _manage(self, sealer: StreamCipher) -> StreamCipher:
        """Move the key on; return what to use. Source: SRT draft-01 §6.1.6."""
        if self.state_send is not KeyState.SECURED:
            self._check_at = _NEVER
        elif self._stage is _Stage.SETTLED:
            self._make_key(0)
            self._announce()
            self._stage = _Stage.ANNOUNCED
            self._check_at = self._refresh_rate
        elif self._stage is _Stage.SWITCHED:
            self._keys = {self._current: self._keys[self._current]}
            self._stage = _Stage.SETTLED
            self._check_at = self._refresh_rate - self._pre_announce
        elif self._is_confirmed or self._count > _MOST_PACKETS:
            sealer = self._use_key(ODD + EVEN - self._current)
            self._count = 1
            self.refreshes += 1
            self._stage = _Stage.SWITCHED
            self._check_at = self._pre_announce
        else:
            # A key that the peer does not have would stop everything; the old one is
            # good for long. libsrt changes all the same.
            if not self._request:
                self._announce()
            self._check_at = self._count + self._pre_announce
        return sealer

    def _announce(self) -> None:
        self._request = self._wrap()
        self._request_due = 0.0
        self._request_tries = 0
        self._is_confirmed = False

    def take_control(self, now: float, rtt: float) -> list[tuple[int, bytes]]:
        """Return subtype and field of the user-defined packets that are due.

        Key material goes again after 1.5 round trips until it is answered, ten times
        over; then once a second.

        Args:
            now: The time.
            rtt: Seconds of a round trip.
        """
        if not self._request or now < self._request_due:
            return []
        self._request_tries += 1
        wait = max(_LEAST_RETRY, 1.5 * rtt)
        if self._request_tries >= _FAST_RETRIES:
            wait = max(wait, _SLOW_RETRY)
        self._request_due = now + wait
        return [(ExtensionType.KMREQ, self._request)]

    def next_timeout(self) -> float | None:
        """Return when `take_control` has something again; 0.0 is at once."""
        return self._request_due if self._request else None

    def receive_key_request(self, cif: bytes) -> bytes:
        """Take key material of a connection that stands; return the answer's field.

        What is wrong with it does no harm to the keys that are there.
        """
        state = self._install(cif)
        if state is KeyState.SECURED:
            self.state_receive = state
            return cif
        if self.state_receive is not KeyState.SECURED:
            self.state_receive = state
        return encode_key_state(state)

    def receive_key_response(self, cif: bytes) -> None:
        """Take the answer to ours; one that was not waited for is ignored."""
        if not self._request:
            return
        if cif == self._request:
            self._is_confirmed = True
            self._request = b""
            return
        try:
            state = decode_key_state(cif)
        except ProtocolError:
            return
        if state in (
            KeyState.NOSECRET,
            KeyState.BADSECRET,
            KeyState.BADCRYPTOMODE,
        ):
            # It lost its keys, or somebody lies: the current key stays in use, and
            # another try follows at the next check.
            self._request = b""
