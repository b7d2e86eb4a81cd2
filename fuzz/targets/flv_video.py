"""Video bodies: what decodes keeps its meaning when encoded and decoded again."""

from __future__ import annotations

from sansmedia.flv import decode_video_body, encode_video_body
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # Only ProtocolError leaves; encode, then decode gives the same body; media adds up.
    try:
        body = decode_video_body(data)
    except ProtocolError:
        return
    assert decode_video_body(encode_video_body(body)) == body
    assert sum(len(packet.payload) for packet in body.packets) < len(data)
    assert 0 <= body.nanosecond_offset < 1_000_000
