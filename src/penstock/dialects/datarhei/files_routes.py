"""The file systems over the API: which there are, their files, and the files' bytes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs
import trio

from penstock.control.files import (
    AccessDenied,
    BadName,
    Conditions,
    FileInfo,
    FileMissing,
    GlobError,
    Mount,
    OpenFile,
    StorageError,
    StorageFull,
    TooLarge,
    WriteIncomplete,
    compile_glob,
    file_headers,
    judge_change,
    judge_read,
    media_type,
)

from .answers import Answer, Failure, as_json, text
from .requests import Request
from .site import Endpoint, Route

__all__ = ["files_routes"]

_FILE: Final = "/api/v3/fs/{name}/{path*}"
_READING: Final = "OPTIONS, GET, HEAD"
_CHANGING: Final = "OPTIONS, DELETE, GET, HEAD, PUT"
_BOX: Final = (
    ("Content-Security-Policy", "sandbox"),
    ("X-Content-Type-Options", "nosniff"),
)
_MANY: Final = 300
"""Files whose listing is made in a thread."""


class _Refused(Exception):
    """A condition of the request does not hold."""


def files_routes(
    mounts: Sequence[Mount],
    *,
    is_read_only: Callable[[], bool] = lambda: False,
    wall: Callable[[], float] = time.time,
) -> list[Route]:
    """Return the routes of the file systems.

    Args:
        mounts: Which there are.
        is_read_only: Whether nothing may be changed.
        wall: Unix seconds.
    """
    shelf = _Shelf({mount.name: mount for mount in mounts}, wall)

    def change(endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Answer:
            if is_read_only():
                raise _not_allowed(_READING)
            return await endpoint(request)

        return guarded

    async def refuse(request: Request) -> Answer:
        raise _not_allowed(_READING if is_read_only() else _CHANGING)

    return [
        Route("GET", "/api/v3/fs", shelf.show),
        Route("GET", "/api/v3/fs/{name}", shelf.list_files),
        Route("GET", _FILE, shelf.read),
        Route("PUT", _FILE, change(shelf.write)),
        Route("DELETE", _FILE, change(shelf.delete)),
        Route("PATCH", _FILE, refuse),
        Route("POST", _FILE, refuse),
    ]


@attrs.frozen
class _Shelf:
    mounts: Mapping[str, Mount]
    wall: Callable[[], float]

    async def show(self, request: Request) -> Answer:
        shapes = [
            {"name": mount.name, "type": mount.type, "mount": mount.path}
            for mount in self.mounts.values()
        ]
        return as_json(shapes)

    async def list_files(self, request: Request) -> Answer:
        mount = self._mount(request)
        query = request.query
        try:
            pattern = query.get("glob", "")
            matches = compile_glob(pattern, "/").matches if pattern else None
            infos = await mount.file_system.entries(matches)
        except GlobError:
            infos = []  # what means nothing covers nothing
        except StorageError as error:
            raise Failure(500, "Internal Server Error", str(error)) from error
        shape = partial(
            _listing, infos, query.get("sort", ""), query.get("order") == "desc"
        )
        if len(infos) < _MANY:
            return shape()
        return await trio.to_thread.run_sync(shape)

    async def read(self, request: Request) -> Answer:
        mount, path = self._mount(request), _path(request)
        try:
            file = await mount.file_system.open(path)
        except (AccessDenied, BadName, FileMissing) as error:
            raise Failure(404, "File not found", path) from error
        except StorageError as error:
            raise Failure(500, "Internal Server Error", str(error)) from error
        return await self._answer(request, file)

    async def _answer(self, request: Request, file: OpenFile) -> Answer:
        conditions = _conditions(request)
        verdict = judge_read(request.method, conditions, file.info, self.wall())
        headers = file_headers(verdict, file.info, media_type(file.info.name))
        if verdict.status not in (200, 206):
            await file.aclose()
            if verdict.status == 304:
                return Answer(status=304, content_type="", headers=tuple(headers))
            message = {412: "Precondition Failed", 416: "Range Not Satisfiable"}
            name = file.info.name
            raise Failure(
                verdict.status, message[verdict.status], name, headers=headers
            )
        # It has the API's origin: what somebody stored as a page is no part of it.
        headers += _BOX
        part = verdict.part
        blocks = file.blocks(part.start, part.stop) if part else file.blocks()
        return Answer(
            status=verdict.status,
            content_type="",
            headers=tuple(headers),
            blocks=blocks,
            resource=file,
        )

    async def write(self, request: Request) -> Answer:
        mount, path = self._mount(request), _path(request)
        try:
            written = await mount.file_system.write(
                path,
                _blocks(request),
                expected_size=_length(request),
                admit=partial(self._admit, request),
            )
        except _Refused:
            raise Failure(412, "Precondition Failed", path) from None
        except (AccessDenied, BadName, StorageFull, TooLarge, WriteIncomplete) as error:
            raise Failure(400, "Bad request", str(error)) from error
        except StorageError as error:
            raise Failure(500, "Internal Server Error", str(error)) from error
        if not written.created:
            return Answer(status=204, content_type="")
        where = ("Content-Location", _printable(request.path))
        return text("", 201, where)

    async def delete(self, request: Request) -> Answer:
        mount, path = self._mount(request), _path(request)
        try:
            await mount.file_system.delete(path, admit=partial(self._admit, request))
        except _Refused:
            raise Failure(412, "Precondition Failed", path) from None
        except (BadName, FileMissing) as error:
            raise Failure(404, "File not found", path) from error
        except AccessDenied as error:
            raise Failure(400, "Bad request", str(error)) from error
        except StorageError as error:
            raise Failure(500, "Internal Server Error", str(error)) from error
        return text(f"Deleted: {path}")

    def _mount(self, request: Request) -> Mount:
        name = request.arguments[0]
        mount = self.mounts.get(name)
        if mount is None:
            raise Failure(404, "File not found", f"unknown filesystem: {name}")
        return mount

    def _admit(self, request: Request, info: FileInfo | None) -> None:
        if judge_change(_conditions(request), info, self.wall()) is not None:
            raise _Refused


def _listing(infos: Sequence[FileInfo], sort: str, is_descending: bool) -> Answer:
    keys: dict[str, Callable[[FileInfo], Any]] = {
        "name": lambda info: info.name,
        "size": lambda info: (info.size, info.name),
    }
    key = keys.get(sort, lambda info: (info.modified_at, info.name))
    ordered = sorted(infos, key=key, reverse=is_descending)
    return as_json(
        [
            {
                "name": info.name,
                "size_bytes": info.size,
                "last_modified": int(info.modified_at // 1),
            }
            for info in ordered
        ]
    )


def _path(request: Request) -> str:
    return "/" + request.arguments[1].removesuffix("/")


def _conditions(request: Request) -> Conditions:
    return Conditions.of(lambda name: request.headers.get(name.lower()))


def _length(request: Request) -> int | None:
    declared = request.headers.get("content-length", "")
    is_number = declared.isascii() and declared.isdigit() and len(declared) < 19
    return int(declared) if is_number else None


def _blocks(request: Request) -> AsyncIterator[bytes]:
    return _Whole(request) if request.blocks is None else request.blocks()


class _Whole(AsyncIterator[bytes]):
    """A body that has been, or will be, read at once."""

    def __init__(self, request: Request) -> None:
        self._request: Request | None = request

    async def __anext__(self) -> bytes:
        request, self._request = self._request, None
        if request is None:
            raise StopAsyncIteration
        return await request.body()


def _printable(path: str) -> str:
    return "".join(char if " " < char < "\x7f" else "?" for char in path)


def _not_allowed(allow: str) -> Failure:
    return Failure(
        405, "Method Not Allowed", "Method Not Allowed", headers=[("Allow", allow)]
    )
