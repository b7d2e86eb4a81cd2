"""HTTP and WebSocket clients that mean harm, on every port that speaks HTTP."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
import trio

from penstock.net import http_connection
from penstock.sessions import http_port
from penstock.settings import HooksSettings, LimitsSettings

pytestmark = pytest.mark.slow

PORTS = ("http", "api.srs", "metrics")
HOST = b"Host: x\r\n"


def request(target: bytes, *fields: bytes, method: bytes = b"GET") -> bytes:
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: x", *fields, b"", b""]
    return b"\r\n".join(lines)


def upgrade(target: bytes, version: int = 13) -> bytes:
    return request(
        target,
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: %d" % version,
    )


async def answer(stream: Any, data: bytes, *, wait_s: float = 60) -> bytes:
    """Send, and return the first octets that come back; empty if none do."""
    with trio.move_on_after(wait_s):
        try:
            await stream.send_all(data)
        except trio.BrokenResourceError:
            pass  # the answer may have come before we had said all
        try:
            return bytes(await stream.receive_some())
        except trio.BrokenResourceError:
            return b""
    return b"(silence)"


# An upgrade that we do not offer is not heeded. RFC 9110 §7.8.
ODD = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "HTTP/2 by upgrade": request(
        b"/",
        b"Upgrade: h2c",
        b"Connection: Upgrade, HTTP2-Settings",
        b"HTTP2-Settings: %%%",
    ),
    "every octet": bytes(range(256)) * 10,
    "a header of 1 MB": request(b"/", b"X: " + b"a" * 1_000_000),
    "a NUL in the target": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "a target that is no URL": request(b"http://[::1/live/a.flv"),
    "a path that is no URL": request(b"//[x/live/a.flv"),
    "a Host that is none": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "an Origin that is none": request(
        b"/penstock/v1/login",
        b"Origin: http://[",
        b"Content-Length: 0",
        method=b"POST",
    ),
    "a cookie that is none": request(
        b"/penstock/v1/server", b'Cookie: penstock_session="\\777\xff'
    ),
    "a length beyond counting": request(
        b"/", b"Content-Length: " + b"9" * 30, method=b"POST"
    ),
    "chunks that are none": request(
        b"/x", b"Transfer-Encoding: chunked", b"", b"zz", method=b"POST"
    ),
    "a WebSocket of an old version": upgrade(b"/live/good.flv", 8),
    "a WebSocket to nowhere": upgrade(b"/nowhere"),
    "CONNECT": request(b"a:1", method=b"CONNECT"),
    "OPTIONS of all": request(b"*", method=b"OPTIONS"),
    "a callback with a line's end": request(b"/api/v1/streams?callback=a%0d%0ab"),
    "paging beyond counting": request(b"/api/v1/clients?start=" + b"9" * 40),
    "an id with NUL": request(b"/api/v1/streams/%00%ff"),
    "nested JSON": request(
        b"/penstock/v1/login",
        b"Content-Type: application/json",
        b"Content-Length: 10000",
        method=b"POST",
    )
    + b"[" * 10_000,
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_request_is_answered_or_cut_and_nothing_is_left(
    attacked_server: Any, name: str
) -> None:
    async with attacked_server() as server:
        for port in PORTS:
            stream = await server.http(port)
            got = await answer(stream, ODD[name])
            assert got == b"" or got.startswith(b"HTTP/1.1 "), (port, got[:80])
            assert got[9:12] not in (b"500", b"101")
            await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    "path",
    [
        b"/live/a%00b.flv",
        b"/live/%ff%fe.flv",
        b"/live/a%0d%0ab.mp4",
        b"/live/" + b"a" * 10_000 + b".flv",
        b"/" + b"a" * 300 + b"/b.flv",
        b"/live/./x.flv",
        b"//[x/live/a.flv",
    ],
)
async def test_a_path_that_no_stream_may_have_is_a_bad_request(
    attacked_server: Any, path: bytes
) -> None:
    async with attacked_server() as server:
        stream = await server.http()
        assert (await answer(stream, request(path))).startswith(b"HTTP/1.1 400 ")
        await stream.aclose()
        assert server.engine.registry.refusals["request"] == 1


async def test_names_that_differ_by_normalisation_are_two_streams(
    attacked_server: Any,
) -> None:
    async with attacked_server() as server:
        streams = []
        for name in (b"%C3%A9", b"e%CC%81"):
            stream = await server.http()
            await stream.send_all(request(b"/live/" + name + b".flv"))
            streams.append(stream)
        await server.wait_until(lambda: len(server.engine.registry.streams) == 3)
        for stream in streams:
            await stream.aclose()


async def test_a_head_that_comes_octet_by_octet_is_cut_in_time(
    attacked_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_port, "_HEAD_S", 0.3)
    async with attacked_server() as server:
        stream = await server.http()

        async def trickle() -> None:
            for octet in request(b"/live/good.flv", b"X: " + b"a" * 10_000):
                await stream.send_all(bytes((octet,)))
                await trio.sleep(0.01)

        with pytest.raises(trio.BrokenResourceError):
            await trickle()
        await stream.aclose()


@pytest.mark.parametrize("port", PORTS)
async def test_ten_thousand_requests_at_once_are_answered_in_turn_or_cut(
    attacked_server: Any, port: str
) -> None:
    async with attacked_server() as server:
        stream = await server.http(port)
        received = 0

        async def send() -> None:
            try:
                await stream.send_all(request(b"/healthz") * 10_000)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            try:
                while data := await stream.receive_some():
                    received += len(data)
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()
        assert received
        await stream.aclose()


@pytest.mark.parametrize("port", PORTS)
async def test_a_client_that_takes_no_answer_is_cut_in_time(
    attacked_server: Any, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    monkeypatch.setattr(http_connection, "_REQUEST_S", 0.4)
    path = {"http": b"/", "api.srs": b"/api/v1/summaries", "metrics": b"/metrics"}
    async with attacked_server() as server:
        stream = await server.http(port)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4_096)

        async def ask() -> None:
            while True:
                await stream.send_all(request(path[port]) * 100)

        with pytest.raises(trio.BrokenResourceError):
            await ask()
        await stream.aclose()


async def test_an_api_takes_so_many_connections_and_no_more(
    attacked_server: Any,
) -> None:
    limits = LimitsSettings(api_connections=6)
    async with attacked_server(limits=limits) as server:
        idle = [await server.http(port) for port in ("api.srs", "metrics") * 3]
        await trio.sleep(0.05)
        for port in ("api.srs", "metrics"):
            refused = await server.http(port)
            assert (await answer(refused, b"")).startswith(b"HTTP/1.1 503 ")
            await refused.aclose()
        assert server.engine.registry.refusals["limit"] == 2
        for stream in idle:
            await stream.aclose()
        await trio.sleep(0.05)
        served = await server.http("metrics")
        assert b" 200 " in (await answer(served, request(b"/healthz")))[:20]
        await served.aclose()


async def test_connections_that_the_client_closed_hold_no_descriptors(
    attacked_server: Any,
) -> None:
    async with attacked_server() as server:
        before = len(os.listdir("/proc/self/fd"))
        for port in PORTS * 10:
            stream = await server.http(port)
            await answer(stream, request(b"/healthz"))
            await stream.aclose()
        await server.wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)


# -- WebSocket ----------------------------------------------------------------


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    size = len(payload)
    head = bytes(((0x80 if fin else 0) | opcode,))
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes((bit | size,))
    else:
        head += bytes((bit | 127,)) + struct.pack(">Q", size)
    return head + (bytes(4) if mask else b"") + payload


FRAMES = {
    "not masked": frame(1, b"hello", mask=False),
    "a ping in pieces": frame(9, b"a", fin=False),
    "a ping of 200 octets": frame(9, bytes(200)),
    "an unknown opcode": frame(3, b"x"),
    "reserved bits": b"\xf2\x80" + bytes(4),
    "no UTF-8": frame(1, b"\xff\xfe"),
    "a length of 2**63": b"\x82\xff" + b"\xff" * 8 + bytes(4),
    "random octets": random.Random(5).randbytes(100_000),
    "a close of one octet": frame(8, b"x"),
}


async def _watching(server: Any) -> Any:
    """Return a WebSocket that has begun to receive."""
    stream = await server.http()
    got = await answer(stream, upgrade(b"/live/good.flv"))
    assert got.startswith(b"HTTP/1.1 101 ")
    return stream


@pytest.mark.parametrize("name", FRAMES)
async def test_a_frame_against_the_rules_ends_the_websocket(
    attacked_server: Any, ended: Callable[[str], int], name: str
) -> None:
    async with attacked_server() as server:
        stream = await _watching(server)
        await stream.send_all(FRAMES[name])
        await server.wait_until(lambda: ended("ws-flv"))
        await trio.aclose_forcefully(stream)
    assert ended("ws-flv") == 1


async def test_pings_whose_pongs_nobody_reads_end_the_websocket(
    attacked_server: Any, ended: Callable[[str], int]
) -> None:
    async with attacked_server() as server:
        stream = await _watching(server)
        worst = 0

        async def ping() -> None:
            nonlocal worst
            while True:
                await stream.send_all(frame(9, bytes(125)) * 500)
                wires = [s.wire for s in server.engine.registry.sessions.values()]
                worst = max([worst, *[w.residue_bytes for w in wires]])

        with pytest.raises(trio.BrokenResourceError):
            await ping()
        await stream.aclose()
    assert worst < 1 << 20
    assert ended("does not read what it asks for") == 1


# -- hooks --------------------------------------------------------------------

HOOKS = {
    "says nothing": b"",
    "never ends": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "redirects": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "answers with 10 MB": b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n"
    + bytes(10_000_000),
    "speaks no HTTP": random.Random(9).randbytes(5_000),
}


@pytest.mark.parametrize("name", HOOKS)
async def test_a_bad_hook_refuses_its_own_publisher_alone(
    attacked_server: Any,
    ended: Callable[[str], int],
    name: str,
) -> None:
    async def hook(stream: trio.SocketStream) -> None:
        async with stream:
            head = b""
            while b"}" not in head:
                head += await stream.receive_some()
            if b'"stream":"good"' in head.replace(b" ", b""):
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0")
                return
            try:
                await stream.send_all(HOOKS[name])
                while name == "never ends":
                    await stream.send_all(b"1\r\n0\r\n")
                    await trio.sleep(0.01)
                if name == "says nothing":
                    await stream.receive_some()  # until the server has enough
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        await nursery.start(trio.serve_listeners, hook, [listener])
        hooks = HooksSettings(on_publish=[f"http://127.0.0.1:{port}/"], timeout_s=0.5)
        # Tasks and descriptors of the hook's own end are ours, not the server's.
        async with attacked_server(hooks=hooks) as server:
            peer = await server.rtmp()
            peer.machine.publish("bad", now=trio.current_time())
            await peer.end()
            await peer.stream.aclose()
            assert server.engine.registry.refusals["hook"] == 1
        nursery.cancel_scope.cancel()
    assert ended("refused: on_publish hook") == 1


async def test_a_hook_whose_name_nobody_knows_refuses_its_own_publisher_alone(
    attacked_server: Any, ended: Callable[[str], int]
) -> None:
    hooks = HooksSettings(on_stop=["http://nowhere.invalid/"], timeout_s=0.5)
    async with attacked_server(hooks=hooks) as server:
        viewer = await server.http()
        assert b" 200 " in (await answer(viewer, request(b"/live/good.flv")))[:20]
        await viewer.aclose()
    assert ended("protocol=http-flv role=play") == 1
