"""Messages: published vectors, messages of real programs, and what must not decode."""

from __future__ import annotations

import contextlib
import hmac
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.stun import (
    AttributeType,
    Message,
    MessageClass,
    Method,
    PasswordAlgorithm,
    PasswordAlgorithmEntry,
    binding_request,
    check_integrity,
    check_integrity_sha256,
    decode_message,
    decode_password_algorithms,
    decode_text,
    decode_u32,
    decode_u64,
    decode_xor_address,
    encode_message,
    is_stun,
    long_term_key,
    response_to,
    unknown_attributes,
    userhash,
)

_DATA = Path(__file__).resolve().parents[2] / "data" / "stun"
_VECTORS = sorted(path.stem for path in _DATA.glob("*.bin"))
_ID = bytes(range(12))


def _vector(name: str) -> tuple[bytes, dict[str, Any]]:
    expected = tomllib.loads((_DATA / f"{name}.toml").read_text("utf-8"))["expected"]
    return (_DATA / f"{name}.bin").read_bytes(), expected


def _values(message: Message) -> dict[str, Any]:
    """Read every attribute that the vectors' notes speak of."""
    values: dict[str, Any] = {}
    for name in ("username", "realm", "nonce", "software"):
        if (value := message.get(AttributeType[name.upper()])) is not None:
            values[name] = decode_text(value)
    if (value := message.get(AttributeType.PRIORITY)) is not None:
        values["priority"] = decode_u32(value)
    if (value := message.get(AttributeType.ICE_CONTROLLED)) is not None:
        values["ice_controlled"] = decode_u64(value)
    if (value := message.get(AttributeType.XOR_MAPPED_ADDRESS)) is not None:
        values["mapped"] = list(decode_xor_address(value, message.transaction_id))
    return values


@pytest.mark.parametrize("name", _VECTORS)
def test_a_vector_reads_as_its_note_says(name: str) -> None:
    data, expected = _vector(name)
    message = decode_message(data)
    assert is_stun(data)
    assert message.method == Method.BINDING
    assert message.message_class.name == expected["message_class"]
    assert message.has_fingerprint is expected["has_fingerprint"]
    assert [found for found, _ in message.attributes] == expected["types"]
    values = _values(message)
    named = {key: expected[key] for key in values if key in expected}
    assert {key: values[key] for key in named} == named


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in _VECTORS
        if "password" in _vector(name)[1] and "long" not in name
    ],
)
def test_the_integrity_of_a_vector_holds_for_its_password_alone(name: str) -> None:
    data, expected = _vector(name)
    message = decode_message(data)
    assert check_integrity(message, expected["password"].encode())
    assert not check_integrity(message, expected["password"].encode() + b"x")
    assert not check_integrity_sha256(message, expected["password"].encode())


def test_the_long_term_vector_of_rfc_5769_holds_and_is_written_again() -> None:
    data, expected = _vector("rfc5769-long-term")
    message = decode_message(data)
    username = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    assert expected["username"] == username
    key = long_term_key(username, expected["realm"], expected["password"])
    assert check_integrity(message, key)
    assert encode_message(message, key=key, fingerprint=False) == data


def test_the_sha256_vector_holds_and_is_written_again() -> None:
    """RFC 8489 §B.1, §14.4, §18.5."""
    data, expected = _vector("rfc8489-long-term-sha256")
    message = decode_message(data)
    key = long_term_key(
        expected["long_term_user"],
        expected["realm"],
        expected["password"],
        PasswordAlgorithm.SHA256,
    )
    weaker = long_term_key(
        expected["long_term_user"], expected["realm"], expected["password"]
    )
    assert check_integrity_sha256(message, key)
    assert not check_integrity_sha256(message, weaker)
    assert encode_message(message, key_sha256=key, fingerprint=False) == data
    algorithm = message.get(AttributeType.PASSWORD_ALGORITHM)
    assert algorithm is not None
    assert decode_password_algorithms(algorithm) == [
        PasswordAlgorithmEntry(PasswordAlgorithm.SHA256)
    ]
    assert message.get(AttributeType.USERHASH) == userhash(
        expected["long_term_user"], expected["realm"]
    )


@pytest.mark.parametrize("name", ["chromium-156-nomination", "ffmpeg-9.0.2-nomination"])
def test_a_message_of_a_real_client_is_written_again(name: str) -> None:
    data, expected = _vector(name)
    password = expected.get("password")
    if password is None:
        # The peer's password was not kept: without its digest it is as long.
        again = encode_message(decode_message(data), key=b"?")
        assert len(again) == len(data)
        assert again[:-32] == data[:-32]
    else:
        assert encode_message(decode_message(data), key=password.encode()) == data


def _message(**changes: Any) -> bytes:
    message = binding_request(_ID, [(AttributeType.USERNAME, b"a:b")])
    return encode_message(message, key=b"password", **changes)


def test_classes_and_methods_lie_around_each_other() -> None:
    """RFC 8489 §5, §18: C1 is bit 8, C0 is bit 4."""
    types = {
        (MessageClass.REQUEST, 0x001): "0001",
        (MessageClass.INDICATION, 0x001): "0011",
        (MessageClass.SUCCESS, 0x001): "0101",
        (MessageClass.ERROR, 0x001): "0111",
        (MessageClass.ERROR, 0xFFF): "3fff",
        (MessageClass.REQUEST, 0x003): "0003",
    }
    for (message_class, method), expected in types.items():
        octets = encode_message(Message(message_class, method, _ID), fingerprint=False)
        assert octets[:2].hex() == expected
        assert decode_message(octets) == Message(message_class, method, _ID)


_attribute_types = st.integers(0, 0xFFFF).filter(
    lambda number: number not in (0x0008, 0x001C, 0x8028)
)


@given(
    st.sampled_from(MessageClass),
    st.integers(0, 0xFFF),
    st.binary(min_size=12, max_size=12),
    st.lists(st.tuples(_attribute_types, st.binary(max_size=40)), max_size=6),
    st.booleans(),
)
def test_what_is_written_is_read(
    message_class: MessageClass,
    method: int,
    transaction_id: bytes,
    attributes: list[tuple[int, bytes]],
    fingerprint: bool,
) -> None:
    message = Message(message_class, method, transaction_id, attributes)
    octets = encode_message(
        message, key=b"first", key_sha256=b"second", fingerprint=fingerprint
    )
    again = decode_message(octets)
    assert again == message
    assert again.has_fingerprint is fingerprint
    assert check_integrity(again, b"first")
    assert check_integrity_sha256(again, b"second")
    assert not check_integrity(again, b"second")


@given(st.binary(max_size=200))
@example(_message())
def test_any_octets_decode_or_raise_protocol_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode_message(data)


@given(st.data())
def test_no_changed_octet_passes_the_integrity_check(data: st.DataObject) -> None:
    octets = bytearray(_message(fingerprint=False))
    # The last octets of USERNAME's padding are covered too.
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        message = decode_message(bytes(octets))
    except ProtocolError:
        return
    assert not check_integrity(message, b"password")


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"", "truncated"),
        (_message()[:19], "truncated"),
        (b"\x40" + _message()[1:], "malformed"),
        (_message()[:4] + b"\0" + _message()[5:], "malformed"),
        (_message()[:-4], "malformed"),
        (_message() + bytes(4), "malformed"),
        (_message()[:-1] + b"\0", "fingerprint"),
        # An attribute that says it is longer than the message.
        (bytes.fromhex("000100042112a442") + _ID + b"\x00\x06\x00\x04", "truncated"),
        # Two octets of an attribute.
        (bytes.fromhex("000100022112a442") + _ID + b"\x00\x06", "malformed"),
        # A digest of 16 octets.
        (
            bytes.fromhex("000100142112a442") + _ID + b"\0\x08\0\x10" + bytes(16),
            "malformed",
        ),
        # A SHA-256 digest of 12 octets.
        (
            bytes.fromhex("000100102112a442") + _ID + b"\0\x1c\0\x0c" + bytes(12),
            "malformed",
        ),
        # A fingerprint in front of something else.
        (
            bytes.fromhex("0001000c2112a442")
            + _ID
            + b"\x80\x28\0\x04"
            + bytes(4)
            + b"\0\x25\0\0",
            "fingerprint",
        ),
    ],
)
def test_what_breaks_the_structure_does_not_decode(octets: bytes, code: str) -> None:
    """RFC 8489 §14.5, §14.6, §14.7."""
    with pytest.raises(ProtocolError) as caught:
        decode_message(octets)
    assert caught.value.code == code


def _append(octets: bytes, attribute: bytes) -> bytes:
    longer = octets + attribute
    return longer[:2] + (len(longer) - 20).to_bytes(2, "big") + longer[4:]


def test_what_somebody_appends_behind_the_integrity_is_ignored() -> None:
    signed = _message(fingerprint=False)
    message = decode_message(_append(signed, b"\0\x25\0\0"))
    assert message.get(AttributeType.USE_CANDIDATE) is None
    assert check_integrity(message, b"password")


def test_what_somebody_appends_behind_the_sha256_integrity_is_ignored() -> None:
    signed = _message(key_sha256=b"other", fingerprint=False)
    # A second digest of the older kind counts as little.
    late = _append(signed, b"\0\x08\0\x14" + bytes(20))
    message = decode_message(_append(late, b"\0\x25\0\0"))
    assert message.attributes == [(AttributeType.USERNAME, b"a:b")]
    assert check_integrity(message, b"password")
    assert check_integrity_sha256(message, b"other")


def test_a_truncated_sha256_value_counts_if_the_usage_allows_it() -> None:
    octets = bytes.fromhex("0001001c2112a442") + _ID + b"\x80\x22\0\x04test"
    digest = hmac.digest(b"other", octets, "sha256")
    message = decode_message(octets + b"\0\x1c\0\x10" + digest[:16])
    assert check_integrity_sha256(message, b"other", shortest=16)
    assert not check_integrity_sha256(message, b"wrong", shortest=16)
    assert not check_integrity_sha256(message, b"other", shortest=20)
    assert not check_integrity_sha256(message, b"other")


def test_the_first_of_two_equal_types_counts() -> None:
    message = Message(
        MessageClass.REQUEST, Method.BINDING, _ID, [(6, b"first"), (6, b"second")]
    )
    assert decode_message(encode_message(message)).get(6) == b"first"


def test_padding_may_be_anything() -> None:
    """RFC 8489 §14; the vectors of RFC 5769 pad with blanks."""
    octets = bytearray(_message(fingerprint=False))
    zero_padded = decode_message(bytes(octets))
    at = octets.index(b"a:b") + 3
    octets[at] = 0x20
    assert decode_message(bytes(octets)) == zero_padded


def test_unknown_attributes_are_those_that_must_be_understood() -> None:
    message = binding_request(
        _ID, [(0x0006, b""), (0x7FFF, b""), (0x8000, b""), (0xC057, b"\0\0\0\1")]
    )
    assert unknown_attributes(message, {0x0006}) == [0x7FFF]


def test_an_answer_has_the_method_and_transaction_of_its_request() -> None:
    """RFC 8489 §6.1, §6.3.1.1."""
    request = Message(MessageClass.REQUEST, 0x005, _ID)
    assert response_to(request, MessageClass.ERROR, []) == Message(
        MessageClass.ERROR, 0x005, _ID
    )


def test_what_shares_the_port_is_no_stun() -> None:
    """RFC 7983 §7."""
    message = _message()
    assert is_stun(message)
    assert not is_stun(b"\x16" + message[1:])
    assert not is_stun(b"\x80" + message[1:])
    assert not is_stun(message[:19])
    assert not is_stun(message[:4] + b"\0\0\0\0" + message[8:])


@pytest.mark.parametrize(
    "message",
    [
        Message(MessageClass.REQUEST, 1 << 12, _ID),
        Message(MessageClass.REQUEST, 1, bytes(11)),
        Message(MessageClass.REQUEST, 1, _ID, [(0x8022, bytes(0xFFF0))]),
    ],
)
def test_what_does_not_fit_is_not_written(message: Message) -> None:
    with pytest.raises(UsageError):
        encode_message(message)
