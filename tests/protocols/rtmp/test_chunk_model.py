"""The chunk reader against a peer written from the text alone, without our writer.

RTMP 1.0 §5.3.1.1, §5.3.1.2, §5.3.1.3, §5.4.1, §5.4.2: every header type, interleaved
chunk streams, chunk sizes that change and messages that are aborted in the middle.
"""

from __future__ import annotations

import random
from typing import TypeAlias

import attrs
import pytest
from sansmedia.rtmp import ChunkReader, Message

_CHUNK_STREAMS = (3, 6, 63, 64, 319, 320, 5_000, 65_599)
_CHUNK_SIZES = (1, 2, 3, 7, 128, 200, 4_096, 65_536)
_TIMES = (0, 100, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0xFFFFFFFF)
_DELTAS = (0, 23, 40, 0xFFFFFF, 0x1000001)
_LENGTHS = (0, 1, 5, 127, 128, 129, 400, 3_000)
# Nothing in a payload looks like one of the timestamps, which a reader may take for
# an extension.
_OCTETS = (0xA5, 0x5A, 0xC3)

_Begun: TypeAlias = tuple[Message, int, bytes]


@attrs.define
class _Header:
    """What the next header of a chunk stream may leave out."""

    message: Message
    field: int


class _Peer:
    """Writes chunks at random, and knows which messages are whole."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._chunk_streams = self._random.sample(_CHUNK_STREAMS, 3)
        self._headers: dict[int, _Header] = {}
        self._begun: dict[int, _Begun] = {}
        self._chunk_size = 128
        self.sent = bytearray()
        self.whole: list[Message] = []

    def step(self) -> None:
        """Change the chunk size, abort a message, go on with one or begin one."""
        what = self._random.random()
        csid = self._random.choice(self._chunk_streams)
        if what < 0.1:
            size = self._random.choice(_CHUNK_SIZES)
            self._control(1, size)
            self._chunk_size = size
        elif what < 0.13 and self._begun:
            csid = self._random.choice(list(self._begun))
            del self._begun[csid]
            self._control(2, csid)
        elif csid in self._begun:
            for _ in range(self._random.choice((1, 1, 2, 30))):
                if csid in self._begun:
                    self._go_on(csid)
        else:
            self._begin(csid)

    def _basic(self, chunk_type: int, csid: int) -> bytes:
        if csid < 64:
            return bytes((chunk_type << 6 | csid,))
        if csid < 320:
            return bytes((chunk_type << 6, csid - 64))
        low, high = (csid - 64) % 256, (csid - 64) // 256
        return bytes((chunk_type << 6 | 1, low, high))

    def _control(self, type_id: int, value: int) -> None:
        self._headers[2] = _Header(Message(type_id, 0, 0, value.to_bytes(4, "big")), 0)
        self._write_first(2, 0, self._headers[2])
        while 2 in self._begun:
            self._go_on(2)

    def _begin(self, csid: int) -> None:
        pick = self._random.choice
        last = self._headers.get(csid)
        chunk_type = 0 if last is None else pick((0, 1, 2, 3))
        if last is None or chunk_type == 0:
            field = timestamp = pick((*_TIMES, self._random.randrange(1 << 32)))
            type_id, stream_id, length = pick((8, 9)), pick((0, 1, 7)), pick(_LENGTHS)
        else:
            field = last.field if chunk_type == 3 else pick(_DELTAS)
            timestamp = (last.message.timestamp + field) % (1 << 32)
            stream_id = last.message.stream_id
            type_id, length = last.message.type_id, len(last.message.payload)
            if chunk_type == 1:
                type_id, length = pick((8, 9)), pick(_LENGTHS)
        payload = bytes(self._random.choices(_OCTETS, k=length))
        header = _Header(Message(type_id, stream_id, timestamp, payload), field)
        self._headers[csid] = header
        self._write_first(csid, chunk_type, header)

    def _write_first(self, csid: int, chunk_type: int, header: _Header) -> None:
        message = header.message
        extension = b""
        if header.field >= 0xFFFFFF:
            extension = header.field.to_bytes(4, "big")
        parts = (
            min(header.field, 0xFFFFFF).to_bytes(3, "big"),
            len(message.payload).to_bytes(3, "big") + bytes((message.type_id,)),
            message.stream_id.to_bytes(4, "little"),
        )
        self.sent += self._basic(chunk_type, csid)
        self.sent += b"".join(parts[: 3 - chunk_type]) + extension
        self._begun[csid] = message, 0, self._basic(3, csid) + extension
        self._put(csid)

    def _go_on(self, csid: int) -> None:
        self.sent += self._begun[csid][2]
        self._put(csid)

    def _put(self, csid: int) -> None:
        message, start, repeat = self._begun.pop(csid)
        end = start + self._chunk_size
        self.sent += message.payload[start:end]
        if end < len(message.payload):
            self._begun[csid] = message, end, repeat
        else:
            self.whole.append(message)


@pytest.mark.parametrize("piece", [1, 50, 100_000])
@pytest.mark.parametrize("seed", range(40))
def test_what_a_peer_writes_by_the_text_is_read(seed: int, piece: int) -> None:
    peer = _Peer(seed)
    for _ in range(60):
        peer.step()
    reader = ChunkReader()
    read: list[Message] = []
    for at in range(0, len(peer.sent), piece):
        read += reader.feed(bytes(peer.sent[at : at + piece]))
    assert reader.error is None
    assert read == peer.whole
