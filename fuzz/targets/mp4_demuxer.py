"""`Mp4Demuxer`: whole against chunked, and what it may hold and give out."""

from __future__ import annotations

from sansmedia.mp4 import Limits, MediaSample, Mp4Demuxer, Mp4Event

_LIMITS = Limits(
    max_box_size=2048,
    max_header_box_size=2048,
    max_boxes=128,
    max_tracks=4,
    max_samples=64,
)


def one_input(data: bytes) -> None:
    # Any segmentation gives the same events, no input raises, and memory is bounded.
    size = data[0] % 64 + 1 if data else 1
    whole = Mp4Demuxer(_LIMITS)
    expected = whole.feed(data)
    chunked = Mp4Demuxer(_LIMITS)
    events: list[Mp4Event] = []
    for start in range(0, len(data), size):
        events += chunked.feed(data[start : start + size])
        # One box of the largest size that is waited for, and the rest of one input.
        assert chunked.pending_bytes <= 2048 + 16 + size, "holds too much"
    assert events == expected, "segmentation matters"
    assert chunked.statistics() == whole.statistics(), "segmentation is counted"
    assert chunked.pending_bytes == whole.pending_bytes
    samples = [event for event in events if isinstance(event, MediaSample)]
    assert len(samples) == whole.statistics().samples
    given = sum(len(sample.payload) for sample in samples)
    # Samples may lie over each other, but not without end.
    fragments = data.count(b"moof")
    assert given <= fragments * _LIMITS.max_box_size, "media was multiplied"
    assert len(samples) <= fragments * _LIMITS.max_samples, "too many samples"
