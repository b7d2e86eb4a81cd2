"""Audio bodies: what decodes keeps its meaning when encoded and decoded again."""

from __future__ import annotations

from sansmedia.flv import (
    AudioPacketType,
    decode_audio_body,
    decode_multichannel_config,
    encode_audio_body,
    encode_multichannel_config,
)
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # Only ProtocolError leaves; audio bodies and channel configurations round-trip.
    try:
        body = decode_audio_body(data)
    except ProtocolError:
        return
    assert decode_audio_body(encode_audio_body(body)) == body
    for packet in body.packets:
        if packet.packet_type is AudioPacketType.MULTICHANNEL_CONFIG:
            try:
                config = decode_multichannel_config(packet.payload)
            except ProtocolError:
                continue
            encoded = encode_multichannel_config(config)
            assert packet.payload.startswith(encoded)
