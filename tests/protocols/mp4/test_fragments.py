from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import Codec
from sansmedia.mp4 import (
    Box,
    MediaSample,
    Mp4Demuxer,
    Mp4Track,
    Sample,
    SegmentReference,
    TrackRun,
    decode_boxes,
    encode_event_message,
    encode_fragment,
    encode_init_segment,
    encode_producer_reference_time,
    encode_segment_index,
    encode_segment_type,
    encode_single_sample_fragment,
)
from sansmedia.sansio import UsageError

INIT = encode_init_segment(
    [Mp4Track(1, Codec.VP8, 1000, width=64, height=48), Mp4Track(2, Codec.MP3, 44_100)]
)
SAMPLES = st.builds(
    Sample,
    st.integers(0, 2**32 - 1),
    st.binary(max_size=30),
    st.integers(-(2**31), 2**31 - 1) | st.just(0),
    st.booleans(),
)
RUNS = st.builds(
    TrackRun,
    st.integers(1, 2),
    st.integers(0, 2**64 - 1),
    st.lists(SAMPLES, min_size=1, max_size=5),
)


def trun(fragment: bytes) -> Box:
    found = decode_boxes(fragment)[0].first(b"traf", b"trun")
    assert found is not None
    return found


def test_a_single_sample_fragment_has_the_boxes_of_the_specification() -> None:
    """ISO 14496-12 §8.8.4, §8.8.7, §8.8.8, §8.8.12."""
    fragment = encode_single_sample_fragment(7, 3, 1 << 40, 512, b"frame", -100, False)
    assert decode_boxes(fragment) == (
        Box(
            b"moof",
            children=(
                Box(b"mfhd", struct.pack(">II", 0, 7)),
                Box(
                    b"traf",
                    children=(
                        Box(b"tfhd", struct.pack(">II", 0x020000, 3)),
                        Box(b"tfdt", struct.pack(">IQ", 1 << 24, 1 << 40)),
                        Box(
                            b"trun",
                            struct.pack(
                                ">IIiIIIi",
                                0x01000F01,
                                1,
                                len(fragment) - 5,
                                512,
                                5,
                                0x01010000,
                                -100,
                            ),
                        ),
                    ),
                ),
            ),
        ),
        Box(b"mdat", b"frame"),
    )


def test_a_random_access_sample_depends_on_no_other() -> None:
    """ISO 14496-12 §8.8.3.1: sample_depends_on and sample_is_non_sync_sample."""
    flags = [
        trun(
            encode_single_sample_fragment(1, 1, 0, 1, b"x", random_access=is_key)
        ).payload[20:24]
        for is_key in (True, False)
    ]
    assert flags == [b"\x02\x00\x00\x00", b"\x01\x01\x00\x00"]


@pytest.mark.parametrize(
    "arguments",
    [
        (1 << 32, 1, 0, 1, b""),
        (0, -1, 0, 1, b""),
        (0, 1, -1, 1, b""),
        (0, 1, 1 << 64, 1, b""),
        (0, 1, 0, 1 << 32, b""),
        (0, 1, 0, 1, b"", 1 << 31),
    ],
)
def test_a_number_that_does_not_fit_is_a_usage_error(
    arguments: tuple[int, int, int, int, bytes],
) -> None:
    with pytest.raises(UsageError):
        encode_single_sample_fragment(*arguments)


def test_what_samples_have_in_common_is_written_once() -> None:
    audio = [Sample(1024, bytes([number])) for number in range(100)]
    fragment = encode_fragment(1, [TrackRun(1, 0, audio)])
    # Four octets a sample for its size, nothing else.
    assert len(trun(fragment).payload) == 12 + 4 * 100


def test_a_key_picture_before_others_costs_one_field() -> None:
    video = [Sample(40, b"x", random_access=number == 0) for number in range(100)]
    fragment = encode_fragment(1, [TrackRun(1, 0, video)])
    assert len(trun(fragment).payload) == 12 + 4 + 4 * 100


def test_runs_of_several_tracks_share_one_mdat() -> None:
    """ISO 14496-12 §8.1.1."""
    fragment = encode_fragment(
        1,
        [
            TrackRun(1, 5, [Sample(10, b"picture", 3, False)]),
            TrackRun(2, 6, [Sample(20, b"so"), Sample(20, b"und")]),
        ],
    )
    assert decode_boxes(fragment)[1:] == (Box(b"mdat", b"picturesound"),)
    events = Mp4Demuxer().feed(INIT + fragment)
    assert events[1:] == [
        MediaSample(1, 5, 8, 10, False, b"picture"),
        MediaSample(2, 6, 6, 20, True, b"so"),
        MediaSample(2, 26, 26, 20, True, b"und"),
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(RUNS, min_size=1, max_size=3))
def test_every_fragment_is_read_as_it_was_written(runs: list[TrackRun]) -> None:
    expected = []
    for run in runs:
        dts = run.base_decode_time
        for sample in run.samples:
            expected.append(
                MediaSample(
                    run.track_id,
                    dts,
                    dts + sample.composition_offset,
                    sample.duration,
                    sample.random_access,
                    sample.payload,
                )
            )
            dts += sample.duration
    demuxer = Mp4Demuxer()
    assert demuxer.feed(INIT + encode_fragment(9, runs))[1:] == expected
    assert demuxer.statistics().damaged == 0


@settings(max_examples=50, deadline=None)
@given(SAMPLES, st.integers(0, 2**64 - 1))
def test_the_fast_path_says_the_same_as_the_general_one(
    sample: Sample, base_decode_time: int
) -> None:
    fast = encode_single_sample_fragment(
        1,
        2,
        base_decode_time,
        sample.duration,
        sample.payload,
        sample.composition_offset,
        sample.random_access,
    )
    general = encode_fragment(1, [TrackRun(2, base_decode_time, [sample])])
    assert Mp4Demuxer().feed(INIT + fast) == Mp4Demuxer().feed(INIT + general)


@pytest.mark.parametrize("runs", [[], [TrackRun(1, 0, [])]])
def test_a_fragment_without_samples_is_a_usage_error(runs: list[TrackRun]) -> None:
    with pytest.raises(UsageError):
        encode_fragment(1, runs)


def test_a_run_that_does_not_fit_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        encode_fragment(1, [TrackRun(1, -1, [Sample(1, b"")])])


def test_a_segment_type_names_its_major_brand_twice() -> None:
    """ISO 14496-12 §8.16.2."""
    assert (
        encode_segment_type([b"msdh", b"cmfs"]) == b"\0\0\0\x18stypmsdh\0\0\0\0msdhcmfs"
    )
    with pytest.raises(UsageError):
        encode_segment_type([])


def test_a_producer_reference_time_has_64_bit_times() -> None:
    """ISO 14496-12 §8.16.5, version 1."""
    box = encode_producer_reference_time(1, 0xE8000000_80000000, 1 << 33)
    assert box == b"\0\0\0\x20prft" + struct.pack(
        ">IIQQ", 0x01000018, 1, 0xE8000000_80000000, 1 << 33
    )
    with pytest.raises(UsageError):
        encode_producer_reference_time(1, -1, 0)
    with pytest.raises(UsageError):
        encode_producer_reference_time(1, 0, 0, flags=1 << 24)


def test_an_event_message_has_its_times_before_its_strings() -> None:
    """ISO 23009-1 §5.10.3.3, version 1."""
    box = encode_event_message(
        "urn:x",
        "v",
        timescale=1000,
        presentation_time=1 << 33,
        event_id=4,
        message=b"m",
    )
    assert decode_boxes(box) == (
        Box(
            b"emsg",
            struct.pack(">IIQII", 1 << 24, 1000, 1 << 33, 0xFFFFFFFF, 4)
            + b"urn:x\0v\0m",
        ),
    )
    with pytest.raises(UsageError):
        encode_event_message("a\0b", "", timescale=1, presentation_time=0)


def test_a_segment_index_lists_its_subsegments() -> None:
    """ISO 14496-12 §8.16.3, version 1."""
    box = encode_segment_index(
        1, 90_000, 1 << 33, [SegmentReference(500, 90_000)], first_offset=7
    )
    assert decode_boxes(box) == (
        Box(
            b"sidx",
            struct.pack(
                ">IIIQQHHIII",
                1 << 24,
                1,
                90_000,
                1 << 33,
                7,
                0,
                1,
                500,
                90_000,
                0x90000000,
            ),
        ),
    )
    with pytest.raises(UsageError):
        encode_segment_index(1, 1, 0, [SegmentReference(1 << 31, 1)])
