"""Where viewers of a wire form may start, and when it knows all its tracks."""

from __future__ import annotations

from penstock.engine.unit import Form
from penstock.media import Frame, Track, TrackKind

__all__ = ["TrackSelection"]

_PATIENCE_S = 1.0
"""How long a form waits for a track that the metadata promise."""
_AUDIO_KEY_S = 1.0
"""Without video, a viewer may start once a second."""


class TrackSelection:
    """The tracks of one publication that one wire form carries.

    Args:
        form: Which kinds of tracks, and whether more than the main ones.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self.tracks: dict[tuple[TrackKind, int], Track] = {}
        self._promised_video: bool | None = None
        self._promised_audio: bool | None = None
        self._first_time: float | None = None
        self._last_key: float | None = None

    def begin(self) -> None:
        """Forget everything: a new publication begins."""
        self.tracks.clear()
        self._promised_video = self._promised_audio = None
        self._first_time = self._last_key = None

    def carries(self, track: Track) -> bool:
        """Tell whether the form carries a track at all."""
        if track.kind is TrackKind.DATA:
            # AMF is RTMP's, KLV and ID3 are MPEG-TS's.
            return bool(track.data_format) is (self._form.format == "ts")
        if track.id and not self._form.multitrack:
            return False
        return self._form.video if track.is_video else self._form.audio

    def announce(self, track: Track) -> Track | None:
        """Take a track; return the one that it replaces."""
        name = (track.kind, track.id)
        old = self.tracks.get(name)
        self.tracks[name] = track
        return old

    def promise(self, metadata: dict[str, object]) -> None:
        """Take what the publisher's metadata say about tracks to come."""
        self._promised_video = "videocodecid" in metadata or "width" in metadata
        self._promised_audio = (
            "audiocodecid" in metadata or "audiosamplerate" in metadata
        )

    @property
    def has_video(self) -> bool:
        """True if there is, or will be, video for this form."""
        return self._form.video and (
            (TrackKind.VIDEO, 0) in self.tracks or bool(self._promised_video)
        )

    @property
    def has_audio(self) -> bool:
        """True if there is, or will be, audio for this form."""
        return self._form.audio and (
            (TrackKind.AUDIO, 0) in self.tracks or bool(self._promised_audio)
        )

    def may_start(self, frame: Frame, time: float) -> bool:
        """Tell whether decoding may start at ``frame``.

        With video that is the main track's random access points; without, once a
        second, and only when no video was promised or it has not come for a while.

        Args:
            frame: The frame at hand, of a track that the form carries.
            time: Its decoding time in seconds.
        """
        track = frame.track
        waited = self._has_waited(time)
        if self._form.video and (TrackKind.VIDEO, 0) in self.tracks:
            return track.is_video and track.id == 0 and frame.random_access
        if not track.is_audio or track.id:
            return False
        if self._form.video and self._promised_video is not False and not waited:
            return False
        if self._last_key is not None and time - self._last_key < _AUDIO_KEY_S:
            return False
        self._last_key = time
        return True

    def is_settled(self, time: float) -> bool:
        """Tell whether all tracks are known that were promised, or are overdue.

        Args:
            time: Decoding time of the frame at hand, in seconds.
        """
        audio_known = (TrackKind.AUDIO, 0) in self.tracks or not self.has_audio
        video_known = (TrackKind.VIDEO, 0) in self.tracks or not self.has_video
        return (audio_known and video_known) or self._has_waited(time)

    def _has_waited(self, time: float) -> bool:
        if self._first_time is None:
            self._first_time = time
        return time - self._first_time >= _PATIENCE_S
