"""Stream identifiers: the convention ``#!::r=name,m=publish``, read and written.

A caller tells with it what it wants; a listener decides by it. An identifier that does
not begin with ``#!`` is free text. Source: SRT draft-01 appendix B, libsrt
access-control.md §Standard Keys.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, UsageError

__all__ = [
    "MAX_STREAM_ID_SIZE",
    "AccessMode",
    "AccessRequest",
    "decode_stream_id",
    "encode_stream_id",
]

MAX_STREAM_ID_SIZE: Final = 512
"""Octets of UTF-8 (SRT draft-01 §3.2.1.3)."""
_SOURCE: Final = "libsrt access-control.md §General Syntax"
_FIELDS: Final = {
    "r": "resource",
    "m": "mode",
    "h": "host",
    "u": "user",
    "s": "session",
    "t": "type",
}
_MODES: Final = {"request", "publish", "bidirectional"}


class AccessMode(enum.Enum):
    """What the caller is going to do."""

    REQUEST = "request"
    """Receive; also what no mode means."""
    PUBLISH = "publish"
    """Send."""
    BIDIRECTIONAL = "bidirectional"
    """Both."""


@attrs.frozen(kw_only=True)
class AccessRequest:
    """A stream identifier in the conventional form, taken apart."""

    resource: str = ""
    """``r``: the name of the stream or file."""
    mode: AccessMode = AccessMode.REQUEST
    """``m``."""
    host: str = ""
    """``h``: the name of the host that the caller means."""
    user: str = ""
    """``u``: who calls; which passphrase holds depends on it."""
    session: str = ""
    """``s``: a one-time name agreed on elsewhere."""
    type: str = "stream"
    """``t``: ``stream``, ``file``, ``auth`` or a program's own."""
    others: Mapping[str, str] = attrs.field(factory=dict)
    """Keys of programs' own, and reserved ones that were let in."""


def decode_stream_id(
    text: str, *, refuse_unknown: bool = False
) -> AccessRequest | None:
    """Take a stream identifier apart; None if it is free text.

    Args:
        text: As the caller sent it.
        refuse_unknown: Whether keys of one letter that the convention reserves are
            refused instead of kept in ``others``.

    Raises:
        ProtocolError: Code ``stream_id``: it begins as the convention has it and goes
            on otherwise; code ``unknown_key`` as asked for.
    """
    if not text.startswith("#!"):
        return None
    if text.startswith("#!:{"):
        pairs = _nested_pairs(text[4:])
    elif text.startswith("#!::"):
        pairs = _split_pairs(text[4:])
    else:
        raise ProtocolError(
            "the stream id has a syntax that nobody knows",
            code="stream_id",
            source=_SOURCE,
        )
    known: dict[str, str] = {}
    others: dict[str, str] = {}
    for key, value in pairs:
        if key in _FIELDS:
            known[_FIELDS[key]] = value
        elif refuse_unknown and len(key) == 1:
            raise ProtocolError(
                "the stream id has a reserved key", code="unknown_key", source=_SOURCE
            )
        else:
            others[key] = value
    mode = known.pop("mode", "request") or "request"
    if mode not in _MODES:
        raise ProtocolError(
            "the stream id has an unknown mode", code="stream_id", source=_SOURCE
        )
    if not known.get("type", "stream"):
        del known["type"]
    return AccessRequest(**known, mode=AccessMode(mode), others=others)


def _split_pairs(content: str) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for item in content.split(",") if content else ():
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise ProtocolError(
                "the stream id has an item that is no key=value",
                code="stream_id",
                source=_SOURCE,
            )
        if key in pairs:
            raise ProtocolError(
                "the stream id has a key twice", code="stream_id", source=_SOURCE
            )
        pairs[key] = value
    return list(pairs.items())


def _nested_pairs(content: str) -> list[tuple[str, str]]:
    """Read the form in braces; what is nested deeper is nobody's yet."""
    if not content.endswith("}") or "{" in content or "}" in content[:-1]:
        raise ProtocolError(
            "the stream id's block is not closed or nested",
            code="stream_id",
            source=_SOURCE,
        )
    return _split_pairs(content[:-1])


def encode_stream_id(request: AccessRequest) -> str:
    """Write a stream identifier, leaving out what has its usual value.

    Raises:
        UsageError: A value has a comma, which the form cannot carry, a key is none, or
            the whole is too long.
    """
    items = []
    if request.mode is not AccessMode.REQUEST:
        items.append(("m", request.mode.value))
    if request.type != "stream":
        items.append(("t", request.type))
    names = {"r": request.resource, "h": request.host}
    names |= {"u": request.user, "s": request.session}
    items += [(key, value) for key, value in names.items() if value]
    for key, value in request.others.items():
        if not key or key in _FIELDS or "=" in key or "," in key:
            raise UsageError(f"{key!r} is no key of a program's own")
        items.append((key, value))
    if any("," in value or "\0" in value for _, value in items):
        raise UsageError("a value of a stream id has no comma and no NUL")
    text = "#!::" + ",".join(f"{key}={value}" for key, value in items)
    if len(text.encode()) > MAX_STREAM_ID_SIZE:
        raise UsageError(f"a stream id has at most {MAX_STREAM_ID_SIZE} octets")
    return text
