"""Relays between servers in one loop, and with servers that misbehave."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import trio
from sansmedia.rtmp import (
    ConnectRequested,
    DataReceived,
    MediaMessage,
    MediaReceived,
    PlayRequested,
    PlayStarted,
    PublishRequested,
    RtmpServer,
)

from penstock.sessions import relay as relay_module
from penstock.sessions.relay import run_standalone
from penstock.settings import RelaySettings, StreamSettings


@pytest.fixture(autouse=True)
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(relay_module, "_LOOK_S", 0.02)


def bodies(messages: list[MediaMessage]) -> list[bytes]:
    return [message.payload for message in messages]


async def play(server: Any) -> Any:
    peer = await server.rtmp()
    peer.machine.play("b", now=trio.current_time())
    await peer.next(PlayStarted)
    return peer


async def send_caption(publisher: Any, stream_id: int) -> None:
    values = ("onTextData", {"text": "a caption"})
    publisher.machine.send_data(stream_id, 0, values, now=trio.current_time())
    await publisher.push()


def url(server: Any, name: str) -> str:
    return f"rtmp://127.0.0.1:{server.ports['rtmp']}/live/{name}"


async def test_a_pull_publishes_what_it_fetches(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    async with running_server() as origin:
        publisher = await origin.rtmp()
        stream_id = await publisher.publish("a")
        relays = [RelaySettings(source=url(origin, "a"), destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:
            viewer = await play(edge)
            (source,) = origin.engine.registry.streams.values()
            await origin.wait_until(lambda: source.viewers)
            run = media.headers() + media.group(0)
            await publisher.send(stream_id, run)
            assert bodies(await viewer.receive_media(len(run))) == bodies(run)
            await send_caption(publisher, stream_id)
            caption = await viewer.next(DataReceived)
            assert caption.values == ("onTextData", {"text": "a caption"})
            sessions = edge.engine.registry.sessions.values()
            (pull,) = [s for s in sessions if s.relay_id is not None]
            assert pull.role.value == "publish"


async def test_a_push_publishes_elsewhere(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    async with running_server() as target:
        relays = [RelaySettings(source="live/a", destination=url(target, "b"))]
        async with running_server(settings_of(relay=relays)) as origin:
            publisher, viewer = await origin.rtmp(), await play(target)
            stream_id = await publisher.publish("a")
            run = media.headers() + media.group(0)
            await publisher.send(stream_id, run)
            assert bodies(await viewer.receive_media(len(run))) == bodies(run)


async def test_a_pull_on_demand_waits_for_a_viewer(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    async with running_server() as origin:
        publisher = await origin.rtmp()
        stream_id = await publisher.publish("a")
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        relays = [
            RelaySettings(source=url(origin, "a"), destination="live/b", on_demand=True)
        ]
        async with running_server(settings_of(relay=relays)) as edge:
            assert edge.engine.registry.sessions == {}
            viewer = await play(edge)
            assert bodies(await viewer.receive_media(len(run))) == bodies(run)


async def test_a_refused_relay_waits_longer_each_time(
    running_server: Any,
    settings_of: Any,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[[], list[str]],
) -> None:
    monkeypatch.setattr(relay_module, "_LONGEST_PAUSE_S", 0.08)
    pauses: list[float] = []
    sleep = trio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(trio, "sleep", noted)
    nobody = settings_of(stream=StreamSettings(wait_for_publisher_s=0))
    async with running_server(nobody) as origin:
        relays = [RelaySettings(source=url(origin, "a"), destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:
            await edge.wait_until(
                lambda: (
                    [p for p in pauses if p in (0.02, 0.04, 0.08)][:4]
                    == [0.02, 0.04, 0.08, 0.08]
                )
            )
            assert edge.engine.registry.streams == {}
    failures = [line for line in log_lines() if "relay failed" in line]
    assert "nobody publishes this stream" in failures[0]


async def test_a_server_that_cannot_be_reached_is_noted(
    running_server: Any, settings_of: Any, log_lines: Callable[[], list[str]]
) -> None:
    relays = [
        RelaySettings(source=source, destination="live/b")
        for source in ("rtmp://127.0.0.1:1/live/a", f"rtmp://{'x' * 70}.example/a/b")
    ]
    async with running_server(settings_of(relay=relays)) as edge:
        await edge.wait_until(
            lambda: sum("relay failed" in line for line in log_lines()) >= 3
        )
    assert not [line for line in log_lines() if " error " in line]


async def test_a_relay_whose_stream_has_a_publisher_is_refused(
    running_server: Any,
    settings_of: Any,
    media: Any,
    log_lines: Callable[[], list[str]],
) -> None:
    async with running_server() as origin:
        publisher = await origin.rtmp()
        stream_id = await publisher.publish("a")
        await publisher.send(stream_id, media.headers() + media.group(0))
        relays = [RelaySettings(source=url(origin, "a"), destination="live/b")]
        reserved = settings_of(relay=relays)
        async with running_server(reserved) as edge:
            await edge.wait_until(lambda: edge.engine.registry.streams)
            late = await edge.rtmp()
            late.machine.publish("b", now=trio.current_time())
            await late.end()
            assert edge.engine.registry.refusals["busy"] == 1


# -- servers that ask their clients to move, or that will not have them -------------


class FakeServer:
    """Accepts everything, then asks its clients to move or tells them statuses."""

    def __init__(
        self, move_to: str | None = None, statuses: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.move_to = move_to
        self.statuses = statuses
        """Level and code of what a publisher hears when its first media have come."""
        self.connections = 0
        self.played: list[str] = []

    async def run(self, task_status: Any) -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, self.handle, 0)
            task_status.started(listeners[0].socket.getsockname()[1])

    async def handle(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        machine = RtmpServer(dice=os.urandom, now=trio.current_time())
        told = False
        while data := await stream.receive_some():
            now = trio.current_time()
            machine.receive_data(bytes(data), now)
            while (event := machine.next_event()) is not None:
                if isinstance(event, ConnectRequested | PublishRequested):
                    machine.accept(event.request_id, now=now)
                elif isinstance(event, PlayRequested):
                    self.played.append(event.name)
                    machine.accept(event.request_id, now=now)
                    if self.move_to is not None:
                        machine.request_reconnect(self.move_to, now=now)
                elif isinstance(event, MediaReceived) and not told:
                    for level, code in self.statuses:
                        machine.send_status(event.stream_id, level, code, "", now=now)
                    told = True
            await stream.send_all(machine.data_to_send())


async def test_a_relay_goes_where_the_server_sends_it(
    running_server: Any, settings_of: Any, nursery: trio.Nursery, media: Any
) -> None:
    async with running_server() as origin:
        publisher = await origin.rtmp("other")
        stream_id = await publisher.publish("a")
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        moving = FakeServer(f"rtmp://127.0.0.1:{origin.ports['rtmp']}/other")
        port = await nursery.start(moving.run)
        source = f"rtmp://127.0.0.1:{port}/live/a"
        relays = [RelaySettings(source=source, destination="live/b")]
        async with running_server(settings_of(relay=relays)) as edge:
            viewer = await play(edge)
            assert bodies(await viewer.receive_media(len(run))) == bodies(run)
    assert moving.played == ["a"]
    nursery.cancel_scope.cancel()


async def test_servers_that_send_a_relay_round_cost_a_pause_each(
    running_server: Any, settings_of: Any, nursery: trio.Nursery
) -> None:
    moving = FakeServer()
    port = await nursery.start(moving.run)
    moving.move_to = f"rtmp://127.0.0.1:{port}/live"
    relays = [RelaySettings(source=f"{moving.move_to}/a", destination="live/b")]
    began = trio.current_time()
    async with running_server(settings_of(relay=relays)) as edge:
        await edge.wait_until(lambda: moving.connections >= 4)
        # However slow the machine is, the pauses cannot have been shorter.
        assert trio.current_time() - began > 0.02 + 0.04 + 0.08
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("level", "code"),
    [
        ("status", "NetStream.Unpublish.Success"),
        ("error", "NetStream.Publish.BadName"),
        ("error", "NetStream.Failed"),
    ],
)
async def test_a_push_begins_anew_when_the_server_has_ended_its_stream(
    running_server: Any,
    settings_of: Any,
    nursery: trio.Nursery,
    media: Any,
    log_lines: Callable[[], list[str]],
    level: str,
    code: str,
) -> None:
    ending = FakeServer(statuses=((level, code),))
    port = await nursery.start(ending.run)
    destination = f"rtmp://127.0.0.1:{port}/live/b"
    relays = [RelaySettings(source="live/a", destination=destination)]
    async with running_server(settings_of(relay=relays)) as origin:
        publisher = await origin.rtmp()
        stream_id = await publisher.publish("a")
        await publisher.send(stream_id, media.headers() + media.group(0))
        await origin.wait_until(lambda: ending.connections >= 2)
        (stream,) = origin.engine.registry.streams.values()
        assert stream.is_live
    failures = [line for line in log_lines() if "relay failed" in line]
    assert code in failures[0]
    nursery.cancel_scope.cancel()


async def test_a_push_goes_on_whatever_else_the_server_says(
    running_server: Any,
    settings_of: Any,
    nursery: trio.Nursery,
    media: Any,
    log_lines: Callable[[], list[str]],
) -> None:
    talking = FakeServer(
        statuses=(
            ("error", "NetStream.Record.Failed"),
            ("error", "NetConnection.Call.Failed"),
            ("status", "NetStream.Publish.Idle"),
            ("error", "NetStream.Publish.Denied"),
        )
    )
    port = await nursery.start(talking.run)
    destination = f"rtmp://127.0.0.1:{port}/live/b"
    relays = [RelaySettings(source="live/a", destination=destination)]
    async with running_server(settings_of(relay=relays)) as origin:
        publisher = await origin.rtmp()
        stream_id = await publisher.publish("a")
        await publisher.send(stream_id, media.headers() + media.group(0))
        await origin.wait_until(lambda: talking.connections >= 2)
    # The last one ended it, so the three before it did not.
    failures = [line for line in log_lines() if "relay failed" in line]
    assert "NetStream.Publish.Denied" in failures[0]
    nursery.cancel_scope.cancel()


# -- alone --------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_relay_command_forwards_until_the_source_ends(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    settings = settings_of(stream=StreamSettings(republish_wait_s=0))
    async with running_server(settings) as server:
        publisher = await server.rtmp()
        stream_id = await publisher.publish("a")
        codes: list[int] = []

        async def forward() -> None:
            codes.append(await run_standalone(url(server, "a"), url(server, "b")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forward)
            viewer = await play(server)
            run = media.headers() + media.group(0)
            await publisher.send(stream_id, run)
            assert bodies(await viewer.receive_media(len(run))) == bodies(run)
            await send_caption(publisher, stream_id)
            caption = await viewer.next(DataReceived)
            assert caption.values == ("onTextData", {"text": "a caption"})
            await publisher.close()
        assert codes == [0]


async def test_the_relay_command_takes_no_name_before_the_source_has_a_stream(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(run_standalone, url(server, "a"), url(server, "b"))
        streams = server.engine.registry.streams
        await server.wait_until(lambda: streams and all_viewed(streams))
        assert [key.name for key in streams] == ["a"]
        publisher = await server.rtmp()
        stream_id = await publisher.publish("a")
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        viewer = await play(server)
        assert bodies(await viewer.receive_media(len(run))) == bodies(run)
        nursery.cancel_scope.cancel()


def all_viewed(streams: Any) -> bool:
    return all(stream.viewers for stream in streams.values())


async def test_the_relay_command_says_what_failed(
    running_server: Any, media: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_server() as server:
        publisher, source = await server.rtmp(), await server.rtmp()
        await publisher.publish("b")
        stream_id = await source.publish("a")
        await source.send(stream_id, media.headers() + media.group(0))
        assert await run_standalone(url(server, "a"), url(server, "b")) == 1
        assert "publisher already" in capsys.readouterr().err
    assert await run_standalone("rtmp://127.0.0.1:1/a/b", "rtmp://127.0.0.1:1/a/c") == 1
    # Two servers are asked: the one that failed has to be named.
    assert capsys.readouterr().err == (
        "penstock relay: 127.0.0.1:1: Connection refused\n"
    )
    assert await run_standalone("nonsense", "rtmp://127.0.0.1:1/a/c") == 1
