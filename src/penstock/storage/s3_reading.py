"""Reading one version of an object, in answers that are kept open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import httpx
import trio

from .blocks import Block
from .errors import StorageError
from .file_system import FileInfo, OpenFile
from .s3_client import Download, S3Client, broken
from .s3_wire import info_of

__all__ = ["OpenObject", "open_object"]

_RESUMES = 3


async def open_object(client: S3Client, name: str) -> OpenObject:
    """Ask for an object and take the first of it.

    Raises: FileMissing, AccessDenied, StorageError.
    """
    answer, rest = await client.begin(name)
    try:
        return OpenObject(client, answer.body, info_of(name, answer.headers), rest)
    except BaseException:
        if rest is not None:
            await rest.aclose()
        raise


@attrs.define(eq=False)
class OpenObject(OpenFile):
    """One version of an object, as far as the server still has it."""

    client: S3Client
    head: bytes
    """The first bytes, perhaps all."""
    _info: FileInfo
    _rest: Download | None
    """The answer that the head was the beginning of."""
    is_closed: bool = False
    _iterators: list[_Blocks] = attrs.field(factory=list)

    @property
    def info(self) -> FileInfo:
        """See `OpenFile.info`."""
        return self._info

    def blocks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Block]:
        """See `OpenFile.blocks`."""
        if start < 0:
            raise ValueError("a file begins at 0")
        end = self._info.size if stop is None else min(stop, self._info.size)
        blocks = _Blocks(self, start, end)
        self._iterators.append(blocks)
        return blocks

    async def ask(self, start: int, stop: int) -> Download:
        """Return an answer with these bytes, or with more.

        Raises: StorageError: This version is gone; or as `S3Client.download`.
        """
        rest, self._rest = self._rest, None
        if rest is not None:
            if start == len(self.head):
                return rest
            # Whoever jumps in a file seldom comes back: the connection is not kept.
            await rest.aclose()
        download = await self.client.download(
            self._info.name, start, stop, self._info.etag
        )
        if download is None:
            raise StorageError(
                f"{self._info.name} was replaced or deleted while it was being read"
            )
        return download

    async def aclose(self) -> None:
        """End every answer that is still open."""
        self.is_closed = True
        rest, self._rest = self._rest, None
        if rest is not None:
            await rest.aclose()
        iterators, self._iterators = self._iterators, []
        for blocks in iterators:
            await blocks.aclose()
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class _Blocks(AsyncIterator[Block]):
    """Reads one answer that is kept open, as fast as it is asked for blocks."""

    _file: OpenObject
    _position: int
    _end: int
    _download: Download | None = None
    _resumes: int = 0

    async def __anext__(self) -> Block:
        if self._file.is_closed:
            raise trio.ClosedResourceError
        if self._position >= self._end:
            await self.aclose()
            await trio.lowlevel.checkpoint()
            raise StopAsyncIteration
        block: Block
        if self._position < len(self._file.head):
            await trio.lowlevel.checkpoint()
            block = memoryview(self._file.head)[self._position : self._end]
        else:
            block = await self._receive()
        self._position += len(block)
        return block

    async def aclose(self) -> None:
        download, self._download = self._download, None
        if download is not None:
            await download.aclose()

    async def _receive(self) -> Block:
        while True:
            if self._download is None:
                self._download = await self._file.ask(self._position, self._end)
            error: httpx.HTTPError | None = None
            try:
                if block := await self._download.receive():
                    self._resumes = 0
                    return block[: self._end - self._position]
            except httpx.HTTPError as caught:
                error = caught
            # Servers hang up on viewers who pause; the version is asked for by its tag.
            await self.aclose()
            self._resumes += 1
            if self._resumes > _RESUMES:
                if error is not None:
                    raise broken(error) from error
                raise StorageError("the S3 server sends less than it announces")
