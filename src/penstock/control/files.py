"""The files of a server: file systems, where they are mounted, and what HTTP needs.

A mount is one file system under one name; whoever serves or lists files looks it up by
that name and speaks to it as `FileSystem`.
"""

from __future__ import annotations

import attrs

from penstock.storage.errors import (
    AccessDenied,
    BadName,
    FileMissing,
    StorageError,
    StorageFull,
    TooLarge,
    WriteIncomplete,
)
from penstock.storage.file_system import (
    Admission,
    FileInfo,
    FileSystem,
    OpenFile,
    Usage,
    Written,
)
from penstock.storage.globs import Glob, GlobError, compile_glob
from penstock.storage.http_semantics import (
    Answer,
    ByteRange,
    Conditions,
    file_headers,
    judge_change,
    judge_read,
)
from penstock.storage.media_types import media_type

__all__ = [
    "AccessDenied",
    "Admission",
    "Answer",
    "BadName",
    "ByteRange",
    "Conditions",
    "FileInfo",
    "FileMissing",
    "FileSystem",
    "Glob",
    "GlobError",
    "Mount",
    "OpenFile",
    "StorageError",
    "StorageFull",
    "TooLarge",
    "Usage",
    "WriteIncomplete",
    "Written",
    "compile_glob",
    "file_headers",
    "judge_change",
    "judge_read",
    "media_type",
]


@attrs.frozen
class Mount:
    """One file system and where it is found."""

    name: str
    """As commands and rules call it: "disk", "mem"."""
    type: str
    """"disk", "mem" or "s3"."""
    path: str
    """What its files' addresses begin with: "/", "/memfs"."""
    file_system: FileSystem
