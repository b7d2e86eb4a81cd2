"""What must survive: documents in one SQLite file.

An acknowledged change is on the disk, whatever ends the server. Changes that come
together are committed together, so fifty writers wait for one flush of the disk, not
for fifty. SQLite is used by one thread at a time and never by the loop's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import trio

__all__ = ["Store", "StoreError"]

_APPLICATION = 0x70656E73
"""``pens``: whose file it is."""
_VERSION = 1
_BUSY_S = 5.0
_MOST_TOGETHER = 1_000
_SCHEMA = """
    CREATE TABLE document (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID
"""
_PUT = """
    INSERT INTO document (kind, name, text) VALUES (?, ?, ?)
    ON CONFLICT (kind, name) DO UPDATE SET text = excluded.text
"""
_DELETE = "DELETE FROM document WHERE kind = ? AND name = ?"


class StoreError(Exception):
    """The file cannot be read or written; the text says why."""


@attrs.define(eq=False)
class _Change:
    """What is to be written, and whether that has come about."""

    documents: list[tuple[str, str, str | None]]
    done: trio.Event = attrs.field(factory=trio.Event)
    error: StoreError | None = None


class Store:
    """Documents by kind and name, each a text.

    `run` must be running for changes to be acknowledged.

    Args:
        path: The file; its folder is made. ``:memory:`` keeps nothing.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        self._database: sqlite3.Connection | None = None
        self._changes: list[_Change] = []
        self._wanted = trio.Event()
        self._has_ended = False
        self._thread = trio.CapacityLimiter(1)

    async def open(self) -> None:
        """Open or make the file.

        Raises:
            StoreError: It is not one of ours, damaged, or cannot be reached.
        """
        await trio.to_thread.run_sync(self._open, limiter=self._thread)

    async def load(self, kind: str) -> dict[str, str]:
        """Return all documents of a kind, by name.

        Raises:
            StoreError: The file cannot be read.
        """
        return await trio.to_thread.run_sync(self._load, kind, limiter=self._thread)

    async def put(self, kind: str, name: str, text: str) -> None:
        """Keep a document, in place of one of the same name.

        Raises:
            StoreError: It could not be written; what was there before is there still.
        """
        await self.change([(kind, name, text)])

    async def delete(self, kind: str, name: str) -> None:
        """Forget a document, if it is there. Raises: StoreError."""
        await self.change([(kind, name, None)])

    async def change(self, documents: list[tuple[str, str, str | None]]) -> None:
        """Keep and forget (None) several documents, all or none.

        A caller who is cancelled does not know what has become of them.

        Raises:
            StoreError: Nothing was changed.
        """
        if self._has_ended:
            raise StoreError("the server stops")
        change = _Change(documents)
        self._changes.append(change)
        self._wanted.set()
        await change.done.wait()
        if change.error is not None:
            raise change.error

    async def run(self) -> None:
        """Write what is to be written, until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted = trio.Event()
                while self._changes:
                    batch = self._changes[:_MOST_TOGETHER]
                    del self._changes[:_MOST_TOGETHER]
                    await self._write(batch)
        finally:
            self._has_ended = True
            for change in self._changes:
                change.error = StoreError("the server stops")
                change.done.set()
            self._changes.clear()

    async def close(self) -> None:
        """Close the file; what was not acknowledged may be lost."""
        await trio.to_thread.run_sync(self._close, limiter=self._thread)

    # -- in the thread -----------------------------------------------------------------

    async def _write(self, batch: list[_Change]) -> None:
        """Commit changes together, or each by itself if that fails."""
        try:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._commit, batch, limiter=self._thread)
        finally:
            for change in batch:
                change.done.set()

    def _commit(self, batch: list[_Change]) -> None:
        try:
            with self._transaction() as database:
                for change in batch:
                    _apply(database, change)
        except StoreError as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            # One of them may be too large, and the others are not to blame.
            for change in batch:
                self._commit([change])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._database
        if database is None:
            raise StoreError("the store is closed")
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                yield database
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _load(self, kind: str) -> dict[str, str]:
        database = self._database
        if database is None:
            raise StoreError("the store is closed")
        query = "SELECT name, text FROM document WHERE kind = ? ORDER BY name"
        try:
            with closing(database.execute(query, (kind,))) as rows:
                return dict(rows)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _open(self) -> None:
        try:
            if self._path != ":memory:":
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(
                self._path,
                timeout=_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self._path}: {error}") from error
        try:
            _prepare(database)
        except (StoreError, sqlite3.Error) as error:
            database.close()
            raise StoreError(f"{self._path}: {error}") from error
        self._database = database

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _apply(database: sqlite3.Connection, change: _Change) -> None:
    for kind, name, text in change.documents:
        if text is None:
            database.execute(_DELETE, (kind, name))
        else:
            database.execute(_PUT, (kind, name, text))


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables, or judge those that are there.

    Raises:
        StoreError: The file is somebody else's, or of a later version.
        sqlite3.Error: It is none, or damaged.
    """
    database.execute("PRAGMA journal_mode = WAL")
    # A commit is on the disk before it is acknowledged: NORMAL would not promise that.
    database.execute("PRAGMA synchronous = FULL")
    (owner,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables and not owner:
        database.execute("BEGIN IMMEDIATE")
        database.execute(_SCHEMA)
        database.execute(f"PRAGMA application_id = {_APPLICATION}")
        database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute("COMMIT")
        return
    if owner != _APPLICATION:
        raise StoreError("this SQLite file belongs to another program")
    if version > _VERSION:
        raise StoreError(f"made by a later version (format {version})")
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreError(f"damaged: {verdict}")
