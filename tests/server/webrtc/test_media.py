"""What comes in by WHIP, and what goes out by WHEP."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from sansmedia.rtp import Nack
from sansmedia.webrtc import KeyFrameRequested

if TYPE_CHECKING:
    from tests.server.conftest import Media
    from tests.server.webrtc.conftest import Site

    WebRtcSite = Callable[..., AbstractAsyncContextManager[Site]]


async def test_what_a_publisher_sends_comes_out_at_a_viewer(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        publisher = await site.publisher()
        viewer = await site.viewer()
        publisher.picture(0, key=True)
        for n in range(1, 20):
            publisher.picture(n)
            publisher.sound(n)
        await viewer.wait_for(lambda: len(viewer.pictures()) == 20)
        assert viewer.pictures() == list(range(20))
        await viewer.wait_for(lambda: len(viewer.packets["audio"]) >= 10)


async def test_a_late_viewer_gets_the_cached_pictures_in_a_blink(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        publisher = await site.publisher()
        publisher.picture(0, key=True)
        for n in range(1, 10):
            publisher.picture(n)
        await site.until(lambda: site.frames() == 10)
        viewer = await site.viewer()
        await viewer.wait_for(lambda: len(viewer.pictures()) == 10)
        times = [packet.timestamp for packet in viewer.packets["video"]]
        assert (times[-1] - times[0]) & 0xFFFFFFFF <= 9 * 3_000 // 30
        publisher.picture(10)
        await viewer.wait_for(lambda: len(viewer.pictures()) == 11)
        last = viewer.packets["video"][-1].timestamp
        assert (last - times[-1]) & 0xFFFFFFFF == 3_000


async def test_rtmp_comes_out_at_a_viewer_of_webrtc(
    webrtc_site: WebRtcSite, media: type[Media]
) -> None:
    async with webrtc_site() as site:
        rtmp = await site.server.rtmp()
        stream_id = await rtmp.publish("a")
        await rtmp.send(stream_id, [*media.headers(), *media.group(0)])
        await site.until(lambda: site.frames() >= 5)
        viewer = await site.viewer()
        await viewer.wait_for(lambda: len(viewer.packets["video"]) >= 5)
        await rtmp.send(stream_id, [media.picture(240)])
        await viewer.wait_for(lambda: len(viewer.packets["video"]) >= 6)
        payload = viewer.packets["video"][-1].payload
        assert payload[:4] == (240).to_bytes(4, "big")


async def test_webrtc_comes_out_at_a_viewer_of_rtmp(webrtc_site: WebRtcSite) -> None:
    async with webrtc_site() as site:
        publisher = await site.publisher()
        rtmp = await site.server.rtmp()
        rtmp.machine.play("a", now=trio.current_time())
        await rtmp.push()
        publisher.picture(0, key=True)
        for n in range(1, 5):
            publisher.picture(n)
        with trio.fail_after(60):
            received = await rtmp.receive_media(5)
        frames = [message.payload[-4:] for message in received[-5:]]
        assert frames == [n.to_bytes(4, "big") for n in range(5)]


async def test_packets_that_a_viewer_missed_are_sent_again(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        publisher = await site.publisher()
        viewer = await site.viewer()
        publisher.picture(0, key=True)
        for n in range(1, 6):
            publisher.picture(n)
        await viewer.wait_for(lambda: len(viewer.pictures()) == 6)
        receiver = viewer.peer.receiver
        assert receiver is not None
        (stream,) = receiver.streams
        missing = [viewer.packets["video"][3].sequence]
        viewer.peer.send_rtcp(
            [Nack(receiver.local_ssrc, stream.ssrc, missing)], now=trio.current_time()
        )
        await viewer.wait_for(lambda: stream.repaired == 1)
        assert viewer.packets["video"][-1].sequence == missing[0]


async def test_a_viewer_that_asks_without_end_gets_no_more_than_its_share(
    webrtc_site: WebRtcSite,
) -> None:
    """One datagram may ask for some 5,000 packets: the socket is everybody's."""
    async with webrtc_site() as site:
        publisher = await site.publisher()
        viewer = await site.viewer()
        publisher.picture(0, key=True)
        await viewer.wait_for(lambda: len(viewer.pictures()) == 1)
        receiver = viewer.peer.receiver
        assert receiver is not None
        (stream,) = receiver.streams
        missing = [viewer.packets["video"][0].sequence]
        now = trio.current_time()
        asks = [Nack(receiver.local_ssrc, stream.ssrc, missing)] * 40
        for _ in range(20):
            viewer.peer.send_rtcp(asks, now=now)
        await viewer.wait_for(lambda: stream.repaired)
        await trio.sleep(0.3)
        assert stream.repaired < 150
        # Whoever goes on receiving may go on asking.
        before = stream.repaired
        for n in range(1, 40):
            publisher.picture(n)
        await viewer.wait_for(lambda: 39 in viewer.pictures())
        viewer.peer.send_rtcp(asks[:1], now=trio.current_time())
        await viewer.wait_for(lambda: stream.repaired > before)


async def test_a_viewer_that_cannot_decode_lets_the_publisher_be_asked(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        publisher = await site.publisher()
        viewer = await site.viewer()
        publisher.picture(0, key=True)
        await viewer.wait_for(viewer.pictures)
        asked = len(publisher.of(KeyFrameRequested))
        receiver = viewer.peer.receiver
        assert receiver is not None
        await trio.sleep(1.0)  # at most one request a second reaches the publisher
        viewer.peer.request_key_frame(receiver.streams[0], now=trio.current_time())
        await publisher.wait_for(
            lambda: len(publisher.of(KeyFrameRequested)) == asked + 1
        )


async def test_media_comes_over_tcp_where_udp_is_shut(webrtc_site: WebRtcSite) -> None:
    """RFC 6544 §5.2, RFC 4571 §2: on HTTP's port, told apart by the first octet."""
    async with webrtc_site() as site:
        viewer = await site.viewer()
        publisher = site.client("live/a/whip", over_tcp=True)
        await publisher.connect()
        assert publisher.peer.path is not None
        assert publisher.peer.path.transport == "tcp"
        publisher.picture(0, key=True)
        for n in range(1, 9):
            publisher.picture(n)
        await viewer.wait_for(lambda: len(viewer.pictures()) == 9)
        late = site.client("live/a/whep", over_tcp=True)
        await late.connect()
        await late.wait_for(lambda: len(late.pictures()) == 9)
        assert late.pictures() == list(range(9))
        late.hang_up()
        publisher.hang_up()
        await site.http.delete(publisher.location)
        await site.http.delete(late.location)
        await site.until(lambda: len(site.server.engine.registry.sessions) == 1)


async def test_a_tcp_connection_of_a_stranger_is_closed_in_time(
    webrtc_site: WebRtcSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.sessions.webrtc_port._FIRST_CHECK_S", 0.2)
    async with webrtc_site() as site:
        connection = await site.server.http()
        # A check of ICE as it should be, from somebody whom nobody knows.
        check = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
        await connection.send_all(b"\x00\x14" + check + b"\xff" * 70_000)
        with trio.fail_after(60), contextlib.suppress(trio.BrokenResourceError):
            assert await connection.receive_some(100) == b""
        assert not site.server.engine.registry.sessions
