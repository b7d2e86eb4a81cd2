"""What the enhanced audio and video headers share: ModEx and multitrack.

Source: E-RTMP v2 "Enhanced Audio", "Enhanced Video".
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

__all__ = [
    "TIMESTAMP_OFFSET_NANO",
    "AvMultitrackType",
    "ModEx",
    "Track",
    "decode_mod_ex",
    "decode_multitrack_type",
    "decode_tracks",
    "encode_mod_ex",
    "encode_tracks",
    "nanosecond_offset",
    "timestamp_offset_nano",
]

TIMESTAMP_OFFSET_NANO: Final = 0
"""The one ModEx type that is defined: nanoseconds on top of the timestamp."""

_MAX_MOD_EX: Final = 16
_MAX_TRACKS: Final = 256
_MAX_NANOSECONDS: Final = 999_999


class AvMultitrackType(enum.IntEnum):
    """How the tracks of one message share their header."""

    ONE_TRACK = 0
    MANY_TRACKS = 1
    MANY_TRACKS_MANY_CODECS = 2


@attrs.frozen
class ModEx:
    """One modifier before the packet; those of unknown type are kept and passed on."""

    type: int
    """4 bits; `TIMESTAMP_OFFSET_NANO` is the only one defined."""
    data: bytes
    """1 to 65,536 octets."""


@attrs.define
class Track:
    """One track's share of a message."""

    track_id: int
    codec: int
    data: bytes


def timestamp_offset_nano(nanoseconds: int) -> ModEx:
    """Return the modifier that adds 0 to 999,999 ns to the message's timestamp.

    Raises:
        UsageError: The offset is out of that range.
    """
    if not 0 <= nanoseconds <= _MAX_NANOSECONDS:
        raise UsageError(f"offset of {nanoseconds} ns is not below a millisecond")
    return ModEx(TIMESTAMP_OFFSET_NANO, nanoseconds.to_bytes(3, "big"))


def nanosecond_offset(mod_ex: Sequence[ModEx]) -> int:
    """Return the nanoseconds that the modifiers add to the timestamp; 0 for none.

    A modifier of fewer than three octets or over 999,999 ns says nothing and is passed
    over, as unknown ones are.
    """
    offset = 0
    for extension in mod_ex:
        if extension.type == TIMESTAMP_OFFSET_NANO and len(extension.data) >= 3:
            nanoseconds = int.from_bytes(extension.data[:3], "big")
            if nanoseconds <= _MAX_NANOSECONDS:
                offset = nanoseconds
    return offset


def decode_mod_ex(reader: Reader, marker: int) -> tuple[tuple[ModEx, ...], int]:
    """Decode modifiers while the packet type is ``marker``, and the type after them.

    Raises:
        ProtocolError: ``truncated``, or ``limit`` for more than 16.
    """
    extensions: list[ModEx] = []
    packet_type = marker
    while packet_type == marker:
        if len(extensions) == _MAX_MOD_EX:
            raise ProtocolError("more than 16 ModEx", code="limit")
        size = reader.u8() + 1
        if size == 256:
            size = reader.u16() + 1
        data = reader.take(size)
        octet = reader.u8()
        extensions.append(ModEx(octet >> 4, data))
        packet_type = octet & 0x0F
    return tuple(extensions), packet_type


def encode_mod_ex(
    writer: Writer, mod_ex: Sequence[ModEx], marker: int, packet_type: int
) -> None:
    """Append the modifiers, so that ``packet_type`` stands after the last.

    The octet before them bears ``marker`` in its low bits, or ``packet_type`` if there
    are none; the caller has written it.

    Raises:
        UsageError: A modifier without data or over 65,536 octets, or more than 16.
    """
    if len(mod_ex) > _MAX_MOD_EX:
        raise UsageError("more than 16 ModEx")
    for index, extension in enumerate(mod_ex):
        size = len(extension.data)
        if not 0 < size <= 0x10000:
            raise UsageError(f"ModEx of {size} octets")
        if size < 256:
            writer.u8(size - 1)
        else:
            writer.u8(255).u16(size - 1)
        following = packet_type if index == len(mod_ex) - 1 else marker
        writer.put(extension.data).u8(extension.type << 4 | following)


def decode_multitrack_type(octet: int, source: str) -> AvMultitrackType:
    """Return the multitrack type in the upper four bits of ``octet``.

    Raises:
        ProtocolError: ``unsupported`` for a reserved one.
    """
    if octet >> 4 > AvMultitrackType.MANY_TRACKS_MANY_CODECS:
        raise ProtocolError(
            f"multitrack type {octet >> 4}", code="unsupported", source=source
        )
    return AvMultitrackType(octet >> 4)


def decode_tracks(reader: Reader, multitrack: AvMultitrackType | None) -> list[Track]:
    """Decode FourCC, track id, size and data of each track up to the end.

    Raises:
        ProtocolError: ``truncated``, or ``limit`` for more than 256 tracks (a track id
            is one octet).
    """
    if multitrack is None:
        codec = reader.u32()
        return [Track(0, codec, reader.rest())]
    if multitrack is AvMultitrackType.ONE_TRACK:
        codec = reader.u32()
        track_id = reader.u8()
        return [Track(track_id, codec, reader.rest())]
    shared = 0
    if multitrack is AvMultitrackType.MANY_TRACKS:
        shared = reader.u32()
    tracks: list[Track] = []
    while reader.remaining or not tracks:
        if len(tracks) == _MAX_TRACKS:
            raise ProtocolError("more than 256 tracks", code="limit")
        codec = shared
        if multitrack is AvMultitrackType.MANY_TRACKS_MANY_CODECS:
            codec = reader.u32()
        track_id = reader.u8()
        tracks.append(Track(track_id, codec, reader.take(reader.u24())))
    return tracks


def encode_tracks(
    writer: Writer, tracks: Sequence[Track], multitrack: AvMultitrackType | None
) -> None:
    """Append what `decode_tracks` reads.

    Raises:
        UsageError: The tracks do not fit the multitrack type.
    """
    many = multitrack is not None and multitrack is not AvMultitrackType.ONE_TRACK
    if not tracks or (len(tracks) > 1 and not many):
        raise UsageError(f"{len(tracks)} tracks in a message for one")
    if multitrack is not AvMultitrackType.MANY_TRACKS_MANY_CODECS:
        writer.u32(tracks[0].codec)
    for track in tracks:
        if multitrack is AvMultitrackType.MANY_TRACKS_MANY_CODECS:
            writer.u32(track.codec)
        elif track.codec != tracks[0].codec:
            raise UsageError("several codecs in a message for one")
        if multitrack is not None:
            writer.u8(track.track_id)
        elif track.track_id:
            raise UsageError("a track id needs a multitrack message")
        if many:
            writer.u24(len(track.data))
        writer.put(track.data)
