"""Which programs run, kept so that a later server finds what an earlier one left."""

from __future__ import annotations

from typing import Final

import trio

from penstock import log

from .child import Identity, end_stray
from .records import RecordError, decode_identity, encode_identity
from .store import Store, StoreError

__all__ = ["ProgramNotes"]

_KIND: Final = "program"
_SETTLE_S: Final = 0.2
"""A program that is gone by then need not be found by the next server."""


class ProgramNotes:
    """The programs of the jobs in one store.

    Args:
        store: Where they are kept; it must be open and running.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now: dict[str, Identity] = {}
        self._kept: dict[str, Identity] = {}
        self._changed = trio.Event()

    async def end_strays(self) -> None:
        """End what an earlier server has left behind.

        Raises:
            StoreError: What is kept cannot be read or changed.
        """
        strays = await self._store.load(_KIND)
        for name, text in strays.items():
            try:
                identity = decode_identity(text)
            except RecordError:
                continue
            if end_stray(identity):
                log.warning("stray program ended", job=name, pid=identity.pid)
        if strays:
            await self._store.change([(_KIND, name, None) for name in strays])

    def note(self, job_id: str, identity: Identity | None) -> None:
        """Take note of the program of a job, None when it is gone."""
        if identity is None:
            self._now.pop(job_id, None)
        else:
            self._now[job_id] = identity
        self._changed.set()

    async def run(self) -> None:
        """Keep what is noted, until cancelled."""
        while True:
            await self._changed.wait()
            await trio.sleep(_SETTLE_S)
            self._changed = trio.Event()
            now, kept = dict(self._now), self._kept
            documents: list[tuple[str, str, str | None]] = [
                (_KIND, name, encode_identity(identity))
                for name, identity in now.items()
                if kept.get(name) != identity
            ]
            documents += [(_KIND, name, None) for name in kept.keys() - now.keys()]
            if not documents:
                continue
            try:
                await self._store.change(documents)
                self._kept = now
            except StoreError as error:
                log.error("programs not noted", reason=str(error))
