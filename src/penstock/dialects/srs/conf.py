"""The grammar of srs.conf: ``name argument ... ;`` and ``name argument ... { }``.

Comments run from ``#`` to the end of the line, arguments may stand in quotes, and
``include file ... ;`` puts another file's directives in its place. Pure: files come
through a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import attrs

__all__ = ["ConfError", "Directive", "parse"]

MAX_BYTES = 1 << 20
"""Characters of one file."""
MAX_FILES = 64
"""Files that includes may open, the first one too."""
MAX_DEPTH = 16
"""Blocks within blocks."""

_TOKEN = re.compile(r"""\s+|\#[^\n]*|[;{}]|"([^"\n]*)"|'([^'\n]*)'|[^\s;{}"']+""")


class ConfError(Exception):
    """A file that is not of the grammar; the text is one line."""


@attrs.define
class Directive:
    """One directive, a block if it has `children`."""

    name: str
    arguments: list[str] = attrs.field(factory=list)
    children: list[Directive] = attrs.field(factory=list)
    where: str = ""
    """``file:line``, or the environment variable it came from."""

    @property
    def argument(self) -> str:
        """The first argument, or empty."""
        return self.arguments[0] if self.arguments else ""

    def find(self, name: str) -> Directive | None:
        """Return the first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def child(self, name: str, where: str) -> Directive:
        """Return the first child of that name, making it if there is none."""
        found = self.find(name)
        if found is None:
            found = Directive(name, where=where)
            self.children.append(found)
        return found


@attrs.define
class _Reader:
    read: Callable[[str], str]
    files: int = 0

    def block(self, path: str) -> list[Directive]:
        self.files += 1
        if self.files > MAX_FILES:
            raise ConfError(f"{path}: more than {MAX_FILES} files by include")
        text = self.read(path)
        if len(text) > MAX_BYTES:
            raise ConfError(f"{path}: longer than {MAX_BYTES} characters")
        tokens = _tokens(path, text)
        return self._directives(path, tokens, 0)

    def _directives(
        self, path: str, tokens: Iterator[tuple[str, bool, int]], depth: int
    ) -> list[Directive]:
        found: list[Directive] = []
        words: list[str] = []
        start = 1
        for token, is_word, line in tokens:
            if is_word:
                if not words:
                    start = line
                words.append(token)
                continue
            where = f"{path}:{line}"
            if token == "}":
                if words:
                    raise ConfError(f"{where}: expected ; after {words[0]}")
                if depth == 0:
                    raise ConfError(f"{where}: }} without {{")
                return found
            if not words:
                raise ConfError(f"{where}: {token} without a directive before it")
            one = Directive(words[0], words[1:], where=f"{path}:{start}")
            words = []
            if token == "{":
                if depth == MAX_DEPTH:
                    raise ConfError(f"{where}: more than {MAX_DEPTH} blocks deep")
                one.children = self._directives(path, tokens, depth + 1)
            elif one.name == "include":
                if not one.arguments:
                    raise ConfError(f"{one.where}: include without a file")
                for included in one.arguments:
                    found += self.block(included)
                continue
            found.append(one)
        if words:
            raise ConfError(f"{path}:{start}: expected ; after {words[0]}")
        if depth:
            raise ConfError(f"{path}: a block is not closed by }}")
        return found


def _tokens(path: str, text: str) -> Iterator[tuple[str, bool, int]]:
    """Yield (token, whether it is a word, line)."""
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConfError(f"{path}:{line}: a quotation is not closed")
        token = match[0]
        if match.lastindex is not None:
            yield match[match.lastindex], True, line
        elif token in (";", "{", "}"):
            yield token, False, line
        elif not token[0].isspace() and token[0] != "#":
            yield token, True, line
        line += token.count("\n")
        at = match.end()


def parse(path: str, read: Callable[[str], str]) -> Directive:
    """Return the root block of a configuration.

    Args:
        path: The file, as errors shall name it.
        read: Returns the text of a file; raises ConfError if it cannot.

    Raises:
        ConfError: For the first thing that is not of the grammar.
    """
    return Directive("root", children=_Reader(read).block(path), where=path)
