"""Headers of a stream that is sent."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import RtpStreamWriter, decode_rtp
from sansmedia.sansio import UsageError


def _dice(*throws: bytes) -> RtpStreamWriter:
    left = list(throws)

    def dice(count: int) -> bytes:
        octets = left.pop(0)
        assert len(octets) == count
        return octets

    return RtpStreamWriter(7, 96, dice=dice)


def test_a_run_is_numbered_and_the_last_is_marked() -> None:
    writer = _dice(b"\xff\xfe", b"\xff\xff\xff\xff")
    index, run = writer.write(3_000, [b"a", b"b", b"c"])
    assert index == 0x7FFE
    packets = [decode_rtp(header + payload) for header, payload in run]
    assert [packet.sequence for packet in packets] == [0x7FFE, 0x7FFF, 0x8000]
    assert [packet.marker for packet in packets] == [False, False, True]
    assert {packet.timestamp for packet in packets} == {2_999}
    assert writer.rtp_time(3_000) == 2_999
    assert [packet.payload for packet in packets] == [b"a", b"b", b"c"]
    assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(7, 96)}
    assert writer.index == 0x8001


def test_numbers_go_on_over_the_rollover() -> None:
    """Source: RFC 3711 §3.3.1."""
    writer = _dice(b"\x00\x00", bytes(4))
    writer.index = 0x1FFFF
    index, run = writer.write(0, [b"a", b"b"], marker=False)
    assert (index, writer.index) == (0x1FFFF, 0x20001)
    packets = [decode_rtp(header) for header, _ in run]
    assert [packet.sequence for packet in packets] == [0xFFFF, 0]
    assert not any(packet.marker for packet in packets)


def test_an_extension_goes_with_every_packet() -> None:
    writer = _dice(bytes(2), bytes(4))
    _, run = writer.write(0, [b"a", b"b"], extension=(0xBEDE, b"\x10a\0\0"))
    for header, payload in run:
        packet = decode_rtp(header + payload)
        assert (packet.extension_profile, packet.extension) == (0xBEDE, b"\x10a\0\0")
    with pytest.raises(UsageError):
        writer.write(0, [b"a"], extension=(0xBEDE, b"abc"))


def test_a_run_of_none_takes_no_number() -> None:
    writer = _dice(b"\x00\x05", bytes(4))
    assert writer.write(0, []) == (5, [])
    assert writer.index == 5


@given(st.binary(min_size=6, max_size=6))
def test_streams_begin_in_the_lower_half(octets: bytes) -> None:
    assert _dice(octets[:2], octets[2:]).index < 1 << 15


@pytest.mark.parametrize(("ssrc", "payload_type"), [(-1, 0), (1 << 32, 0), (0, 128)])
def test_numbers_that_cannot_be_are_our_mistake(ssrc: int, payload_type: int) -> None:
    with pytest.raises(UsageError):
        RtpStreamWriter(ssrc, payload_type, dice=os.urandom)
