"""Publishing and playing over SRT, and everything that is refused."""

from __future__ import annotations

import os
from typing import Any

import attrs
import pytest
import trio
from sansmedia.mpegts import MediaFrame
from sansmedia.sansio import TerminationCause
from sansmedia.srt import ConnectionEstablished, ConnectionRejected, RejectionCode

from penstock.settings import (
    AuthSettings,
    LimitsSettings,
    SrtSettings,
    SrtStreamSettings,
    StreamSettings,
)

SECRET = "a passphrase of some length"
OTHER = "another passphrase"


async def publish(
    make_peer: Any, server: Any, stream_id: str = "#!::r=live/show,m=publish"
) -> Any:
    peer = await make_peer(server)
    assert isinstance(await peer.call(stream_id), ConnectionEstablished)
    return peer


async def refused(
    make_peer: Any, server: Any, stream_id: str, **options: object
) -> int:
    peer = await make_peer(server)
    outcome = await peer.call(stream_id, **options)
    assert isinstance(outcome, ConnectionRejected), outcome
    return outcome.code


async def test_what_one_publishes_another_sees(
    running_server: Any, make_peer: Any, clip: Any
) -> None:
    async with running_server() as server:
        publisher = await publish(make_peer, server)
        await publisher.send(clip.pictures(12))
        viewer = await make_peer(server)
        await viewer.call("live/show")
        await server.wait_until(lambda: server.engine.registry.streams)
        for _ in range(20):
            await publisher.send(clip.pictures(2))
        frames: list[MediaFrame] = await viewer.receive_frames(20)
        video = [frame for frame in frames if frame.pid == 0x100]
        assert video[0].random_access
        assert any(frame.payload.startswith(b"sound") for frame in frames)


async def test_a_viewer_may_come_before_the_publisher(
    running_server: Any, make_peer: Any, clip: Any
) -> None:
    async with running_server() as server:
        viewer = await make_peer(server)
        assert isinstance(await viewer.call("show"), ConnectionEstablished)
        publisher = await publish(make_peer, server, "publish:show")
        await publisher.send(clip.pictures(12))
        assert await viewer.receive_frames(5)


@pytest.mark.parametrize(
    ("stream_id", "code"),
    [
        ("", RejectionCode.BAD_REQUEST),
        ("#!::r=live/show,m=bidirectional", RejectionCode.BAD_MODE),
        ("#!::r=live/show,t=file", RejectionCode.MEDIA_NOT_SUPPORTED),
        ("#!::r=live/../show,m=publish", RejectionCode.BAD_REQUEST),
        ("show,mode:xx", RejectionCode.BAD_MODE),
        ("x" * 512, RejectionCode.BAD_REQUEST),
    ],
)
async def test_what_cannot_be_is_refused_with_libsrts_code(
    running_server: Any, make_peer: Any, stream_id: str, code: int
) -> None:
    async with running_server() as server:
        assert await refused(make_peer, server, stream_id) == code
        assert not server.engine.registry.streams


async def test_a_second_publisher_is_told_of_the_conflict(
    running_server: Any, make_peer: Any
) -> None:
    async with running_server() as server:
        await publish(make_peer, server)
        again = "#!::r=live/show,m=publish"
        assert await refused(make_peer, server, again) == RejectionCode.CONFLICT


async def test_tokens_are_asked_for(
    running_server: Any, make_peer: Any, settings_of: Any
) -> None:
    auth = AuthSettings(publish="token", publish_tokens=["t0ken"])
    async with running_server(settings_of(auth=auth)) as server:
        for wrong in ("publish:show", "publish:show:me:nope", "show,mode:publish"):
            code = await refused(make_peer, server, wrong)
            assert code == RejectionCode.UNAUTHORIZED
        for number, right in enumerate(
            (
                "publish:a{}:me:t0ken",
                "a{},mode:publish,token:t0ken",
                "#!::r=live/a{},m=publish,token=t0ken",
            )
        ):
            await publish(make_peer, server, right.format(number))
        assert len(server.engine.registry.streams) == 3


async def test_passphrases_hold_for_each_role_and_stream(
    running_server: Any, make_peer: Any, settings_of: Any
) -> None:
    settings = settings_of(
        srt=SrtSettings(listen="127.0.0.1:0", publish_passphrase=SECRET),
        srt_stream=[
            SrtStreamSettings(stream="live/special", play_passphrase=OTHER),
        ],
    )
    async with running_server(settings) as server:
        show, special = "#!::r=live/show,m=publish", "#!::r=live/special,m=publish"
        assert await refused(make_peer, server, show) == RejectionCode.UNSECURE
        wrong = await refused(make_peer, server, show, passphrase=OTHER)
        assert wrong == RejectionCode.BADSECRET
        for stream_id, passphrase in (
            (show, SECRET),
            ("live/show", ""),
            (special, ""),
            ("live/special", OTHER),
        ):
            peer = await make_peer(server)
            outcome = await peer.call(stream_id, passphrase=passphrase)
            assert isinstance(outcome, ConnectionEstablished), stream_id
        code = await refused(make_peer, server, "live/special")
        assert code == RejectionCode.UNSECURE
        links = [session.link() for session in server.engine.registry.sessions.values()]
        shown = sorted(link.encryption for link in links)
        assert shown == ["", "", "AES-CTR-128", "AES-CTR-128"]


async def test_too_many_connections_are_refused(
    running_server: Any, make_peer: Any, settings_of: Any
) -> None:
    limits = LimitsSettings(sessions_per_address=1)
    async with running_server(settings_of(limits=limits)) as server:
        await publish(make_peer, server)
        code = await refused(make_peer, server, "live/show")
        assert code == RejectionCode.OVERLOAD


async def test_a_stream_that_is_not_there_is_told_if_nobody_may_wait(
    running_server: Any, make_peer: Any, settings_of: Any
) -> None:
    settings = settings_of(stream=StreamSettings(wait_for_publisher_s=0))
    async with running_server(settings) as server:
        code = await refused(make_peer, server, "live/none")
        assert code == RejectionCode.NOT_FOUND


async def test_an_id_that_does_not_tell_publishes_first_and_plays_then(
    running_server: Any, make_peer: Any, clip: Any
) -> None:
    async with running_server() as server:
        first = await publish(make_peer, server, "default/live/show")
        await first.send(clip.pictures(12))
        second = await make_peer(server)
        await second.call("default%2Flive%2Fshow")
        assert await second.receive_frames(3)


async def test_a_caller_without_stream_id_publishes_what_is_configured(
    running_server: Any, make_peer: Any, settings_of: Any
) -> None:
    srt = SrtSettings(listen="127.0.0.1:0", default_stream="studio/one")
    async with running_server(settings_of(srt=srt)) as server:
        await publish(make_peer, server, "")
        (key,) = server.engine.registry.streams
        assert str(key) == "studio/one"


async def test_a_kick_ends_the_connection(
    running_server: Any, make_peer: Any, clip: Any
) -> None:
    async with running_server() as server:
        publisher = await publish(make_peer, server)
        await publisher.send(clip.pictures(3))
        (session,) = server.engine.registry.sessions.values()
        session.kick("enough")
        closed = await publisher.end()
        assert closed.terminated.cause is TerminationCause.PEER
        await server.wait_until(lambda: not server.engine.registry.sessions)


async def test_a_publisher_that_leaves_frees_its_stream_at_once(
    running_server: Any, make_peer: Any
) -> None:
    async with running_server() as server:
        first = await publish(make_peer, server)
        await first.hang_up()
        await server.wait_until(lambda: not server.engine.registry.sessions)
        await publish(make_peer, server)


async def test_a_publisher_that_sends_nothing_is_ended(
    running_server: Any, make_peer: Any, settings_of: Any
) -> None:
    settings = settings_of(stream=StreamSettings(publish_idle_s=0.2))
    async with running_server(settings) as server:
        publisher = await publish(make_peer, server)
        await publisher.end()


async def test_a_viewer_that_sends_media_is_ended(
    running_server: Any, make_peer: Any, clip: Any, log_lines: Any
) -> None:
    async with running_server() as server:
        viewer = await make_peer(server)
        await viewer.call("live/show")
        await viewer.send(clip.pictures(1))
        await viewer.end()
        assert any("a viewer that sends media" in line for line in log_lines())


async def test_the_server_says_goodbye_when_it_stops(
    running_server: Any, make_peer: Any
) -> None:
    async with running_server() as server:
        publisher = await publish(make_peer, server)
        assert await server.stop() == 0
        closed = await publisher.end()
        assert closed.terminated.cause is TerminationCause.PEER


async def test_garbage_at_the_port_costs_nobody_anything(
    running_server: Any, make_peer: Any, clip: Any
) -> None:
    async with running_server() as server:
        publisher = await publish(make_peer, server)
        viewer = await make_peer(server)
        await viewer.call("live/show")
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            for number in range(400):
                data = os.urandom(number % 100)
                await sock.sendto(data, ("127.0.0.1", server.ports["srt"]))
        await publisher.send(clip.pictures(12))
        assert await viewer.receive_frames(5)
        figures = server.engine.registry.sessions
        assert len(figures) == 2


async def test_damage_in_the_transport_stream_is_counted_and_passes(
    running_server: Any, make_peer: Any, clip: Any, log_lines: Any
) -> None:
    async with running_server() as server:
        publisher = await publish(make_peer, server)
        await publisher.send([os.urandom(1316), b"\x47" * 1316, b"short"])
        await publisher.send(clip.pictures(12))
        viewer = await make_peer(server)
        await viewer.call("live/show")
        assert await viewer.receive_frames(5)
        assert not [line for line in log_lines() if " error " in line]


async def test_a_session_tells_how_its_link_is(
    running_server: Any, make_peer: Any, clip: Any
) -> None:
    async with running_server() as server:
        publisher = await publish(make_peer, server)
        await publisher.send(clip.pictures(12))
        (session,) = server.engine.registry.sessions.values()
        await server.wait_until(lambda: session.link and session.link().packets)
        link = attrs.asdict(session.link())
        assert link["latency_ms"] == 120
        assert link["lost"] == link["dropped"] == 0
