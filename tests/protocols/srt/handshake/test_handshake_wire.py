"""Handshakes and extensions: SRT draft-01 §3.2.1, §3.2.1.1, §3.2.1.1.1, §3.2.1.2,
§3.2.1.3, §3.2.1.4, §4.3."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.srt.extensions_wire import (
    Extensions,
    ExtensionType,
    GroupMembership,
    SrtFlag,
    SrtMessage,
    decode_extensions,
    encode_extensions,
)
from sansmedia.srt.handshake_wire import (
    HANDSHAKE_MAGIC,
    ExtensionField,
    Handshake,
    HandshakeType,
    decode_handshake,
    encode_address,
    encode_handshake,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_WORD = st.integers(0, 2**32 - 1)
_SHORT = st.integers(0, 2**16 - 1)
_ALL = ExtensionField.HSREQ | ExtensionField.KMREQ | ExtensionField.CONFIG
_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)
_MESSAGES = st.builds(SrtMessage, _WORD, _WORD, _SHORT, _SHORT)
_KEYS = st.integers(1, 30).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))

_HANDSHAKES = st.builds(
    Handshake,
    version=_WORD,
    encryption=_SHORT,
    extension=_SHORT,
    initial_sequence=st.integers(0, 2**31 - 1),
    mss=_WORD,
    flow_window=_WORD,
    type=_WORD,
    socket_id=_WORD,
    cookie=_WORD,
    peer_address=st.binary(min_size=16, max_size=16),
    extensions=_KEYS,
)
_EXTENSIONS = st.builds(
    Extensions,
    request=st.none() | _MESSAGES,
    response=st.none() | _MESSAGES,
    key_request=st.none() | _KEYS,
    key_response=st.none() | _KEYS,
    stream_id=st.none() | _TEXT.filter(lambda text: len(text.encode()) <= 512),
    congestion=st.none() | st.sampled_from(["live", "file"]),
    packet_filter=st.none() | st.just("fec,cols:10,rows:5"),
    group=st.none()
    | st.builds(
        GroupMembership, _WORD, st.integers(0, 255), st.integers(0, 255), _SHORT
    ),
)


@pytest.mark.parametrize("name", ["libsrt-1.5.1-aes128", "libsrt-1.5.5-gcm128"])
def test_libsrts_handshakes_are_read_and_written_again(
    name: str, vector: Callable[[str], Any]
) -> None:
    recorded = vector(name)
    expected = recorded.expected
    read = [decode_handshake(packet[16:]) for packet in recorded.packets[:4]]
    assert [encode_handshake(one) for one in read] == [
        packet[16:] for packet in recorded.packets[:4]
    ]
    assert [one.version for one in read] == [4, 5, 5, 5]
    assert [one.type for one in read] == [
        HandshakeType.INDUCTION,
        HandshakeType.INDUCTION,
        HandshakeType.CONCLUSION,
        HandshakeType.CONCLUSION,
    ]
    assert [one.cookie for one in read] == [0] + 3 * [expected["cookie"]]
    assert read[1].extension == HANDSHAKE_MAGIC
    assert {one.initial_sequence for one in read} == {expected["initial_sequence"]}
    assert read[2].socket_id == expected["caller_id"]
    assert read[3].socket_id == expected["listener_id"]
    assert {one.peer_address for one in read} == {encode_address("127.0.0.1")}

    asked = decode_extensions(read[2].extensions, read[2].extension)
    told = decode_extensions(read[3].extensions, read[3].extension)
    assert asked.request is not None
    assert asked.request.version == expected["version"]
    assert asked.request.flags == (
        SrtFlag.TSBPDSND
        | SrtFlag.TSBPDRCV
        | SrtFlag.CRYPT
        | SrtFlag.TLPKTDROP
        | SrtFlag.PERIODICNAK
        | SrtFlag.REXMITFLG
        | SrtFlag.PACKET_FILTER
    )
    assert asked.stream_id == expected.get("stream_id")
    assert told.response is not None
    assert (told.response.receive_delay_ms, told.response.send_delay_ms) == (120, 120)
    assert told.key_response == asked.key_request
    assert asked.skipped == told.skipped == 0
    for one, extensions in ((read[2], asked), (read[3], told)):
        assert encode_extensions(extensions) == (one.extension, one.extensions)


@given(_HANDSHAKES)
@settings(max_examples=50)
def test_a_handshake_comes_back_as_it_was(handshake: Handshake) -> None:
    assert decode_handshake(encode_handshake(handshake)) == handshake


@given(_EXTENSIONS)
@settings(max_examples=50)
def test_extensions_come_back_as_they_were(extensions: Extensions) -> None:
    field, octets = encode_extensions(extensions)
    assert decode_extensions(octets, field) == extensions


@given(st.binary(max_size=200), st.integers(0, 7))
def test_any_octets_are_extensions_or_refused(octets: bytes, field: int) -> None:
    try:
        extensions = decode_extensions(octets, field)
    except ProtocolError:
        return
    assert extensions.skipped <= len(octets) // 4


def _block(kind: int, content: bytes, words: int | None = None) -> bytes:
    count = len(content) // 4 if words is None else words
    return struct.pack(">HH", kind, count) + content


def test_text_stands_in_reversed_words() -> None:
    octets = _block(ExtensionType.SID, b"lbup:hsi\0\0\0x")
    assert decode_extensions(octets, _ALL).stream_id == "publish:x"


@pytest.mark.parametrize("size", [0, 4, 44, 46, 47])
def test_a_handshake_that_is_cut_short_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError):
        decode_handshake(bytes(size))


@pytest.mark.parametrize("size", [49, 50, 51])
def test_a_handshake_that_is_not_made_of_words_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError):
        decode_handshake(bytes(size))


def test_a_sequence_number_of_32_bits_is_refused() -> None:
    octets = bytearray(48)
    octets[8] = 0x80
    with pytest.raises(ProtocolError):
        decode_handshake(bytes(octets))


@pytest.mark.parametrize(
    "octets",
    [
        b"\0",
        b"\0\1\0",
        _block(ExtensionType.HSREQ, bytes(12), 4),
        _block(ExtensionType.HSREQ, bytes(12), 0xFFFF),
        _block(ExtensionType.HSREQ, bytes(8)),
        _block(ExtensionType.HSRSP, b""),
        _block(ExtensionType.KMREQ, b""),
        _block(ExtensionType.KMREQ, bytes(132)),
        _block(ExtensionType.SID, b""),
        _block(ExtensionType.SID, bytes(516)),
        _block(ExtensionType.SID, b"\xff\xff\xff\xff"),
        _block(ExtensionType.SID, b"a\0bc"),
        _block(ExtensionType.CONGESTION, b"evil" * 5),
        _block(ExtensionType.CONGESTION, b""),
        _block(ExtensionType.FILTER, b"evil" * 129),
        _block(ExtensionType.GROUP, bytes(4)),
        _block(99, bytes(4), 2),
        _block(ExtensionType.HSREQ, bytes(12)) + b"\0",
    ],
)
def test_lengths_that_lie_and_texts_that_are_none_are_refused(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_extensions(octets, _ALL)


def test_unknown_repeated_and_unannounced_blocks_are_skipped_and_counted() -> None:
    octets = (
        _block(99, bytes(8))
        + _block(ExtensionType.SID, b"a\0\0\0"[::-1])
        + _block(ExtensionType.SID, b"b\0\0\0"[::-1])
    )
    extensions = decode_extensions(octets, _ALL)
    assert (extensions.stream_id, extensions.skipped) == ("a", 2)
    unannounced = decode_extensions(octets, ExtensionField.HSREQ)
    assert (unannounced.stream_id, unannounced.skipped) == (None, 3)


@pytest.mark.parametrize("text", ["", "x" * 513, "a\0b"])
def test_a_text_that_no_peer_would_take_is_not_written(text: str) -> None:
    with pytest.raises(UsageError):
        encode_extensions(Extensions(stream_id=text))


def test_addresses_are_written_as_libsrt_does() -> None:
    assert encode_address("127.0.0.1") == b"\1\0\0\x7f" + bytes(12)
    assert encode_address("2001:db8::1") == bytes.fromhex(
        "b80d0120 00000000 00000000 01000000"
    )
    assert encode_address("fe80::1%eth0")[:4] == b"\0\0\x80\xfe"
    assert encode_address("nowhere") == bytes(16)
