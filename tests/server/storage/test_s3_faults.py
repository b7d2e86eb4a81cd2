"""S3 servers that do not work."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest
import trio
import trustme

from penstock.storage.errors import (
    AccessDenied,
    FileMissing,
    StorageError,
    StorageFull,
)
from penstock.storage.s3 import S3FileSystem, S3Place

if TYPE_CHECKING:
    from tests.server.storage.conftest import Request, StartStub

pytestmark = pytest.mark.slow

DATE = "Fri, 27 Nov 2026 12:00:00 GMT"

Behaviour: TypeAlias = "Callable[[Request], Awaitable[None]]"


async def absent(request: Request) -> None:
    await request.absent()


async def forbid(request: Request) -> None:
    await request.fail(403, "InvalidAccessKeyId")


async def overload(request: Request) -> None:
    await request.fail(503, "SlowDown")


async def babble(request: Request) -> None:
    await request.stream.send_all(b"220 mail.example.com ESMTP\r\n")
    request.hang_up()


async def hang_up(request: Request) -> None:
    request.hang_up()


async def hang(request: Request) -> None:
    await trio.sleep_forever()


async def break_off(request: Request) -> None:
    await request.answer(200, b"12", length=10_000, ETag='"e"', Last_Modified=DATE)
    request.hang_up()


async def flood(request: Request) -> None:
    await request.answer(400, b"x" * (5 << 20))


async def redirect(request: Request) -> None:
    await request.answer(307, Location="http://127.0.0.1:1/")


async def fill_up(request: Request) -> None:
    await request.fail(507, "XMinioStorageFull")


@pytest.mark.parametrize(
    ("behaviour", "kind", "words", "tries"),
    [
        (forbid, AccessDenied, "does not know the access key", 1),
        (overload, StorageError, "too busy", 3),
        (babble, StorageError, "broke off", 3),
        (hang_up, StorageError, "broke off", 3),
        (break_off, StorageError, "broke off", 3),
        (hang, StorageError, "in time", 1),
        (flood, StorageError, "too long", 1),
        (redirect, StorageError, "another endpoint", 1),
        (fill_up, StorageFull, "full", 1),
    ],
)
async def test_a_server_that_does_not_work_gets_a_sentence(
    start: StartStub,
    caplog: pytest.LogCaptureFixture,
    behaviour: Behaviour,
    kind: type[StorageError],
    words: str,
    tries: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    silence_s = 0.3 if behaviour is hang else 30.0
    files, stub = await start(behaviour, silence_s=silence_s)
    with trio.fail_after(60), pytest.raises(kind, match=words) as caught:
        await files.open("/f")
    assert type(caught.value) is kind
    assert len(stub.requests) == tries
    stub.lists = True
    with trio.fail_after(60), pytest.raises(kind, match=words):
        await files.entries()
    fresh = S3FileSystem(stub.place, silence_s=silence_s)
    with trio.fail_after(60), pytest.raises(kind, match=words):
        await fresh.start()
    assert "hush" not in caplog.text
    assert "hush" not in f"{caught.value!r} {files!r}"


async def test_a_second_try_helps(start: StartStub) -> None:
    faults = [hang_up, overload]

    async def behaviour(request: Request) -> None:
        if faults:
            await faults.pop()(request)
        else:
            await request.describe(5)

    files, _ = await start(behaviour)
    assert (await files.stat("/f")).size == 5


async def test_a_conditional_change_that_breaks_is_not_repeated(
    start: StartStub, tools: Any
) -> None:
    async def behaviour(request: Request) -> None:
        if request.method == "HEAD":
            await request.describe(1)
        else:
            request.hang_up()

    files, stub = await start(behaviour)
    with pytest.raises(StorageError, match="broke off"):
        await files.write("/f", tools.stream(b"x"), admit=lambda current: None)
    with pytest.raises(StorageError, match="broke off"):
        await files.delete("/f", admit=lambda current: None)
    assert [r.method for r in stub.requests] == ["HEAD", "PUT", "HEAD", "DELETE"]


async def test_who_goes_away_does_not_wait_for_a_server_that_hangs(
    start: StartStub,
) -> None:
    came = trio.Event()

    async def behaviour(request: Request) -> None:
        if len(stub.requests) == 50:
            came.set()
        await trio.sleep_forever()

    files, stub = await start(behaviour, silence_s=60.0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            # More than there are connections: some still wait for one.
            for number in range(100):
                nursery.start_soon(files.open, f"/{number}")
            await came.wait()
            nursery.cancel_scope.cancel()
    stub.behaviour = absent
    with trio.fail_after(60), pytest.raises(FileMissing):
        await files.open("/f")


async def test_nobody_there_gets_a_sentence(s3_place: S3Place) -> None:
    sock = trio.socket.socket()
    await sock.bind(("127.0.0.1", 0))
    place = attrs.evolve(s3_place, endpoint=f"http://127.0.0.1:{sock.getsockname()[1]}")
    with pytest.raises(StorageError, match="cannot be reached"):
        await S3FileSystem(place).start()
    sock.close()


async def test_a_bucket_that_is_missing_stops_the_start(s3_place: S3Place) -> None:
    place = attrs.evolve(s3_place, bucket="nobody-has-it")
    with pytest.raises(StorageError, match="bucket does not exist"):
        await S3FileSystem(place).start()


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_certificate_is_checked(
    start: StartStub,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    is_known: bool,
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    _, stub = await start(absent)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await stub.serve(stream)

    (listener,) = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
    sockets = listener.transport_listener
    assert isinstance(sockets, trio.SocketListener)
    port = sockets.socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, serve, [listener])
    place = attrs.evolve(stub.place, endpoint=f"https://127.0.0.1:{port}")
    with authority.cert_pem.tempfile() as path:
        if is_known:
            monkeypatch.setenv("SSL_CERT_FILE", path)
        files = S3FileSystem(place)
        if is_known:
            await files.start()
            assert await files.entries() == []
            await files.aclose()
        else:
            with pytest.raises(StorageError, match="certificate"):
                await files.start()
