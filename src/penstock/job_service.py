"""Jobs and file systems of one server, built from its configuration."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs
import trio

from penstock import log
from penstock.config import Address, ConfigError
from penstock.control import ListenerView
from penstock.control.files import Mount
from penstock.jobs.addresses import Access, AccessList
from penstock.jobs.cleanup import Cleaner
from penstock.jobs.folder import FolderError, FolderTaken, StateFolder, default_folder
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace
from penstock.jobs.program import find_ffmpeg
from penstock.jobs.store import Store, StoreError
from penstock.jobs.supervisor import JobPolicy, Supervisor
from penstock.settings import AuthSettings, FfmpegSettings, Settings, StorageSettings
from penstock.storage.disk import DiskFileSystem
from penstock.storage.errors import StorageError
from penstock.storage.file_system import FileSystem
from penstock.storage.memory import MemoryFileSystem
from penstock.storage.s3 import S3FileSystem
from penstock.storage.s3_place import parse_s3_url

__all__ = ["JobService"]

_DATABASE: Final = "penstock.db"
_DISK_LOOK_S: Final = 10.0
_ANY_HOST: Final = frozenset({"0.0.0.0", "::", ""})
_MEMORY_MOUNT: Final = "/memfs"


@attrs.define(eq=False)
class JobService:
    """What `opened` has built; all of it lives until that ends."""

    store: Store
    jobs: Supervisor
    memory: MemoryFileSystem
    disk: DiskFileSystem
    memory_credentials: tuple[str, str] | None
    """User and password for writes over HTTP; None if nobody is asked."""
    buckets: list[S3FileSystem]
    file_systems: dict[str, FileSystem]
    """All of them by name."""
    _cleaner: Cleaner
    _listeners: tuple[ListenerView, ...] = ()

    @property
    def mounts(self) -> list[Mount]:
        """Where they are found over HTTP, on the port of datarhei's API."""
        return [
            Mount("disk", "disk", "/", self.disk),
            Mount("mem", "mem", _MEMORY_MOUNT, self.memory),
            *(
                Mount(bucket.place.name, "s3", bucket.place.mount, bucket)
                for bucket in self.buckets
            ),
        ]

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[JobService]:
        """Open what is kept.

        Raises:
            ConfigError: What the configuration names cannot be used.
        """
        with _folder(settings) as (folder, is_kept):
            store = Store(folder / _DATABASE if is_kept else ":memory:")
            try:
                await store.open()
            except StoreError as error:
                raise ConfigError("", "storage.dir", str(error)) from error
            buckets: list[S3FileSystem] = []
            try:
                await _open_buckets(settings.storage.s3, buckets)
                yield await cls._build(settings, folder, store, buckets)
            finally:
                with trio.CancelScope(shield=True):
                    for bucket in buckets:
                        await bucket.aclose()
                    await store.close()

    @classmethod
    async def _build(
        cls,
        settings: Settings,
        folder: Path,
        store: Store,
        buckets: list[S3FileSystem],
    ) -> JobService:
        storage = settings.storage
        memory = MemoryFileSystem(storage.memory_max_bytes, purge=storage.memory_purge)
        root = _disk_root(storage, folder)
        disk = DiskFileSystem(root, storage.disk_max_bytes)
        try:
            await disk.start()
        except StorageError as error:
            raise ConfigError("", "storage.disk_dir", str(error)) from error
        credentials = _credentials(storage, "")
        jobs = Supervisor(store, _policy(settings, disk, (), credentials, buckets))
        systems: dict[str, FileSystem] = {"disk": disk, "mem": memory}
        systems |= {bucket.place.name: bucket for bucket in buckets}
        cleaner = Cleaner(systems, jobs.specs, wall=time.time)
        jobs.on_deleted = cleaner.purge
        return cls(store, jobs, memory, disk, credentials, buckets, systems, cleaner)

    async def run(
        self,
        settings: Settings,
        listeners: Iterable[ListenerView],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep jobs alive until cancelled.

        Args:
            settings: The configuration.
            listeners: Where this server's own protocols are reached.
            task_status: Told once jobs may be changed.
        """
        self.listen_at(listeners)
        self.configure(settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.store.run)
            await self.jobs.open()
            await nursery.start(self.jobs.run)
            nursery.start_soon(self._cleaner.run)
            nursery.start_soon(self._look_at_ffmpeg)
            nursery.start_soon(self._watch_disk)
            task_status.started()

    def listen_at(self, listeners: Iterable[ListenerView]) -> None:
        """Take note where this server is reached; it counts from `configure` on."""
        self._listeners = tuple(listeners)

    async def _look_at_ffmpeg(self) -> None:
        problem = await self.jobs.program_problem()
        if problem:
            log.warning("jobs", reason=problem)

    async def _watch_disk(self) -> None:
        """Stop what writes to a full disk; what others need of it is not ours."""
        while True:
            await trio.sleep(_DISK_LOOK_S)
            limit = self.disk.limit_bytes
            if not limit:
                continue
            try:
                is_full = (await self.disk.usage()).size_bytes >= limit
            except StorageError as error:
                log.error("disk not read", reason=str(error))
                continue
            if is_full:
                stopped = await self.jobs.stop_writers("the disk file system is full")
                if stopped:
                    log.warning("disk is full", limit_bytes=limit, jobs_stopped=stopped)

    def configure(self, settings: Settings) -> None:
        """Take up another configuration; jobs that it changes run anew."""
        made = self.memory_credentials[1] if self.memory_credentials else ""
        self.memory_credentials = _credentials(settings.storage, made)
        self.memory.limit_bytes = settings.storage.memory_max_bytes
        self.memory.purge = settings.storage.memory_purge
        self.disk.set_limit(settings.storage.disk_max_bytes)
        self.jobs.take_policy(
            _policy(
                settings,
                self.disk,
                self._listeners,
                self.memory_credentials,
                self.buckets,
            )
        )


@contextlib.contextmanager
def _folder(settings: Settings) -> Iterator[tuple[Path, bool]]:
    """Take the folder, and say whether what is in it lasts.

    Where none is configured and there cannot be one, it is one that ends with us.
    """
    given = settings.storage.dir
    path = Path(given) if given else default_folder(os.environ)
    try:
        folder = StateFolder(path)
    except FolderError as error:
        if given or isinstance(error, FolderTaken):
            raise ConfigError("", "storage.dir", str(error)) from None
        log.warning("jobs are not kept", reason=str(error))
        with tempfile.TemporaryDirectory(prefix="penstock-") as passing:
            yield Path(passing), False
        return
    try:
        yield folder.path, True
    finally:
        folder.close()


def _credentials(storage: StorageSettings, made: str) -> tuple[str, str] | None:
    """Return who may write into memory over HTTP; a password is made if none is set.

    Args:
        storage: The configuration.
        made: The password that was made before, "" for none.
    """
    if not storage.memory_username:
        return None
    password = storage.memory_password or made or secrets.token_urlsafe(12)
    return storage.memory_username, password


def _disk_root(storage: StorageSettings, folder: Path) -> Path:
    if storage.disk_dir:
        return Path(storage.disk_dir).absolute()
    return folder / "data"


def _program(ffmpeg: FfmpegSettings) -> str:
    try:
        return find_ffmpeg(ffmpeg.path)
    except LookupError:
        return "ffmpeg"


def _policy(
    settings: Settings,
    disk: DiskFileSystem,
    listeners: tuple[ListenerView, ...],
    credentials: tuple[str, str] | None,
    buckets: Sequence[S3FileSystem],
) -> JobPolicy:
    ffmpeg = settings.ffmpeg
    root = os.path.realpath(disk.root)
    access = Access(
        root,
        os.path.realpath,
        AccessList(ffmpeg.input_allow, ffmpeg.input_block),
        AccessList(ffmpeg.output_allow, ffmpeg.output_block),
    )
    return JobPolicy(
        _places(settings, root, listeners, credentials, buckets),
        access,
        _program(ffmpeg),
        Path(root),
        max_jobs=ffmpeg.max_jobs,
        max_running=ffmpeg.max_running,
        log_lines=ffmpeg.log_lines,
        log_runs=ffmpeg.log_runs,
    )


def _places(
    settings: Settings,
    root: str,
    listeners: tuple[ListenerView, ...],
    credentials: tuple[str, str] | None,
    buckets: Sequence[S3FileSystem],
) -> Places:
    at = {listener.name: _reached(listener) for listener in listeners}
    none = Address("127.0.0.1", 0)
    systems = {}
    if "api.datarhei" in at:
        here = at["api.datarhei"]
        systems["mem"] = _url(here, credentials, _MEMORY_MOUNT)
        for bucket in buckets:
            place = bucket.place
            systems[place.name] = _url(here, place.credentials(), place.mount)
    publish, play = _token(settings.auth, "publish"), _token(settings.auth, "play")
    srt = settings.srt
    return Places(
        root,
        RtmpPlace(at.get("rtmp", none), settings.api.datarhei.rtmp_app, publish, play),
        SrtPlace(
            at.get("srt", none),
            publish,
            srt.publish_passphrase,
            play,
            srt.play_passphrase,
        ),
        systems,
    )


def _url(at: Address, credentials: tuple[str, str] | None, path: str) -> str:
    user = ":".join(quote(part, safe="") for part in credentials or ())
    return f"http://{user}@{at}{path}" if user else f"http://{at}{path}"


async def _open_buckets(urls: Sequence[str], buckets: list[S3FileSystem]) -> None:
    """Add a started file system for each. Raises: ConfigError."""
    taken = {"disk", "diskfs", "mem", "memfs"}
    for number, url in enumerate(urls, 1):
        try:
            place = parse_s3_url(url)
            if place.name in taken:
                raise ValueError(f"the name {place.name} is taken")
            taken.add(place.name)
            bucket = S3FileSystem(place)
            buckets.append(bucket)
            await bucket.start()
        except (ValueError, StorageError) as error:
            raise ConfigError("", f"storage.s3 ({number})", str(error)) from error


def _token(auth: AuthSettings, role: str) -> str:
    """Return what jobs of this server show to it, "" if that is not asked for."""
    if getattr(auth, role) != "token":
        return ""
    tokens: list[str] = getattr(auth, f"{role}_tokens")
    return tokens[0] if tokens else ""


def _reached(listener: ListenerView) -> Address:
    """Return where a program on this machine finds a listener."""
    host = listener.address
    if host in _ANY_HOST:
        host = "::1" if host == "::" else "127.0.0.1"
    return Address(host, listener.port)
