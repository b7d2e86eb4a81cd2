"""Which options of FFmpeg a job may give, as far as they open something.

They are read as FFmpeg reads them: a word where an option should stand is an output,
and an option without its value would take the next word, an address among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.jobs.addresses import (
    NOT_ALLOWED,
    Access,
    AddressError,
    check_input,
    check_output,
    check_written,
    looks_like_address,
)
from penstock.jobs.graphs import check_graph
from penstock.jobs.option_table import FLAGS, OPENS, Kind
from penstock.jobs.tee import read_token

__all__ = ["check_options", "check_pairs", "muxer"]

_MAX_NESTED = 8
"""Options within options."""
_OWN_PIPES = ("-", "pipe:", "pipe:1", "pipe:2")


def check_options(options: Sequence[str], access: Access) -> None:
    """Refuse options that open what the job may not.

    Args:
        options: Of the job, an input or an output, placeholders resolved.
        access: The lists and the root.

    Raises:
        AddressError: Naming the option.
    """
    words = iter(options)
    for word in words:
        if len(word) < 2 or word[0] != "-":
            # FFmpeg writes to a word in this place.
            check_output(word, access)
            continue
        if word.startswith("-/"):
            raise AddressError(f"option {word}: a value from a file cannot be checked")
        name = word[1:].partition(":")[0]
        if word == "--":
            raise AddressError("option --: an output here has no place of its own")
        if _is_flag(name):
            continue
        value = next(words, None)
        if value is None:
            raise AddressError(f"option {word}: needs a value")
        try:
            _check(name, value, access, _MAX_NESTED)
        except AddressError as error:
            raise AddressError(f"option {word}: {error}") from None


def check_pairs(pairs: Iterable[tuple[str, str]], access: Access) -> None:
    """Refuse options, given as pairs, that open what the job may not.

    Raises:
        AddressError: Naming the option.
    """
    for key, value in pairs:
        _check_pair(key, value, access, _MAX_NESTED)


def _check_pair(key: str, value: str, access: Access, depth: int) -> None:
    name = key.partition(":")[0]
    try:
        _check(name, value, access, depth)
    except AddressError as error:
        raise AddressError(f"option {key}: {error}") from None


def muxer(options: Sequence[str]) -> str:
    """Return the value of the last ``-f``; "" if there is none."""
    found = ""
    words = iter(options)
    for word in words:
        name = word[1:].partition(":")[0] if word[:1] == "-" else ""
        if name and not _is_flag(name):
            value = next(words, "")
            found = value if name == "f" else found
    return found


def _is_flag(name: str) -> bool:
    return name in FLAGS or (name.startswith("no") and name[2:] in FLAGS)


def _check(name: str, value: str, access: Access, depth: int) -> None:
    kind = OPENS[name][0] if name in OPENS else None
    if kind is Kind.REFUSED:
        raise AddressError(f"is not allowed: {OPENS[name][1]}")
    if kind is Kind.WRITES:
        # An empty name lets a file's own metadata choose one.
        if not value.strip():
            raise AddressError("needs a value")
        if name != "progress" or value not in _OWN_PIPES:
            check_written(value, access)
    elif kind is Kind.BESIDE:
        _check_beside(value, access)
    elif kind is Kind.READS:
        check_input(value, access)
    elif kind is Kind.GRAPH:
        check_graph(value, access)
    elif kind is Kind.PAIRS:
        if not depth:
            raise AddressError(NOT_ALLOWED)
        for key, inner in _pairs(value):
            _check_pair(key, inner, access, depth - 1)
    elif kind is Kind.MUXER:
        if value == "tee":
            raise AddressError("a tee within another muxer is not allowed")
    elif kind is Kind.PROTOCOLS:
        if any(access.reads.blocks(f"{one.strip()}:") for one in value.split(",")):
            raise AddressError(NOT_ALLOWED)
    elif kind is None and looks_like_address(value):
        check_written(value, access)


def _check_beside(value: str, access: Access) -> None:
    if "../" in value or value.endswith(".."):
        raise AddressError("a name beside the output must not climb")
    if looks_like_address(value):
        check_written(value, access)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Read ``key=value:key=value``; every reading of it is judged.

    Inner dictionaries are unquoted once more by whoever takes them, so a value is given
    both as it stands and without its backslashes.
    """
    found = []
    at = 0
    while at < len(text):
        word, at = read_token(text, at, ":")
        at += 1
        key, _, value = word.partition("=")
        found.append((key, value))
        plain = value.replace("\\", "").replace("'", "")
        if plain != value:
            found.append((key, plain))
    return found
