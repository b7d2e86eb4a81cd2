"""Answering GET and HEAD for the files of a mount."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs
import trio

from penstock.storage.errors import FileMissing
from penstock.storage.file_system import FileSystem, OpenFile
from penstock.storage.http_semantics import (
    Conditions,
    file_headers,
    judge_read,
    weaken,
)
from penstock.storage.media_types import accepts_gzip, is_compressible, media_type

from .file_bodies import MAX_ZIPPED_BYTES, read_whole, send_blocks, zipped
from .file_requests import FileFailure, FileRequest, decode_file_name
from .hls_playlists import (
    MAX_PLAYLIST_BYTES,
    LocalLines,
    is_empty,
    is_media_name,
    is_playlist_name,
    master_of,
    rewrite,
)
from .hls_viewers import HlsViewers, PlaylistRequest
from .mount_rules import Exchange, Headers, MountRules

__all__ = ["ClientAddress", "FileReader"]

ClientAddress: TypeAlias = Callable[[str, Mapping[str, str]], str]
"""The address of a connection and headers -> that of the client."""

_EMPTY_BYTES = 80
"""A playlist that lists nothing has no more."""
_ZIPPING = 2
"""Texts of a mount that are in memory to be compressed at the same time."""


@attrs.frozen
class FileReader:
    """The half of a mount that everybody may use."""

    files: FileSystem
    prefix: str
    rules: MountRules
    viewers: HlsViewers | None
    client: ClientAddress
    wall: Callable[[], float]
    """Unix seconds."""
    _zipping: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(_ZIPPING), init=False
    )

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request. Raises FileFailure, StorageError, ClientGone."""
        request = exchange.request
        name = decode_file_name(request.raw_path, self.prefix)
        index = self.rules.index
        if index and name.endswith("/"):
            name += index
        try:
            file = await self.files.open(name)
        except FileMissing:
            if not index:
                raise
            await self._redirect(exchange, f"{name}/{index}")
            return
        async with file:
            if is_playlist_name(name) and file.info.size <= MAX_PLAYLIST_BYTES:
                address = self.client(request.peer, request.headers)
                viewers = self.viewers
                if viewers is not None and viewers.is_ignored(address):
                    viewers = None
                is_changed = viewers is not None or self.rules.local_directory
                may_be_empty = file.info.size <= _EMPTY_BYTES
                if is_changed or (may_be_empty and self.rules.finds_variants):
                    await self._send_changed(exchange, file, viewers, address)
                    return
            await self._send_file(exchange, file)

    async def _redirect(self, exchange: Exchange, index: str) -> None:
        """Lead from a directory that has an index to its URL with a slash."""
        await self.files.stat(index)
        # A name that is there has no empty parts, so this is no ``//host``.
        request = exchange.request
        place = f"{request.path}/" + (f"?{request.query}" if request.query else "")
        await exchange.answer(301, [("Location", place), ("Content-Length", "0")])

    async def _send_file(self, exchange: Exchange, file: OpenFile) -> None:
        request, rules, info = exchange.request, self.rules, file.info
        kind = self._media_type(info.name)
        may_be_zipped = rules.gzip and is_compressible(kind, info.size)
        # A part of a file is never compressed.
        is_zipped = (
            may_be_zipped
            and info.size <= MAX_ZIPPED_BYTES
            and request.header("Range") is None
            and accepts_gzip(request.header("Accept-Encoding"))
        )
        if is_zipped:
            info = attrs.evolve(info, etag=weaken(info.etag))
        conditions = Conditions.of(request.header)
        answer = judge_read(request.method, conditions, info, self.wall())
        if answer.status == 412:
            raise FileFailure(412, "The file is another one", request.path)
        headers: Headers = []
        if may_be_zipped:
            headers.append(("Vary", "Accept-Encoding"))
        content: bytes | None = None
        if is_zipped and answer.status == 200:
            async with self._zipping:
                content = await zipped(await read_whole(file))
            info = attrs.evolve(info, size=len(content))
            headers.append(("Content-Encoding", "gzip"))
        max_age = rules.max_age
        if is_playlist_name(info.name):
            max_age = None
            headers.append(("Cache-Control", "no-cache"))
        headers += file_headers(answer, info, kind, max_age=max_age)
        if answer.status == 416:
            reason = "The file has no such part"
            raise FileFailure(416, reason, request.path, tuple(headers))
        if content is not None or answer.status == 304 or request.method == "HEAD":
            await exchange.answer(answer.status, headers, content or b"")
            return
        part = answer.part
        blocks = file.blocks() if part is None else file.blocks(part.start, part.stop)
        count = self._meter(request, info.name)
        await exchange.begin(answer.status, headers)
        await send_blocks(exchange.send, blocks, is_gone=request.is_gone, count=count)

    async def _send_changed(
        self,
        exchange: Exchange,
        file: OpenFile,
        viewers: HlsViewers | None,
        address: str,
    ) -> None:
        """Serve a playlist with other lines than those in the file."""
        request, rules = exchange.request, self.rules
        text = (await read_whole(file)).decode("utf-8", "surrogateescape")
        if rules.local_directory:
            lines = LocalLines(rules.local_directory, file.info.name)
            text = await rewrite(text, lines)
        if rules.finds_variants and len(text) <= _EMPTY_BYTES and is_empty(text):
            text = master_of(await self._variants_of(file.info.name))
        token = request.parameter("session")
        if viewers is not None:
            asked = PlaylistRequest(
                request.path,
                request.query,
                token,
                address,
                request.header("User-Agent") or "",
                request.header("Referer") or "",
            )
            text = await viewers.playlist(asked, text)
        content = text.encode("utf-8", "surrogateescape")
        kind = self._media_type(file.info.name)
        # No validators: they would tell versions of the file, not of this text.
        headers = [
            ("Content-Type", kind),
            ("Cache-Control", "no-cache" if viewers is None else "private"),
        ]
        if rules.gzip and is_compressible(kind, len(content)):
            headers.append(("Vary", "Accept-Encoding"))
            if accepts_gzip(request.header("Accept-Encoding")):
                async with self._zipping:
                    content = await zipped(content)
                headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(content))))
        await exchange.answer(200, headers, content)
        if viewers is not None and request.method == "GET":
            count = viewers.meter(token, is_media=False)
            if count is not None:
                count(len(content))

    async def _variants_of(self, name: str) -> list[str]:
        """Return the playlists that a master playlist without lines would list.

        They are called as it, with something more: restreamer-ui and FFmpeg's own
        ``%v`` have it so.
        """
        folder, _, file_name = name.rpartition("/")
        stem = re.escape(file_name[: -len(".m3u8")])
        wanted = re.compile(rf"{re.escape(folder)}/{stem}_[^/]*\.m3u8", re.IGNORECASE)
        found = await self.files.entries(lambda one: wanted.fullmatch(one) is not None)
        return sorted(one.name.rpartition("/")[2] for one in found)

    def _meter(self, request: FileRequest, name: str) -> Callable[[int], None] | None:
        token = request.parameter("session")
        if self.viewers is None or not token:
            return None
        return self.viewers.meter(token, is_media=is_media_name(name))

    def _media_type(self, name: str) -> str:
        return media_type(name, self.rules.media_types, self.rules.default_type)
