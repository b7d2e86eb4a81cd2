"""Packet headers: SRT draft-01 §3, §3.1, §3.2, §3.2.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError
from sansmedia.srt.constants import CIF_HEADER_SIZE, ControlType
from sansmedia.srt.packet_wire import (
    ControlPacket,
    DataPacket,
    decode_packet,
    encode_control,
    encode_data,
)

_WORD = st.integers(0, 2**32 - 1)


@given(
    st.builds(
        DataPacket,
        sequence=st.integers(0, 2**31 - 1),
        message=_WORD,
        timestamp=_WORD,
        destination=_WORD,
        payload=st.binary(max_size=40),
    )
)
def test_a_data_packet_comes_back_as_it_was(packet: DataPacket) -> None:
    assert decode_packet(encode_data(packet)) == packet


@given(
    st.builds(
        ControlPacket,
        type=st.integers(0, 2**15 - 1),
        subtype=st.integers(0, 2**16 - 1),
        information=_WORD,
        timestamp=_WORD,
        destination=_WORD,
        information_field=st.binary(max_size=40),
    )
)
def test_a_control_packet_comes_back_as_it_was(packet: ControlPacket) -> None:
    assert decode_packet(encode_control(packet)) == packet


def test_the_second_word_of_a_data_packet_is_read_by_its_bits() -> None:
    packet = decode_packet(
        bytes.fromhex("00000007 f4000005 00000001 00000002".replace(" ", ""))
    )
    assert isinstance(packet, DataPacket)
    assert (packet.key, packet.is_retransmitted, packet.message_number) == (2, True, 5)


def test_a_handshake_from_a_caller_is_read() -> None:
    data = bytes.fromhex("80000000" + "00" * 12) + bytes(CIF_HEADER_SIZE)
    packet = decode_packet(data)
    assert isinstance(packet, ControlPacket)
    assert packet.type == ControlType.HANDSHAKE
    assert len(packet.information_field) == CIF_HEADER_SIZE


@pytest.mark.parametrize("size", [0, 1, 15])
def test_less_than_a_header_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match="no SRT packet"):
        decode_packet(bytes(size))
