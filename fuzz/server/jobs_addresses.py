"""Addresses and options of jobs: what may be opened, against what FFmpeg would open."""

from __future__ import annotations

import posixpath
import re

from penstock.jobs.addresses import (
    Access,
    AccessList,
    AddressError,
    check_input,
    check_output,
)
from penstock.jobs.graphs import check_graph
from penstock.jobs.option_table import OPENS, Kind
from penstock.jobs.options import check_options
from penstock.jobs.tee import parse_tee

from .shared.ffmpeg import INHERITED, files_read, files_written, tee_parts

_ROOT = "/core/data"
_LINKS = {
    "/core/data/link": "/etc",
    "/dev/fd": "/proc/1/fd",
    "/media/link": "/etc",
}
_NO_LOADING = re.compile(r"(?:^|[\];,])\s*(?:ladspa|lv2|frei0r|zmq|azmq)\s*=")


def _realpath(path: str) -> str:
    # Part by part, as the kernel walks.
    real = "/"
    for part in path.split("/"):
        real = posixpath.normpath(posixpath.join(real, part))
        real = _LINKS.get(real, real)
    return real


_OPEN = Access(_ROOT, _realpath)
_ALLOWED = Access(_ROOT, _realpath, reads=AccessList(allow=("^/media/",)))
_BLOCKED = Access(_ROOT, _realpath, reads=AccessList(block=("^/etc/", "^pipe:")))


def one_input(data: bytes) -> None:
    # Whatever passes as an output is written to the root, a device, or the network, and
    # never to what the server has open; whatever passes as an input is in the folder
    # that alone is allowed and not in the one that is blocked, links followed; no
    # filter that loads code passes. A refusal is an AddressError.
    text = data.decode("utf-8", "replace").replace("\0", "")  # no job has a NUL
    address, *words = text.split("\n")
    if _passes_as_output(address, is_tee=False):
        _check_written(files_written(address))
    if _passes_as_output(address, is_tee=True):
        for part in tee_parts(address):
            _check_written(files_written(part))
        assert [part.address for part in parse_tee(address)] == tee_parts(address)
    for access in (_OPEN, _ALLOWED, _BLOCKED):
        try:
            check_input(address, access)
        except AddressError:
            continue
        for path in files_read(address):
            real = _realpath(posixpath.join(_ROOT, path))
            assert access is not _ALLOWED or real.startswith("/media/"), real
            # A link in the root that is named plainly is the operator's own.
            linked = path.startswith("link/")
            assert access is not _BLOCKED or linked or not real.startswith("/etc/")
    try:
        check_graph(address, _OPEN)
    except AddressError:
        pass
    else:
        assert not _NO_LOADING.search(address)
    _check_options(words)


def _passes_as_output(address: str, *, is_tee: bool) -> bool:
    try:
        check_output(address, _OPEN, is_tee=is_tee)
    except AddressError:
        return False
    return True


def _check_written(paths: list[str]) -> None:
    for path in paths:
        assert path != INHERITED
        real = _realpath(posixpath.join(_ROOT, path))
        assert real.startswith((f"{_ROOT}/", "/dev/")), (path, real)


def _check_options(words: list[str]) -> None:
    try:
        check_options(words, _OPEN)
    except AddressError:
        return
    # Only of the first word it is certain that it is no value of another.
    option, value = (*words, "", "")[:2]
    name = option[1:].partition(":")[0]
    kind = OPENS[name][0] if option[:1] == "-" and name in OPENS else None
    assert kind is not Kind.REFUSED
    own_pipe = name == "progress" and value in ("pipe:", "pipe:1", "pipe:2")
    if kind is Kind.WRITES and not own_pipe:
        _check_written(files_written(value))
    if not option.startswith("-"):
        _check_written(files_written(option))
