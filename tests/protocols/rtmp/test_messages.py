"""Message bodies: RTMP 1.0 §5.4, §5.4.3, §5.4.4, §5.4.5, §6.1, §6.2, §7.1.1, §7.1.2.

Also RTMP 1.0 §7.1.6, §7.1.7, §7.2.1.1 and E-RTMP v2 §Action Message Format.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.amf import amf0
from sansmedia.rtmp import BandwidthLimit, Message, MessageType, UserControlType
from sansmedia.rtmp.messages import (
    Abort,
    Acknowledgement,
    Command,
    ControlMessage,
    SetChunkSize,
    SetPeerBandwidth,
    UserControl,
    WindowAcknowledgementSize,
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


@pytest.mark.parametrize(
    ("control", "type_id", "body"),
    [
        (SetChunkSize(4096), 1, "00001000"),
        (Abort(6), 2, "00000006"),
        (Acknowledgement(0xFFFFFFFF), 3, "ffffffff"),
        (UserControl(UserControlType.STREAM_BEGIN, 1), 4, "0000 00000001"),
        (UserControl(UserControlType.STREAM_EOF, 1), 4, "0001 00000001"),
        (UserControl(UserControlType.STREAM_DRY, 1), 4, "0002 00000001"),
        (
            UserControl(UserControlType.SET_BUFFER_LENGTH, 1, 3000),
            4,
            "0003 00000001 00000bb8",
        ),
        (UserControl(UserControlType.STREAM_IS_RECORDED, 1), 4, "0004 00000001"),
        (UserControl(UserControlType.PING_REQUEST, 77), 4, "0006 0000004d"),
        (UserControl(UserControlType.PING_RESPONSE, 77), 4, "0007 0000004d"),
        (UserControl(UserControlType.BUFFER_EMPTY, 1), 4, "001f 00000001"),
        (UserControl(UserControlType.BUFFER_READY, 1), 4, "0020 00000001"),
        (WindowAcknowledgementSize(2_500_000), 5, "002625a0"),
        (SetPeerBandwidth(2_500_000, BandwidthLimit.DYNAMIC), 6, "002625a0 02"),
    ],
)
def test_control_messages_have_the_specified_octets(
    control: ControlMessage, type_id: int, body: str
) -> None:
    message = encode_control(control)
    assert message == Message(type_id, 0, 0, bytes.fromhex(body))
    assert decode_control(message) == control


@pytest.mark.parametrize("type_id", [1, 2, 3, 4, 5, 6])
def test_a_cut_control_message_is_refused(type_id: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_control(Message(type_id, 0, 0, b"\x00"))
    assert caught.value.code == "truncated"


def test_unknown_user_control_events_are_let_through() -> None:
    assert decode_control(Message(4, 0, 0, b"\x00\x1a\x01")) == UserControl(26)


def test_a_bandwidth_without_limit_type_is_dynamic() -> None:
    control = decode_control(Message(6, 0, 0, bytes.fromhex("002625a0")))
    assert control == SetPeerBandwidth(2_500_000, BandwidthLimit.DYNAMIC)


def test_other_types_are_no_control_messages() -> None:
    with pytest.raises(ProtocolError):
        decode_control(Message(8, 0, 0, bytes(4)))


@pytest.mark.parametrize("amf3", [False, True])
def test_commands_come_back_from_either_encoding(amf3: bool) -> None:
    command = Command("play", 4.0, None, ("cam", -2000.0, -1.0, True))
    message = encode_command(command, 1, amf3=amf3)
    assert message.type_id == (17 if amf3 else 20)
    assert message.payload.startswith(b"\x00\x02" if amf3 else b"\x02")
    assert decode_command(message) == command


def test_amf3_messages_may_switch_value_by_value() -> None:
    """E-RTMP v2: format selector 0, then AMF0 with the marker 0x11."""
    body = b"\x00" + amf0.encode_values("call", 1.0, None) + b"\x11\x04\x05"
    body += amf0.encode_values("after")
    command = decode_command(Message(MessageType.COMMAND_AMF3, 0, 0, body))
    assert command.arguments == (5, "after")


def test_amf3_messages_without_the_format_selector_are_read() -> None:
    body = amf0.encode_values("call", 1.0, None)
    assert decode_command(Message(17, 0, 0, body)).name == "call"


@pytest.mark.parametrize("transaction", [None, True, "1"])
def test_a_transaction_id_that_is_no_number_reads_as_zero(transaction: object) -> None:
    body = amf0.encode_values("releaseStream", transaction, None, "cam")  # type: ignore[arg-type] # any value
    command = decode_command(Message(20, 0, 0, body))
    assert command.transaction_id == 0
    assert command.argument(0) == "cam"
    assert command.argument(1) is None


@pytest.mark.parametrize("body", [b"", amf0.encode_values(1.0), b"\x02\x00"])
def test_a_command_without_a_name_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_command(Message(20, 0, 0, body))


@pytest.mark.parametrize("amf3", [False, True])
def test_data_messages_come_back_from_either_encoding(amf3: bool) -> None:
    message = encode_data(["onCuePoint", {"time": 1.5}], 1, 99, amf3=amf3)
    assert message.type_id == (15 if amf3 else 18)
    assert decode_data(message).values == ("onCuePoint", {"time": 1.5})


def test_an_aggregate_moves_its_parts_to_its_own_time() -> None:
    parts = [
        Message(8, 0, 1000, b"a"),
        Message(9, 0, 1040, b"vv"),
        Message(18, 0, 1041, b""),
    ]
    aggregate = encode_aggregate(parts, 1, 5000)
    assert decode_aggregate(aggregate) == [
        Message(8, 1, 5000, b"a"),
        Message(9, 1, 5040, b"vv"),
        Message(18, 1, 5041, b""),
    ]


def test_the_time_of_an_aggregate_wraps() -> None:
    aggregate = encode_aggregate(
        [Message(8, 0, 0x0200_0000, b"a"), Message(8, 0, 0x0200_0014, b"b")],
        1,
        0xFFFF_FFF0,
    )
    assert [m.timestamp for m in decode_aggregate(aggregate)] == [0xFFFF_FFF0, 4]


def test_the_last_back_pointer_of_an_aggregate_may_be_missing() -> None:
    aggregate = encode_aggregate([Message(8, 0, 0, b"a")], 1, 0)
    aggregate.payload = aggregate.payload[:-4]
    assert len(decode_aggregate(aggregate)) == 1


def test_an_aggregate_inside_an_aggregate_is_refused() -> None:
    inner = encode_aggregate([Message(8, 0, 0, b"a")], 1, 0)
    with pytest.raises(ProtocolError):
        decode_aggregate(encode_aggregate([inner], 1, 0))


def test_a_cut_aggregate_is_refused() -> None:
    aggregate = encode_aggregate([Message(8, 0, 0, b"abcdef")], 1, 0)
    aggregate.payload = aggregate.payload[:14]
    with pytest.raises(ProtocolError) as caught:
        decode_aggregate(aggregate)
    assert caught.value.code == "truncated"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 25), st.binary(max_size=60))
def test_decoders_raise_protocol_errors_and_nothing_else(
    type_id: int, payload: bytes
) -> None:
    message = Message(type_id, 1, 0, payload)
    for decode in (decode_control, decode_command, decode_data, decode_aggregate):
        with contextlib.suppress(ProtocolError):
            decode(message)
