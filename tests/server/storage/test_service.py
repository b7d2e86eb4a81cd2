"""File systems and jobs as the configuration asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import attrs
import pytest
import trio

from penstock.config import ConfigError
from penstock.control import ListenerView
from penstock.job_service import JobService
from penstock.jobs.placeholders import expand
from penstock.jobs.spec import JobInput, JobOutput, JobSpec
from penstock.settings import Settings, StorageSettings
from penstock.storage.s3_place import S3Place

LISTENERS = (
    ListenerView("rtmp", "0.0.0.0", 1935, False),
    ListenerView("api.datarhei", "127.0.0.1", 8080, False),
)


def settings(folder: Path, **storage: object) -> Settings:
    kept = StorageSettings(dir=str(folder), **storage)  # type: ignore[arg-type]
    return attrs.evolve(Settings(), storage=kept)


def address(service: JobService, text: str) -> str:
    """Return what a placeholder stands for."""
    ends = (JobInput("in", text),), (JobOutput("out", "-"),)
    return expand(JobSpec("id", *ends), service.jobs.policy.places).inputs[0].address


async def content(data: bytes) -> AsyncIterator[bytes]:
    yield data


def url_of(place: S3Place, more: str = "") -> str:
    host = place.endpoint.removeprefix("http://")
    key = f"{place.access_key_id}:{quote(place.secret_access_key, safe='')}"
    return (
        f"http://{key}@{host}/{place.bucket}?name=cloud&mount=/cloud"
        f"&username=u&password=p{more}"
    )


@pytest.mark.slow
async def test_a_bucket_is_a_file_system_like_the_others(
    tmp_path: Path, s3_place: S3Place
) -> None:
    chosen = settings(tmp_path, s3=[url_of(s3_place)], memory_password="secret/1")
    async with JobService.opened(chosen) as service:
        assert sorted(service.file_systems) == ["cloud", "disk", "mem"]
        assert [(one.name, one.path) for one in service.mounts] == [
            ("disk", "/"),
            ("mem", "/memfs"),
            ("cloud", "/cloud"),
        ]
        bucket = service.file_systems["cloud"]
        await bucket.write("/a", content(b"x"))
        assert [file.name for file in await bucket.entries()] == ["/a"]
        service.listen_at(LISTENERS)
        service.configure(chosen)
        assert address(service, "{fs:cloud}/a") == "http://u:p@127.0.0.1:8080/cloud/a"
        memory = "http://admin:secret%2F1@127.0.0.1:8080/memfs"
        assert address(service, "{memfs}") == memory
        assert address(service, "{rtmp,name=x}") == "rtmp://127.0.0.1:1935/live/x"
        root = service.jobs.policy.access.root
        assert address(service, "{diskfs}") == root
        assert root.endswith("/data")
        # A password of its own goes when one is configured, and not before.
        changed = attrs.evolve(chosen.storage, memory_password="another")
        service.configure(attrs.evolve(chosen, storage=changed))
        assert service.memory_credentials == ("admin", "another")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://a", "neither http"),
        ("http://k:SECRET@127.0.0.1:1/bucket?name=mem&mount=/m", "taken"),
    ],
)
async def test_a_bucket_that_cannot_be_is_one_clear_error(
    tmp_path: Path, url: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as failure:
        async with JobService.opened(settings(tmp_path, s3=[url])):
            pass
    assert "storage.s3" in str(failure.value)
    assert "SECRET" not in str(failure.value)


async def test_a_folder_belongs_to_one_server(tmp_path: Path) -> None:
    async with JobService.opened(settings(tmp_path)):
        with pytest.raises(ConfigError, match="another penstock uses it"):
            async with JobService.opened(settings(tmp_path)):
                pass
    async with JobService.opened(settings(tmp_path)):
        pass


async def test_a_default_folder_that_cannot_be_made_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("STATE_DIRECTORY", str(blocked / "state"))
    async with JobService.opened(Settings()) as service:
        root = service.disk.root
        assert await trio.Path(root).is_dir()
        made = service.memory_credentials
        service.configure(Settings())
        assert service.memory_credentials == made
    assert not await trio.Path(root).exists()
    with pytest.raises(ConfigError):
        async with JobService.opened(settings(blocked / "state")):
            pass
