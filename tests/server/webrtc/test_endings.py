"""How sessions of WebRTC end, and that nothing is left of them."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from sansmedia.sansio import Terminated

from penstock.net.udp import UdpPort, bind_udp

if TYPE_CHECKING:
    from tests.server.webrtc.conftest import Site

    WebRtcSite = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.mark.parametrize("path", ["live/a/whip", "live/a/whep"])
async def test_delete_ends_a_session(webrtc_site: WebRtcSite, path: str) -> None:
    """RFC 9725 §4.2."""
    async with webrtc_site() as site:
        client = site.client(path)
        await client.connect()
        assert (await site.http.delete(client.location)).status_code == 200
        await client.wait_for(lambda: client.of(Terminated))
        await site.until(lambda: not site.server.engine.registry.sessions)
        assert (await site.http.delete(client.location)).status_code == 404
        assert not site.server.engine.registry.streams


async def test_delete_behind_a_goodbye_is_what_was_wanted(
    webrtc_site: WebRtcSite,
) -> None:
    """Browsers close the connection and delete the session in one breath."""
    async with webrtc_site() as site:
        client = site.client("live/a/whip")
        await client.connect()
        client.peer.close(now=trio.current_time())
        await site.until(lambda: not site.server.engine.registry.sessions)
        assert (await site.http.delete(client.location)).status_code == 200
        assert (await site.http.delete(client.location)).status_code == 404


async def test_a_client_that_says_goodbye_is_gone(webrtc_site: WebRtcSite) -> None:
    async with webrtc_site() as site:
        client = await site.publisher()
        client.peer.close(now=trio.current_time())
        await site.until(lambda: not site.server.engine.registry.sessions)


async def test_strangers_are_counted_and_get_nothing(webrtc_site: WebRtcSite) -> None:
    async with webrtc_site() as site:
        await site.publisher()
        stranger = UdpPort(bind_udp("127.0.0.1:0"))
        target = ("127.0.0.1", site.server.ports["webrtc"])
        for data in (b"", b"\x00", b"\x16\xfe\xff" + bytes(40), b"\x80" * 60, b"\xff"):
            stranger.send_run([data], target, None)
        await trio.sleep(0.1)
        assert stranger.drain(trio.current_time()) == []
        stranger.close()
        assert len(site.server.engine.registry.sessions) == 1


_OURS = ("_Publishing", "_Playing", "WhepSink", "PacketViewer", "RtpIngest")


def _left() -> list[str]:
    """Return what is left of the server's sessions, before any full collection."""
    return [type(o).__name__ for o in gc.get_objects() if type(o).__name__ in _OURS]


async def _leaves(site: Site) -> None:
    for path in ("live/a/whip", "live/a/whep"):
        client = site.client(path)
        await client.connect()
        await site.http.delete(client.location)


async def _says_goodbye(site: Site) -> None:
    for path in ("live/a/whip", "live/a/whep"):
        client = site.client(path)
        await client.connect()
        client.peer.close(now=trio.current_time())
        await site.until(lambda: not site.server.engine.registry.sessions)


async def _is_kicked(site: Site) -> None:
    await site.publisher()
    viewer = await site.viewer()
    for session in list(site.server.engine.registry.sessions.values()):
        session.kick("enough")
    await viewer.wait_for(lambda: viewer.of(Terminated))


async def _is_refused(site: Site) -> None:
    client = await site.publisher()
    assert (await site.client("live/a/whip").post()).status_code == 409
    await site.http.delete(client.location)


async def _plays(site: Site) -> None:
    publisher, viewer = await site.publisher(), await site.viewer()
    publisher.picture(0, key=True)
    publisher.picture(1)
    await viewer.wait_for(lambda: len(viewer.pictures()) == 2)
    await site.http.delete(publisher.location)
    await site.http.delete(viewer.location)


@pytest.mark.parametrize(
    "ending", [_leaves, _says_goodbye, _is_kicked, _is_refused, _plays]
)
async def test_an_ended_session_leaves_no_cycles(
    webrtc_site: WebRtcSite, ending: Callable[[Site], Awaitable[None]]
) -> None:
    async with webrtc_site() as site:
        await ending(site)  # what is made once is made
        await site.until(lambda: not site.server.engine.registry.sessions)
        gc.collect()
        gc.disable()
        try:
            await ending(site)
            await site.until(lambda: not site.server.engine.registry.sessions)
            await trio.testing.wait_all_tasks_blocked()
            assert _left() == []
        finally:
            gc.enable()


@pytest.mark.parametrize("over_tcp", [False, True])
async def test_a_stopping_server_says_goodbye(
    webrtc_site: WebRtcSite, over_tcp: bool
) -> None:
    async with webrtc_site() as site:
        publisher = await site.publisher()
        viewer = site.client("live/a/whep", over_tcp=over_tcp)
        await viewer.connect()
        began = trio.current_time()
        code = await site.server.stop()
        assert code == 0
        assert trio.current_time() - began < 5  # it does not wait to the last
        await viewer.wait_for(lambda: viewer.of(Terminated))
        await publisher.wait_for(lambda: publisher.of(Terminated))


async def test_a_tcp_connection_ends_with_its_session(webrtc_site: WebRtcSite) -> None:
    """Or every client that comes and goes could leave a descriptor behind."""
    async with webrtc_site() as site:
        viewer = site.client("live/a/whep", over_tcp=True)
        await viewer.connect()
        await site.http.delete(viewer.location)
        await viewer.wait_for(lambda: viewer.of(Terminated))
        with trio.fail_after(60):
            await viewer.hung_up.wait()


async def test_a_broken_peer_does_not_keep_its_stream(
    webrtc_site: WebRtcSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a bug")

    async with webrtc_site() as site:
        publisher = await site.publisher()
        monkeypatch.setattr("penstock.sessions.rtp_ingest.RtpIngest.take", broken)
        monkeypatch.setattr("sansmedia.webrtc.Peer.close", broken)
        publisher.picture(0, key=True)
        registry = site.server.engine.registry
        await site.until(lambda: not registry.sessions)
        assert not registry.streams


# -- through SRS's API ----------------------------------------------------------------

_SRS = "rtc/v1/whip/?app=live&stream=a"
