"""The one way in which a configuration is refused."""

from __future__ import annotations

import errno

__all__ = ["ConfigError", "bind_error"]


class ConfigError(Exception):
    """A configuration that cannot be used; ``str()`` of it is one line.

    Args:
        file: Where the value came from: a file's path, "environment", "--set" or
            "defaults".
        key: Dotted key, or the environment's name of it; "" if the file as a whole
            is at fault.
        message: What is wrong and what was expected.
    """

    def __init__(self, file: str, key: str, message: str) -> None:
        parts = [part for part in (file, key, message) if part]
        # Values and file names are quoted in messages; a line break in one of them
        # must not make two lines.
        super().__init__(
            "".join(
                char if char.isprintable() else repr(char)[1:-1]
                for char in ": ".join(parts)
            )
        )
        self.file = file
        self.key = key
        self.message = message


def bind_error(key: str, address: str, error: OSError) -> ConfigError:
    """Return the refusal for an address that the system would not bind.

    Args:
        key: The listen key, as "rtmp.listen".
        address: Its value.
        error: What bind or listen raised.
    """
    if error.errno == errno.EADDRINUSE:
        message = f"{address} is in use; stop the other program or take another port"
    elif error.errno == errno.EACCES:
        message = f"{address} is not permitted; ports below 1024 need a privilege"
    elif error.errno == errno.EADDRNOTAVAIL:
        message = f"{address} is not an address of this machine"
    else:
        # An unknown host has a number that is none of the system's errors.
        reason = error.strerror or str(error)
        message = f"{address} cannot be bound: {reason}"
    return ConfigError("", key, message)
