"""Many writers and readers at once, some of them cancelled anywhere."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import trio

from penstock.storage.blocks import Block
from penstock.storage.errors import FileMissing, StorageFull
from penstock.storage.file_system import FileSystem

LIMIT = 10_000
NAMES = ("/a", "/b", "/d/c", "/d/e/f")


class _Source(AsyncIterator[Block]):
    """Blocks that all tell the same number; cancels its reader before one of them."""

    def __init__(self, number: int, blocks: int, cancel_before: int) -> None:
        self._block = bytes([number]) * 300
        self._left = blocks
        self._cancel_before = cancel_before
        self.scope = trio.CancelScope()

    async def __anext__(self) -> Block:
        if self._cancel_before == 0:
            self.scope.cancel()
        self._cancel_before -= 1
        await trio.lowlevel.checkpoint()
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return self._block


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_torn_or_miscounted(files: FileSystem, seed: int) -> None:
    dice = random.Random(seed)
    seen = 0
    writers = 8

    async def write(number: int) -> None:
        nonlocal writers
        for _ in range(10):
            source = _Source(number, dice.randrange(12), dice.choice((0, 1, 5, 11, 99)))
            with source.scope:
                try:
                    await files.write(dice.choice(NAMES), source)
                except StorageFull:
                    pass
        writers -= 1

    async def use(number: int) -> None:
        nonlocal seen
        while writers:
            name = dice.choice(NAMES)
            try:
                if number == 0:
                    await files.delete(name)
                    continue
                async with await files.open(name) as file:
                    content = b"".join([bytes(b) async for b in file.blocks()])
            except FileMissing:
                continue
            seen += 1
            assert len(set(content)) <= 1
            assert len(content) == file.info.size

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number in range(writers):
                nursery.start_soon(write, number)
            for number in range(4):
                nursery.start_soon(use, number)
    assert seen > 0
    usage = await files.usage()
    listed = await files.entries()
    assert usage.under_way_bytes == usage.held_bytes == 0
    assert usage.size_bytes == sum(info.size for info in listed) <= LIMIT
    assert usage.files == len(listed)
    for name in [info.name for info in listed]:
        await files.delete(name)
    usage = await files.usage()
    assert (usage.files, usage.size_bytes) == (0, 0)
