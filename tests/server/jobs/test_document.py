"""What an API's clients have changed of the configuration: kept, applied, forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from penstock.control import Invalid
from penstock.job_service import JobService
from penstock.jobs.document import KeptDocument, load_document
from penstock.settings import Settings, StorageSettings
from penstock.startup import CHANGES, forget_changes, with_changes

LOGIN = {"api": {"auth": {"enable": True, "username": "u", "password": "lost"}}}


def settings_of(folder: Path) -> Settings:
    return attrs.evolve(Settings(), storage=StorageSettings(dir=str(folder)))


async def apply() -> None:
    """Do nothing."""


async def test_changes_count_until_the_operator_has_them_forgotten(
    tmp_path: Path,
) -> None:
    settings = settings_of(tmp_path)
    async with JobService.opened(settings) as service, trio.open_nursery() as nursery:
        nursery.start_soon(service.store.run)
        await KeptDocument(service.store, CHANGES, apply).save(LOGIN)
        changed = await with_changes(settings, service)
        assert changed.api.datarhei.username == "u"
        assert changed.api.datarhei.password == "lost"
        await forget_changes(service)
        assert await load_document(service.store, CHANGES) == {}
        assert await with_changes(settings, service) == settings
        nursery.cancel_scope.cancel()


async def test_what_could_not_be_applied_is_not_kept(tmp_path: Path) -> None:
    def refuse(document: Mapping[str, Any]) -> None:
        raise Invalid("no")

    async with JobService.opened(settings_of(tmp_path)) as service:
        document = KeptDocument(service.store, CHANGES, apply, refuse)
        with pytest.raises(Invalid):
            await document.save(LOGIN)
        assert await document.load() == {}
