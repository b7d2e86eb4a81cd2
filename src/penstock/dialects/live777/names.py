"""Live777 knows a stream by one word; here it is the name of a stream of ``live``.

Streams of other applications are ``app/name`` there, those of other virtual hosts
``vhost/app/name``; in paths the slashes are percent-encoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from penstock.control import Control, NotFound, StreamView

__all__ = ["Key", "find", "key_of", "quoted", "stream_id"]

Key = tuple[str, str, str]
"""Virtual host, application, name."""

_VHOST = "default"
_APP = "live"
_MOST_PARTS = 16
"""An id with more slashes is looked up as what it most probably is, and no more."""


def stream_id(view: StreamView) -> str:
    """Return the id that Live777's clients know a stream by."""
    if view.vhost != _VHOST:
        return f"{view.vhost}/{view.app}/{view.name}"
    if view.app == _APP and "/" not in view.name:
        return view.name
    return f"{view.app}/{view.name}"


def key_of(id: str) -> Key:
    """Return which stream an id means if there is none yet."""
    app, slash, name = id.rpartition("/")
    return (_VHOST, app, name) if slash else (_VHOST, _APP, id)


def quoted(id: str) -> str:
    """Return an id as one segment of a path."""
    return quote(id, safe="", errors="replace")


async def find(control: Control, id: str) -> StreamView:
    """Return the stream that is shown as ``id``. Raises: NotFound."""
    for key in _candidates(id):
        try:
            return await control.find_stream(*key)
        except NotFound:
            continue
    raise NotFound(f"no stream {id}")


def _candidates(id: str) -> Iterator[Key]:
    yield key_of(id)
    parts = id.split("/")
    if len(parts) > _MOST_PARTS:
        return
    # Applications and names may hold slashes themselves.
    for at in range(len(parts) - 2, 0, -1):
        yield _VHOST, "/".join(parts[:at]), "/".join(parts[at:])
    for at in range(len(parts) - 1, 1, -1):
        yield parts[0], "/".join(parts[1:at]), "/".join(parts[at:])
