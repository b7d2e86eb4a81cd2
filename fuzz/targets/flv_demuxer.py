"""FLV demuxer: damage never raises, segmentation changes nothing, bytes add up."""

from __future__ import annotations

from sansmedia.flv import FlvDemuxer, Limits


def one_input(data: bytes) -> None:
    # Whole input equals small pieces; no octet is counted twice; memory is bounded.
    limits = Limits(tag_bytes=300)
    step = data[0] % 16 + 1 if data else 1
    whole = FlvDemuxer(limits)
    expected = whole.feed(data)
    pieces = FlvDemuxer(limits)
    tags = []
    for index in range(0, len(data), step):
        tags += pieces.feed(data[index : index + step])
        assert pieces.pending_bytes <= 2 * 1024 + step
    assert tags == expected
    assert pieces.statistics() == whole.statistics()
    assert pieces.header == whole.header
    consumed = sum(15 + len(tag.body) for tag in tags)
    consumed += whole.statistics().skipped_bytes + whole.pending_bytes
    assert consumed <= len(data)
