"""File systems of all kinds, small enough to be filled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import attrs
import httpx
import pytest
import trio

from penstock.storage.blocks import Block
from penstock.storage.disk import DiskFileSystem
from penstock.storage.file_system import FileSystem
from penstock.storage.memory import MemoryFileSystem
from penstock.storage.s3 import S3FileSystem, S3Place

LIMIT = 10_000
DATE = "Fri, 27 Nov 2026 12:00:00 GMT"
EMPTY_LISTING = b"<ListBucketResult/>"


class stream(AsyncIterator[Block]):
    """Blocks that nobody has to read to the end, as of a generator one has to."""

    def __init__(self, *blocks: Block) -> None:
        self._blocks = iter(blocks)

    async def __anext__(self) -> Block:
        for block in self._blocks:
            return block
        raise StopAsyncIteration


async def read(
    files: FileSystem, name: str, start: int = 0, stop: int | None = None
) -> bytes:
    async with await files.open(name) as file:
        return b"".join([bytes(block) async for block in file.blocks(start, stop)])


async def put(files: FileSystem, name: str, content: bytes) -> bool:
    return (await files.write(name, stream(content))).created


class Tools:
    """What tests of file systems share."""

    stream = stream
    read = staticmethod(read)
    put = staticmethod(put)

    @staticmethod
    def leftovers(root: Path) -> Iterable[Path]:
        return root.rglob(".penstock-*")


@pytest.fixture
def tools() -> type[Tools]:
    return Tools


@pytest.fixture
def memory() -> MemoryFileSystem:
    return MemoryFileSystem(limit_bytes=LIMIT)


@pytest.fixture
async def disk(tmp_path: Path) -> DiskFileSystem:
    files = DiskFileSystem(tmp_path / "root", limit_bytes=LIMIT)
    await files.start()
    return files


_PAUSE = threading.Event()
"""Never set."""

# In moto all who read an object share one file of it: who asks for the tag moves its
# place past their lock, and who replaces the object closes it under them.
_S3_SERVER = """
from hashlib import md5

from moto.s3.models import FakeKey
from moto.server import main

def put(self, octets):
    self.octets = octets
    self.contentsize = len(octets)

def tag(self):
    return f'"{self._etag or md5(self.octets).hexdigest()}"'

FakeKey.value = property(lambda self: self.octets, put)
FakeKey.etag = property(tag)
main(["-H", "127.0.0.1", "-p", "0"])
"""


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own process that keeps objects in memory."""
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _S3_SERVER],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "S3_UPLOAD_PART_MIN_SIZE": "1", "PYTHONWARNINGS": ""},
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://127\S+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the S3 server does not start"
            _PAUSE.wait(0.05)
        yield found[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def s3_place(s3_endpoint: str) -> S3Place:
    """A new bucket, and in it a part that is ours."""
    return make_bucket(s3_endpoint)


def make_bucket(endpoint: str) -> S3Place:
    bucket = f"b{uuid.uuid4().hex}"
    httpx.put(f"{endpoint}/{bucket}", trust_env=False).raise_for_status()
    return S3Place(
        name="s3",
        endpoint=endpoint,
        region="us-east-1",
        bucket=bucket,
        access_key_id="AKID",
        secret_access_key="hush",
        mount="/s3",
        prefix="our own/",
    )


@pytest.fixture
async def s3(s3_place: S3Place) -> AsyncIterator[S3FileSystem]:
    files = S3FileSystem(s3_place, limit_bytes=LIMIT, part_bytes=4096)
    await files.start()
    yield files
    await files.aclose()


@pytest.fixture(params=["memory", "disk", pytest.param("s3", marks=pytest.mark.slow)])
def files(request: pytest.FixtureRequest) -> FileSystem:
    found: FileSystem = request.getfixturevalue(request.param)
    return found


class Others:
    """Whoever else uses the bucket; the server believes every signature."""

    @staticmethod
    def change(place: S3Place, method: str, key: str, content: bytes = b"") -> None:
        httpx.request(
            method,
            f"{place.endpoint}/{place.bucket}/{key}",
            content=content,
            headers={
                "Authorization": "AWS4-HMAC-SHA256 Credential=A/20261127/us-east-1/s3/"
                "aws4_request, SignedHeaders=host, Signature=0"
            },
            trust_env=False,
        ).raise_for_status()

    @staticmethod
    def uploads(place: S3Place) -> int:
        """Return how many are under way."""
        url = f"{place.endpoint}/{place.bucket}?uploads"
        return httpx.get(url, trust_env=False).text.count("<Upload>")


@pytest.fixture
def others() -> type[Others]:
    return Others


# -- an S3 server that says what a test wants -----------------------------------------


class _HangUp(Exception):
    pass


@attrs.define(eq=False)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    stream: trio.abc.Stream

    async def answer(
        self, status: int, body: bytes = b"", length: int | None = None, **fields: str
    ) -> None:
        lines = [f"HTTP/1.1 {status} X"]
        lines.append(f"Content-Length: {len(body) if length is None else length}")
        lines += [f"{name.replace('_', '-')}: {v}" for name, v in fields.items()]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        await self.stream.send_all(head + (b"" if self.method == "HEAD" else body))

    async def fail(self, status: int, code: str) -> None:
        await self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def hang_up(self) -> NoReturn:
        raise _HangUp

    async def absent(self) -> None:
        if self.method == "HEAD":
            await self.answer(404)
        else:
            await self.fail(404, "NoSuchKey")

    async def send_file(
        self, size: int, etag: str = '"e"', until: int | None = None
    ) -> None:
        """Send a file or what was asked of it, and perhaps hang up in the middle."""
        start, stop, status = 0, size, 200
        fields = {"ETag": etag, "Last_Modified": DATE}
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", "")):
            start, stop, status = int(found[1]), int(found[2]) + 1, 206
            fields["Content_Range"] = f"bytes {start}-{stop - 1}/{size}"
        end = stop if until is None else until
        await self.answer(status, b"x" * (end - start), stop - start, **fields)
        if end != stop:
            self.hang_up()

    async def describe(self, size: int, etag: str = '"e"') -> None:
        await self.answer(200, length=size, ETag=etag, Last_Modified=DATE)


Behaviour: TypeAlias = Callable[[Request], Awaitable[None]]


@attrs.define(eq=False)
class Stub:
    """Answers by `behaviour`; closes a connection if that raises `_HangUp`."""

    place: S3Place
    behaviour: Behaviour
    requests: list[Request] = attrs.field(factory=list)
    lists: bool = False
    """Whether listings are answered by `behaviour` too, not as those of nothing."""
    stalls_at: str = ""
    """A method whose bodies nobody takes."""
    stalled: trio.Event = attrs.field(factory=trio.Event)

    async def serve(self, stream: trio.abc.Stream) -> None:
        data = bytearray()
        try:
            async with stream:
                while True:
                    while b"\r\n\r\n" not in data:
                        if not (more := await stream.receive_some()):
                            return
                        data += more
                    head, _, rest = bytes(data).partition(b"\r\n\r\n")
                    data[:] = rest
                    lines = head.decode().split("\r\n")
                    fields = (line.partition(": ") for line in lines[1:])
                    headers = {name.lower(): value for name, _, value in fields}
                    length = int(headers.get("content-length", 0))
                    if lines[0].partition(" ")[0] == self.stalls_at:
                        self.stalled.set()
                        await trio.sleep_forever()
                    while len(data) < length:
                        if not (more := await stream.receive_some()):
                            return
                        data += more
                    method, path, _ = lines[0].split()
                    request = Request(
                        method, path, headers, bytes(data[:length]), stream
                    )
                    del data[:length]
                    self.requests.append(request)
                    if "list-type" in path and not self.lists:
                        await request.answer(200, EMPTY_LISTING)
                    else:
                        await self.behaviour(request)
        except (_HangUp, trio.BrokenResourceError):
            pass


StartStub: TypeAlias = Callable[..., Awaitable[tuple[S3FileSystem, Stub]]]


@pytest.fixture
async def start(nursery: trio.Nursery) -> AsyncIterator[StartStub]:
    """Start a stub and a file system on it; what it was asked so far is forgotten."""
    opened = []

    async def run(behaviour: Behaviour, **options: Any) -> tuple[S3FileSystem, Stub]:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        place = S3Place(
            name="s3",
            endpoint=f"http://127.0.0.1:{port}",
            region="eu",
            bucket="bucket",
            access_key_id="AKID",
            secret_access_key="hush",
            mount="/s3",
        )
        stub = Stub(place, behaviour)
        nursery.start_soon(trio.serve_listeners, stub.serve, [listener])
        files = S3FileSystem(place, **{"silence_s": 30.0, **options})
        await files.start()
        stub.requests.clear()
        opened.append(files)
        return files, stub

    yield run
    for files in opened:
        await files.aclose()
