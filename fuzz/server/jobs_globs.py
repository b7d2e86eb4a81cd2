"""Globs of any text, against expressions of `re` that mean the same."""

from __future__ import annotations

import re

from penstock.control.jobs import JobSpec
from penstock.dialects.datarhei.process_query import Selection
from penstock.storage.globs import GlobError, compile_glob

_MAX_STARS = 4
_MAX_NAME = 20


def one_input(data: bytes) -> None:
    # A pattern is malformed, with a place in the text, or a glob; of a small name it
    # says what an expression says that may try all ways; the quick way of the list of
    # processes says the same; no pattern makes a long name expensive.
    text = data.decode("utf-8", "replace")
    pattern, _, name = text.partition("\n")
    try:
        globs = {separator: compile_glob(pattern, separator) for separator in ("/", "")}
    except GlobError as error:
        assert 0 <= error.position <= len(pattern)
        try:
            Selection(id_pattern=pattern).test()
        except GlobError:
            return
        raise AssertionError("a malformed pattern is taken") from error
    for separator, glob in globs.items():
        expression = _expression(pattern, separator)
        for small in (name[:_MAX_NAME], name[-_MAX_NAME:]):
            if expression is not None:
                expected = re.fullmatch(expression, small, re.DOTALL) is not None
                assert glob.matches(small) is expected
        escaped = "".join(f"\\{char}" for char in name[:1000])
        assert compile_glob(escaped, separator).matches(name[:1000])
        # The fuzzer's limit of time and memory judges this one.
        glob.matches(name * (1000 // max(1, len(name))))
    is_meant = Selection(id_pattern=pattern).test()
    assert is_meant(JobSpec(name, (), ())) is (not pattern or globs[""].matches(name))


def _expression(pattern: str, separator: str) -> str | None:
    """Return an expression that means the same; None if `re` could take too long.

    Also None for braces and parentheses in one pattern, whose pairs are of no account
    to each other.
    """
    special = _special(pattern)
    both = {"{", "("} <= {pattern[at] for at in special}
    if both or sum(pattern[at] == "*" for at in special) > _MAX_STARS:
        return None
    other = f"[^{separator}]" if separator else "."
    paired = _paired(pattern, special)
    done = []
    at = 0
    opened = ""
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
            done.append(re.escape(pattern[at]))
        elif char == "[":
            chars, at = _class(pattern, at, separator)
            done.append(chars)
        elif char == "*":
            stars = len(pattern[at:]) - len(pattern[at:].lstrip("*"))
            done.append(".*" if stars > 1 else f"{other}*")
            at += stars - 1
        elif char == "?":
            done.append(other)
        elif char == "{" or (char == "(" and at in paired):
            opened += char
            done.append("(?:")
        elif (char == "}" and opened[-1:] == "{") or (char == ")" and at in paired):
            opened = opened[:-1]
            done.append(")")
        elif (char == "," and opened[-1:] == "{") or (
            char == "|" and opened[-1:] == "("
        ):
            done.append("|")
        else:
            done.append(re.escape(char))
        at += 1
    return "".join(done)


def _special(pattern: str) -> list[int]:
    """Return where characters stand that are neither escaped nor in a class."""
    found = []
    at = 0
    while at < len(pattern):
        found.append(at)
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "[":
            at = _class(pattern, at, "")[1]
        at += 1
    return found


def _paired(pattern: str, special: list[int]) -> set[int]:
    """Return where the parentheses stand that have a bar between them."""
    found: set[int] = set()
    opened: list[list[int]] = []
    for at in special:
        if pattern[at] == "(":
            opened.append([at])
        elif pattern[at] == "|" and opened:
            opened[-1].append(at)
        elif pattern[at] == ")" and opened:
            begin, *bars = opened.pop()
            found |= {begin, at} if bars else set()
    return found


def _class(pattern: str, at: int, separator: str) -> tuple[str, int]:
    """Return an expression for a class, and where its bracket closes."""
    at += 1
    negated = pattern[at] == "!"
    at += negated
    done = ""
    while pattern[at] != "]":
        low, at = _one(pattern, at)
        high = low
        if pattern[at] == "-" and pattern[at + 1] != "]":
            high, at = _one(pattern, at + 1)
        done += f"{re.escape(low)}-{re.escape(high)}"
    if negated:
        return f"[^{done}{re.escape(separator)}]", at
    return f"[{done}]", at


def _one(pattern: str, at: int) -> tuple[str, int]:
    at += pattern[at] == "\\"
    return pattern[at], at + 1
