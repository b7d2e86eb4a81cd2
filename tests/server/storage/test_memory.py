"""What is particular to files in memory."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import trio

from penstock.storage.errors import StorageFull, TooLarge
from penstock.storage.memory import MemoryFileSystem

LIMIT = 10_000


async def test_a_large_block_is_neither_copied_in_nor_out(tools: Any) -> None:
    files = MemoryFileSystem()
    block = bytes(3 << 20)
    await files.write("/f", tools.stream(block))
    async with await files.open("/f") as file:
        views = [view async for view in file.blocks(5)]
    assert len(views) == 3
    assert all(isinstance(view, memoryview) and view.obj is block for view in views)


async def test_small_pieces_become_large_blocks(tools: Any) -> None:
    files = MemoryFileSystem()
    pieces = [bytes([number % 256]) * 10 for number in range(60_000)]
    await files.write("/f", tools.stream(*pieces))
    async with await files.open("/f") as file:
        sizes = [len(view) async for view in file.blocks()]
    assert sizes == [262_150, 262_150, 75_700]
    around = await tools.read(files, "/f", 262_100, 262_200)
    assert around == b"".join(pieces[26_210:26_220])


async def test_what_is_deleted_under_a_reader_counts_as_held(
    memory: MemoryFileSystem, tools: Any
) -> None:
    await tools.put(memory, "/f", b"x" * 100)
    one, two = await memory.open("/f"), await memory.open("/f")
    await memory.delete("/f")
    usage = await memory.usage()
    assert (usage.size_bytes, usage.held_bytes) == (0, 100)
    await one.aclose()
    await one.aclose()
    assert (await memory.usage()).held_bytes == 100
    await two.aclose()
    assert (await memory.usage()).held_bytes == 0
    with pytest.raises(trio.ClosedResourceError):
        await anext(two.blocks())


async def test_purging_drops_the_oldest_files_for_a_new_one(tools: Any) -> None:
    files = MemoryFileSystem(limit_bytes=LIMIT, purge=True)
    for name in ("/a", "/b", "/c"):
        await tools.put(files, name, b"x" * 3000)
    await tools.put(files, "/a", b"y" * 3000)  # now /b is the oldest
    await tools.put(files, "/d", b"x" * 3000)
    assert {info.name for info in await files.entries()} == {"/a", "/c", "/d"}
    with pytest.raises(TooLarge):
        await files.write("/e", tools.stream(), expected_size=LIMIT + 1)
    assert (await files.usage()).files == 3


async def test_purging_spares_the_file_that_is_replaced(tools: Any) -> None:
    files = MemoryFileSystem(limit_bytes=LIMIT, purge=True)
    await tools.put(files, "/old", b"x" * 6000)
    await tools.put(files, "/new", b"x" * 4000)
    await tools.put(files, "/old", b"y" * 8000)
    assert [info.name for info in await files.entries()] == ["/old"]
    assert (await files.usage()).size_bytes == 8000


async def test_purging_cannot_make_room_among_writes_under_way(tools: Any) -> None:
    files = MemoryFileSystem(limit_bytes=LIMIT, purge=True)
    outcome = []

    async def nested() -> Any:
        yield b"x" * 6000
        with pytest.raises(StorageFull):
            await tools.put(files, "/b", b"x" * 5000)
        outcome.append((await files.usage()).under_way_bytes)

    await files.write("/a", nested())
    assert outcome == [6000]


@pytest.mark.parametrize("purge", [False, True])
async def test_the_number_of_files_is_limited(tools: Any, purge: bool) -> None:
    files = MemoryFileSystem(limit_files=2, purge=purge)
    await tools.put(files, "/a", b"")
    await tools.put(files, "/b", b"")
    await tools.put(files, "/a", b"")
    if purge:
        await tools.put(files, "/c", b"")
        assert {info.name for info in await files.entries()} == {"/a", "/c"}
    else:
        with pytest.raises(StorageFull):
            await tools.put(files, "/c", b"")
        assert (await files.usage()).files == 2


async def test_tags_differ_from_those_of_another_start(tools: Any) -> None:
    starts = count(1)
    tags = set()
    for _ in range(2):
        files = MemoryFileSystem(clock=lambda: 1.0, dice=lambda: next(starts))
        for _ in range(2):
            await tools.put(files, "/f", b"same")
            tags.add((await files.stat("/f")).etag)
    assert tags == {'"1-1"', '"1-2"', '"2-1"', '"2-2"'}
