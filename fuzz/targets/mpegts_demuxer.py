"""`Demuxer`: whole against chunked, and what it may hold and give out."""

from __future__ import annotations

from sansmedia.mpegts import Demuxer, Event, Limits, MediaFrame

_LIMITS = Limits(
    max_programs=3,
    max_tracks=4,
    max_pes_size=2048,
    max_pending_bytes=4096,
    max_frames_per_pes=16,
)


def one_input(data: bytes) -> None:
    # Any segmentation gives the same events, no input raises, and memory is bounded.
    size = data[0] + 1 if data else 1
    whole = Demuxer(_LIMITS)
    expected = whole.feed(data)
    chunked = Demuxer(_LIMITS)
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += chunked.feed(data[start : start + size])
        # Sections of four tables, and what one packet and one search may add.
        held = chunked.pending_bytes
        assert held <= 2 * 4096 + 4 * (1024 + 188) + 4 * 188 + 1024, "holds too much"
    assert events == expected, "segmentation matters"
    assert chunked.statistics() == whole.statistics(), "segmentation is counted"
    assert chunked.flush() == whole.flush(), "segmentation matters at the end"
    frames = [event for event in events if isinstance(event, MediaFrame)]
    given = sum(len(frame.payload) for frame in frames)
    # Start codes and sizes of OBUs add a little; octets may be looked at twice.
    assert given <= 3 * len(data) + 64, "media was multiplied"
    assert all(frame.dts is None or 0 <= frame.dts < 1 << 33 for frame in frames)
