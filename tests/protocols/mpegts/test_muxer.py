"""What the muxer writes: tables, clocks, counters, and frames that come back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import Codec
from sansmedia.codecs.nal import join_annexb, join_length_prefixed, split_annexb
from sansmedia.codecs.opus import OpusHead, encode_opus_head
from sansmedia.mpegts import (
    Configuration,
    DataFormat,
    Demuxer,
    Descriptor,
    Event,
    MediaFrame,
    Muxer,
    MuxerConfig,
    MuxTrack,
    Packet,
    PcrSample,
    ProgramMap,
    Unwrapper,
    decode_packet,
)
from sansmedia.sansio import UsageError

ASC = bytes.fromhex("1190")
WRAP = 1 << 33
H264, AAC = MuxTrack(256, Codec.H264), MuxTrack(257, Codec.AAC, ASC)
AT_ZERO = MuxerConfig(offset_90k=0)


def packets_of(data: bytes) -> list[Packet]:
    assert len(data) % 188 == 0
    return [decode_packet(data[at : at + 188]) for at in range(0, len(data), 188)]


def check_counters(data: bytes) -> None:
    """Assert that no packet is missing. Source: ISO 13818-1 §2.4.3.3."""
    last: dict[int, int] = {}
    for packet in packets_of(data):
        if packet.pid == 0x1FFF:
            continue
        step = int(packet.payload is not None)
        before = last.get(packet.pid, packet.continuity - step)
        assert packet.continuity == (before + step) & 15
        last[packet.pid] = packet.continuity


def clocks(data: bytes) -> list[tuple[int, int]]:
    """Return place of the octet and value of each PCR."""
    return [
        (188 * number + 10, packet.adaptation.pcr)
        for number, packet in enumerate(packets_of(data))
        if packet.adaptation is not None and packet.adaptation.pcr is not None
    ]


def noise(size: int, number: int = 0) -> bytes:
    return bytes(1 + (number * 7 + at * 13) % 250 for at in range(size))


OPUS_HEAD = encode_opus_head(OpusHead(2, 312, coupled_count=1))
KLV = bytes.fromhex("060e2b34020b01010e01030101000000") + b"\x05value"
TRACKS: dict[str, tuple[MuxTrack, Callable[[int], bytes]]] = {
    "aac": (AAC, lambda n: noise(100 + n, n)),
    "latm": (MuxTrack(257, Codec.AAC, ASC, latm=True), lambda n: noise(300 + n, n)),
    "opus": (
        MuxTrack(257, Codec.OPUS, OPUS_HEAD),
        lambda n: b"\xfc" + noise(250 + n, n),
    ),
    "klv": (MuxTrack(257, DataFormat.KLV), lambda n: KLV),
    "klv synchronous": (
        MuxTrack(257, DataFormat.KLV_SYNCHRONOUS),
        lambda n: noise(20 + n, n),
    ),
    "id3": (
        MuxTrack(257, DataFormat.ID3),
        lambda n: b"ID3\x04\0\0\0\0\0" + bytes((n + 1,)) + noise(n + 1),
    ),
}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        *((name, 0) for name in TRACKS),
        # Data has no rate to count on by.
        *((name, 9000) for name in ("aac", "latm", "opus")),
    ],
)
def test_frames_of_every_form_come_back(
    name: str, group: int, demux: Callable[[bytes], list[Event]]
) -> None:
    track, make = TRACKS[name]
    muxer = Muxer([track], MuxerConfig(offset_90k=0, group_90k=group))
    sent = [make(number) for number in range(30)]
    step = 1800 if name == "opus" else 1920
    data = b"".join(muxer.write(257, f, 5000 + step * n) for n, f in enumerate(sent))
    data += muxer.flush()
    check_counters(data)
    events = demux(data)
    came = [event for event in events if isinstance(event, MediaFrame)]
    assert [frame.payload for frame in came] == sent
    assert [frame.pts for frame in came] == [5000 + step * n for n in range(30)]
    if group:
        assert sum(frame.timed for frame in came) == 30 // 5
    [program] = [event for event in events if isinstance(event, ProgramMap)]
    kind = program.tracks[0].codec or program.tracks[0].data_format
    assert kind is track.codec
    found = [event.data for event in events if isinstance(event, Configuration)]
    assert found == ([track.configuration] if track.configuration else [])


@pytest.mark.parametrize("name", ["h264_aac", "h265_ac3", "mp3_eac3", "opus_surround"])
@pytest.mark.parametrize("dvb", [False, True])
def test_what_others_wrote_comes_back_octet_by_octet(
    named_vector: Callable[[str], Any],
    demux: Callable[[bytes], list[Event]],
    name: str,
    dvb: bool,
) -> None:
    events = demux(named_vector(name).data)
    data = {e.pid: e.data for e in events if isinstance(e, Configuration)}
    [program] = [event for event in events if isinstance(event, ProgramMap)]
    tracks = [
        MuxTrack(t.pid, t.codec, data[t.pid], language=t.language, annexb=True, dvb=dvb)
        for t in program.tracks
        if t.codec
    ]
    frames = [event for event in events if isinstance(event, MediaFrame)]
    frames.sort(key=lambda frame: frame.dts or 0)
    muxer = Muxer(tracks, AT_ZERO)
    written = b""
    for f in frames:
        assert f.pts is not None
        written += muxer.write(
            f.pid, f.payload, f.pts, f.dts, random_access=f.random_access
        )
    check_counters(written)
    again = demux(written)
    came = [event for event in again if isinstance(event, MediaFrame)]

    def facts(found: list[MediaFrame]) -> list[tuple[object, ...]]:
        return sorted(
            (f.pid, f.dts or 0, f.pts, f.payload, f.random_access, f.trim[0])
            for f in found
        )

    assert facts(came) == facts(frames)
    assert {e.pid: e.data for e in again if isinstance(e, Configuration)} == data
    [repeated] = [event for event in again if isinstance(event, ProgramMap)]
    assert [t.language for t in repeated.tracks] == [t.language for t in program.tracks]


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=12), key=st.booleans())
def test_pictures_of_any_size_come_back(sizes: list[int], key: bool) -> None:
    muxer = Muxer([H264], AT_ZERO)
    sent = [
        join_length_prefixed([b"\x65\x88" + noise(size, size) + b"\x80"])
        for size in sizes
    ]
    data = b"".join(
        muxer.write(256, frame, 3600 * n + 3600, 3600 * n, random_access=key)
        for n, frame in enumerate(sent)
    )
    check_counters(data)
    demuxer = Demuxer()
    found = demuxer.feed(data) + demuxer.flush()
    came = [event for event in found if isinstance(event, MediaFrame)]
    assert [f.length_prefixed(frozenset((9,))) for f in came] == sent
    assert [(f.dts, f.pts) for f in came] == [
        (3600 * n, 3600 * n + 3600) for n in range(len(sent))
    ]


def test_a_key_frame_stands_behind_tables_with_all_that_a_decoder_needs(
    named_vector: Callable[[str], Any],
    configurations_of: Callable[[bytes], list[Configuration]],
) -> None:
    [avcc, *_] = configurations_of(named_vector("h264_aac").data)
    muxer = Muxer([MuxTrack(256, Codec.H264, avcc.data)], AT_ZERO)
    slice_ = join_length_prefixed([b"\x65\x88\x80"])
    muxer.write(256, slice_, 0, random_access=True)
    plain = muxer.write(256, join_length_prefixed([b"\x41\x9a\x80"]), 3600)
    key = muxer.write(256, slice_, 7200, random_access=True)
    assert [packet.pid for packet in packets_of(plain)] == [256]
    pat, pmt, picture = packets_of(key)
    assert (pat.pid, pmt.pid, picture.pid) == (0, 0x1000, 256)
    assert picture.adaptation is not None
    assert picture.adaptation.random_access
    assert picture.payload is not None
    # H.264 §7.3.2.4; H.265 §7.3.2.5 likewise.
    units = split_annexb(picture.payload[14:])
    assert [unit[0] & 0x1F for unit in units] == [9, 7, 8, 5]


def test_what_a_frame_has_already_is_not_added_again() -> None:
    muxer = Muxer([MuxTrack(256, Codec.H264, annexb=True)], AT_ZERO)
    units = join_annexb([b"\x09\x10", b"\x67\x64\0\x0a", b"\x68\xef", b"\x65\x88\x80"])
    [*_, picture] = packets_of(muxer.write(256, units, 0, random_access=True))
    assert picture.payload is not None
    assert picture.payload.endswith(units)


def test_tables_and_clock_come_often_enough(
    make_clip: Callable[..., Any],
) -> None:
    # ISO 13818-1 §2.7.2: a PCR each 100 ms. Frames come every 21 ms.
    data = make_clip(400, start=90_000).data
    steps = [new - old for (_, old), (_, new) in pairwise(clocks(data))]
    assert max(steps) <= 27_000_000 // 10
    assert min(steps) > 0
    tables = [n for n, packet in enumerate(packets_of(data)) if packet.pid == 0]
    assert len(tables) >= 400 * 1920 // (9000 + 1920)


def test_tracks_that_stray_from_each_other_cost_no_tables() -> None:
    muxer = Muxer([H264, AAC])
    frame = join_length_prefixed([b"\x41\x9a\x80"])
    data = b""
    for number in range(100):
        # The sound comes 100 ms behind the pictures.
        data += muxer.write(256, frame, 1920 * number + 9000)
        data += muxer.write(257, b"sound", 1920 * number)
    assert muxer.statistics().tables <= 100 * 1920 // 9000 + 2
    steps = [new - old for (_, old), (_, new) in pairwise(clocks(data))]
    assert min(steps) >= 0


def test_times_that_begin_anew_take_the_clock_with_them() -> None:
    muxer = Muxer([H264])
    frame = join_length_prefixed([b"\x41\x9a\x80"])
    muxer.write(256, frame, 90_000 * 3600)
    pat, _, picture = packets_of(muxer.write(256, frame, 0))
    assert pat.pid == 0
    assert picture.adaptation is not None
    assert picture.adaptation.discontinuity
    assert picture.adaptation.pcr == 300 * (90_000 - 63_000)


def test_av1_is_named_with_what_its_configuration_says(
    demux: Callable[[bytes], list[Event]],
) -> None:
    # AV1-MPEG2-TS §2.1, §2.2: hdr_wcg_idc 3 in two reserved bits.
    av1c = bytes.fromhex("81000c00") + b"\x0a\x01\x00"
    found = []
    for configuration in (av1c, b""):
        muxer = Muxer([MuxTrack(256, Codec.AV1, configuration)])
        data = muxer.write(256, b"\x32\x02\x10\x80", 0, random_access=True)
        [program] = [e for e in demux(data) if isinstance(e, ProgramMap)]
        found.append(program.tracks[0].descriptors)
    registered = Descriptor(5, b"AV01")
    video = Descriptor(0x80, bytes.fromhex("81000cc0"))
    assert found == [(registered, video), (registered,)]


def test_a_clock_without_pictures_comes_with_the_sound() -> None:
    muxer = Muxer([H264, AAC], AT_ZERO)
    data = b"".join(muxer.write(257, b"sound", 1920 * n) for n in range(50))
    check_counters(data)
    assert len(clocks(data)) >= 50 * 1920 // 3840
    assert {packet.pid for packet in packets_of(data)} == {0, 0x1000, 256, 257}


def test_a_constant_rate_is_exact(make_clip: Callable[..., Any]) -> None:
    # ISO 13818-1 §2.4.2.2: the PCR tells when its own octet arrives.
    rate = 1_000_000
    clip = make_clip(100, start=90_000, constant_rate_bps=rate)
    check_counters(clip.data)
    found = clocks(clip.data)
    assert len(found) > 40
    for (place, value), (next_place, next_value) in pairwise(found):
        expected = (next_place - place) * 8 * 27_000_000 // rate
        assert abs(next_value - value - expected) <= 1
        assert next_value - value < 27_000_000 // 20
    seconds = 100 * 1920 / 90_000
    assert abs(len(clip.data) * 8 / rate - seconds) < 0.05


def test_tags_and_languages_are_told_of_in_the_map(
    demux: Callable[[bytes], list[Event]],
) -> None:
    # ISO 13818-1 §2.6.18, §2.6.58.
    spoken = MuxTrack(257, Codec.AAC, ASC, language="fra")
    muxer = Muxer([spoken, MuxTrack(258, DataFormat.ID3)])
    [program] = [
        event
        for event in demux(muxer.write(257, b"sound", 0))
        if isinstance(event, ProgramMap)
    ]
    assert [track.language for track in program.tracks] == ["fra", "und"]
    pointer = b"\xff\xffID3 \xffID3 \0\x1f\0\1"
    assert program.descriptors == (Descriptor(0x25, pointer),)


def test_a_rate_that_is_too_low_is_counted() -> None:
    muxer = Muxer([H264], MuxerConfig(constant_rate_bps=100_000))
    frame = join_length_prefixed([b"\x65\x88" + noise(20_000)])
    for number in range(5):
        muxer.write(256, frame, 3600 * number)
    assert muxer.statistics().late > 0


def test_a_gap_is_not_filled_for_ever() -> None:
    muxer = Muxer([H264], MuxerConfig(constant_rate_bps=1_000_000))
    frame = join_length_prefixed([b"\x65\x88\x80"])
    muxer.write(256, frame, 0)
    data = muxer.write(256, frame, 90_000 * 3600)
    assert len(data) < 10 * 188
    assert any(
        packet.adaptation is not None and packet.adaptation.discontinuity
        for packet in packets_of(data)
    )


@pytest.mark.slow
def test_times_and_clock_wrap_together() -> None:
    """27 hours of stream time, a frame every 10 s, in both directions of the reader."""
    muxer = Muxer([H264, AAC], MuxerConfig(offset_90k=0, delay_90k=63_000))
    demuxer, unwrapper = Demuxer(), Unwrapper()
    step, frame = 900_000, join_length_prefixed([b"\x65\x88\x80"])
    end = 27 * 3600 * 90_000
    expected: list[int] = []
    came: list[int] = []
    clock: list[int] = []
    times = Unwrapper(42)
    for time in range(0, end, step):
        data = muxer.write(256, frame, time + 7200, time, random_access=True)
        data += muxer.write(257, b"sound", time + 1)
        expected += (time, time + 1)
        for event in demuxer.feed(data):
            if isinstance(event, MediaFrame) and event.dts is not None:
                came.append(unwrapper.advance(event.dts))
            elif isinstance(event, PcrSample):
                assert not event.discontinuity
                clock.append(event.pcr // 300)
    assert times.epoch == 0
    # The first picture waits for the second.
    assert sorted(came) == expected[: len(came)]
    assert len(came) >= len(expected) - 2
    assert came[-1] > WRAP
    wraps = sum(new < old for old, new in pairwise(clock))
    assert wraps == 2  # below 0 at the start, and after 26.5 hours
    assert demuxer.statistics().transport.continuity_errors == 0


def test_a_new_clock_is_announced() -> None:
    # ISO 13818-1 §2.4.3.5.
    muxer = Muxer([H264, AAC], AT_ZERO)
    frame = join_length_prefixed([b"\x65\x88\x80"])
    data = muxer.write(256, frame, 90_000) + muxer.discontinuity()
    later = muxer.write(257, b"sound", 0) + muxer.write(256, frame, 0)
    flags = {
        (packet.pid, packet.adaptation.discontinuity)
        for packet in packets_of(later)
        if packet.adaptation is not None
    }
    assert (256, True) in flags
    assert (257, True) in flags
    demuxer = Demuxer()
    events = demuxer.feed(data + later + muxer.write(256, frame, 3600))
    assert [e.discontinuity for e in events if isinstance(e, PcrSample)][:2] == [
        False,
        True,
    ]


def test_other_tracks_get_another_version_and_counters_go_on() -> None:
    muxer = Muxer([H264, AAC], AT_ZERO)
    frame = join_length_prefixed([b"\x65\x88\x80"])
    data = muxer.write(256, frame, 0) + muxer.write(257, b"sound", 0)
    opus = MuxTrack(258, Codec.OPUS, OPUS_HEAD)
    data += muxer.reconfigure([H264, opus])
    data += muxer.write(256, frame, 3600) + muxer.write(258, b"\xfcabc", 3600)
    data += muxer.reconfigure([H264, AAC]) + muxer.write(256, frame, 7200)
    check_counters(data)
    demuxer = Demuxer()
    events = demuxer.feed(data) + demuxer.flush()
    maps = [event for event in events if isinstance(event, ProgramMap)]
    assert [(m.version, [t.pid for t in m.tracks]) for m in maps] == [
        (0, [256, 257]),
        (1, [256, 258]),
        (2, [256, 257]),
    ]
    with pytest.raises(UsageError):
        muxer.write(258, b"\xfcabc", 0)


def test_programs_share_a_stream(demux: Callable[[bytes], list[Event]]) -> None:
    two = MuxTrack(512, Codec.AAC, ASC, program_number=7)
    muxer = Muxer([AAC, two], AT_ZERO)
    data = b"".join(
        muxer.write(pid, b"sound", 1920 * n) for n in range(10) for pid in (257, 512)
    )
    events = demux(data)
    maps = {e.program_number: e.pcr_pid for e in events if isinstance(e, ProgramMap)}
    assert maps == {1: 257, 7: 512}
    assert {e.program_number for e in events if isinstance(e, PcrSample)} == {1, 7}


def test_sound_that_waits_leaves_before_a_key_frame_and_in_time() -> None:
    muxer = Muxer([H264, AAC], MuxerConfig(offset_90k=0, group_90k=9000))
    frame = join_length_prefixed([b"\x65\x88\x80"])
    assert muxer.write(257, b"one", 0) == b""
    assert muxer.pending_bytes > 0
    key = muxer.write(256, frame, 100, random_access=True)
    pids = [packet.pid for packet in packets_of(key)]
    assert pids.index(257) < pids.index(0, 3)
    muxer.write(257, b"two", 1920)
    assert 257 not in [p.pid for p in packets_of(muxer.write(256, frame, 9000))]
    assert 257 in [p.pid for p in packets_of(muxer.write(256, frame, 12_000))]
    assert muxer.flush() == b""


@pytest.mark.parametrize(
    "tracks",
    [
        [],
        [MuxTrack(256, Codec.VP8)],
        [H264, H264],
        [MuxTrack(5, Codec.H264)],
        [MuxTrack(0x1000, Codec.H264)],
        [MuxTrack(256, Codec.H264, b"\0")],
        [MuxTrack(256, Codec.AAC)],
        [MuxTrack(256, Codec.AAC, ASC, language="english")],
        [MuxTrack(256, Codec.AAC, ASC, program_number=0)],
        [MuxTrack(256, Codec.OPUS, b"\1\2")],
    ],
)
def test_tracks_that_cannot_be_written_are_refused(tracks: list[MuxTrack]) -> None:
    with pytest.raises(UsageError):
        Muxer(tracks)


def test_frames_that_cannot_be_written_are_refused() -> None:
    muxer = Muxer([AAC, MuxTrack(258, DataFormat.KLV)])
    with pytest.raises(UsageError, match="ADTS"):
        muxer.write(257, bytes(9000), 0)
    with pytest.raises(UsageError, match="no picture"):
        muxer.write(258, bytes(70_000), 0)
    with pytest.raises(UsageError, match="PID"):
        muxer.write(300, b"", 0)
