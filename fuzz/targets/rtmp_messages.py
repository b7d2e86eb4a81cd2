"""Bodies of RTMP messages: control, commands, data, aggregates."""

from __future__ import annotations

import math

from sansmedia.rtmp import Message
from sansmedia.rtmp.messages import (
    decode_aggregate,
    decode_command,
    decode_control,
    decode_data,
    encode_aggregate,
    encode_command,
    encode_control,
    encode_data,
)
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # Decoders raise ProtocolError and nothing else; what they accept they also accept
    # after encoding it, with the same octets from then on.
    type_id, body = (data[0] % 24, data[1:]) if data else (0, b"")
    message = Message(type_id, 1, 0x01FFFFF0, body)
    try:
        control = decode_control(message)
        assert decode_control(encode_control(control)) == control
    except ProtocolError as error:
        assert error.reason
    try:
        command = decode_command(message)
        again = encode_command(command)
        assert math.isnan(command.transaction_id) or decode_command(again).name == (
            command.name
        )
        assert encode_command(decode_command(again)) == again
    except ProtocolError as error:
        assert error.reason
    try:
        written = encode_data(decode_data(message).values, 1, 0)
        assert encode_data(decode_data(written).values, 1, 0) == written
    except ProtocolError as error:
        assert error.reason
    try:
        parts = decode_aggregate(message)
        assert sum(len(part.payload) + 11 for part in parts) <= len(body)
        if parts:
            joined = encode_aggregate(parts, 1, parts[0].timestamp)
            assert decode_aggregate(joined) == parts
    except ProtocolError as error:
        assert error.reason
