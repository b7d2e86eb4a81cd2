"""Mounts on real sockets, under the host that the server uses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from penstock.storage.disk import DiskFileSystem
from penstock.storage.memory import MemoryFileSystem
from penstock.web.file_mounts import FileMount
from penstock.web.mount_rules import MountRules

Hosted = Callable[[object], AbstractAsyncContextManager[int]]

WRITABLE = MountRules(is_writable=True)
GUARDED = MountRules(is_writable=True, credentials=lambda: ("admin", "secret"))
BODY = bytes(range(256)) * 4096


async def connect(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


async def read_all(stream: trio.SocketStream) -> bytes:
    with trio.fail_after(60):
        return b"".join([bytes(part) async for part in stream])


async def ask(port: int, head: str, body: bytes = b"") -> bytes:
    stream = await connect(port)
    async with stream:
        text = head.replace("\n", "\r\n") + "\r\nHost: x\r\nConnection: close\r\n\r\n"
        await stream.send_all(text.encode() + body)
        return await read_all(stream)


async def test_a_file_goes_in_and_comes_out(hosted: Hosted) -> None:
    async with hosted(FileMount(MemoryFileSystem(), "/memfs", WRITABLE)) as port:
        put = f"PUT /memfs/a HTTP/1.1\nContent-Length: {len(BODY)}"
        assert (await ask(port, put, BODY)).startswith(b"HTTP/1.1 201 Created\r\n")
        answer = await ask(port, "GET /memfs/a HTTP/1.1")
        assert answer.partition(b"\r\n\r\n")[2] == BODY
        chunked = "PUT /memfs/a HTTP/1.1\nTransfer-Encoding: chunked"
        answer = await ask(port, chunked, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 204 ")
        answer = await ask(port, "GET /memfs/a HTTP/1.1\nRange: bytes=1-3")
        assert answer.startswith(b"HTTP/1.1 206 Partial Content\r\n")
        assert answer.endswith(b"\r\n\r\nbcd")


# Hypercorn would say 100 before the mount has seen the request, and a client that waits
# for it would send all its body only to hear that it may not. RFC 9110 §10.1.1.
async def test_a_client_that_asks_first_is_refused_before_it_sends(
    hosted: Hosted,
) -> None:
    async with hosted(FileMount(MemoryFileSystem(), "/memfs", GUARDED)) as port:
        answer = await ask(
            port,
            "PUT /memfs/a HTTP/1.1\nTransfer-Encoding: chunked\nExpect: 100-continue",
        )
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    # RFC 9112 §9.6: the rest of the body is not waited for.
    assert b"connection: close" in answer.lower()


async def test_a_client_that_asks_first_is_called_to_send(hosted: Hosted) -> None:
    async with hosted(FileMount(MemoryFileSystem(), "/memfs", WRITABLE)) as port:
        stream = await connect(port)
        async with stream:
            await stream.send_all(
                b"PUT /memfs/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
            )
            with trio.fail_after(60):
                came = bytes(await stream.receive_some())
            assert came.startswith(b"HTTP/1.1 100 ")
            await stream.send_all(b"abc")
            answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_connection_takes_one_request_after_the_other(hosted: Hosted) -> None:
    async with hosted(FileMount(MemoryFileSystem(), "/memfs", WRITABLE)) as port:
        stream = await connect(port)
        async with stream:
            one = b"PUT /memfs/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
            last = b"GET /memfs/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            await stream.send_all(one + one + last)
            answer = await read_all(stream)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [
        b"201",
        b"204",
        b"200",
    ]


@pytest.mark.parametrize("place", ["memory", "disk"])
async def test_a_client_that_does_not_read_keeps_nobody_waiting(
    hosted: Hosted, tmp_path: Path, place: str
) -> None:
    files: MemoryFileSystem | DiskFileSystem = MemoryFileSystem()
    if place == "disk":
        files = DiskFileSystem(tmp_path)
        await files.start()
    async with hosted(FileMount(files, "/memfs", WRITABLE)) as port:
        large = BODY * 30
        put = f"PUT /memfs/a HTTP/1.1\nContent-Length: {len(large)}"
        assert (await ask(port, put, large)).startswith(b"HTTP/1.1 201 ")
        lazy = [await connect(port) for _ in range(20)]
        for stream in lazy:
            await stream.send_all(b"GET /memfs/a HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await ask(port, "GET /memfs/a HTTP/1.1")
        assert answer.partition(b"\r\n\r\n")[2] == large
        await ask(port, "DELETE /memfs/a HTTP/1.1")
        for stream in lazy[1:]:
            await stream.aclose()
        # The one that is left gets all of what has been deleted meanwhile.
        with trio.fail_after(60):
            came = b""
            while len(came) < len(large):
                came += await lazy[0].receive_some()
        assert came.endswith(large[-1000:])
        await lazy[0].aclose()
        if isinstance(files, MemoryFileSystem):
            with trio.fail_after(60):
                while (await files.usage()).held_bytes:  # noqa: ASYNC110 - as clients go
                    await trio.sleep(0.01)


async def test_an_upload_that_breaks_off_leaves_nothing(hosted: Hosted) -> None:
    files = MemoryFileSystem()
    async with hosted(FileMount(files, "/memfs", WRITABLE)) as port:
        stream = await connect(port)
        await stream.send_all(
            b"PUT /memfs/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nabc"
        )
        with trio.fail_after(60):
            while not (await files.usage()).under_way_bytes:  # noqa: ASYNC110
                await trio.sleep(0.01)
        await stream.aclose()
        with trio.fail_after(60):
            while (await files.usage()).under_way_bytes:  # noqa: ASYNC110
                await trio.sleep(0.01)
    assert await files.entries() == []


@pytest.mark.slow
async def test_fifty_writers_and_readers_of_one_file_see_it_whole(
    hosted: Hosted,
) -> None:
    sizes = [number * 7_919 for number in range(1, 51)]
    async with hosted(FileMount(MemoryFileSystem(), "/memfs", WRITABLE)) as port:

        async def write(number: int) -> None:
            body = bytes([number]) * sizes[number]
            put = f"PUT /memfs/a HTTP/1.1\nContent-Length: {len(body)}"
            assert (await ask(port, put, body))[9:12] in (b"201", b"204")

        async def read() -> None:
            answer = await ask(port, "GET /memfs/a HTTP/1.1")
            head, _, body = answer.partition(b"\r\n\r\n")
            if head[9:12] == b"200":
                assert body == body[:1] * sizes[body[0]]

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(write, number)
                nursery.start_soon(read)
