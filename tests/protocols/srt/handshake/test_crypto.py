"""Encryption of a connection: SRT draft-01 §6, §6.1.5, §6.1.6, §3.2.1.2, §4.3.1.2.2,
libsrt API-socket-options.md §List of options."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest
from sansmedia.sansio import UsageError
from sansmedia.sansio.testing import SeededDice
from sansmedia.srt.constants import CryptoMode, KeyState, TransmissionType
from sansmedia.srt.crypto import CryptoControl
from sansmedia.srt.key_material_wire import (
    EVEN,
    ODD,
    decode_key_material,
    encode_key_state,
)
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import DataPacket
from sansmedia.srt.rejections import Refusal, RejectionCode

_SECRET = "a passphrase"
_VERSION = 0x010505
_S = KeyState


def _side(seed: int, **options: Any) -> CryptoControl:
    return CryptoControl(SrtOptions(**options), dice=SeededDice(seed))


def _shake(caller: CryptoControl, listener: CryptoControl, announced: int = 0) -> None:
    field = listener.answer(caller.begin(announced), peer_version=_VERSION)
    caller.take_answer(field, peer_version=_VERSION)


def _sides(**options: Any) -> tuple[CryptoControl, CryptoControl]:
    sides = _side(1, **options), _side(2, **options)
    _shake(*sides)
    return sides


def _states(*sides: CryptoControl) -> list[KeyState]:
    return [one for side in sides for one in (side.state_send, side.state_receive)]


def _packet(sender: CryptoControl, sequence: int, payload: bytes) -> DataPacket:
    message, sealed = sender.encrypt(sequence, 0xE0000001, 1000, 77, payload)
    return DataPacket(sequence, message, 1000, 77, sealed)


def _carries(sender: CryptoControl, receiver: CryptoControl, sequence: int) -> bool:
    payload = b"payload %d" % sequence
    return receiver.decrypt(_packet(sender, sequence, payload)) == payload


@pytest.mark.parametrize("mode", [CryptoMode.AES_CTR, CryptoMode.AES_GCM])
@pytest.mark.parametrize("length", [0, 16, 24, 32])
def test_both_directions_are_encrypted(mode: CryptoMode, length: int) -> None:
    sides = _sides(passphrase=_SECRET, pbkeylen=length, crypto_mode=mode)
    assert _states(*sides) == [_S.SECURED] * 4
    for sender, receiver in (sides, sides[::-1]):
        assert sender.key_length == (length or 16)
        packet = _packet(sender, 5, b"secret")
        assert packet.key == EVEN
        assert len(packet.payload) == 6 + sender.overhead
        assert packet.payload[:6] != b"secret"
        assert receiver.decrypt(packet) == b"secret"
    assert sides[0].overhead == (16 if mode is CryptoMode.AES_GCM else 0)


def test_without_passphrases_nothing_is_encrypted() -> None:
    sides = _sides()
    assert sides[0].begin() is None
    assert _states(*sides) == [_S.UNSECURED] * 4
    assert sides[0].encrypt(1, 2, 3, 4, b"plain") == (2, b"plain")
    assert _carries(*sides, 1)


def test_a_key_length_that_the_listener_announces_holds() -> None:
    caller, listener = _side(1, passphrase=_SECRET), _side(2, passphrase=_SECRET)
    _shake(caller, listener, announced=32)
    assert (caller.key_length, listener.key_length) == (32, 32)


@pytest.mark.parametrize(
    ("caller", "listener", "code"),
    [
        (_SECRET, "another passphrase", RejectionCode.BADSECRET),
        (_SECRET, "", RejectionCode.UNSECURE),
        ("", _SECRET, RejectionCode.UNSECURE),
    ],
)
def test_an_enforcing_listener_refuses_what_does_not_match(
    caller: str, listener: str, code: RejectionCode
) -> None:
    with pytest.raises(Refusal) as caught:
        _shake(_side(1, passphrase=caller), _side(2, passphrase=listener))
    assert caught.value.rejection is code


@pytest.mark.parametrize(
    ("caller", "listener", "code"),
    [
        (_SECRET, "another passphrase", RejectionCode.BADSECRET),
        (_SECRET, "", RejectionCode.UNSECURE),
        ("", _SECRET, RejectionCode.UNSECURE),
    ],
)
def test_an_enforcing_caller_refuses_what_a_lax_listener_let_in(
    caller: str, listener: str, code: RejectionCode
) -> None:
    ours = _side(1, passphrase=caller)
    theirs = _side(2, passphrase=listener, enforced_encryption=False)
    field = theirs.answer(ours.begin(), peer_version=_VERSION)
    with pytest.raises(Refusal) as caught:
        ours.take_answer(field, peer_version=_VERSION)
    assert caught.value.rejection is code


@pytest.mark.parametrize(
    ("caller", "listener", "states"),
    [
        (_SECRET, "another passphrase", [_S.BADSECRET] * 4),
        (_SECRET, "", [_S.NOSECRET, _S.UNSECURED, _S.UNSECURED, _S.NOSECRET]),
        ("", _SECRET, [_S.UNSECURED, _S.NOSECRET, _S.NOSECRET, _S.UNSECURED]),
    ],
)
def test_lax_sides_stand_and_cannot_read_what_is_encrypted(
    caller: str, listener: str, states: list[KeyState]
) -> None:
    sides = (
        _side(1, passphrase=caller, enforced_encryption=False),
        _side(2, passphrase=listener, enforced_encryption=False),
    )
    _shake(*sides)
    assert _states(*sides) == states
    for sender, receiver in (sides, sides[::-1]):
        # Who has no passphrase sends in the clear, and that is read.
        assert _carries(sender, receiver, 1) == (not sender.has_passphrase)


@pytest.mark.parametrize(
    ("caller", "listener", "agreed"),
    [
        (0, 0, 2),
        (0, 1, 2),
        (0, 2, None),
        (1, 0, 2),
        (1, 1, 2),
        (1, 2, None),
        (2, 0, 4),
        (2, 1, None),
        (2, 2, 4),
    ],
)
def test_ciphers_are_agreed_on_as_libsrts_table_has_it(
    caller: int, listener: int, agreed: int | None
) -> None:
    sides = (
        _side(1, passphrase=_SECRET, crypto_mode=CryptoMode(caller)),
        _side(2, passphrase=_SECRET, crypto_mode=CryptoMode(listener)),
    )
    if agreed is None:
        with pytest.raises(Refusal) as caught:
            _shake(*sides)
        assert caught.value.rejection is RejectionCode.CRYPTO
    else:
        _shake(*sides)
        assert [side.cipher for side in sides] == [agreed] * 2
        assert _carries(*sides, 9)


def test_different_ciphers_are_never_let_in() -> None:
    caller = _side(1, passphrase=_SECRET, enforced_encryption=False)
    caller.begin()
    with pytest.raises(Refusal) as caught:
        caller.take_answer(encode_key_state(_S.BADCRYPTOMODE), peer_version=_VERSION)
    assert caught.value.rejection is RejectionCode.CRYPTO


def test_gcm_of_an_unsound_version_is_refused() -> None:
    options = {"passphrase": _SECRET, "crypto_mode": CryptoMode.AES_GCM}
    caller, listener = _side(1, **options), _side(2, **options)
    request = caller.begin()
    with pytest.raises(Refusal):
        listener.answer(request, peer_version=0x010503)
    with pytest.raises(Refusal) as caught:
        caller.take_answer(request, peer_version=0x010503)
    assert caught.value.rejection is RejectionCode.CRYPTO


def test_an_answer_that_is_not_what_was_asked_is_a_wrong_secret() -> None:
    caller = _side(1, passphrase=_SECRET)
    caller.begin()
    with pytest.raises(Refusal) as caught:
        caller.take_answer(bytes(56), peer_version=_VERSION)
    assert caught.value.rejection is RejectionCode.BADSECRET


@pytest.mark.parametrize("field", [bytes(4), b"\x99\0\0\0", bytes(7), bytes(80)])
def test_a_request_that_is_none_is_refused(field: bytes) -> None:
    listener = _side(1, passphrase=_SECRET)
    with pytest.raises(Refusal) as caught:
        listener.answer(field, peer_version=_VERSION)
    assert caught.value.rejection is RejectionCode.BADSECRET


def test_an_answer_that_is_no_state_is_refused() -> None:
    caller = _side(1, passphrase=_SECRET)
    caller.begin()
    with pytest.raises(Refusal) as caught:
        caller.take_answer(b"\x99\0\0\0", peer_version=_VERSION)
    assert caught.value.rejection is RejectionCode.ROGUE


def test_plain_packets_are_not_taken_once_both_have_the_keys() -> None:
    _, listener = _sides(passphrase=_SECRET)
    assert listener.decrypt(DataPacket(1, 0xC0000001, 0, 7, b"forged")) is None


@pytest.mark.parametrize(("passphrase", "state"), [("", 3), (_SECRET, 1)])
def test_a_peer_that_surprises_with_encryption_is_noted(
    passphrase: str, state: int
) -> None:
    side = _side(1, passphrase=passphrase)
    assert side.decrypt(DataPacket(1, 0xC8000001, 0, 7, b"?")) is None
    assert side.state_receive == state


def _exchange(sender: CryptoControl, receiver: CryptoControl, now: float) -> bool:
    due = sender.take_control(now, 0.1)
    for subtype, field in due:
        assert subtype == 3
        sender.receive_key_response(receiver.receive_key_request(field))
    return bool(due)


@pytest.mark.parametrize("mode", [CryptoMode.AES_CTR, CryptoMode.AES_GCM])
def test_keys_are_refreshed_without_a_packet_lost(mode: CryptoMode) -> None:
    sides = _sides(
        passphrase=_SECRET, km_refresh_rate=20, km_pre_announce=5, crypto_mode=mode
    )
    for sender, receiver in (sides, sides[::-1]):
        used = []
        late = _packet(sender, 0, b"late")
        for sequence in range(1, 100):
            packet = _packet(sender, sequence, b"payload")
            used.append(packet.key)
            assert receiver.decrypt(packet) == b"payload"
            _exchange(sender, receiver, float(sequence))
            if sequence == 24:
                # Both keys are known around the change.
                assert packet.key == ODD
                assert receiver.decrypt(late) == b"late"
        assert sender.refreshes == 4
        assert used[:45] == [EVEN] * 19 + [ODD] * 20 + [EVEN] * 6
        assert sender.next_timeout() is None


def test_an_announcement_names_both_keys_and_the_salt_stays() -> None:
    sender, receiver = _sides(passphrase=_SECRET, km_refresh_rate=20, km_pre_announce=5)
    first = decode_key_material(sender.begin() or b"")
    for sequence in range(16):
        assert sender.next_timeout() is None
        _packet(sender, sequence, b"")
    assert sender.next_timeout() == 0.0
    [(_, field)] = sender.take_control(100.0, 0.1)
    announced = decode_key_material(field)
    assert (announced.keys, announced.salt) == (EVEN | ODD, first.salt)
    assert receiver.receive_key_request(field) == field


def test_key_material_is_repeated_until_it_is_answered() -> None:
    sender, receiver = _sides(passphrase=_SECRET, km_refresh_rate=20, km_pre_announce=5)
    for sequence in range(16):
        _packet(sender, sequence, b"")
    now, sent = 100.0, []
    for _ in range(12):
        [(_, field)] = sender.take_control(now, 0.1)
        assert sender.take_control(now, 0.1) == []
        sent.append(now)
        due = sender.next_timeout()
        assert due is not None
        now = due
    gaps = [round(b - a, 3) for a, b in itertools.pairwise(sent)]
    assert gaps == [0.15] * 9 + [1.0] * 2
    sender.receive_key_response(receiver.receive_key_request(field))
    assert sender.next_timeout() is None
    assert sender.take_control(now, 0.1) == []


def test_a_key_that_the_peer_never_got_is_not_used() -> None:
    sender, receiver = _sides(passphrase=_SECRET, km_refresh_rate=20, km_pre_announce=5)
    for sequence in range(100):
        assert _carries(sender, receiver, sequence)
    assert sender.refreshes == 0
    # The next announcement arrives, and the change comes with the next check.
    assert _exchange(sender, receiver, 100.0)
    for sequence in range(100, 110):
        assert _carries(sender, receiver, sequence)
    assert sender.refreshes == 1


def test_a_peer_that_cannot_read_the_next_key_is_asked_again() -> None:
    sender, receiver = _sides(passphrase=_SECRET, km_refresh_rate=20, km_pre_announce=5)
    for sequence in range(16):
        _packet(sender, sequence, b"")
    sender.take_control(100.0, 0.1)
    sender.receive_key_response(b"\x77\0\0\0")
    assert sender.next_timeout() is not None
    sender.receive_key_response(encode_key_state(_S.BADSECRET))
    assert sender.next_timeout() is None
    for sequence in range(16, 30):
        assert _carries(sender, receiver, sequence)
    assert sender.next_timeout() == 0.0
    assert sender.state_send is _S.SECURED


def test_answers_that_nobody_waits_for_are_ignored() -> None:
    sender, receiver = _sides(passphrase=_SECRET)
    sender.receive_key_response(encode_key_state(_S.BADSECRET))
    sender.receive_key_response(b"")
    assert _carries(sender, receiver, 1)


@pytest.mark.parametrize("damage", [0, 3, 8, 15, 30, 50, 70])
def test_a_damaged_announcement_does_no_harm(damage: int) -> None:
    sender, receiver = _sides(passphrase=_SECRET, km_refresh_rate=20, km_pre_announce=5)
    for sequence in range(16):
        _packet(sender, sequence, b"")
    [(_, field)] = sender.take_control(100.0, 0.1)
    damaged = bytearray(field)
    damaged[damage] ^= 0xFF
    answer = receiver.receive_key_request(bytes(damaged))
    assert answer[0] in (_S.BADSECRET, _S.BADCRYPTOMODE)
    assert len(answer) == 4
    assert _carries(sender, receiver, 20)


def test_key_material_for_a_side_without_a_passphrase_is_answered_so() -> None:
    side = _side(1)
    field = _side(2, passphrase=_SECRET).begin()
    assert side.receive_key_request(field or b"") == encode_key_state(_S.NOSECRET)
    assert side.state_receive is _S.NOSECRET


@pytest.mark.parametrize(
    "options",
    [
        SrtOptions(passphrase="too short"),
        SrtOptions(passphrase="x" * 81),
        SrtOptions(passphrase=_SECRET, pbkeylen=20),
        SrtOptions(
            passphrase=_SECRET,
            crypto_mode=CryptoMode.AES_GCM,
            transmission_type=TransmissionType.FILE,
        ),
    ],
)
def test_options_that_srt_does_not_have_are_refused(options: SrtOptions) -> None:
    with pytest.raises(UsageError):
        CryptoControl(options, dice=SeededDice(1))


def test_a_listener_without_delivery_by_time_takes_ctr_alone() -> None:
    caller = _side(1, passphrase=_SECRET, crypto_mode=CryptoMode.AES_GCM)
    listener = _side(2, passphrase=_SECRET, transmission_type=TransmissionType.FILE)
    with pytest.raises(Refusal):
        listener.answer(caller.begin(), peer_version=_VERSION)


def test_same_dice_same_keys() -> None:
    options = attrs.asdict(SrtOptions(passphrase=_SECRET))
    assert _side(3, **options).begin() == _side(3, **options).begin()
