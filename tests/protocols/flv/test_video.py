"""Video bodies: one model for legacy and enhanced, all multitrack types, ModEx."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.flv import (
    AvMultitrackType,
    ModEx,
    VideoBody,
    VideoCodecId,
    VideoCommand,
    VideoFrameType,
    VideoPacket,
    VideoPacketType,
    decode_video_body,
    encode_video_body,
    fourcc,
    timestamp_offset_nano,
)
from sansmedia.sansio import ProtocolError, UsageError

AVC = VideoCodecId.AVC
HEVC = VideoCodecId.HEVC
KEY = VideoFrameType.KEY
COMMAND = VideoFrameType.COMMAND
INTER = VideoFrameType.INTER
START = VideoPacketType.SEQUENCE_START
FRAMES = VideoPacketType.CODED_FRAMES
FRAMES_X = VideoPacketType.CODED_FRAMES_X

BODIES = {
    "legacy sequence header": (
        b"\x17\x00\x00\x00\x00config",
        VideoBody(KEY, [VideoPacket(AVC, START, b"config")]),
    ),
    "legacy frame": (
        b"\x27\x01\x00\x00\x28nal unit",
        VideoBody(INTER, [VideoPacket(AVC, FRAMES, b"nal unit", 40)]),
    ),
    "legacy frame shown before it is decoded": (
        b"\x27\x01\xff\xff\xd8nal unit",
        VideoBody(INTER, [VideoPacket(AVC, FRAMES, b"nal unit", -40)]),
    ),
    "legacy end": (
        b"\x17\x02\x00\x00\x00",
        VideoBody(KEY, [VideoPacket(AVC, VideoPacketType.SEQUENCE_END, b"")]),
    ),
    "legacy codec 12": (
        b"\x1c\x01\x00\x00\x05nal unit",
        VideoBody(KEY, [VideoPacket(HEVC, FRAMES, b"nal unit", 5)]),
    ),
    "VP6": (
        b"\x14\x00frame",
        VideoBody(KEY, [VideoPacket(VideoCodecId.VP6, FRAMES, b"\x00frame")]),
    ),
    "unknown legacy codec": (
        b"\x1dframe",
        VideoBody(KEY, [VideoPacket(13, FRAMES, b"frame")]),
    ),
    "legacy seek command": (
        b"\x57\x01",
        VideoBody(VideoFrameType.COMMAND, [], command=VideoCommand.END_SEEK),
    ),
    "H.265 sequence header": (
        b"\x90hvc1config",
        VideoBody(KEY, [VideoPacket(HEVC, START, b"config")], True),
    ),
    "H.265 frame": (
        b"\x91hvc1\xff\xff\xfenal unit",
        VideoBody(KEY, [VideoPacket(HEVC, FRAMES, b"nal unit", -2)], True),
    ),
    "H.265 frame without composition time": (
        b"\xa3hvc1nal unit",
        VideoBody(INTER, [VideoPacket(HEVC, FRAMES_X, b"nal unit")], True),
    ),
    "H.264 by FourCC": (
        b"\xa1avc1\x00\x00\x01n",
        VideoBody(INTER, [VideoPacket(AVC, FRAMES, b"n", 1)], True),
    ),
    "H.266": (
        b"\x91vvc1\x00\x00\x07nal",
        VideoBody(KEY, [VideoPacket(VideoCodecId.VVC, FRAMES, b"nal", 7)], True),
    ),
    "AV1 has no composition time": (
        b"\x91av01\x12\x00obus",
        VideoBody(KEY, [VideoPacket(VideoCodecId.AV1, FRAMES, b"\x12\x00obus")], True),
    ),
    "VP9": (
        b"\xa1vp09frame",
        VideoBody(INTER, [VideoPacket(VideoCodecId.VP9, FRAMES, b"frame")], True),
    ),
    "VP8": (
        b"\xa1vp08f",
        VideoBody(INTER, [VideoPacket(VideoCodecId.VP8, FRAMES, b"f")], True),
    ),
    "unknown FourCC": (
        b"\x91xyz1frame",
        VideoBody(KEY, [VideoPacket(fourcc("xyz1"), FRAMES, b"frame")], True),
    ),
    "end of sequence": (
        b"\x92hvc1",
        VideoBody(KEY, [VideoPacket(HEVC, VideoPacketType.SEQUENCE_END, b"")], True),
    ),
    "metadata with frame type 0": (
        b"\x84hvc1\x02\x00\x09colorInfo\x06",
        VideoBody(
            VideoFrameType.UNSPECIFIED,
            [VideoPacket(HEVC, VideoPacketType.METADATA, b"\x02\x00\x09colorInfo\x06")],
            True,
        ),
    ),
    "metadata with the frame type of a command": (
        b"\xd4hvc1\x05",
        VideoBody(
            VideoFrameType.COMMAND,
            [VideoPacket(HEVC, VideoPacketType.METADATA, b"\x05")],
            True,
        ),
    ),
    "AV1 descriptor": (
        b"\x95av01\x80\x04",
        VideoBody(
            KEY,
            [
                VideoPacket(
                    VideoCodecId.AV1,
                    VideoPacketType.MPEG2TS_SEQUENCE_START,
                    b"\x80\x04",
                )
            ],
            True,
        ),
    ),
    "enhanced seek command": (
        b"\xd0\x00",
        VideoBody(VideoFrameType.COMMAND, [], True, command=VideoCommand.START_SEEK),
    ),
    "one track": (
        b"\x96\x01avc1\x05\x00\x00\x03nal",
        VideoBody(
            KEY,
            [VideoPacket(AVC, FRAMES, b"nal", 3, 5)],
            True,
            AvMultitrackType.ONE_TRACK,
        ),
    ),
    "many tracks": (
        b"\xa6\x13hvc1\x00\x00\x00\x02ab\x01\x00\x00\x03cde",
        VideoBody(
            INTER,
            [
                VideoPacket(HEVC, FRAMES_X, b"ab"),
                VideoPacket(HEVC, FRAMES_X, b"cde", track_id=1),
            ],
            True,
            AvMultitrackType.MANY_TRACKS,
        ),
    ),
    "many tracks with many codecs": (
        b"\xa6\x21avc1\x00\x00\x00\x05\x00\x00\x09abav01\x02\x00\x00\x03cde",
        VideoBody(
            INTER,
            [
                VideoPacket(AVC, FRAMES, b"ab", 9),
                VideoPacket(VideoCodecId.AV1, FRAMES, b"cde", track_id=2),
            ],
            True,
            AvMultitrackType.MANY_TRACKS_MANY_CODECS,
        ),
    ),
    "nanoseconds": (
        b"\x97\x02\x0f\x42\x3f\x03hvc1nal",
        VideoBody(
            KEY,
            [VideoPacket(HEVC, FRAMES_X, b"nal")],
            True,
            mod_ex=(timestamp_offset_nano(999_999),),
        ),
    ),
    "an unknown modifier, nanoseconds, then tracks": (
        b"\x97\x00\xaa\x37\x02\x00\x01\x00\x06\x03hvc1\x07nal",
        VideoBody(
            KEY,
            [VideoPacket(HEVC, FRAMES_X, b"nal", track_id=7)],
            True,
            AvMultitrackType.ONE_TRACK,
            (ModEx(3, b"\xaa"), timestamp_offset_nano(256)),
        ),
    ),
    "a modifier of 256 octets": (
        b"\x97\xff\x00\xff" + bytes(256) + b"\x13hvc1nal",
        VideoBody(
            KEY,
            [VideoPacket(HEVC, FRAMES_X, b"nal")],
            True,
            mod_ex=(ModEx(1, bytes(256)),),
        ),
    ),
    "a command behind a modifier": (
        b"\xd7\x02\x00\x00\x01\x00\x01",
        VideoBody(
            VideoFrameType.COMMAND,
            [],
            True,
            mod_ex=(timestamp_offset_nano(1),),
            command=VideoCommand.END_SEEK,
        ),
    ),
}


@pytest.mark.parametrize(("data", "body"), BODIES.values(), ids=BODIES)
def test_the_body_decodes_and_encodes(data: bytes, body: VideoBody) -> None:
    """FLV 10.1 §E.4.3 for the legacy forms."""
    assert decode_video_body(data) == body
    assert encode_video_body(body) == data


def test_nanoseconds_are_read_from_the_modifiers() -> None:
    body = decode_video_body(BODIES["an unknown modifier, nanoseconds, then tracks"][0])
    assert body.nanosecond_offset == 256
    assert decode_video_body(b"\x91av01abcd").nanosecond_offset == 0


@pytest.mark.parametrize("data", [b"\x01\x00", b"\x0f\x42\x40", b"\xff\xff\xff"])
def test_a_bad_nanosecond_offset_says_nothing(data: bytes) -> None:
    body = VideoBody(KEY, [], mod_ex=(ModEx(0, data),))
    assert body.nanosecond_offset == 0


def test_a_nanosecond_offset_is_below_a_millisecond() -> None:
    with pytest.raises(UsageError):
        timestamp_offset_nano(1_000_000)


def test_key_frames_are_those_that_decoding_begins_at() -> None:
    assert decode_video_body(b"\x17\x01\x00\x00\x00abc").is_key
    assert decode_video_body(b"\x47\x01\x00\x00\x00abc").is_key
    assert not decode_video_body(b"\x27\x01\x00\x00\x00abc").is_key


def test_a_legacy_end_may_lack_its_composition_time() -> None:
    (packet,) = decode_video_body(b"\x17\x02").packets
    assert packet.packet_type is VideoPacketType.SEQUENCE_END


def test_a_seek_command_may_stand_behind_the_avc_header() -> None:
    assert decode_video_body(b"\x57\x01\x00\x00\x00\x00").command == 0


def test_the_short_enhanced_forms_decode_like_the_long_ones() -> None:
    (packet,) = decode_video_body(b"\x91hvc1\x00\x00\x07").packets
    assert packet == VideoPacket(HEVC, FRAMES, b"", 7)
    (packet,) = decode_video_body(b"\x93hvc1").packets
    assert packet == VideoPacket(HEVC, FRAMES_X, b"")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\x17", "truncated"),
        (b"\x17\x01\x00", "truncated"),
        (b"\x57", "truncated"),
        (b"\x17\x03\x00\x00\x00abcdef", "unsupported"),
        (b"\x90hvc", "truncated"),
        (b"\x91hvc1\x00\x00", "truncated"),
        (b"\x98hvc1abcdef", "unsupported"),
        (b"\xd0", "truncated"),
        (b"\x96", "truncated"),
        (b"\x96\x31hvc1\x00abcdef", "unsupported"),
        (b"\x96\x06hvc1\x00abcdef", "unsupported"),
        (b"\x96\x07hvc1\x00abcdef", "unsupported"),
        (b"\x96\x13hvc1", "truncated"),
        (b"\x96\x13hvc1\x00\x00\x00\x05ab", "truncated"),
        (b"\x96\x11hvc1\x00\x00\x00\x02ab", "truncated"),
        (b"\x96\x23", "truncated"),
        (b"\x97\x02\x00\x00", "truncated"),
        (b"\x97\xff\xff\xffabc", "truncated"),
        (b"\x97" + b"\x00\xaa\x07" * 17, "limit"),
        (b"\x96\x13hvc1" + b"\x00\x00\x00\x00" * 257, "limit"),
    ],
)
def test_bad_bytes_raise_with_a_code(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_video_body(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "body",
    [
        VideoBody(KEY, []),
        VideoBody(KEY, [], True),
        VideoBody(KEY, [VideoPacket(VideoCodecId.AV1, FRAMES, b"")]),
        VideoBody(KEY, [VideoPacket(AVC, VideoPacketType.METADATA, b"")]),
        VideoBody(KEY, [VideoPacket(VideoCodecId.VP6, START, b"")]),
        VideoBody(KEY, [VideoPacket(AVC, FRAMES, b"", track_id=1)]),
        VideoBody(KEY, [VideoPacket(AVC, FRAMES, b"", 1 << 23)]),
        VideoBody(KEY, [VideoPacket(AVC, FRAMES, b"", 1 << 23)], True),
        VideoBody(KEY, [VideoPacket(AVC, FRAMES, b"", track_id=1)], True),
        VideoBody(KEY, [VideoPacket(AVC, FRAMES, b"")] * 2, True),
        VideoBody(
            KEY,
            [VideoPacket(AVC, FRAMES, b""), VideoPacket(HEVC, FRAMES, b"")],
            True,
            AvMultitrackType.MANY_TRACKS,
        ),
        VideoBody(
            KEY,
            [VideoPacket(AVC, START, b""), VideoPacket(AVC, FRAMES, b"")],
            True,
            AvMultitrackType.MANY_TRACKS,
        ),
        VideoBody(KEY, [VideoPacket(AVC, FRAMES, b"")], mod_ex=(ModEx(0, b"abc"),)),
        VideoBody(KEY, [VideoPacket(AVC, FRAMES, b"")], True, mod_ex=(ModEx(0, b""),)),
        VideoBody(COMMAND, [VideoPacket(AVC, FRAMES, b"")]),
        VideoBody(COMMAND, [VideoPacket(AVC, FRAMES, b"")], True),
        VideoBody(
            COMMAND,
            [VideoPacket(AVC, VideoPacketType.METADATA, b"")],
            True,
            AvMultitrackType.ONE_TRACK,
        ),
    ],
)
def test_a_body_without_a_wire_form_is_a_usage_error(body: VideoBody) -> None:
    with pytest.raises(UsageError):
        encode_video_body(body)


def test_frames_without_composition_time_fit_the_legacy_header() -> None:
    body = VideoBody(INTER, [VideoPacket(AVC, FRAMES_X, b"nal")])
    assert encode_video_body(body) == b"\x27\x01\x00\x00\x00nal"


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\x96", b"\x97", b"\x17", b"\x91hvc1"]),
)
def test_whatever_decodes_is_stable_under_encoding(data: bytes, start: bytes) -> None:
    try:
        body = decode_video_body(start + data)
    except ProtocolError:
        return
    assert decode_video_body(encode_video_body(body)) == body
