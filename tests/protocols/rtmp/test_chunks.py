"""The chunk stream: RTMP 1.0 §5.3, §5.3.1.1, §5.3.1.2.1, §5.3.1.3, §5.4.1, §5.4.2.

Also RTMP 1.0 §5.3.1.2.3, §5.3.1.2.4, §6.1.1.
"""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.rtmp import ChunkReader, ChunkWriter, Limits, Message, encode_chunks
from sansmedia.sansio import UsageError


def _type0(
    csid: int, timestamp: int, size: int, type_id: int = 9, stream_id: int = 1
) -> bytes:
    return (
        bytes((csid,))
        + timestamp.to_bytes(3, "big")
        + size.to_bytes(3, "big")
        + bytes((type_id,))
        + struct.pack("<I", stream_id)
    )


def test_the_published_example_of_four_audio_messages_is_read() -> None:
    """RTMP 1.0 §5.3.2.1: type 0, then type 2, then two of type 3."""
    data = bytes.fromhex("03 0003e8 000020 08 39300000") + b"a" * 32
    data += bytes.fromhex("83 000014") + b"b" * 32
    data += b"\xc3" + b"c" * 32 + b"\xc3" + b"d" * 32
    messages = ChunkReader().feed(data)
    assert [m.timestamp for m in messages] == [1000, 1020, 1040, 1060]
    assert [m.payload[:1] for m in messages] == [b"a", b"b", b"c", b"d"]
    assert {m.stream_id for m in messages} == {12345}
    assert {m.type_id for m in messages} == {8}


def test_the_published_example_of_a_long_message_is_written_and_read() -> None:
    """RTMP 1.0 §5.3.2.2: 307 octets in chunks of 128."""
    message = Message(9, 12346, 1000, bytes(range(256)) + bytes(51))
    data = ChunkWriter().write(message, 4)
    assert data[:12] == bytes.fromhex("04 0003e8 000133 09 3a300000")
    assert [data[12 + 128], data[12 + 128 + 129]] == [0xC4, 0xC4]
    assert len(data) == 12 + 307 + 2
    assert ChunkReader().feed(data) == [message]


def test_interleaved_chunk_streams_reassemble_separately() -> None:
    video = encode_chunks(Message(9, 1, 40, b"v" * 300), 6, 128)
    audio = encode_chunks(Message(8, 1, 41, b"a" * 200), 4, 128)
    # Chunks: 140 + 129 + 45 of video, 140 + 73 of audio.
    mixed = video[:140] + audio[:140] + video[140:269] + audio[140:] + video[269:]
    messages = ChunkReader().feed(mixed)
    assert messages == [
        Message(8, 1, 41, b"a" * 200),
        Message(9, 1, 40, b"v" * 300),
    ]


def test_a_control_message_in_the_middle_of_a_run_takes_effect_there() -> None:
    video = encode_chunks(Message(9, 1, 40, b"v" * 600), 6, 128)
    resize = encode_chunks(Message(1, 0, 0, struct.pack(">I", 200)), 2, 128)
    # The third chunk of video and all after it have 200 octets.
    head = video[: 12 + 128 + 1 + 128]
    tail = b"\xc6" + b"v" * 200 + b"\xc6" + b"v" * 144
    messages = ChunkReader().feed(head + resize + tail)
    assert [m.type_id for m in messages] == [1, 9]
    assert messages[1].payload == b"v" * 600


@pytest.mark.parametrize("csid", [2, 3, 63, 64, 319, 320, 65_598, 65_599])
def test_every_form_of_basic_header_is_written_and_read(csid: int) -> None:
    message = Message(9, 1, 5, b"x" * 400)
    data = ChunkWriter().write(message, csid)
    sizes = 1 if csid < 64 else 2 if csid < 320 else 3
    assert len(data) == 400 + 11 + 4 * sizes
    assert ChunkReader().feed(data) == [message]


@pytest.mark.parametrize("csid", [0, 1, 65_600])
def test_a_chunk_stream_outside_the_range_is_our_mistake(csid: int) -> None:
    with pytest.raises(UsageError):
        ChunkWriter().write(Message(8, 1, 0, b""), csid)


def test_extended_timestamps_are_repeated_on_every_chunk() -> None:
    message = Message(9, 1, 0x1234_5678, b"y" * 300)
    data = encode_chunks(message, 6, 128)
    assert data[1:4] == b"\xff\xff\xff"
    assert data[12:16] == data[145:149] == b"\x12\x34\x56\x78"
    assert ChunkReader().feed(data) == [message]


def test_an_extended_timestamp_begins_at_exactly_the_mark() -> None:
    low = encode_chunks(Message(8, 1, 0xFFFFFE, b"z"), 4, 128)
    high = encode_chunks(Message(8, 1, 0xFFFFFF, b"z"), 4, 128)
    assert (len(low), len(high)) == (13, 17)
    assert [m.timestamp for m in ChunkReader().feed(low + high)] == [
        0xFFFFFE,
        0xFFFFFF,
    ]


def test_encoders_that_do_not_repeat_the_extension_are_understood() -> None:
    payload = bytes(range(200)) * 2
    head = _type0(6, 0xFFFFFF, 400) + b"\x01\x00\x00\x05"
    data = (
        head + payload[:128] + b"\xc6" + payload[128:256] + b"\xc6" + payload[256:384]
    )
    data += b"\xc6" + payload[384:]
    for piece in (1, 7, 1000):
        reader = ChunkReader()
        messages = []
        for at in range(0, len(data), piece):
            messages += reader.feed(data[at : at + piece])
        assert messages == [Message(9, 1, 0x01000005, payload)]


def test_encoders_that_repeat_the_absolute_timestamp_are_understood() -> None:
    first = _type0(6, 0xFFFFFF, 1) + b"\x01\x00\x00\x00" + b"."
    # Type 1 with an extended delta; the type 3 chunk has the absolute time instead.
    delta = b"\x46\xff\xff\xff\x00\x00\xc8\x09" + b"\x02\x00\x00\x00" + b"p" * 128
    data = first + delta + b"\xc6" + b"\x03\x00\x00\x00" + b"p" * 72
    messages = ChunkReader().feed(data)
    assert messages[1] == Message(9, 1, 0x03000000, b"p" * 200)


def test_timestamps_wrap_at_32_bits() -> None:
    writer = ChunkWriter()
    data = writer.write(Message(8, 1, 0xFFFF_FFF0, b"a"), 4)
    data += writer.write(Message(8, 1, 0x10, b"b"), 4)
    data += writer.write(Message(8, 1, 0x30, b"c"), 4)
    assert data[16 + 1 : 16 + 2] == b"\x84"  # a delta, not a new absolute time
    assert [m.timestamp for m in ChunkReader().feed(data)] == [0xFFFF_FFF0, 0x10, 0x30]


def test_a_step_back_in_time_is_written_as_an_absolute_timestamp() -> None:
    writer = ChunkWriter()
    data = writer.write(Message(8, 1, 1000, b"a"), 4)
    data += writer.write(Message(8, 1, 500, b"b"), 4)
    assert [m.timestamp for m in ChunkReader().feed(data)] == [1000, 500]


def test_type_3_after_type_0_adds_the_absolute_timestamp() -> None:
    """RTMP 1.0 §5.3.1.2.4; the writer avoids it, since readers disagree."""
    data = _type0(4, 23, 1, 8) + b"a" + b"\xc4" + b"b"
    assert [m.timestamp for m in ChunkReader().feed(data)] == [23, 46]
    writer = ChunkWriter()
    writer.write(Message(8, 1, 23, b"a"), 4)
    assert writer.write(Message(8, 1, 46, b"b"), 4) == b"\x84\x00\x00\x17b"


def test_abort_forgets_the_begun_message_of_its_chunk_stream() -> None:
    video = encode_chunks(Message(9, 1, 40, b"v" * 300), 6, 128)
    abort = encode_chunks(Message(2, 0, 0, struct.pack(">I", 6)), 2, 128)
    again = encode_chunks(Message(9, 1, 41, b"w" * 10), 6, 128)
    reader = ChunkReader()
    messages = reader.feed(video[:140] + abort + again)
    assert [m.payload for m in messages[1:]] == [b"w" * 10]
    assert reader.discarded == 1


def test_a_new_header_in_the_middle_of_a_message_begins_anew() -> None:
    video = encode_chunks(Message(9, 1, 40, b"v" * 300), 6, 128)
    again = encode_chunks(Message(9, 1, 41, b"w" * 10), 6, 128)
    reader = ChunkReader()
    assert reader.feed(video[:140] + again) == [Message(9, 1, 41, b"w" * 10)]
    assert reader.discarded == 1
    assert reader.pending_bytes == 0


def test_a_chunk_stream_may_begin_with_type_1() -> None:
    data = b"\x42\x00\x00\x05\x00\x00\x02\x08" + b"ab"
    assert ChunkReader().feed(data) == [Message(8, 0, 5, b"ab")]


@pytest.mark.parametrize("first", [b"\x86\x00\x00\x00", b"\xc6"])
def test_a_chunk_stream_cannot_begin_with_type_2_or_3(first: bytes) -> None:
    reader = ChunkReader()
    assert reader.feed(first + b"x") == []
    assert reader.error is not None
    assert reader.error.source.startswith("RTMP 1.0 §5.3.1.2")


def test_an_empty_message_is_given_at_its_header() -> None:
    reader = ChunkReader()
    assert reader.feed(_type0(4, 7, 0, 8)) == [Message(8, 1, 7, b"")]


def test_messages_before_a_bad_octet_are_given() -> None:
    reader = ChunkReader()
    good = encode_chunks(Message(8, 1, 0, b"ok"), 4, 128)
    assert reader.feed(good + b"\xff") == [Message(8, 1, 0, b"ok")]
    assert reader.error is not None
    assert reader.feed(good) == []


def test_a_declared_size_over_the_limit_is_refused_at_the_header() -> None:
    reader = ChunkReader(Limits(message_size=1000))
    assert reader.feed(_type0(6, 0, 1001)) == []
    assert reader.error is not None
    assert reader.error.code == "limit"
    assert reader.pending_bytes == 0


def test_commands_have_a_smaller_limit_than_media() -> None:
    reader = ChunkReader(Limits(command_size=1000, message_size=5000))
    reader.feed(_type0(6, 0, 4000))
    assert reader.error is None
    reader.feed(b"v" * 128 + _type0(3, 0, 1001, 20))
    assert reader.error is not None


def test_begun_messages_together_are_limited_by_what_they_declare() -> None:
    reader = ChunkReader(Limits(message_size=1000, partial_bytes=2500))
    for csid in (4, 5, 6):
        reader.feed(_type0(csid, 0, 1000) + bytes(128))
    assert reader.error is not None
    assert reader.error.code == "limit"


def test_finished_messages_give_their_allowance_back() -> None:
    reader = ChunkReader(Limits(message_size=1000, partial_bytes=1000))
    for number in range(10):
        data = encode_chunks(Message(9, 1, number, bytes(1000)), 4 + number, 128)
        assert len(reader.feed(data)) == 1
    assert reader.error is None


def test_empty_messages_in_a_row_are_limited() -> None:
    reader = ChunkReader(Limits(empty_messages=3))
    first = bytes.fromhex("06 000000 000000 09 01000000")
    one_octet = bytes.fromhex("06 000000 000001 09 01000000 17")
    # Some payload between them, and the count begins again.
    assert len(reader.feed(first + b"\xc6\xc6" + one_octet)) == 4
    assert len(reader.feed(first + b"\xc6" * 5)) == 3
    assert reader.error is not None
    assert reader.error.code == "limit"


def test_chunk_streams_are_limited() -> None:
    reader = ChunkReader(Limits(chunk_streams=3))
    for csid in (4, 5, 6, 7):
        reader.feed(_type0(csid, 0, 0))
    assert reader.error is not None
    assert reader.error.code == "limit"


@pytest.mark.parametrize(
    ("announced", "in_force"),
    [(1, 1), (65_536, 65_536), (0xFFFFFF, 0xFFFFFF), (0x7FFFFFFF, 0xFFFFFF)],
)
def test_chunk_sizes_are_taken_up_to_16_mb(announced: int, in_force: int) -> None:
    reader = ChunkReader()
    reader.feed(encode_chunks(Message(1, 0, 0, struct.pack(">I", announced)), 2, 128))
    assert reader.chunk_size == in_force


def test_a_chunk_size_of_zero_is_refused() -> None:
    reader = ChunkReader()
    reader.feed(encode_chunks(Message(1, 0, 0, bytes(4)), 2, 128))
    assert reader.error is not None


@pytest.mark.parametrize("size", [0, 0x1000000])
def test_announcing_an_impossible_chunk_size_is_our_mistake(size: int) -> None:
    with pytest.raises(UsageError):
        ChunkWriter().set_chunk_size(size)


_MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([2, 3, 4, 6, 63, 64, 319, 320, 65_599]),
        st.builds(
            Message,
            type_id=st.sampled_from([8, 9, 18, 20, 22]),
            stream_id=st.sampled_from([0, 1, 2, 0xFFFFFFFF]),
            timestamp=st.one_of(
                st.integers(0, 0xFFFFFFFF),
                st.sampled_from([0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF]),
            ),
            payload=st.integers(0, 700).map(
                lambda n: bytes(i & 0xFF for i in range(n))
            ),
        ),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(
    _MESSAGES,
    st.integers(1, 500),
    st.booleans(),
    st.lists(st.integers(1, 400), min_size=1, max_size=8),
)
def test_what_is_written_is_read(
    sent: list[tuple[int, Message]], chunk_size: int, compress: bool, cuts: list[int]
) -> None:
    writer = ChunkWriter(compress=compress)
    data = writer.set_chunk_size(chunk_size)
    for csid, message in sent:
        data += writer.write(message, csid)
    expected = [message for _, message in sent]
    assert ChunkReader().feed(data)[1:] == expected
    reader = ChunkReader()
    read: list[Message] = []
    position = turn = 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        read += reader.feed(data[position : position + size])
        position += size
        turn += 1
    assert read[1:] == expected
    assert reader.pending_bytes == 0


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 200))
def test_chunks_of_several_streams_interleave_in_any_way(
    data: st.DataObject, chunk_size: int
) -> None:
    messages = {
        csid: Message(9, 1, timestamp, bytes((csid & 0xFF,)) * size)
        for csid, timestamp, size in ((4, 7, 500), (70, 0x1000000, 300), (900, 9, 41))
    }
    resize = ChunkWriter().set_chunk_size(chunk_size)
    queues = {}
    for csid, message in messages.items():
        octets = encode_chunks(message, csid, chunk_size)
        width = len(octets) - len(message.payload)
        repeats = -(-len(message.payload) // chunk_size) - 1
        basic = 1 if csid < 64 else 2 if csid < 320 else 3
        repeat = basic + (4 if message.timestamp >= 0xFFFFFF else 0)
        head = width - repeats * repeat
        cuts = [0, head + chunk_size]
        while cuts[-1] < len(octets):
            cuts.append(cuts[-1] + repeat + chunk_size)
        queues[csid] = [octets[a:b] for a, b in itertools.pairwise(cuts) if octets[a:b]]
    mixed = resize
    while queues:
        csid = data.draw(st.sampled_from(sorted(queues)))
        mixed += queues[csid].pop(0)
        if not queues[csid]:
            del queues[csid]
    read = ChunkReader().feed(mixed)[1:]
    assert sorted(read, key=lambda m: m.payload) == sorted(
        messages.values(), key=lambda m: m.payload
    )
