"""RTP packets, octet for octet. Source: RFC 3550 §5.1, RFC 3550 §5.3.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import (
    HEADER_SIZE,
    RtpPacket,
    decode_rtp,
    encode_header,
    encode_rtp,
    header_size,
    is_rtcp,
    rewrite_header,
)
from sansmedia.sansio import ProtocolError, UsageError

_PLAIN = bytes.fromhex("80e0 1234 00015f90 cafebabe") + b"payload"
_FULL = (
    bytes.fromhex("b2 60 ffff ffffffff 00000001")
    + bytes.fromhex("0000000a 0000000b")  # two contributing sources
    + bytes.fromhex("bede 0001 10610000")  # one word of extension
    + b"media"
    + bytes.fromhex("000003")  # padding
)

u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@st.composite
def packets(draw: st.DrawFn) -> RtpPacket:
    """Draw any packet that can be."""
    has_extension = draw(st.booleans())
    return RtpPacket(
        draw(st.integers(0, 127)),
        draw(u16),
        draw(u32),
        draw(u32),
        draw(st.binary(max_size=40)),
        draw(st.booleans()),
        draw(u16) if has_extension else None,
        bytes(4 * draw(st.integers(0, 5))) if has_extension else b"",
        tuple(draw(st.lists(u32, max_size=15))),
        draw(st.integers(0, 255)),
    )


def test_a_plain_packet_is_read() -> None:
    assert decode_rtp(_PLAIN) == RtpPacket(
        payload_type=96,
        sequence=0x1234,
        timestamp=90_000,
        ssrc=0xCAFEBABE,
        payload=b"payload",
        marker=True,
    )
    assert header_size(_PLAIN) == HEADER_SIZE


def test_sources_extension_and_padding_are_taken_apart() -> None:
    assert decode_rtp(_FULL) == RtpPacket(
        payload_type=96,
        sequence=0xFFFF,
        timestamp=0xFFFFFFFF,
        ssrc=1,
        payload=b"media",
        marker=False,
        extension_profile=0xBEDE,
        extension=bytes.fromhex("10610000"),
        csrcs=(10, 11),
        padding=3,
    )
    assert header_size(_FULL) == 28


def test_an_extension_of_no_words_is_not_the_same_as_none() -> None:
    data = bytes.fromhex("9000 0000 00000000 00000000 bede0000") + b"x"
    packet = decode_rtp(data)
    assert (packet.extension_profile, packet.extension) == (0xBEDE, b"")
    assert encode_rtp(packet) == data


def test_a_packet_of_nothing_but_padding_has_no_payload() -> None:
    """Browsers probe with such packets."""
    packet = decode_rtp(
        bytes.fromhex("a060 0001 00000000 00000001") + bytes(254) + b"\xff"
    )
    assert (packet.payload, packet.padding) == (b"", 255)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (_PLAIN[:11], "truncated"),
        (_FULL[:19], "truncated"),
        (_FULL[:23], "truncated"),
        (_FULL[:27], "truncated"),
        (b"\x00" + _PLAIN[1:], "version"),
        (b"\x40" + _PLAIN[1:], "version"),
        (b"\xc0" + _PLAIN[1:], "version"),
        (_FULL[:-1] + b"\x00", "malformed"),
        (_FULL[:-1] + b"\x09", "malformed"),
        (b"\xa0" + _PLAIN[1:12], "malformed"),
    ],
)
def test_what_is_no_packet_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_rtp(data)
    assert caught.value.code == code


@given(packets())
def test_every_packet_comes_back(packet: RtpPacket) -> None:
    assert decode_rtp(encode_rtp(packet)) == packet


@given(packets())
def test_the_payload_begins_where_the_header_ends(packet: RtpPacket) -> None:
    data = encode_rtp(packet)
    behind = packet.payload + data[len(data) - packet.padding :]
    assert data[header_size(data) :] == (behind if packet.padding else packet.payload)


@given(st.binary(max_size=60))
def test_any_octets_decode_or_are_refused(data: bytes) -> None:
    try:
        packet = decode_rtp(data)
    except ProtocolError:
        return
    again = encode_rtp(packet)
    end = len(data) - packet.padding
    assert again[:end] == data[:end]
    assert decode_rtp(again) == packet


def test_a_quick_header_is_that_of_a_whole_packet() -> None:
    assert encode_header(96, 0x1234, 90_000, 0xCAFEBABE, True) == _PLAIN[:12]
    assert encode_header(96, 0x1234, 90_000, 0xCAFEBABE) == encode_rtp(
        RtpPacket(96, 0x1234, 90_000, 0xCAFEBABE)
    )
    wrapped = encode_header(0, 0x10001, 0x100000002, 3)
    assert wrapped == bytes.fromhex("8000 0001 00000002 00000003")


@given(packets(), st.integers(0, 127), u16, u32, u32)
def test_other_numbers_leave_the_rest_of_a_packet_alone(
    packet: RtpPacket, payload_type: int, sequence: int, timestamp: int, ssrc: int
) -> None:
    data = encode_rtp(packet)
    rewritten = decode_rtp(
        rewrite_header(data, payload_type, sequence, timestamp, ssrc)
    )
    packet.payload_type, packet.sequence = payload_type, sequence
    packet.timestamp, packet.ssrc = timestamp, ssrc
    assert rewritten == packet


@pytest.mark.parametrize("data", [b"", _FULL[:11], _FULL[:22], b"\x00" * 12])
def test_the_size_of_a_header_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        header_size(data)


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(128, 0, 0, 0),
        RtpPacket(0, 0x10000, 0, 0),
        RtpPacket(0, 0, -1, 0),
        RtpPacket(0, 0, 0, 1 << 32),
        RtpPacket(0, 0, 0, 0, extension_profile=0xBEDE, extension=b"abc"),
        RtpPacket(0, 0, 0, 0, extension=b"abcd"),
        RtpPacket(0, 0, 0, 0, csrcs=(0,) * 16),
        RtpPacket(0, 0, 0, 0, padding=256),
        RtpPacket(0, 0, 0, 0, padding=-1),
    ],
)
def test_a_packet_that_cannot_be_is_our_mistake(packet: RtpPacket) -> None:
    with pytest.raises(UsageError):
        encode_rtp(packet)


@pytest.mark.parametrize(
    ("second_octet", "expected"),
    [(95, False), (191, False), (192, True), (200, True), (223, True), (224, False)],
)
def test_control_is_told_from_media_by_the_second_octet(
    second_octet: int, expected: bool
) -> None:
    """Source: RFC 5761 §4."""
    assert is_rtcp(bytes((0x80, second_octet))) is expected
    assert is_rtcp(b"\x80") is False
