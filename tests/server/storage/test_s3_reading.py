"""What is read from a bucket, also while it changes or the connection breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from penstock.storage.errors import (
    StorageError,
)
from penstock.storage.s3 import S3FileSystem, S3Place

if TYPE_CHECKING:
    from tests.server.storage.conftest import Request, StartStub

pytestmark = pytest.mark.slow

DATE = "Fri, 27 Nov 2026 12:00:00 GMT"


async def test_large_files_come_in_large_blocks(s3: S3FileSystem, tools: Any) -> None:
    files = S3FileSystem(s3.place)
    await files.start()
    content = bytes(range(256)) * 8192
    await tools.put(files, "/f", content)
    async with await files.open("/f") as file:
        blocks = [block async for block in file.blocks()]
        assert b"".join(map(bytes, blocks)) == content
        assert len(blocks) == 8
    for start, stop in ((0, 300_000), (262_143, 262_145), (262_144, None), (2**21, 9)):
        assert await tools.read(files, "/f", start, stop) == content[start:stop]
    await files.aclose()


async def test_a_version_that_is_gone_is_never_mixed_with_another(
    s3_place: S3Place, tools: Any
) -> None:
    files = S3FileSystem(s3_place)
    await files.start()
    old, new = b"o" * 1_000_000, b"n" * 1_000_000
    await tools.put(files, "/f", old)
    async with await files.open("/f") as file:
        await tools.put(files, "/f", new)
        # What was begun goes on, what was fetched with the name is kept.
        assert b"".join([bytes(block) async for block in file.blocks()]) == old
        assert bytes(await anext(file.blocks(0, 10))) == old[:10]
        with pytest.raises(StorageError, match="/f was replaced or deleted"):
            await anext(file.blocks(500_000))
    await files.aclose()


async def test_a_server_waits_for_a_slow_reader(start: StartStub) -> None:
    size = 64 << 20
    done = trio.Event()

    async def behaviour(request: Request) -> None:
        await request.send_file(size)
        done.set()

    files, _ = await start(behaviour)
    async with await files.open("/f") as file:
        blocks = file.blocks()
        for _ in range(3):
            await anext(blocks)
        with trio.move_on_after(0.3):
            await done.wait()
        assert not done.is_set()
        total = 3 * (256 << 10)
        async for block in blocks:
            total += len(block)
        assert total == size


async def test_files_that_are_not_read_to_their_end_keep_no_connection(
    start: StartStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.storage.s3_client._DOWNLOADS", 2)

    async def behaviour(request: Request) -> None:
        await request.send_file(1 << 20)

    files, _ = await start(behaviour)
    with trio.fail_after(60):
        for start_at in (None, 0, 300_000, 900_000) * 2:
            async with await files.open("/f") as file:
                if start_at is not None:
                    await anext(file.blocks(start_at))
        async with await files.open("/f") as file:
            with trio.CancelScope() as scope:
                async for _ in file.blocks():
                    scope.cancel()
        async with await files.open("/f"), await files.open("/f") as file:
            assert sum([len(block) async for block in file.blocks()]) == 1 << 20


async def test_a_download_that_breaks_off_is_taken_up_again(start: StartStub) -> None:
    size = 1 << 20
    breaks: list[int | None] = [None, 700_000, 400_000]

    async def behaviour(request: Request) -> None:
        await request.send_file(size, until=breaks.pop())

    files, stub = await start(behaviour)
    async with await files.open("/f") as file:
        assert sum([len(block) async for block in file.blocks()]) == size
    asked = [(r.headers.get("range"), r.headers.get("if-match")) for r in stub.requests]
    assert asked[0] == (None, None)
    # What had not filled a block when it broke off is asked for again.
    assert asked[1:] == [
        ("bytes=262144-1048575", '"e"'),
        ("bytes=524288-1048575", '"e"'),
    ]


async def test_a_download_that_always_breaks_off_is_given_up(start: StartStub) -> None:
    async def behaviour(request: Request) -> None:
        await request.send_file(1 << 20, until=300_000)

    files, stub = await start(behaviour)
    async with await files.open("/f") as file:
        with pytest.raises(StorageError, match="broke off"):
            [block async for block in file.blocks()]
    assert len(stub.requests) < 10


async def test_another_version_is_seen_even_if_conditions_are_not(
    start: StartStub,
) -> None:
    async def behaviour(request: Request) -> None:
        etag = '"other"' if "range" in request.headers else '"e"'
        await request.send_file(900_000, etag)

    files, _ = await start(behaviour)
    async with await files.open("/f") as file:
        with pytest.raises(StorageError, match="was replaced"):
            await anext(file.blocks(600_000))


async def test_another_part_than_was_asked_for_is_refused(start: StartStub) -> None:
    async def behaviour(request: Request) -> None:
        if "range" in request.headers:
            request.headers["range"] = "bytes=0-5"
        await request.send_file(900_000)

    files, _ = await start(behaviour)
    async with await files.open("/f") as file:
        with pytest.raises(StorageError, match="another part"):
            await anext(file.blocks(600_000))


@pytest.mark.parametrize(
    "fields",
    [{"ETag": ""}, {"ETag": '"a"b'}, {"Last_Modified": "now"}, {"Last_Modified": ""}],
)
@pytest.mark.parametrize("size", [5, 900_000])
async def test_an_answer_that_says_too_little_is_refused(
    start: StartStub, fields: dict[str, str], size: int
) -> None:
    async def behaviour(request: Request) -> None:
        known: dict[str, Any] = {"ETag": '"e"', "Last_Modified": DATE}
        await request.answer(200, b"x" * size, **{**known, **fields})

    files, _ = await start(behaviour)
    with pytest.raises(StorageError, match="S3 server"):
        await files.open("/f")


async def test_a_closed_file_gives_nothing(s3: S3FileSystem, tools: Any) -> None:
    await tools.put(s3, "/f", b"x")
    file = await s3.open("/f")
    blocks = file.blocks()
    await file.aclose()
    await file.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await anext(blocks)
