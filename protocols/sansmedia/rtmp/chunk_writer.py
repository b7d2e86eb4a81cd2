"""Messages to chunk stream.

Source: RTMP 1.0 §5.3.
"""

from __future__ import annotations

import struct

from sansmedia.sansio import UsageError

from .constants import (
    DEFAULT_CHUNK_SIZE,
    EXTENDED_TIMESTAMP,
    MAX_CHUNK_SIZE,
    MAX_CHUNK_STREAM,
    MIN_CHUNK_STREAM,
)
from .messages import Message, SetChunkSize, encode_control

__all__ = ["ChunkWriter", "encode_chunks"]


def _basic_header(chunk_type: int, csid: int) -> bytes:
    """Encode the 1, 2 or 3 octets of a basic header. Source: RTMP 1.0 §5.3.1.1."""
    if csid < 64:
        return bytes((chunk_type << 6 | csid,))
    if csid < 320:
        return bytes((chunk_type << 6, csid - 64))
    return struct.pack("<BH", chunk_type << 6 | 1, csid - 64)


def _check(csid: int, payload: bytes) -> None:
    if not MIN_CHUNK_STREAM <= csid <= MAX_CHUNK_STREAM:
        raise UsageError(f"chunk stream {csid}")
    if len(payload) > MAX_CHUNK_SIZE:
        raise UsageError(f"a message has at most {MAX_CHUNK_SIZE} octets")


def _chunks(head: bytes, repeat: bytes, payload: bytes, chunk_size: int) -> bytes:
    if len(payload) <= chunk_size:
        return head + payload
    return head + repeat.join(
        [payload[i : i + chunk_size] for i in range(0, len(payload), chunk_size)]
    )


def encode_chunks(message: Message, csid: int, chunk_size: int) -> bytes:
    """Encode one message that depends on nothing before it: a type 0 header.

    Args:
        message: What to encode; its timestamp is taken modulo 2**32.
        csid: Chunk stream, 2 to 65,599.
        chunk_size: The one in force on the connection.

    Raises:
        UsageError: A chunk stream or payload outside the protocol's range.

    Source: RTMP 1.0 §5.3.1.2.1, §5.3.1.3.
    """
    payload = message.payload
    _check(csid, payload)
    timestamp = message.timestamp & 0xFFFFFFFF
    extended = timestamp >= EXTENDED_TIMESTAMP
    extension = timestamp.to_bytes(4, "big") if extended else b""
    head = (
        _basic_header(0, csid)
        + (EXTENDED_TIMESTAMP if extended else timestamp).to_bytes(3, "big")
        + struct.pack(">I", len(payload) << 8 | message.type_id)
        + struct.pack("<I", message.stream_id)
        + extension
    )
    if len(payload) <= chunk_size:
        return head + payload
    return _chunks(head, _basic_header(3, csid) + extension, payload, chunk_size)


class _Previous:
    """Header of the last message on a chunk stream."""

    __slots__ = ("field", "length", "stream_id", "timestamp", "type_id")

    def __init__(self, message: Message, field: int) -> None:
        self.timestamp = message.timestamp & 0xFFFFFFFF
        self.field = field
        self.length = len(message.payload)
        self.type_id = message.type_id
        self.stream_id = message.stream_id


class ChunkWriter:
    """Writes messages with the shortest header that the chunk stream allows.

    Whoever mixes these bytes with others of the same chunk stream (see
    `sansmedia.rtmp.lane`) must write with ``compress=False``.

    Args:
        compress: Use header types 1 to 3 where the last message allows them.
    """

    __slots__ = ("_chunk_size", "_compress", "_previous")

    def __init__(self, *, compress: bool = True) -> None:
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._compress = compress
        self._previous: dict[int, _Previous] = {}

    @property
    def chunk_size(self) -> int:
        """Chunk size in force."""
        return self._chunk_size

    def set_chunk_size(self, size: int, csid: int = 2) -> bytes:
        """Announce a chunk size and use it from the next message on.

        Raises:
            UsageError: ``size`` is not in 1..16,777,215.
        """
        if not 1 <= size <= MAX_CHUNK_SIZE:
            raise UsageError(f"chunk size {size}")
        data = self.write(encode_control(SetChunkSize(size)), csid)
        self._chunk_size = size
        return data

    def write(self, message: Message, csid: int) -> bytes:
        """Encode one message on chunk stream ``csid``.

        Raises:
            UsageError: A chunk stream or payload outside the protocol's range.
        """
        if not self._compress:
            return encode_chunks(message, csid, self._chunk_size)
        previous = self._previous.get(csid)
        delta = (message.timestamp - previous.timestamp) & 0xFFFFFFFF if previous else 0
        # Deltas only go forward: what is further than half the range is a step back.
        if (
            previous is None
            or previous.stream_id != message.stream_id
            or delta >= 1 << 31
        ):
            data = encode_chunks(message, csid, self._chunk_size)
            # A type 3 header would now repeat the absolute timestamp as a delta, which
            # readers of the field disagree about: no delta equals -1.
            self._previous[csid] = _Previous(message, -1)
            return data
        payload = message.payload
        _check(csid, payload)
        extended = delta >= EXTENDED_TIMESTAMP
        extension = delta.to_bytes(4, "big") if extended else b""
        field = (EXTENDED_TIMESTAMP if extended else delta).to_bytes(3, "big")
        repeat = _basic_header(3, csid) + extension
        if previous.length != len(payload) or previous.type_id != message.type_id:
            size = struct.pack(">I", len(payload) << 8 | message.type_id)
            head = _basic_header(1, csid) + field + size + extension
        elif previous.field != delta:
            head = _basic_header(2, csid) + field + extension
        else:
            head = repeat
        self._previous[csid] = _Previous(message, delta)
        return _chunks(head, repeat, payload, self._chunk_size)
