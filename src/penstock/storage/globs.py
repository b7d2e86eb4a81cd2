"""Globs over file names and ids, matched in linear time.

A pattern becomes a set machine: each character of the pattern is one state, and the
states that a name can be in are one int. A step costs at most one look at each state,
so no pattern makes a name expensive; `re` would take minutes for ``*a*a*a*a*a*b``.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

__all__ = ["Glob", "GlobError", "compile_glob"]

MAX_LENGTH = 4096
"""Characters of a pattern; a path of the system is not longer."""
MAX_DEPTH = 16
"""Alternatives within alternatives."""
_MAX_REMEMBERED = 4096

_Test = Callable[[str], bool]


class GlobError(ValueError):
    """A pattern that means nothing: an open bracket, a backslash at its end.

    Args:
        reason: What is wrong.
        position: Where, counted in characters from 0.
    """

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at character {position}")
        self.reason = reason
        self.position = position


@attrs.frozen(eq=False)
class Glob:
    """A compiled pattern. `matches` says whether it covers a whole name."""

    pattern: str
    separator: str
    """The character that ``*`` and ``?`` stop at, as "/"; "" for none."""
    _start: int
    _states: tuple[tuple[_Test, int], ...]
    # What (states, character) leads to. Names look alike, so nearly every step of a
    # long listing is found here; it is emptied when full, so it costs a fixed size.
    _steps: dict[tuple[int, str], int] = attrs.field(factory=dict)

    def matches(self, name: str) -> bool:
        """Say whether the pattern covers ``name`` from its first to its last."""
        states = self._start
        steps = self._steps
        for char in name:
            step = (states, char)
            after = steps.get(step)
            if after is None:
                if len(steps) >= _MAX_REMEMBERED:
                    steps.clear()
                after = steps[step] = self._step(states, char)
            if not after:
                return False
            states = after
        return bool(states & 1)

    def _step(self, states: int, char: str) -> int:
        after = 0
        remaining = states >> 1  # the lowest bit is the end: it takes no character
        number = 0
        while remaining:
            # Skips to the next state that is set.
            gap = (remaining & -remaining).bit_length() - 1
            number += gap
            test, target = self._states[number]
            if test(char):
                after |= target
            remaining >>= gap + 1
            number += 1
        return after


def compile_glob(pattern: str, separator: str = "") -> Glob:
    """Compile a glob.

    ``*`` is any run without the separator, ``**`` any run, ``?`` one character but the
    separator, ``[abc]``, ``[a-z]`` one of these, ``[!a]`` one other (never the
    separator), ``{a,b}`` and ``(a|b)`` alternatives, which may hold patterns; a
    backslash takes away the meaning of the next character. Parentheses that hold no
    ``|`` stand for themselves, as in "film (1).mp4".

    Args:
        pattern: Up to 4,096 characters.
        separator: One character, or "" if no character is special.

    Raises:
        GlobError: If it is malformed, too long or nested more than 16 deep.
    """
    if len(pattern) > MAX_LENGTH:
        raise GlobError(f"a pattern has at most {MAX_LENGTH} characters", MAX_LENGTH)
    sequence, _end, _by = _Parser(pattern, separator).sequence(0, "", 0)
    states: list[tuple[_Test, int]] = []
    start = _build(sequence, 1, states)
    return Glob(pattern, separator, start, tuple(states))


@attrs.frozen
class _One:
    """One character that passes the test; if ``many``, any number of them."""

    test: _Test
    many: bool = False


@attrs.frozen
class _Either:
    branches: tuple[_Sequence, ...]


_Sequence = tuple[_One | _Either, ...]


def _build(sequence: _Sequence, after: int, states: list[tuple[_Test, int]]) -> int:
    """Add the states of ``sequence``, last first; return those it begins in.

    ``after`` is the set of states that follow; number 0 is the end of the pattern.
    """
    for part in reversed(sequence):
        if isinstance(part, _Either):
            begin = 0
            for branch in part.branches:
                begin |= _build(branch, after, states)
            after = begin
        else:
            own = 1 << (len(states) + 1)
            target = own | after if part.many else after
            states.append((part.test, target))
            after = target if part.many else own
    return after


def _anything(char: str) -> bool:
    return True


class _Parser:
    """Reads one pattern, top down."""

    def __init__(self, pattern: str, separator: str) -> None:
        self._pattern = pattern
        self._separator = separator
        self._not_separator: _Test = (
            (lambda char: char != separator) if separator else _anything
        )
        self._pairs = _alternatives_in_parentheses(pattern)

    def sequence(self, at: int, ends: str, depth: int) -> tuple[_Sequence, int, str]:
        """Read up to one of ``ends``; return the parts, the place after, the end."""
        if depth > MAX_DEPTH:
            raise GlobError(f"alternatives are nested over {MAX_DEPTH} deep", at)
        parts: list[_One | _Either] = []
        opened = at
        while at < len(self._pattern):
            char = self._pattern[at]
            if char in ends and (char != ")" or at in self._pairs):
                return tuple(parts), at + 1, char
            part, at = self._part(char, at, depth)
            parts.append(part)
        if ends:
            raise GlobError("alternatives are not closed", opened)
        return tuple(parts), at, ""

    def _part(self, char: str, at: int, depth: int) -> tuple[_One | _Either, int]:
        if char == "*":
            end = at
            while self._pattern[end : end + 1] == "*":
                end += 1
            crosses = end - at > 1
            return _One(_anything if crosses else self._not_separator, True), end
        if char == "?":
            return _One(self._not_separator), at + 1
        if char == "[":
            return self._class(at)
        if char == "{":
            return self._either(at + 1, ",", "}", depth)
        if char == "(" and at in self._pairs:
            return self._either(at + 1, "|", ")", depth)
        char, at = self._character(at)
        return _One(char.__eq__), at

    def _either(
        self, at: int, between: str, end: str, depth: int
    ) -> tuple[_Either, int]:
        branches = []
        by = between
        while by == between:
            branch, at, by = self.sequence(at, between + end, depth + 1)
            branches.append(branch)
        return _Either(tuple(branches)), at

    def _class(self, start: int) -> tuple[_One, int]:
        at = start + 1
        negated = self._pattern[at : at + 1] == "!"
        at += negated
        ranges: list[tuple[str, str]] = []
        while self._pattern[at : at + 1] != "]":
            low, at = self._character(at, "a character class is not closed", start)
            high = low
            following = self._pattern[at + 1 : at + 2]
            if self._pattern[at : at + 1] == "-" and following not in ("", "]"):
                high, at = self._character(at + 1)
                if high < low:
                    raise GlobError("a range runs backwards", start)
            ranges.append((low, high))
        if not ranges:
            raise GlobError("a character class is empty", start)
        chosen = tuple(ranges)
        separator = self._separator

        def holds(char: str) -> bool:
            return any(low <= char <= high for low, high in chosen)

        def lacks(char: str) -> bool:
            return char != separator and not holds(char)

        return _One(lacks if negated else holds), at + 1

    def _character(
        self, at: int, if_missing: str = "", position: int = 0
    ) -> tuple[str, int]:
        char = self._pattern[at : at + 1]
        if not char:
            raise GlobError(if_missing, position)
        if char != "\\":
            return char, at + 1
        if at + 1 == len(self._pattern):
            raise GlobError("a backslash escapes nothing", at)
        return self._pattern[at + 1], at + 2


def _alternatives_in_parentheses(pattern: str) -> frozenset[int]:
    """Return where the parentheses stand that hold alternatives."""
    pairs: set[int] = set()
    opened: list[tuple[int, bool]] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            # What stands in a class has no other meaning; an open one is an error.
            at = _class_end(pattern, at)
        elif char == "(":
            opened.append((at, False))
        elif char == "|" and opened:
            opened[-1] = (opened[-1][0], True)
        elif char == ")" and opened:
            start, alternatives = opened.pop()
            if alternatives:
                pairs |= {start, at}
        at += 1
    return frozenset(pairs)


def _class_end(pattern: str, at: int) -> int:
    at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at
