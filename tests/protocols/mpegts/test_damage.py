"""Damage anywhere: nothing is lost beyond it, and the reader always goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sansmedia.mpegts import Demuxer, Event, MediaFrame, ProgramMap, TransportDemuxer

TABLES = 376
"""PAT and PMT in front: without them nothing is known."""
PROVEN = 188 * 6
"""From here on it is sure where packets begin; it takes four of them."""


def untouched(clip: Any, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Return the frames none of whose packets lie in a range of octets."""
    found, at = [], 0
    for written, frame in zip(clip.writes, clip.frames, strict=True):
        # A write may begin with tables and a clock, which a frame does without; but
        # they are small, and which packets are the frame's own is not worth knowing.
        if at + len(written) <= start or at >= end:
            found.append(frame)
        at += len(written)
    return found


def whole_frames(events: list[Event]) -> list[tuple[int, int, bytes]]:
    return [
        (
            event.pid,
            event.dts or 0,
            event.payload
            if event.units is None
            else event.length_prefixed(frozenset((9,))),
        )
        for event in events
        if isinstance(event, MediaFrame) and not event.damaged
    ]


def check(clip: Any, data: bytes, start: int, end: int) -> Demuxer:
    """Assert that every frame outside of the damage came out as it went in."""
    demuxer = Demuxer()
    events: list[Event] = []
    for at in range(0, len(data), 1316):
        events += demuxer.feed(data[at : at + 1316])
    events += demuxer.flush()
    came = whole_frames(events)
    missing = [frame[:2] for frame in untouched(clip, start, end) if frame not in came]
    if missing:
        pytest.fail(f"missing {missing[:5]} by damage from {start} to {end}")
    assert demuxer.pending_bytes == 0
    return demuxer


places = st.integers(TABLES, 22_000)


@settings(max_examples=30, deadline=None)
@given(place=places, bit=st.integers(0, 7))
@example(place=TABLES, bit=0)
def test_a_wrong_bit_damages_one_frame(clip: Any, place: int, bit: int) -> None:
    place %= len(clip.data)
    place = max(place, TABLES)
    data = bytearray(clip.data)
    data[place] ^= 1 << bit
    check(clip, bytes(data), place, place + 1)


@settings(max_examples=30, deadline=None)
@given(place=places, count=st.integers(1, 3000))
def test_octets_that_are_missing_take_only_their_frames(
    clip: Any, place: int, count: int
) -> None:
    data = clip.data
    place = max(place % len(data), PROVEN)
    end = min(place + count, len(data))
    check(clip, data[:place] + data[end:], place, end)


@settings(max_examples=30, deadline=None)
@given(place=places, garbage=st.binary(min_size=1, max_size=600))
@example(place=800, garbage=b"\x47" * 600)
def test_octets_that_are_too_many_damage_the_frame_they_stand_in(
    clip: Any, place: int, garbage: bytes
) -> None:
    data = clip.data
    place = max(place % len(data), PROVEN)
    check(clip, data[:place] + garbage + data[place:], place - 1, place + 1)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(2, 110), count=st.integers(1, 40))
@example(first=3, count=16)
def test_lost_packets_take_only_their_frames(clip: Any, first: int, count: int) -> None:
    data = clip.data
    start, end = 188 * first, min(188 * (first + count), len(data))
    demuxer = check(clip, data[:start] + data[end:], start, end)
    assert demuxer.statistics().transport.sync_losses == 0


@settings(max_examples=20, deadline=None)
@given(place=places, noise=st.binary(min_size=188, max_size=1000))
def test_octets_that_are_overwritten_take_only_their_frames(
    clip: Any, place: int, noise: bytes
) -> None:
    data = clip.data
    place = max(place % len(data), PROVEN)
    end = min(place + len(noise), len(data))
    check(clip, data[:place] + noise[: end - place] + data[end:], place, end)


@settings(max_examples=20, deadline=None)
@given(first=st.integers(2, 110), count=st.integers(1, 5))
def test_packets_that_come_twice_change_nothing(
    clip: Any, first: int, count: int
) -> None:
    packets = [clip.data[at : at + 188] for at in range(0, len(clip.data), 188)]
    twice = [p for n, p in enumerate(packets) for _ in range(1 + (n - first < count))]
    demuxer = check(clip, b"".join(twice), 0, 0)
    assert demuxer.statistics().transport.continuity_errors == 0


@settings(max_examples=20, deadline=None)
@given(first=st.integers(2, 110))
def test_packets_out_of_order_damage_only_their_frames(clip: Any, first: int) -> None:
    data = clip.data
    first = min(first, len(data) // 188 - 2)
    start, middle, end = 188 * first, 188 * (first + 1), 188 * (first + 2)
    swapped = data[middle:end] + data[start:middle]
    check(clip, data[:start] + swapped + data[end:], start, end)


@settings(max_examples=20, deadline=None)
@given(end=st.integers(0, 22_000))
def test_a_stream_that_is_cut_off_gives_what_came(clip: Any, end: int) -> None:
    end %= len(clip.data)
    check(clip, clip.data[:end], end - 188, len(clip.data))


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 22_000))
def test_a_stream_that_is_joined_anywhere_goes_on_from_its_next_tables(
    clip: Any, start: int
) -> None:
    data = clip.data
    start %= len(data)
    at = 0
    for written in clip.writes:
        # The tables in front of it and what comes behind are enough.
        if at >= start and written[1:3] == b"\x40\x00":
            break
        at += len(written)
    check(clip, data[start:], 0, at)


def test_only_a_sync_byte_is_wrong(clip: Any) -> None:
    data = bytearray(clip.data)
    data[188 * 4] = 0x48
    demuxer = check(clip, bytes(data), 188 * 4, 188 * 5)
    counters = demuxer.statistics().transport
    assert (counters.sync_bytes_damaged, counters.sync_losses) == (1, 0)
    assert counters.continuity_errors == 1


def test_garbage_alone_gives_nothing_and_holds_nothing() -> None:
    demuxer = Demuxer()
    assert demuxer.feed(bytes(range(256)) * 1000) == []
    assert demuxer.pending_bytes < 1024
    assert demuxer.statistics().transport.packets == 0
    assert demuxer.flush() == []
    assert demuxer.statistics().transport.octets_skipped == 256_000


def test_a_stream_without_tables_is_counted(clip: Any) -> None:
    packets = [clip.data[at : at + 188] for at in range(0, len(clip.data), 188)]
    media = [p for p in packets if p[1] & 0x1F == 1]
    demuxer = Demuxer()
    assert demuxer.feed(b"".join(media)) == []
    assert demuxer.statistics().transport.packets_unknown == len(media)


def test_a_program_map_before_the_association_is_counted(clip: Any) -> None:
    demuxer = Demuxer()
    assert not any(
        isinstance(event, ProgramMap) for event in demuxer.feed(clip.data[188:376])
    )
    demuxer.flush()
    assert demuxer.statistics().transport.packets_unknown == 1


def test_a_wrong_checksum_is_counted_and_the_table_comes_again(clip: Any) -> None:
    # ISO 13818-1 §2.4.4.11, §A.2.
    data = bytearray(clip.data)
    data[188 + 20] ^= 1
    demuxer = TransportDemuxer()
    maps = [e for e in demuxer.feed(bytes(data)) if isinstance(e, ProgramMap)]
    assert len(maps) == 1
    assert demuxer.statistics().crc_errors == 1


def test_packets_marked_as_damaged_or_scrambled_are_dropped(clip: Any) -> None:
    # ISO 13818-1 §2.4.3.3.
    data = bytearray(clip.data)
    data[188 * 4 + 1] |= 0x80
    demuxer = check(clip, bytes(data), 188 * 4, 188 * 5)
    assert demuxer.statistics().transport.transport_errors == 1
    data = bytearray(clip.data)
    data[188 * 4 + 3] |= 0x80
    demuxer = check(clip, bytes(data), 188 * 4, 188 * 5)
    assert demuxer.statistics().transport.scrambled == 1


def test_a_damaged_frame_says_so_and_the_next_is_not_touched(
    clip: Any, frames_of: Callable[..., list[MediaFrame]]
) -> None:
    # A packet of the first picture is lost: 8 of its 9 are there.
    data = clip.data[: 188 * 5] + clip.data[188 * 6 :]
    pictures = frames_of(data, 0x100)
    assert [frame.damaged for frame in pictures] == [True] + [False] * 19
    assert not any(frame.after_loss for frame in pictures)


def test_a_frame_behind_a_lost_one_says_so(
    clip: Any, frames_of: Callable[..., list[MediaFrame]]
) -> None:
    writes = list(clip.writes)
    del writes[4]
    pictures = frames_of(b"".join(writes), 0x100)
    assert [frame.after_loss for frame in pictures].index(True) == 2
    assert sum(frame.after_loss for frame in pictures) == 1
    assert not any(frame.damaged for frame in pictures)


@pytest.mark.parametrize(("size", "name"), [(192, "M2TS"), (204, "Reed-Solomon")])
def test_packets_with_something_between_them_are_found(
    clip: Any, size: int, name: str
) -> None:
    packets = [clip.data[at : at + 188] for at in range(0, len(clip.data), 188)]
    if size == 192:
        data = b"".join(n.to_bytes(4, "big") + p for n, p in enumerate(packets))
    else:
        data = b"".join(p + b"\x11" * 16 for p in packets)
    check(clip, data, 0, 0)
    # And again behind damage.
    cut = data[: size * 6 + 50] + data[size * 6 + 90 :]
    check(clip, cut, 188 * 5, 188 * 8)
