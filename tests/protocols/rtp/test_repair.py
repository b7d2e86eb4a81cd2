"""Retransmissions and redundant blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import (
    RedBlock,
    RtpPacket,
    decode_red,
    encode_red,
    unwrap_red,
    unwrap_rtx,
    wrap_rtx,
)
from sansmedia.sansio import ProtocolError, UsageError

_ORIGINAL = RtpPacket(
    96, 0xABCD, 5, 7, b"media", True, 0xBEDE, b"\x10a\0\0", (1, 2), padding=3
)


def test_a_retransmission_carries_the_original() -> None:
    """Source: RFC 4588 §4."""
    sent = wrap_rtx(_ORIGINAL, ssrc=8, payload_type=97, sequence=0x10001)
    assert (sent.ssrc, sent.payload_type, sent.sequence) == (8, 97, 1)
    assert sent.payload == b"\xab\xcdmedia"
    came = unwrap_rtx(sent, 7, 96)
    expected = RtpPacket(96, 0xABCD, 5, 7, b"media", True, 0xBEDE, b"\x10a\0\0", (1, 2))
    assert came == expected


def test_padding_on_the_retransmission_stream_carries_nothing() -> None:
    assert unwrap_rtx(RtpPacket(97, 1, 5, 8, padding=200), 7, 96) is None


def test_half_a_sequence_number_is_refused() -> None:
    with pytest.raises(ProtocolError):
        unwrap_rtx(RtpPacket(97, 1, 5, 8, b"\xab"), 7, 96)


def test_redundant_blocks_are_taken_apart() -> None:
    """Source: RFC 2198 §3."""
    blocks = [
        RedBlock(111, b"AB", 960),
        RedBlock(111, b"abc", 480),
        RedBlock(111, b"main"),
    ]
    octets = (
        (0xEF << 24 | 960 << 10 | 2).to_bytes(4, "big")
        + (0xEF << 24 | 480 << 10 | 3).to_bytes(4, "big")
        + b"\x6fABabcmain"
    )
    assert decode_red(octets) == blocks
    assert encode_red(blocks) == octets
    assert decode_red(b"\x6f") == [RedBlock(111, b"")]


@pytest.mark.parametrize("octets", ["", "ef", "ef000000", "ef000003 6f6162"])
def test_a_block_beyond_the_end_is_refused(octets: str) -> None:
    with pytest.raises(ProtocolError):
        decode_red(bytes.fromhex(octets))


@given(
    st.lists(
        st.builds(
            RedBlock,
            st.integers(0, 127),
            st.binary(max_size=1023),
            st.integers(0, 0x3FFF),
        ),
        max_size=4,
    ),
    st.builds(RedBlock, st.integers(0, 127), st.binary(max_size=50)),
)
def test_blocks_come_back(redundant: list[RedBlock], primary: RedBlock) -> None:
    blocks = [*redundant, primary]
    assert decode_red(encode_red(blocks)) == blocks


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [RedBlock(1, bytes(1024), 1), RedBlock(1, b"")],
        [RedBlock(1, b"", 1 << 14), RedBlock(1, b"")],
        [RedBlock(128, b"", 1), RedBlock(1, b"")],
        [RedBlock(1, b"", 5)],
    ],
)
def test_blocks_that_cannot_be_are_our_mistake(blocks: list[RedBlock]) -> None:
    with pytest.raises(UsageError):
        encode_red(blocks)


def _red(blocks: list[RedBlock]) -> RtpPacket:
    return RtpPacket(63, 1, 1_000, 7, encode_red(blocks), marker=True)


def test_redundant_sound_becomes_the_packets_before() -> None:
    packets = unwrap_red(
        _red(
            [
                RedBlock(111, b"older", 1_920),
                RedBlock(111, b"", 960),
                RedBlock(111, b"main"),
            ]
        )
    )
    assert packets == [
        RtpPacket(111, 0xFFFF, 1_000 - 1_920 + (1 << 32), 7, b"older"),
        RtpPacket(111, 1, 1_000, 7, b"main", marker=True),
    ]


def test_error_correction_keeps_its_place_and_is_not_read() -> None:
    """Source: RFC 5109 §7.3."""
    fec = frozenset({117})
    [only] = unwrap_red(_red([RedBlock(117, b"parity")]), fec)
    assert (only.sequence, only.payload_type, only.payload) == (1, 117, b"")
    mixed = [RedBlock(117, b"parity", 0), RedBlock(96, b"picture")]
    [main] = unwrap_red(_red(mixed), fec)
    assert main.payload == b"picture"


def test_damage_in_a_redundant_payload_is_refused() -> None:
    with pytest.raises(ProtocolError):
        unwrap_red(RtpPacket(63, 1, 0, 7, b"\xef"))
