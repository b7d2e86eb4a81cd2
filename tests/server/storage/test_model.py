"""Any sequence of calls on every kind of file system against a dict."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from penstock.storage.disk import DiskFileSystem
from penstock.storage.errors import FileMissing, StorageFull, TooLarge
from penstock.storage.file_system import FileSystem, OpenFile
from penstock.storage.memory import MemoryFileSystem
from penstock.storage.s3 import S3FileSystem, S3Place

pytestmark = pytest.mark.slow

LIMIT = 100
Result = TypeVar("Result")

NAMES = st.sampled_from(["/a", "/b", "/d/a", "/d/e/f", "/ü"])
CONTENTS = st.lists(st.binary(max_size=60), max_size=4)


class _Source:
    """Blocks, and an error behind them."""

    def __init__(self, blocks: list[bytes], error: Exception | None = None) -> None:
        self._blocks = iter(blocks)
        self._error = error

    def __aiter__(self) -> _Source:
        return self

    async def __anext__(self) -> bytes:
        for block in self._blocks:
            return block
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration


class _Files(RuleBasedStateMachine):
    """The dict is what must be readable; open files are what was there then."""

    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}
        self.files = self.make()
        self.open: list[OpenFile] = []

    def make(self) -> FileSystem:
        return MemoryFileSystem(limit_bytes=LIMIT)

    def run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        async def main() -> Result:
            return await call()

        return trio.run(main)

    @rule(name=NAMES, blocks=CONTENTS)
    def write(self, name: str, blocks: list[bytes]) -> None:
        content = b"".join(blocks)
        others = sum(len(c) for n, c in self.model.items() if n != name)
        call = lambda: self.files.write(name, _Source(blocks))  # noqa: E731
        if len(content) > LIMIT:
            with pytest.raises((TooLarge, StorageFull)):
                self.run(call)
        elif others + len(content) > LIMIT:
            with pytest.raises(StorageFull):
                self.run(call)
        else:
            written = self.run(call)
            assert written.created == (name not in self.model)
            assert written.info.size == len(content)
            self.model[name] = content

    @rule(name=NAMES, blocks=CONTENTS)
    def fail_to_write(self, name: str, blocks: list[bytes]) -> None:
        source = _Source(blocks, ZeroDivisionError())
        with pytest.raises((ZeroDivisionError, TooLarge, StorageFull)):
            self.run(lambda: self.files.write(name, source))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if name in self.model:
            assert self.run(lambda: self.files.delete(name)).size == len(
                self.model.pop(name)
            )
        else:
            with pytest.raises(FileMissing):
                self.run(lambda: self.files.delete(name))

    @rule(target=readers, name=NAMES)
    def open_file(self, name: str) -> tuple[OpenFile, bytes] | None:
        if name not in self.model:
            with pytest.raises(FileMissing):
                self.run(lambda: self.files.open(name))
            return None
        file = self.run(lambda: self.files.open(name))
        self.open.append(file)
        return file, self.model[name]

    @rule(reader=consumes(readers), start=st.integers(0, 110), length=st.integers(0, 9))
    def read(
        self, reader: tuple[OpenFile, bytes] | None, start: int, length: int
    ) -> None:
        if reader is None:
            return
        file, content = reader

        async def parts() -> tuple[bytes, bytes]:
            whole = b"".join([bytes(block) async for block in file.blocks()])
            part = [bytes(block) async for block in file.blocks(start, start + length)]
            await file.aclose()
            return whole, b"".join(part)

        assert self.run(parts) == (content, content[start : start + length])

    @invariant()
    def totals_and_listing_are_exact(self) -> None:
        usage = self.run(self.files.usage)
        assert usage.files == len(self.model)
        assert usage.size_bytes == sum(map(len, self.model.values()))
        assert usage.under_way_bytes == 0
        listed = {info.name: info.size for info in self.run(self.files.entries)}
        assert listed == {name: len(c) for name, c in self.model.items()}
        # The walk of a listing agrees with what was counted without it.
        assert self.run(self.files.usage) == usage

    def teardown(self) -> None:
        for file in self.open:
            self.run(file.aclose)
        assert self.run(self.files.usage).held_bytes == 0


class _MemoryFiles(_Files):
    pass


class _DiskFiles(_Files):
    def make(self) -> FileSystem:
        self._folder = tempfile.TemporaryDirectory()
        files = DiskFileSystem(Path(self._folder.name), limit_bytes=LIMIT)
        self.run(files.start)
        return files

    def teardown(self) -> None:
        super().teardown()
        assert list(Path(self._folder.name).rglob(".penstock-*")) == []
        self._folder.cleanup()


class _S3Files(_Files):
    """Connections live as long as their loop, so here one loop runs throughout."""

    place: S3Place

    def make(self) -> FileSystem:
        tokens: queue.SimpleQueue[trio.lowlevel.TrioToken] = queue.SimpleQueue()

        async def main() -> None:
            self._end = trio.Event()
            tokens.put(trio.lowlevel.current_trio_token())
            await self._end.wait()

        self._thread = threading.Thread(target=trio.run, args=(main,))
        self._thread.start()
        self._token = tokens.get()
        self._s3 = S3FileSystem(self.place, limit_bytes=LIMIT, part_bytes=40)
        self.run(self._s3.start)
        for info in self.run(self._s3.entries):
            self.run(lambda name=info.name: self._s3.delete(name))  # type: ignore[misc]
        return self._s3

    def run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        return trio.from_thread.run(call, trio_token=self._token)

    def teardown(self) -> None:
        super().teardown()
        self.run(self._s3.aclose)
        self._token.run_sync_soon(self._end.set)
        self._thread.join()


TestMemoryFiles = _MemoryFiles.TestCase
TestMemoryFiles.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None
)
TestDiskFiles = _DiskFiles.TestCase
TestDiskFiles.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None
)


def test_s3_files(s3_place: S3Place) -> None:
    _S3Files.place = s3_place
    run_state_machine_as_test(
        _S3Files,
        settings=settings(max_examples=10, stateful_step_count=20, deadline=None),
    )
