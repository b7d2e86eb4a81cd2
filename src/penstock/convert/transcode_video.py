"""Pictures without B-frames of pictures with them, for browsers.

libwebrtc tells its decoders that no picture is shown out of order and takes one that is
for a fault, so a stream with B-frames cannot be passed on: it is decoded and encoded
anew, once per stream, only while somebody watches by WebRTC. Runs in a worker thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import attrs
import av
import av.error
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from sansmedia.codecs import Codec, h264, nal
from sansmedia.codecs import parameters as parameters_of

from penstock.media import Frame, Track

__all__ = ["VideoTranscoder"]

_RATE = 90_000
_CATCH_UP = 6
"""With more frames at once than this, only the last one is encoded: those before are
the past, decoded for the sake of it."""
_KEY_S = 2.0
_SOONEST_KEY_S = 0.5
"""However often viewers ask: one that does so without end must not spoil all others'
pictures, as a key frame is ten times as large."""
_MOST_PIXELS = 36_864 * 256
"""Of one picture, as H.264's level 5.2 has them: larger ones would take gigabytes."""
_OPTIONS = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "profile": "baseline",
    "crf": "22",
    "maxrate": "8M",
    "bufsize": "4M",
    "bf": "0",
}


class VideoTranscoder:
    """One track of H.264 into one without B-frames. For one thread at a time.

    Args:
        source: The track as it is; its configuration counts.

    Raises:
        ValueError: The configuration is not usable, or the pictures are too large.
    """

    def __init__(self, source: Track) -> None:
        described = source.parameters
        width, height = getattr(described, "width", 0), getattr(described, "height", 0)
        if not width or not height or not source.configuration:
            raise ValueError("the size of the pictures is not known")
        if width * height > _MOST_PIXELS:
            raise ValueError(f"pictures of {width}x{height} are too large")
        # 4:2:0, which all browsers decode, has even sizes only.
        width, height = max(width & ~1, 2), max(height & ~1, 2)
        self.damaged = 0
        """Frames that could not be decoded."""
        self._decoder = _decoder(source)
        self._encoder = _encoder(width, height)
        self._size = width, height
        self._last_key: int | None = None
        self._last_pts = -1
        self._wanted = threading.Event()
        self._sequence = 0
        self._last: Frame | None = None
        sets = nal.split_annexb(bytes(self._encoder.extradata or b""))
        configuration = h264.avcc_from_parameter_sets(
            [one for one in sets if h264.unit_type(one) == h264.UnitType.SPS],
            [one for one in sets if h264.unit_type(one) == h264.UnitType.PPS],
        )
        self.track = attrs.evolve(
            source,
            clock_rate=_RATE,
            configuration=configuration,
            parameters=parameters_of(Codec.H264, configuration),
            wire_codec=0,
            metadata=b"",
        )
        """The track that comes out."""

    def request_key_frame(self) -> None:
        """Let decoding start with the next picture; may be called by any thread."""
        self._wanted.set()

    def convert(self, frames: Iterable[Frame]) -> list[Frame]:
        """Return what these frames make."""
        pictures: deque[tuple[VideoFrame, Frame]] = deque(maxlen=_CATCH_UP)
        count = 0
        for frame in frames:
            if not frame.payload:
                self.damaged += 1  # to the decoder it would be the end
                continue
            packet = av.Packet(frame.payload)
            packet.pts, packet.dts = frame.pts, frame.dts
            packet.time_base = Fraction(1, _RATE)
            try:
                decoded = self._decoder.decode(packet)
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            self._last = frame
            count += len(decoded)
            pictures += [(picture, frame) for picture in decoded]
        if count > _CATCH_UP:
            pictures = deque([pictures[-1]])
        made: list[Frame] = []
        for picture, frame in pictures:
            made += self._encode(picture, frame)
        return made

    def finish(self) -> list[Frame]:
        """Return the pictures that the decoder holds back for others to come first."""
        last = self._last
        if last is None:
            return []
        try:
            pictures = self._decoder.decode(None)
        except av.error.FFmpegError:
            return []
        return [one for picture in pictures for one in self._encode(picture, last)]

    def _encode(self, picture: VideoFrame, source: Frame) -> list[Frame]:
        pts = picture.pts
        if pts is None or pts <= self._last_pts:
            return []
        self._last_pts = pts
        if (picture.width, picture.height) != self._size:
            picture = picture.reformat(*self._size)
            picture.pts = pts
        picture.time_base = Fraction(1, _RATE)
        picture.pict_type = PictureType.NONE
        after_s = _SOONEST_KEY_S if self._wanted.is_set() else _KEY_S
        if self._last_key is None or pts - self._last_key >= after_s * _RATE:
            self._wanted.clear()
            self._last_key = pts
            picture.pict_type = PictureType.I
        return [self._frame(one, source) for one in self._encoder.encode(picture)]

    def _frame(self, packet: Any, source: Frame) -> Frame:  # noqa: ANN401 - PyAV's
        units = nal.split_annexb(bytes(packet))
        self._sequence += 1
        pts = int(packet.pts)
        return Frame(
            self.track,
            pts,
            pts,
            nal.join_length_prefixed(units),
            random_access=bool(packet.is_keyframe),
            sequence=self._sequence,
            epoch=source.epoch,
            received_at=source.received_at,
            wall_clock=source.wall_clock,
        )


def _decoder(source: Track) -> VideoCodecContext:
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = source.configuration
    context.thread_count = 1
    # Parameter sets on the way may say another size than the configuration.
    context.options = {"max_pixels": str(_MOST_PIXELS)}
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise ValueError(f"h264: {error.strerror}") from error
    return context


def _encoder(width: int, height: int) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, _RATE)
    context.framerate = Fraction(30)
    # Key frames are asked for by time.
    context.gop_size = 100_000
    context.options = dict(_OPTIONS)
    context.flags |= int(av.codec.context.Flags.global_header)
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise ValueError(f"libx264: {error.strerror}") from error
    return context
