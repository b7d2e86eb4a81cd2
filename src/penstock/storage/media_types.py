"""Media types of files by the end of their name, and which of them to compress."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = [
    "DEFAULT_TYPE",
    "GZIP_MIN_BYTES",
    "MEDIA_TYPES",
    "accepts_gzip",
    "decode_media_types",
    "is_compressible",
    "media_type",
]

DEFAULT_TYPE = "application/octet-stream"

MEDIA_TYPES: Mapping[str, str] = {
    ".aac": "audio/aac",
    ".css": "text/css",
    ".gif": "image/gif",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".mpd": "application/dash+xml",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "video/MP2T",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "text/xml",
}

GZIP_MIN_BYTES = 1000
"""Below this the headers outweigh what is saved."""

_COMPRESSIBLE = {
    "application/json",
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "image/svg+xml",
    "text/html",
    "text/javascript",
    "text/plain",
}

_CODING = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def decode_media_types(text: str) -> dict[str, str]:
    """Return a ``mime.types`` file as suffix (``.ts``) to type; ``#`` is a comment.

    Args:
        text: Lines of a type and its suffixes, without dots; a later one wins.
    """
    types = {}
    for line in text.splitlines():
        kind, *suffixes = line.partition("#")[0].rstrip(";").split() or [""]
        for suffix in suffixes:
            types[f".{suffix.lower().removeprefix('.')}"] = kind
    return types


def media_type(
    name: str,
    types: Mapping[str, str] = MEDIA_TYPES,
    default: str = DEFAULT_TYPE,
) -> str:
    """Return the media type of a file by what follows the last dot of its last part."""
    last = name.rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    return types.get(f".{suffix.lower()}", default) if dot and stem else default


def is_compressible(content_type: str, size: int) -> bool:
    """Tell whether gzip makes sense for content of this type and number of bytes."""
    kind = content_type.partition(";")[0].strip().lower()
    return size >= GZIP_MIN_BYTES and kind in _COMPRESSIBLE


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Tell whether a client takes gzip, by its ``Accept-Encoding``.

    ``*`` alone does not count: it comes from probes rather than from what unpacks.
    An item that cannot be read is skipped.

    Source: RFC 9110 §12.5.3, §12.4.2.
    """
    for item in (accept_encoding or "").split(","):
        found = _CODING.fullmatch(item.strip(" \t"))
        if found is not None and found[1].lower() in ("gzip", "x-gzip"):
            return found[2] is None or float(found[2]) > 0
    return False
