"""The header fields that WHIP and WHEP use, beside ``Link``."""

from __future__ import annotations

import re
from email.utils import formatdate, parsedate_to_datetime

import attrs

from sansmedia.sansio import UsageError

from .http import Headers

__all__ = [
    "EntityTags",
    "decode_bearer",
    "decode_delay",
    "decode_entity_tags",
    "decode_http_date",
    "decode_media_type",
    "encode_entity_tag",
    "encode_http_date",
]

_BEARER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')
_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_SECONDS = re.compile(r"[0-9]{1,9}")


def decode_media_type(text: str | None) -> tuple[str, dict[str, str]]:
    """Decode ``type/subtype; name=value`` into lower case type and parameters.

    Source: RFC 9110 §8.3.1.
    """
    kind, semicolon, rest = (text or "").partition(";")
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(semicolon + rest):
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        parameters.setdefault(name.lower(), value.strip())
    return kind.strip().lower(), parameters


def decode_bearer(headers: Headers) -> str | None:
    """Return the token of ``Authorization: Bearer``, or None.

    Source: RFC 6750 §2.1.
    """
    match = _BEARER.fullmatch(headers.get("authorization") or "")
    return match[1] if match else None


@attrs.frozen
class EntityTags:
    """What ``If-Match`` asks for."""

    any: bool = False
    """``*``."""
    tags: frozenset[str] = frozenset()
    """Opaque tags without quotes; weak ones match nothing and are left out."""

    def match(self, etag: str | None) -> bool:
        """Compare strongly. Source: RFC 9110 §8.8.3.2, §13.1.1."""
        return self.any or (etag is not None and etag in self.tags)


def decode_entity_tags(headers: Headers) -> EntityTags | None:
    """Return what ``If-Match`` asks for, or None if it is missing.

    Source: RFC 9110 §13.1.1.
    """
    text = headers.joined("if-match")
    if text is None:
        # DEVIATION(whip-web-client): it sends the tag back in an ETag of its own.
        text = headers.joined("etag")
    if text is None:
        return None
    # DEVIATION(quoted-star): the example of RFC 9725 §4.3.3 has quotes around the star.
    if text.strip() in ("*", '"*"'):
        return EntityTags(any=True)
    return EntityTags(
        tags=frozenset(tag for weak, tag in _ENTITY_TAG.findall(text) if not weak)
    )


def encode_entity_tag(tag: str) -> str:
    """Encode a strong entity-tag.

    Raises:
        UsageError: The tag is empty, a star, or has a character that no tag has.

    Source: RFC 9110 §8.8.3.
    """
    if tag == "*" or not re.fullmatch(r"[!#-~]+", tag):
        raise UsageError(f"{tag!r} is no entity-tag")
    return f'"{tag}"'


def encode_http_date(unix_time: int) -> str:
    """Encode seconds since 1970 as an HTTP-date. Source: RFC 9110 §5.6.7."""
    return formatdate(unix_time, usegmt=True)


def decode_http_date(text: str | None) -> float | None:
    """Decode an HTTP-date into seconds since 1970; None if it is none.

    Source: RFC 9110 §5.6.7.
    """
    if not text or len(text) > 100:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def decode_delay(text: str | None, headers: Headers) -> float | None:
    """Decode a moment to come, in seconds from now; None if there is none.

    Args:
        text: Seconds, or an HTTP-date.
        headers: Of the response: a date counts from its ``Date``, as clocks differ.

    Source: RFC 9110 §10.2.3.
    """
    if text is None:
        return None
    # Only what HTTP calls white space: str.strip() takes controls that float() refuses.
    if _SECONDS.fullmatch(seconds := text.strip(" \t")):
        return float(seconds)
    then, sent = decode_http_date(text), decode_http_date(headers.get("date"))
    if then is None or sent is None:
        return None
    return max(0.0, then - sent)
