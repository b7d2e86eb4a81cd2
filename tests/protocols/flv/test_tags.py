"""The FLV file: header, tags, damage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.flv import (
    FlvDemuxer,
    Header,
    Limits,
    Tag,
    TagType,
    encode_header,
    encode_tag,
)
from sansmedia.sansio import UsageError

FIRST = Tag(TagType.AUDIO, 0, b"first")
SECOND = Tag(TagType.VIDEO, 40, b"second body")
THIRD = Tag(TagType.SCRIPT, 80, b"")


def wire(*tags: Tag) -> bytes:
    return b"".join(encode_tag(tag.type, tag.timestamp_ms, tag.body) for tag in tags)


def test_the_header_promises_only_what_will_come() -> None:
    """FLV 10.1 §E.2, with the first previous-tag size behind it."""
    assert encode_header(True, True).hex() == "464c5601050000000900000000"
    assert encode_header(True, False)[4] == 4
    assert encode_header(False, True)[4] == 1


def test_a_tag_stands_as_the_specification_draws_it() -> None:
    """FLV 10.1 §E.3, §E.4.1: the upper 8 bits of the time stand behind the lower."""
    data = encode_tag(TagType.VIDEO, 0x12345678, b"ab")
    assert data.hex() == "090000023456781200000061620000000d"


def test_timestamps_wrap_at_32_bits() -> None:
    assert encode_tag(TagType.AUDIO, 1 << 32, b"") == encode_tag(TagType.AUDIO, 0, b"")
    (tag,) = FlvDemuxer().feed(encode_tag(TagType.AUDIO, 0xFFFFFFFF, b""))
    assert tag.timestamp_ms == 0xFFFFFFFF


def test_a_body_of_16_megabytes_has_no_tag() -> None:
    with pytest.raises(UsageError):
        encode_tag(TagType.VIDEO, 0, bytes(1 << 24))


def test_tags_come_out_as_they_went_in() -> None:
    demuxer = FlvDemuxer()
    tags = demuxer.feed(encode_header(True, False) + wire(FIRST, SECOND, THIRD))
    assert tags == [FIRST, SECOND, THIRD]
    assert demuxer.header == Header(has_audio=True, has_video=False)
    assert demuxer.pending_bytes == 0
    assert demuxer.statistics().tags == 3


def test_byte_by_byte_gives_the_same_tags() -> None:
    demuxer = FlvDemuxer()
    tags = []
    for octet in encode_header(True, True) + wire(FIRST, SECOND, THIRD):
        tags += demuxer.feed(bytes((octet,)))
    assert tags == [FIRST, SECOND, THIRD]


def test_a_stream_without_a_file_header_is_read() -> None:
    demuxer = FlvDemuxer()
    assert demuxer.feed(wire(FIRST, SECOND)) == [FIRST, SECOND]
    assert demuxer.header is None


def test_a_longer_file_header_is_passed_over() -> None:
    header = b"FLV\x01\x05\x00\x00\x00\x0bxy\x00\x00\x00\x00"
    demuxer = FlvDemuxer()
    assert demuxer.feed(header + wire(FIRST)) == [FIRST]
    assert demuxer.header == Header(True, True)


def test_files_put_end_to_end_are_read_as_one() -> None:
    demuxer = FlvDemuxer()
    data = encode_header(True, False) + wire(FIRST)
    data += encode_header(False, True) + wire(SECOND)
    assert demuxer.feed(data) == [FIRST, SECOND]
    assert demuxer.header == Header(has_audio=False, has_video=True)
    assert demuxer.statistics().resynchronisations == 0


@pytest.mark.parametrize("garbage", [b"\xaa" * 20, bytes(50), b"\x09" * 33, b"FLV"])
def test_tags_are_found_again_after_garbage(garbage: bytes) -> None:
    demuxer = FlvDemuxer()
    data = encode_header(True, True) + wire(FIRST) + garbage + wire(SECOND, THIRD)
    assert demuxer.feed(data) == [FIRST, SECOND, THIRD]
    statistics = demuxer.statistics()
    assert statistics.resynchronisations == 1
    assert statistics.skipped_bytes == len(garbage)


def test_garbage_before_the_file_header_is_skipped() -> None:
    demuxer = FlvDemuxer()
    assert demuxer.feed(b"junk and more junk" + encode_header(True, True)) == []
    assert demuxer.feed(wire(FIRST)) == [FIRST]
    assert demuxer.header == Header(True, True)


def test_a_tag_that_lost_octets_is_dropped_and_the_next_found() -> None:
    data = wire(FIRST, SECOND, THIRD)
    damaged = data[:13] + data[15:]
    demuxer = FlvDemuxer()
    assert demuxer.feed(encode_header(True, True) + damaged) == [SECOND, THIRD]
    assert demuxer.statistics().resynchronisations == 1


def test_a_wrong_previous_size_alone_is_no_damage() -> None:
    data = bytearray(wire(FIRST, SECOND))
    data[16:20] = b"\x00\x00\x00\x05"
    demuxer = FlvDemuxer()
    assert demuxer.feed(bytes(data)) == [FIRST, SECOND]
    assert demuxer.statistics().wrong_previous_sizes == 1


def test_an_encrypted_tag_is_dropped_and_counted() -> None:
    data = bytearray(wire(FIRST, SECOND))
    data[0] |= 0x20
    demuxer = FlvDemuxer()
    assert demuxer.feed(bytes(data)) == [SECOND]
    assert demuxer.statistics().encrypted_tags == 1


def test_a_tag_beyond_the_limit_is_damage() -> None:
    demuxer = FlvDemuxer(Limits(tag_bytes=10))
    assert demuxer.feed(wire(FIRST, SECOND, THIRD)) == [FIRST, THIRD]
    assert demuxer.statistics().resynchronisations == 1


def test_memory_stays_within_the_limit_for_a_tag_that_never_ends() -> None:
    demuxer = FlvDemuxer(Limits(tag_bytes=1000))
    assert demuxer.feed(wire(Tag(TagType.VIDEO, 0, bytes(1000)))[:-4]) == []
    for _ in range(100):
        demuxer.feed(bytes(1000))
        assert demuxer.pending_bytes <= 2100


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 40), st.booleans())
def test_segmentation_changes_nothing(data: bytes, step: int, sound: bool) -> None:
    start = encode_header(True, True) + wire(FIRST) if sound else b""
    data = start + data + wire(SECOND, THIRD, FIRST)
    whole = FlvDemuxer()
    expected = whole.feed(data)
    pieces = FlvDemuxer()
    tags = []
    for index in range(0, len(data), step):
        tags += pieces.feed(data[index : index + step])
    assert tags == expected
    assert pieces.statistics() == whole.statistics()
