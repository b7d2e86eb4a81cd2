"""`decode_message` and the values of attributes, over any octets."""

from __future__ import annotations

import contextlib

from sansmedia.sansio import ProtocolError
from sansmedia.stun import (
    AttributeType,
    check_integrity,
    check_integrity_sha256,
    decode_address,
    decode_error_code,
    decode_message,
    decode_password_algorithms,
    decode_text,
    decode_unknown_attributes,
    decode_xor_address,
    encode_address,
    encode_message,
    encode_password_algorithms,
    encode_unknown_attributes,
    encode_xor_address,
    is_stun,
)


def _values(data: bytes, transaction_id: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        address = decode_address(data)
        assert encode_address(address)[1:] == data[1:]
    with contextlib.suppress(ProtocolError):
        address = decode_xor_address(data, transaction_id)
        assert encode_xor_address(address, transaction_id)[1:] == data[1:]
    with contextlib.suppress(ProtocolError):
        assert 300 <= decode_error_code(data).code <= 699
    with contextlib.suppress(ProtocolError):
        types = decode_unknown_attributes(data)
        assert encode_unknown_attributes(types) == data
    with contextlib.suppress(ProtocolError):
        entries = decode_password_algorithms(data)
        again = encode_password_algorithms(entries)
        assert decode_password_algorithms(again) == entries
    with contextlib.suppress(ProtocolError):
        assert decode_text(data).encode() == data


def one_input(data: bytes) -> None:
    # Decoders raise ProtocolError and nothing else; what they accept reads the same
    # after it was written again, and nobody guesses a digest.
    with contextlib.suppress(ProtocolError):
        message = decode_message(data)
        # Methods that others' octets could begin with are for ports of STUN's own.
        assert is_stun(data) == (data[0] < 4)
        again = decode_message(encode_message(message, key=b"k", key_sha256=b"l"))
        assert again == message
        assert check_integrity(again, b"k")
        assert check_integrity_sha256(again, b"l")
        assert not check_integrity(message, b"m")
        assert AttributeType.FINGERPRINT not in dict(message.attributes)
        for _, value in message.attributes[:20]:
            _values(value, message.transaction_id)
    _values(data, bytes(range(12)))
