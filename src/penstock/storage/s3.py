"""Files in an S3 bucket, or in a part of one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable

import attrs
import trio

from penstock.slices import in_slices

from .blocks import Block
from .confined import check_complete
from .errors import BadName, FileMissing, StorageError, TooLarge
from .file_system import Admission, FileInfo, FileSystem, OpenFile, Usage, Written
from .http_dates import decode_http_date
from .paths import check_name
from .s3_client import S3Client
from .s3_place import S3Place, parse_s3_url
from .s3_reading import open_object
from .s3_wire import (
    Answer,
    ListingPage,
    decode_listing,
    info_of,
)
from .s3_writing import (
    CHANGED_MEANWHILE,
    MAX_PARTS,
    NOT_IMPLEMENTED,
    Store,
    Upload,
    conditional_statuses,
)
from .totals import Listing, Totals

__all__ = ["S3FileSystem", "S3Place", "parse_s3_url"]

_PART_BYTES = 8 << 20
"""Servers take parts of 5 MiB at least, and 10,000 of them at most: 80 GB."""

_MAX_KEY_BYTES = 1024
_SILENCE_S = 20.0
_REFRESH_S = 60.0
_PATIENCE_S = 5.0
_DISCARD_S = 5.0
_ROUNDS = 8
_PAGE_FILES = 1000


@attrs.define(eq=False)
class _Turn:
    """Who changes a name now, and how many want to."""

    lock: trio.Lock = attrs.field(factory=trio.Lock)
    wanted: int = 0


@attrs.define(eq=False)
class S3FileSystem(FileSystem):
    """Files in a bucket. Call `start` before anything else and `aclose` at the end.

    **Reading.** Opening asks for the whole file and takes the first 256 KiB, which stay
    readable; the answer is kept open for who reads on. A server goes on sending the
    version it began with, which requests for one block after another could not get any
    more once the file is replaced. Elsewhere in the file, and where an answer broke
    off, a range is asked for under the condition that it is of the same version
    (``If-Match``, and the tag of the answer is compared), so the bytes of two are never
    mixed: one that is gone is a `StorageError`.

    **Writing.** A file that fits into one part is one ``PUT``. A larger one is sent in
    parts while it comes, one at a time: the source waits for the server. Nothing is
    seen of it before the last step, and what fails or is cancelled gives the parts up.
    Of a server that is killed they stay, invisible but paid for: let the bucket have a
    rule that ends uploads after a day. A cancelled call waits for the answer to a step
    that cannot be taken back any more, as long as the server may be silent.

    **Conditions.** `admit` is asked about the file that is there, and the change is
    made under the condition that it is still that one (``If-None-Match: *`` or
    ``If-Match``). If it is another by then, `admit` is asked again. That is as good as
    one step, whoever else writes to the bucket, where the server knows conditional
    writes. Where it refuses them (501) or does not look at them, the check comes a
    moment before the change; changes through this object still take turns.

    **Totals** are counted by listing, at most once in `refresh_s`, for others write
    there too. A bucket with more than `list_limit` files is not listed to its end.

    Attributes:
        place: Where.
        limit_bytes: Of all files; 0 means no limit.
        max_file_bytes: Of one file; 0 means no limit but the first.
        list_limit: The most files that a listing may have.
        part_bytes: Held in memory for each write under way.
        silence_s: How long the server may say nothing.
        refresh_s: Seconds.
    """

    place: S3Place
    limit_bytes: int = 0
    max_file_bytes: int = 0
    list_limit: int = 100_000
    part_bytes: int = _PART_BYTES
    silence_s: float = _SILENCE_S
    refresh_s: float = _REFRESH_S
    _client: S3Client = attrs.field(init=False, repr=False)
    _totals: Totals = attrs.field(init=False, repr=False)
    _turns: dict[str, _Turn] = attrs.field(factory=dict, init=False, repr=False)
    _knows_conditions: bool = attrs.field(default=True, init=False)

    async def start(self) -> None:
        """Look whether the bucket is there and may be listed.

        Raises: AccessDenied, StorageError: It may not, or is not, or the extra ``s3``
            is not installed.
        """
        self._client = S3Client(self.place, self.silence_s)
        self._totals = Totals(
            self._list,
            self.limit_bytes,
            self.max_file_bytes,
            self.refresh_s,
            _PATIENCE_S,
        )
        await self._client.start()
        try:
            await self._page("", 1)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._client.aclose()

    async def open(self, name: str) -> OpenFile:
        """See `FileSystem.open`."""
        return await open_object(self._client, self._checked(name))

    async def stat(self, name: str) -> FileInfo:
        """See `FileSystem.stat`."""
        name = self._checked(name)
        answer = await self._client.call("HEAD", name)
        return info_of(name, answer.headers)

    async def write(
        self,
        name: str,
        blocks: AsyncIterable[Block],
        *,
        expected_size: int | None = None,
        admit: Admission | None = None,
    ) -> Written:
        """See `FileSystem.write`, and the class about `admit`.

        Also raises StorageError if the connection breaks at the very last step: then
        nobody knows whether the file is the old or the new one.
        """
        name = self._checked(name)
        totals = self._totals
        spared = 0
        if self.limit_bytes:
            await totals.refresh_if_old()
            if (old := await self._find(name)) is not None:
                spared = old.size
        if expected_size is not None:
            if expected_size > MAX_PARTS * self.part_bytes:
                raise TooLarge("the file is too large for the S3 server")
            await totals.find_room(0, expected_size, spared)
        upload = Upload(self._client, name)
        gathered = bytearray()
        size = 0
        try:
            async for block in blocks:
                await totals.find_room(size, len(block), spared)
                size += len(block)
                totals.under_way_bytes += len(block)
                gathered += block
                while len(gathered) > self.part_bytes:
                    part = bytes(memoryview(gathered)[: self.part_bytes])
                    del gathered[: self.part_bytes]
                    await upload.add(part)
            check_complete(size, expected_size)
            rest = bytes(gathered)
            gathered.clear()
            if not upload.id:
                return await self._commit(name, size, upload.put_alone(rest), admit)
            await upload.add(rest)
            return await self._commit(name, size, upload.complete, admit)
        finally:
            totals.under_way_bytes -= size
            await upload.discard()

    async def delete(self, name: str, *, admit: Admission | None = None) -> FileInfo:
        """See `FileSystem.delete`, and the class about `admit`."""
        name = self._checked(name)
        async with self._turn(name):
            for _ in range(_ROUNDS):
                info = await self.stat(name)
                if admit is not None:
                    admit(info)
                conditions = self._conditions(info) if admit is not None else {}
                answer = await self._client.call(
                    "DELETE",
                    name,
                    headers=conditions,
                    expected=conditional_statuses(conditions),
                    is_commit=True,
                    # The second try would miss what the first has deleted.
                    repeatable=not conditions,
                )
                if not self._is_to_be_repeated(answer):
                    self._totals.change(-1, -info.size)
                    return info
        raise StorageError(f"{name} is changed by others all the time")

    async def entries(
        self, matches: Callable[[str], bool] | None = None
    ) -> list[FileInfo]:
        """See `FileSystem.entries`; the totals are fresh after it.

        Raises: StorageError: There are more than `list_limit` files: a part of them
            would be taken for all.
        """
        infos = await self._totals.refresh()
        if matches is None:
            return infos
        chosen = await in_slices(infos, lambda info: matches(info.name))
        return [info for info, is_match in zip(infos, chosen, strict=True) if is_match]

    async def usage(self) -> Usage:
        """See `FileSystem.usage`; the last known if the server cannot be asked now.

        Raises: StorageError: It could never be asked.
        """
        try:
            await self._totals.refresh_if_old()
        except StorageError:
            if not self._totals.is_known:
                raise
        return self._totals.usage()

    # -- names ------------------------------------------------------------------------

    def _checked(self, name: str) -> str:
        name = check_name(name)
        if len((self.place.prefix + name).encode()) - 1 > _MAX_KEY_BYTES:
            raise BadName("the name is too long for the S3 server")
        return name

    async def _find(self, name: str) -> FileInfo | None:
        try:
            return await self.stat(name)
        except FileMissing:
            return None

    # -- changes ----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(name, _Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[name]

    async def _commit(
        self, name: str, size: int, store: Store, admit: Admission | None
    ) -> Written:
        async with self._turn(name):
            for _ in range(_ROUNDS):
                old = await self._find(name)
                if admit is not None:
                    admit(old)
                answer = await store({} if admit is None else self._conditions(old))
                if not self._is_to_be_repeated(answer):
                    break
            else:
                raise StorageError(f"{name} is changed by others all the time")
            self._totals.change(old is None, size - (0 if old is None else old.size))
            return Written(await self._new_info(name, size, answer), old is None)

    def _conditions(self, old: FileInfo | None) -> dict[str, str]:
        if not self._knows_conditions:
            return {}
        if old is None:
            return {"If-None-Match": "*"}
        return {} if old.etag.startswith("W/") else {"If-Match": old.etag}

    def _is_to_be_repeated(self, answer: Answer) -> bool:
        if answer.status == NOT_IMPLEMENTED:
            self._knows_conditions = False
            return True
        return answer.status in CHANGED_MEANWHILE

    async def _new_info(self, name: str, size: int, answer: Answer) -> FileInfo:
        etag = answer.headers.get("etag", "")
        # The answer to a write does not say the time, and one file has one time. The
        # write is done: neither a failure nor being cancelled may say otherwise now.
        with trio.move_on_after(_DISCARD_S, shield=True):
            with contextlib.suppress(StorageError):
                info = await self.stat(name)
                if info.size == size and etag.strip('"') in ("", info.etag.strip('"')):
                    return info
        now = time.time()
        when = decode_http_date(answer.headers.get("date", ""), now)
        return FileInfo(
            name, size, float(now // 1 if when is None else when), etag or 'W/""'
        )

    # -- listing ----------------------------------------------------------------------

    async def _list(self) -> Listing:
        infos: list[FileInfo] = []
        continuation = ""
        while True:
            page = await self._page(continuation, _PAGE_FILES)
            infos += page.infos
            if len(infos) > self.list_limit:
                raise StorageError(
                    f"the S3 bucket has more than {self.list_limit} files: too many "
                    "to be listed"
                )
            if not page.continuation:
                return await Listing.of(infos)
            if page.continuation == continuation:
                raise StorageError("the S3 server's listing has no end")
            continuation = page.continuation

    async def _page(self, continuation: str, files: int) -> ListingPage:
        query = {"list-type": "2", "encoding-type": "url", "max-keys": str(files)}
        if self.place.prefix:
            query["prefix"] = self.place.prefix
        if continuation:
            query["continuation-token"] = continuation
        answer = await self._client.call("GET", None, query=query)
        return await self._client.run_blocking(
            lambda: decode_listing(answer.body, self.place.prefix)
        )
