"""What a file system can refuse, apart from HTTP and from `OSError`."""

from __future__ import annotations

__all__ = [
    "AccessDenied",
    "BadName",
    "FileMissing",
    "StorageError",
    "StorageFull",
    "TooLarge",
    "WriteIncomplete",
]


class StorageError(Exception):
    """A file system could not do it; the text says why, for the one who asked.

    Also raised itself, for what has no class of its own: an input/output error of the
    device, a file that shrank while it was read.
    """


class FileMissing(StorageError):
    """There is no regular file of this name."""


class BadName(StorageError):
    """No file can have this name, or it leads out of the file system."""


class StorageFull(StorageError):
    """The bytes or files do not fit beside those that are there."""


class TooLarge(StorageError):
    """The file alone is larger than the file system lets any file be."""


class WriteIncomplete(StorageError):
    """The data ended before or went on behind the size that was announced."""


class AccessDenied(StorageError):
    """The operating system lets the server not do that."""
