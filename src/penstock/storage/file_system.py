"""The face of a file system: what mounts, jobs and cleaning up see of it."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TypeAlias

import attrs
import trio

from .blocks import Block

__all__ = [
    "Admission",
    "FileInfo",
    "FileSystem",
    "OpenFile",
    "Usage",
    "Written",
]


@attrs.frozen
class FileInfo:
    """One version of a file."""

    name: str
    """Begins with ``/``."""
    size: int
    """Bytes."""
    modified_at: float
    """Unix seconds."""
    etag: str
    """An entity tag with its quotes; with ``W/`` in front where the bytes might still
    change under it (RFC 9110 §8.8.1)."""


@attrs.frozen
class Written:
    """What a write has done."""

    info: FileInfo
    created: bool
    """False if it replaced a file."""


@attrs.frozen
class Usage:
    """Totals and limits; a limit of 0 means none."""

    files: int
    size_bytes: int
    """Of the files that can be opened now."""
    under_way_bytes: int
    """Of writes that have not ended; they count against the limit as well."""
    limit_bytes: int
    limit_files: int = 0
    held_bytes: int = 0
    """In memory only: of deleted or replaced files that somebody still reads. Not
    counted against the limit, or a slow reader could keep others from writing."""


Admission: TypeAlias = Callable[[FileInfo | None], None]
"""Judges the file that is there now, or None, and raises to forbid the change. Called
in the same step as the change, perhaps in a worker thread: pure and quick."""


class OpenFile(trio.abc.AsyncResource):
    """One version of a file, readable until closed whatever happens to its name."""

    @property
    @abc.abstractmethod
    def info(self) -> FileInfo:
        """Size, time and tag of this version."""

    @abc.abstractmethod
    def blocks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Block]:
        """Return the bytes from ``start`` up to but without ``stop``, in large blocks.

        The iterator needs no closing and may be left before its end.

        Args:
            start: 0 or more; at or behind the end nothing comes.
            stop: None or a number behind the end means the end.

        Raises:
            StorageError: The device failed, or the file shrank meanwhile: what has come
                so far must not pass for the whole.
        """


class FileSystem(abc.ABC):
    """Files by name. All names are checked by `check_name` before anything else.

    There are no directories to be made or asked about: a file brings its own, and a
    listing has files only.
    """

    @abc.abstractmethod
    async def open(self, name: str) -> OpenFile:
        """Open a file for reading; close it, or use ``async with await``.

        Raises: BadName, FileMissing, AccessDenied, StorageError.
        """

    @abc.abstractmethod
    async def stat(self, name: str) -> FileInfo:
        """Return what `open` would show. Raises the same."""

    @abc.abstractmethod
    async def write(
        self,
        name: str,
        blocks: AsyncIterable[Block],
        *,
        expected_size: int | None = None,
        admit: Admission | None = None,
    ) -> Written:
        """Write a whole file; readers see the old one or the new one, never a part.

        If anything fails, the source included, or the call is cancelled, nothing has
        changed and no byte is kept.

        Args:
            name: A file of this name is replaced.
            blocks: The content. Consumed as fast as it can be stored; after an error
                it is left where it is, and closing it is the caller's.
            expected_size: Bytes, if known: what cannot fit is refused before the first
                byte is read, and another length is refused at the end.
            admit: Asked just before the new file takes its name.

        Raises: BadName, StorageFull, TooLarge, WriteIncomplete, AccessDenied,
            StorageError, and what ``blocks`` and ``admit`` raise.
        """

    @abc.abstractmethod
    async def delete(self, name: str, *, admit: Admission | None = None) -> FileInfo:
        """Delete a file; who reads it goes on to its end. Returns what it was.

        Raises: BadName, FileMissing, AccessDenied, StorageError, and what ``admit``
            raises (it is not asked about a missing file).
        """

    @abc.abstractmethod
    async def entries(
        self, matches: Callable[[str], bool] | None = None
    ) -> list[FileInfo]:
        """Return the files at all depths whose name matches, in no certain order."""

    @abc.abstractmethod
    async def usage(self) -> Usage:
        """Return totals and limits."""
