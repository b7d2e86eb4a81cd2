"""Numbers of the wire: message types, user control events, chunk streams."""

from __future__ import annotations

import enum

__all__ = [
    "AUDIO_CHUNK_STREAM",
    "COMMAND_CHUNK_STREAM",
    "CONTROL_CHUNK_STREAM",
    "DATA_CHUNK_STREAM",
    "DEFAULT_CHUNK_SIZE",
    "EXTENDED_TIMESTAMP",
    "MAX_CHUNK_SIZE",
    "MAX_CHUNK_STREAM",
    "MIN_CHUNK_STREAM",
    "SHARED_CHUNK_SIZE",
    "SHARED_STREAM_ID",
    "VIDEO_CHUNK_STREAM",
    "BandwidthLimit",
    "MediaKind",
    "MessageType",
    "UserControlType",
]

DEFAULT_CHUNK_SIZE = 128
"""In force until Set Chunk Size. Source: RTMP 1.0 §5.4.1."""

MAX_CHUNK_SIZE = 0xFFFFFF
"""A message has no more octets, so nor has a chunk. Source: RTMP 1.0 §5.4.1."""

EXTENDED_TIMESTAMP = 0xFFFFFF
"""Timestamp field that sends the reader to the extension. RTMP 1.0 §5.3.1.3."""

MIN_CHUNK_STREAM = 2
MAX_CHUNK_STREAM = 65_599
"""Range of chunk stream ids. Source: RTMP 1.0 §5.3.1.1."""

CONTROL_CHUNK_STREAM = 2
"""Required for protocol control messages. Source: RTMP 1.0 §5.3.1.1."""

COMMAND_CHUNK_STREAM = 3
AUDIO_CHUNK_STREAM = 4
DATA_CHUNK_STREAM = 5
VIDEO_CHUNK_STREAM = 6

SHARED_CHUNK_SIZE = 60_000
"""Chunk size of bytes that go to many viewers (see `sansmedia.rtmp.lane`)."""

SHARED_STREAM_ID = 1
"""Message stream of bytes that go to many viewers."""


class MessageType(enum.IntEnum):
    """Message type ids. Source: RTMP 1.0 §5.4, §6.2, §7.1.1 to §7.1.7."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACKNOWLEDGEMENT_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    SHARED_OBJECT_AMF0 = 19
    COMMAND_AMF0 = 20
    AGGREGATE = 22


class MediaKind(enum.IntEnum):
    """What a media message carries; the value is its message type id."""

    AUDIO = 8
    VIDEO = 9


class UserControlType(enum.IntEnum):
    """User control event types. Source: RTMP 1.0 §7.1.7."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_DRY = 2
    SET_BUFFER_LENGTH = 3
    STREAM_IS_RECORDED = 4
    PING_REQUEST = 6
    PING_RESPONSE = 7
    BUFFER_EMPTY = 31
    """Sent by Flash servers, not in the published text."""
    BUFFER_READY = 32
    """Sent by Flash servers, not in the published text."""


class BandwidthLimit(enum.IntEnum):
    """Limit type of Set Peer Bandwidth. Source: RTMP 1.0 §5.4.5."""

    HARD = 0
    SOFT = 1
    DYNAMIC = 2
