"""A file system at a prefix of the URL space, as an ASGI application.

It is no route of a framework: bodies stream both ways in large blocks, and paths are
decoded once, from the bytes that came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from penstock import log
from penstock.storage.errors import FileMissing, StorageError
from penstock.storage.file_system import FileInfo, FileSystem
from penstock.storage.http_semantics import Conditions, judge_change

from .file_bodies import ClientGone, RequestBody
from .file_reads import ClientAddress, FileReader
from .file_requests import (
    FileFailure,
    FileRequest,
    Message,
    Receive,
    Send,
    decode_file_name,
    failure_of,
)
from .hls_viewers import HlsViewers
from .mount_rules import Exchange, MountRules

__all__ = ["FileMount"]

_DEFAULT_RULES = MountRules()


def _peer(peer: str, headers: Mapping[str, str]) -> str:
    return peer


class FileMount:
    """Serves one file system over HTTP.

    Args:
        files: The file system; started already.
        prefix: Where it stands, without a last slash: ``/memfs``, or "" for the root.
        rules: Who may do what.
        viewers: Counts HLS viewers, if somebody shall.
        client: The address of a connection and headers -> that of the client.
        wall: Unix seconds.
    """

    def __init__(
        self,
        files: FileSystem,
        prefix: str = "",
        rules: MountRules = _DEFAULT_RULES,
        *,
        viewers: HlsViewers | None = None,
        client: ClientAddress = _peer,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._files = files
        self._prefix = prefix
        self._rules = rules
        self._wall = wall
        self._reader = FileReader(files, prefix, rules, viewers, client, wall)

    def owns(self, raw_path: bytes) -> bool:
        """Tell whether a path, as it came, is one of this mount's."""
        prefix = self._prefix.encode()
        return raw_path == prefix or raw_path.startswith(prefix + b"/")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        if scope["type"] != "http":
            return
        request = FileRequest.of(scope)
        exchange = Exchange(request, self._rules, receive, send)
        try:
            await self._serve(exchange)
        except FileFailure as failure:
            await exchange.fail(failure)
        except ClientGone:
            log.debug("file client has gone", path=request.path, client=request.peer)
        except StorageError as error:
            if type(error) is StorageError:
                log.warning("storage failed", path=request.path, reason=str(error))
            # An answer that has begun must not look whole: it ends without its end.
            if not exchange.has_begun:
                await exchange.fail(failure_of(error, request))

    async def _serve(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method in ("GET", "HEAD"):
            await self._reader.serve(exchange)
        elif request.method in ("PUT", "POST", "DELETE"):
            self._rules.check_writer(request)
            name = decode_file_name(request.raw_path, self._prefix)
            if request.method == "DELETE":
                await self._files.delete(name, admit=self._admission(request))
                await exchange.answer(204, [])
            else:
                await self._write(exchange, name)
        elif request.method == "OPTIONS":
            await exchange.answer(204, [("Allow", self._rules.allow)])
        else:
            allow = (("Allow", self._rules.allow),)
            raise FileFailure(405, "Files take no such method", request.path, allow)

    async def _write(self, exchange: Exchange, name: str) -> None:
        request = exchange.request
        if request.header("Content-Range") is not None:
            # RFC 9110 §14.5: whoever ignored it would put a part in the whole's place.
            raise FileFailure(400, "A file is written whole", request.path)
        if (request.header("Content-Encoding") or "identity").lower() != "identity":
            # Nothing would tell readers that it has to be unpacked.
            raise FileFailure(415, "A file is written as it is", request.path)
        admit = self._admission(request)
        if request.header("If-Match") or request.header("If-None-Match"):
            await self._judge_early(name, request)
        written = await self._files.write(
            name,
            RequestBody(exchange.receive),
            expected_size=request.body_size,
            admit=admit,
        )
        headers = [("ETag", written.info.etag)]
        if written.created:
            headers += [("Content-Length", "0"), ("Content-Location", request.path)]
        await exchange.answer(201 if written.created else 204, headers)

    async def _judge_early(self, name: str, request: FileRequest) -> None:
        """Refuse before the body has come what will be refused after it."""
        current: FileInfo | None = None
        try:
            current = await self._files.stat(name)
        except FileMissing:
            pass
        self._admission(request)(current)

    def _admission(self, request: FileRequest) -> Callable[[FileInfo | None], None]:
        """Return what forbids a change whose conditions do not hold.

        Source: RFC 9110 §13.2.2.
        """
        conditions = Conditions.of(request.header)

        def admit(current: FileInfo | None) -> None:
            status = judge_change(conditions, current, self._wall())
            if status is not None:
                raise FileFailure(status, "The file is another one", request.path)

        return admit


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
