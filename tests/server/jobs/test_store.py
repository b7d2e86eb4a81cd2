"""Documents survive whatever ends the server, and nobody waits for everybody."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from penstock.jobs.store import Store, StoreError

_WRITER = """
import sys, trio
from penstock.jobs.store import Store

async def write(store, writer):
    for number in range(1_000_000):
        name = f"{writer}-{number % 7}"
        if number % 11 == 10:
            await store.delete("job", name)
            print(name, "-", flush=True)
        else:
            await store.put("job", name, str(number))
            print(name, number, flush=True)

async def main():
    store = Store(sys.argv[1])
    await store.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        for writer in range(20):
            nursery.start_soon(write, store, writer)

trio.run(main)
"""


async def _opened(path: Path, nursery: trio.Nursery) -> Store:
    store = Store(path)
    await store.open()
    nursery.start_soon(store.run)
    return store


async def test_documents_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.db"
    async with trio.open_nursery() as nursery:
        store = await _opened(path, nursery)
        await store.put("job", "a", "1")
        await store.put("job", "a", "2")
        await store.put("metadata", "a", "x")
        await store.put("job", "b/ü", "3")
        await store.delete("job", "nobody")
        await store.change([("job", "c", "4"), ("job", "b/ü", None)])
        nursery.cancel_scope.cancel()
    await store.close()
    again = Store(path)
    await again.open()
    assert await again.load("job") == {"a": "2", "c": "4"}
    assert await again.load("metadata") == {"a": "x"}
    assert await again.load("nothing") == {}
    await again.close()


async def test_changes_that_come_together_are_committed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    commit = Store._commit  # noqa: SLF001 # nothing public tells

    def counted(store: Store, batch: list[object]) -> None:
        batches.append(len(batch))
        commit(store, batch)  # type: ignore[arg-type] # only passed on

    monkeypatch.setattr(Store, "_commit", counted)
    async with trio.open_nursery() as nursery:
        store = await _opened(tmp_path / "store.db", nursery)
        async with trio.open_nursery() as writers:
            for number in range(500):
                writers.start_soon(store.put, "job", str(number), "x")
        assert len(await store.load("job")) == 500
        nursery.cancel_scope.cancel()
    await store.close()
    assert sum(batches) == 500
    assert len(batches) <= 3


async def test_a_change_that_cannot_be_costs_the_others_nothing(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        store = await _opened(tmp_path / "store.db", nursery)
        failed = []

        async def put(name: str, text: object) -> None:
            try:
                await store.put("job", name, text)  # type: ignore[arg-type] # so it is
            except StoreError as error:
                failed.append((name, str(error)))

        async with trio.open_nursery() as writers:
            for name, text in (("a", "1"), ("b", object()), ("c", "3")):
                writers.start_soon(put, name, text)
        assert await store.load("job") == {"a": "1", "c": "3"}
        assert [name for name, _ in failed] == ["b"]
        assert str(tmp_path) in failed[0][1]
        nursery.cancel_scope.cancel()
    await store.close()


async def test_a_stopping_server_acknowledges_nothing_more(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    with pytest.raises(StoreError, match="closed"):
        await store.load("job")
    await store.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        await store.put("job", "a", "1")
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), pytest.raises(StoreError, match="stops"):
            await store.put("job", "b", "2")
    with pytest.raises(StoreError, match="stops"):
        await store.put("job", "c", "3")
    assert await store.load("job") == {"a": "1"}
    await store.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no database" * 100, "not a database"), (None, "another program")],
)
async def test_a_file_of_somebody_else_is_left_alone(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "store.db"
    if content is None:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE theirs (x)")
        database.close()
        content = path.read_bytes()
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=reason):
        await Store(path).open()
    assert reason == "another program" or path.read_bytes() == content


async def test_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    await store.open()
    await store.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(StoreError, match="later version"):
        await Store(path).open()


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        await Store(tmp_path / "file" / "store.db").open()


def acknowledged(path: Path, count: int) -> dict[str, str | None]:
    """Let twenty writers work, kill them, and return what they were told was kept."""
    command = [sys.executable, "-c", _WRITER, str(path)]
    last: dict[str, str | None] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for number, line in enumerate(writer.stdout, 1):
            if line.endswith("\n"):
                name, text = line.split()
                last[name] = None if text == "-" else text
            if number == count:
                os.kill(writer.pid, signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    return last


def is_as_told(kept: str | None, told: str | None) -> bool:
    """One more change of a writer may have been written than it was told of."""
    if told is None:
        return True  # deleted, and perhaps put again
    if kept is None:
        return int(told) % 11 != 10
    return int(kept) >= int(told)


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for round_ in range(4):
        told = await trio.to_thread.run_sync(acknowledged, path, 200 + 137 * round_)
        store = Store(path)
        await store.open()
        kept = await store.load("job")
        await store.close()
        assert len(told) > 50
        for name, text in told.items():
            assert is_as_told(kept.get(name), text), (name, kept.get(name), text)
