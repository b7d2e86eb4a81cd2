"""What one connection says, and how it ends while it is being answered."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from penstock.net.http_host import HttpHost


class Deaf:
    """A wire whose peer has sent a request and takes ``takes`` writes of the answer."""

    secure = False
    peer = local = ("127.0.0.1", 1)

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.taken = b""
        self.closed = False

    async def receive_some(self) -> bytes:
        await trio.Event().wait()
        return b""

    async def send_all(self, data: bytes) -> None:
        if not self.takes:
            await trio.sleep_forever()
        self.takes -= 1
        self.taken += data

    async def finish(self, timeout_s: float) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self.closed = True


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})


# Hypercorn answers 500 after an answer that was cancelled, whatever went out of it.
@pytest.mark.parametrize("takes", [0, 1, 2])
async def test_an_answer_that_nobody_takes_ends_quietly(
    autojump_clock: MockClock, takes: int
) -> None:
    host, wire = HttpHost(application), Deaf(takes)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        await host.serve(wire, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # type: ignore[arg-type] # a wire in all that is used
        await host.stop()
    assert wire.closed


async def test_an_answer_begins_with_the_words_of_its_status(
    autojump_clock: MockClock,
) -> None:
    host, wire = HttpHost(application), Deaf(9)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        await host.serve(wire, request)  # type: ignore[arg-type] # as above
        await host.stop()
    assert wire.taken.startswith(b"HTTP/1.1 200 OK\r\n")
