"""Frames into MPEG-TS and back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest
from sansmedia.codecs import Codec
from sansmedia.flv.tags import FlvDemuxer, TagType
from sansmedia.mpegts import (
    DataFormat,
    Demuxer,
    MediaFrame,
    Muxer,
    MuxTrack,
    ProgramMap,
)
from sansmedia.rtmp import MediaKind, MediaMessage

from penstock.convert.flv_to_frames import FlvToFrames
from penstock.convert.framing import converter_for
from penstock.convert.ts_to_frames import TsToFrames
from penstock.engine.unit import Form, Unit
from penstock.media import Frame, Track, TrackKind
from penstock.media.timeline import MillisecondTimeline, TransportTimeline

DATA = Path(__file__).parent.parent / "data"
AVC = (DATA / "codecs" / "h264_high_1080.bin").read_bytes()
AAC = (DATA / "codecs" / "aac_lc_44100_2.bin").read_bytes()
TS = Form("ts")
_IDR = bytes.fromhex("00000005 65888084ff".replace(" ", ""))
_SLICE = bytes.fromhex("00000004 41 9a0203".replace(" ", ""))


def frames_of_flv(name: str) -> list[Track | Frame]:
    converter = FlvToFrames(MillisecondTimeline(), epoch=1)
    found: list[Track | Frame] = []
    for tag in FlvDemuxer().feed((DATA / "flv" / f"{name}.bin").read_bytes()):
        if tag.type in (TagType.AUDIO, TagType.VIDEO):
            kind = MediaKind(tag.type)
            message = MediaMessage(kind, tag.timestamp_ms, tag.body)
            frames = converter.convert(message, 0.0)
            found += converter.announced()
            found += frames
    return found


def muxed(items: Iterable[Track | Frame], form: Form = TS) -> list[Unit]:
    items = list(items)
    converter = converter_for(form)
    tracks = [item for item in items if isinstance(item, Track)]
    names = {True: "audiocodecid", False: "videocodecid"}
    converter.metadata({names[track.is_audio]: 1 for track in tracks})
    units: list[Unit] = []
    for item in items:
        if isinstance(item, Track):
            units += converter.announce(item)
        else:
            units += converter.convert(item)
    return units + converter.finish()


def ingested(data: bytes, converter: TsToFrames | None = None) -> list[Track | Frame]:
    converter = converter or TsToFrames(TransportTimeline(), epoch=1)
    demuxer = Demuxer()
    found: list[Track | Frame] = []
    for event in [*demuxer.feed(data), *demuxer.flush()]:
        frame = converter.convert(event, 0.0)
        found += converter.announced()
        if frame is not None:
            found.append(frame)
    return found


def facts(
    items: Iterable[Track | Frame], kind: TrackKind
) -> list[tuple[int, int, bytes, bool]]:
    """Return the frames of the main track of a kind, the first at time 0."""
    frames = [
        item
        for item in items
        if isinstance(item, Frame) and item.track.kind is kind and not item.track.id
    ]
    return [
        (f.dts - frames[0].dts, f.pts - f.dts, f.payload, f.random_access)
        for f in frames
    ]


def picture(dts: int, *, key: bool = False, pts: int | None = None) -> Frame:
    payload = _IDR if key else _SLICE
    track = Track(0, TrackKind.VIDEO, Codec.H264, 90_000, AVC)
    return Frame(track, dts, dts if pts is None else pts, payload, random_access=key)


@pytest.mark.parametrize("name", ["h264_aac", "h264_mp3", "h264_eac3"])
def test_what_came_by_rtmp_is_the_same_after_a_way_through_ts(name: str) -> None:
    sent = frames_of_flv(name)
    back = ingested(b"".join(unit.data for unit in muxed(sent)))
    for kind in (TrackKind.VIDEO, TrackKind.AUDIO):
        expected = facts(sent, kind)
        assert facts(back, kind) == expected
        assert len(expected) > 5


SOUND = Track(0, TrackKind.AUDIO, Codec.AAC, 44_100, AAC)


def sound(number: int) -> Frame:
    at = 1_024 * number
    return Frame(SOUND, at, at, b"sound %d" % number, random_access=True)


@pytest.mark.parametrize("framing", ["raw", "chunked", "websocket"])
@pytest.mark.parametrize("format", ["rtmp", "flv", "ts", "mp4"])
def test_no_sound_stays_behind_at_the_end(format: str, framing: str) -> None:
    first = picture(0, key=True)
    for count in (1, 2, 3):
        sounds = [sound(number) for number in range(count)]
        units = muxed([first.track, SOUND, first, *sounds], Form(format, framing))
        data = b"".join(unit.data for unit in units)
        for one in sounds:
            assert data.count(one.payload) == 1, (count, one.payload)


@pytest.mark.parametrize("rate", [30, 1])
def test_sounds_go_with_the_next_picture_but_do_not_wait_long_for_one(
    rate: int,
) -> None:
    """A unit is a system call for every viewer."""
    pictures = [
        picture(number * 90_000 // rate, key=number == 0) for number in range(4 * rate)
    ]
    sounds = [sound(number) for number in range(4 * 44_100 // 1024)]
    converter, demuxer = converter_for(TS), Demuxer()
    for track in (pictures[0].track, SOUND):
        converter.announce(track)
    late, units = [], 0
    for frame in sorted(
        [*pictures, *sounds], key=lambda one: one.dts / one.track.clock_rate
    ):
        now = frame.dts / frame.track.clock_rate
        for unit in converter.convert(frame):
            units += 1
            late += [
                now - sounds[int(event.payload[6:])].dts / 44_100
                for event in demuxer.feed(unit.data)
                if isinstance(event, MediaFrame) and event.payload[:5] == b"sound"
            ]
    assert len(late) > len(sounds) - 5
    assert max(late) < 0.09
    assert units <= max(len(pictures), len(sounds) // 4) + 4


def test_the_last_sounds_stand_before_the_next_publication() -> None:
    converter = converter_for(TS)
    data = b""
    for number in (1, 2):
        converter.begin()
        for track in (picture(0).track, SOUND):
            converter.announce(track)
        for frame in (picture(0, key=True), sound(number)):
            data += b"".join(unit.data for unit in converter.convert(frame))
        last = converter.finish()
        assert [unit.kind for unit in last] == [TrackKind.AUDIO]
        assert not any(unit.key for unit in last)
        data += b"".join(unit.data for unit in last)
        assert converter.finish() == []
    demuxer = Demuxer()
    heard = [
        event.payload
        for event in [*demuxer.feed(data), *demuxer.flush()]
        if isinstance(event, MediaFrame) and event.payload[:5] == b"sound"
    ]
    assert heard == [b"sound 1", b"sound 2"]


def test_a_publication_that_ends_before_all_its_tracks_came_is_seen() -> None:
    converter = converter_for(TS)
    converter.metadata({"videocodecid": 7.0, "audiocodecid": 10.0})
    frames = [picture(0, key=True), picture(3_000)]
    converter.announce(frames[0].track)
    assert [converter.convert(frame) for frame in frames] == [[], []]
    units = converter.finish()
    assert [unit.key for unit in units] == [True, False]
    kept = ingested(b"".join(unit.data for unit in units))
    assert len([item for item in kept if isinstance(item, Frame)]) == 2


def test_pictures_that_nobody_can_decode_are_not_seen_at_the_end_either() -> None:
    first = picture(0)
    assert muxed([first.track, SOUND, first, picture(3_000), sound(1)]) == []


def test_every_key_unit_begins_with_the_tables() -> None:
    frames: list[Track | Frame] = [picture(0, key=True).track]
    frames += [picture(3_000 * n, key=n % 10 == 0) for n in range(30)]
    units = muxed(frames)
    keys = [unit for unit in units if unit.key]
    assert len(keys) == 3
    for unit in keys:
        # PID 0 is the PAT's, and a program map comes right after it.
        assert unit.data[:3] == b"\x47\x40\x00"
        demuxer = Demuxer()
        events = [*demuxer.feed(unit.data), *demuxer.flush()]
        assert isinstance(events[0], ProgramMap)
        assert any(isinstance(event, MediaFrame) for event in events)
    assert all(len(unit.data) % 188 == 0 for unit in units)


def test_pictures_before_the_first_key_frame_are_left_out_both_ways() -> None:
    first = picture(0)
    units = muxed([first.track, first, picture(3_000), picture(6_000, key=True)])
    assert [unit.key for unit in units] == [True]
    muxer = Muxer([MuxTrack(256, Codec.H264, AVC)])
    data = muxer.write(256, _SLICE, 0) + muxer.write(
        256, _IDR, 3_000, random_access=True
    )
    kept = [item for item in ingested(data) if isinstance(item, Frame)]
    assert [frame.random_access for frame in kept] == [True]


def test_times_go_on_over_the_wrap_of_33_bits() -> None:
    muxer = Muxer([MuxTrack(256, Codec.H264, AVC)])
    start = (1 << 33) - 10 * 3_000 - 90_000
    data = b"".join(
        muxer.write(
            256,
            _IDR if not n % 5 else _SLICE,
            start + 3_000 * n + 6_000,
            start + 3_000 * n,
            random_access=not n % 5,
        )
        for n in range(40)
    )
    frames = [item for item in ingested(data) if isinstance(item, Frame)]
    assert [frame.dts - frames[0].dts for frame in frames] == [
        3_000 * n for n in range(40)
    ]
    assert {frame.pts - frame.dts for frame in frames} == {6_000}


def test_a_jump_of_the_clock_goes_on_where_it_was() -> None:
    muxer = Muxer([MuxTrack(256, Codec.H264, AVC)])
    times = [3_000 * n for n in range(10)] + [50_000_000 + 3_000 * n for n in range(10)]
    data = b"".join(muxer.write(256, _IDR, at, random_access=True) for at in times)
    frames = [item for item in ingested(data) if isinstance(item, Frame)]
    steps = [b.dts - a.dts for a, b in itertools.pairwise(frames)]
    assert len(frames) == 20
    assert max(steps) < 9_000


def test_languages_are_tracks_of_their_own_and_stay_together() -> None:
    muxer = Muxer(
        [
            MuxTrack(256, Codec.H264, AVC),
            MuxTrack(257, Codec.AAC, AAC, language="deu"),
            MuxTrack(258, Codec.AAC, AAC, language="eng"),
        ]
    )
    data = muxer.write(256, _IDR, 0, random_access=True)
    data += muxer.write(257, b"german", 0) + muxer.write(258, b"english", 0)
    items = ingested(data)
    tracks = [item for item in items if isinstance(item, Track)]
    assert {(track.kind, track.id, track.language) for track in tracks} == {
        (TrackKind.VIDEO, 0, ""),
        (TrackKind.AUDIO, 0, "deu"),
        (TrackKind.AUDIO, 1, "eng"),
    }
    again = ingested(b"".join(unit.data for unit in muxed(items)))
    languages = {i.language for i in again if isinstance(i, Track) and i.is_audio}
    assert languages == {"deu", "eng"}


def test_a_program_that_changes_its_tracks_is_announced_anew() -> None:
    muxer = Muxer([MuxTrack(256, Codec.H264, AVC)])
    data = muxer.write(256, _IDR, 0, random_access=True)
    data += muxer.reconfigure(
        [MuxTrack(300, Codec.H264, AVC), MuxTrack(301, Codec.AAC, AAC)]
    )
    data += muxer.write(300, _IDR, 3_000, random_access=True)
    data += muxer.write(301, b"sound", 3_000)
    items = ingested(data)
    video = [i for i in items if isinstance(i, Track) and i.is_video]
    assert [track.id for track in video] == [0, 0]
    assert video[1].generation > video[0].generation
    frames = [i for i in items if isinstance(i, Frame)]
    assert [frame.track.kind for frame in frames].count(TrackKind.VIDEO) == 2


def test_klv_goes_through_ts_and_never_into_flv() -> None:
    muxer = Muxer([MuxTrack(256, Codec.H264, AVC), MuxTrack(257, DataFormat.KLV)])
    item = bytes.fromhex("060e2b34020b01010e01030101000000") + b"\x02hi"
    data = muxer.write(256, _IDR, 0, random_access=True) + muxer.write(257, item, 0)
    items = ingested(data)
    carried = [
        i for i in items if isinstance(i, Frame) and i.track.kind is TrackKind.DATA
    ]
    assert [frame.payload for frame in carried] == [item]
    again = ingested(b"".join(unit.data for unit in muxed(items)))
    assert item in [i.payload for i in again if isinstance(i, Frame)]
    for unit in muxed(items, Form("flv", multitrack=True)):
        assert item not in unit.data


def test_a_damaged_picture_is_left_out_and_counted() -> None:
    muxer = Muxer([MuxTrack(256, Codec.H264, AVC)])
    large = (
        (2_000).to_bytes(4, "big") + b"\x41" + bytes(range(1, 200)) * 10 + b"\x80" * 9
    )
    whole = [muxer.write(256, _IDR, 0, random_access=True)]
    whole += [muxer.write(256, large, 3_000 * n) for n in range(1, 5)]
    hurt = whole[2][:188] + whole[2][376:]
    converter = TsToFrames(TransportTimeline(), epoch=1)
    items = ingested(whole[0] + whole[1] + hurt + whole[3] + whole[4], converter)
    assert len([i for i in items if isinstance(i, Frame)]) == 4
    assert converter.damaged == 1


def test_opus_from_ts_is_passed_through_to_ts_and_turned_into_aac_for_others() -> None:
    track = Track(0, TrackKind.AUDIO, Codec.OPUS, 48_000, stream_type=6)
    assert TS.sound_for(track) is None
    assert Form("flv").sound_for(track) is Codec.AAC
    assert TS.sound_for(attrs.evolve(track, stream_type=0)) is Codec.AAC
