"""Two-way tables between the engine's names and SRS's.

SRS writes ids as ``vid-`` and seven characters (server, vhosts, streams) or as eight
characters (service, clients) of ``[0-9a-z]``, and calls the default virtual host
``__defaultVhost__``. A name is made from the first bits of the engine's id, so it is
the same whenever it is made again, and names sort as the engine's ids do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from itertools import islice

from penstock.control import ServerView

__all__ = ["DEFAULT_VHOST", "IdTable", "Names", "vhost_shown", "vhost_stored"]

DEFAULT_VHOST = "__defaultVhost__"

MAX_NAMES = 50_000
"""Names that one table keeps; the longest unseen go first."""
SWEEP = 200
"""Names that one listing looks at."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HEX = re.compile(r"[0-9a-f]{32}")


def _base36(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, digit = divmod(value, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


class IdTable:
    """Names of one kind of object.

    Args:
        prefix: What every name starts with.
        width: Characters after it, 7 or 8.
        limit: Names kept at most.
    """

    def __init__(self, prefix: str, width: int, *, limit: int = MAX_NAMES) -> None:
        self._prefix = prefix
        self._width = width
        # The most hex digits whose values fit in `width` base-36 digits.
        self._hex_digits = 9 if width == 7 else 10
        self._limit = limit
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._form = re.compile(re.escape(prefix) + rf"[0-9a-z]{{{width}}}")

    def __len__(self) -> int:
        return len(self._names)

    def name_of(self, engine_id: str) -> str:
        """Return the name of an engine id, making it if it is new."""
        name = self._names.get(engine_id)
        return name if name is not None else self._add(engine_id)

    def engine_id(self, name: str) -> str | None:
        """Return the engine id of a name, or None if the table does not hold it."""
        return self._ids.get(name)

    def could_be(self, name: str) -> bool:
        """Say whether ``name`` has the form of a name of this table."""
        return self._form.fullmatch(name) is not None

    def forget(self, engine_id: str) -> None:
        """Drop the name of an object that is gone."""
        name = self._names.pop(engine_id, None)
        if name is not None:
            self._ids.pop(name, None)

    def sweep(self, is_live: Callable[[str], bool]) -> None:
        """Drop the names of objects that are gone, a few of the longest unseen.

        Every listing sweeps `SWEEP` names, so that none of them takes long.
        """
        for engine_id in list(islice(self._names, SWEEP)):
            name = self._names.pop(engine_id)
            if is_live(engine_id):
                self._names[engine_id] = name
            else:
                del self._ids[name]

    def _add(self, engine_id: str) -> str:
        digits = engine_id if _HEX.fullmatch(engine_id) else _digest(engine_id)
        value = int(digits[: self._hex_digits], 16)
        name = self._prefix + _base36(value, self._width)
        while name in self._ids:
            value += 1
            name = self._prefix + _base36(value, self._width)
        if len(self._names) >= self._limit:
            self.forget(next(iter(self._names)))
        self._names[engine_id] = name
        self._ids[name] = engine_id
        return name


class Names:
    """The tables of one server, shared by its API and its hooks.

    Args:
        server_id: The server's name if it is configured, else empty.
    """

    def __init__(self, server_id: str = "") -> None:
        self._server_id = server_id
        self.vhosts = IdTable("vid-", 7)
        self.streams = IdTable("vid-", 7)
        self.clients = IdTable("", 8)

    def server(self, view: ServerView) -> str:
        """Return the ``server`` of answers: it survives restarts."""
        if self._server_id:
            return self._server_id
        return "vid-" + _base36(int(_digest(view.id)[:9], 16), 7)

    def service(self, view: ServerView) -> str:
        """Return the ``service`` of answers: new at each start."""
        return _base36(int(_digest(view.service_id)[:10], 16), 8)


def vhost_shown(vhost: str) -> str:
    """Return SRS's name of a virtual host."""
    return DEFAULT_VHOST if vhost == "default" else vhost


def vhost_stored(vhost: str) -> str:
    """Return the engine's name of a virtual host; empty is the default one."""
    return "default" if vhost in ("", DEFAULT_VHOST) else vhost
