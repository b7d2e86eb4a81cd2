"""Texts and command lines of jobs without the secrets that stand in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from penstock.log import mask_query, mask_url

__all__ = ["masked", "masked_words"]

_MASK = "***"
_RTMP = re.compile(r"rtmps?://[^\s'\"|]+")
_STREAM_ID = re.compile(r"(?<=[?&]streamid=)[^&#\s]+")
_OWN_STREAM_ID = re.compile(r"([^,;=%?&#|\s]+,mode:(?:publish|request))(,token:.+)?")
"""Those of other shapes may hold a password in any place."""
_REMEMBERED = 4_096
"""Commands: pages ask every second what jobs run, and most go on running the same."""
_HEADERS = ("-headers", "-http_proxy", "-rtmp_conn")


def masked(text: str, *, keys: bool = True) -> str:
    """Return a text without the passwords and tokens of its addresses.

    Args:
        text: A line of a log, or a word of a command.
        keys: Hide stream keys as well: the last part of RTMP addresses elsewhere.
    """
    # A list for the tee muxer: each part has a query of its own.
    parts = text.split("|") if text.startswith("[") else [text]
    return "|".join(_masked(part, keys=keys) for part in parts)


def _masked(text: str, *, keys: bool) -> str:
    if keys:
        text = _RTMP.sub(lambda match: _without_key(match[0]), text)
    if "://" in text or "?" in text:
        shown = mask_url(text)
        return shown if keys else _with_stream_ids(shown, text)
    # The slashes of an address may be escaped.
    if "@" in text:
        text = mask_url(text)
    return mask_query(text) if "=" in text else text


def masked_words(words: Iterable[str], *, keys: bool = True) -> list[str]:
    """Return a command line without secrets, those in options of their own included.

    Args:
        words: Its arguments.
        keys: As for `masked`.
    """
    return list(_masked_words(tuple(words), keys))


@lru_cache(_REMEMBERED)
def _masked_words(words: tuple[str, ...], keys: bool) -> tuple[str, ...]:
    shown: list[str] = []
    option = ""
    for word in words:
        if option and _is_secret(option):
            shown.append(_MASK)
            option = ""
            continue
        option = word if word.startswith("-") else ""
        shown.append(masked(word, keys=keys))
    return tuple(shown)


def _with_stream_ids(shown: str, text: str) -> str:
    """Show what SRT's stream ids name, as paths of RTMP do, but not their tokens."""
    ids = iter(_STREAM_ID.findall(text))
    return _STREAM_ID.sub(lambda _: _without_token(next(ids, "")), shown)


def _without_token(stream_id: str) -> str:
    match = _OWN_STREAM_ID.fullmatch(stream_id)
    if match is None:
        return _MASK
    return match[1] + (f",token:{_MASK}" if match[2] else "")


def _is_secret(option: str) -> bool:
    name = option[1:].partition(":")[0]
    return option in _HEADERS or mask_query(f"{name}=x") != f"{name}=x"


def _without_key(url: str) -> str:
    """Hide the last part of an RTMP address: for other services it is the stream key.

    What is published to this machine is a stream of our own, whose name all may see.
    """
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    name = host.rpartition("]")[0].lstrip("[") or host.partition(":")[0]
    return mask_url(url, hide_name=not _is_this_machine(name))


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
