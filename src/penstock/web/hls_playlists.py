"""Rewriting HLS playlists: a viewer's token into URIs, absolute paths out. No state."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, unquote

import attrs

from penstock.slices import in_slices

__all__ = [
    "MAX_PLAYLIST_BYTES",
    "TOKEN_LENGTH",
    "LocalLines",
    "MasterLines",
    "MediaLines",
    "is_empty",
    "is_master",
    "is_media_name",
    "is_playlist_name",
    "is_token",
    "master_of",
    "new_token",
    "rewrite",
    "synthetic_master",
    "with_session",
]

MAX_PLAYLIST_BYTES = 1 << 20
"""Half a day of segments of 2 s in one list has less; a longer one is served untouched,
since a tenth of a second of work for each viewer is too much."""

TOKEN_LENGTH = 22
_MAX_LINE = 4096
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Without what looks alike. 22 of these hold 128 bits."""
_TOKEN = re.compile(f"[{_ALPHABET}]{{{TOKEN_LENGTH}}}")
_MEDIA_ENDINGS = (".ts", ".m4s", ".mp4", ".m4a", ".m4v", ".aac", ".mp3")
_URI_ATTRIBUTE = re.compile(r'(?<=[:,])URI="([^"]*)"')


def new_token(random_bytes: Callable[[int], bytes]) -> str:
    """Return a token for a viewer that has none.

    Args:
        random_bytes: Source of 16 octets.
    """
    number = int.from_bytes(random_bytes(16), "big")
    token = ""
    for _ in range(TOKEN_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        token += _ALPHABET[digit]
    return token


def is_token(text: str) -> bool:
    """Tell whether a text is a token in form."""
    return _TOKEN.fullmatch(text) is not None


def is_playlist_name(path: str) -> bool:
    """Tell whether a path, without a query, names a playlist of HLS."""
    return path.lower().endswith(".m3u8")


def is_media_name(path: str) -> bool:
    """Tell whether a path, without a query, names what a playlist lists: a segment."""
    return path.lower().endswith(_MEDIA_ENDINGS)


def is_master(text: str) -> bool:
    """Tell whether a playlist lists playlists.

    Source: RFC 8216 §4.3.4.2; some leave out its tag.
    """
    if "#EXT-X-STREAM-INF" in text:
        return True
    # Most have none of these and are spared a look at each line.
    return ".m3u8" in text.lower() and any(
        not line.startswith("#") and is_playlist_name(_path_of(line).rstrip())
        for line in _lines(text)
    )


def is_empty(text: str) -> bool:
    """Tell whether a text is a playlist of neither segments nor playlists.

    FFmpeg writes such a master playlist if it does not know the bit rate, as of a copy
    of what came over SRT or RTSP: it leaves out the only line that matters.
    """
    return text.startswith("#EXTM3U") and all(
        line.startswith(("#EXTM3U", "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS"))
        or not line.strip()
        for line in _lines(text)
    )


def master_of(names: Iterable[str]) -> str:
    """Return a master playlist of playlists beside it, whose rates nobody knows."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
    for name in names:
        # Quoted, a colon in it makes no scheme of what stands before.
        lines += ("#EXT-X-STREAM-INF:BANDWIDTH=1024", quote(name, safe=""))
    return "\n".join([*lines, ""])


async def rewrite(text: str, change: Callable[[str], str]) -> str:
    """Return a playlist with every line changed, without holding the event loop.

    Args:
        text: The playlist.
        change: One of the classes below; lines come with their ends.
    """
    return "".join(await in_slices(_lines(text), change))


def with_session(uri: str, token: str) -> str:
    """Return a URI whose query says this session, and everything else as before."""
    rest, mark, fragment = uri.partition("#")
    path, _, query = rest.partition("?")
    kept = [
        item
        for item in query.split("&")
        if item and item.partition("=")[0] != "session"
    ]
    return f"{path}?{'&'.join([*kept, f'session={token}'])}{mark}{fragment}"


def synthetic_master(file_name: str, query: str, token: str) -> str:
    """Return a playlist that sends a viewer to the real one with a token.

    Args:
        file_name: The last part of the playlist's path, as it came.
        query: Of the request; it is kept.
        token: Of the viewer from now on.
    """
    # A colon in it would make a scheme of what stands before.
    place = f"./{file_name}" if ":" in file_name else file_name
    uri = with_session(f"{place}?{query.partition('#')[0]}", token)
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=1024\n{uri}\n"


@attrs.frozen
class MediaLines:
    """Puts a viewer's token into the lines of a media playlist; call it with each.

    Segments, partial ones and initialization sections get it, keys do not.
    """

    token: str

    def __call__(self, line: str) -> str:
        """Return what stands instead of a line."""
        return _changed(line, self._with_token)

    def _with_token(self, uri: str) -> str:
        path = _path_of(uri)
        if is_media_name(path) or is_playlist_name(path):
            return with_session(uri, self.token)
        return uri


@attrs.define
class MasterLines:
    """Gives each playlist in a master playlist a token of its own; call it in order.

    Renditions beside the pictures (sound, subtitles) are played with one of the
    variants and share a token with the first of them, so that who plays both is one
    viewer. A line that leads to the master itself would be played round and round: it
    becomes a comment.
    """

    path: str
    """Of the master playlist's own URL, as it came."""
    next_token: Callable[[], str]
    _first: str = ""
    _first_is_used: bool = False

    def __call__(self, line: str) -> str:
        """Return what stands instead of a line."""
        if line.startswith("#"):
            return _changed(line, self._with_shared_token)
        changed = _changed(line, self._with_own_token)
        if changed != line and self._leads_here(line):
            return f"# m3u8 is referencing itself: {changed}"
        return changed

    def _with_shared_token(self, uri: str) -> str:
        if not is_playlist_name(_path_of(uri)):
            return uri
        self._first = self._first or self.next_token()
        return with_session(uri, self._first)

    def _with_own_token(self, uri: str) -> str:
        if not is_playlist_name(_path_of(uri)):
            return uri
        if self._first_is_used:
            return with_session(uri, self.next_token())
        self._first_is_used = True
        return self._with_shared_token(uri)

    def _leads_here(self, uri: str) -> bool:
        path = _path_of(uri.strip())
        if "://" in path or path.startswith("//"):
            return False  # another host's file may have the same path
        joined = posixpath.join(posixpath.dirname(self.path), path)
        return unquote(posixpath.normpath(joined)) == unquote(self.path)


@attrs.frozen
class LocalLines:
    """Makes lines that begin with a directory of the disk relative; call it with each.

    FFmpeg writes the paths it was given into a playlist, and no viewer can follow them.
    """

    directory: str
    """Absolute, of the mount."""
    name: str
    """Of the playlist in its file system."""

    def __call__(self, line: str) -> str:
        """Return what stands instead of a line."""
        return _changed(line, self._relative)

    def _relative(self, uri: str) -> str:
        start = self.directory.rstrip("/") + "/"
        if not uri.startswith(start):
            return uri
        target = "/" + uri[len(start) :]
        return posixpath.relpath(target, posixpath.dirname(self.name))


def _lines(text: str) -> Iterator[str]:
    # Not `split`: making all lines of a long list at once takes 8 ms.
    return iter(io.StringIO(text, newline="\n"))


def _path_of(uri: str) -> str:
    return uri.partition("#")[0].partition("?")[0]


def _changed(line: str, change: Callable[[str], str]) -> str:
    """Return a line with its URI changed: the line itself, or a tag's attribute."""
    if len(line) > _MAX_LINE or not line:
        return line
    if not line.startswith("#"):
        uri = line.rstrip()
        return change(uri) + line[len(uri) :]
    if 'URI="' not in line:
        return line
    return _URI_ATTRIBUTE.sub(lambda found: f'URI="{change(found[1])}"', line)
