"""Files in memory: what a live stream writes and viewers fetch a moment later."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import AsyncIterable, AsyncIterator, Callable
from itertools import accumulate

import attrs
import trio

from penstock.slices import in_slices

from .blocks import Block, BlockGatherer
from .errors import FileMissing, StorageFull, TooLarge, WriteIncomplete
from .file_system import Admission, FileInfo, FileSystem, OpenFile, Usage, Written
from .paths import check_name

__all__ = ["MemoryFileSystem"]

_BLOCK_BYTES = 256 << 10
"""Few enough turns for a reader, and the loop is held well under 0.1 ms to copy one."""

_PIECE_BYTES = 1 << 20
"""The most that a reader gets at once, however large the writer's blocks were."""


@attrs.define(eq=False)
class _Version:
    """Bytes that never change; readers keep them, whatever happens to the name."""

    info: FileInfo
    blocks: tuple[bytes, ...]
    starts: tuple[int, ...]
    """Where each block begins in the file."""
    readers: int = 0
    stored: bool = True


@attrs.define(eq=False)
class _OpenVersion(OpenFile):
    _owner: MemoryFileSystem
    _version: _Version
    _closed: bool = False

    @property
    def info(self) -> FileInfo:
        return self._version.info

    def blocks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Block]:
        if start < 0:
            raise ValueError("a file begins at 0")
        version = self._version
        end = version.info.size if stop is None else min(stop, version.info.size)
        return _Pieces(self, version, start, end)

    @property
    def is_closed(self) -> bool:
        return self._closed

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._owner._let_go(self._version)  # noqa: SLF001 - two halves of one
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class _Pieces(AsyncIterator[Block]):
    """Not a generator: an abandoned one would have to be closed, this one has not."""

    _file: _OpenVersion
    _version: _Version
    _position: int
    _end: int

    async def __anext__(self) -> Block:
        await trio.lowlevel.checkpoint()
        if self._file.is_closed:
            raise trio.ClosedResourceError
        start = self._position
        if start >= self._end:
            raise StopAsyncIteration
        version = self._version
        # Half a microsecond, and nothing to keep in step.
        index = bisect_right(version.starts, start) - 1
        block = version.blocks[index]
        offset = start - version.starts[index]
        length = min(self._end - start, len(block) - offset, _PIECE_BYTES)
        self._position = start + length
        if length == len(block):
            # Bytes as they are: a view of them is copied by whoever needs bytes.
            return block
        return memoryview(block)[offset : offset + length]


@attrs.define(eq=False)
class MemoryFileSystem(FileSystem):
    """Files in memory, counted to the byte. Names are flat: ``/a`` and ``/a/b`` may be.

    The limit holds for files and writes under way together, except that a write may
    use the room of the file it will replace: with writes under way memory is at most
    the limit and the largest file being replaced, without any at most the limit.

    Attributes:
        limit_bytes: Of all files; 0 means no limit.
        limit_files: Their number, because an empty file costs memory too; 0: no limit.
        max_file_bytes: Of one file; 0 means no limit but the first.
        purge: When full, drop the oldest files instead of refusing the new one.
        clock: Unix seconds.
        dice: Makes the entity tags of one start differ from those of the last.
    """

    limit_bytes: int = 0
    limit_files: int = 100_000
    max_file_bytes: int = 0
    purge: bool = False
    clock: Callable[[], float] = time.time
    dice: Callable[[], int] = time.time_ns
    _files: dict[str, _Version] = attrs.field(factory=dict, init=False)
    """The least lately written first: a replaced file goes to the end."""
    _stored_bytes: int = attrs.field(default=0, init=False)
    _under_way_bytes: int = attrs.field(default=0, init=False)
    _held_bytes: int = attrs.field(default=0, init=False)
    _start: int = attrs.field(init=False)
    _serial: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._start = self.dice()

    async def open(self, name: str) -> OpenFile:
        """See `FileSystem.open`."""
        await trio.lowlevel.checkpoint()
        version = self._version(check_name(name))
        version.readers += 1
        return _OpenVersion(self, version)

    async def stat(self, name: str) -> FileInfo:
        """See `FileSystem.stat`."""
        await trio.lowlevel.checkpoint()
        return self._version(check_name(name)).info

    async def write(
        self,
        name: str,
        blocks: AsyncIterable[Block],
        *,
        expected_size: int | None = None,
        admit: Admission | None = None,
    ) -> Written:
        """See `FileSystem.write`."""
        await trio.lowlevel.checkpoint()
        name = check_name(name)
        if expected_size is not None:
            self._check_size(expected_size)
            if not self.purge:
                self._make_room(name, expected_size)
        gatherer = BlockGatherer(_BLOCK_BYTES)
        kept: list[bytes] = []
        size = 0
        try:
            async for block in blocks:
                self._check_size(size + len(block))
                self._make_room(name, len(block))
                size += len(block)
                self._under_way_bytes += len(block)
                if whole := gatherer.add(block):
                    kept += whole
                    await trio.lowlevel.checkpoint()
            if expected_size is not None and size != expected_size:
                raise WriteIncomplete(f"{size} bytes came instead of {expected_size}")
            kept += gatherer.rest()
            # From here to the end nothing waits: nobody sees a state in between.
            return self._commit(name, kept, size, admit)
        finally:
            self._under_way_bytes -= size

    async def delete(self, name: str, *, admit: Admission | None = None) -> FileInfo:
        """See `FileSystem.delete`."""
        await trio.lowlevel.checkpoint()
        version = self._version(check_name(name))
        if admit is not None:
            admit(version.info)
        self._remove(version)
        return version.info

    async def entries(
        self, matches: Callable[[str], bool] | None = None
    ) -> list[FileInfo]:
        """See `FileSystem.entries`; a snapshot of the moment of the call."""
        infos = [version.info for version in self._files.values()]
        if matches is None:
            await trio.lowlevel.checkpoint()
            return infos
        chosen = await in_slices(infos, lambda info: matches(info.name))
        return [info for info, is_match in zip(infos, chosen, strict=True) if is_match]

    async def usage(self) -> Usage:
        """See `FileSystem.usage`."""
        await trio.lowlevel.checkpoint()
        return Usage(
            len(self._files),
            self._stored_bytes,
            self._under_way_bytes,
            self.limit_bytes,
            self.limit_files,
            self._held_bytes,
        )

    # -- versions ---------------------------------------------------------------------

    def _version(self, name: str) -> _Version:
        try:
            return self._files[name]
        except KeyError:
            raise FileMissing(name) from None

    def _commit(
        self, name: str, blocks: list[bytes], size: int, admit: Admission | None
    ) -> Written:
        old = self._files.get(name)
        if admit is not None:
            admit(None if old is None else old.info)
        if old is None:
            self._make_room_for_one(name)
        else:
            self._remove(old)
        self._serial += 1
        etag = f'"{self._start:x}-{self._serial:x}"'
        info = FileInfo(name, size, self.clock(), etag)
        starts = tuple(accumulate(map(len, blocks[:-1]), initial=0))
        self._files[name] = _Version(info, tuple(blocks), starts)
        self._stored_bytes += size
        return Written(info, created=old is None)

    def _remove(self, version: _Version) -> None:
        del self._files[version.info.name]
        version.stored = False
        self._stored_bytes -= version.info.size
        if version.readers:
            self._held_bytes += version.info.size

    def _let_go(self, version: _Version) -> None:
        version.readers -= 1
        if not version.readers and not version.stored:
            self._held_bytes -= version.info.size

    # -- room -------------------------------------------------------------------------

    def _check_size(self, size: int) -> None:
        limit = min(
            (n for n in (self.max_file_bytes, self.limit_bytes) if n), default=size
        )
        if size > limit:
            raise TooLarge(f"a file may have {limit} bytes at most")

    def _make_room(self, name: str, wanted: int) -> None:
        """Make room for more bytes of a file that is being written to a name."""
        if not self.limit_bytes:
            return
        old = self._files.get(name)
        spared = 0 if old is None else old.info.size
        excess = (
            self._stored_bytes
            + self._under_way_bytes
            + wanted
            - spared
            - self.limit_bytes
        )
        if excess <= 0:
            return
        if not self.purge or excess > self._stored_bytes - spared:
            raise StorageFull(f"the limit of {self.limit_bytes} bytes is reached")
        while excess > 0:
            oldest = self._oldest_but(name)
            excess -= oldest.info.size
            self._remove(oldest)

    def _make_room_for_one(self, name: str) -> None:
        if not self.limit_files or len(self._files) < self.limit_files:
            return
        if not self.purge:
            raise StorageFull(f"the limit of {self.limit_files} files is reached")
        self._remove(self._oldest_but(name))

    def _oldest_but(self, name: str) -> _Version:
        return next(v for other, v in self._files.items() if other != name)
