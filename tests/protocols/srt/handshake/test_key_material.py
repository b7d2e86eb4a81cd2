"""Key material: SRT draft-01 §3.2.2, §6.1, §6.1.2, §6.1.4, §6.2, §6.2.1, §6.3,
§6.3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError
from sansmedia.srt.constants import KeyState
from sansmedia.srt.extensions_wire import decode_extensions
from sansmedia.srt.handshake_wire import decode_handshake
from sansmedia.srt.key_material import (
    KeyEncryptingKeys,
    make_cipher,
    unwrap_keys,
    wrap_keys,
)
from sansmedia.srt.key_material_wire import (
    EVEN,
    ODD,
    KeyCipher,
    KeyMaterial,
    decode_key_material,
    decode_key_state,
    encode_key_material,
    encode_key_state,
)
from sansmedia.srt.packet_wire import (
    MESSAGE_RETRANSMITTED,
    DataPacket,
    decode_packet,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NAMES = ["libsrt-1.5.1-aes128", "libsrt-1.5.5-gcm128"]


def _recorded(recorded: Any) -> bytes:
    handshake = decode_handshake(recorded.packets[2][16:])
    field = decode_extensions(handshake.extensions, handshake.extension).key_request
    assert field is not None
    return field


@pytest.mark.parametrize("name", _NAMES)
def test_what_libsrt_encrypts_is_decrypted(
    name: str, vector: Callable[[str], Any]
) -> None:
    recorded = vector(name)
    field = _recorded(recorded)
    material = decode_key_material(field)
    assert encode_key_material(material) == field
    assert (material.keys, material.key_length) == (EVEN, 16)
    passphrase = recorded.expected["passphrase"].encode()
    keys = unwrap_keys(material, KeyEncryptingKeys(passphrase))
    cipher = make_cipher(material.cipher, keys[EVEN], material.salt)
    for packet, expected in zip(
        recorded.packets[4:], recorded.expected["plaintexts"], strict=True
    ):
        header = decode_packet(packet)
        assert isinstance(header, DataPacket)
        words = (header.sequence, header.message, header.timestamp, header.destination)
        plain = cipher.open(*words, packet[16:])
        assert plain is not None
        assert plain[:20].hex() == expected
        assert len(plain) == 1316
        assert cipher.seal(*words, plain) == packet[16:]


@pytest.mark.parametrize("name", _NAMES)
def test_another_passphrase_does_not_unwrap(
    name: str, vector: Callable[[str], Any]
) -> None:
    material = decode_key_material(_recorded(vector(name)))
    with pytest.raises(ProtocolError) as caught:
        unwrap_keys(material, KeyEncryptingKeys(b"another passphrase"))
    assert caught.value.code == "secret"


@pytest.mark.parametrize("length", [16, 24, 32])
@pytest.mark.parametrize("which", [(EVEN,), (ODD,), (EVEN, ODD)])
@pytest.mark.parametrize("cipher", list(KeyCipher))
def test_keys_travel(length: int, which: tuple[int, ...], cipher: KeyCipher) -> None:
    secrets = KeyEncryptingKeys(b"0123456789")
    keys = {one: bytes([one]) * length for one in which}
    material = wrap_keys(keys, cipher, b"s" * 16, secrets)
    field = encode_key_material(material)
    assert len(field) == 16 + 16 + 8 + length * len(which)
    assert unwrap_keys(decode_key_material(field), secrets) == keys


@given(
    st.integers(0, 2**31 - 1),
    st.binary(min_size=1, max_size=60),
    st.sampled_from(KeyCipher),
    st.sampled_from([16, 24, 32]),
)
def test_what_is_encrypted_is_decrypted(
    sequence: int, payload: bytes, kind: KeyCipher, length: int
) -> None:
    cipher = make_cipher(kind, b"k" * length, bytes(range(16)))
    other = make_cipher(kind, b"k" * length, bytes(range(16)))
    sealed = cipher.seal(sequence, 5, 6, 7, payload)
    again = 5 | MESSAGE_RETRANSMITTED
    assert other.open(sequence, again, 6, 7, sealed) == payload
    assert cipher.seal(sequence, 5, 6, 7, payload) == sealed


def test_gcm_notices_every_change() -> None:
    cipher = make_cipher(KeyCipher.AES_GCM, b"k" * 16, b"s" * 16)
    sealed = cipher.seal(1, 2, 3, 4, b"payload")
    assert cipher.open(1, 2, 3, 4, sealed) == b"payload"
    assert cipher.open(2, 2, 3, 4, sealed) is None
    assert cipher.open(1, 3, 3, 4, sealed) is None
    assert cipher.open(1, 2, 4, 4, sealed) is None
    assert cipher.open(1, 2, 3, 5, sealed) is None
    assert cipher.open(1, 2, 3, 4, sealed[:-1]) is None
    assert cipher.open(1, 2, 3, 4, b"short") is None
    assert cipher.open(1, 2, 3, 4, b"") is None


def _field(**changes: Any) -> bytearray:
    made = KeyMaterial(
        keys=EVEN,
        cipher=KeyCipher.AES_CTR,
        key_length=16,
        salt=bytes(16),
        wrapped=bytes(24),
    )
    return bytearray(encode_key_material(made))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 0x11),
        (0, 0x92),
        (1, 0x21),
        (3, 0),
        (3, 3),
        (4, 1),
        (8, 0),
        (8, 3),
        (8, 4),
        (9, 1),
        (10, 1),
        (14, 0),
        (14, 8),
        (15, 0),
        (15, 5),
        (15, 6),
        (15, 255),
    ],
)
def test_every_field_that_lies_is_refused(at: int, value: int) -> None:
    field = _field()
    decode_key_material(bytes(field))
    field[at] = value
    with pytest.raises(ProtocolError):
        decode_key_material(bytes(field))


@pytest.mark.parametrize("change", [-56, -41, -40, -24, -8, -1, 1, 16])
def test_every_length_that_lies_is_refused(change: int) -> None:
    field = bytes(_field())
    field = field + bytes(change) if change > 0 else field[:change]
    with pytest.raises(ProtocolError):
        decode_key_material(field)


@given(st.binary(max_size=120))
def test_any_octets_are_key_material_or_refused(octets: bytes) -> None:
    for read in (decode_key_material, decode_key_state):
        try:
            read(octets)
        except ProtocolError:
            continue


@pytest.mark.parametrize("state", list(KeyState))
def test_states_are_read_in_both_orders(state: KeyState) -> None:
    assert encode_key_state(state) == bytes([state, 0, 0, 0])
    assert decode_key_state(bytes([state, 0, 0, 0])) is state
    assert decode_key_state(bytes([0, 0, 0, state])) is state
    assert decode_key_state(bytes(8)) is None


@pytest.mark.parametrize("octets", [b"\6\0\0\0", b"\0\0\0\6", b"\3\1\0\0", b"\3\0\0\3"])
def test_a_word_that_is_no_state_is_refused(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_key_state(octets)
