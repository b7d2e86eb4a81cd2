"""Initialisation segments: ``ftyp`` and ``moov``, and their MIME type.

Source: ISO 14496-12 §8.2 to §8.8, ISO 23000-19 §7.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import attrs

from sansmedia.codecs import AudioParameters, Codec, VideoParameters, parameters
from sansmedia.sansio import UsageError

from .boxes import encode_box, encode_full_box
from .configurations import canonical_configuration
from .sample_entries import encode_sample_entry, mp3_object_type
from .tracks import Mp4Track, pack_language

__all__ = ["encode_init_segment", "mime_type"]

_IDENTITY = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_MOVIE_TIMESCALE = 1000


def encode_init_segment(tracks: Sequence[Mp4Track]) -> bytes:
    """Return ``ftyp`` and a ``moov`` without samples, for fragments to follow.

    There are no edit lists: all tracks share one zero. Brands are ``iso6``, and those
    of CMAF if there is one track, as CMAF has one track a file.

    Source: ISO 14496-12 §8.2 to §8.8, ISO 23000-19 §7.2, §7.3.

    Args:
        tracks: At least one, with different ids.
    Raises: UsageError for no tracks, equal ids, or a codec without a sample entry;
        ProtocolError for a configuration that must be read to be written and is
        damaged.
    """
    ids = [track.track_id for track in tracks]
    if not ids or len(set(ids)) != len(ids):
        raise UsageError("an initialisation segment needs tracks with different ids")
    tracks = [_complete(track) for track in tracks]
    brands = [b"iso6", b"mp41"]
    if len(tracks) == 1:
        brands += [b"cmfc", b"cmf2"]
    movie_header = encode_full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">4xIIIIH10x", 0, _MOVIE_TIMESCALE, 0, 1 << 16, 1 << 8),
        _IDENTITY,
        bytes(24),
        struct.pack(">I", min(max(ids) + 1, 0xFFFFFFFF)),
    )
    extends = (
        encode_full_box(b"trex", 0, 0, struct.pack(">5I", track_id, 1, 0, 0, 0))
        for track_id in ids
    )
    return encode_box(b"ftyp", brands[0], bytes(4), *brands) + encode_box(
        b"moov",
        movie_header,
        *map(_encode_track, tracks),
        encode_box(b"mvex", *extends),
    )


def mime_type(tracks: Sequence[Mp4Track]) -> str:
    """Return the type for HTTP and for Media Source Extensions.

    For example ``video/mp4; codecs="avc1.42c01f, mp4a.40.2"``.

    Source: RFC 6381 §3.3, RFC 4337 §3.

    Args:
        tracks: At least one.
    Raises: UsageError for no tracks or a codec that MP4 has no name for; ProtocolError
        for a damaged configuration.
    """
    if not tracks:
        raise UsageError("a MIME type needs tracks")
    main = "video" if any(track.codec.is_video for track in tracks) else "audio"
    names = ", ".join(_rfc6381(track) for track in tracks)
    return f'{main}/mp4; codecs="{names}"'


def _parameters(track: Mp4Track) -> VideoParameters | AudioParameters | None:
    configuration = canonical_configuration(track.codec, track.configuration)
    return parameters(track.codec, configuration)


# Names of codecs whose configuration may be empty, or is no part of the name.
_OTHER_NAMES = {
    Codec.VP8: "vp08.00.00.08",
    Codec.OPUS: "opus",
    Codec.AC3: "ac-3",
    Codec.EAC3: "ec-3",
}


def _rfc6381(track: Mp4Track) -> str:
    found = _parameters(track)
    if found is not None:
        name: str = found.rfc6381
        if track.codec in (Codec.H264, Codec.H265) and track.sample_entry:
            return track.sample_entry + name[4:]
        return name
    if track.codec is Codec.MP3:
        return f"mp4a.{mp3_object_type(track.sample_rate):02X}"
    if track.codec not in _OTHER_NAMES:
        raise UsageError(f"no MIME type for {track.codec.name} without configuration")
    return _OTHER_NAMES[track.codec]


def _complete(track: Mp4Track) -> Mp4Track:
    """Return the track with size, rate and channels out of its configuration."""
    is_complete = (
        track.width and track.height
        if track.codec.is_video
        else track.sample_rate and track.channels
    )
    if is_complete or not track.configuration:
        return track
    found = _parameters(track)
    if isinstance(found, VideoParameters):
        return attrs.evolve(
            track,
            width=track.width or found.width,
            height=track.height or found.height,
        )
    if isinstance(found, AudioParameters):
        return attrs.evolve(
            track,
            sample_rate=track.sample_rate or found.sample_rate,
            channels=track.channels or found.channels,
        )
    return track


def _encode_track(track: Mp4Track) -> bytes:
    is_video = track.codec.is_video
    header = encode_full_box(
        b"tkhd",
        0,
        3,  # track_enabled, track_in_movie
        struct.pack(">8xI20xH2x", track.track_id, 0 if is_video else 1 << 8),
        _IDENTITY,
        struct.pack(">II", *_presentation_size(track)),
    )
    media_header = encode_full_box(
        b"mdhd",
        0,
        0,
        struct.pack(
            ">IIIIHH", 0, 0, track.timescale, 0, pack_language(track.language), 0
        ),
    )
    handler = encode_full_box(
        b"hdlr", 0, 0, bytes(4), b"vide" if is_video else b"soun", bytes(12), b"\0"
    )
    if is_video:
        media_type = encode_full_box(b"vmhd", 0, 1, bytes(8))
    else:
        media_type = encode_full_box(b"smhd", 0, 0, bytes(4))
    data = encode_box(
        b"dinf",
        encode_full_box(b"dref", 0, 0, b"\0\0\0\1", encode_full_box(b"url ", 0, 1)),
    )
    table = encode_box(
        b"stbl",
        encode_full_box(b"stsd", 0, 0, b"\0\0\0\1", encode_sample_entry(track)),
        encode_full_box(b"stts", 0, 0, bytes(4)),
        encode_full_box(b"stsc", 0, 0, bytes(4)),
        encode_full_box(b"stsz", 0, 0, bytes(8)),
        encode_full_box(b"stco", 0, 0, bytes(4)),
    )
    media = encode_box(
        b"mdia", media_header, handler, encode_box(b"minf", media_type, data, table)
    )
    return encode_box(b"trak", header, media)


def _presentation_size(track: Mp4Track) -> tuple[int, int]:
    width = track.width
    if track.pixel_aspect is not None and track.pixel_aspect[1]:
        horizontal, vertical = track.pixel_aspect
        width = min(width * horizontal // vertical, 0xFFFF)
    return width << 16, track.height << 16
