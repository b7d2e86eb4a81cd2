"""FLV tag bodies (RTMP messages) of one publication into frames.

Legacy and enhanced bodies come out alike; every track keeps its own clock. What cannot
be read is counted and left out: a bad message costs its frame, not the stream.
"""

from __future__ import annotations

from typing import Final

import attrs
from sansmedia.codecs import AudioParameters, Codec, parameters
from sansmedia.codecs.ac3 import decode_sync_frame, parameters_from_sync_frame
from sansmedia.codecs.mp3 import decode_frame_header, parameters_from_frame_header
from sansmedia.codecs.opus import packet_duration
from sansmedia.flv.audio import (
    AudioBody,
    AudioPacket,
    AudioPacketType,
    decode_audio_body,
)
from sansmedia.flv.fourcc import audio_codec, video_codec
from sansmedia.flv.video import (
    VideoBody,
    VideoFrameType,
    VideoPacket,
    VideoPacketType,
    decode_video_body,
)
from sansmedia.rtmp import MediaKind, MediaMessage
from sansmedia.sansio import ProtocolError

from penstock.media import Frame, Track, TrackKind
from penstock.media.timeline import AudioClock, MillisecondTimeline

from .describe import completed, is_complete

__all__ = ["FlvToFrames"]

_VIDEO_RATE: Final = 90_000
_UNKNOWN_AUDIO_RATE: Final = 1_000
_MAX_TRACKS: Final = 32
_CODED: Final = (VideoPacketType.CODED_FRAMES, VideoPacketType.CODED_FRAMES_X)
_NEEDS_CONFIGURATION: Final = frozenset(
    (Codec.H264, Codec.H265, Codec.AAC, Codec.OPUS, Codec.FLAC)
)
_TOO_EARLY: Final = "a frame came before its decoder configuration"


@attrs.define(eq=False)
class _TrackState:
    track: Track
    sent: bytes = b""
    """The configuration as the publisher sent it; the track's may say more."""
    clock: AudioClock | None = None
    last_dts: int = -1


class FlvToFrames:
    """Converts the messages of one publication.

    Args:
        timeline: The publication's time.
        epoch: Number of the publication, noted in each frame.
    """

    def __init__(self, timeline: MillisecondTimeline, *, epoch: int) -> None:
        self.damaged = 0
        """Messages that could not be read, and frames before their configuration."""
        self.damage_reason = ""
        """What was wrong with the first of them."""
        self._timeline = timeline
        self._epoch = epoch
        self._sequence = 0
        self._tracks: dict[tuple[TrackKind, int], _TrackState] = {}
        self._announced: list[Track] = []

    def announced(self) -> list[Track]:
        """Return the tracks that are new or have a new configuration, once."""
        announced, self._announced = self._announced, []
        return announced

    def convert(self, message: MediaMessage, now: float) -> list[Frame]:
        """Return the frames of one message; none for headers and damage."""
        try:
            if message.kind is MediaKind.VIDEO:
                return self._video(message, now)
            return self._audio(message, now)
        except ProtocolError as error:
            self._note_damage(str(error))
            return []

    def data(self, timestamp_ms: int, payload: bytes, now: float) -> Frame:
        """Return a frame of the data track for an AMF data message."""
        name = (TrackKind.DATA, 0)
        state = self._tracks.get(name)
        if state is None:
            state = self._remember(b"", Track(0, TrackKind.DATA, None, 1000))
        dts = self._timeline.map(timestamp_ms, now)
        return self._frame(state, dts, dts, payload, now)

    # -- video ------------------------------------------------------------------------

    def _video(self, message: MediaMessage, now: float) -> list[Frame]:
        body = decode_video_body(message.payload)
        if not body.packets:
            return []
        time_ms = 0
        if body.packets[0].packet_type in _CODED:
            # Headers are sent at any time: FFmpeg's stand at 0, wherever frames begin.
            time_ms = self._timeline.map(message.timestamp, now)
        frames = []
        for packet in body.packets:
            frame = self._video_packet(body, packet, time_ms, now)
            if frame is not None:
                frames.append(frame)
        return frames

    def _video_packet(
        self, body: VideoBody, packet: VideoPacket, time_ms: int, now: float
    ) -> Frame | None:
        kind = packet.packet_type
        state = self._tracks.get((TrackKind.VIDEO, packet.track_id))
        if state is not None and state.track.wire_codec != packet.codec:
            state = None
        if kind is VideoPacketType.SEQUENCE_START:
            self._configure_video(packet, state)
            return None
        if kind is VideoPacketType.METADATA:
            if state is not None and state.track.metadata != packet.payload:
                self._renew(state, metadata=packet.payload)
            return None
        if kind not in _CODED:
            return None
        if state is None:
            if video_codec(packet.codec) in _NEEDS_CONFIGURATION:
                self._note_damage(_TOO_EARLY)
                return None
            state = self._configure_video(packet, None)
        if not packet.payload:
            return None
        if body.is_key and not is_complete(state.track):
            self._complete(state, packet.payload)
        dts = max(time_ms * 90, state.last_dts)
        state.last_dts = dts
        # Nanoseconds in 90 kHz ticks: 11,111 ns each, to the nearest.
        offset = (body.nanosecond_offset * 9 + 50_000) // 100_000
        frame = self._frame(
            state,
            dts,
            dts + packet.composition_time_ms * 90 + offset,
            packet.payload,
            now,
        )
        frame.random_access = body.is_key
        frame.discardable = body.frame_type is VideoFrameType.DISPOSABLE_INTER
        return frame

    def _configure_video(
        self, packet: VideoPacket, state: _TrackState | None
    ) -> _TrackState:
        codec = video_codec(packet.codec)
        starts = packet.packet_type is VideoPacketType.SEQUENCE_START
        configuration = packet.payload if starts else b""
        if state is not None and state.sent == configuration:
            return state
        described = None
        if codec is not None and configuration:
            try:
                described = parameters(codec, configuration)
            except ProtocolError as error:
                # We only describe it; a decoder may well understand it.
                self._note_damage(str(error))
        return self._remember(
            configuration,
            Track(
                packet.track_id,
                TrackKind.VIDEO,
                codec,
                _VIDEO_RATE,
                configuration,
                generation=self._next_generation(TrackKind.VIDEO, packet.track_id),
                parameters=described,
                wire_codec=packet.codec,
                group="video",
            ),
        )

    def _complete(self, state: _TrackState, payload: bytes) -> None:
        try:
            track = completed(state.track, payload)
        except ProtocolError as error:
            self._note_damage(str(error))
            return
        if track is not state.track:
            state.track = track
            self._announced.append(track)

    # -- audio ------------------------------------------------------------------------

    def _audio(self, message: MediaMessage, now: float) -> list[Frame]:
        body = decode_audio_body(message.payload)
        if not body.packets:
            return []
        time_ms = 0
        if body.packets[0].packet_type is AudioPacketType.CODED_FRAMES:
            time_ms = self._timeline.map(message.timestamp, now)
        frames = []
        for packet in body.packets:
            frame = self._audio_packet(body, packet, time_ms, now)
            if frame is not None:
                frames.append(frame)
        return frames

    def _audio_packet(
        self, body: AudioBody, packet: AudioPacket, time_ms: int, now: float
    ) -> Frame | None:
        kind = packet.packet_type
        state = self._tracks.get((TrackKind.AUDIO, packet.track_id))
        if state is not None and state.track.wire_codec != packet.codec:
            state = None
        if kind is AudioPacketType.SEQUENCE_START:
            self._configure_audio(body, packet, state)
            return None
        if kind is AudioPacketType.MULTICHANNEL_CONFIG:
            if state is not None and state.track.channel_layout != packet.payload:
                self._renew(state, channel_layout=packet.payload)
            return None
        if kind is not AudioPacketType.CODED_FRAMES or not packet.payload:
            return None
        if state is None:
            if audio_codec(packet.codec) in _NEEDS_CONFIGURATION:
                self._note_damage(_TOO_EARLY)
                return None
            state = self._configure_audio(body, packet, None)
            if state is None:
                return None
        duration = self._duration(state.track, packet.payload)
        assert state.clock is not None
        dts = max(state.clock.next(time_ms, duration), state.last_dts)
        state.last_dts = dts
        frame = self._frame(state, dts, dts, packet.payload, now)
        frame.random_access = True
        frame.duration = duration
        return frame

    def _configure_audio(
        self, body: AudioBody, packet: AudioPacket, state: _TrackState | None
    ) -> _TrackState | None:
        codec = audio_codec(packet.codec)
        starts = packet.packet_type is AudioPacketType.SEQUENCE_START
        if starts and not packet.payload:
            return None  # FFmpeg's AC-3 and E-AC-3: the first frame will tell
        configuration = sent = packet.payload if starts else b""
        if state is not None and state.sent == sent:
            return state
        described = self._describe_audio(codec, body, packet)
        if codec in (Codec.AC3, Codec.EAC3) and not configuration:
            configuration = packet.payload
        rate = _UNKNOWN_AUDIO_RATE if described is None else described.sample_rate
        track = Track(
            packet.track_id,
            TrackKind.AUDIO,
            codec,
            rate,
            configuration,
            generation=self._next_generation(TrackKind.AUDIO, packet.track_id),
            parameters=described,
            wire_codec=packet.codec,
            group="audio",
        )
        new = self._remember(sent, track)
        new.clock = AudioClock(rate)
        return new

    @staticmethod
    def _describe_audio(
        codec: Codec | None, body: AudioBody, packet: AudioPacket
    ) -> AudioParameters | None:
        if codec is None:
            return None
        if packet.packet_type is AudioPacketType.SEQUENCE_START:
            described = parameters(codec, packet.payload)
            return described if isinstance(described, AudioParameters) else None
        if codec is Codec.MP3:
            return parameters_from_frame_header(decode_frame_header(packet.payload))
        if codec in (Codec.AC3, Codec.EAC3):
            return parameters_from_sync_frame(decode_sync_frame(packet.payload))
        if codec in (Codec.PCM_ALAW, Codec.PCM_MULAW):
            name = codec.value.removeprefix("pcm_")
            return AudioParameters(codec, 8000, body.channel_count, "", None, name)
        if codec is Codec.SPEEX:
            return AudioParameters(codec, 16_000, 1, "", None, "speex")
        return None

    @staticmethod
    def _duration(track: Track, payload: bytes) -> int | None:
        if track.codec is Codec.OPUS:
            return packet_duration(payload)
        described = track.parameters
        if isinstance(described, AudioParameters):
            return described.frame_samples
        return None

    # -- tracks and frames -------------------------------------------------------------

    def _note_damage(self, reason: str) -> None:
        self.damaged += 1
        self.damage_reason = self.damage_reason or reason

    def _next_generation(self, kind: TrackKind, track_id: int) -> int:
        state = self._tracks.get((kind, track_id))
        return 0 if state is None else state.track.generation + 1

    def _remember(self, sent: bytes, track: Track) -> _TrackState:
        name = (track.kind, track.id)
        old = self._tracks.get(name)
        if old is None and len(self._tracks) >= _MAX_TRACKS:
            raise ProtocolError("more than 32 tracks", code="limit")
        state = _TrackState(track, sent)
        if old is not None and old.last_dts >= 0:
            # Time must not step back because a track changed its codec or clock, nor
            # when it changes back: rounded up.
            ticks = old.last_dts * track.clock_rate
            state.last_dts = -(-ticks // old.track.clock_rate)
        self._tracks[name] = state
        self._announced.append(track)
        return state

    def _renew(
        self, state: _TrackState, *, metadata: bytes = b"", channel_layout: bytes = b""
    ) -> None:
        track = state.track
        state.track = attrs.evolve(
            track,
            generation=track.generation + 1,
            metadata=metadata or track.metadata,
            channel_layout=channel_layout or track.channel_layout,
        )
        self._announced.append(state.track)

    def _frame(
        self, state: _TrackState, dts: int, pts: int, payload: bytes, now: float
    ) -> Frame:
        self._sequence += 1
        return Frame(
            state.track,
            dts,
            pts,
            payload,
            sequence=self._sequence,
            epoch=self._epoch,
            received_at=now,
        )
