"""What HTTP says about one request for one file: conditions and ranges. All pure."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from .file_system import FileInfo
from .http_dates import decode_http_date, encode_http_date

__all__ = [
    "Answer",
    "ByteRange",
    "Conditions",
    "RangeUnsatisfiable",
    "decode_range",
    "file_headers",
    "judge_change",
    "judge_read",
    "weaken",
]

_LISTED_TAG = re.compile(
    r'[ \t]*(?:((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|\Z)'
)
_ONE_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_RANGE_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
_MANY_DIGITS = 18
"""More than a file's size has; turning a million digits into a number takes seconds."""


@attrs.frozen
class ByteRange:
    """A part of a file: from ``start`` up to but without ``stop``, never empty."""

    start: int
    stop: int

    def content_range(self, size: int) -> str:
        """Return the value of ``Content-Range``.

        Source: RFC 9110 §14.4.
        """
        return f"bytes {self.start}-{self.stop - 1}/{size}"


class RangeUnsatisfiable(Exception):
    """Nothing of the range is in the file."""


@attrs.frozen
class Conditions:
    """The header fields that a decision depends on; None where one is missing."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None
    range: str | None = None

    @classmethod
    def of(cls, header: Callable[[str], str | None]) -> Conditions:
        """Take them from a request.

        Args:
            header: Returns the value of a field, several lines joined with commas.
        """
        return cls(
            header("If-Match"),
            header("If-None-Match"),
            header("If-Modified-Since"),
            header("If-Unmodified-Since"),
            header("If-Range"),
            header("Range"),
        )


@attrs.frozen
class Answer:
    """How to answer a GET or HEAD for a file that is there."""

    status: int
    """200, 206, 304, 412 or 416."""
    part: ByteRange | None = None
    """With 206 alone."""


def judge_read(
    method: str, conditions: Conditions, info: FileInfo, now: float
) -> Answer:
    """Decide on a GET or HEAD.

    Args:
        method: A HEAD is never answered in parts.
        conditions: Of the request.
        info: The version that has been opened for it.
        now: Unix seconds.

    Source: RFC 9110 §13.2.2.
    """
    if not _may_proceed(conditions, info, now):
        return Answer(412)
    if conditions.if_none_match is not None:
        if _is_listed(conditions.if_none_match, info, strong=False):
            return Answer(304)
    elif conditions.if_modified_since is not None:
        since = decode_http_date(conditions.if_modified_since, now)
        if since is not None and int(info.modified_at // 1) <= since:
            return Answer(304)
    if method != "GET" or conditions.range is None:
        return Answer(200)
    if conditions.if_range is not None and not _is_same(conditions.if_range, info, now):
        return Answer(200)
    try:
        part = decode_range(conditions.range, info.size)
    except RangeUnsatisfiable:
        return Answer(416)
    return Answer(200) if part is None else Answer(206, part)


def judge_change(
    conditions: Conditions, current: FileInfo | None, now: float
) -> int | None:
    """Decide on a PUT, POST or DELETE: return None to go on, or the status 412.

    Args:
        conditions: Of the request.
        current: The file that is there now.
        now: Unix seconds.

    Source: RFC 9110 §13.2.2.
    """
    if not _may_proceed(conditions, current, now):
        return 412
    if_none_match = conditions.if_none_match
    if if_none_match is not None and _is_listed(if_none_match, current, strong=False):
        return 412
    return None


def _may_proceed(conditions: Conditions, info: FileInfo | None, now: float) -> bool:
    """Tell whether If-Match or, without it, If-Unmodified-Since lets the request go on.

    Source: RFC 9110 §13.1.1, §13.1.4.
    """
    if conditions.if_match is not None:
        return _is_listed(conditions.if_match, info, strong=True)
    if conditions.if_unmodified_since is not None and info is not None:
        since = decode_http_date(conditions.if_unmodified_since, now)
        return since is None or int(info.modified_at // 1) <= since
    return True


def _is_listed(value: str, info: FileInfo | None, *, strong: bool) -> bool:
    """Tell whether a file is among the tags of a list.

    Source: RFC 9110 §8.8.3.2, §13.1.1 and §13.1.2.
    """
    if info is None:
        return False
    if value.strip(" \t") == "*":
        return True
    position = 0
    while position < len(value):
        found = _LISTED_TAG.match(value, position)
        # What follows something that is no tag cannot be told apart from it.
        if found is None:
            return False
        if found[1] is not None and _tags_match(found[1], info.etag, strong=strong):
            return True
        position = found.end()
    return False


def _tags_match(one: str, other: str, *, strong: bool) -> bool:
    if strong:
        return one == other and not one.startswith("W/")
    return one.removeprefix("W/") == other.removeprefix("W/")


def _is_same(if_range: str, info: FileInfo, now: float) -> bool:
    """Tell whether a part may be put to what the client has.

    A date is good enough only if the file cannot have changed twice in its second.

    Source: RFC 9110 §13.1.5, §8.8.2.2.
    """
    if_range = if_range.strip(" \t")
    if _ONE_TAG.fullmatch(if_range):
        return _tags_match(if_range, info.etag, strong=True)
    since = decode_http_date(if_range, now)
    return since == int(info.modified_at // 1) and now - info.modified_at >= 1.0


def decode_range(value: str, size: int) -> ByteRange | None:
    """Return the part that a ``Range`` field asks for; None for the whole file.

    Whole is the answer to another unit, to what is not a range, and to several ranges:
    a server may always ignore the field, and ``multipart/byteranges`` of many small
    overlapping ranges is an old way to exhaust one (RFC 9110 §17.15).

    Args:
        value: Like ``bytes=0-499``, ``bytes=500-`` or ``bytes=-500``.
        size: Of the file in bytes.

    Raises:
        RangeUnsatisfiable: The range begins behind the end or is a suffix of no bytes.

    Source: RFC 9110 §14.1.2, §14.2.
    """
    unit, equals, ranges = value.partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    specs = [spec for part in ranges.split(",") if (spec := part.strip(" \t"))]
    if len(specs) != 1 or (found := _RANGE_SPEC.fullmatch(specs[0])) is None:
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        length = _number(last)
        if not length:
            raise RangeUnsatisfiable
        # An empty file has a suffix, but no Content-Range can say so.
        return ByteRange(max(size - length, 0), size) if size else None
    start = _number(first)
    stop = _number(last) + 1 if last else size
    if last and stop <= start:
        return None
    if start >= size:
        raise RangeUnsatisfiable
    return ByteRange(start, min(stop, size))


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return 10**_MANY_DIGITS if len(digits) > _MANY_DIGITS else int(digits or "0")


def weaken(etag: str) -> str:
    """Return the tag of the same content in another coding, such as gzip.

    Source: RFC 9110 §8.8.1, §8.8.3.3.
    """
    return etag if etag.startswith("W/") else f"W/{etag}"


def file_headers(
    answer: Answer,
    info: FileInfo,
    content_type: str,
    *,
    max_age: int | None = None,
    private: bool = False,
) -> list[tuple[str, str]]:
    """Return the header fields of an answer to GET or HEAD, all but Content-Encoding.

    Args:
        answer: Of `judge_read`. For 412 and 416 the body is the caller's.
        info: Of the version that is sent.
        content_type: Its media type.
        max_age: Seconds that a cache may use it unasked; None lets it guess.
        private: Only the client's own cache may keep it, for answers made for one.

    Source: RFC 9110 §15.4.5 and §15.5.17: what a 304 and a 416 carry.
    """
    if answer.status == 416:
        return [("Content-Range", f"bytes */{info.size}"), ("Accept-Ranges", "bytes")]
    if answer.status == 412:
        return []
    headers = [
        ("ETag", info.etag),
        ("Last-Modified", encode_http_date(info.modified_at)),
    ]
    directives = ["private"] if private else []
    if max_age is not None:
        directives.append(f"max-age={max_age}")
    if directives:
        headers.append(("Cache-Control", ", ".join(directives)))
    if answer.status == 304:
        return headers
    length = info.size
    if answer.part is not None:
        length = answer.part.stop - answer.part.start
        headers.append(("Content-Range", answer.part.content_range(info.size)))
    return [
        ("Content-Type", content_type),
        ("Content-Length", str(length)),
        ("Accept-Ranges", "bytes"),
        *headers,
    ]
