"""Sound from one codec to another, in time with what it was made from."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import attrs
import av
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from sansmedia.codecs import Codec, opus
from sansmedia.codecs import parameters as parameters_of

from penstock.convert.transcode import AudioTranscoder, can_transcode
from penstock.media import Frame, Track, TrackKind

_BEEP_S = 0.5
"""Silence before it, 1 kHz after."""


def _samples(start: int, count: int, rate: int, channels: int) -> bytes:
    values = [
        0.5 * math.sin(2 * math.pi * 1_000 * n / rate) if n >= _BEEP_S * rate else 0.0
        for n in range(start, start + count)
    ]
    return struct.pack(f"={count}f", *values) * channels


def _encoded(name: str, rate: int, channels: int, seconds: float) -> tuple[Any, Any]:
    """Return FFmpeg's packets of the beep, and the encoder's private data."""
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, AudioCodecContext)
    layout = "mono" if channels == 1 else "stereo"
    encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
    if name == "libopus":
        encoder.format = "flt"
    encoder.open()
    size = encoder.frame_size
    packets: list[Any] = []
    for start in range(0, int(rate * seconds), size):
        frame = AudioFrame(format="fltp", layout=layout, samples=size)
        raw = _samples(start, size, rate, channels)
        for at, plane in enumerate(frame.planes):
            plane.update(raw[at * size * 4 : (at + 1) * size * 4])
        frame.sample_rate, frame.pts = rate, start
        if name == "libopus":
            convert = av.AudioResampler(format="flt", layout=layout, rate=rate)
            for piece in convert.resample(frame):
                piece.pts = start
                packets += encoder.encode(piece)
        else:
            packets += encoder.encode(frame)
    return packets, bytes(encoder.extradata or b"")


def _track(codec: Codec, rate: int, configuration: bytes) -> Track:
    return Track(
        0,
        TrackKind.AUDIO,
        codec,
        rate,
        configuration,
        parameters=parameters_of(codec, configuration),
    )


def _source(
    codec: Codec, rate: int = 48_000, channels: int = 2, seconds: float = 1.5
) -> list[Frame]:
    name = {Codec.AAC: "aac", Codec.OPUS: "libopus"}[codec]
    packets, private = _encoded(name, rate, channels, seconds)
    track = _track(codec, rate, private)
    # 10 s into the stream, and where the decoder puts what each packet holds.
    return [
        Frame(track, packet.pts + 10 * rate, packet.pts + 10 * rate, bytes(packet))
        for packet in packets
    ]


def _onset_s(frames: list[Frame]) -> float:
    """Return the stream time at which the beep begins, by decoding the frames."""
    track = frames[0].track
    assert track.codec is not None
    decoder = av.CodecContext.create(
        {Codec.AAC: "aac", Codec.OPUS: "libopus"}[track.codec], "r"
    )
    assert isinstance(decoder, AudioCodecContext)
    decoder.extradata = track.configuration
    mono = av.AudioResampler(format="flt", layout="mono", rate=48_000)
    for frame in frames:
        at = frame.pts / track.clock_rate
        for decoded in decoder.decode(av.Packet(frame.payload)):
            decoded.pts = None
            for piece in mono.resample(decoded):
                octets = bytes(piece.planes[0])[: piece.samples * 4]
                for n, (value,) in enumerate(struct.iter_unpack("=f", octets)):
                    if abs(value) > 0.2:
                        return at + n / 48_000
    raise AssertionError("no beep")


@pytest.mark.parametrize(
    ("source", "target", "rate", "channels"),
    [
        (Codec.AAC, Codec.OPUS, 48_000, 2),
        (Codec.AAC, Codec.OPUS, 44_100, 2),
        (Codec.AAC, Codec.OPUS, 44_100, 1),
        (Codec.OPUS, Codec.AAC, 48_000, 2),
        (Codec.OPUS, Codec.AAC, 48_000, 1),
    ],
)
@pytest.mark.slow
def test_what_comes_out_is_heard_when_it_was_said(
    source: Codec, target: Codec, rate: int, channels: int
) -> None:
    frames = _source(source, rate, channels)
    transcoder = AudioTranscoder(frames[0].track, target)
    made = [one for frame in frames for one in transcoder.convert([frame])]
    made += transcoder.finish()
    assert transcoder.damaged == 0
    assert made[0].track is transcoder.track
    described = transcoder.track.parameters
    assert getattr(described, "channels", 0) == channels
    # FFmpeg's decoders have put the delay of both codecs right, or it is under 8 ms.
    assert _onset_s(made) == pytest.approx(_onset_s(frames), abs=0.008)
    steps = {b.pts - a.pts for a, b in itertools.pairwise(made)}
    assert steps == {made[0].duration}
    # All of it, and less than two frames of silence.
    end = frames[-1].pts / rate + (1_024 / rate if source is Codec.AAC else 0.02)
    assert -0.008 < (made[-1].pts + (made[-1].duration or 0)) / 48_000 - end < 0.04


def test_what_nothing_went_into_has_nothing_left() -> None:
    frames = _source(Codec.AAC, seconds=0.1)
    assert AudioTranscoder(frames[0].track, Codec.OPUS).finish() == []


@pytest.mark.slow
def test_times_follow_the_input_over_gaps_and_drift() -> None:
    frames = _source(Codec.AAC)
    transcoder = AudioTranscoder(frames[0].track, Codec.OPUS)
    # Ten minutes of a clock that is 0.1 % off: 600 ms if nobody looked.
    clock = 0.0
    made: list[Frame] = []
    for n in range(3_000):
        source = frames[n % len(frames)]
        clock += 1_024 * 1.001
        if n == 1_500:
            clock += 48_000 * 5
        stands = int(clock)
        made += transcoder.convert([attrs.evolve(source, dts=stands, pts=stands)])
        if made and not 1_500 <= n < 1_503:
            lag = stands + 1_024 - (made[-1].pts + 960)
            assert -480 <= lag <= 960 + 1_024 + 960
    assert all(a.pts < b.pts for a, b in itertools.pairwise(made))


@pytest.mark.slow
def test_a_clock_that_is_slow_never_runs_backwards() -> None:
    frames = _source(Codec.AAC)
    transcoder = AudioTranscoder(frames[0].track, Codec.OPUS)
    made: list[Frame] = []
    for n in range(2_000):
        stands = int(n * 1_024 * 0.99)
        source = attrs.evolve(frames[n % len(frames)], dts=stands, pts=stands)
        made += transcoder.convert([source])
    assert all(a.pts < b.pts for a, b in itertools.pairwise(made))


def test_damaged_frames_are_counted_and_passed_over() -> None:
    frames = _source(Codec.AAC, seconds=0.3)
    transcoder = AudioTranscoder(frames[0].track, Codec.OPUS)
    broken = attrs.evolve(frames[3], payload=b"\xff" * 60)
    made = transcoder.convert([*frames[:3], broken, *frames[4:]])
    assert transcoder.damaged == 1
    assert len(made) > 8


def test_a_configuration_that_no_decoder_takes_is_refused() -> None:
    track = Track(0, TrackKind.AUDIO, Codec.FLAC, 48_000, b"\x00")
    with pytest.raises(ValueError, match="no way"):
        AudioTranscoder(attrs.evolve(track, codec=Codec.SPEEX), Codec.OPUS)


def test_opus_tells_its_head() -> None:
    frames = _source(Codec.AAC, seconds=0.1)
    track = AudioTranscoder(frames[0].track, Codec.OPUS).track
    assert opus.decode_opus_head(track.configuration).channels == 2
    assert track.clock_rate == 48_000


def test_the_pairs_that_make_sense() -> None:
    assert can_transcode(Codec.AAC, Codec.OPUS)
    assert can_transcode(Codec.OPUS, Codec.AAC)
    assert not can_transcode(Codec.OPUS, Codec.OPUS)
    assert not can_transcode(Codec.H264, Codec.OPUS)
    assert not can_transcode(None, Codec.AAC)


def test_a_frame_without_octets_does_not_end_the_sound() -> None:
    """To a decoder it would say that there are no more."""
    frames = _source(Codec.AAC, seconds=0.3)
    transcoder = AudioTranscoder(frames[0].track, Codec.OPUS)
    empty = attrs.evolve(frames[3], payload=b"")
    made = transcoder.convert([*frames[:3], empty, *frames[4:]])
    assert transcoder.damaged == 1
    assert len(made) > 8


def test_sound_whose_channels_change_goes_on() -> None:
    frames: list[Frame] = []
    for channels in (1, 2, 1):
        packets, _ = _encoded("libmp3lame", 48_000, channels, 0.3)
        track = _track(Codec.MP3, 48_000, b"")
        for packet in packets:
            at = len(frames) * 1_152
            frames.append(Frame(track, at, at, bytes(packet)))
    transcoder = AudioTranscoder(frames[0].track, Codec.OPUS)
    made = transcoder.convert(frames)
    assert len(made) > len(frames) * 1_152 / 960 * 0.8
    assert all(a.pts < b.pts for a, b in itertools.pairwise(made))
