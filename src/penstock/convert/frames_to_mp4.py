"""Frames into fragmented MP4: an initialisation segment, then a fragment a frame."""

from __future__ import annotations

from typing import Final

from sansmedia.codecs import AudioParameters, Codec, VideoParameters
from sansmedia.mp4 import (
    Mp4Track,
    encode_init_segment,
    encode_single_sample_fragment,
)
from sansmedia.sansio import ProtocolError, UsageError

from penstock.engine.unit import Form, Unit
from penstock.media import Frame, Track, TrackKind

from .tracks import TrackSelection

__all__ = ["Mp4Converter"]

_CARRIED: Final = frozenset(
    {
        *(Codec.H264, Codec.H265, Codec.AV1, Codec.VP9, Codec.VP8),
        *(Codec.AAC, Codec.OPUS, Codec.MP3, Codec.FLAC, Codec.AC3, Codec.EAC3),
    }
)
_FIRST_DURATION_S: Final = 1 / 30
"""Shown length of a track's very first frame: the next one tells the truth."""
_LONGEST_S: Final = 2.0
_MAX_EARLY: Final = 100
"""Audio frames kept from before the first picture: 2 s of AAC."""


class Mp4Converter:
    """Frames into the fragments of one endless file.

    A file has one initialisation segment. When a publisher changes its tracks the form
    is over (`ended`): players open it anew.
    """

    def __init__(self, form: Form) -> None:
        self.ended = ""
        self._selection = TrackSelection(form)
        self._header = b""
        self._begun: dict[tuple[TrackKind, int], Mp4Track] = {}
        """What the header says of each track."""
        self._sequence = 0
        self._held: list[tuple[Frame, bool]] = []
        self._has_key = False
        self._last: dict[tuple[TrackKind, int], tuple[int, int]] = {}

    @property
    def header(self) -> bytes:
        """The initialisation segment."""
        return self._header

    def begin(self) -> None:
        """Start over for a new publication; the file goes on if its tracks do."""
        self._held.clear()
        self._has_key = False
        self._selection.begin()

    def announce(self, track: Track) -> list[Unit]:
        """Take a new track or configuration; it may end the file."""
        if track.codec not in _CARRIED or not self._selection.carries(track):
            return []
        self._selection.announce(track)
        if self._header:
            begun = self._begun.get((track.kind, track.id))
            if begun is None or not _describe_alike(begun, track):
                self.ended = "the stream's tracks changed"
        return []

    def metadata(self, values: dict[str, object]) -> list[Unit]:
        """Take new metadata: it only tells which tracks to wait for."""
        self._selection.promise(values)
        return []

    def finish(self) -> list[Unit]:
        """Return nothing: what is held waits for a track that was promised.

        A file that began without that track would be over with the next publication.
        """
        return []

    def convert(self, frame: Frame) -> list[Unit]:
        """Return the fragments of a frame and of those that waited for it.

        A file begins with a key frame, the sounds before it, and all tracks: what has
        come is held until those are known that the publisher promised.
        """
        track = frame.track
        name = (track.kind, track.id)
        if track.codec not in _CARRIED or name not in self._selection.tracks:
            return []
        time = frame.dts / track.clock_rate
        key = self._selection.may_start(frame, time)
        if not self._header:
            self._hold(frame, key=key)
            if not self._may_begin(time):
                return []
            self._header = self._make_header()
        if self.ended:
            return []
        if not self._held:
            return [self._fragment(frame, key=key)]
        held, self._held = self._held, []
        return [self._fragment(frame, key=key) for frame, key in held]

    def _hold(self, frame: Frame, *, key: bool) -> None:
        """Keep a frame that came before all tracks are known."""
        if key:
            self._has_key = True
        elif not self._has_key:
            # Pictures that nobody can decode, and sounds beside them, are left out.
            if frame.track.is_video:
                self._held.clear()
                return
            if len(self._held) >= _MAX_EARLY:
                return
        self._held.append((frame, key))

    def _may_begin(self, time: float) -> bool:
        if not self._has_key:
            return False
        return self._selection.is_settled(time) or len(self._held) > 2 * _MAX_EARLY

    def _fragment(self, frame: Frame, *, key: bool) -> Unit:
        track = frame.track
        name = (track.kind, track.id)
        self._sequence += 1
        data = encode_single_sample_fragment(
            self._sequence & 0xFFFFFFFF,
            self._begun[name].track_id,
            frame.dts,
            self._duration(name, frame),
            frame.payload,
            frame.pts - frame.dts,
            frame.random_access,
        )
        time = frame.dts / track.clock_rate
        return Unit(data, time, key, kind=track.kind)

    def _duration(self, name: tuple[TrackKind, int], frame: Frame) -> int:
        """Return how long a frame is shown: exactly, or as the one before it was.

        Its true length is known only when the next frame comes; waiting for that would
        delay every viewer by a frame. Each fragment carries its own decoding time, so
        a wrong guess does not add up.
        """
        if frame.duration is not None:
            return frame.duration
        rate = frame.track.clock_rate
        last = self._last.get(name)
        duration = int(rate * _FIRST_DURATION_S)
        if last is not None:
            step = frame.dts - last[0]
            duration = step if 0 < step <= rate * _LONGEST_S else last[1]
        self._last[name] = (frame.dts, duration)
        return duration

    def _make_header(self) -> bytes:
        order = sorted(
            self._selection.tracks.values(),
            key=lambda track: (track.kind is not TrackKind.VIDEO, track.id),
        )
        tracks = [_mp4_track(number, track) for number, track in enumerate(order, 1)]
        for track, entry in zip(order, tracks, strict=True):
            self._begun[track.kind, track.id] = entry
        try:
            return encode_init_segment(tracks)
        except (ProtocolError, UsageError) as error:
            self.ended = f"MP4 cannot carry this stream: {error}"
            return b""


def _describe_alike(begun: Mp4Track, track: Track) -> bool:
    """Tell whether a file's header stays true for a track's new configuration."""
    entry = _mp4_track(begun.track_id, track)
    if entry == begun:
        return True
    try:
        return encode_init_segment([entry]) == encode_init_segment([begun])
    except (ProtocolError, UsageError):
        return False


def _mp4_track(number: int, track: Track) -> Mp4Track:
    assert track.codec is not None
    described = track.parameters
    width = height = sample_rate = channels = 0
    if isinstance(described, VideoParameters):
        width, height = described.width, described.height
    elif isinstance(described, AudioParameters):
        sample_rate, channels = described.sample_rate, described.channels
    return Mp4Track(
        number,
        track.codec,
        track.clock_rate,
        track.configuration,
        width=width,
        height=height,
        sample_rate=sample_rate,
        channels=channels,
        language=track.language or "und",
    )
