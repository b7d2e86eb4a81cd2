"""Which files FFmpeg opens for an address; read from its sources, not from ours.

Source: FFmpeg libavformat/avio.c url_find_protocol, concat.c, teeproto.c, tee_common.c,
file.c, unix.c; libavutil/avstring.c av_get_token.
"""

from __future__ import annotations

import re

__all__ = ["INHERITED", "files_read", "files_written", "tee_parts"]

INHERITED = "\0"
"""Stands for what the server has open."""
_SCHEME = re.compile(r"[A-Za-z0-9+.-]*")
_PASS_ON = {"async", "cache", "crypto", "md5"}
"""They open what follows their name."""
_NESTING = {"crypto", "hls"}
"""They take a plus for the colon."""
_BLANKS = " \n\t\r"


def files_written(address: str) -> list[str]:
    """Return the paths of what is opened to be written."""
    if address == "-":
        return []
    name, rest = _protocol(address)
    if name == "tee":
        return [path for part in tee_parts(rest) for path in files_written(part)]
    if name in _PASS_ON:
        return files_written(rest)
    return _files(name, rest)


def files_read(address: str) -> list[str]:
    """Return the paths of what is opened to be read."""
    if address == "-":
        return []
    if address.startswith("subfile,") and ":" in address:
        return files_read(address.partition(":")[2])
    name, rest = _protocol(address)
    if name == "concat":
        parts = [part for part in rest.split("|") if part]
        return [path for part in parts for path in files_read(part)]
    if name in _PASS_ON or name in ("hls", "concatf"):
        return files_read(rest)
    return _files(name, rest)


def tee_parts(text: str) -> list[str]:
    """Return the addresses of a list for the tee muxer or the tee protocol."""
    parts = []
    while text:
        part, text = _token(text, "|")
        text = text[1:]
        if part.startswith("["):
            part = _behind_options(part)
        parts.append(part)
    return parts


def _behind_options(part: str) -> str:
    rest = part[1:]
    while rest[:1] not in ("]", ""):
        rest = rest.partition("=")[2]
        _, rest = _token(rest, ":]")
        rest = rest.removeprefix(":")
    return rest[1:]


def _protocol(address: str) -> tuple[str, str]:
    """Return the protocol's name, "file" for a plain path, and what it is given."""
    if address.startswith("file,"):
        return "", ""  # an error, as only "subfile" has options of this form
    match = _SCHEME.match(address)
    scheme = match[0] if match else ""
    if address[len(scheme) : len(scheme) + 1] != ":":
        return "file", address
    name, plus, _ = scheme.partition("+")
    if plus:
        return name if name in _NESTING else "", address[len(name) + 1 :]
    return name, address[len(scheme) + 1 :]


def _files(name: str, rest: str) -> list[str]:
    if name in ("file", "unix"):
        return [rest] if rest else []  # there is no file without a name
    return [INHERITED] if name in ("fd", "pipe") else []


def _token(text: str, ends: str) -> tuple[str, str]:
    """Return the first word without its quotes, and what follows it."""
    text = text.lstrip(_BLANKS)
    word = ""
    kept = 0
    while text and text[0] not in ends:
        char, text = text[0], text[1:]
        if char == "\\" and text:
            word, text = word + text[0], text[1:]
            kept = len(word)
        elif char == "'":
            quoted, _, text = text.partition("'")
            word += quoted
            kept = len(word)
        else:
            word += char
    return word[:kept] + word[kept:].rstrip(_BLANKS), text
