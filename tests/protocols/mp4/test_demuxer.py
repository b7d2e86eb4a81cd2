from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import Codec
from sansmedia.mp4 import (
    InitSegment,
    Limits,
    MediaSample,
    Mp4Demuxer,
    Mp4Event,
    Mp4Track,
    Sample,
    TrackRun,
    decode_init_segment,
    encode_box,
    encode_fragment,
    encode_full_box,
    encode_init_segment,
    encode_single_sample_fragment,
)

TRACK = Mp4Track(1, Codec.OPUS, 48_000, channels=2)
INIT = encode_init_segment([TRACK])


def feed_all(data: bytes, size: int, limits: Limits | None = None) -> list[Mp4Event]:
    demuxer = Mp4Demuxer(limits)
    events = []
    for start in range(0, len(data), size):
        events += demuxer.feed(data[start : start + size])
    return events


def samples(events: list[Mp4Event]) -> list[MediaSample]:
    return [event for event in events if isinstance(event, MediaSample)]


def test_files_of_ffmpeg_give_the_packets_that_ffmpeg_reads(vector: Any) -> None:
    events = feed_all(vector.data, len(vector.data))
    shift = vector.expected.get("pts_shift", 0)
    ignore_duration = vector.expected.get("parsed_durations", False)
    for track in vector.expected["tracks"]:
        ours = [
            [
                sample.dts,
                sample.pts + shift,
                0 if ignore_duration else sample.duration,
                sample.random_access,
                len(sample.payload),
                hashlib.md5(sample.payload).hexdigest()[:12],
            ]
            for sample in samples(events)
            if sample.track_id == track["id"]
        ]
        theirs = [
            [dts, pts, 0 if ignore_duration else duration, key, size, digest]
            for number, dts, pts, duration, key, size, digest in vector.expected[
                "packets"
            ]
            if number == track["id"]
        ]
        assert ours == theirs


FFMPEG_NAMES = {
    "hevc": Codec.H265,
    "libdav1d": Codec.AV1,
    "mp3float": Codec.MP3,
}


def test_tracks_of_ffmpeg_have_its_configuration_size_and_language(
    vector: Any,
) -> None:
    """The sample entries of every codec, as FFmpeg writes them.

    ISO 14496-12 §12.1.3; ISO 14496-15 §5.4.2, §8.4.1; AV1 in ISO BMFF §2.2; VP in ISO
    BMFF §2; ISO 14496-14 §5.6, ISO 14496-1 §7.2.6.5; Opus in ISO BMFF §4.3.1,
    §4.3.2, Encapsulation of Opus in ISO BMFF §4.3.2; FLAC in ISO BMFF §3.3.1,
    Encapsulation of FLAC in ISO BMFF §3.3.2; ETSI TS 102 366
    §F.2, §F.5.
    """
    init = feed_all(vector.data, len(vector.data))[0]
    assert isinstance(init, InitSegment)
    assert len(init.tracks) == len(vector.expected["tracks"])
    for ours, theirs in zip(init.tracks, vector.expected["tracks"], strict=True):
        name = theirs["codec"]
        assert ours.codec is (FFMPEG_NAMES.get(name) or Codec(name))
        assert ours.timescale == theirs["timescale"]
        assert (ours.width, ours.height) == (theirs["width"], theirs["height"])
        assert ours.sample_rate == theirs["sample_rate"]
        assert ours.channels == theirs["channels"]
        assert ours.language == theirs["language"]
        if ours.codec not in (Codec.AC3, Codec.EAC3, Codec.VP9):
            assert ours.configuration.hex() == theirs["extradata"]


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_any_segmentation_gives_the_same_events(vector: Any, size: int) -> None:
    whole = feed_all(vector.data, len(vector.data))
    assert feed_all(vector.data, size) == whole


def test_what_was_read_is_written_and_read_again(vector: Any) -> None:
    first = feed_all(vector.data, len(vector.data))
    init = first[0]
    assert isinstance(init, InitSegment)
    again = encode_init_segment(init.tracks)
    for number, sample in enumerate(samples(first)):
        # Times before zero, which edit lists give, have no place in tfdt.
        again += encode_single_sample_fragment(
            number,
            sample.track_id,
            sample.dts + 10_000,
            sample.duration,
            sample.payload,
            sample.pts - sample.dts,
            sample.random_access,
        )
    second = feed_all(again, len(again))
    assert second[0] == init
    for ours, theirs in zip(samples(second), samples(first), strict=True):
        ours.dts -= 10_000
        ours.pts -= 10_000
        assert ours == theirs


def test_unfragmented_media_is_passed_over_and_counted() -> None:
    demuxer = Mp4Demuxer()
    assert demuxer.feed(encode_box(b"ftyp", b"isom", bytes(4))) == []
    assert demuxer.feed(encode_box(b"mdat", bytes(100_000))) == []
    assert demuxer.statistics().media_skipped == 1
    assert demuxer.pending_bytes == 0
    assert len(demuxer.feed(INIT)) == 1


def test_media_without_an_end_is_passed_over_for_ever() -> None:
    demuxer = Mp4Demuxer()
    demuxer.feed(INIT + b"\0\0\0\0mdat")
    for _ in range(10):
        assert demuxer.feed(bytes(10_000)) == []
    assert demuxer.pending_bytes == 0
    assert demuxer.statistics().media_skipped == 1


def test_samples_of_a_track_without_tfdt_follow_each_other() -> None:
    fragment = encode_fragment(1, [TrackRun(1, 0, [Sample(960, b"a")])])
    tfdt = encode_full_box(b"tfdt", 1, 0, bytes(8))
    # A free box of the same size keeps every offset where it was.
    without = fragment.replace(tfdt, encode_box(b"free", bytes(len(tfdt) - 8)))
    events = samples(feed_all(INIT + fragment + without + without, 1 << 20))
    assert [sample.dts for sample in events] == [0, 960, 1920]


def test_a_new_moov_replaces_the_tracks() -> None:
    other = encode_init_segment([Mp4Track(9, Codec.MP3, 44_100, channels=1)])
    data = INIT + encode_single_sample_fragment(1, 1, 0, 960, b"first")
    data += other + encode_single_sample_fragment(2, 1, 960, 960, b"stale")
    data += encode_single_sample_fragment(3, 9, 0, 1152, b"second")
    demuxer = Mp4Demuxer()
    events = demuxer.feed(data)
    assert [sample.payload for sample in samples(events)] == [b"first", b"second"]
    assert demuxer.statistics().damaged == 1


def test_a_fragment_before_the_moov_is_damage() -> None:
    demuxer = Mp4Demuxer()
    events = demuxer.feed(encode_single_sample_fragment(1, 1, 0, 960, b"x") + INIT)
    assert [type(event) for event in events] == [InitSegment]
    assert demuxer.statistics().damaged == 1


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_after_rubbish_reading_goes_on_with_the_next_fragment(size: int) -> None:
    fragment = encode_single_sample_fragment(1, 1, 0, 960, b"payload")
    data = INIT + fragment + b"\0\0\0\3rubbish moo" + bytes(999) + fragment
    events = samples(feed_all(data, size))
    assert [sample.payload for sample in events] == [b"payload", b"payload"]


def test_samples_that_no_media_brings_are_counted_as_missing() -> None:
    fragment = encode_single_sample_fragment(1, 1, 0, 960, b"payload")
    demuxer = Mp4Demuxer()
    demuxer.feed(INIT + fragment[:104] + fragment)
    assert demuxer.statistics().samples_missing == 1
    assert demuxer.statistics().samples == 1


def test_a_track_of_unknown_codec_is_left_out() -> None:
    data = INIT.replace(b"Opus", b"Nope")
    demuxer = Mp4Demuxer()
    events = demuxer.feed(
        data + encode_single_sample_fragment(1, 1, 0, 960, b"payload")
    )
    assert events == [InitSegment(())]
    assert demuxer.statistics().samples_unknown == 1


def test_a_damaged_track_costs_its_own_samples_alone() -> None:
    tracks = [Mp4Track(1, Codec.VP8, 1000), Mp4Track(2, Codec.VP8, 1000)]
    init = encode_init_segment(tracks)
    damaged = init.replace(b"tkhd", b"tkhx", 1)
    fragments = [
        TrackRun(1, 0, [Sample(40, b"lost")]),
        TrackRun(2, 0, [Sample(40, b"good")]),
    ]
    demuxer = Mp4Demuxer()
    events = demuxer.feed(damaged + encode_fragment(1, fragments))
    assert events[0] == InitSegment((decode_init_segment(init).tracks[1],))
    assert [sample.payload for sample in samples(events)] == [b"good"]
    assert demuxer.statistics().damaged == 1
    assert demuxer.statistics().samples_unknown == 1


def test_more_samples_than_the_limit_are_refused() -> None:
    # A run of default-sized samples costs sixteen octets, whatever it claims.
    trun = encode_full_box(b"trun", 0, 0, (1 << 30).to_bytes(4, "big"))
    tfhd = encode_full_box(b"tfhd", 0, 0x020000, b"\0\0\0\1")
    moof = encode_box(b"moof", encode_box(b"traf", tfhd, trun))
    demuxer = Mp4Demuxer()
    demuxer.feed(INIT + moof)
    assert demuxer.statistics().damaged == 1


def _fragment_of_defaults(count: int, size: int, media: bytes) -> bytes:
    """Return a fragment whose samples have no row of their own in its run."""
    size_field = size.to_bytes(4, "big")
    tfhd = encode_full_box(b"tfhd", 0, 0x020010, b"\0\0\0\1", size_field)
    offset = 8 + 8 + len(tfhd) + 20 + 8
    run = count.to_bytes(4, "big") + offset.to_bytes(4, "big")
    trun = encode_full_box(b"trun", 0, 1, run)
    return encode_box(b"moof", encode_box(b"traf", tfhd, trun)) + encode_box(
        b"mdat", media
    )


def test_samples_cannot_outnumber_the_octets_that_came() -> None:
    fragment = _fragment_of_defaults(1000, 0, b"")
    demuxer = Mp4Demuxer(Limits(max_samples=1000))
    data = INIT + fragment * 200
    events = demuxer.feed(data)
    assert 1000 <= len(samples(events)) <= 1000 + len(data)
    assert demuxer.statistics().damaged > 100


def test_samples_of_one_octet_each_are_read_for_ever() -> None:
    fragment = _fragment_of_defaults(1000, 1, bytes(1000))
    demuxer = Mp4Demuxer(Limits(max_samples=1000))
    assert len(samples(demuxer.feed(INIT + fragment * 20))) == 20_000
    assert demuxer.statistics().damaged == 0


def test_samples_that_lie_over_each_other_cannot_multiply_the_media() -> None:
    def run(size: int) -> bytes:
        return encode_full_box(
            b"trun", 0, 0x201, b"\0\0\0\1", bytes(4), size.to_bytes(4, "big")
        )

    tfhd = encode_full_box(b"tfhd", 0, 0x020000, b"\0\0\0\1")
    moof = encode_box(b"moof", encode_box(b"traf", tfhd, run(600), run(600)))
    demuxer = Mp4Demuxer(Limits(max_box_size=1000))
    demuxer.feed(INIT + moof)
    assert demuxer.statistics().damaged == 1


def test_media_larger_than_the_limit_is_not_held() -> None:
    fragment = encode_single_sample_fragment(1, 1, 0, 960, bytes(1000))
    media_header = (2000).to_bytes(4, "big") + b"mdat"
    demuxer = Mp4Demuxer(Limits(max_box_size=1500))
    demuxer.feed(INIT + fragment[:104] + media_header + bytes(500))
    assert demuxer.pending_bytes == 0
    assert demuxer.statistics().damaged == 1


def test_a_moov_larger_than_the_limit_is_not_held() -> None:
    demuxer = Mp4Demuxer(Limits(max_header_box_size=1000))
    demuxer.feed((2000).to_bytes(4, "big") + b"moov" + bytes(500))
    assert demuxer.pending_bytes == 0
    assert demuxer.statistics().damaged == 1


def test_more_tracks_than_the_limit_are_refused() -> None:
    tracks = [Mp4Track(number, Codec.OPUS, 48_000) for number in range(1, 4)]
    demuxer = Mp4Demuxer(Limits(max_tracks=2))
    assert demuxer.feed(encode_init_segment(tracks)) == []
    assert demuxer.statistics().damaged == 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_raises_or_changes_with_segmentation(data: st.DataObject) -> None:
    stream = bytearray(INIT)
    for number in range(4):
        runs = [TrackRun(1, number, [Sample(1, bytes(5)), Sample(2, b"moof", -1)])]
        stream += encode_fragment(number, runs)
    for _ in range(data.draw(st.integers(1, 6))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(
            st.integers(0, 255)
        )
    limits = Limits(max_box_size=4096, max_header_box_size=2048, max_samples=64)
    whole = feed_all(bytes(stream), len(stream), limits)
    assert feed_all(bytes(stream), data.draw(st.integers(1, 50)), limits) == whole


def test_statistics_are_a_copy(named_vector: Callable[[str], Any]) -> None:
    demuxer = Mp4Demuxer()
    before = demuxer.statistics()
    demuxer.feed(named_vector("opus").data)
    assert before.samples == 0
    assert demuxer.statistics().samples == 16
