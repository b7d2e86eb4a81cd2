"""Files in a directory of the disk, shared with whatever else writes there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from penstock.slices import in_slices

from . import confined
from .blocks import Block, BlockGatherer
from .errors import AccessDenied, FileMissing, StorageError
from .file_system import Admission, FileInfo, FileSystem, OpenFile, Usage, Written
from .totals import Listing, Totals

__all__ = ["DiskFileSystem"]

_WRITE_BYTES = 1 << 20
"""A change of threads costs about 0.1 ms: with 1 MiB that is 10 GB/s, no hindrance."""

_READ_BYTES = 256 << 10
"""Larger blocks would take a fifth less time, but a block is what a reader that stands
still keeps in memory, and there may be a thousand of them."""

_REFRESH_S = 10.0
_PATIENCE_S = 1.0
"""How old totals may be to refuse a write by them: a full disk is walked once a second
however many ask, and room that others made is found at once."""

_THREADS = 8
_DISCARD_S = 10.0

Result = TypeVar("Result")


@attrs.define(eq=False)
class _OpenDescriptor(OpenFile):
    _owner: DiskFileSystem
    _descriptor: int
    _info: FileInfo

    @property
    def info(self) -> FileInfo:
        return self._info

    def blocks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Block]:
        if start < 0:
            raise ValueError("a file begins at 0")
        # Not to the end as it is by then: what HTTP has announced is this size.
        end = self._info.size if stop is None else min(stop, self._info.size)
        return _Blocks(self, start, end)

    async def read(self, start: int, length: int) -> bytes:
        if self._descriptor < 0:
            raise trio.ClosedResourceError
        try:
            block = await self._owner.run_blocking(
                os.pread, self._descriptor, length, start
            )
        except OSError as error:
            raise StorageError(f"{self._info.name}: {error.strerror}") from error
        if not block:
            raise StorageError(f"{self._info.name} has become shorter")
        return block

    async def aclose(self) -> None:
        # Closing what was only read does not block.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class _Blocks(AsyncIterator[Block]):
    """Not a generator: an abandoned one would have to be closed, this one has not."""

    _file: _OpenDescriptor
    _position: int
    _end: int

    async def __anext__(self) -> Block:
        if self._position >= self._end:
            await trio.lowlevel.checkpoint()
            raise StopAsyncIteration
        length = min(_READ_BYTES, self._end - self._position)
        block = await self._file.read(self._position, length)
        self._position += len(block)
        return block


@attrs.define(eq=False)
class DiskFileSystem(FileSystem):
    """Files below one directory. Call `start` before anything else.

    Others, FFmpeg above all, write there too. So the totals come from walks, at most
    `refresh_s` old when a write is judged, and between walks from our own changes.
    A write counts from its first byte; it may use the room of the file it replaces.

    Directories are made for a file and stay when it is deleted: who writes one often
    writes the next into it. A failed write takes back the directories it made.

    A replaced file is the old or the new one for every reader and after a kill of the
    server at any moment, because a rename is one step of the kernel's. After a loss
    of power that needs the data on the device before the rename, which `durable` waits
    for; it costs milliseconds to seconds a file, so it is off: the segments of a live
    stream are not worth it.

    Attributes:
        root: The directory; made if missing.
        limit_bytes: Of all files; 0 means no limit.
        max_file_bytes: Of one file; 0 means no limit but the first.
        durable: Wait for the device before a write is acknowledged.
        refresh_s: Seconds.
    """

    root: Path
    limit_bytes: int = 0
    max_file_bytes: int = 0
    durable: bool = False
    refresh_s: float = _REFRESH_S
    _real_root: str = attrs.field(default="", init=False)
    _totals: Totals = attrs.field(init=False)
    _limiter: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(_THREADS), init=False
    )
    """Of its own: a slow disk must not keep codecs and databases from their threads."""
    _changing: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Around asking who has the name and taking it."""

    def __attrs_post_init__(self) -> None:
        self._totals = Totals(
            self._scan,
            max_file_bytes=self.max_file_bytes,
            refresh_s=self.refresh_s,
            patience_s=_PATIENCE_S,
        )
        self.set_limit(self.limit_bytes)

    def set_limit(self, limit_bytes: int) -> None:
        """Let files have so many bytes from now on; 0 means no limit."""
        self.limit_bytes = self._totals.limit_bytes = limit_bytes

    async def start(self) -> int:
        """Make the directory, remove what a killed server left; return how many files.

        Raises: AccessDenied, StorageError: the directory cannot be made or read.
        """
        try:
            self._real_root = await self.run_blocking(self._prepare)
        except PermissionError as error:
            raise AccessDenied(f"{self.root}: {error.strerror}") from error
        except OSError as error:
            raise StorageError(f"{self.root}: {error.strerror}") from error
        count = await self.run_blocking(confined.remove_leftovers, self._real_root)
        await self._totals.refresh()
        return count

    def _prepare(self) -> str:
        self.root.mkdir(parents=True, exist_ok=True)
        with os.scandir(self.root):
            return os.path.realpath(self.root)

    async def open(self, name: str) -> OpenFile:
        """See `FileSystem.open`."""
        name = confined.check_own(name)
        descriptor, info = await self.run_blocking(
            confined.open_regular, self._real_root, name
        )
        return _OpenDescriptor(self, descriptor, info)

    async def stat(self, name: str) -> FileInfo:
        """See `FileSystem.stat`."""
        name = confined.check_own(name)
        return await self.run_blocking(confined.stat_regular, self._real_root, name)

    async def write(
        self,
        name: str,
        blocks: AsyncIterable[Block],
        *,
        expected_size: int | None = None,
        admit: Admission | None = None,
    ) -> Written:
        """See `FileSystem.write`."""
        name = confined.check_own(name)
        spared = 0
        if self.limit_bytes:
            await self._totals.refresh_if_old()
            try:
                spared = (await self.stat(name)).size
            except FileMissing:
                pass
        if expected_size is not None:
            await self._totals.find_room(0, expected_size, spared)
        draft = await self.run_blocking(confined.Draft.begin, self._real_root, name)
        gatherer = BlockGatherer(_WRITE_BYTES)
        size = 0
        try:
            async for block in blocks:
                await self._totals.find_room(size, len(block), spared)
                size += len(block)
                self._totals.under_way_bytes += len(block)
                for whole in gatherer.add(block):
                    await self.run_blocking(draft.write, whole)
            confined.check_complete(size, expected_size)
            for whole in gatherer.rest():
                await self.run_blocking(draft.write, whole)
            async with self._changing:
                written, replaced = await self.run_blocking(
                    lambda: draft.commit(admit, durable=self.durable)
                )
            self._totals.change(written.created, size - replaced)
            return written
        except BaseException:
            with trio.move_on_after(_DISCARD_S, shield=True):
                await trio.to_thread.run_sync(draft.discard, abandon_on_cancel=True)
            raise
        finally:
            self._totals.under_way_bytes -= size

    async def delete(self, name: str, *, admit: Admission | None = None) -> FileInfo:
        """See `FileSystem.delete`."""
        name = confined.check_own(name)
        async with self._changing:
            info = await self.run_blocking(
                confined.remove, self._real_root, name, admit
            )
        self._totals.change(-1, -info.size)
        return info

    async def entries(
        self, matches: Callable[[str], bool] | None = None
    ) -> list[FileInfo]:
        """See `FileSystem.entries`; the totals are fresh after it."""
        infos = await self._totals.refresh()
        if matches is None:
            return infos
        chosen = await in_slices(infos, lambda info: matches(info.name))
        return [info for info, is_match in zip(infos, chosen, strict=True) if is_match]

    async def usage(self) -> Usage:
        """See `FileSystem.usage`."""
        await self._totals.refresh_if_old()
        return self._totals.usage()

    async def _scan(self) -> Listing:
        return await self.run_blocking(confined.scan, self._real_root)

    async def run_blocking(
        self, function: Callable[..., Result], *args: object
    ) -> Result:
        """Run a system call in one of this file system's threads."""
        return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)
