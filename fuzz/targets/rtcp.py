"""Compound RTCP of any octets."""

from __future__ import annotations

from sansmedia.rtp import MalformedRtcp, Nack, RtcpPacket, decode_rtcp, encode_rtcp
from sansmedia.sansio import ProtocolError, UsageError


def _view(packet: RtcpPacket) -> object:
    if isinstance(packet, Nack):
        # A number may stand in it twice, and in any order.
        return packet.sender_ssrc, packet.media_ssrc, sorted(set(packet.sequences))
    return packet


def one_input(data: bytes) -> None:
    # The head is refused or every packet has a record; those that are sound come back
    # from the writer, except where odd padding left no whole words.
    try:
        packets = decode_rtcp(data)
    except ProtocolError:
        return
    assert 1 <= len(packets) <= len(data) // 4 + 1
    is_padded = False
    position = 0
    for packet in packets:
        is_padded = bool(data[position] & 0x20)
        size = 4 + 4 * int.from_bytes(data[position + 2 : position + 4], "big")
        position += size
        if isinstance(packet, MalformedRtcp):
            continue
        try:
            octets = encode_rtcp([packet])
        except UsageError:
            assert is_padded
            continue
        [again] = decode_rtcp(octets)
        assert _view(again) == _view(packet)
