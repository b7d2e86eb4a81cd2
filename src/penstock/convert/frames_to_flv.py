"""Frames into FLV tag bodies, and those into RTMP messages or FLV tags.

H.264, AAC and the other codecs that legacy FLV knows go out in the legacy form, which
every player reads; all others in the enhanced one.
"""

from __future__ import annotations

import struct
from typing import Final, Protocol, cast

from sansmedia.amf import Encodable, amf0
from sansmedia.codecs import Codec
from sansmedia.flv.audio import (
    AudioBody,
    AudioPacket,
    AudioPacketType,
    encode_audio_body,
)
from sansmedia.flv.enhanced import AvMultitrackType, ModEx, timestamp_offset_nano
from sansmedia.flv.fourcc import audio_codec_id, video_codec_id
from sansmedia.flv.tags import TagType, encode_header, encode_tag
from sansmedia.flv.video import (
    VideoBody,
    VideoFrameType,
    VideoPacket,
    VideoPacketType,
    encode_video_body,
)
from sansmedia.rtmp.lane import shared_message

from penstock.engine.unit import Form, Unit
from penstock.media import Frame, Track, TrackKind, milliseconds

from .tracks import TrackSelection

__all__ = ["FlvConverter", "FlvWrapping", "RtmpConverter"]

_AVC_HEADER: Final = struct.Struct(">BI")
_AVC_CODED: Final = 1 << 24
_LEGACY_VIDEO: Final = frozenset((Codec.H264,))
_LEGACY_AUDIO: Final = frozenset(
    (Codec.AAC, Codec.MP3, Codec.SPEEX, Codec.PCM_ALAW, Codec.PCM_MULAW)
)
_SEQUENCE_HEADER: Final = frozenset(
    {
        *(Codec.H264, Codec.H265, Codec.AV1, Codec.VP9, Codec.VP8),
        *(Codec.AAC, Codec.OPUS, Codec.FLAC),
    }
)
_AAC_CODED: Final = b"\xaf\x01"


class FlvWrapping(Protocol):
    """How a body becomes bytes on the wire."""

    def header(self, *, audio: bool, video: bool) -> bytes:
        """Return what stands once before everything."""
        ...

    def wrap(self, kind: int, time_ms: int, body: bytes) -> bytes:
        """Return one message or tag; ``kind`` is 8, 9 or 18."""
        ...


class _RtmpWrapping:
    def header(self, *, audio: bool, video: bool) -> bytes:
        return b""

    def wrap(self, kind: int, time_ms: int, body: bytes) -> bytes:
        return shared_message(kind, time_ms, body)


class _TagWrapping:
    def header(self, *, audio: bool, video: bool) -> bytes:
        return encode_header(audio, video)

    def wrap(self, kind: int, time_ms: int, body: bytes) -> bytes:
        return encode_tag(TagType(kind), time_ms & 0xFFFFFFFF, body)


class _BodyConverter:
    """Frames into units of FLV bodies; a publication's tracks go before its frames."""

    ended = ""

    def __init__(self, form: Form, wrapping: FlvWrapping) -> None:
        self._form = form
        self._wrapping = wrapping
        self._selection = TrackSelection(form)
        self._metadata: dict[str, object] = {}
        self._time_ms = 0

    @property
    def header(self) -> bytes:
        """The FLV file header with honest flags; nothing for RTMP."""
        selection = self._selection
        return self._wrapping.header(
            audio=selection.has_audio, video=selection.has_video
        )

    def begin(self) -> None:
        """Start over for a new publication."""
        self._selection.begin()
        self._metadata = {}

    def announce(self, track: Track) -> list[Unit]:
        """Take a new track or configuration; say it at once to who watches."""
        if not self._selection.carries(track):
            return []
        old = self._selection.announce(track)
        data = b"".join(self._configuration(track, self._time_ms, old))
        return [Unit(data, self._time_ms / 1000)] if data else []

    def metadata(self, values: dict[str, object]) -> list[Unit]:
        """Take new metadata and pass it on."""
        self._metadata = values
        self._selection.promise(values)
        return [Unit(self._metadata_message(), self._time_ms / 1000)]

    def finish(self) -> list[Unit]:
        """Return nothing: every frame has gone out at once."""
        return []

    def convert(self, frame: Frame) -> list[Unit]:
        """Return the one unit of a frame that this form carries."""
        track = frame.track
        if not self._selection.carries(track):
            return []
        time_ms = milliseconds(frame.dts, track.clock_rate)
        self._time_ms = time_ms
        time = frame.dts / track.clock_rate
        if track.kind is TrackKind.VIDEO:
            kind, body = 9, self._video_body(frame, time_ms)
        elif track.kind is TrackKind.AUDIO:
            kind, body = 8, self._audio_body(frame)
        else:
            kind, body = 18, frame.payload
        unit = Unit(self._wrapping.wrap(kind, time_ms, body), time, kind=track.kind)
        if kind != 18 and self._selection.may_start(frame, time):
            unit.key = True
            unit.config = self._prologue(time_ms)
        return [unit]

    # -- bodies -----------------------------------------------------------------------

    def _video_body(self, frame: Frame, time_ms: int) -> bytes:
        track = frame.track
        kind = VideoFrameType.INTER
        if frame.random_access:
            kind = VideoFrameType.KEY
        elif frame.discardable:
            kind = VideoFrameType.DISPOSABLE_INTER
        composition_ms = milliseconds(frame.pts, track.clock_rate) - time_ms
        # Nearly all messages of nearly all streams; 2.6 µs go through VideoBody.
        if track.codec is Codec.H264 and not track.id and not self._form.nanoseconds:
            head = _AVC_HEADER.pack(
                kind << 4 | 7, _AVC_CODED | composition_ms & 0xFFFFFF
            )
            return head + frame.payload
        mod_ex: tuple[ModEx, ...] = ()
        if self._form.nanoseconds:
            ticks = (frame.pts - frame.dts) % 90
            composition_ms = (frame.pts - frame.dts) // 90
            if ticks:
                mod_ex = (timestamp_offset_nano(ticks * 100_000 // 9),)
        return self._encode_video(
            track,
            kind,
            VideoPacketType.CODED_FRAMES,
            frame.payload,
            composition_ms,
            mod_ex,
        )

    @staticmethod
    def _encode_video(
        track: Track,
        frame_type: VideoFrameType,
        packet_type: VideoPacketType,
        payload: bytes,
        composition_ms: int = 0,
        mod_ex: tuple[ModEx, ...] = (),
    ) -> bytes:
        codec_id = track.wire_codec
        if track.codec is not None:
            codec_id = video_codec_id(track.codec) or codec_id
        packet = VideoPacket(codec_id, packet_type, payload, composition_ms, track.id)
        enhanced = bool(
            track.id
            or mod_ex
            or packet_type is VideoPacketType.METADATA
            or (codec_id > 0xFF and track.codec not in _LEGACY_VIDEO)
        )
        multitrack = AvMultitrackType.ONE_TRACK if track.id else None
        return encode_video_body(
            VideoBody(frame_type, [packet], enhanced, multitrack, mod_ex)
        )

    def _audio_body(self, frame: Frame) -> bytes:
        track = frame.track
        if track.codec is Codec.AAC and not track.id:
            return _AAC_CODED + frame.payload
        return self._encode_audio(track, AudioPacketType.CODED_FRAMES, frame.payload)

    @staticmethod
    def _encode_audio(
        track: Track, packet_type: AudioPacketType, payload: bytes
    ) -> bytes:
        codec_id = track.wire_codec
        if track.codec is not None:
            codec_id = audio_codec_id(track.codec) or codec_id
        enhanced = bool(
            track.id
            or packet_type is AudioPacketType.MULTICHANNEL_CONFIG
            or (codec_id > 0xFF and track.codec not in _LEGACY_AUDIO)
        )
        multitrack = AvMultitrackType.ONE_TRACK if track.id else None
        packet = AudioPacket(codec_id, packet_type, payload, track.id)
        return encode_audio_body(
            AudioBody([packet], enhanced, multitrack, sound=_sound_of(track))
        )

    # -- what goes before frames -------------------------------------------------------

    def _prologue(self, time_ms: int) -> bytes:
        parts = []
        if self._metadata:
            parts.append(self._metadata_message())
        for track in self._selection.tracks.values():
            parts.extend(self._configuration(track, time_ms, None))
        return b"".join(parts)

    def _metadata_message(self) -> bytes:
        # At time 0 whenever it is sent: FFmpeg takes a later onMetaData for the first
        # packet of a subtitle track.
        values = cast("dict[str, Encodable]", self._metadata)
        body = amf0.encode_values("onMetaData", values)
        return self._wrapping.wrap(18, 0, body)

    def _configuration(
        self, track: Track, time_ms: int, old: Track | None
    ) -> list[bytes]:
        """Return the messages that configure a track, without what has not changed."""
        bodies = []
        kind = 9 if track.is_video else 8
        changed = old is None or old.configuration != track.configuration
        if track.configuration and changed and self._has_sequence_header(track):
            if track.is_video:
                bodies.append(
                    self._encode_video(
                        track,
                        VideoFrameType.KEY,
                        VideoPacketType.SEQUENCE_START,
                        track.configuration,
                    )
                )
            else:
                bodies.append(
                    self._encode_audio(
                        track, AudioPacketType.SEQUENCE_START, track.configuration
                    )
                )
        if self._form.side_info:
            bodies += self._side_info(track, old)
        return [self._wrapping.wrap(kind, time_ms, body) for body in bodies]

    def _side_info(self, track: Track, old: Track | None) -> list[bytes]:
        """Return the bodies that describe a track, without what has not changed."""
        bodies = []
        if track.metadata and (old is None or old.metadata != track.metadata):
            # The frame type means nothing here, but FFmpeg 9 takes for a picture what
            # is not marked as a command. Of several tracks a command would hide them.
            frame_type = VideoFrameType.KEY if track.id else VideoFrameType.COMMAND
            bodies.append(
                self._encode_video(
                    track, frame_type, VideoPacketType.METADATA, track.metadata
                )
            )
        layout = track.channel_layout
        if layout and (old is None or old.channel_layout != layout):
            bodies.append(
                self._encode_audio(track, AudioPacketType.MULTICHANNEL_CONFIG, layout)
            )
        return bodies

    @staticmethod
    def _has_sequence_header(track: Track) -> bool:
        return track.codec is None or track.codec in _SEQUENCE_HEADER


def _sound_of(track: Track) -> int:
    """Return the legacy rate, size and channel bits; AAC and Speex fix them."""
    if track.codec is Codec.AAC:
        return 0x0F
    if track.codec is Codec.SPEEX:
        return 0x06
    channels = getattr(track.parameters, "channels", 2)
    rates = {5512: 0, 8000: 0, 11025: 1, 22050: 2}
    return rates.get(track.clock_rate, 3) << 2 | 0x02 | (channels > 1)


class RtmpConverter(_BodyConverter):
    """Frames into RTMP messages in the form that all viewers share."""

    def __init__(self, form: Form) -> None:
        super().__init__(form, _RtmpWrapping())


class FlvConverter(_BodyConverter):
    """Frames into the tags of an FLV file without end."""

    def __init__(self, form: Form) -> None:
        super().__init__(form, _TagWrapping())
