"""Boxes: the one structure that everything in ISO base media files is made of.

Source: ISO 14496-12 §4.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError

from .limits import Limits

__all__ = [
    "CONTAINERS",
    "Box",
    "BoxHeader",
    "decode_box_header",
    "decode_boxes",
    "encode_box",
    "encode_full_box",
]

_HEADER = struct.Struct(">I4s")
_SOURCE = "ISO 14496-12 §4.2"

CONTAINERS = frozenset(
    {
        b"moov",
        b"trak",
        b"edts",
        b"mdia",
        b"minf",
        b"dinf",
        b"stbl",
        b"mvex",
        b"moof",
        b"traf",
        b"mfra",
    }
)
"""Kinds whose payload is nothing but boxes."""


@attrs.frozen
class Box:
    """One box: ``payload`` for a leaf, ``children`` for one of `CONTAINERS`."""

    kind: bytes
    """Four-character code."""
    payload: bytes = b""
    """Octets after the header; empty for a container that is not damaged."""
    children: tuple[Box, ...] = ()
    """Boxes inside a container, in order."""

    def first(self, *path: bytes) -> Box | None:
        """Return the first descendant along ``path`` (kinds), or None."""
        found: Box | None = self
        for kind in path:
            if found is None:
                return None
            found = next((box for box in found.children if box.kind == kind), None)
        return found

    def every(self, kind: bytes) -> list[Box]:
        """Return the direct children of one kind, in order."""
        return [box for box in self.children if box.kind == kind]

    def encode(self) -> bytes:
        """Return the wire form, with a 32-bit size."""
        if self.children:
            return encode_box(self.kind, *(child.encode() for child in self.children))
        return encode_box(self.kind, self.payload)


def encode_box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box of ``kind`` around the parts put together.

    Source: ISO 14496-12 §4.2.
    Raises: UsageError if the kind is not four octets or the box passes 4 GiB.
    """
    size = 8 + sum(map(len, parts))
    if size >> 32 or len(kind) != 4:
        raise UsageError(f"no box {kind!r} of {size} octets")
    return b"".join((_HEADER.pack(size, kind), *parts))


def encode_full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Return a box that begins with a version (8 bits) and flags (24 bits).

    Source: ISO 14496-12 §4.2.
    Raises: UsageError if the kind is not four octets, the box passes 4 GiB, or the
        flags do not fit.
    """
    if version >> 8 or flags >> 24:
        raise UsageError(f"no version {version} or no flags {flags:#x}")
    return encode_box(kind, ((version << 24) | flags).to_bytes(4, "big"), *parts)


def decode_boxes(
    data: bytes,
    limits: Limits | None = None,
    *,
    containers: Iterable[bytes] = CONTAINERS,
    forgiving: Iterable[bytes] = (),
) -> tuple[Box, ...]:
    """Decode a run of whole boxes into a tree.

    Source: ISO 14496-12 §4.2.

    Args:
        data: Boxes one after the other; a size of 0 reaches to the end of ``data``.
        limits: Depth and number of boxes are judged; the default is `Limits()`.
        containers: Kinds to look into; all others stay opaque.
        forgiving: Containers that stay opaque too if what is in them is damaged.
    Raises: ProtocolError ``truncated``, ``malformed`` (a size below the header's) or
        ``limit``.
    """
    kinds = frozenset(containers), frozenset(forgiving)
    return _Walk(limits or Limits(), *kinds).boxes(data, 1)


class _Walk:
    __slots__ = ("_containers", "_forgiving", "_limits", "_seen")

    def __init__(
        self, limits: Limits, containers: frozenset[bytes], forgiving: frozenset[bytes]
    ) -> None:
        self._limits = limits
        self._containers = containers
        self._forgiving = forgiving
        self._seen = 0

    def boxes(self, data: bytes, depth: int) -> tuple[Box, ...]:
        if depth > self._limits.max_depth:
            raise ProtocolError("boxes nest too deep", code="limit", source=_SOURCE)
        reader = Reader(data, source=_SOURCE)
        found = []
        while reader.remaining:
            self._seen += 1
            if self._seen > self._limits.max_boxes:
                raise ProtocolError("too many boxes", code="limit", source=_SOURCE)
            kind, payload = _decode_one(reader)
            found.append(self._box(kind, payload, depth))
        return tuple(found)

    def _box(self, kind: bytes, payload: bytes, depth: int) -> Box:
        if kind not in self._containers:
            return Box(kind, payload)
        try:
            return Box(kind, children=self.boxes(payload, depth + 1))
        except ProtocolError as error:
            if kind not in self._forgiving or error.code == "limit":
                raise
            return Box(kind, payload)


def _decode_one(reader: Reader) -> tuple[bytes, bytes]:
    header = _decode_header(reader)
    if not header.size:
        return header.kind, reader.rest()
    return header.kind, reader.take(header.size - header.header_size)


@attrs.frozen
class BoxHeader:
    """Size and kind of a box whose payload may not be there yet."""

    kind: bytes
    """Four-character code."""
    size: int
    """Octets, header and all; 0 = to the end of the stream."""
    header_size: int
    """8 or 16 octets."""


def decode_box_header(data: bytes | bytearray) -> BoxHeader | None:
    """Decode the header at the start of ``data``; None if more octets are needed.

    Source: ISO 14496-12 §4.2.
    Raises: ProtocolError ``malformed`` for a size below the header's.
    """
    try:
        return _decode_header(Reader(bytes(data[:16]), source=_SOURCE))
    except ProtocolError as error:
        if error.code == "truncated":
            return None
        raise


def _decode_header(reader: Reader) -> BoxHeader:
    size = reader.u32()
    kind = reader.take(4)
    header_size = 8
    if size == 1:
        size = reader.u64()
        header_size = 16
        if not size:
            raise ProtocolError("a 64-bit size of 0", source=_SOURCE)
    if size and size < header_size:
        raise ProtocolError("a box smaller than its header", source=_SOURCE)
    return BoxHeader(kind, size, header_size)
