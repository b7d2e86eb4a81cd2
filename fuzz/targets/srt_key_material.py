"""Key material, on the wire and for a connection that has keys."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError
from sansmedia.sansio.testing import SeededDice
from sansmedia.srt.constants import KeyState
from sansmedia.srt.crypto import CryptoControl
from sansmedia.srt.key_material import KeyEncryptingKeys, unwrap_keys
from sansmedia.srt.key_material_wire import (
    decode_key_material,
    decode_key_state,
    encode_key_material,
)
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import DataPacket
from sansmedia.srt.rejections import Refusal

_OPTIONS = SrtOptions(passphrase="a passphrase", km_refresh_rate=8, km_pre_announce=3)
_SECRETS = KeyEncryptingKeys(b"a passphrase")
_VERSION = 0x010505


def _sides() -> tuple[CryptoControl, CryptoControl]:
    ours, theirs = (CryptoControl(_OPTIONS, dice=SeededDice(n)) for n in (1, 2))
    answer = theirs.answer(ours.begin(), peer_version=_VERSION)
    ours.take_answer(answer, peer_version=_VERSION)
    return ours, theirs


def _carries(ours: CryptoControl, theirs: CryptoControl, sequence: int) -> bool:
    message, sealed = ours.encrypt(sequence, 0xE000_0001, 5, 6, b"payload")
    packet = DataPacket(sequence, message, 5, 6, sealed)
    return theirs.decrypt(packet) == b"payload"


def one_input(data: bytes) -> None:
    # Key material is refused or written again as it came (reserved fields as zeros),
    # and whatever comes as a request or an answer, keys that are there go on working.
    try:
        material = decode_key_material(data)
    except ProtocolError:
        pass
    else:
        again = encode_key_material(material)
        assert len(again) == len(data)
        assert decode_key_material(again) == material
        try:
            unwrap_keys(material, _SECRETS)
        except ProtocolError:
            pass
        else:
            return  # made with the passphrase: the fuzzer saw ours
    try:
        assert decode_key_state(data) is not None or len(data) != 4
    except ProtocolError:
        assert len(data) == 4
    ours, theirs = _sides()
    for sequence in range(12):
        answer = theirs.receive_key_request(data)
        assert len(answer) == 4 or answer == data
        ours.receive_key_response(data)
        assert _carries(ours, theirs, sequence)
        assert KeyState.SECURED is ours.state_send is theirs.state_receive
    for side in (0, 1):
        fresh = CryptoControl(_OPTIONS, dice=SeededDice(3))
        try:
            if side:
                fresh.begin()
                fresh.take_answer(data, peer_version=_VERSION)
            else:
                fresh.answer(data, peer_version=_VERSION)
        except Refusal:
            continue
        raise AssertionError("nobody knows the passphrase")
