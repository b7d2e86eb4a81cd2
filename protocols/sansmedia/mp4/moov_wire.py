"""Reads ``moov``: the tracks, and what their fragments may leave out.

Source: ISO 14496-12 §8.2 to §8.8.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sansmedia.sansio import ProtocolError, Reader

from .boxes import Box, decode_boxes
from .limits import Limits
from .sample_entries import SampleEntry, decode_sample_entry
from .tracks import Mp4Track, unpack_language

__all__ = ["Movie", "TrackExtends", "decode_init_segment", "decode_movie"]

_SOURCE = "ISO 14496-12 §8.2"


@attrs.frozen
class TrackExtends:
    """Defaults of one track's fragments (``trex``) and its edit list, summed up."""

    duration: int = 0
    """Ticks of a sample whose fragment does not say."""
    size: int = 0
    """Octets of a sample whose fragment does not say."""
    flags: int = 0
    """Flags of a sample whose fragment does not say."""
    shift: int = 0
    """Ticks to add to every time of the track, by its edit list."""


@attrs.frozen
class Movie:
    """A decoded ``moov``."""

    tracks: tuple[Mp4Track, ...]
    """The tracks whose codec is known."""
    extends: Mapping[int, TrackExtends]
    """Of every track, known or not, by track id."""
    is_fragmented: bool
    """Fragments may follow (``mvex``)."""
    unknown_tracks: int = 0
    """Tracks of a codec not known here."""
    damaged_tracks: int = 0
    """Tracks that were left out because they cannot be read."""


def decode_init_segment(data: bytes, limits: Limits | None = None) -> Movie:
    """Decode a whole initialisation segment; boxes other than ``moov`` are passed over.

    Source: ISO 14496-12 §8.2.
    Raises: ProtocolError ``truncated``, ``malformed``, ``unsupported`` or ``limit``.
    """
    bounds = limits or Limits()
    for box in decode_boxes(data, bounds, forgiving=[b"trak"]):
        if box.kind == b"moov":
            return decode_movie(box, bounds)
    raise ProtocolError("no moov", source=_SOURCE)


def decode_movie(moov: Box, limits: Limits | None = None) -> Movie:
    """Decode the tree of a ``moov``; a damaged ``trak`` in it may be opaque.

    Source: ISO 14496-12 §8.2 to §8.8.
    Raises: ProtocolError ``truncated``, ``malformed``, ``unsupported`` or ``limit``; of
        a damaged track only if no other can be read.
    """
    bounds = limits or Limits()
    track_boxes = moov.every(b"trak")
    if len(track_boxes) > bounds.max_tracks:
        raise ProtocolError("too many tracks", code="limit", source=_SOURCE)
    movie_timescale = _decode_movie_timescale(_payload(moov, b"mvhd"))
    defaults = dict(
        _decode_track_extends(box.payload)
        for mvex in moov.every(b"mvex")
        for box in mvex.every(b"trex")
    )
    tracks = []
    extends: dict[int, TrackExtends] = {}
    unknown = 0
    damage: list[ProtocolError] = []
    for box in track_boxes:
        track_id = 0
        try:
            track_id = _decode_track_id(_payload(box, b"tkhd"))
            track, shift = _decode_track(track_id, box, movie_timescale, bounds)
        except ProtocolError as error:
            damage.append(error)
            track, shift = None, 0
        else:
            unknown += track is None
        if track_id in extends:
            raise ProtocolError("two tracks of one id", source="ISO 14496-12 §8.3.2")
        if track is not None:
            tracks.append(track)
        if track_id:
            default = defaults.pop(track_id, TrackExtends())
            extends[track_id] = attrs.evolve(default, shift=shift)
    if damage and not tracks:
        raise damage[0]
    if damage:
        # A damaged track may not have told its id, and its fragments come all the same.
        extends |= defaults
    is_fragmented = moov.first(b"mvex") is not None
    return Movie(tuple(tracks), extends, is_fragmented, unknown, len(damage))


def _decode_track(
    track_id: int, box: Box, movie_timescale: int, limits: Limits
) -> tuple[Mp4Track | None, int]:
    """Return a track (None if its codec is not known) and what its edit list shifts."""
    timescale, language = _decode_media_header(_payload(box, b"mdia", b"mdhd"))
    entry = _decode_sample_description(
        _payload(box, b"mdia", b"minf", b"stbl", b"stsd"), limits
    )
    edits = box.first(b"edts", b"elst")
    shift = 0
    if edits is not None:
        shift = _decode_edit_list(edits.payload, timescale, movie_timescale)
    track = None if entry is None else _track(track_id, timescale, language, entry)
    return track, shift


def _track(
    track_id: int, timescale: int, language: str, entry: SampleEntry
) -> Mp4Track:
    return Mp4Track(
        track_id=track_id,
        codec=entry.codec,
        timescale=timescale,
        configuration=entry.configuration,
        width=entry.width,
        height=entry.height,
        sample_rate=entry.sample_rate,
        channels=entry.channels,
        language=language,
        sample_entry=entry.code,
        colour=entry.colour,
        pixel_aspect=entry.pixel_aspect,
        bit_rate=entry.bit_rate,
    )


def _payload(box: Box, *path: bytes) -> bytes:
    found = box.first(*path)
    if found is None:
        raise ProtocolError(f"no {path[-1].decode()}", source=_SOURCE)
    return found.payload


def _decode_movie_timescale(body: bytes) -> int:
    reader = Reader(body, source="ISO 14496-12 §8.2.2")
    reader.skip(16 if reader.u32() >> 24 == 1 else 8)
    return reader.u32()


def _decode_track_id(body: bytes) -> int:
    reader = Reader(body, source="ISO 14496-12 §8.3.2")
    reader.skip(16 if reader.u32() >> 24 == 1 else 8)
    track_id = reader.u32()
    if not track_id:
        raise ProtocolError("a track id of 0", source="ISO 14496-12 §8.3.2")
    return track_id


def _decode_media_header(body: bytes) -> tuple[int, str]:
    reader = Reader(body, source="ISO 14496-12 §8.4.2")
    version = reader.u32() >> 24
    reader.skip(16 if version == 1 else 8)
    timescale = reader.u32()
    reader.skip(8 if version == 1 else 4)
    if not timescale:
        raise ProtocolError("a timescale of 0", source="ISO 14496-12 §8.4.2")
    return timescale, unpack_language(reader.u16())


def _decode_track_extends(body: bytes) -> tuple[int, TrackExtends]:
    reader = Reader(body, source="ISO 14496-12 §8.8.3")
    reader.skip(4)
    track_id = reader.u32()
    reader.skip(4)
    return track_id, TrackExtends(reader.u32(), reader.u32(), reader.u32())


def _decode_sample_description(body: bytes, limits: Limits) -> SampleEntry | None:
    reader = Reader(body, source="ISO 14496-12 §8.5.2")
    version = reader.u32() >> 24
    reader.skip(4)
    for box in decode_boxes(reader.rest(), limits, containers=()):
        return decode_sample_entry(box.kind, box.payload, limits, stsd_version=version)
    return None


def _decode_edit_list(body: bytes, timescale: int, movie_timescale: int) -> int:
    # Empty edits delay the track, the first real one says which media time plays at
    # its start; what comes after has no meaning for a live stream.
    reader = Reader(body, source="ISO 14496-12 §8.6.6")
    wide = reader.u32() >> 24 == 1
    shift = 0
    for _ in range(reader.u32()):
        duration = reader.u64() if wide else reader.u32()
        media_time = reader.u64() if wide else reader.u32()
        reader.skip(4)
        if media_time != (1 << (64 if wide else 32)) - 1:
            return shift - media_time
        shift += duration * timescale // (movie_timescale or timescale)
    return shift
