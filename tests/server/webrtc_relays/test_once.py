"""Relays over WHEP and WHIP that a command has started."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
import trio.testing

from penstock.control import (
    Conflict,
    Invalid,
    NotFound,
    Unavailable,
)

if TYPE_CHECKING:
    from tests.server.conftest import RunningServer
    from tests.server.webrtc_relays.conftest import Door, Kit, Site

Running = Callable[..., AbstractAsyncContextManager["RunningServer"]]
Camera = Callable[..., AbstractAsyncContextManager[None]]
Sites = Callable[[], AbstractAsyncContextManager["Site"]]
Doors = Callable[..., AbstractAsyncContextManager["Door"]]
_OURS = {
    *("Session", "_PullLeg", "_PushLeg", "WhipCall", "WhepClient"),
    *("RtpIngest", "WhepSink", "PacketViewer", "WebRtcPort"),
}


async def test_a_server_pulls_from_itself(
    kit: Kit, site: Sites, camera: Camera
) -> None:
    async with site() as here, camera(here.server, "a"):
        source = here.url("a", "whep")
        with trio.fail_after(60):
            view = await here.pull("b", source)
        assert (view.protocol, view.role, view.app, view.name) == (
            *("whep", "publish", "live"),
            "b",
        )
        assert (view.source_url, view.target_url) == (source, "")
        assert view.remote_session_url.startswith(source.partition("/live")[0])
        viewer = await kit.play(here.server, "b")
        assert kit.in_a_row(await kit.pictures_of(viewer, 10))
        (relay,) = await here.control.relays()
        assert (relay.source, relay.destination) == (source, "live/b")
        assert (relay.id, relay.session_id) == (view.relay_id, view.id)
        assert relay.state == "running"


async def test_a_server_pushes_to_itself(kit: Kit, site: Sites, camera: Camera) -> None:
    async with site() as here, camera(here.server, "a"):
        await here.server.wait_until(
            lambda: kit.session_of(here.server, "rtmp", "publish").stream.is_live
        )
        target = here.url("b", "whip")
        with trio.fail_after(60):
            view = await here.push("a", target)
        assert (view.protocol, view.role, view.name) == ("whip", "play", "a")
        assert (view.source_url, view.target_url) == ("", target)
        assert view.remote_session_url
        viewer = await kit.play(here.server, "b")
        assert kit.in_a_row(await kit.pictures_of(viewer, 10))
        (relay,) = await here.control.relays()
        assert (relay.source, relay.destination) == ("live/a", target)


async def test_what_is_kicked_says_goodbye_and_does_not_come_back(
    kit: Kit, site: Sites, camera: Camera
) -> None:
    async with site() as here, camera(here.server, "a"):
        view = await here.pull("b", here.url("a", "whep"))
        assert kit.session_of(here.server, "whep", "play")
        await here.control.kick(view.id, "enough")
        registry = here.server.engine.registry
        await here.server.wait_until(
            lambda: {s.protocol for s in registry.sessions.values()} == {"rtmp"}
        )
        assert await here.control.relays() == []
        async with httpx.AsyncClient(trust_env=False) as client:
            gone = await client.delete(view.remote_session_url)
        assert gone.status_code == 404


async def test_a_relay_for_once_ends_with_its_publisher(
    kit: Kit, site: Sites, camera: Camera, log_lines: Callable[[], list[str]]
) -> None:
    async with site() as here:
        async with camera(here.server, "a"):
            view = await here.pull("b", here.url("a", "whep"))
            viewer = await kit.play(here.server, "b")
            await kit.pictures_of(viewer, 5)
        registry = here.server.engine.registry
        await here.server.wait_until(lambda: view.id not in registry.sessions)
        (line,) = [
            line for line in log_lines() if "session ended" in line and view.id in line
        ]
        assert "the other server ended it" in line


async def test_a_pull_of_a_stream_with_a_publisher_is_a_conflict(
    kit: Kit, site: Sites, camera: Camera
) -> None:
    async with site() as here, camera(here.server, "a"):
        with pytest.raises(Conflict, match="has a publisher already"):
            await here.pull("a", here.url("a", "whep"))
        assert kit.session_of(here.server, "whep", "publish") is None


async def test_a_push_of_no_stream_is_not_found(site: Sites) -> None:
    async with site() as here:
        with pytest.raises(NotFound, match="no stream live/a"):
            await here.push("a", here.url("b", "whip"))


@pytest.mark.parametrize(
    ("url", "authorization", "reason"),
    [
        ("ftp://h/live/a/whep", "", "no whip"),
        ("whip://h/live/a/whip", "", "expected an address of WHEP"),
        ("http://", "", "no http or https URL"),
        ("whep:///live/a/whep", "", "no host"),
        ("http://h/whep", "two\r\nlines", "no printable ASCII"),
    ],
)
async def test_what_cannot_be_asked_is_invalid(
    site: Sites, url: str, authorization: str, reason: str
) -> None:
    async with site() as here:
        with pytest.raises(Invalid, match=reason):
            await here.pull("b", url, authorization)
        assert here.server.engine.registry.streams == {}


async def test_a_server_that_is_not_there_is_told(site: Sites) -> None:
    async with site() as here:
        with pytest.raises(Unavailable, match="offer: Connect"):
            await here.pull("b", "http://127.0.0.1:1/live/a/whep")
        assert here.server.engine.registry.streams == {}


async def test_the_other_servers_words_are_told(site: Sites) -> None:
    async with site() as here:
        with pytest.raises(Unavailable, match="409: nobody publishes this stream"):
            await here.pull("b", here.url("a", "whep"))


def _left() -> dict[str, int]:
    """Count what is left of relays, before any full collection."""
    names = [type(one).__name__ for one in gc.get_objects()]
    return {name: names.count(name) for name in _OURS}


async def test_nothing_of_an_ended_relay_is_left(
    kit: Kit, site: Sites, camera: Camera
) -> None:
    async with site() as here, camera(here.server, "a"):
        registry = here.server.engine.registry

        async def once() -> None:
            pull = await here.pull("b", here.url("a", "whep"))
            viewer = await kit.play(here.server, "b")
            await kit.pictures_of(viewer, 5)
            push = await here.push("b", here.url("c", "whip"))
            await viewer.close()
            with pytest.raises(Conflict):
                await here.pull("a", here.url("b", "whep"))
            with pytest.raises(Unavailable):
                await here.pull("d", here.url("e", "whep"))
            await here.control.kick(push.id, "enough")
            await here.control.kick(pull.id, "enough")
            await here.server.wait_until(
                lambda: {s.protocol for s in registry.sessions.values()} == {"rtmp"}
            )
            await trio.testing.wait_all_tasks_blocked()

        await once()  # what is made once is made
        gc.collect()
        before = _left()
        gc.disable()
        try:
            await once()
            assert _left() == before
        finally:
            gc.enable()
