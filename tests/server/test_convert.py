"""FLV bodies into frames and back, and frames into MP4 and framings."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sansmedia.amf import amf0
from sansmedia.codecs import Codec
from sansmedia.flv.audio import (
    AudioBody,
    AudioPacket,
    AudioPacketType,
    encode_audio_body,
)
from sansmedia.flv.enhanced import AvMultitrackType, ModEx, timestamp_offset_nano
from sansmedia.flv.fourcc import AudioCodecId, VideoCodecId
from sansmedia.flv.tags import FlvDemuxer, TagType
from sansmedia.flv.video import (
    VideoBody,
    VideoFrameType,
    VideoPacket,
    VideoPacketType,
    encode_video_body,
)
from sansmedia.mp4 import InitSegment, MediaSample, Mp4Demuxer
from sansmedia.rtmp import MediaKind, MediaMessage

from penstock.convert.flv_to_frames import FlvToFrames
from penstock.convert.framing import chunk, converter_for, websocket_message
from penstock.engine.unit import Converter, Form, Unit
from penstock.media import Frame, Track, TrackKind
from penstock.media.timeline import MillisecondTimeline

DATA = Path(__file__).parent.parent / "data"
RECORDED = sorted(path.stem for path in (DATA / "flv").glob("*.bin"))
CODECS = DATA / "codecs"
AVC = (CODECS / "h264_high_1080.bin").read_bytes()
HEVC = (CODECS / "h265_main.bin").read_bytes()
AAC = (CODECS / "aac_lc_44100_2.bin").read_bytes()
FULL = Form("flv", multitrack=True, nanoseconds=True)


def messages_of(data: bytes) -> list[MediaMessage]:
    return [
        MediaMessage(MediaKind(tag.type), tag.timestamp_ms, tag.body)
        for tag in FlvDemuxer().feed(data)
        if tag.type in (TagType.AUDIO, TagType.VIDEO)
    ]


def recorded_converter(name: str, form: Form) -> Converter:
    """Return a converter that was told the metadata of a recording."""
    converter = converter_for(form)
    for tag in FlvDemuxer().feed((DATA / "flv" / f"{name}.bin").read_bytes()):
        if tag.type is TagType.SCRIPT:
            _, values = amf0.decode_values(tag.body)
            assert isinstance(values, dict)
            converter.metadata(dict(values))
    return converter


Ingested = list[Track | Frame]


def ingest(
    messages: list[MediaMessage], converter: FlvToFrames | None = None
) -> Ingested:
    """Return tracks as they are announced, and frames, in their order."""
    converter = converter or FlvToFrames(MillisecondTimeline(), epoch=1)
    found: Ingested = []
    for number, message in enumerate(messages):
        frames = converter.convert(message, number * 0.01)
        found += converter.announced()
        found += frames
    return found


def convert(converter: Converter, ingested: Ingested) -> list[Unit]:
    units = []
    for item in ingested:
        if isinstance(item, Track):
            units += converter.announce(item)
        else:
            units += converter.convert(item)
    return units


def facts(ingested: Ingested) -> list[tuple[Any, ...]]:
    """Return all of the frames, and of their tracks, that a viewer can notice."""
    return [
        (
            frame.track.kind,
            frame.track.id,
            frame.track.codec,
            frame.track.wire_codec if frame.track.codec is None else None,
            frame.track.configuration,
            frame.track.metadata,
            frame.track.channel_layout,
            frame.dts,
            frame.pts,
            frame.payload,
            frame.random_access,
            frame.duration,
        )
        for frame in ingested
        if isinstance(frame, Frame)
    ]


# -- round trips --------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_what_ffmpeg_published_comes_back_the_same(name: str) -> None:
    ingested = ingest(messages_of((DATA / "flv" / f"{name}.bin").read_bytes()))
    assert facts(ingested)
    again = b"".join(unit.data for unit in convert(converter_for(FULL), ingested))
    assert facts(ingest(messages_of(again))) == facts(ingested)


@pytest.mark.parametrize("name", RECORDED)
def test_rtmp_and_flv_say_the_same(name: str) -> None:
    ingested = ingest(messages_of((DATA / "flv" / f"{name}.bin").read_bytes()))
    tags = convert(converter_for(FULL), ingested)
    rtmp = Form("rtmp", multitrack=True, nanoseconds=True)
    shared = convert(converter_for(rtmp), ingested)
    assert [u.time for u in tags] == [u.time for u in shared]
    assert [u.key for u in tags] == [u.key for u in shared]
    # A tag is a header of 11 octets, the body and 4 more; a message 12 and the body.
    assert [u.data[11:-4] for u in tags] == [u.data[12:] for u in shared]


@pytest.mark.parametrize("name", RECORDED)
def test_a_late_viewer_gets_what_its_key_frame_needs(name: str) -> None:
    ingested = ingest(messages_of((DATA / "flv" / f"{name}.bin").read_bytes()))
    units = convert(recorded_converter(name, FULL), ingested)
    start = next(i for i, unit in enumerate(units) if unit.key)
    late = units[start].config + b"".join(unit.data for unit in units[start:])
    expected = facts(ingested)
    found = facts(ingest(messages_of(late)))
    assert found
    assert [f[9] for f in found] == [f[9] for f in expected][-len(found) :]


# -- E-RTMP -------------------------------------------------------------------------


def video(
    packets: list[VideoPacket],
    *,
    key: bool = True,
    multitrack: AvMultitrackType | None = None,
    mod_ex: tuple[ModEx, ...] = (),
    at_ms: int = 0,
) -> MediaMessage:
    kind = VideoFrameType.KEY if key else VideoFrameType.INTER
    body = VideoBody(kind, packets, True, multitrack, mod_ex)
    return MediaMessage(MediaKind.VIDEO, at_ms, encode_video_body(body))


def audio(
    packets: list[AudioPacket],
    *,
    multitrack: AvMultitrackType | None = None,
    at_ms: int = 0,
    enhanced: bool = True,
) -> MediaMessage:
    body = AudioBody(packets, enhanced, multitrack)
    return MediaMessage(MediaKind.AUDIO, at_ms, encode_audio_body(body))


START, CODED = VideoPacketType.SEQUENCE_START, VideoPacketType.CODED_FRAMES


@pytest.mark.parametrize(
    ("multitrack", "codecs"),
    [
        (AvMultitrackType.ONE_TRACK, [(VideoCodecId.AVC, AVC)]),
        (
            AvMultitrackType.MANY_TRACKS,
            [(VideoCodecId.AVC, AVC), (VideoCodecId.AVC, AVC)],
        ),
        (
            AvMultitrackType.MANY_TRACKS_MANY_CODECS,
            [(VideoCodecId.AVC, AVC), (VideoCodecId.HEVC, HEVC)],
        ),
    ],
)
def test_every_kind_of_multitrack_message_gives_its_tracks(
    multitrack: AvMultitrackType, codecs: list[tuple[int, bytes]]
) -> None:
    first = 1 if multitrack is AvMultitrackType.ONE_TRACK else 0
    starts = [
        VideoPacket(codec, START, configuration, 0, number)
        for number, (codec, configuration) in enumerate(codecs, first)
    ]
    coded = [
        VideoPacket(codec, CODED, b"picture %d" % number, 0, number)
        for number, (codec, _) in enumerate(codecs, first)
    ]
    ingested = ingest(
        [video(starts, multitrack=multitrack), video(coded, multitrack=multitrack)]
    )
    frames = [frame for frame in ingested if isinstance(frame, Frame)]
    assert [(f.track.id, f.payload) for f in frames] == [
        (number, b"picture %d" % number) for number in range(first, first + len(codecs))
    ]
    again = b"".join(unit.data for unit in convert(converter_for(FULL), ingested))
    assert facts(ingest(messages_of(again))) == facts(ingested)


def test_viewers_without_multitrack_get_the_main_tracks() -> None:
    packets = [VideoPacket(VideoCodecId.AVC, START, AVC, 0, n) for n in (0, 1)]
    pictures = [VideoPacket(VideoCodecId.AVC, CODED, b"%d" % n, 0, n) for n in (0, 1)]
    many = AvMultitrackType.MANY_TRACKS
    ingested = ingest(
        [video(packets, multitrack=many), video(pictures, multitrack=many)]
    )
    units = convert(converter_for(Form("flv")), ingested)
    again = ingest(messages_of(b"".join(unit.data for unit in units)))
    assert [f.payload for f in again if isinstance(f, Frame)] == [b"0"]


@given(nanoseconds=st.integers(0, 999_999), composition=st.integers(-500, 500))
@settings(max_examples=100, deadline=None)
def test_nanoseconds_survive_to_the_tick(nanoseconds: int, composition: int) -> None:
    start = video([VideoPacket(VideoCodecId.AVC, START, AVC)])
    picture = video(
        [VideoPacket(VideoCodecId.AVC, CODED, b"x", composition)],
        mod_ex=(timestamp_offset_nano(nanoseconds),),
        at_ms=1_000,
    )
    ingested = ingest([start, picture])
    (frame,) = [f for f in ingested if isinstance(f, Frame)]
    exact = (1_000 + composition + nanoseconds / 1e6) * 90
    assert abs(frame.pts - exact) <= 0.51
    again = b"".join(unit.data for unit in convert(converter_for(FULL), ingested))
    assert facts(ingest(messages_of(again))) == facts(ingested)
    coarse = b"".join(u.data for u in convert(converter_for(Form("flv")), ingested))
    (shown,) = [f for f in ingest(messages_of(coarse)) if isinstance(f, Frame)]
    assert abs(shown.pts - frame.pts) <= 45


def test_a_form_without_side_info_has_media_and_their_configuration() -> None:
    colour = amf0.encode_values("colorInfo", {"colorConfig": {"bitDepth": 10.0}})
    layout = b"\x01\x06\x00\x00\x00\x3f"
    opus = AudioCodecId.OPUS
    head = (CODECS / "opus_head_6.bin").read_bytes()
    start = video([VideoPacket(VideoCodecId.HEVC, START, HEVC)])
    begin = audio([AudioPacket(opus, AudioPacketType.SEQUENCE_START, head)])
    picture = video([VideoPacket(VideoCodecId.HEVC, CODED, b"picture")])
    colours = video([VideoPacket(VideoCodecId.HEVC, VideoPacketType.METADATA, colour)])
    channels = audio([AudioPacket(opus, AudioPacketType.MULTICHANNEL_CONFIG, layout)])
    form = Form("flv", side_info=False)
    described = convert(
        converter_for(form), ingest([start, colours, begin, channels, picture, colours])
    )
    plain = convert(converter_for(form), ingest([start, begin, picture]))
    assert [u.data for u in described] == [u.data for u in plain]
    assert [u.config for u in described] == [u.config for u in plain]


def test_colour_and_channels_that_change_are_passed_on() -> None:
    colour = amf0.encode_values("colorInfo", {"colorConfig": {"bitDepth": 10.0}})
    layout = b"\x01\x06\x00\x00\x00\x3f"
    opus = AudioCodecId.OPUS
    head = (CODECS / "opus_head_6.bin").read_bytes()
    messages = [
        video([VideoPacket(VideoCodecId.HEVC, START, HEVC)]),
        video([VideoPacket(VideoCodecId.HEVC, VideoPacketType.METADATA, colour)]),
        audio([AudioPacket(opus, AudioPacketType.SEQUENCE_START, head)]),
        audio([AudioPacket(opus, AudioPacketType.MULTICHANNEL_CONFIG, layout)]),
        video([VideoPacket(VideoCodecId.HEVC, CODED, b"picture")]),
        audio([AudioPacket(opus, AudioPacketType.CODED_FRAMES, b"\xfc\xff\xfe")]),
    ]
    ingested = ingest(messages)
    frames = [f for f in ingested if isinstance(f, Frame)]
    assert [f.track.metadata for f in frames] == [colour, b""]
    assert [f.track.channel_layout for f in frames] == [b"", layout]
    again = b"".join(unit.data for unit in convert(converter_for(FULL), ingested))
    assert facts(ingest(messages_of(again))) == facts(ingested)


@pytest.mark.parametrize("codec", [0x78797A31, VideoCodecId.SCREEN])
def test_video_nobody_here_knows_is_passed_on(codec: int) -> None:
    enhanced = codec > 0xFF
    body = VideoBody(VideoFrameType.KEY, [VideoPacket(codec, CODED, b"?")], enhanced)
    message = MediaMessage(MediaKind.VIDEO, 40, encode_video_body(body))
    ingested = ingest([message])
    units = convert(converter_for(FULL), ingested)
    assert messages_of(b"".join(unit.data for unit in units)) == [message]


def test_audio_nobody_here_knows_is_passed_on() -> None:
    packet = AudioPacket(0x78797A31, AudioPacketType.CODED_FRAMES, b"?")
    message = audio([packet], at_ms=40)
    units = convert(converter_for(FULL), ingest([message]))
    assert messages_of(b"".join(unit.data for unit in units)) == [message]


# -- changes and damage -------------------------------------------------------------


def test_a_configuration_that_changes_is_told_before_its_frames() -> None:
    other = (CODECS / "h264_main_odd_crop.bin").read_bytes()
    messages = []
    for time, configuration in ((0, AVC), (1_000, AVC), (2_000, other)):
        packet = VideoPacket(VideoCodecId.AVC, START, configuration)
        messages.append(video([packet], at_ms=time))
        picture = VideoPacket(VideoCodecId.AVC, CODED, b"%d" % time)
        messages.append(video([picture], at_ms=time))
    ingested = ingest(messages)
    tracks = [item for item in ingested if isinstance(item, Track)]
    assert [t.configuration for t in tracks] == [AVC, other]
    assert [t.generation for t in tracks] == [0, 1]
    again = b"".join(unit.data for unit in convert(converter_for(FULL), ingested))
    assert facts(ingest(messages_of(again))) == facts(ingested)


def test_frames_before_their_configuration_are_counted() -> None:
    converter = FlvToFrames(MillisecondTimeline(), epoch=1)
    picture = VideoPacket(VideoCodecId.AVC, CODED, b"x")
    assert ingest([video([picture])], converter) == []
    assert converter.damaged == 1
    assert "before its decoder configuration" in converter.damage_reason


@settings(max_examples=200, deadline=None)
@given(
    messages=st.lists(
        st.tuples(
            st.sampled_from(MediaKind),
            st.integers(0, 0xFFFFFFFF),
            st.binary(max_size=40),
        ),
        max_size=20,
    )
)
@example(
    # G.711, a codec nobody knows, and back: 8,000 Hz, 1,000 and 8,000 again.
    messages=[(MediaKind.AUDIO, 0, b"p\x00")] * 2
    + [(MediaKind.AUDIO, 0, bytes(2)), (MediaKind.AUDIO, 0, b"p\x00")]
)
def test_damage_is_counted_and_costs_its_message_alone(
    messages: list[tuple[MediaKind, int, bytes]],
) -> None:
    converter = FlvToFrames(MillisecondTimeline(), epoch=1)
    good = [
        video([VideoPacket(VideoCodecId.AVC, START, AVC)]),
        video([VideoPacket(VideoCodecId.AVC, CODED, b"picture")]),
    ]
    bad = [MediaMessage(*message) for message in messages]
    ingested = ingest([*bad, *good], converter)
    last = ingested[-1]
    assert isinstance(last, Frame)
    assert last.payload == b"picture"
    latest: dict[tuple[TrackKind, int, int], int] = {}
    for item in ingested:
        if isinstance(item, Frame):
            track = item.track
            name = (track.kind, track.id, track.clock_rate)
            assert item.dts >= latest.get(name, -1)
            latest[name] = item.dts
    for form in FULL, Form("rtmp"), Form("mp4"):
        convert(converter_for(form), ingested)


def test_tracks_are_bounded() -> None:
    converter = FlvToFrames(MillisecondTimeline(), epoch=1)
    packets = [VideoPacket(VideoCodecId.AVC, START, AVC, 0, n) for n in range(60)]
    ingest([video(packets, multitrack=AvMultitrackType.MANY_TRACKS)], converter)
    assert converter.damaged == 1
    assert "32 tracks" in converter.damage_reason


# -- metadata -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "video", "audio"),
    [
        ({"width": 1.0, "audiocodecid": 10.0}, True, True),
        ({"width": 1.0}, True, False),
        ({"audiocodecid": 10.0}, False, True),
        ({}, False, False),
    ],
)
def test_the_flv_header_says_which_tracks_there_will_be(
    values: dict[str, object], video: bool, audio: bool
) -> None:
    converter = converter_for(Form("flv"))
    converter.metadata(values)
    assert converter.header[4] == (4 if audio else 0) | (1 if video else 0)


def test_metadata_of_any_type_can_be_passed_on() -> None:
    document = tomllib.loads((DATA / "amf" / "amf0_values.toml").read_text())
    assert document
    data = (DATA / "amf" / "amf0_values.bin").read_bytes()
    values = amf0.decode_values(data)
    (unit,) = converter_for(Form("flv")).metadata({"all": list(values)})
    assert unit.data[0] == TagType.SCRIPT


# -- MP4 ----------------------------------------------------------------------------


MP4_NAMES = [
    name
    for name in RECORDED
    if name not in {"alaw", "adpcm", "pcm", "sorenson", "speex"}
]


@pytest.mark.parametrize("name", MP4_NAMES)
def test_what_ffmpeg_published_is_in_the_fragments(name: str) -> None:
    ingested = ingest(messages_of((DATA / "flv" / f"{name}.bin").read_bytes()))
    while isinstance(ingested[-1], Track):
        ingested.pop()  # FFmpeg ends FLAC with a configuration that sums it up
    converter = recorded_converter(name, Form("mp4"))
    units = convert(converter, ingested)
    assert converter.ended == ""
    data = converter.header + b"".join(unit.data for unit in units)
    events = Mp4Demuxer().feed(data)
    assert isinstance(events[0], InitSegment)
    samples = [event for event in events if isinstance(event, MediaSample)]
    frames = [
        item
        for item in ingested
        if isinstance(item, Frame) and not item.track.id and item.track.codec
    ]
    found = [(s.dts, s.pts, s.payload) for s in samples]
    assert found
    expected = [(f.dts, f.pts, f.payload) for f in frames]
    assert found == expected[-len(found) :]


def stream_of(*, at_ms: int = 0, avc: bytes = AVC) -> list[MediaMessage]:
    sequence = AudioPacket(AudioCodecId.AAC, AudioPacketType.SEQUENCE_START, AAC)
    sound = AudioPacket(AudioCodecId.AAC, AudioPacketType.CODED_FRAMES, b"sound")
    return [
        video([VideoPacket(VideoCodecId.AVC, START, avc)], at_ms=at_ms),
        audio([sequence], at_ms=at_ms, enhanced=False),
        video([VideoPacket(VideoCodecId.AVC, CODED, b"picture")], at_ms=at_ms),
        audio([sound], at_ms=at_ms, enhanced=False),
    ]


def test_an_mp4_file_goes_on_over_a_publisher_that_comes_back() -> None:
    converter = converter_for(Form("mp4"))
    assert convert(converter, ingest(stream_of()))
    header = converter.header
    converter.begin()
    timeline = MillisecondTimeline(1_000)
    again = ingest(stream_of(), FlvToFrames(timeline, epoch=2))
    assert convert(converter, again)
    assert converter.ended == ""
    assert converter.header == header


def test_an_mp4_file_ends_when_its_tracks_change() -> None:
    converter = converter_for(Form("mp4"))
    convert(converter, ingest(stream_of()))
    other = (CODECS / "h264_main_odd_crop.bin").read_bytes()
    convert(converter, ingest(stream_of(at_ms=1_000, avc=other)))
    assert converter.ended == "the stream's tracks changed"


def test_an_mp4_file_starts_with_the_sounds_before_its_first_picture() -> None:
    messages = stream_of()
    early = [messages[0], messages[1], messages[3], messages[2]]
    converter = converter_for(Form("mp4"))
    units = convert(converter, ingest(early))
    assert [unit.kind for unit in units] == [TrackKind.AUDIO, TrackKind.VIDEO]
    assert [unit.key for unit in units] == [False, True]


def test_a_stream_mp4_cannot_carry_gives_nothing() -> None:
    ingested = ingest(messages_of((DATA / "flv" / "speex.bin").read_bytes()))
    assert {i.codec for i in ingested if isinstance(i, Track)} == {Codec.SPEEX}
    assert convert(converter_for(Form("mp4")), ingested) == []


# -- framings -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_websocket_messages_are_what_a_client_reads(size: int) -> None:
    # RFC 6455 §5.2: three forms of the length
    import wsproto
    from wsproto.events import BytesMessage

    data = bytes(size)
    message = websocket_message(data)
    if not size:
        assert message == b""
        return
    client = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT)
    client.receive_data(message)
    (event,) = client.events()
    assert isinstance(event, BytesMessage)
    assert event.data == data
    assert event.message_finished


def test_chunks_are_what_a_client_reads() -> None:
    # RFC 9112 §7.1; an empty chunk would end the body
    import h11

    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert isinstance(client.next_event(), h11.Response)
    client.receive_data(chunk(b"abc") + chunk(b"") + chunk(bytes(300)))
    parts = []
    while isinstance(event := client.next_event(), h11.Data):
        parts.append(bytes(event.data))
    assert b"".join(parts) == b"abc" + bytes(300)


@pytest.mark.parametrize(
    ("framing", "frame"), [("chunked", chunk), ("websocket", websocket_message)]
)
def test_a_framed_form_is_the_raw_one_in_frames(
    framing: str, frame: Callable[[bytes], bytes]
) -> None:
    ingested = ingest(stream_of())
    raw, framed = converter_for(Form("flv")), converter_for(Form("flv", framing))
    assert framed.header == frame(raw.header)
    expected = [(frame(u.data), frame(u.config)) for u in convert(raw, ingested)]
    assert [(u.data, u.config) for u in convert(framed, ingested)] == expected
