"""Bodies of files on their way in and out of an ASGI application."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterable

import attrs
import trio

from penstock.storage.blocks import Block
from penstock.storage.file_system import OpenFile

from .file_requests import Receive, Send

__all__ = [
    "MAX_ZIPPED_BYTES",
    "ClientGone",
    "RequestBody",
    "read_whole",
    "send_answer",
    "send_blocks",
    "zipped",
]

MAX_ZIPPED_BYTES = 2 << 20
"""A larger text is sent as it is: it would take memory and a tenth of a second."""

_THREAD_BYTES = 32 << 10
"""About half a millisecond of compressing; more must not hold the loop."""

_GZIP = 31
"""Of zlib: the largest window, and gzip's own frame around it."""
_LEVEL = 5


class ClientGone(Exception):
    """The client has gone or has broken off; nobody is there to be answered."""


@attrs.define(eq=False)
class RequestBody(AsyncIterator[Block]):
    """The blocks of a request's body as they come; the client waits for whoever reads.

    Not a generator, as blocks of files are not.
    """

    receive: Receive
    _is_over: bool = False

    async def __anext__(self) -> Block:
        while not self._is_over:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            self._is_over = not message.get("more_body", False)
            block: bytes = message.get("body", b"")
            if block:
                return block
        raise StopAsyncIteration


async def send_answer(
    send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes | None
) -> None:
    """Send the first part of an answer, and with ``body`` all of it.

    Args:
        send: ASGI's.
        status: Of the answer.
        headers: Latin-1 text.
        body: None if blocks follow.
    """
    encoded = [
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers
    ]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    if body is not None:
        await send({"type": "http.response.body", "body": body})


async def send_blocks(
    send: Send,
    blocks: AsyncIterator[Block],
    *,
    is_gone: Callable[[], bool],
    count: Callable[[int], None] | None,
) -> None:
    """Send blocks as the client takes them, and the end of the answer.

    Args:
        send: ASGI's; waits until the connection has taken a block.
        blocks: Of the file.
        is_gone: Tells whether there is anybody left to send to.
        count: Told the octets of each block that has gone out.

    Raises:
        ClientGone: The client has left.
        StorageError: The file cannot be read on; the answer has no end.
    """
    async for block in blocks:
        await send({"type": "http.response.body", "body": block, "more_body": True})
        if is_gone():
            raise ClientGone
        if count is not None:
            count(len(block))
    await send({"type": "http.response.body", "body": b""})


async def read_whole(file: OpenFile) -> bytes:
    """Return all of a file that is known to be small. Raises StorageError."""
    return b"".join([bytes(block) async for block in file.blocks()])


async def zipped(content: bytes) -> bytes:
    """Return content compressed by gzip; long content in a worker thread."""
    if len(content) < _THREAD_BYTES:
        return _gzip(content)
    return await trio.to_thread.run_sync(_gzip, content)


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(content) + packer.flush()
