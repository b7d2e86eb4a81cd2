"""Pictures with B-frames into pictures without, for browsers."""

from __future__ import annotations

import itertools
from fractions import Fraction

import attrs
import av
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from sansmedia.codecs import Codec, VideoParameters, h264, nal
from sansmedia.codecs import parameters as parameters_of

from penstock.convert.transcode import transcoder_for
from penstock.convert.transcode_video import VideoTranscoder
from penstock.media import Frame, Track, TrackKind

pytestmark = pytest.mark.slow


def _encoded(
    pictures: int, width: int = 64, height: int = 48, form: str = "yuv420p"
) -> list[Frame]:
    """Return what x264 makes of a picture that grows brighter, with B-frames."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, form
    encoder.time_base = Fraction(1, 90_000)
    encoder.framerate = Fraction(30)
    encoder.options = {"bf": "3", "g": "30", "preset": "veryfast"}
    encoder.flags |= int(av.codec.context.Flags.global_header)
    encoder.open()
    packets = []
    for n in range(pictures):
        picture = VideoFrame(width, height, form)
        for plane, level in zip(picture.planes, (16 + n * 2, 128, 128), strict=True):
            plane.update(bytes((level,)) * plane.buffer_size)
        picture.pts, picture.time_base = n * 3_000, Fraction(1, 90_000)
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    sets = nal.split_annexb(bytes(encoder.extradata or b""))
    avcc = h264.avcc_from_parameter_sets(
        [one for one in sets if h264.unit_type(one) == h264.UnitType.SPS],
        [one for one in sets if h264.unit_type(one) == h264.UnitType.PPS],
    )
    parameters = parameters_of(Codec.H264, avcc)
    track = Track(0, TrackKind.VIDEO, Codec.H264, 90_000, avcc, parameters=parameters)
    return [
        Frame(
            track,
            (packet.dts or 0) + 6_000,
            (packet.pts or 0) + 6_000,
            nal.join_length_prefixed(nal.split_annexb(bytes(packet))),
            random_access=packet.is_keyframe,
        )
        for packet in packets
    ]


def _levels(frames: list[Frame]) -> list[int]:
    """Return how bright each picture is, in the order of decoding."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = frames[0].track.configuration
    pictures = [p for f in frames for p in decoder.decode(av.Packet(f.payload))]
    return [bytes(picture.planes[0])[0] for picture in pictures]


def test_pictures_come_out_in_the_order_of_showing_with_their_own_times() -> None:
    frames = _encoded(60)
    assert any(frame.pts != frame.dts for frame in frames)
    transcoder = VideoTranscoder(frames[0].track)
    made = [one for frame in frames for one in transcoder.convert([frame])]
    assert len(made) >= 56
    made += transcoder.finish()
    assert [one.pts for one in made] == sorted(frame.pts for frame in frames)
    assert all(frame.pts == frame.dts for frame in made)
    assert {b.pts - a.pts for a, b in itertools.pairwise(made)} == {3_000}
    levels = _levels(made)
    assert len(levels) == len(made)  # a decoder holds none back
    assert levels == sorted(levels)
    # The picture of a time is still the picture of that time.
    shown = dict(zip((f.pts for f in made), levels, strict=True))
    for pts, level in shown.items():
        assert level == pytest.approx(16 + (pts - 6_000) // 3_000 * 2, abs=3)
    assert made[0].random_access
    assert made[0].track is transcoder.track


def test_what_nothing_went_into_has_nothing_left() -> None:
    assert VideoTranscoder(_encoded(2)[0].track).finish() == []


def test_a_key_frame_comes_when_it_is_asked_for() -> None:
    frames = _encoded(40)
    transcoder = VideoTranscoder(frames[0].track)
    made = [one for frame in frames[:20] for one in transcoder.convert([frame])]
    assert [frame.random_access for frame in made].count(True) == 1
    transcoder.request_key_frame()
    after = [one for frame in frames[20:] for one in transcoder.convert([frame])]
    assert after[0].random_access
    assert not after[1].random_access


def test_of_a_cache_only_the_last_picture_is_encoded() -> None:
    frames = _encoded(40)
    transcoder = VideoTranscoder(frames[0].track)
    (last,) = transcoder.convert(frames[:30])
    assert last.random_access
    assert last.pts >= frames[24].pts


def test_damage_is_counted_and_passed_over() -> None:
    frames = _encoded(40)
    transcoder = VideoTranscoder(frames[0].track)
    frames[10] = attrs.evolve(frames[10], payload=b"\xff" * 40)
    made = [one for frame in frames for one in transcoder.convert([frame])]
    assert transcoder.damaged >= 1
    assert len(made) > 20


def test_key_frames_that_are_asked_for_again_and_again_are_few() -> None:
    """Whoever sends PLI without end must not make all pictures large."""
    frames = _encoded(40)
    transcoder = VideoTranscoder(frames[0].track)
    made = []
    for frame in frames:
        transcoder.request_key_frame()
        made += transcoder.convert([frame])
    keys = [frame.pts for frame in made if frame.random_access]
    assert len(keys) > 1
    assert all(b - a >= 45_000 for a, b in itertools.pairwise(keys))


def test_a_frame_without_octets_does_not_end_the_pictures() -> None:
    frames = _encoded(40)
    transcoder = VideoTranscoder(frames[0].track)
    frames[30] = attrs.evolve(frames[30], payload=b"")
    made = [one for frame in frames for one in transcoder.convert([frame])]
    assert transcoder.damaged == 1
    assert made[-1].pts > frames[33].pts


@pytest.mark.parametrize(("width", "height"), [(65, 48), (64, 47)])
def test_pictures_of_an_odd_size_become_even(width: int, height: int) -> None:
    """4:4:4 may have them, 4:2:0 cannot."""
    frames = _encoded(12, width, height, "yuv444p")
    transcoder = transcoder_for(frames[0].track, Codec.H264)
    assert transcoder is not None
    made = [one for frame in frames for one in transcoder.convert([frame])]
    assert made
    described = made[0].track.parameters
    assert getattr(described, "width", 0) == width & ~1
    assert getattr(described, "height", 0) == height & ~1


def test_a_size_that_no_encoder_takes_is_left_out() -> None:
    (frame, *_) = _encoded(12)
    described = frame.track.parameters
    assert isinstance(described, VideoParameters)
    parameters = attrs.evolve(described, width=1 << 20)
    track = attrs.evolve(frame.track, parameters=parameters)
    assert transcoder_for(track, Codec.H264) is None


def test_a_track_of_unknown_size_is_left_out() -> None:
    track = Track(0, TrackKind.VIDEO, Codec.H264, 90_000, b"\x01")
    assert transcoder_for(track, Codec.H264) is None


def test_sides_of_odd_length_become_even() -> None:
    """H.264 has them with whole colours (4:4:4), which no browser shows."""
    frames = _encoded(12, 63, 47, "yuv444p")
    transcoder = VideoTranscoder(frames[0].track)
    assert [getattr(transcoder.track.parameters, n) for n in ("width", "height")] == [
        62,
        46,
    ]
    assert transcoder.convert(frames)


def test_pictures_of_any_size_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.convert.transcode_video._MOST_PIXELS", 64 * 48)
    small, large = _encoded(8), _encoded(8, 128, 96)
    assert transcoder_for(large[0].track, Codec.H264) is None
    # Nor do parameter sets on the way make them larger.
    transcoder = VideoTranscoder(small[0].track)
    avcc = h264.decode_avcc(large[0].track.configuration)
    sets = nal.join_length_prefixed([*avcc.sps, *avcc.pps])
    grown = attrs.evolve(large[0], payload=sets + large[0].payload)
    transcoder.convert([grown, *large[1:]])
    assert transcoder.damaged == len(large)
