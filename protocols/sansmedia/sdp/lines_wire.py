"""The lines of a description.

Source: RFC 8866 §5.
"""

from __future__ import annotations

import re

from sansmedia.sansio import ProtocolError

from .limits import Limits

__all__ = ["decode_lines"]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")


def decode_lines(data: str | bytes, limits: Limits) -> list[tuple[str, str]]:
    """Cut a description into its lines: type letter and value.

    CRLF and bare LF end a line, trailing blanks and empty lines do not count.

    Raises:
        ProtocolError: ``limit`` if it is too long, ``malformed`` if it is no text or
            has a line without a type. Source: RFC 8866 §5.
    """
    if len(data) > limits.description_bytes:
        raise ProtocolError(
            f"description of {len(data)} octets, at most {limits.description_bytes}",
            code="limit",
        )
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError(
                "description is not UTF-8", source="RFC 8866 §5"
            ) from None
    rows = data.split("\n")
    if len(rows) > limits.lines + 1:
        raise ProtocolError(f"more than {limits.lines} lines", code="limit")
    lines: list[tuple[str, str]] = []
    for row in rows:
        text = row.rstrip("\r \t")
        if not text:
            continue
        if len(text) > limits.line_bytes:
            raise ProtocolError(
                f"line of {len(text)} octets, at most {limits.line_bytes}", code="limit"
            )
        if text[1:2] != "=" or not "a" <= text[0] <= "z" or _CONTROL.search(text):
            raise ProtocolError(
                f"line {len(lines) + 1} is not of the form x=value",
                source="RFC 8866 §5",
            )
        lines.append((text[0], text[2:].strip()))
    return lines
