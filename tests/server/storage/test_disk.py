"""What is particular to files on a disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.storage.blocks import Block
from penstock.storage.confined import Draft
from penstock.storage.disk import DiskFileSystem
from penstock.storage.errors import (
    AccessDenied,
    BadName,
    FileMissing,
    StorageError,
    StorageFull,
)

NOBODY = 65_534
"""A user who owns nothing."""
PASS = stat.S_IXGRP | stat.S_IXOTH
"""What all need of a folder to reach what is in it; a user keeps his groups."""


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    # A name that begins like the root's, which a comparison of text would take for it.
    folder = tmp_path / "root-of-others"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


async def test_links_that_lead_out_are_refused(
    disk: DiskFileSystem, outside: Path, tools: Any
) -> None:
    (disk.root / "file").symlink_to(outside / "secret")
    (disk.root / "folder").symlink_to(outside)
    (disk.root / "up").symlink_to("../root-of-others")
    (disk.root / "dangling").symlink_to(outside / "new")
    for name in ("/file", "/folder/secret", "/up/secret", "/dangling"):
        for act in (disk.open, disk.stat):
            with pytest.raises(BadName, match="leads out"):
                await act(name)
        with pytest.raises(BadName, match="leads out"):
            await tools.put(disk, name, b"x")
    with pytest.raises(BadName):
        await disk.delete("/folder/secret")
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


async def test_who_swaps_a_directory_for_a_link_in_between_is_refused(
    disk: DiskFileSystem, outside: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path was real when it was resolved, and has a link when it is walked."""
    (disk.root / "folder").symlink_to(outside)
    (disk.root / "file").symlink_to(outside / "secret")
    with monkeypatch.context() as patch:
        patch.setattr("penstock.storage.confined.os.path.realpath", os.path.abspath)
        for name in ("/folder/secret", "/file"):
            for act in (disk.open, disk.stat):
                with pytest.raises(FileMissing):
                    await act(name)
            with pytest.raises(BadName):
                await tools.put(disk, name, b"x")
        with pytest.raises(FileMissing):
            await disk.delete("/folder/secret")
    assert (outside / "secret").read_bytes() == b"secret"
    assert os.listdir(outside) == ["secret"]


async def test_links_inside_the_root_work(disk: DiskFileSystem, tools: Any) -> None:
    await tools.put(disk, "/d/f", b"one")
    (disk.root / "link").symlink_to("d/f")
    (disk.root / "folder").symlink_to(disk.root / "d")
    assert await tools.read(disk, "/link") == b"one"
    await tools.put(disk, "/folder/g", b"two")
    await tools.put(disk, "/link", b"three")
    assert (disk.root / "link").is_symlink()
    assert {i.name: i.size for i in await disk.entries()} == {"/d/f": 5, "/d/g": 3}


async def test_deleting_a_link_deletes_the_link(
    disk: DiskFileSystem, outside: Path, tools: Any
) -> None:
    await tools.put(disk, "/f", b"one")
    (disk.root / "link").symlink_to("f")
    (disk.root / "out").symlink_to(outside / "secret")
    await disk.delete("/link")
    await disk.delete("/out")
    assert sorted(os.listdir(disk.root)) == ["f"]
    assert (outside / "secret").exists()
    assert (await disk.usage()).size_bytes == 3


async def test_a_link_in_a_circle_is_no_file(disk: DiskFileSystem) -> None:
    (disk.root / "a").symlink_to("b")
    (disk.root / "b").symlink_to("a")
    (disk.root / "self").symlink_to(".")
    for name in ("/a", "/self", "/self/self/none"):
        with pytest.raises(FileMissing):
            await disk.open(name)
    assert await disk.entries() == []


async def test_a_pipe_a_socket_or_a_directory_is_no_file(
    disk: DiskFileSystem, tools: Any
) -> None:
    os.mkfifo(disk.root / "pipe")
    (disk.root / "folder").mkdir()
    before = _descriptors()
    for name in ("/pipe", "/folder"):
        for act in (disk.open, disk.stat, disk.delete):
            with pytest.raises(FileMissing):
                await act(name)
        with pytest.raises(BadName):
            await tools.put(disk, name, b"x")
    assert _descriptors() == before
    assert await disk.entries() == []


async def test_a_file_cannot_be_below_a_file(disk: DiskFileSystem, tools: Any) -> None:
    await tools.put(disk, "/f", b"x")
    with pytest.raises(BadName, match="in the way"):
        await tools.put(disk, "/f/g", b"x")


async def test_no_descriptor_draft_or_directory_is_left(
    disk: DiskFileSystem, tools: Any
) -> None:
    async def torn() -> AsyncIterator[Block]:
        yield b"x"
        raise ZeroDivisionError

    await tools.put(disk, "/kept/f", b"x")  # starts the threads
    before = _descriptors()
    for name in ("/a/b/c", "/kept/d/e", "/kept/f"):
        with pytest.raises(ZeroDivisionError):
            await disk.write(name, torn())
    await tools.put(disk, "/kept/g", b"x")
    async with await disk.open("/kept/g"):
        pass
    assert _descriptors() == before
    assert sorted(p.name for p in disk.root.rglob("*")) == ["f", "g", "kept"]


async def test_directories_stay_when_their_last_file_is_deleted(
    disk: DiskFileSystem, tools: Any
) -> None:
    await tools.put(disk, "/a/b/f", b"x")
    await disk.delete("/a/b/f")
    assert (disk.root / "a" / "b").is_dir()


async def test_drafts_of_a_killed_server_are_removed_at_start(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "d"
    folder.mkdir(parents=True)
    draft = folder / ".penstock-0123456789abcdef.part"
    draft.write_bytes(b"half")
    (folder / "film.part").write_bytes(b"not ours")
    files = DiskFileSystem(tmp_path / "root")
    assert await files.start() == 1
    assert [info.name for info in await files.entries()] == ["/d/film.part"]
    assert not draft.exists()


async def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(
    disk: DiskFileSystem, tools: Any
) -> None:
    await tools.put(disk, "/f", b"old")
    draft = Draft.begin(str(disk.root), "/f")
    draft.write(b"half of the new")
    after = DiskFileSystem(disk.root)
    assert await after.start() == 1
    assert await tools.read(after, "/f") == b"old"
    assert os.listdir(disk.root) == ["f"]
    draft.discard()
    assert await tools.read(after, "/f") == b"old"


async def test_a_draft_is_out_of_reach(disk: DiskFileSystem, tools: Any) -> None:
    names = []

    async def look() -> AsyncIterator[Block]:
        yield b"x"
        names.extend(os.listdir(disk.root))
        assert await disk.entries() == []

    await disk.write("/f", look())
    assert len(names) == 1
    for act in (disk.open, disk.stat, disk.delete):
        with pytest.raises(BadName):
            await act(f"/{names[0]}")


async def test_what_others_write_and_delete_is_counted_after_a_while(
    tmp_path: Path, tools: Any, mock_clock: Any
) -> None:
    files = DiskFileSystem(tmp_path, limit_bytes=100)
    await files.start()
    (tmp_path / "theirs").write_bytes(b"x" * 90)
    assert (await files.usage()).size_bytes == 0
    mock_clock.jump(10)
    with pytest.raises(StorageFull):
        await tools.put(files, "/ours", b"x" * 11)
    await tools.put(files, "/ours", b"x" * 10)
    (tmp_path / "theirs").unlink()
    with pytest.raises(StorageFull):
        await tools.put(files, "/ours", b"x" * 100)
    mock_clock.jump(1)
    await tools.put(files, "/ours", b"x" * 100)
    usage = await files.usage()
    assert (usage.files, usage.size_bytes) == (1, 100)


async def test_names_that_cannot_be_asked_for_are_counted_and_not_listed(
    disk: DiskFileSystem,
) -> None:
    root = os.fsencode(disk.root)
    for name in (b"\xff.ts", b"a\\b", b"a\nb"):
        os.symlink(name, os.path.join(root, b"link"))
        (disk.root / "link").write_bytes(b"xx")
        (disk.root / "link").unlink()
    assert await disk.entries() == []
    assert (await disk.usage()).size_bytes == 6


@contextmanager
def nobody(opened: Path) -> Iterator[None]:
    """Have no more rights than others have, as root has them all; reach one folder."""
    if os.geteuid() != 0:
        yield
        return
    modes = {folder: folder.stat().st_mode for folder in opened.parents}
    closed = {folder: mode for folder, mode in modes.items() if mode & PASS != PASS}
    for folder, mode in closed.items():
        folder.chmod(mode | PASS)
    os.chown(opened, NOBODY, -1)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        for folder, mode in closed.items():
            folder.chmod(mode)


async def test_what_cannot_be_read_is_skipped_and_refused(
    disk: DiskFileSystem, tools: Any
) -> None:
    await tools.put(disk, "/f", b"x")
    await tools.put(disk, "/closed/g", b"x")
    (disk.root / "f").chmod(0)
    (disk.root / "closed").chmod(0)
    try:
        with nobody(disk.root):
            assert [info.name for info in await disk.entries()] == ["/f"]
            for name in ("/f", "/closed/g"):
                with pytest.raises(AccessDenied):
                    await disk.open(name)
    finally:
        (disk.root / "closed").chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EIO, StorageError),
        (errno.EROFS, AccessDenied),
    ],
)
async def test_a_failing_device_is_told_apart(
    disk: DiskFileSystem,
    tools: Any,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[StorageError],
) -> None:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("penstock.storage.confined.os.write", fail)
        with pytest.raises(kind) as caught:
            await tools.put(disk, "/d/f", b"x")
    assert type(caught.value) is kind
    assert os.listdir(disk.root) == []
    assert (await disk.usage()).under_way_bytes == 0


async def test_a_file_that_shrinks_under_a_reader_is_not_taken_for_whole(
    disk: DiskFileSystem, tools: Any
) -> None:
    await tools.put(disk, "/f", b"x" * 100)
    async with await disk.open("/f") as file:
        os.truncate(disk.root / "f", 40)
        with pytest.raises(StorageError, match="shorter"):
            [block async for block in file.blocks()]


async def test_a_file_that_grows_under_a_reader_ends_where_it_was_announced(
    disk: DiskFileSystem, tools: Any
) -> None:
    await tools.put(disk, "/f", b"x" * 100)
    async with await disk.open("/f") as file:
        (disk.root / "f").write_bytes(b"x" * 100 + b"more")
        assert len(b"".join([bytes(b) async for b in file.blocks()])) == 100


async def test_a_tag_becomes_strong_once_the_file_has_settled(
    disk: DiskFileSystem, tools: Any
) -> None:
    await tools.put(disk, "/f", b"x")
    assert (await disk.stat("/f")).etag.startswith('W/"')
    os.utime(disk.root / "f", (1_000_000_000, 1_000_000_000))
    assert (await disk.stat("/f")).etag.startswith('"')


async def test_a_durable_write_is_a_write(tmp_path: Path, tools: Any) -> None:
    files = DiskFileSystem(tmp_path, durable=True)
    await files.start()
    assert await tools.put(files, "/d/f", b"x" * 3_000_000)
    assert len(await tools.read(files, "/d/f", 1, 2_500_000)) == 2_499_999


async def test_a_root_that_is_a_file_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StorageError, match="f: "):
        await DiskFileSystem(tmp_path / "f").start()
