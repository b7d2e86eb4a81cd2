"""How full a file system is that others write to as well."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import attrs
import trio

from penstock.slices import in_slices

from .errors import StorageFull, TooLarge
from .file_system import FileInfo, Usage

__all__ = ["Listing", "Totals"]


@attrs.frozen
class Listing:
    """What a look at everything has found."""

    infos: list[FileInfo]
    """Files that can be named."""
    files: int
    """All of them, those with impossible names included."""
    size_bytes: int
    """The same."""

    @classmethod
    async def of(cls, infos: list[FileInfo]) -> Listing:
        """Count files, all of which can be named."""
        sizes = await in_slices(infos, lambda info: info.size)
        return cls(infos, len(infos), sum(sizes))


@attrs.define(eq=False)
class Totals:
    """Counts from listings, at most `refresh_s` old, and from our changes in between.

    Attributes:
        list_files: Lists everything.
        limit_bytes: Of all files; 0 means no limit.
        max_file_bytes: Of one file; 0 means no limit but the first.
        refresh_s: How old counts may be; seconds.
        patience_s: How old they may be to refuse a write by them: room that others made
            is found soon, and a full place is not listed for each that asks.
    """

    list_files: Callable[[], Awaitable[Listing]]
    limit_bytes: int = 0
    max_file_bytes: int = 0
    refresh_s: float = 60.0
    patience_s: float = 1.0
    under_way_bytes: int = attrs.field(default=0, init=False)
    """Of writes that have not ended; the writers count them."""
    _files: int = attrs.field(default=0, init=False)
    _stored_bytes: int = attrs.field(default=0, init=False)
    _listed_at: float = attrs.field(default=-math.inf, init=False)
    _listing: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @property
    def is_known(self) -> bool:
        """Whether there was a listing."""
        return self._listed_at > -math.inf

    def usage(self) -> Usage:
        """Return the counts as they are, and the limit."""
        return Usage(
            max(self._files, 0),
            max(self._stored_bytes, 0),
            self.under_way_bytes,
            self.limit_bytes,
        )

    def change(self, files: int, size_bytes: int) -> None:
        """Count files and bytes that we have added or, negative, removed."""
        self._files += files
        self._stored_bytes += size_bytes

    async def refresh_if_old(self) -> None:
        """List if the last listing is older than `refresh_s`; raises what that does."""
        async with self._listing:
            if trio.current_time() - self._listed_at >= self.refresh_s:
                await self._list()

    async def refresh(self) -> list[FileInfo]:
        """List and return all files; raises what that does."""
        async with self._listing:
            return await self._list()

    async def find_room(self, size: int, wanted: int, spared: int) -> None:
        """Refuse bytes that do not fit, by counts that are not too old.

        Args:
            size: What has come of the file so far, counted in `under_way_bytes`.
            wanted: What is to come now.
            spared: The size of the file that will be replaced.

        Raises:
            TooLarge: The file alone is too large.
            StorageFull: It does not fit beside the others.
        """
        try:
            self._check_room(size, wanted, spared)
        except StorageFull:
            patience_s = min(self.patience_s, self.refresh_s)
            if trio.current_time() - self._listed_at < patience_s:
                raise
            await self.refresh()
            self._check_room(size, wanted, spared)

    def _check_room(self, size: int, wanted: int, spared: int) -> None:
        limits = [n for n in (self.max_file_bytes, self.limit_bytes) if n]
        if limits and size + wanted > min(limits):
            raise TooLarge(f"a file may have {min(limits)} bytes at most")
        taken = self._stored_bytes + self.under_way_bytes - spared
        if self.limit_bytes and taken + wanted > self.limit_bytes:
            raise StorageFull(f"the limit of {self.limit_bytes} bytes is reached")

    async def _list(self) -> list[FileInfo]:
        files, stored = self._files, self._stored_bytes
        found = await self.list_files()
        # The listing may have seen our changes of meanwhile or not; counting them once
        # more errs by a few files until the next one, and waits for nobody.
        self._files += found.files - files
        self._stored_bytes += found.size_bytes - stored
        self._listed_at = trio.current_time()
        return found.infos
