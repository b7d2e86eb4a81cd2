"""Messages and their bodies: control, user control, commands, data, aggregates.

Source: RTMP 1.0 §5.4, §6.2, §7.1.1 to §7.1.7; E-RTMP v2 §Action Message Format.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from sansmedia.amf import Encodable, Value, amf0
from sansmedia.sansio import ProtocolError, Reader

from .constants import (
    MAX_CHUNK_SIZE,
    BandwidthLimit,
    MediaKind,
    MessageType,
    UserControlType,
)
from .limits import Limits

__all__ = [
    "Abort",
    "Acknowledgement",
    "Command",
    "ControlMessage",
    "DataMessage",
    "MediaMessage",
    "Message",
    "SetChunkSize",
    "SetPeerBandwidth",
    "UserControl",
    "WindowAcknowledgementSize",
    "decode_aggregate",
    "decode_command",
    "decode_control",
    "decode_data",
    "encode_aggregate",
    "encode_command",
    "encode_control",
    "encode_data",
]


@attrs.define
class Message:
    """One RTMP message; made per message, so not frozen. RTMP 1.0 §6.1."""

    type_id: int
    """`MessageType`, or a number that nobody has defined."""
    stream_id: int
    """Message stream; 0 is the connection itself."""
    timestamp: int
    """Milliseconds, 32-bit wrapped, absolute."""
    payload: bytes


@attrs.define
class MediaMessage:
    """One audio or video message; made per message, so not frozen."""

    kind: MediaKind
    timestamp: int
    """Milliseconds, 32-bit wrapped, absolute."""
    payload: bytes
    """An FLV tag body (`sansmedia.flv` decodes it)."""


@attrs.frozen
class SetChunkSize:
    """Type 1. Source: RTMP 1.0 §5.4.1."""

    size: int


@attrs.frozen
class Abort:
    """Type 2: forget the chunk stream's begun message. Source: RTMP 1.0 §5.4.2."""

    chunk_stream_id: int


@attrs.frozen
class Acknowledgement:
    """Type 3: octets received so far, 32-bit wrapped. Source: RTMP 1.0 §5.4.3."""

    sequence_number: int


@attrs.frozen
class WindowAcknowledgementSize:
    """Type 5: acknowledge each time so many octets came. RTMP 1.0 §5.4.4."""

    size: int


@attrs.frozen
class SetPeerBandwidth:
    """Type 6: limit what is sent and not acknowledged. RTMP 1.0 §5.4.5."""

    size: int
    limit: BandwidthLimit


@attrs.frozen
class UserControl:
    """Type 4. Source: RTMP 1.0 §6.2, §7.1.7."""

    event: int
    """`UserControlType`, or a number that nobody has defined."""
    value: int = 0
    """Message stream id, or the timestamp in ms of a ping."""
    buffer_ms: int = 0
    """Only of SetBufferLength."""


ControlMessage: TypeAlias = (
    SetChunkSize
    | Abort
    | Acknowledgement
    | WindowAcknowledgementSize
    | SetPeerBandwidth
    | UserControl
)


@attrs.frozen
class Command:
    """A remote call or its answer. Source: RTMP 1.0 §7.1.1."""

    name: str
    transaction_id: float
    command_object: Value = None
    arguments: tuple[Value, ...] = ()

    def argument(self, index: int) -> Value:
        """Return the argument at ``index`` after the command object, or None."""
        return self.arguments[index] if index < len(self.arguments) else None


@attrs.frozen
class DataMessage:
    """Values of a data message, its handler's name first. RTMP 1.0 §7.1.2."""

    values: tuple[Value, ...]


def decode_control(message: Message) -> ControlMessage:
    """Decode a protocol control or user control message (types 1 to 6).

    Octets after the fields are ignored, as every server of the field does.

    Source: RTMP 1.0 §5.4, §7.1.7.

    Raises:
        ProtocolError: ``"truncated"``; ``"malformed"`` for a chunk size of 0 or a
            type that is not a control message.
    """
    reader = Reader(message.payload, source="RTMP 1.0 §5.4")
    kind = message.type_id
    if kind == MessageType.USER_CONTROL:
        return _decode_user_control(reader)
    if kind == MessageType.SET_CHUNK_SIZE:
        size = reader.u32() & 0x7FFFFFFF
        if size == 0:
            raise ProtocolError("chunk size is 0", source="RTMP 1.0 §5.4.1")
        return SetChunkSize(min(size, MAX_CHUNK_SIZE))
    if kind == MessageType.ABORT:
        return Abort(reader.u32())
    if kind == MessageType.ACKNOWLEDGEMENT:
        return Acknowledgement(reader.u32())
    if kind == MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE:
        return WindowAcknowledgementSize(reader.u32())
    if kind == MessageType.SET_PEER_BANDWIDTH:
        size = reader.u32()
        # DEVIATION(field): some encoders leave the limit type out; nothing here
        # depends on it, so a missing or unknown one reads as dynamic.
        limit = reader.u8() if reader.remaining else BandwidthLimit.DYNAMIC
        return SetPeerBandwidth(size, BandwidthLimit(min(limit, 2)))
    raise ProtocolError(f"type {kind} is no control message", source="RTMP 1.0 §5.4")


def _decode_user_control(reader: Reader) -> UserControl:
    event = reader.u16()
    # An unknown event may have any body: nobody acts on it, so nobody reads it.
    if event not in UserControlType._value2member_map_:
        return UserControl(event)
    value = reader.u32()
    if event == UserControlType.SET_BUFFER_LENGTH:
        return UserControl(event, value, reader.u32())
    return UserControl(event, value)


def encode_control(control: ControlMessage) -> Message:
    """Encode a protocol control or user control message on stream 0."""
    match control:
        case SetChunkSize(size):
            return _control(MessageType.SET_CHUNK_SIZE, struct.pack(">I", size))
        case Abort(chunk_stream_id):
            return _control(MessageType.ABORT, struct.pack(">I", chunk_stream_id))
        case Acknowledgement(number):
            return _control(MessageType.ACKNOWLEDGEMENT, struct.pack(">I", number))
        case WindowAcknowledgementSize(size):
            return _control(
                MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE, struct.pack(">I", size)
            )
        case SetPeerBandwidth(size, limit):
            return _control(
                MessageType.SET_PEER_BANDWIDTH, struct.pack(">IB", size, limit)
            )
        case UserControl(event, value, buffer_ms):
            body = struct.pack(">HI", event, value)
            if event == UserControlType.SET_BUFFER_LENGTH:
                body += struct.pack(">I", buffer_ms)
            return _control(MessageType.USER_CONTROL, body)


def _control(type_id: MessageType, payload: bytes) -> Message:
    return Message(type_id, 0, 0, payload)


def _amf_values(message: Message, limits: Limits) -> list[Value]:
    payload = message.payload
    if message.type_id in (MessageType.COMMAND_AMF3, MessageType.DATA_AMF3):
        # The format selector; only 0 is defined, and what follows it is AMF0 that
        # switches to AMF3 value by value. Some senders leave the selector out.
        payload = payload[1:] if payload[:1] == b"\x00" else payload
    return amf0.decode_values(payload, limits.amf)


def decode_command(message: Message, limits: Limits | None = None) -> Command:
    """Decode a command message, AMF0 (20) or AMF3 (17).

    Source: RTMP 1.0 §7.1.1; E-RTMP v2 §Action Message Format.

    Raises:
        ProtocolError: Broken AMF, a limit, or values that are no command.
    """
    values = _amf_values(message, limits or Limits())
    if not values or not isinstance(values[0], str):
        raise ProtocolError("command without a name", source="RTMP 1.0 §7.1.1")
    transaction_id = values[1] if len(values) > 1 else 0.0
    # DEVIATION(field): a transaction id that is no number reads as 0, "no answer
    # wanted"; encoders exist that send null with releaseStream.
    if isinstance(transaction_id, bool) or not isinstance(transaction_id, int | float):
        transaction_id = 0.0
    command_object = values[2] if len(values) > 2 else None
    return Command(values[0], float(transaction_id), command_object, tuple(values[3:]))


def encode_command(
    command: Command, stream_id: int = 0, *, amf3: bool = False
) -> Message:
    """Encode a command message.

    Args:
        command: Name, transaction id, command object and arguments.
        stream_id: Message stream; 0 for NetConnection commands.
        amf3: Send as type 17 (format selector 0, then AMF0 values); only to a peer
            that announced object encoding 3.
    """
    body = amf0.encode_values(
        command.name,
        command.transaction_id,
        command.command_object,
        *command.arguments,
    )
    if amf3:
        return Message(MessageType.COMMAND_AMF3, stream_id, 0, b"\x00" + body)
    return Message(MessageType.COMMAND_AMF0, stream_id, 0, body)


def decode_data(message: Message, limits: Limits | None = None) -> DataMessage:
    """Decode a data message, AMF0 (18) or AMF3 (15). Source: RTMP 1.0 §7.1.2.

    Raises:
        ProtocolError: Broken AMF or a limit.
    """
    return DataMessage(tuple(_amf_values(message, limits or Limits())))


def encode_data(
    values: Sequence[Encodable], stream_id: int, timestamp: int, *, amf3: bool = False
) -> Message:
    """Encode a data message, the handler's name first. Source: RTMP 1.0 §7.1.2."""
    body = amf0.encode_values(*values)
    if amf3:
        return Message(MessageType.DATA_AMF3, stream_id, timestamp, b"\x00" + body)
    return Message(MessageType.DATA_AMF0, stream_id, timestamp, body)


def decode_aggregate(message: Message, limits: Limits | None = None) -> list[Message]:
    """Split an aggregate message (type 22) into its sub-messages.

    The sub-messages' timestamps are moved by the difference between the aggregate's
    timestamp and the first one's; their stream id is the aggregate's.

    Source: RTMP 1.0 §7.1.6.

    Raises:
        ProtocolError: ``"truncated"``, ``"limit"``, or a nested aggregate.
    """
    most = (limits or Limits()).aggregate_messages
    reader = Reader(message.payload, source="RTMP 1.0 §7.1.6")
    messages: list[Message] = []
    shift: int | None = None
    while reader.remaining:
        type_id = reader.u8()
        size = reader.u24()
        timestamp = reader.u24() | reader.u8() << 24
        reader.skip(3)
        payload = reader.take(size)
        # The back pointer of the last sub-message is left out by some senders.
        reader.skip(min(4, reader.remaining))
        if type_id == MessageType.AGGREGATE:
            raise ProtocolError("nested aggregate", source="RTMP 1.0 §7.1.6")
        if len(messages) >= most:
            raise ProtocolError(
                f"more than {most} messages in an aggregate",
                code="limit",
                source="RTMP 1.0 §7.1.6",
            )
        if shift is None:
            shift = message.timestamp - timestamp
        messages.append(
            Message(
                type_id, message.stream_id, (timestamp + shift) & 0xFFFFFFFF, payload
            )
        )
    return messages


def encode_aggregate(
    messages: Sequence[Message], stream_id: int, timestamp: int
) -> Message:
    """Join messages into one aggregate (type 22). Source: RTMP 1.0 §7.1.6."""
    parts: list[bytes] = []
    for sub in messages:
        size = len(sub.payload)
        low, high = sub.timestamp & 0xFFFFFF, sub.timestamp >> 24 & 0xFF
        parts += (
            struct.pack(">II", sub.type_id << 24 | size, low << 8 | high),
            b"\x00\x00\x00",
            sub.payload,
            struct.pack(">I", 11 + size),
        )
    return Message(MessageType.AGGREGATE, stream_id, timestamp, b"".join(parts))
