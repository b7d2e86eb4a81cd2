"""Media for many viewers: RTMP 1.0 §5.3.1.2.1, §5.3.1.3."""

from __future__ import annotations

import pytest
from sansmedia.rtmp import (
    ChunkReader,
    Limits,
    MediaKind,
    MediaMessage,
    Message,
    encode_chunks,
    shared_message,
)
from sansmedia.rtmp.chunk_writer import ChunkWriter
from sansmedia.rtmp.lane import MediaLane


@pytest.mark.parametrize(("kind", "csid"), [(8, 4), (9, 6), (18, 5)])
@pytest.mark.parametrize("timestamp", [0, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
@pytest.mark.parametrize("size", [0, 1, 59_999, 60_000, 60_001, 200_000])
def test_the_shared_form_is_a_type_0_message_on_stream_1(
    kind: int, csid: int, timestamp: int, size: int
) -> None:
    payload = bytes(size)
    data = shared_message(kind, timestamp, payload)
    expected = encode_chunks(Message(kind, 1, timestamp, payload), csid, 60_000)
    assert data == expected
    reader = ChunkReader(Limits(command_size=1_000_000))
    reader.feed(ChunkWriter().set_chunk_size(60_000))
    assert reader.feed(data) == [Message(kind, 1, timestamp, payload)]


def test_shared_timestamps_wrap() -> None:
    assert shared_message(8, 0x1_0000_0005, b"a") == shared_message(8, 5, b"a")


def test_a_lane_uses_the_chunk_size_of_its_connection() -> None:
    writer = ChunkWriter(compress=False)
    run = [
        MediaMessage(MediaKind.VIDEO, 7, bytes(500)),
        MediaMessage(MediaKind.AUDIO, 8, b"a"),
    ]
    lane = MediaLane(writer, 1)
    before = lane.is_shared, len(lane.write(run)[0])
    writer.set_chunk_size(60_000)
    assert (before, lane.is_shared) == ((False, 12 + 500 + 3), True)
    assert lane.write(run) == [
        shared_message(9, 7, bytes(500)),
        shared_message(8, 8, b"a"),
    ]


def test_a_lane_of_another_stream_is_not_shared() -> None:
    writer = ChunkWriter(compress=False)
    writer.set_chunk_size(60_000)
    lane = MediaLane(writer, 3)
    assert not lane.is_shared
    [data] = lane.write([MediaMessage(MediaKind.AUDIO, 0xFFFFFF, b"a")])
    assert ChunkReader().feed(data) == [Message(8, 3, 0xFFFFFF, b"a")]
