"""RTMP clients that mean harm are ended or slowed down, and nobody else notices."""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from sansmedia.rtmp import (
    Connected,
    MediaKind,
    MediaMessage,
    PlayStarted,
    ReconnectRequested,
)

from penstock.settings import LimitsSettings, RtmpSettings, StreamSettings

pytestmark = pytest.mark.slow

AVC = Path(__file__).parents[2] / "data" / "codecs" / "h264_high_1080.bin"
LOOPBACK = "127.0.0.1:0"


def header(csid: int, length: int, type_id: int, stream_id: int = 0) -> bytes:
    """A type 0 chunk header at time 0."""
    return (
        bytes((csid, 0, 0, 0))
        + length.to_bytes(3, "big")
        + bytes((type_id,))
        + stream_id.to_bytes(4, "little")
    )


def message(type_id: int, payload: bytes, stream_id: int = 0) -> bytes:
    """A message in 128-octet chunks."""
    chunks = [payload[at : at + 128] for at in range(0, len(payload), 128)]
    return header(3, len(payload), type_id, stream_id) + b"\xc3".join(chunks)


def set_chunk_size(size: int) -> bytes:
    return header(2, 4, 1) + size.to_bytes(4, "big")


def command(name: bytes, *values: bytes) -> bytes:
    text = b"\x02" + struct.pack(">H", len(name)) + name
    return message(20, text + b"\x00" + struct.pack(">d", 1.0) + b"".join(values))


def many_chunk_streams() -> bytes:
    return b"".join(
        b"\x01" + struct.pack("<H", number) + header(0, 1, 8, 1)[1:] + b"x"
        for number in range(65_536)
    )


def begun_messages() -> bytes:
    """Messages of 15 MB, each begun with one chunk and left alone."""
    size = 15_000_000
    return b"".join(header(3 + n, size, 9, 1) + bytes(128) for n in range(40))


NULL = b"\x05"
OBJECT_END = b"\x00\x00\x09"
ENDED: dict[str, tuple[bytes, str]] = {
    "random octets": (random.Random(7).randbytes(200_000), "protocol error"),
    "65,536 chunk streams": (many_chunk_streams(), "more than 64 chunk streams"),
    "begun messages": (begun_messages(), "begun messages declare"),
    "chunk size 0": (set_chunk_size(0), "chunk size is 0"),
    "chunk size 2**31": (set_chunk_size(1 << 31), "protocol error"),
    "command of 16 MB": (header(3, 0xFFFFFF, 20), "declares 16777215 octets"),
    "empty messages": (
        header(6, 0, 9, 1) + b"\xc6" * 100_000,
        "empty messages in a row",
    ),
    "nested objects": (
        command(b"x", (b"\x03\x00\x01a") * 5_000),
        "protocol error",
    ),
    "nested AMF3 arrays": (
        message(17, b"\x00" + command(b"x")[12:] + b"\x11" + b"\x09\x03\x01" * 5_000),
        "protocol error",
    ),
    "array of four thousand million": (
        command(b"x", b"\x0a\xff\xff\xff\xff" + NULL),
        "protocol error",
    ),
    "text longer than its message": (
        command(b"x", b"\x0c\xff\xff\xff\xffabc"),
        "protocol error",
    ),
    "too many values": (
        command(b"x", b"\x03" + b"\x00\x01a\x05" * 5_000 + OBJECT_END),
        "protocol error",
    ),
    "message streams": (
        command(b"createStream", NULL) * 1_000,
        "too many message streams",
    ),
    "media before publishing": (
        set_chunk_size(0xFFFFFF) + header(6, 9_000_000, 9, 1) + bytes(2_000_000),
        "sends much and publishes nothing",
    ),
}


async def shaken(server: Any) -> trio.SocketStream:
    """Return a connection whose handshake is done."""
    stream: trio.SocketStream = await trio.open_tcp_stream(
        "127.0.0.1", server.ports["rtmp"]
    )
    await stream.send_all(b"\x03" + bytes(8) + os.urandom(1528))
    answer = b""
    while len(answer) < 3073:
        answer += await stream.receive_some()
    await stream.send_all(answer[1:1537])
    return stream


async def connected(server: Any, app: str = "live") -> Any:
    peer = await server.rtmp(app)
    await peer.next(Connected)
    await peer.push()
    return peer


async def send_and_drain(stream: Any, data: bytes) -> None:
    """Send, and read until the server ends the connection."""

    async def send() -> None:
        try:
            await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        nursery.cancel_scope.cancel()
    await stream.aclose()


@pytest.mark.parametrize("name", ENDED)
async def test_a_client_that_breaks_a_rule_is_ended_with_the_reason(
    attacked_server: Any, ended: Callable[[str], int], name: str
) -> None:
    data, reason = ENDED[name]
    async with attacked_server() as server:
        peer = await connected(server)
        await send_and_drain(peer.stream, set_chunk_size(128) + data)
        await server.wait_until(lambda: ended(reason))
    assert ended(reason) == 1


@pytest.mark.parametrize("data", [b"", b"\x03", bytes((3,)) + bytes(1000), None])
async def test_a_handshake_that_stalls_is_ended_in_time(
    attacked_server: Any, ended: Callable[[str], int], data: bytes | None
) -> None:
    rtmp = RtmpSettings(listen=LOOPBACK, handshake_timeout_s=0.3)
    async with attacked_server(rtmp=rtmp) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.ports["rtmp"])
        whole = b"\x03" + bytes(8) + os.urandom(1528)
        await send_and_drain(stream, whole if data is None else data)
    assert ended("handshake took too long") == 1


async def test_octets_that_are_no_handshake_are_refused(
    attacked_server: Any, ended: Callable[[str], int]
) -> None:
    async with attacked_server() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.ports["rtmp"])
        await send_and_drain(stream, b"GET / HTTP/1.1\r\n\r\n" * 1_000)
    assert ended("protocol error") == 1


FLOODS = {
    "pings": message(4, b"\x00\x06\x00\x00\x00\x01") * 3_000,
    "commands nobody knows": command(b"x", NULL) * 1_000,
    "one-octet media": header(6, 1, 9, 1) + b"\x17" + b"\xc6\x17" * 20_000,
    "streams made and deleted": (
        command(b"createStream", NULL)
        + command(b"deleteStream", NULL, b"\x00" + struct.pack(">d", 1.0))
    )
    * 500,
    "chunks of one octet": set_chunk_size(1)
    + header(6, 20_000, 9, 1)
    + b"\xc6".join([b"\x17"] * 20_000)
    + header(2, 4, 1)
    + b"\x00\xc2\x00\xc2\x00\xc2\x80",
    "window sizes": (header(2, 4, 5) + b"\x00\x00\x00\x01") * 3_000,
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_whose_answers_nobody_reads_stays_bounded(
    attacked_server: Any, name: str
) -> None:
    async with attacked_server() as server:
        peer = await connected(server)
        before = set(server.engine.registry.sessions)
        worst = 0
        await peer.stream.send_all(set_chunk_size(128))
        with trio.move_on_after(1):
            while True:
                await peer.stream.send_all(FLOODS[name])
                sessions = server.engine.registry.sessions
                kept = [s.wire.residue_bytes for s in sessions.values()]
                worst = max(worst, *kept)
        assert before
        assert worst < 2 << 20
        await trio.aclose_forcefully(peer.stream)


@pytest.mark.parametrize("kind", ["publish", "play"])
@pytest.mark.parametrize(
    "name", ["a\x00b", "a\nb", "x" * 300, "../b", "a\u2028b", "a\ud7ffb\u0085"]
)
async def test_a_name_that_no_stream_may_have_is_refused(
    attacked_server: Any, ended: Callable[[str], int], kind: str, name: str
) -> None:
    async with attacked_server() as server:
        peer = await server.rtmp()
        ask = peer.machine.publish if kind == "publish" else peer.machine.play
        ask(name, now=trio.current_time())
        await peer.end()
        await peer.stream.aclose()
        assert server.engine.registry.refusals["request"] == 1
    assert ended("'s name ") == 1


async def test_an_app_of_ten_thousand_letters_is_refused_at_connect(
    attacked_server: Any, ended: Callable[[str], int]
) -> None:
    async with attacked_server() as server:
        peer = await server.rtmp("a" * 10_000)
        await peer.end()
        await peer.stream.aclose()
    assert ended("refused: the app's name") == 1


async def test_a_publish_flood_meets_the_limits(attacked_server: Any) -> None:
    limits = LimitsSettings(streams=12, sessions_per_address=40)
    rejected = 0

    async def publish(server: Any, number: int) -> None:
        nonlocal rejected
        peer = await server.rtmp()
        peer.machine.publish(f"s{number}", now=trio.current_time())
        try:
            await peer.end()
        except (AssertionError, trio.BrokenResourceError):
            pass
        finally:
            await trio.aclose_forcefully(peer.stream)
        rejected += 1

    async with attacked_server(limits=limits) as server:
        registry = server.engine.registry
        async with trio.open_nursery() as nursery:
            for number in range(150):
                nursery.start_soon(publish, server, number)
            await server.wait_until(lambda: registry.refusals.get("limit", 0) >= 110)
            assert len(registry.streams) <= 12
            assert len(registry.sessions) <= 40
            await server.wait_until(lambda: rejected >= 110)
            nursery.cancel_scope.cancel()


def video(body: bytes, at_ms: int = 0) -> MediaMessage:
    return MediaMessage(MediaKind.VIDEO, at_ms, body)


def picture(at_ms: int, size: int = 40) -> MediaMessage:
    unit = struct.pack(">I", size) + b"\x65" * size
    return video(b"\x17\x01\x00\x00\x00" + unit, at_ms)


def configuration(tail: bytes = b"", at_ms: int = 0) -> MediaMessage:
    return video(b"\x17\x00\x00\x00\x00" + AVC.read_bytes() + tail, at_ms)


def sound(at_ms: int) -> MediaMessage:
    return MediaMessage(MediaKind.AUDIO, at_ms, b"\xaf\x01\x21\x10\x04")


def bad_times() -> list[MediaMessage]:
    dice = random.Random(3)
    return [configuration()] + [
        picture(dice.getrandbits(32)) if n % 2 else sound(dice.getrandbits(32))
        for n in range(2_000)
    ]


CHAOS: dict[str, list[MediaMessage]] = {
    "times at random": bad_times(),
    "a configuration with each picture": [
        m for n in range(300) for m in (configuration(bytes((n % 256,)), n), picture(n))
    ],
    "only key pictures": [configuration(), *[picture(n) for n in range(2_000)]],
    "a picture of 15 MB": [configuration(), picture(0, 15_000_000), picture(40)],
    "tiny pictures without a key": [
        configuration(),
        picture(0),
        *[video(b"\x27\x01\x00\x00\x00\x01", n) for n in range(10_000)],
    ],
    "a silence of a day": [
        configuration(),
        MediaMessage(MediaKind.AUDIO, 0, b"\xaf\x00\x12\x10"),
        sound(0),
        picture(0),
        sound(86_400_000),
        picture(86_400_000),
    ],
    "damage": [
        MediaMessage(MediaKind(kind), n, random.Random(n).randbytes(n % 40))
        for n in range(2_000)
        for kind in (8, 9)
    ],
}


@pytest.mark.parametrize("name", CHAOS)
async def test_a_publisher_without_sense_harms_its_own_viewers_at_most(
    attacked_server: Any, log_lines: Callable[[], list[str]], name: str
) -> None:
    async def watch(stream: trio.SocketStream, extension: str) -> None:
        target = f"GET /live/bad{extension} HTTP/1.1\r\nHost: x\r\n\r\n"
        async with stream:
            await stream.send_all(target.encode())
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass

    async with attacked_server() as server:
        publisher = await server.rtmp()
        stream_id = await publisher.publish("bad")
        async with trio.open_nursery() as nursery:
            for extension in (".flv", ".mp4", ".mp4"):
                nursery.start_soon(watch, await server.http(), extension)
            for _ in range(3):
                await publisher.send(stream_id, CHAOS[name])
            registry = server.engine.registry
            stream = next(s for s in registry.streams.values() if s.key.name == "bad")
            last = publisher.machine.statistics().bytes_sent
            assert last
            await trio.sleep(0.2)
            assert stream.cache_bytes <= stream.policy.cache_max_bytes
            assert len(stream.cache) <= 8_192
            for outlet in stream.outlets.values():
                assert outlet.ring_bytes <= stream.policy.ring_max_bytes
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(publisher.stream)
    assert len(log_lines()) < 100


async def test_a_viewer_that_reads_nothing_is_ended_and_one_that_resets_forgotten(
    attacked_server: Any, ended: Callable[[str], int]
) -> None:
    policy = StreamSettings(slow_viewer_s=0.5, ring_max_bytes=1 << 20)
    async with attacked_server(stream=policy) as server:
        publisher = await server.rtmp()
        stream_id = await publisher.publish("fat")
        viewers = []
        for _ in range(2):
            viewer = await server.rtmp()
            viewer.machine.play("fat", now=trio.current_time())
            await viewer.next(PlayStarted)
            viewers.append(viewer)
        await publisher.send(stream_id, [configuration()])
        # An RST in the middle of a picture.
        for number in range(200):
            await publisher.send(stream_id, [picture(number, 100_000)])
            if number == 100:
                viewers[1].stream.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                await trio.aclose_forcefully(viewers[1].stream)
        await server.wait_until(lambda: ended("too slow"))
        await trio.aclose_forcefully(viewers[0].stream)
        await trio.aclose_forcefully(publisher.stream)
    assert ended("too slow") == 1


async def test_clients_are_asked_to_come_back_when_the_server_stops(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        viewer.machine.play("a", now=trio.current_time())
        await viewer.next(PlayStarted)
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        await viewer.receive_media(len(run))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.stop)
            for peer in (publisher, viewer):
                asked = await peer.next(ReconnectRequested)
                assert asked.description == "The server stops."
                await peer.end()
                await peer.stream.aclose()


async def test_the_server_stops_in_time_in_the_middle_of_attacks(
    running_server: Any, log_lines: Callable[[], list[str]]
) -> None:
    async def flood(stream: Any, data: bytes, once: bytes = b"") -> None:
        try:
            await stream.send_all(once)
            while True:
                await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    streams: list[Any] = []
    async with running_server() as server, trio.open_nursery() as nursery:
        for data in FLOODS.values():
            streams.append((await connected(server)).stream)
            nursery.start_soon(flood, streams[-1], data, set_chunk_size(128))
        for port in ("http", "api.srs", "metrics"):
            streams += [await server.http(port), await server.http(port)]
            request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            nursery.start_soon(flood, streams[-2], request * 1_000)
            await streams[-1].send_all(b"POST /x HTTP/1.1\r\nHost: x\r\nConte")
        streams.append(await shaken(server))
        await trio.sleep(0.3)
        assert await server.stop() == 0
        nursery.cancel_scope.cancel()
    for stream in streams:
        await trio.aclose_forcefully(stream)
    assert not [line for line in log_lines() if " error " in line]
