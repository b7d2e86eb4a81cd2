"""The FLV file: header and tags, written and found again in damaged streams.

Source: "Adobe Flash Video File Format Specification, Version 10.1", cited as FLV 10.1.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

import attrs

from sansmedia.sansio import UsageError

from .resync import TagSearch

__all__ = [
    "DemuxerStatistics",
    "FlvDemuxer",
    "Header",
    "Limits",
    "Tag",
    "TagType",
    "encode_header",
    "encode_tag",
]


class TagType(enum.IntEnum):
    """What a tag's body is. Source: FLV 10.1 §E.4.1, E-RTMP v2 "Enabling AMF3"."""

    AUDIO = 8
    VIDEO = 9
    SCRIPT_AMF3 = 15
    """Script data as in an RTMP AMF3 data message, first octet 0x00 included."""
    SCRIPT = 18


@attrs.define
class Tag:
    """One tag; `audio`, `video` and AMF read its body."""

    type: TagType
    timestamp_ms: int
    """Unsigned 32 bits, wraps."""
    body: bytes


@attrs.frozen
class Header:
    """The file header. Source: FLV 10.1 §E.2."""

    has_audio: bool
    has_video: bool
    version: int = 1


@attrs.frozen
class Limits:
    """What one stream of tags may cost."""

    tag_bytes: int = 8 << 20
    """Octets of one tag's body; a larger one is damage. The format ends at 16 MB."""
    header_bytes: int = attrs.field(default=1024, validator=attrs.validators.ge(9))
    """Octets of the file header; 9 in every file there is."""


@attrs.frozen
class DemuxerStatistics:
    """Counters of an `FlvDemuxer`."""

    tags: int
    bytes: int
    """Octets fed."""
    skipped_bytes: int
    """Octets passed over in search of a tag."""
    resynchronisations: int
    """Times that a search was needed."""
    wrong_previous_sizes: int
    """Tags followed by another size than theirs; they count as sound."""
    encrypted_tags: int
    """Tags with the filter bit, dropped."""


# FLV 10.1 §E.4.1:   type     size      timestamp ext stream id
#                   +----+----+----+----+----+----+----+----+----+----+----+
#                   | 5+3|     24      |      24      |  8 |     always 0   |
#                   +----+----+----+----+----+----+----+----+----+----+----+
_TAG: Final = struct.Struct(">II3x")
_U32: Final = struct.Struct(">I")
_TAG_SIZE: Final = 11
_FILTER: Final = 0x20
_TYPES: Final = {int(kind): kind for kind in TagType}
_HEADER_SIZE: Final = 9


def encode_header(has_audio: bool, has_video: bool) -> bytes:
    """Return the file header with the first previous-tag size: 13 octets.

    Args:
        has_audio: Whether audio tags will come; players wait for what is promised.
        has_video: Whether video tags will come.

    Source: FLV 10.1 §E.2, FLV 10.1 §E.3.
    """
    flags = 4 * has_audio | has_video
    return b"FLV\x01" + bytes((flags,)) + b"\x00\x00\x00\x09\x00\x00\x00\x00"


def encode_tag(kind: TagType, timestamp_ms: int, body: bytes) -> bytes:
    """Return a tag with the previous-tag size that follows it.

    Args:
        kind: What the body is.
        timestamp_ms: Wrapped to 32 bits.
        body: Up to 16,777,215 octets.

    Raises:
        UsageError: The body is larger.

    Source: FLV 10.1 §E.3, FLV 10.1 §E.4.1.
    """
    size = len(body)
    if size > 0xFFFFFF:
        raise UsageError(f"a tag of {size} octets")
    time = (timestamp_ms & 0xFFFFFF) << 8 | timestamp_ms >> 24 & 0xFF
    # One join copies the body once; "+" would copy it twice.
    return b"".join(
        (_TAG.pack(kind << 24 | size, time), body, _U32.pack(size + _TAG_SIZE))
    )


class FlvDemuxer:
    """Cuts an FLV byte stream, in any segmentation, into tags.

    Damage never raises: bytes that are no tag are passed over and counted until a
    header stands there that can be one and its size is found again behind its body. A
    file header amid the stream (files put end to end) is taken as one. ::

        demuxer = FlvDemuxer()
        for chunk in chunks:
            for tag in demuxer.feed(chunk):
                ...
    """

    __slots__ = (
        "_buffer",
        "_bytes",
        "_encrypted",
        "_header",
        "_limits",
        "_resynchronisations",
        "_search",
        "_skipped",
        "_tags",
        "_wrong_sizes",
    )

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._header: Header | None = None
        self._search: TagSearch | None = None
        self._tags = 0
        self._bytes = 0
        self._skipped = 0
        self._resynchronisations = 0
        self._wrong_sizes = 0
        self._encrypted = 0

    @property
    def header(self) -> Header | None:
        """The last file header, or None while none has come."""
        return self._header

    @property
    def pending_bytes(self) -> int:
        """Octets held until a tag is whole: about one tag at most."""
        return len(self._buffer)

    def statistics(self) -> DemuxerStatistics:
        """Return the counters."""
        return DemuxerStatistics(
            tags=self._tags,
            bytes=self._bytes,
            skipped_bytes=self._skipped,
            resynchronisations=self._resynchronisations,
            wrong_previous_sizes=self._wrong_sizes,
            encrypted_tags=self._encrypted,
        )

    def feed(self, data: bytes) -> list[Tag]:
        """Take the next bytes; return the tags that they complete.

        A tag counts as complete with the previous-tag size behind it.
        """
        self._bytes += len(data)
        self._buffer += data
        tags: list[Tag] = []
        position = 0
        while True:
            search = self._search
            if search is None:
                following = self._step(position, tags)
                if following == position and self._search is None:
                    break
                position = following
            else:
                # The search counts from the buffer's beginning.
                del self._buffer[:position]
                position, found = search.advance(self._buffer)
                self._skipped += position
                if not found:
                    break
                self._search = None
        del self._buffer[:position]
        self._tags += len(tags)
        return tags

    def _step(self, position: int, tags: list[Tag]) -> int:
        """Take one tag or header; stay if more bytes are needed or damage is met."""
        buffer = self._buffer
        if len(buffer) - position < _TAG_SIZE:
            return position
        if buffer[position] == 0x46 and buffer[position : position + 3] == b"FLV":
            return self._file_header(position)
        kind, size, whole = self._tag_at(position)
        if kind is None:
            return self._damaged(position)
        if not whole:
            return position
        end = position + _TAG_SIZE + size + 4
        if _U32.unpack_from(buffer, end - 4)[0] != size + _TAG_SIZE:
            # Some writers err here always; damage shows in what comes next.
            if len(buffer) - end < _TAG_SIZE:
                return position
            if self._tag_at(end)[0] is None and buffer[end : end + 3] != b"FLV":
                return self._damaged(position)
            self._wrong_sizes += 1
        self._take(position, kind, size, tags)
        return end

    def _damaged(self, position: int) -> int:
        self._search = TagSearch(self._end_of_tag)
        self._resynchronisations += 1
        return position

    def _end_of_tag(self, position: int) -> int | None:
        kind, size, _ = self._tag_at(position)
        return None if kind is None else position + _TAG_SIZE + size + 4

    def _tag_at(self, position: int) -> tuple[TagType | None, int, bool]:
        """Judge the 11 octets at ``position``: type (None: no tag), size, all there."""
        buffer = self._buffer
        first, _ = _TAG.unpack_from(buffer, position)
        size = first & 0xFFFFFF
        kind = _TYPES.get(first >> 24 & ~_FILTER)
        stream_id = buffer[position + 8 : position + _TAG_SIZE]
        if size > self._limits.tag_bytes or stream_id != b"\x00\x00\x00":
            kind = None
        return kind, size, len(buffer) - position >= _TAG_SIZE + size + 4

    def _take(self, position: int, kind: TagType, size: int, tags: list[Tag]) -> None:
        first, time = _TAG.unpack_from(self._buffer, position)
        if first >> 24 & _FILTER:
            self._encrypted += 1
            return
        start = position + _TAG_SIZE
        with memoryview(self._buffer) as view:
            body = bytes(view[start : start + size])
        tags.append(Tag(kind, time >> 8 | (time & 0xFF) << 24, body))

    def _file_header(self, position: int) -> int:
        buffer = self._buffer
        offset: int = _U32.unpack_from(buffer, position + 5)[0]
        if not _HEADER_SIZE <= offset <= self._limits.header_bytes:
            return self._damaged(position)
        if len(buffer) - position < offset + 4:
            return position
        flags = buffer[position + 4]
        self._header = Header(bool(flags & 4), bool(flags & 1), buffer[position + 3])
        return position + offset + 4
