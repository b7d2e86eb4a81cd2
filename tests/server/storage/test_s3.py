"""What is written to a bucket, on which conditions, and what is listed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import trio

from penstock.storage.blocks import Block
from penstock.storage.errors import (
    BadName,
    FileMissing,
    StorageError,
    TooLarge,
)
from penstock.storage.file_system import FileInfo
from penstock.storage.s3 import S3FileSystem

if TYPE_CHECKING:
    from tests.server.storage.conftest import Request, StartStub

pytestmark = pytest.mark.slow


class _Torn(Exception):
    pass


async def absent(request: Request) -> None:
    await request.absent()


# -- writing --------------------------------------------------------------------------


async def test_many_parts_become_one_file(
    s3: S3FileSystem, tools: Any, others: Any
) -> None:
    content = bytes(range(256)) * 36
    written = await s3.write("/f", tools.stream(content[:5000], content[5000:]))
    assert written.info.etag.endswith('-3"')
    assert await tools.read(s3, "/f") == content
    assert others.uploads(s3.place) == 0


async def test_a_torn_upload_is_given_up(s3: S3FileSystem, others: Any) -> None:
    async def torn() -> AsyncIterator[Block]:
        yield b"x" * 5000
        yield b"x"
        assert others.uploads(s3.place) == 1
        raise _Torn

    with pytest.raises(_Torn):
        await s3.write("/f", torn())
    assert others.uploads(s3.place) == 0
    assert await s3.entries() == []


async def test_a_cancelled_upload_is_given_up(s3: S3FileSystem, others: Any) -> None:
    async def stuck() -> AsyncIterator[Block]:
        yield b"x" * 5000
        assert others.uploads(s3.place) == 1
        scope.cancel()
        await trio.sleep_forever()

    with trio.CancelScope() as scope:
        await s3.write("/f", stuck())
    assert others.uploads(s3.place) == 0
    assert (await s3.usage()).under_way_bytes == 0


async def test_a_write_cancelled_before_its_end_ends_at_once(
    start: StartStub, tools: Any
) -> None:
    files, stub = await start(absent, silence_s=60.0)
    stub.stalls_at = "PUT"
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(files.write, "/f", tools.stream(b"x" * (8 << 20)))
            await stub.stalled.wait()
            nursery.cancel_scope.cancel()
    assert (await files.usage()).under_way_bytes == 0


async def test_a_write_cancelled_after_its_end_is_done(
    start: StartStub, tools: Any
) -> None:
    came, go = trio.Event(), trio.Event()
    stored = []

    async def behaviour(request: Request) -> None:
        if request.method == "PUT":
            stored.append(request.body)
            came.set()
            await go.wait()
            await request.answer(200, ETag='"new"')
        elif stored:
            await request.describe(len(stored[0]), '"new"')
        else:
            await request.absent()

    files, _ = await start(behaviour)
    await files.usage()
    written = []

    async def write() -> None:
        written.append(await files.write("/f", tools.stream(b"x" * 100_000)))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await came.wait()
            nursery.cancel_scope.cancel()
            go.set()
    assert [w.info.etag for w in written] == ['"new"']
    assert (await files.usage()).size_bytes == 100_000


async def test_an_upload_that_fails_at_the_end_is_given_up(
    start: StartStub, tools: Any
) -> None:
    async def behaviour(request: Request) -> None:
        if request.path.endswith("?uploads="):
            await request.answer(
                200,
                b"<InitiateMultipartUploadResult><UploadId>u/1</UploadId>"
                b"</InitiateMultipartUploadResult>",
            )
        elif request.method == "PUT":
            await request.answer(200, ETag='"part"')
        elif request.method == "POST":
            # A server that has begun to answer has said 200 already.
            await request.answer(200, b"<Error><Code>InternalError</Code></Error>")
        elif request.method == "DELETE":
            await request.answer(204)
        else:
            await request.absent()

    files, stub = await start(behaviour, part_bytes=4)
    with pytest.raises(StorageError, match="InternalError"):
        await files.write("/f", tools.stream(b"123456789"))
    asked = [f"{request.method} {request.path}" for request in stub.requests]
    assert asked == [
        "POST /bucket/f?uploads=",
        "PUT /bucket/f?partNumber=1&uploadId=u%2F1",
        "PUT /bucket/f?partNumber=2&uploadId=u%2F1",
        "PUT /bucket/f?partNumber=3&uploadId=u%2F1",
        "HEAD /bucket/f",
        "POST /bucket/f?uploadId=u%2F1",
        "DELETE /bucket/f?uploadId=u%2F1",
    ]
    assert [r.body for r in stub.requests[1:4]] == [b"1234", b"5678", b"9"]


async def test_more_than_ten_thousand_parts_are_too_large(
    s3: S3FileSystem, tools: Any
) -> None:
    files = S3FileSystem(s3.place, part_bytes=4)
    await files.start()
    with pytest.raises(TooLarge):
        await files.write("/f", tools.stream(), expected_size=40_001)
    await files.aclose()


async def test_a_name_too_long_behind_the_prefix_is_none(
    s3: S3FileSystem, tools: Any
) -> None:
    name = "/".join(["x" * 255] * 3) + "/" + "y" * (256 - len("our own/"))
    assert (await s3.write(name, tools.stream(b"x"))).created
    with pytest.raises(BadName):
        await s3.write(name + "y", tools.stream(b"x"))


# -- conditions -----------------------------------------------------------------------


async def test_whoever_else_changes_a_file_is_noticed(
    s3: S3FileSystem, tools: Any, others: Any
) -> None:
    other = S3FileSystem(s3.place)
    await other.start()
    asked: list[FileInfo | None] = []

    def interrupted(current: FileInfo | None) -> None:
        asked.append(current)
        if len(asked) < 4:
            others.change(s3.place, "PUT", "our own/f", b"x" * len(asked))

    assert not (await s3.write("/f", tools.stream(b"mine"), admit=interrupted)).created
    assert [info and info.size for info in asked] == [None, 1, 2, 3]
    assert await tools.read(other, "/f") == b"mine"

    def taken(current: FileInfo | None) -> None:
        asked.append(current)
        others.change(s3.place, "DELETE", "our own/f")

    asked.clear()
    with pytest.raises(FileMissing):
        await s3.delete("/f", admit=taken)
    assert len(asked) == 1
    await other.aclose()


async def test_an_upload_does_not_take_a_name_that_was_new_a_moment_ago(
    s3: S3FileSystem, tools: Any, others: Any
) -> None:
    def only_new(current: FileInfo | None) -> None:
        if current is not None:
            raise _Torn
        others.change(s3.place, "PUT", "our own/f", b"theirs")

    with pytest.raises(_Torn):
        await s3.write("/f", tools.stream(b"x" * 9000), admit=only_new)
    assert await tools.read(s3, "/f") == b"theirs"
    assert others.uploads(s3.place) == 0


async def test_a_file_that_changes_all_the_time_is_given_up(
    start: StartStub, tools: Any
) -> None:
    async def behaviour(request: Request) -> None:
        if request.method == "HEAD":
            await request.describe(1)
        else:
            await request.fail(412, "PreconditionFailed")

    files, stub = await start(behaviour)
    with pytest.raises(StorageError, match="all the time"):
        await files.write("/f", tools.stream(b"x"), admit=lambda current: None)
    with pytest.raises(StorageError, match="all the time"):
        await files.delete("/f", admit=lambda current: None)
    assert len(stub.requests) == 32


async def test_a_server_without_conditions_is_asked_without(
    start: StartStub, tools: Any
) -> None:
    async def behaviour(request: Request) -> None:
        if request.method == "HEAD":
            await request.describe(1)
        elif "if-match" in request.headers:
            await request.fail(501, "NotImplemented")
        else:
            await request.answer(200, ETag='"e"')

    files, stub = await start(behaviour)
    for _ in range(2):
        await files.write("/f", tools.stream(b"x"), admit=lambda current: None)
    puts = [r for r in stub.requests if r.method == "PUT"]
    assert ["if-match" in r.headers for r in puts] == [True, False, False]


async def test_without_a_condition_none_is_sent(start: StartStub, tools: Any) -> None:
    async def behaviour(request: Request) -> None:
        if request.method == "HEAD":
            await request.describe(1)
        else:
            await request.answer(200, ETag='"e"')

    files, stub = await start(behaviour)
    await files.write("/f", tools.stream(b"x"))
    await files.delete("/f")
    assert not any("if-match" in r.headers for r in stub.requests)


async def test_the_bucket_is_told_what_kind_of_file_it_gets(
    start: StartStub, tools: Any
) -> None:
    files, stub = await start(absent, part_bytes=4)
    for content in (b"#E", b"#EXTM3U"):
        with pytest.raises(FileMissing):
            await files.write("/a.m3u8", tools.stream(content))
    kinds = [r.headers.get("content-type") for r in stub.requests if r.method != "HEAD"]
    assert kinds == ["application/vnd.apple.mpegurl"] * 2


# -- listing --------------------------------------------------------------------------


async def test_a_listing_of_several_pages_is_read_to_its_end(start: StartStub) -> None:
    def page(number: int) -> bytes:
        more = (
            "<IsTruncated>true</IsTruncated>"
            f"<NextContinuationToken>{number + 1}</NextContinuationToken>"
        )
        files = "".join(
            f"<Contents><Key>{number}/{n}</Key><Size>1</Size><ETag>e</ETag>"
            "<LastModified>2026-11-27T12:00:00Z</LastModified></Contents>"
            for n in range(1000)
        )
        return (
            f"<ListBucketResult>{more if number < 2 else ''}{files}</ListBucketResult>"
        ).encode()

    files, stub = await start(absent, list_limit=3000)

    async def pages(request: Request) -> None:
        found = re.search(r"continuation-token=(\d)", request.path)
        await request.answer(200, page(int(found[1]) if found else 0))

    stub.behaviour = pages
    stub.lists = True
    assert len(await files.entries()) == 3000
    assert len(await files.entries(lambda name: name.startswith("/1/"))) == 1000
    assert (await files.usage()).files == 3000
    few = S3FileSystem(stub.place, list_limit=2999)
    await few.start()
    with pytest.raises(StorageError, match="more than 2999 files"):
        await few.entries()
    await few.aclose()


async def test_a_listing_without_end_is_left(start: StartStub) -> None:
    files, stub = await start(absent)

    async def endless(request: Request) -> None:
        await request.answer(
            200,
            b"<ListBucketResult><IsTruncated>true</IsTruncated>"
            b"<NextContinuationToken>a</NextContinuationToken></ListBucketResult>",
        )

    stub.behaviour = endless
    stub.lists = True
    with pytest.raises(StorageError, match="no end"):
        await files.entries()


async def test_what_lies_beside_the_prefix_is_not_seen(
    s3: S3FileSystem, tools: Any, others: Any
) -> None:
    for key in ("other", "our own", "our own/folder/", "our own/a"):
        others.change(s3.place, "PUT", key, b"x")
    assert [info.name for info in await s3.entries()] == ["/a"]
    assert (await s3.stat("/a")) in await s3.entries()


async def test_totals_stay_known_while_the_server_is_away(start: StartStub) -> None:
    files, stub = await start(absent, refresh_s=0.0)
    before = await files.usage()

    async def away(request: Request) -> None:
        request.hang_up()

    stub.behaviour = away
    stub.lists = True
    assert await files.usage() == before
