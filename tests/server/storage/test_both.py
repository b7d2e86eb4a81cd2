"""What all file systems do alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from penstock.storage.blocks import Block
from penstock.storage.errors import (
    BadName,
    FileMissing,
    StorageFull,
    TooLarge,
    WriteIncomplete,
)
from penstock.storage.file_system import FileInfo, FileSystem

LIMIT = 10_000


async def test_what_was_written_is_read(files: FileSystem, tools: Any) -> None:
    written = await files.write("/a/b.txt", tools.stream(b"one", b"", b"two"))
    assert written.created
    assert (written.info.name, written.info.size) == ("/a/b.txt", 6)
    assert await tools.read(files, "/a/b.txt") == b"onetwo"
    assert await tools.read(files, "a/b.txt") == b"onetwo"
    assert (await files.stat("/a/b.txt")).modified_at == written.info.modified_at


async def test_an_empty_file_is_a_file(files: FileSystem, tools: Any) -> None:
    await files.write("/empty", tools.stream())
    assert await tools.read(files, "/empty") == b""
    assert (await files.usage()).files == 1


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, None, b"0123456789"),
        (3, 5, b"34"),
        (9, 99, b"9"),
        (4, 4, b""),
        (10, None, b""),
        (99, None, b""),
        (5, 3, b""),
    ],
)
async def test_a_part_is_read(
    files: FileSystem, tools: Any, start: int, stop: int | None, expected: bytes
) -> None:
    await files.write("/f", tools.stream(b"0123", bytearray(b"456"), b"789"))
    assert await tools.read(files, "/f", start, stop) == expected


async def test_a_part_before_the_beginning_is_a_mistake(
    files: FileSystem, tools: Any
) -> None:
    await tools.put(files, "/f", b"x")
    with pytest.raises(ValueError, match="begins"):
        await tools.read(files, "/f", -1)


async def test_a_view_that_changes_later_was_copied(
    files: FileSystem, tools: Any
) -> None:
    shared = bytearray(b"x" * 600)

    async def reuse() -> AsyncIterator[Block]:
        yield memoryview(shared)
        shared[:] = b"y" * 600
        yield memoryview(shared)

    await files.write("/f", reuse())
    assert await tools.read(files, "/f") == b"x" * 600 + b"y" * 600


async def test_replacing_is_told_from_creating(files: FileSystem, tools: Any) -> None:
    assert await tools.put(files, "/f", b"old")
    before = await files.stat("/f")
    assert not await tools.put(files, "/f", b"newer")
    after = await files.stat("/f")
    assert before.etag.removeprefix("W/") != after.etag.removeprefix("W/")
    usage = await files.usage()
    assert (usage.files, usage.size_bytes, usage.under_way_bytes) == (1, 5, 0)


@pytest.mark.parametrize("change", ["replace", "delete"])
async def test_a_reader_keeps_the_version_it_opened(
    files: FileSystem, tools: Any, change: str
) -> None:
    await tools.put(files, "/f", b"old" * 1000)
    async with await files.open("/f") as file:
        blocks = file.blocks(0, 3)
        first = bytes(await anext(blocks))
        if change == "replace":
            await tools.put(files, "/f", b"new" * 100)
        else:
            await files.delete("/f")
        rest = b"".join([bytes(block) async for block in file.blocks(3)])
    assert first + rest == b"old" * 1000
    assert file.info.size == 3000


async def test_readers_and_a_writer_at_once_see_whole_versions(
    files: FileSystem, tools: Any
) -> None:
    versions = [bytes([number]) * (500 + number) for number in range(40)]
    await tools.put(files, "/f", versions[0])
    done = trio.Event()

    async def check() -> None:
        while not done.is_set():
            assert await tools.read(files, "/f") in versions

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(check)
            for version in versions:
                await tools.put(files, "/f", version)
            done.set()
    assert await tools.read(files, "/f") == versions[-1]


async def test_writers_of_one_name_leave_one_whole_file(
    files: FileSystem, tools: Any
) -> None:
    created = []

    async def write(number: int) -> None:
        half = bytes([number]) * 100
        written = await files.write("/d/f", tools.stream(half, half))
        created.append(written.created)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(write, number)
    content = await tools.read(files, "/d/f")
    assert len(content) == 200
    assert len(set(content)) == 1
    assert created.count(True) == 1
    usage = await files.usage()
    assert (usage.files, usage.size_bytes, usage.under_way_bytes) == (1, 200, 0)


async def test_a_deleted_file_is_gone(files: FileSystem, tools: Any) -> None:
    await tools.put(files, "/d/f", b"four")
    assert (await files.delete("/d/f")).size == 4
    for act in (files.open, files.stat, files.delete):
        with pytest.raises(FileMissing, match="/d/f"):
            await act("/d/f")
    usage = await files.usage()
    assert (usage.files, usage.size_bytes) == (0, 0)


async def test_what_lies_above_a_file_is_no_file(files: FileSystem, tools: Any) -> None:
    await tools.put(files, "/d/f", b"x")
    for name in ("/d", "/d/f/g"):
        for act in (files.open, files.stat, files.delete):
            with pytest.raises(FileMissing):
                await act(name)


async def test_a_listing_has_files_of_all_depths(files: FileSystem, tools: Any) -> None:
    sizes = {"/a.txt": 1, "/b/c.ts": 2, "/b/d/e.ts": 3, "/ü w.ts": 4}
    for name, size in sizes.items():
        await tools.put(files, name, b"x" * size)
    assert {info.name: info.size for info in await files.entries()} == sizes
    some = await files.entries(lambda name: name.endswith(".ts"))
    assert {info.name for info in some} == set(sizes) - {"/a.txt"}


# -- room -----------------------------------------------------------------------------


async def test_files_fill_the_limit_to_the_byte(files: FileSystem, tools: Any) -> None:
    await tools.put(files, "/a", b"x" * (LIMIT - 10))
    with pytest.raises(StorageFull):
        await tools.put(files, "/b", b"x" * 11)
    await tools.put(files, "/b", b"x" * 10)
    with pytest.raises(StorageFull):
        await tools.put(files, "/c", b"x")
    await tools.put(files, "/c", b"")
    await files.delete("/b")
    await tools.put(files, "/d", b"x" * 10)
    assert (await files.usage()).size_bytes == LIMIT


async def test_a_full_file_system_takes_a_replacement(
    files: FileSystem, tools: Any
) -> None:
    await tools.put(files, "/a", b"x" * 6000)
    await tools.put(files, "/b", b"x" * 4000)
    await tools.put(files, "/a", b"y" * 6000)
    with pytest.raises(StorageFull):
        await tools.put(files, "/a", b"z" * 6001)
    assert await tools.read(files, "/a") == b"y" * 6000


async def test_a_file_beyond_the_limit_is_too_large(
    files: FileSystem, tools: Any
) -> None:
    with pytest.raises(TooLarge):
        await tools.put(files, "/a", b"x" * (LIMIT + 1))
    with pytest.raises(TooLarge):
        await files.write("/a", _unread(), expected_size=LIMIT + 1)


async def test_what_cannot_fit_is_refused_before_it_is_read(
    files: FileSystem, tools: Any
) -> None:
    await tools.put(files, "/a", b"x" * 6000)
    with pytest.raises(StorageFull):
        await files.write("/b", _unread(), expected_size=4001)


class _unread(AsyncIterator[Block]):
    async def __anext__(self) -> Block:
        pytest.fail("a byte was asked for")


async def test_bytes_count_while_they_come(files: FileSystem, tools: Any) -> None:
    seen = []

    async def watch() -> AsyncIterator[Block]:
        for size in (1, 10, 100):
            yield b"x" * size
            usage = await files.usage()
            seen.append((usage.files, usage.size_bytes, usage.under_way_bytes))
        with pytest.raises(StorageFull):
            await tools.put(files, "/other", b"x" * (LIMIT - 110))

    await files.write("/f", watch())
    assert seen == [(0, 0, 1), (0, 0, 11), (0, 0, 111)]
    usage = await files.usage()
    assert (usage.files, usage.size_bytes, usage.under_way_bytes) == (1, 111, 0)


class _Torn(Exception):
    pass


@pytest.mark.parametrize("old", [None, b"old"])
async def test_a_write_whose_source_fails_changes_nothing(
    files: FileSystem, tools: Any, old: bytes | None
) -> None:
    async def torn() -> AsyncIterator[Block]:
        yield b"x" * 5000
        raise _Torn

    if old is not None:
        await tools.put(files, "/d/f", old)
    before = await files.usage()
    with pytest.raises(_Torn):
        await files.write("/d/f", torn())
    assert await files.usage() == before
    if old is None:
        assert await files.entries() == []
    else:
        assert await tools.read(files, "/d/f") == old


async def test_a_cancelled_write_frees_everything(
    files: FileSystem, tools: Any
) -> None:
    async def stuck() -> AsyncIterator[Block]:
        yield b"x" * 5000
        scope.cancel()
        await trio.sleep_forever()

    with trio.CancelScope() as scope:
        await files.write("/d/f", stuck())
    assert scope.cancelled_caught
    usage = await files.usage()
    assert (usage.files, usage.size_bytes, usage.under_way_bytes) == (0, 0, 0)
    await tools.put(files, "/g", b"x" * LIMIT)


@pytest.mark.parametrize("announced", [4, 6])
async def test_another_length_than_announced_is_refused(
    files: FileSystem, tools: Any, announced: int
) -> None:
    await tools.put(files, "/f", b"old")
    with pytest.raises(WriteIncomplete):
        await files.write("/f", tools.stream(b"12345"), expected_size=announced)
    assert await tools.read(files, "/f") == b"old"


# -- who may change -------------------------------------------------------------------


class _Forbidden(Exception):
    pass


async def test_a_change_can_be_forbidden_by_what_is_there(
    files: FileSystem, tools: Any
) -> None:
    asked: list[FileInfo | None] = []

    def forbid(current: FileInfo | None) -> None:
        asked.append(current)
        raise _Forbidden

    with pytest.raises(_Forbidden):
        await files.write("/f", tools.stream(b"x"), admit=forbid)
    assert asked == [None]
    await tools.put(files, "/f", b"old")
    with pytest.raises(_Forbidden):
        await files.write("/f", tools.stream(b"x"), admit=forbid)
    with pytest.raises(_Forbidden):
        await files.delete("/f", admit=forbid)
    assert [info and info.size for info in asked[1:]] == [3, 3]
    with pytest.raises(FileMissing):
        await files.delete("/g", admit=forbid)
    assert await tools.read(files, "/f") == b"old"
    assert (await files.usage()).size_bytes == 3


async def test_of_writers_that_want_a_new_name_one_wins(
    files: FileSystem, tools: Any
) -> None:
    def only_new(current: FileInfo | None) -> None:
        if current is not None:
            raise _Forbidden

    results = []

    async def write() -> None:
        try:
            await files.write("/f", tools.stream(b"x"), admit=only_new)
            results.append(True)
        except _Forbidden:
            results.append(False)

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(write)
    assert results.count(True) == 1


# -- names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "..",
        "/../etc/passwd",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "//etc/passwd",
        "/a//b",
        "/a/",
        "/a\\..\\b",
        "/a\0.txt",
        "/a\nSet-Cookie: b",
        "/\ud800",
        "/" + "x" * 256,
        "/" + "ü" * 128,
        "/" + "x/" * 512 + "x",
    ],
)
async def test_a_hostile_name_is_refused_everywhere(
    files: FileSystem, tools: Any, name: str
) -> None:
    for act in (files.open, files.stat, files.delete):
        with pytest.raises(BadName):
            await act(name)
    with pytest.raises(BadName):
        await files.write(name, _unread())


@pytest.mark.parametrize("name", ["/%2e%2e/x", "/...", "/a/..b", "/~", "/a b?#%00"])
async def test_a_name_that_only_looks_hostile_is_a_name(
    files: FileSystem, tools: Any, name: str
) -> None:
    await tools.put(files, name, b"x")
    assert [info.name for info in await files.entries()] == [name]
    assert await tools.read(files, name) == b"x"
