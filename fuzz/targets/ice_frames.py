"""`FrameReader` over any octets, whole and cut."""

from __future__ import annotations

from sansmedia.ice import FrameReader, encode_frame


def one_input(data: bytes) -> None:
    # Cutting the input changes nothing, no frame is longer than the limit, what is held
    # is less than one frame, and frames that are all wanted make up the whole input.
    limit, step = (data[0] + 1, data[1] % 50 + 1) if len(data) > 1 else (10, 1)
    body = data[2:]
    whole = FrameReader(limit)
    expected = whole.feed(body)
    assert all(0 < len(frame) <= limit for frame in expected)
    for size in (1, step):
        reader = FrameReader(limit)
        frames = []
        for at in range(0, len(body), size):
            frames += reader.feed(body[at : at + size])
            assert reader.pending_bytes <= limit + 2
        assert frames == expected
        assert reader.oversized == whole.oversized
        assert reader.pending_bytes == whole.pending_bytes
    again = b"".join(map(encode_frame, expected))
    assert FrameReader(limit).feed(again) == expected
