"""RTP packets of any octets, and what is wrapped into them."""

from __future__ import annotations

from sansmedia.rtp import (
    decode_red,
    decode_rtp,
    encode_red,
    encode_rtp,
    header_size,
    is_rtcp,
    rewrite_header,
    unwrap_red,
    unwrap_rtx,
    wrap_rtx,
)
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # A packet is refused or comes back octet for octet but for the padding's filling;
    # other numbers change nothing else; what it carries comes back too.
    is_rtcp(data)
    try:
        packet = decode_rtp(data)
    except ProtocolError:
        return
    again = encode_rtp(packet)
    end = len(data) - packet.padding
    assert again[:end] == data[:end]
    assert len(again) == len(data)
    assert data[header_size(data) : end] == packet.payload
    numbers = (packet.payload_type, packet.sequence, packet.timestamp, packet.ssrc)
    assert rewrite_header(data, *numbers) == data
    packet.padding = 0
    resent = wrap_rtx(packet, ssrc=1, payload_type=2, sequence=3)
    assert unwrap_rtx(resent, packet.ssrc, packet.payload_type) == packet
    try:
        unwrap_rtx(packet, 1, 2)
        blocks = decode_red(packet.payload)
    except ProtocolError:
        return
    assert encode_red(blocks) == packet.payload
    assert unwrap_red(packet)[-1].payload == blocks[-1].data
