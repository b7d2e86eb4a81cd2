r"""The list that FFmpeg's tee muxer takes: ``[f=flv:key=value]address|address``.

Read as FFmpeg reads it, quotes and backslashes included: to the muxer ``\/etc/x`` and
``'/etc/x'`` are ``/etc/x``, whatever they look like to us.
Source: FFmpeg libavformat/tee.c, libavutil/avstring.c av_get_token.
"""

from __future__ import annotations

import attrs

__all__ = ["TeeError", "TeePart", "parse_tee", "read_token"]

_BLANKS = " \n\t\r"


class TeeError(ValueError):
    """A list that the muxer could not read either."""


@attrs.frozen
class TeePart:
    """One output of a list."""

    address: str
    options: tuple[tuple[str, str], ...] = ()


def parse_tee(text: str) -> tuple[TeePart, ...]:
    """Read a list.

    Raises:
        TeeError: If the options of a part do not end or lack a value.
    """
    parts = []
    at = 0
    while at < len(text):
        part, at = read_token(text, at, "|")
        parts.append(_parse_part(part))
        at += 1  # the bar
    return tuple(parts)


def read_token(text: str, at: int, ends: str) -> tuple[str, int]:
    """Read one word up to one of ``ends``; return it and where it stopped.

    A backslash takes the next character as it is, single quotes take all between them,
    blanks around the word vanish.
    """
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    found: list[str] = []
    kept = 0  # escaped and quoted blanks at the end stay
    while at < len(text) and text[at] not in ends:
        char = text[at]
        at += 1
        if char == "\\" and at < len(text):
            found.append(text[at])
            at += 1
            kept = len(found)
        elif char == "'":
            end = text.find("'", at)
            end = len(text) if end < 0 else end
            found += text[at:end]
            at = end + 1
            kept = len(found)
        else:
            found.append(char)
    while len(found) > kept and found[-1] in _BLANKS:
        found.pop()
    return "".join(found), min(at, len(text))


def _parse_part(text: str) -> TeePart:
    if not text.startswith("["):
        return TeePart(text)
    options = []
    at = 1
    while at < len(text) and text[at] != "]":
        equals = text.find("=", at)
        if equals < 0:
            raise TeeError("an option of a tee list has no value")
        key = text[at:equals].strip(_BLANKS)
        value, at = read_token(text, equals + 1, ":]")
        options.append((key, value))
        if text[at : at + 1] == ":":
            at += 1
    if at >= len(text):
        raise TeeError("the options of a tee list are not closed")
    return TeePart(text[at + 1 :], tuple(options))
