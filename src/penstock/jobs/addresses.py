"""Which addresses a job may read and write.

Two judges: the operator's lists of regular expressions, and for files that are written
the root of the disk, by real path, so that neither ``..`` nor a link leaves it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import attrs

from penstock.jobs.tee import TeeError, parse_tee

__all__ = [
    "Access",
    "AccessList",
    "AddressError",
    "check_input",
    "check_output",
    "check_written",
    "looks_like_address",
]

_URL = re.compile(r"[A-Za-z0-9.+-]+:{1,2}/{1,3}")
_SCHEME = re.compile(r"[A-Za-z0-9.+-]+(?=[:,])")
# They hand what follows to another protocol, so that is judged too.
_WRAPPERS = re.compile(r"(async|cache|crypto|md5|hls)[:+]|(subfile|file|cache),[^:]*:")
_LISTS = re.compile(r"(concat|concatf|tee):")
# They write to what the server opened, or cannot write: never an output.
_NEVER_WRITTEN = frozenset({"pipe", "fd", "concat", "concatf", "subfile", "data"})
_MAX_NESTED = 8

NOT_ALLOWED = "address is not allowed"


class AddressError(ValueError):
    """An address that a job may not use; the text says why."""


def compile_list(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Compile the expressions of a list; they are searched for, not anchored.

    Raises:
        re.error: If one is malformed.
    """
    return tuple(re.compile(pattern) for pattern in patterns)


@attrs.frozen
class AccessList:
    """What is blocked, and if anything is named, what alone is allowed."""

    allow: tuple[re.Pattern[str], ...] = attrs.field(default=(), converter=compile_list)
    block: tuple[re.Pattern[str], ...] = attrs.field(default=(), converter=compile_list)

    def blocks(self, address: str) -> bool:
        """Say whether the block list knows ``address``."""
        return any(pattern.search(address) for pattern in self.block)

    def permits(self, address: str) -> bool:
        """Say whether ``address`` is not blocked and, if there is a list, allowed."""
        if self.blocks(address):
            return False
        return not self.allow or any(one.search(address) for one in self.allow)


@attrs.frozen
class Access:
    """What the jobs of this server may read and write."""

    root: str
    """Absolute path, normalised; relative paths are relative to it."""
    realpath: Callable[[str], str]
    """`os.path.realpath`, or a table in tests: resolves the links of what exists."""
    reads: AccessList = AccessList()
    writes: AccessList = AccessList()


def looks_like_address(text: str) -> bool:
    """Say whether ``text`` could lead out of the root or the machine."""
    return (
        text.startswith(("/", "file:", "file,"))
        or ".." in text.split("/")
        or _URL.match(text) is not None
        or _WRAPPERS.match(text) is not None
        or _LISTS.match(text) is not None
    )


def check_input(address: str, access: Access) -> None:
    """Refuse an input that is malformed, blocked or not among the allowed.

    Any file may be read unless a list says otherwise. A path that is absolute or climbs
    is judged by its real path too, and so is each part of a nested protocol.

    Raises:
        AddressError: With the reason.
    """
    _check_input(address, access, _MAX_NESTED)


def _check_input(address: str, access: Access, depth: int) -> None:
    _check_host(address)
    lists = access.reads
    if not lists.permits(address):
        raise AddressError(NOT_ALLOWED)
    if not depth:
        raise AddressError(NOT_ALLOWED)
    for inner in _inner(address):
        # Only blocked: "^concat:" among the allowed means what is in it as well.
        if lists.blocks(inner):
            raise AddressError(NOT_ALLOWED)
        if inner != address:
            _check_blocked_paths(inner, access, depth - 1)
    path = _without_file(address)
    is_url = path == address and _URL.match(path)
    if path.startswith("/") or (".." in path.split("/") and not is_url):
        real = access.realpath(posixpath.join(access.root, path))
        forms = (real, f"file:{real}")
        if any(map(lists.blocks, forms)) or not any(map(lists.permits, forms)):
            raise AddressError(NOT_ALLOWED)


def _check_blocked_paths(address: str, access: Access, depth: int) -> None:
    if not depth:
        raise AddressError(NOT_ALLOWED)
    blocks = access.reads.blocks
    for inner in (address, *_inner(address)):
        path = _without_file(inner)
        forms = [inner, f"file:{path}"]
        # Behind "file:" even what looks like a URL is a path.
        if path != inner or not _URL.match(path):
            real = access.realpath(posixpath.join(access.root, path))
            forms += (real, f"file:{real}")
        if any(map(blocks, forms)):
            raise AddressError(NOT_ALLOWED)
        if inner != address:
            _check_blocked_paths(inner, access, depth - 1)


def check_output(address: str, access: Access, *, is_tee: bool = False) -> None:
    """Refuse an output that is malformed, not allowed, or outside the root.

    An address with ``|`` or a ``[`` in front is judged as a list for the tee muxer and
    also as the plain name that it is to any other muxer.

    Args:
        address: Where FFmpeg writes, placeholders and references resolved.
        access: The lists and the root.
        is_tee: The muxer is tee; only then is the list all there is.

    Raises:
        AddressError: With the reason.
    """
    for form in _forms(address):
        if is_tee or "|" in form or form.startswith("["):
            _check_tee(form, access, _MAX_NESTED)
        if not is_tee:
            _check_written(form, access, _MAX_NESTED)


def _forms(address: str) -> tuple[str, ...]:
    """Return an address without the blanks around it, and as it stands.

    Some who take it trim it, others do not: "/../x" is a path from the top then, but
    " /../x" one from the folder " ".
    """
    return tuple(dict.fromkeys((address.strip(), address)))


def _check_tee(text: str, access: Access, depth: int) -> None:
    # The options of a part are options like any other: their table knows addresses.
    from penstock.jobs.options import check_pairs

    if not depth:
        raise AddressError(NOT_ALLOWED)
    try:
        parts = parse_tee(text)
    except TeeError as error:
        raise AddressError(str(error)) from None
    for part in parts:
        check_pairs(part.options, access)
        if ("f", "tee") in part.options:
            _check_tee(part.address, access, depth - 1)
            continue
        for form in _forms(part.address):
            _check_written(form, access, depth - 1)


def check_written(address: str, access: Access) -> None:
    """Refuse to write to one address, which is no list.

    Raises:
        AddressError: With the reason.
    """
    for form in _forms(address):
        _check_written(form, access, _MAX_NESTED)


def _check_written(address: str, access: Access, depth: int) -> None:
    if not depth:
        raise AddressError(NOT_ALLOWED)
    if address == "-":
        return
    nested = _WRAPPERS.match(address) or _LISTS.match(address)
    if nested and not address.startswith("file,"):
        name, comma, _ = address[: nested.end() - 1].partition(",")
        if name in _NEVER_WRITTEN or not access.writes.permits(address):
            raise AddressError(NOT_ALLOWED)
        if comma:
            # FFmpeg knows options here for "subfile" alone: all of it is a file's name.
            _check_path(address, access)
        rest = address[nested.end() :]
        if name == "tee":
            # Quotes, backslashes and options mean the same as to the muxer.
            _check_tee(rest, access, depth - 1)
        else:
            _check_written(rest, access, depth - 1)
        return
    path = _without_file(address)
    # Behind "file:" even what looks like a URL is a path.
    if path == address and _URL.match(path):
        _check_host(path)
        if path.startswith("unix:"):
            _check_path(path.removeprefix("unix:"), access)
            return
        name = path.partition(":")[0]
        if name in _NEVER_WRITTEN or not access.writes.permits(address):
            raise AddressError(NOT_ALLOWED)
        return
    scheme = _SCHEME.match(path)
    # "udp:1.2.3.4:5", "pipe:1": no URL, and no file that anybody means.
    if path == address and scheme and "/" not in scheme[0]:
        if scheme[0] != "unix":
            raise AddressError(NOT_ALLOWED)
        path = path.removeprefix("unix:")
    _check_path(path, access)


def _check_path(path: str, access: Access) -> None:
    joined = posixpath.join(access.root, path)
    shown = posixpath.normpath(joined).replace("//", "/")
    real = access.realpath(joined)
    if _inside(shown, "/dev"):
        # A link such as /dev/fd leads to what the server has open.
        if not _inside(real, "/dev"):
            raise AddressError(NOT_ALLOWED)
    else:
        real_root = access.realpath(access.root)
        for one, root in ((shown, access.root), (real, real_root)):
            if not _inside(one, root):
                raise AddressError(f"{one} is not inside of {access.root}")
    if not access.writes.permits(f"file:{shown}"):
        raise AddressError(NOT_ALLOWED)


def _inside(path: str, root: str) -> bool:
    """Say whether ``path`` lies below ``root``: "/a/datax" is not below "/a/data"."""
    return path.startswith(root.rstrip("/") + "/")


def _without_file(address: str) -> str:
    match = re.match(r"file(,[^:]*)?:", address)
    return address[match.end() :] if match else address


def _inner(address: str) -> tuple[str, ...]:
    """Return what an address with a nested protocol leads to."""
    listed = _LISTS.match(address)
    if listed:
        return tuple(address[listed.end() :].split("|"))
    wrapped = _WRAPPERS.match(address)
    return (address[wrapped.end() :],) if wrapped else (_without_file(address),)


def _check_host(address: str) -> None:
    """Refuse a URL whose host or port cannot be read; path and query may be anything.

    Raises:
        AddressError: In the words that clients know.
    """
    match = _URL.match(address)
    if not match:
        return
    host = "//" + address[match.end() :].partition("/")[0].partition("?")[0]
    if not match[0].endswith("//") or host == "//":
        return
    authority = host[2:].rpartition("@")[2]
    if authority.startswith("[") and "]" not in authority:
        raise AddressError(f"parse \"{host}\": missing ']' in host")
    port = authority.rpartition("]")[2].partition(":")[2]
    if port and not (port.isascii() and port.isdigit()):
        raise AddressError(f'parse "{host}": invalid port ":{port}" after host')
    try:
        urlsplit(host)
    except ValueError as error:
        raise AddressError(f'parse "{host}": {error}') from None
