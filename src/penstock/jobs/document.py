"""One document of an API, kept beside the jobs, that changes the configuration."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from penstock import log
from penstock.control import Unavailable

from .store import Store, StoreError

__all__ = ["KeptDocument", "forget_document", "load_document"]

_KIND: Final = "configuration"


class KeptDocument:
    """See `penstock.control.configuration.Configuration`.

    Args:
        store: Where it is kept.
        name: Which API's it is.
        apply: Applies it.
        check: Raises `Invalid` for one that could not be applied.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        apply: Callable[[], Awaitable[None]],
        check: Callable[[Mapping[str, Any]], None] = lambda document: None,
    ) -> None:
        self._store = store
        self._name = name
        self._apply = apply
        self._check = check

    async def load(self) -> dict[str, Any]:
        """Return the document; {} if there is none, or it is damaged."""
        return await load_document(self._store, self._name)

    async def save(self, document: Mapping[str, Any]) -> None:
        """Keep a document. Raises: Invalid, Unavailable."""
        self._check(document)
        try:
            await self._store.put(_KIND, self._name, json.dumps(document))
        except StoreError as error:
            raise Unavailable(str(error)) from error

    async def reload(self) -> None:
        """Apply it. Raises: Invalid."""
        await self._apply()


async def load_document(store: Store, name: str) -> dict[str, Any]:
    """Return what is kept under a name; {} for nothing, or nothing of use."""
    try:
        kept = (await store.load(_KIND)).get(name, "{}")
        document = json.loads(kept)
    except (StoreError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


async def forget_document(store: Store, name: str) -> None:
    """Keep nothing under a name any more."""
    try:
        await store.delete(_KIND, name)
    except StoreError as error:
        log.error("what the API has changed is not forgotten", reason=str(error))
