"""Frames into MPEG-TS: muxed once, for SRT, HTTP and UDP alike."""

from __future__ import annotations

from typing import Final

from sansmedia.codecs import Codec
from sansmedia.mpegts import DataFormat, Muxer, MuxerConfig, MuxTrack
from sansmedia.sansio import ProtocolError, UsageError

from penstock.engine.unit import Form, Unit
from penstock.media import Frame, Track, TrackKind
from penstock.media.timestamp import rescale

from .tracks import TrackSelection

__all__ = ["TsConverter"]

_CLOCK_RATE: Final = 90_000
_CONFIG: Final = MuxerConfig(delay_90k=18_000, group_90k=9_000)
"""Players that keep to the PCR wait 0.2 s: enough for a large picture."""
_SOUNDS: Final = 2
"""So many of a track go together, and with the next picture if one comes before as many
again: less than half the work for every viewer. Players wait longer for the picture."""
_CARRIED: Final = frozenset(
    {
        *(Codec.H264, Codec.H265, Codec.AV1),
        *(Codec.AAC, Codec.OPUS, Codec.MP3, Codec.AC3, Codec.EAC3),
    }
)
_FIRST_PIDS: Final = {
    TrackKind.VIDEO: 0x100,
    TrackKind.AUDIO: 0x110,
    TrackKind.DATA: 0x130,
}
_PIDS_EACH: Final = 16
_MAX_HELD: Final = 200
"""Frames kept until all tracks are known: 2 s of AAC and pictures."""

_Name = tuple[TrackKind, int]


class TsConverter:
    """Frames into the packets of one program."""

    ended = ""
    """Never: a program may change its tracks."""
    header = b""
    """None: PAT and PMT stand in front of every key unit."""

    def __init__(self, form: Form) -> None:
        self._selection = TrackSelection(form)
        self._muxer: Muxer | None = None
        self._written: dict[_Name, MuxTrack] = {}
        """What the tables say."""
        self._audio_tracks = 1
        self._has_pictures = False
        self._changed = False
        self._held: list[tuple[Frame, bool]] = []
        self._has_key = False
        self._waiting = b""
        """Packets that go in front of the next unit."""
        self._sounds = 0
        """That the muxer keeps until there are enough."""
        self._time = 0.0
        """Of the last frame."""

    def begin(self) -> None:
        """Start over for a new publication; the program goes on."""
        self._held.clear()
        self._has_key = False
        self._changed = True
        self._selection.begin()

    def announce(self, track: Track) -> list[Unit]:
        """Take a new track or configuration; it stands in the next tables."""
        if self._carries(track):
            self._selection.announce(track)
            self._changed = True
        return []

    def metadata(self, values: dict[str, object]) -> list[Unit]:
        """Take new metadata: it only tells which tracks to wait for."""
        self._selection.promise(values)
        return []

    def finish(self) -> list[Unit]:
        """Return sounds that wait for others, and frames for tracks to come."""
        units = self._release()
        muxer = self._muxer
        if muxer is not None:
            self._waiting += muxer.flush()
            self._sounds = 0
        if self._waiting:
            units.append(Unit(self._waiting, self._time, kind=TrackKind.AUDIO))
            self._waiting = b""
        return units

    def _carries(self, track: Track) -> bool:
        if track.kind is TrackKind.DATA:
            return self._selection.carries(track)
        if track.codec not in _CARRIED:
            return False
        # Languages go together; pictures in other sizes are no second programme.
        return track.id < (_PIDS_EACH if track.is_audio else 1)

    def convert(self, frame: Frame) -> list[Unit]:
        """Return the packets of a frame and of those that waited for it.

        What comes is held until the tracks are known that the publisher promised.
        """
        track = frame.track
        if (track.kind, track.id) not in self._selection.tracks:
            return []
        time = frame.dts / track.clock_rate
        key = self._selection.may_start(frame, time)
        if not self._has_key or self._held:
            self._hold(frame, key=key)
            if not self._has_key or not (
                self._selection.is_settled(time) or len(self._held) > _MAX_HELD
            ):
                return []
            return self._release()
        return self._units(frame, key=key)

    def _release(self) -> list[Unit]:
        """Return what has been held, if anybody can start with it."""
        held, self._held = self._held, []
        units: list[Unit] = []
        for frame, key in held if self._has_key else ():
            units += self._units(frame, key=key)
        return units

    def _hold(self, frame: Frame, *, key: bool) -> None:
        if key:
            self._has_key = True
        elif not self._has_key and frame.track.is_video:
            return  # nobody can decode it
        if not self._has_key and len(self._held) > _MAX_HELD:
            self._held.clear()
        self._held.append((frame, key))

    def _units(self, frame: Frame, *, key: bool) -> list[Unit]:
        if self._changed:
            self._renew()
        track = frame.track
        written = self._written.get((track.kind, track.id))
        muxer = self._muxer
        if muxer is None or written is None:
            return []
        rate = track.clock_rate
        time = self._time = frame.dts / rate
        units = []
        if frame.random_access and track.is_video:
            # What waits goes in front: a key unit begins with its tables.
            self._waiting += muxer.flush()
            self._sounds = 0
        if key and self._waiting:
            units.append(Unit(self._waiting, time, kind=TrackKind.AUDIO))
            self._waiting = b""
        try:
            data = muxer.write(
                written.pid,
                frame.payload,
                rescale(frame.pts, rate, _CLOCK_RATE),
                rescale(frame.dts, rate, _CLOCK_RATE),
                random_access=frame.random_access,
            )
        except (ProtocolError, UsageError):
            return units  # a frame that is none; the next may be one
        if track.is_audio:
            self._sounds += 1
            if self._sounds >= _SOUNDS * self._audio_tracks:
                data += muxer.flush()
                self._sounds = 0
            if data and self._has_pictures and not self._waiting:
                self._waiting = data
                return units
        if data or key:
            units.append(Unit(self._waiting + data, time, key, kind=track.kind))
            self._waiting = b""
        return units

    def _renew(self) -> None:
        """Write the tables of the tracks that there are now."""
        self._changed = False
        wanted: dict[_Name, MuxTrack] = {}
        for name, track in self._selection.tracks.items():
            try:
                entry = _mux_track(track)
                Muxer([entry])
            except (ProtocolError, UsageError, ValueError):
                continue  # no form of it in MPEG-TS: the others go without
            wanted[name] = entry
        if wanted == self._written or not wanted:
            return
        tracks = sorted(wanted.values(), key=lambda entry: entry.pid)
        if self._muxer is None:
            self._muxer = Muxer(tracks, _CONFIG)
        else:
            self._waiting += self._muxer.reconfigure(tracks)
        self._written = wanted
        self._audio_tracks = sum(kind is TrackKind.AUDIO for kind, _ in wanted)
        self._has_pictures = any(kind is TrackKind.VIDEO for kind, _ in wanted)


def _mux_track(track: Track) -> MuxTrack:
    return MuxTrack(
        _FIRST_PIDS[track.kind] + track.id,
        track.codec or DataFormat(track.data_format),
        track.configuration if track.codec in _WITH_CONFIGURATION else b"",
        language=track.language if len(track.language) == 3 else "",
    )


_WITH_CONFIGURATION: Final = frozenset(
    {Codec.H264, Codec.H265, Codec.AV1, Codec.AAC, Codec.OPUS}
)
