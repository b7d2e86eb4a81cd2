"""Sound from one codec to another: AAC to Opus for browsers, Opus to AAC for players.

Runs in a worker thread: PyAV lets go of the interpreter while FFmpeg works. What comes
out stands where what went in stood: times follow the input's, not a count of samples,
so that an hour of slightly wrong clocks adds up to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import attrs
import av
import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from sansmedia.codecs import Codec, opus
from sansmedia.codecs import parameters as parameters_of

from penstock import log
from penstock.media import Frame, Track
from penstock.media.timestamp import rescale

from .transcode_video import VideoTranscoder

__all__ = ["AudioTranscoder", "can_transcode", "transcoder_for"]

_DECODERS = {
    Codec.AAC: "aac",
    Codec.MP3: "mp3float",
    Codec.OPUS: "libopus",
    Codec.FLAC: "flac",
    Codec.AC3: "ac3",
    Codec.EAC3: "eac3",
}
_ENCODERS = {Codec.OPUS: "libopus", Codec.AAC: "aac"}
_FORMATS = {Codec.OPUS: "flt", Codec.AAC: "fltp"}
_FRAME_SAMPLES = {Codec.OPUS: 960, Codec.AAC: 1_024}
_RATE = 48_000
_BITS_PER_CHANNEL = 64_000
_DRIFT_SAMPLES = 960
"""Let the output stand up to 20 ms beside the input before it is moved."""


def can_transcode(source: Codec | None, target: Codec) -> bool:
    """Tell whether an `AudioTranscoder` exists for this pair."""
    return source in _DECODERS and target in _ENCODERS and source is not target


def transcoder_for(
    source: Track, target: Codec
) -> AudioTranscoder | VideoTranscoder | None:
    """Return what turns a track into ``target``; None, with a log line, if none can."""
    try:
        if source.is_video:
            transcoder = VideoTranscoder(source)
            log.warning(
                "pictures are encoded anew",
                reason="browsers show no B-frames in WebRTC; switch them off in the "
                "encoder (bframes=0) to save this machine the work",
            )
            return transcoder
        return AudioTranscoder(source, target)
    except (ValueError, av.error.FFmpegError) as error:
        log.warning(
            "track left out",
            kind=source.kind.value,
            reason=str(error),
            to=target.value,
        )
        return None


class AudioTranscoder:
    """One track of sound into another codec. Not to be used by two threads at once.

    Args:
        source: The track as it is; its configuration counts.
        target: `Codec.OPUS` or `Codec.AAC`.

    Raises:
        ValueError: `can_transcode` says no, or the configuration is not usable.
    """

    def __init__(self, source: Track, target: Codec) -> None:
        if not can_transcode(source.codec, target):
            raise ValueError(f"no way from {source.codec} to {target}")
        assert source.codec is not None
        described = source.parameters
        channels = getattr(described, "channels", 0) or 2
        layout = "mono" if channels == 1 else "stereo"
        self._source = source
        self._decoder = _decoder(source)
        self._make_resampler = partial(
            AudioResampler, format=_FORMATS[target], layout=layout, rate=_RATE
        )
        self._resampler = self._make_resampler()
        self._encoder = _encoder(target, layout)
        self._samples = _FRAME_SAMPLES[target]
        self._fifo = AudioFifo()
        self._next: int | None = None
        """Where the next sample into the fifo stands on the stream's zero."""
        self._sequence = 0
        self._last: Frame | None = None
        self.damaged = 0
        """Frames that could not be decoded."""
        configuration = self._configuration(target)
        self.track = attrs.evolve(
            source,
            codec=target,
            clock_rate=_RATE,
            configuration=configuration,
            parameters=parameters_of(target, configuration),
            wire_codec=0,
            metadata=b"",
            channel_layout=b"",
        )
        """The track that comes out."""

    def _configuration(self, target: Codec) -> bytes:
        if target is Codec.AAC:
            return bytes(self._encoder.extradata or b"")
        return opus.encode_opus_head(
            opus.OpusHead(
                channels=self._encoder.layout.nb_channels,
                pre_skip=312,
                input_sample_rate=_RATE,
            )
        )

    def request_key_frame(self) -> None:
        """Sound can be decoded from anywhere."""

    def convert(self, frames: Iterable[Frame]) -> list[Frame]:
        """Return what these frames make; often as many, sometimes fewer or none."""
        made: list[Frame] = []
        for frame in frames:
            if not frame.payload:
                self.damaged += 1  # to the decoder it would be the end
                continue
            try:
                decoded = self._decoder.decode(av.Packet(frame.payload))
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            self._last = frame
            self._align(frame, sum(one.samples for one in decoded))
            for one in decoded:
                one.pts = None
                self._take(self._resampled(one))
            made += self._encoded(frame)
        return made

    def finish(self) -> list[Frame]:
        """Return what is left; silence fills up the last frame."""
        last = self._last
        if last is None or self._next is None:
            return []
        self._take(self._resampler.resample(None))
        made = self._encoded(last)
        packets: list[Any] = []
        piece = self._fifo.read(0, partial=True)  # all that there is
        if piece is not None:
            piece.pts = self._next - piece.samples
            piece.sample_rate = _RATE
            packets += self._encoder.encode(piece)
        packets += self._encoder.encode(None)
        return made + [self._frame(packet, last) for packet in packets]

    def _align(self, frame: Frame, samples: int) -> None:
        """Let the output's time follow the input's where they have parted."""
        if not samples:
            return
        stands = rescale(frame.pts, frame.track.clock_rate, _RATE)
        expected = self._next
        if expected is None:
            self._next = stands
        elif abs(stands - expected) > _DRIFT_SAMPLES:
            # What waits in the fifo belongs to the time before.
            waiting = self._fifo.samples
            if stands < expected and waiting:
                self._fifo.read(waiting)
            self._next = stands

    def _resampled(self, decoded: AudioFrame) -> list[AudioFrame]:
        try:
            return self._resampler.resample(decoded)
        except ValueError:
            # Its rate or channels are others now: MP3 may change them, and AAC when
            # the decoder finds out that there is more to it.
            self._resampler = self._make_resampler()
            return self._resampler.resample(decoded)

    def _take(self, resampled: Iterable[AudioFrame]) -> None:
        for piece in resampled:
            piece.pts = None
            self._fifo.write(piece)
            assert self._next is not None
            self._next += piece.samples

    def _encoded(self, frame: Frame) -> list[Frame]:
        made: list[Frame] = []
        assert self._next is not None or not self._fifo.samples
        while self._fifo.samples >= self._samples:
            start = (self._next or 0) - self._fifo.samples
            piece = self._fifo.read(self._samples)
            if piece is None:
                break
            piece.pts = start
            piece.sample_rate = _RATE
            packets = self._encoder.encode(piece)
            made += [self._frame(packet, frame) for packet in packets]
        return made

    def _frame(self, packet: Any, source: Frame) -> Frame:  # noqa: ANN401 - PyAV's
        pts = max(0, int(packet.pts))
        self._sequence += 1
        return Frame(
            self.track,
            pts,
            pts,
            bytes(packet),
            random_access=True,
            sequence=self._sequence,
            epoch=source.epoch,
            duration=self._samples,
            received_at=source.received_at,
            wall_clock=source.wall_clock,
        )


def _decoder(source: Track) -> AudioCodecContext:
    assert source.codec is not None
    context = av.CodecContext.create(_DECODERS[source.codec], "r")
    assert isinstance(context, AudioCodecContext)
    configuration = source.configuration
    if configuration:
        context.extradata = configuration
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise ValueError(f"{source.codec.value}: {error.strerror}") from error
    return context


def _encoder(target: Codec, layout: str) -> AudioCodecContext:
    context = av.CodecContext.create(_ENCODERS[target], "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate = _RATE
    context.layout = layout
    context.format = _FORMATS[target]
    context.bit_rate = _BITS_PER_CHANNEL * (1 if layout == "mono" else 2)
    if target is Codec.OPUS:
        # In-band FEC repairs single losses; 10 % is what viewers' networks may have.
        context.options = {"frame_duration": "20", "fec": "1", "packet_loss": "10"}
    context.open()
    return context
