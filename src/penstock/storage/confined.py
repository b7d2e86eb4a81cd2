"""System calls on files below one directory, and never beside it. All of it blocks.

A name is resolved by real path, must lie below the root, and is then walked part by
part with ``O_NOFOLLOW``: links inside the root work, links that lead out are refused,
and who swaps a directory for a link between the two steps is refused as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator

import attrs

from .errors import (
    AccessDenied,
    BadName,
    FileMissing,
    StorageError,
    StorageFull,
    TooLarge,
    WriteIncomplete,
)
from .file_system import Admission, FileInfo, Written
from .paths import check_name
from .totals import Listing

__all__ = [
    "Draft",
    "check_complete",
    "check_own",
    "open_regular",
    "remove",
    "remove_leftovers",
    "scan",
    "stat_regular",
]

_DRAFT_PREFIX = ".penstock-"
_DRAFT_SUFFIX = ".part"
_SETTLED_S = 2.0
"""A file modified less long ago gets a weak tag: kernels stamp files a few milliseconds
late, some file systems in whole seconds, so its bytes may change under the tag."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
_MISFIT = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}


def _is_draft(part: str) -> bool:
    return part.startswith(_DRAFT_PREFIX) and part.endswith(_DRAFT_SUFFIX)


def check_own(name: str) -> str:
    """Return a name as `check_name` does, and keep writes under way out of reach.

    Raises: BadName.
    """
    name = check_name(name)
    if any(_is_draft(part) for part in name.split("/")):
        raise BadName("names of this form are for files being written")
    return name


@contextlib.contextmanager
def _translated(name: str, *, writing: bool) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = error.errno
        if code in _FULL:
            raise StorageFull("the device is full") from error
        if code == errno.EFBIG:
            raise TooLarge("the device takes no file as large") from error
        if code in _DENIED:
            raise AccessDenied(f"{name}: {os.strerror(code or 0)}") from error
        if writing and code in _MISFIT:
            raise BadName(f"a file or directory stands in the way of {name}") from error
        if code in _ABSENT:
            raise FileMissing(name) from error
        raise StorageError(f"{name}: {error.strerror}") from error


def _resolve(root: str, relative: str) -> list[str]:
    """Return the parts of a real path below the real root."""
    real = os.path.realpath(os.path.join(root, relative))
    if real == root:
        return []
    prefix = root if root.endswith("/") else f"{root}/"
    if not real.startswith(prefix):
        raise BadName("the name leads out of the file system")
    return real[len(prefix) :].split("/")


def _open_directory(root: str, parts: list[str], made: list[str] | None = None) -> int:
    """Walk down and return a descriptor; with a list, make what is missing and note."""
    descriptor = os.open(root, _DIRECTORY)
    walked = root
    try:
        for part in parts:
            walked = os.path.join(walked, part)
            if made is not None:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
                    made.append(walked)
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _info(name: str, status: os.stat_result) -> FileInfo:
    tag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    # A time in the future tells nothing of how long the bytes have been the same.
    if time.time() - status.st_mtime < _SETTLED_S:
        tag = f"W/{tag}"
    return FileInfo(name, status.st_size, status.st_mtime, tag)


def open_regular(root: str, name: str) -> tuple[int, FileInfo]:
    """Open a regular file for reading; return its descriptor and facts.

    Raises: BadName, FileMissing, AccessDenied, StorageError.
    """
    with _translated(name, writing=False):
        parts = _resolve(root, name[1:])
        if not parts:
            raise FileMissing(name)
        parent = _open_directory(root, parts[:-1])
        try:
            # A pipe would hold a reading open() until somebody writes to it.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(parts[-1], flags, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileMissing(name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, _info(name, status)


def stat_regular(root: str, name: str) -> FileInfo:
    """Return the facts of a regular file. Raises: as `open_regular`."""
    with _translated(name, writing=False):
        parts = _resolve(root, name[1:])
        if not parts:
            raise FileMissing(name)
        parent = _open_directory(root, parts[:-1])
        try:
            status = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)
        if not stat.S_ISREG(status.st_mode):
            raise FileMissing(name)
        return _info(name, status)


def remove(root: str, name: str, admit: Admission | None) -> FileInfo:
    """Delete a regular file or a link; of a link that leads out, the link alone.

    Raises: BadName, FileMissing, AccessDenied, StorageError, what ``admit`` raises.
    """
    # Only the way to the file is resolved: a link is deleted, never what it shows.
    above, _, last = name[1:].rpartition("/")
    with _translated(name, writing=False):
        parent = _open_directory(root, _resolve(root, above))
        try:
            status = os.stat(last, dir_fd=parent, follow_symlinks=False)
            is_link = stat.S_ISLNK(status.st_mode)
            if not is_link and not stat.S_ISREG(status.st_mode):
                raise FileMissing(name)
            info = _info(name, status)
            if admit is not None:
                admit(info)
            os.unlink(last, dir_fd=parent)
            # A link was never counted.
            return attrs.evolve(info, size=0) if is_link else info
        finally:
            os.close(parent)


@attrs.define(eq=False)
class Draft:
    """A file under way, in the directory of its name so that a rename is atomic.

    A directory of its own for drafts would be tidier, but may be on another file system
    than the target, where a rename is impossible.
    """

    name: str
    _parent: int
    _descriptor: int
    _draft: str
    _last: str
    _made: list[str]

    @classmethod
    def begin(cls, root: str, name: str) -> Draft:
        """Make missing directories and an empty draft. Raises: StorageError's kinds."""
        with _translated(name, writing=True):
            # Another write that failed may take its empty directories away between our
            # two steps; it does so once.
            for _ in range(3):
                with contextlib.suppress(FileNotFoundError):
                    return cls._begin(root, name)
            return cls._begin(root, name)

    @classmethod
    def _begin(cls, root: str, name: str) -> Draft:
        parts = _resolve(root, name[1:])
        if not parts:
            raise BadName("the name is the root's")
        made: list[str] = []
        parent = -1
        try:
            parent = _open_directory(root, parts[:-1], made)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
                if not stat.S_ISREG(there.st_mode):
                    raise BadName(f"a directory or device has the name {name}")
            draft = f"{_DRAFT_PREFIX}{secrets.token_hex(8)}{_DRAFT_SUFFIX}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(draft, flags, 0o666, dir_fd=parent)
        except BaseException:
            if parent >= 0:
                os.close(parent)
            _remove_empty(made)
            raise
        return cls(name, parent, descriptor, draft, parts[-1], made)

    def write(self, block: bytes) -> None:
        """Append bytes. Raises: StorageFull, TooLarge, StorageError."""
        with _translated(self.name, writing=True):
            view = memoryview(block)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def commit(self, admit: Admission | None, *, durable: bool) -> tuple[Written, int]:
        """Give the draft its name; return that and the size of what it replaced.

        Raises: StorageError's kinds, and what ``admit`` raises; then call `discard`.
        """
        with _translated(self.name, writing=True):
            old = None
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(self._last, dir_fd=self._parent, follow_symlinks=False)
                old = _info(self.name, status)
            if admit is not None:
                admit(old)
            if durable:
                os.fsync(self._descriptor)
            info = _info(self.name, os.fstat(self._descriptor))
            # Before the rename: some file systems tell only now that they are full.
            self._close_file()
            os.replace(
                self._draft,
                self._last,
                src_dir_fd=self._parent,
                dst_dir_fd=self._parent,
            )
            if durable:
                os.fsync(self._parent)
                for path in self._made:
                    _fsync_directory(os.path.dirname(path))
            self._close_parent()
            replaced = 0 if old is None else old.size
            return Written(info, created=old is None), replaced

    def discard(self) -> None:
        """Leave nothing behind, the directories made for this file included.

        After a `commit` that failed behind the rename (the device failed while making
        it durable) the new file stays, since the old one is gone.
        """
        with contextlib.suppress(OSError):
            self._close_file()
        with contextlib.suppress(OSError):
            os.unlink(self._draft, dir_fd=self._parent)
        self._close_parent()
        _remove_empty(self._made)

    def _close_file(self) -> None:
        # Forgotten first: closing a number twice may close somebody else's file.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _close_parent(self) -> None:
        parent, self._parent = self._parent, -1
        if parent >= 0:
            os.close(parent)


def _fsync_directory(path: str) -> None:
    descriptor = os.open(path, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(made: list[str]) -> None:
    for path in reversed(made):
        try:
            os.rmdir(path)
        except OSError:
            return  # somebody uses it by now


def check_complete(size: int, expected: int | None) -> None:
    """Raise WriteIncomplete unless as many bytes came as announced."""
    if expected is not None and size != expected:
        raise WriteIncomplete(f"{size} bytes came instead of {expected}")


def scan(root: str) -> Listing:
    """Walk the tree; what cannot be read or is gone by now is left out.

    So are drafts, and links: a file would count twice, and a link upwards for ever.
    """
    infos = []
    files = size = 0
    for path, entry in _walk(root):
        if _is_draft(entry.name):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        files += 1
        size += status.st_size
        try:
            infos.append(_info(check_name(path), status))
        except BadName:
            continue
    return Listing(infos, files, size)


def remove_leftovers(root: str) -> int:
    """Remove drafts that a killed server left; return how many.

    Only one server may use the directory: the drafts of another one go as well.
    """
    count = 0
    for path, entry in _walk(root):
        if _is_draft(entry.name):
            with contextlib.suppress(OSError):
                os.unlink(root + path)
                count += 1
    return count


def _walk(root: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield regular files with their names below the root, which begin with ``/``."""
    pending = [""]
    while pending:
        above = pending.pop()
        with contextlib.suppress(OSError), os.scandir(root + above) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{above}/{entry.name}")
                    elif entry.is_file(follow_symlinks=False):
                        yield f"{above}/{entry.name}", entry
