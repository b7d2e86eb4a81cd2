"""The folder of all that must survive, which one server at a time has."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["FolderError", "FolderTaken", "StateFolder", "default_folder"]


class FolderError(Exception):
    """The folder cannot be used; the text says why."""


def default_folder(environment: Mapping[str, str]) -> Path:
    """Return where state belongs: systemd says, or the XDG base directories.

    Args:
        environment: The process's.
    """
    if given := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    home = environment.get("HOME", "") or os.path.expanduser("~")
    state = environment.get("XDG_STATE_HOME", "") or f"{home}/.local/state"
    return Path(state) / "penstock"


class FolderTaken(FolderError):
    """Another server has it."""


class StateFolder:
    """A folder that belongs to this process until `close`.

    Args:
        path: Made, with its parents, if it is missing.

    Raises:
        FolderError: It cannot be made or written, or another server has it
            (`FolderTaken`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o750)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._lock = os.open(self.path / "lock", flags, 0o640)
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise FolderTaken(f"{path}: another penstock uses it") from None

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)
