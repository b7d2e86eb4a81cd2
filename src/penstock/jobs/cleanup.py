"""Which files the owners of jobs want gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import attrs
import trio

from penstock import log
from penstock.storage.errors import StorageError
from penstock.storage.file_system import FileInfo, FileSystem
from penstock.storage.globs import Glob, GlobError, compile_glob

from .spec import CleanupRule, JobSpec

__all__ = ["Cleaner", "excess", "split_pattern"]

_TICK_S: Final = 1.0
_SHARE: Final = 10
"""A tenth of the time at most goes into looking."""
_SYNONYMS: Final = {"diskfs": "disk", "memfs": "mem"}


def split_pattern(pattern: str) -> tuple[str, str]:
    """Return the file system's name and the glob of a rule's pattern.

    Without a file system the name is "".
    """
    name, colon, glob = pattern.partition(":")
    if not colon:
        return "", pattern
    return _SYNONYMS.get(name, name), glob


def excess(rule: CleanupRule, files: Sequence[FileInfo], now: float) -> list[FileInfo]:
    """Return the files that a rule wants gone, of those that its pattern matches.

    Args:
        rule: What may stay.
        files: Those that match, in any order.
        now: Unix time.
    """
    newest = sorted(files, key=lambda file: (-file.modified_at, file.name))
    kept = len(newest)
    if rule.max_files > 0:
        kept = min(kept, rule.max_files)
    gone = newest[kept:]
    if rule.max_file_age > 0:
        horizon = now - rule.max_file_age
        gone += [file for file in newest[:kept] if file.modified_at < horizon]
    return gone


@lru_cache(1_000)
def _compiled(pattern: str) -> Glob | None:
    """Return a glob over names; None for a malformed one, which matches nothing."""
    try:
        return compile_glob(pattern, separator="/")
    except GlobError:
        return None


@attrs.frozen
class _Rule:
    rule: CleanupRule
    glob: Glob

    def matches(self, name: str) -> bool:
        """Say whether a name is meant, with or without the slash that all begin with.

        Not by a slash in front of the glob: "{/a,b}*.ts" has one in a part of it.
        """
        glob = self.glob
        if glob.matches(name):
            return True
        return not glob.pattern.startswith("/") and glob.matches(name[1:])


class Cleaner:
    """Deletes what rules of jobs say, in every file system that they name.

    Args:
        file_systems: By name.
        specs: Gives the jobs at present, placeholders replaced.
        wall: Gives Unix time.
    """

    def __init__(
        self,
        file_systems: Mapping[str, FileSystem],
        specs: Callable[[], Iterable[JobSpec]],
        *,
        wall: Callable[[], float],
    ) -> None:
        self._file_systems = file_systems
        self._specs = specs
        self._wall = wall

    async def run(self) -> None:
        """Look every second, until cancelled; less often where that takes long."""
        while True:
            began = trio.current_time()
            await self.look()
            spent = trio.current_time() - began
            await trio.sleep(max(_TICK_S, _SHARE * spent))

    async def look(self) -> None:
        """Delete what is too much or too old by now."""
        rules = [
            rule
            for spec in self._specs()
            for output in spec.outputs
            for rule in output.cleanup
            if rule.max_files > 0 or rule.max_file_age > 0
        ]
        await self._apply(rules, excess)

    async def purge(self, spec: JobSpec) -> None:
        """Delete what is to go with a job."""
        rules = [
            rule
            for output in spec.outputs
            for rule in output.cleanup
            if rule.purge_on_delete
        ]
        await self._apply(rules, lambda _, files, __: list(files))

    async def _apply(
        self,
        rules: Iterable[CleanupRule],
        choose: Callable[[CleanupRule, Sequence[FileInfo], float], list[FileInfo]],
    ) -> None:
        by_name: dict[str, list[_Rule]] = {}
        for rule in rules:
            name, pattern = split_pattern(rule.pattern)
            glob = _compiled(pattern)
            if name in self._file_systems and glob is not None:
                by_name.setdefault(name, []).append(_Rule(rule, glob))
        for name, here in by_name.items():
            file_system = self._file_systems[name]
            try:
                files = await file_system.entries()
                for one in here:
                    matching = [file for file in files if one.matches(file.name)]
                    for file in choose(one.rule, matching, self._wall()):
                        await self._delete(file_system, file)
                    await trio.lowlevel.checkpoint()
            except StorageError as error:
                log.warning("cleanup failed", storage=name, reason=str(error))

    async def _delete(self, file_system: FileSystem, file: FileInfo) -> None:
        def admit(found: FileInfo | None) -> None:
            # One that was written anew since we looked is another file.
            if found is None or found.modified_at != file.modified_at:
                raise _Changed

        try:
            await file_system.delete(file.name, admit=admit)
        except (_Changed, StorageError):
            pass


class _Changed(Exception):
    """A file is not the one that was judged."""
