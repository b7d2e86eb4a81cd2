"""Values of single attributes, and keys. RFC 8489 §9."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.stun import (
    PASSWORD_ALGORITHMS_FEATURE,
    USERNAME_ANONYMITY_FEATURE,
    ErrorCode,
    ErrorReason,
    PasswordAlgorithm,
    PasswordAlgorithmEntry,
    decode_address,
    decode_error_code,
    decode_password_algorithms,
    decode_text,
    decode_u32,
    decode_u64,
    decode_unknown_attributes,
    decode_xor_address,
    encode_address,
    encode_error_code,
    encode_nonce_cookie,
    encode_password_algorithms,
    encode_unknown_attributes,
    encode_xor_address,
    long_term_key,
    opaque_string,
    security_features,
)

_ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
_hosts = st.ip_addresses().map(str)


@given(_hosts, st.integers(0, 0xFFFF), st.binary(min_size=12, max_size=12))
def test_addresses_are_read_as_written(host: str, port: int, identity: bytes) -> None:
    """RFC 8489 §14.1, §14.2, §14.15."""
    address = (host, port)
    assert decode_address(encode_address(address)) == address
    assert (
        decode_xor_address(encode_xor_address(address, identity), identity) == address
    )


def test_an_address_is_written_as_the_specification_draws_it() -> None:
    assert encode_address(("192.0.2.1", 32853)).hex() == "00018055c0000201"
    xored = encode_xor_address(("192.0.2.1", 32853), _ID)
    assert xored.hex() == "0001a147e112a643"


def test_any_text_of_one_address_is_the_same_address() -> None:
    assert encode_address(("2001:DB8:0::1", 9)) == encode_address(("2001:db8::1", 9))


@pytest.mark.parametrize(
    "value",
    ["", "00", "0001", "0001000001020304ff", "00030000c0000201", "0002000001020304"],
)
def test_addresses_of_another_form_do_not_decode(value: str) -> None:
    with pytest.raises(ProtocolError):
        decode_address(bytes.fromhex(value))
    with pytest.raises(ProtocolError):
        decode_xor_address(bytes.fromhex(value), _ID)


def test_the_reserved_octet_of_an_address_is_ignored() -> None:
    assert decode_address(bytes.fromhex("ff010009c0000201")) == ("192.0.2.1", 9)


@pytest.mark.parametrize("address", [("example.org", 1), ("", 1), ("192.0.2.1", 65536)])
def test_what_is_no_address_is_not_written(address: tuple[str, int]) -> None:
    with pytest.raises(UsageError):
        encode_address(address)


def test_error_codes_bring_their_reason() -> None:
    """RFC 8489 §14.8, RFC 8445 §16.2."""
    value = encode_error_code(ErrorCode.ROLE_CONFLICT)
    assert value == b"\0\0\x04\x57Role Conflict"
    assert decode_error_code(value) == ErrorReason(487, "Role Conflict")
    assert decode_error_code(encode_error_code(508, "Later")) == ErrorReason(
        508, "Later"
    )
    assert decode_error_code(encode_error_code(699)) == ErrorReason(699, "")


@pytest.mark.parametrize("value", ["", "000004", "00000264", "00000700", "00000464ff"])
def test_what_is_no_error_code_does_not_decode(value: str) -> None:
    with pytest.raises(ProtocolError):
        decode_error_code(bytes.fromhex(value))


def test_the_reserved_bits_of_an_error_code_are_ignored() -> None:
    assert decode_error_code(bytes.fromhex("fffffc01")) == ErrorReason(401)


@pytest.mark.parametrize("code", [299, 700])
def test_what_is_no_error_code_is_not_written(code: int) -> None:
    with pytest.raises(UsageError):
        encode_error_code(code)


@given(st.lists(st.integers(0, 0xFFFF), max_size=20))
def test_unknown_attributes_are_read_as_written(types: list[int]) -> None:
    """RFC 8489 §14.13."""
    assert decode_unknown_attributes(encode_unknown_attributes(types)) == types


def test_half_an_unknown_attribute_does_not_decode() -> None:
    with pytest.raises(ProtocolError):
        decode_unknown_attributes(b"\0\1\0")


def test_password_algorithms_are_read_as_written() -> None:
    """RFC 8489 §14.11, §14.12."""
    entries = [
        PasswordAlgorithmEntry(PasswordAlgorithm.SHA256),
        PasswordAlgorithmEntry(0x9000, b"five5"),
        PasswordAlgorithmEntry(PasswordAlgorithm.MD5),
    ]
    value = encode_password_algorithms(entries)
    assert value.hex() == "0002000090000005" + b"five5".hex() + "00000000010000"
    assert decode_password_algorithms(value) == entries
    # The padding of the last one belongs to the attribute.
    last = encode_password_algorithms(entries[:2])
    assert decode_password_algorithms(last[:-3]) == entries[:2]


def test_password_algorithms_cannot_pass_the_end() -> None:
    with pytest.raises(ProtocolError):
        decode_password_algorithms(b"\0\1\0\x08abc")


def test_texts_are_utf8_of_bounded_length() -> None:
    """RFC 8489 §14.3, §14.9, §14.10, §14.14."""
    assert decode_text("Käse".encode()) == "Käse"
    assert len(decode_text(b"x" * 763)) == 763
    for value in (b"\xff", b"x" * 764):
        with pytest.raises(ProtocolError):
            decode_text(value)


def test_integers_have_their_size() -> None:
    """RFC 8445 §16.1."""
    assert decode_u32(b"\x6e\0\1\xff") == 0x6E0001FF
    assert decode_u64(bytes(7) + b"\1") == 1
    for wrong in (b"", bytes(3), bytes(5)):
        with pytest.raises(ProtocolError):
            decode_u32(wrong)
        with pytest.raises(ProtocolError):
            decode_u64(wrong)


def test_the_long_term_key_is_the_one_of_the_specification() -> None:
    """RFC 8489 §9.2.2, §18.5.1."""
    key = long_term_key("user", "realm", "pass")
    assert key.hex() == "8493fbc53ba582fb4c044c456bdc40eb"
    strong = long_term_key("user", "realm", "pass", PasswordAlgorithm.SHA256)
    assert len(strong) == 32


def test_credentials_are_composed_and_their_blanks_made_one_kind() -> None:
    """RFC 8265 §4.2.2."""
    assert opaque_string("a\u00a0b\u3000c") == "a b c"
    assert opaque_string("u\u0308") == "\u00fc"
    # Compatibility forms stay: OpaqueString composes only.
    assert opaque_string("\u2168") == "\u2168"
    for wrong in ("", "a\x00b", "a\nb"):
        with pytest.raises(UsageError):
            opaque_string(wrong)


def test_a_nonce_tells_the_security_features() -> None:
    """RFC 8489 §9.2, §18.1."""
    both = PASSWORD_ALGORITHMS_FEATURE | USERNAME_ANONYMITY_FEATURE
    assert encode_nonce_cookie(0) == "obMatJos2AAAA"
    assert security_features(encode_nonce_cookie(both) + "nonce") == both
    # The vector of RFC 8489 §B.1.
    assert security_features("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA") == 2
    assert security_features("f//499k954d6OL34oL9FSTvy64sA") is None
    assert security_features("obMatJos2AA") is None
    assert security_features("obMatJos2\u00e4\u00e4AA") is None
    assert security_features("obMatJos2A-A=") is None
    with pytest.raises(UsageError):
        encode_nonce_cookie(1 << 24)


@given(st.binary(max_size=30))
def test_any_value_decodes_or_raises_protocol_error(value: bytes) -> None:
    for decode in (
        decode_address,
        decode_error_code,
        decode_unknown_attributes,
        decode_password_algorithms,
        decode_text,
        decode_u32,
        decode_u64,
        lambda octets: decode_xor_address(octets, _ID),
    ):
        with contextlib.suppress(ProtocolError):
            decode(value)


def test_addresses_read_are_in_their_shortest_form() -> None:
    address = ("2001:db8::1", 1)
    exploded = ipaddress.ip_address(address[0]).exploded
    assert decode_address(encode_address((exploded, 1))) == address
