"""`decode_init_segment`, `encode_init_segment` and `mime_type`."""

from __future__ import annotations

from sansmedia.mp4 import (
    Mp4Track,
    decode_init_segment,
    encode_init_segment,
    mime_type,
)
from sansmedia.sansio import ProtocolError, UsageError


def _again(tracks: tuple[Mp4Track, ...]) -> tuple[Mp4Track, ...]:
    return decode_init_segment(encode_init_segment(tracks)).tracks


def one_input(data: bytes) -> None:
    # Tracks that were written and read once are written and read the same for ever.
    try:
        tracks = decode_init_segment(data).tracks
        if not tracks:
            return
        first = _again(tracks)
    except ProtocolError:
        return
    assert [track.codec for track in first] == [track.codec for track in tracks]
    assert _again(first) == first, "tracks changed"
    try:
        assert mime_type(first).endswith('"')
    except (ProtocolError, UsageError):
        # A configuration nobody had to read yet may be damaged or empty.
        return
