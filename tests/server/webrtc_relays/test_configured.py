"""Relays over WHEP and WHIP that the configuration has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from penstock.control import (
    RelayView,
)
from penstock.engine.control import EngineControl
from penstock.sessions import webrtc_relay
from penstock.settings import AuthSettings, RelaySettings, StreamSettings

if TYPE_CHECKING:
    from tests.server.conftest import Media, RunningServer
    from tests.server.webrtc_relays.conftest import Door, Film, Kit, Site

Running = Callable[..., AbstractAsyncContextManager["RunningServer"]]
Camera = Callable[..., AbstractAsyncContextManager[None]]
Sites = Callable[[], AbstractAsyncContextManager["Site"]]
Doors = Callable[..., AbstractAsyncContextManager["Door"]]


async def test_a_pull_publishes_what_a_whep_endpoint_plays(
    kit: Kit, running_server: Running, settings_of: Any, camera: Camera
) -> None:
    async with running_server() as origin, camera(origin, "a"):
        source = f"whep://{kit.place(origin, 'a', 'whep')}"
        relays = [RelaySettings(source=source, destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:
            viewer = await kit.play(edge, "b")
            assert kit.in_a_row(await kit.pictures_of(viewer, 20))
            pull = kit.session_of(edge, "whep", "publish")
            assert pull.relay_id is not None
            assert pull.address == "127.0.0.1"
            assert pull.bytes_received > 0


async def test_a_push_publishes_at_a_whip_endpoint(
    kit: Kit, running_server: Running, settings_of: Any, camera: Camera
) -> None:
    async with running_server() as target:
        destination = f"whip://{kit.place(target, 'b', 'whip')}"
        relays = [RelaySettings(source="live/a", destination=destination)]
        async with running_server(settings_of(relay=relays)) as origin:
            viewer = await kit.play(target, "b")
            async with camera(origin, "a"):
                assert kit.in_a_row(await kit.pictures_of(viewer, 20))
                push = kit.session_of(origin, "whip", "play")
                assert push.relay_id is not None
                assert push.bytes_sent > 0


async def test_a_pull_on_demand_comes_and_goes_with_viewers(
    kit: Kit,
    running_server: Running,
    settings_of: Any,
    camera: Camera,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webrtc_relay, "UNWATCHED_S", 0.1)
    async with running_server() as origin, camera(origin, "a"):
        source = f"whep://{kit.place(origin, 'a', 'whep')}"
        relays = [
            RelaySettings(source=source, destination="live/b", on_demand=True),
        ]
        async with running_server(settings_of(relay=relays)) as edge:
            assert edge.engine.registry.sessions == {}
            viewer = await kit.play(edge, "b")
            await kit.pictures_of(viewer, 5)
            await viewer.close()
            await edge.wait_until(lambda: not edge.engine.registry.sessions)
            # The goodbye has come too.
            await origin.wait_until(lambda: not kit.session_of(origin, "whep", "play"))


async def test_a_chain_of_pull_and_push_carries_every_picture(
    kit: Kit, running_server: Running, settings_of: Any, camera: Camera
) -> None:
    async with running_server() as first, running_server() as last:
        relays = [
            RelaySettings(
                source=f"whep://{kit.place(first, 'a', 'whep')}", destination="live/a"
            ),
            RelaySettings(
                source="live/a", destination=f"whip://{kit.place(last, 'a', 'whip')}"
            ),
        ]
        async with running_server(settings_of(relay=relays)):
            viewer = await kit.play(last, "a")
            async with camera(first, "a"):
                assert kit.in_a_row(await kit.pictures_of(viewer, 20))


async def test_a_pull_that_is_refused_is_tried_again(
    kit: Kit,
    running_server: Running,
    settings_of: Any,
    controls: list[EngineControl],
    camera: Camera,
) -> None:
    async with running_server(
        settings_of(stream=StreamSettings(wait_for_publisher_s=0))
    ) as origin:
        source = f"whep://{kit.place(origin, 'a', 'whep')}"
        relays = [RelaySettings(source=source, destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:

            async def relay() -> RelayView:
                (found,) = await controls[1].relays()
                return found

            with trio.fail_after(60):
                while True:
                    views = await controls[1].relays()
                    if views and views[0].attempts > 2:
                        break
                    await trio.sleep(0.01)
            assert (await relay()).last_error == (
                "offer refused with 409: nobody publishes this stream"
            )
            viewer = await kit.play(edge, "b")
            async with camera(origin, "a"):
                assert kit.in_a_row(await kit.pictures_of(viewer, 5))
                assert (await relay()).state == "running"


async def test_a_pull_takes_its_stream_when_something_comes(
    kit: Kit, running_server: Running, settings_of: Any, camera: Camera
) -> None:
    """Until then the place is free for a publisher here."""
    async with running_server() as origin:
        source = f"whep://{kit.place(origin, 'a', 'whep')}"
        relays = [RelaySettings(source=source, destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:
            await edge.wait_until(
                lambda: (
                    (pull := kit.session_of(edge, "whep", "connect"))
                    and pull.remote_session_url
                )
            )
            publisher = await edge.rtmp()
            await publisher.publish("b")
            await publisher.close()
            await edge.wait_until(lambda: not kit.session_of(edge, "rtmp", "publish"))
            viewer = await kit.play(edge, "b")
            async with camera(origin, "a"):
                assert kit.in_a_row(await kit.pictures_of(viewer, 5))


async def test_a_push_begins_anew_when_a_track_comes_late(
    film: type[Film],
    kit: Kit,
    running_server: Running,
    settings_of: Any,
    media: type[Media],
    camera: Camera,
) -> None:
    """The offer had sound alone; pictures need another one."""
    async with running_server() as target:
        destination = f"whip://{kit.place(target, 'b', 'whip')}"
        relays = [RelaySettings(source="live/a", destination=destination)]
        settings = settings_of(relay=relays)
        async with running_server(settings) as origin:
            publisher = await origin.rtmp()
            stream_id = await publisher.publish("a")
            await publisher.send(stream_id, [media.headers()[1], media.sound(0)])
            await origin.wait_until(
                lambda: (
                    (push := kit.session_of(origin, "whip", "play"))
                    and push.remote_session_url
                )
            )
            first = kit.session_of(origin, "whip", "play").id
            viewer = await kit.play(target, "b")
            filming = film(publisher, stream_id, media)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(filming.run)
                assert kit.in_a_row(await kit.pictures_of(viewer, 5))
                assert kit.session_of(origin, "whip", "play").id != first
                nursery.cancel_scope.cancel()


async def test_secrets_of_relays_are_in_no_view_and_no_line(
    kit: Kit,
    running_server: Running,
    settings_of: Any,
    controls: list[EngineControl],
    camera: Camera,
    log_lines: Callable[[], list[str]],
) -> None:
    auth = AuthSettings(play="token", play_tokens=["hunter7"])
    async with running_server(settings_of(auth=auth)) as origin, camera(origin, "a"):
        source = f"whep://hunter7@{kit.place(origin, 'a', 'whep')}"
        relays = [RelaySettings(source=source, destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:
            viewer = await kit.play(edge, "b")
            await kit.pictures_of(viewer, 5)
            (relay,) = await controls[1].relays()
            masked = source.replace("hunter7", "***")
            assert relay.source == masked
            views = [*await controls[1].sessions(), *await controls[0].sessions()]
            assert masked in [view.source_url for view in views]
            assert "hunter7" not in repr(views)
    assert "hunter7" not in "\n".join(log_lines())


async def test_a_stopping_server_says_goodbye_to_others(
    kit: Kit, running_server: Running, settings_of: Any, camera: Camera
) -> None:
    async with running_server() as origin, camera(origin, "a"):
        source = f"whep://{kit.place(origin, 'a', 'whep')}"
        relays = [RelaySettings(source=source, destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:
            viewer = await kit.play(edge, "b")
            await kit.pictures_of(viewer, 5)
            edge.engine.stop(1.0)
            await origin.wait_until(lambda: not kit.session_of(origin, "whep", "play"))
