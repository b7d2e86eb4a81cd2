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

    async def receive_some(self, max_bytes: int) -> bytes:
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
    headers = [(b"Content-Length", b"2")]
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
    # Some clients tell fields by their letters.
    assert b"\r\nContent-Length: 2\r\n" in wire.taken


class Slow(Deaf):
    """A wire on which an octet of the body comes every 50 s, ``octets`` times."""

    def __init__(self, octets: int) -> None:
        super().__init__(takes=99)
        self.octets = octets

    async def receive_some(self, max_bytes: int) -> bytes:
        if not self.octets:
            await trio.sleep_forever()
        await trio.sleep(50)
        self.octets -= 1
        return b"x"


async def reading_application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await application(scope, receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(("octets", "is_answered"), [(20, True), (19, False)])
async def test_a_body_may_be_slow_but_not_stand_still(
    autojump_clock: MockClock, octets: int, is_answered: bool
) -> None:
    host, wire = HttpHost(reading_application), Slow(octets)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        start = trio.current_time()
        head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
        await host.serve(wire, head)  # type: ignore[arg-type] # as above
        took = trio.current_time() - start
        await host.stop()
    assert wire.taken.startswith(b"HTTP/1.1 200 ") is is_answered
    assert took == pytest.approx(50 * octets + 60, abs=2)
    assert wire.closed


async def test_a_slow_body_does_not_hold_up_the_end(autojump_clock: MockClock) -> None:
    host, wire = HttpHost(reading_application), Slow(20)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)

        async def stop() -> None:
            await trio.sleep(149.5)
            await host.stop()

        nursery.start_soon(stop)
        start = trio.current_time()
        head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
        await host.serve(wire, head)  # type: ignore[arg-type] # as above
        assert trio.current_time() - start == pytest.approx(150.5, abs=0.2)


class Gone(Deaf):
    """A wire whose peer has sent all and hung up with our answers unread."""

    def __init__(self, end: bytes | None) -> None:
        super().__init__(takes=0)
        self.end = end

    async def receive_some(self, max_bytes: int) -> bytes:
        if self.end is None:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return b""

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        raise BrokenPipeError


# FFmpeg sends its last playlist and hangs up, having read none of the answers.
@pytest.mark.parametrize("end", [b"", None])
async def test_what_came_before_the_hang_up_is_served(
    autojump_clock: MockClock, end: bytes | None
) -> None:
    served = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            served.append(scope["path"])
        await reading_application(scope, receive, send)

    host, wire = HttpHost(note), Gone(end)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        start = trio.current_time()
        rest = b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
        prefix = b"PUT /a" + rest + b"PUT /b" + rest + b"PUT /c" + rest
        await host.serve(wire, prefix)  # type: ignore[arg-type] # as above
        assert trio.current_time() - start < 6
        await host.stop()
    assert served == ["/a", "/b", "/c"]
    assert wire.closed
