"""RTMP clients of a whole server, over the loopback."""

from __future__ import annotations

import json
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
import trustme
from sansmedia.rtmp import (
    MediaKind,
    MediaMessage,
    PlayEnded,
    PlayRejected,
    PlayStarted,
    PublishRejected,
)

from penstock.engine.session import Role
from penstock.settings import (
    ApiSettings,
    AuthSettings,
    HooksSettings,
    HttpSettings,
    LimitsSettings,
    RtmpSettings,
    RtmpsSettings,
    SrsApiSettings,
    StreamSettings,
)


def facts(messages: list[MediaMessage]) -> list[tuple[MediaKind, bytes]]:
    """Kinds and bodies: a sound's time is rebuilt from the length of its frames."""
    return [(message.kind, message.payload) for message in messages]


async def play(peer: Any, name: str = "a") -> int:
    peer.machine.play(name, now=trio.current_time())
    stream_id: int = (await peer.next(PlayStarted)).stream_id
    return stream_id


def stream_of(server: Any, name: str = "a") -> Any:
    streams = server.engine.registry.streams.values()
    (stream,) = [s for s in streams if s.key.name == name]
    return stream


def frames(server: Any, name: str = "a") -> int:
    publication = stream_of(server, name).publication
    return 0 if publication is None else publication.frames


async def test_what_is_published_is_played(running_server: Any, media: Any) -> None:
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        await play(viewer)
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        assert facts(await viewer.receive_media(len(run))) == facts(run)


async def test_who_comes_later_starts_with_the_cached_group(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        run = media.headers() + media.group(0) + media.group(200)
        await publisher.send(stream_id, run)
        await server.wait_until(lambda: frames(server) == 20)
        await play(viewer)
        expected = media.headers() + media.group(200)
        assert facts(await viewer.receive_media(len(expected))) == facts(expected)


async def test_who_comes_first_waits_for_the_publisher(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        viewer, publisher = await server.rtmp(), await server.rtmp()
        await play(viewer)
        stream_id = await publisher.publish("a")
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        assert facts(await viewer.receive_media(len(run))) == facts(run)


async def test_a_paused_viewer_gets_nothing_and_goes_on_with_a_key(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        play_id = await play(viewer)
        first = media.headers() + media.group(0)
        await publisher.send(stream_id, first)
        await viewer.receive_media(len(first))
        viewer.machine.pause(play_id, True, now=trio.current_time())
        await viewer.push()
        (watching,) = stream_of(server).viewers
        await server.wait_until(lambda: watching.outlet is None)
        await publisher.send(stream_id, media.group(200) + media.group(400))
        await server.wait_until(lambda: frames(server) == 30)
        viewer.machine.pause(play_id, False, now=trio.current_time())
        expected = first + media.headers() + media.group(400)
        got = await viewer.receive_media(len(expected))
        assert facts(got) == facts(expected)


@pytest.mark.parametrize("kind", [MediaKind.AUDIO, MediaKind.VIDEO])
async def test_a_viewer_may_have_one_kind_only(
    running_server: Any, media: Any, kind: MediaKind
) -> None:
    is_audio = kind is MediaKind.AUDIO
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        play_id = await play(viewer)
        await server.wait_until(lambda: stream_of(server).viewers)
        viewer.machine.receive(
            play_id, audio=is_audio, video=not is_audio, now=trio.current_time()
        )
        await viewer.push()
        await server.wait_until(
            lambda: any(
                f.audio is is_audio and f.video is not is_audio
                for f in stream_of(server).outlets
            )
        )
        run = media.headers() + [
            message for second in range(3) for message in media.group(1_000 * second)
        ]
        await publisher.send(stream_id, run)
        expected = [message for message in run if message.kind is kind]
        got = await viewer.receive_media(10)
        assert facts(got) == facts(expected)[:10]


async def test_a_second_publisher_is_told_why_it_may_not(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        first, second, viewer = [await server.rtmp() for _ in range(3)]
        stream_id = await first.publish("a")
        second.machine.publish("a", now=trio.current_time())
        refusal = await second.next(PublishRejected)
        assert refusal.code == "NetStream.Publish.BadName"
        assert "publisher already" in refusal.description
        await play(viewer)
        run = media.headers() + media.group(0)
        await first.send(stream_id, run)
        assert facts(await viewer.receive_media(len(run))) == facts(run)


async def test_a_second_publisher_takes_over_if_it_may(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    settings = settings_of(stream=StreamSettings(second_publisher="replace"))
    async with running_server(settings) as server:
        first, second, viewer = [await server.rtmp() for _ in range(3)]
        stream_id = await first.publish("a")
        await play(viewer)
        run = media.headers() + media.group(0)
        await first.send(stream_id, run)
        await viewer.receive_media(len(run))
        stream_id = await second.publish("a")
        await first.end()
        again = media.headers() + media.group(0)
        await second.send(stream_id, again)
        got = await viewer.receive_media(2 * len(run))
        assert facts(got[len(run) :]) == facts(again)
        times = [message.timestamp for message in got]
        assert times[len(run) + 2] > max(times[: len(run)])


async def test_one_connection_may_play_and_then_publish(
    running_server: Any, media: Any
) -> None:
    async with running_server() as server:
        peer, viewer = await server.rtmp(), await server.rtmp()
        play_id = await play(peer, "other")
        peer.machine.stop(play_id, now=trio.current_time())
        stream_id = await peer.publish("a")
        sessions = server.engine.registry.sessions.values()
        (session,) = [s for s in sessions if s.key is not None and s.key.name == "a"]
        assert session.role.value == "publish"
        assert [s.key.name for s in server.engine.registry.streams.values()] == ["a"]
        await play(viewer)
        run = media.headers() + media.group(0)
        await peer.send(stream_id, run)
        assert facts(await viewer.receive_media(len(run))) == facts(run)
        peer.machine.stop(stream_id, now=trio.current_time())
        await peer.push()
        await server.wait_until(lambda: session.role is Role.CONNECT)
        again = await peer.publish("b")
        await peer.send(again, run)
        await server.wait_until(lambda: frames(server, "b") == 10)


@pytest.mark.slow
async def test_a_viewer_is_told_when_its_publisher_has_left(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    settings = settings_of(stream=StreamSettings(republish_wait_s=0))
    async with running_server(settings) as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        await play(viewer)
        await publisher.send(stream_id, media.headers() + media.group(0))
        await viewer.receive_media(12)
        await publisher.close()
        assert (await viewer.next(PlayEnded)).reason
        await viewer.end()
        await server.wait_until(lambda: not server.engine.registry.streams)


async def test_a_session_is_kicked_through_the_api(
    running_server: Any, log_lines: Callable[[], list[str]]
) -> None:
    async with running_server() as server, httpx.AsyncClient() as client:
        publisher = await server.rtmp()
        await publisher.publish("a")
        base = f"http://127.0.0.1:{server.ports['api.srs']}/api/v1/clients"
        (entry,) = (await client.get(base + "/")).json()["clients"]
        answer = await client.delete(f"{base}/{entry['id']}")
        assert answer.json()["code"] == 0
        await publisher.end()
        await server.wait_until(lambda: not server.engine.registry.sessions)
        assert server.engine.registry.streams == {}
    (line,) = [line for line in log_lines() if "session ended" in line]
    assert "reason=" in line
    assert "finished" not in line


# -- refusals -----------------------------------------------------------------------


async def test_a_token_lets_its_bearer_publish(
    running_server: Any, settings_of: Any, log_lines: Callable[[], list[str]]
) -> None:
    auth = AuthSettings(publish="token", publish_tokens=["s3cret"])
    async with running_server(settings_of(auth=auth)) as server:
        stranger, bearer = await server.rtmp(), await server.rtmp()
        stranger.machine.publish("a?token=wrong", now=trio.current_time())
        refusal = await stranger.next(PublishRejected)
        assert "token" in refusal.description
        await stranger.end()
        await bearer.publish("a?token=s3cret")
    assert not [line for line in log_lines() if "s3cret" in line or "=wrong" in line]


async def test_a_viewer_of_nothing_is_refused_if_nobody_may_wait(
    running_server: Any, settings_of: Any
) -> None:
    settings = settings_of(stream=StreamSettings(wait_for_publisher_s=0))
    async with running_server(settings) as server:
        viewer = await server.rtmp()
        viewer.machine.play("a", now=trio.current_time())
        assert "nobody publishes" in (await viewer.next(PlayRejected)).description
        assert server.engine.registry.streams == {}


async def hook_server(
    answer: bytes,
    asked: list[str],
    bodies: list[dict[str, Any]] | None = None,
    *,
    task_status: Any,
) -> None:
    """Answer every HTTP request with one body."""

    async def handle(stream: trio.SocketStream) -> None:
        data = await stream.receive_some()
        while not data.endswith(b"}"):
            data += await stream.receive_some()
        body = json.loads(data.partition(b"\r\n\r\n")[2])
        asked.append(body["action"])
        if bodies is not None:
            bodies.append(body)
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        await stream.send_all(head % len(answer) + answer)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        task_status.started(listeners[0].socket.getsockname()[1])


async def test_a_hook_that_refuses_gives_the_reason(
    running_server: Any, settings_of: Any, nursery: trio.Nursery
) -> None:
    asked: list[str] = []
    port = await nursery.start(hook_server, b"403", asked)
    url = f"http://127.0.0.1:{port}/"
    hooks = HooksSettings(on_publish=[url])
    async with running_server(settings_of(hooks=hooks)) as server:
        publisher = await server.rtmp()
        publisher.machine.publish("a", now=trio.current_time())
        refusal = await publisher.next(PublishRejected)
        assert refusal.description.startswith("on_publish hook: ")
        assert server.engine.registry.refusals["hook"] == 1
        await server.wait_until(lambda: not server.engine.registry.streams)
    assert asked == ["on_publish"]
    nursery.cancel_scope.cancel()


async def test_hooks_hear_of_a_session_in_order(
    running_server: Any, settings_of: Any, nursery: trio.Nursery
) -> None:
    asked: list[str] = []
    port = await nursery.start(hook_server, b"0", asked)
    url = f"http://127.0.0.1:{port}/"
    names = [field.name for field in attrs.fields(HooksSettings)]
    urls: dict[str, Any] = {n: [url] for n in names if n != "timeout_s"}
    hooks = HooksSettings(**urls)
    async with running_server(settings_of(hooks=hooks)) as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        await publisher.publish("a")
        await publisher.close()
        await server.wait_until(lambda: len(asked) == 4)
        await play(viewer)
        await viewer.close()
        await server.wait_until(lambda: len(asked) == 8)
    assert asked == [
        *("on_connect", "on_publish", "on_unpublish", "on_close"),
        *("on_connect", "on_play", "on_stop", "on_close"),
    ]
    nursery.cancel_scope.cancel()


async def test_a_connect_hook_knows_the_stream_and_its_query(
    running_server: Any, settings_of: Any, nursery: trio.Nursery
) -> None:
    bodies: list[dict[str, Any]] = []
    port = await nursery.start(hook_server, b"0", [], bodies)
    hooks = HooksSettings(on_connect=[f"http://127.0.0.1:{port}/"])
    async with running_server(settings_of(hooks=hooks)) as server:
        publisher = await server.rtmp("live?salt=1")
        await publisher.publish("a#token=x")
        await play(await server.rtmp(), "a?token=y")
        await play(await server.rtmp("live?token=z"), "a")
    assert [(body["stream"], body["param"]) for body in bodies] == [
        ("a", "?salt=1&token=x"),
        ("a", "?token=y"),
        ("a", "?token=z"),
    ]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("mark", ["?", "#"])
async def test_a_token_in_the_address_is_told_to_hooks_and_masked_for_the_rest(
    running_server: Any, settings_of: Any, nursery: trio.Nursery, mark: str
) -> None:
    bodies: list[dict[str, Any]] = []
    port = await nursery.start(hook_server, b"0", [], bodies)
    hooks = HooksSettings(on_publish=[f"http://127.0.0.1:{port}/"])
    async with (
        running_server(settings_of(hooks=hooks)) as server,
        httpx.AsyncClient() as client,
    ):
        await (await server.rtmp(f"live{mark}token=s3cret")).publish("a")
        base = f"http://127.0.0.1:{server.ports['api.srs']}/api/v1"
        for listing in ("clients", "streams"):
            text = (await client.get(f"{base}/{listing}")).text
            assert f"/live{mark}token=***" in text
            assert "s3cret" not in text
    assert bodies[0]["tcUrl"].endswith(f"/live{mark}token=s3cret")
    nursery.cancel_scope.cancel()


async def test_a_connect_hook_that_refuses_ends_the_connection(
    running_server: Any, settings_of: Any, nursery: trio.Nursery
) -> None:
    bodies: list[dict[str, Any]] = []
    port = await nursery.start(hook_server, b"1", [], bodies)
    hooks = HooksSettings(on_connect=[f"http://127.0.0.1:{port}/"])
    async with running_server(settings_of(hooks=hooks)) as server:
        player, publisher = await server.rtmp(), await server.rtmp()
        player.machine.play("a?token=1", now=trio.current_time())
        assert "on_connect hook" in (await player.next(PlayRejected)).description
        await player.end()
        publisher.machine.publish("b?token=2", now=trio.current_time())
        refusal = await publisher.next(PublishRejected)
        assert "on_connect hook" in refusal.description
        await publisher.end()
    # As SRS does it: what the client wants is known, tokens and all.
    told = [(body["stream"], body["param"]) for body in bodies]
    assert told == [("a", "?token=1"), ("b", "?token=2")]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "limits", [LimitsSettings(sessions=1), LimitsSettings(sessions_per_address=1)]
)
async def test_connections_over_a_limit_are_closed(
    running_server: Any, settings_of: Any, limits: LimitsSettings
) -> None:
    async with running_server(settings_of(limits=limits)) as server:
        first, second = await server.rtmp(), await server.rtmp()
        await first.publish("a")
        await second.end()
        assert server.engine.registry.refusals == {"limit": 1}
        await first.close()
        await server.wait_until(lambda: not server.engine.registry.sessions)
        third = await server.rtmp()
        with trio.fail_after(60):
            await third.publish("a")


async def test_streams_over_the_limit_are_refused(
    running_server: Any, settings_of: Any
) -> None:
    async with running_server(settings_of(limits=LimitsSettings(streams=1))) as server:
        first, second = await server.rtmp(), await server.rtmp()
        await first.publish("a")
        second.machine.publish("b", now=trio.current_time())
        assert "too many streams" in (await second.next(PublishRejected)).description


# -- time-outs ----------------------------------------------------------------------


async def test_a_client_that_stalls_in_the_handshake_is_ended(
    running_server: Any, settings_of: Any
) -> None:
    rtmp = RtmpSettings(listen="127.0.0.1:0", handshake_timeout_s=0.1)
    async with running_server(settings_of(rtmp=rtmp)) as server:
        stream = await server.http("rtmp")
        await stream.send_all(b"\x03" + bytes(100))
        with trio.fail_after(60):
            while await stream.receive_some():
                pass


async def test_a_publisher_that_sends_nothing_is_ended(
    running_server: Any, settings_of: Any, log_lines: Callable[[], list[str]]
) -> None:
    settings = settings_of(stream=StreamSettings(publish_idle_s=0.1))
    async with running_server(settings) as server:
        publisher = await server.rtmp()
        await publisher.publish("a")
        await publisher.end()
    assert any("published nothing for 0.1 s" in line for line in log_lines())


# -- TLS, reload, stop --------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[trustme.CA, str, str]:
    authority = trustme.CA()
    issue(authority, tmp_path, "127.0.0.1")
    return authority, str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")


def issue(authority: trustme.CA, folder: Path, name: str) -> None:
    pair = authority.issue_cert(name)
    pair.private_key_pem.write_to_path(folder / "key.pem")
    chain = b"".join(blob.bytes() for blob in pair.cert_chain_pems)
    (folder / "cert.pem").write_bytes(chain)


async def tls_peer(server: Any, authority: trustme.CA) -> Any:
    peer = await server.rtmp(listener="rtmps")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    peer.stream = trio.SSLStream(
        peer.stream, context, server_hostname="127.0.0.1", https_compatible=True
    )
    return peer


async def test_rtmps_carries_the_same(
    running_server: Any,
    settings_of: Any,
    media: Any,
    certificate: tuple[trustme.CA, str, str],
) -> None:
    authority, cert, key = certificate
    rtmps = RtmpsSettings(listen="127.0.0.1:0", cert=cert, key=key)
    async with running_server(settings_of(rtmps=rtmps)) as server:
        publisher = await tls_peer(server, authority)
        viewer = await tls_peer(server, authority)
        stream_id = await publisher.publish("a")
        await play(viewer)
        run = [
            *media.headers(),
            media.picture(0, key=True, size=200_000),
            media.picture(40, size=16_400),
            media.picture(80),
        ]
        await publisher.send(stream_id, run)
        assert facts(await viewer.receive_media(len(run))) == facts(run)
        protocols = {s.protocol for s in server.engine.registry.sessions.values()}
        assert protocols == {"rtmps"}


async def test_a_reload_takes_up_new_rules_and_certificates_and_drops_nobody(
    running_server: Any,
    settings_of: Any,
    media: Any,
    tmp_path: Path,
    certificate: tuple[trustme.CA, str, str],
) -> None:
    _, cert, key = certificate
    rtmps = RtmpsSettings(listen="127.0.0.1:0", cert=cert, key=key)
    before = settings_of(rtmps=rtmps)
    auth = AuthSettings(publish="token", publish_tokens=["x"])
    after = attrs.evolve(before, auth=auth)
    async with running_server(before, lambda: after) as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        await play(viewer)
        other = trustme.CA()
        issue(other, tmp_path, "127.0.0.1")
        signal.raise_signal(signal.SIGHUP)
        await server.wait_until(lambda: server.engine.settings is after)
        run = media.headers() + media.group(0)
        await publisher.send(stream_id, run)
        assert facts(await viewer.receive_media(len(run))) == facts(run)
        late = await tls_peer(server, other)
        late.machine.publish("b", now=trio.current_time())
        assert "token" in (await late.next(PublishRejected)).description


async def test_a_reload_that_fails_changes_nothing(
    running_server: Any, settings_of: Any, log_lines: Callable[[], list[str]]
) -> None:
    before = settings_of()
    rtmps = RtmpsSettings(listen="127.0.0.1:0", cert="/missing", key="/missing")
    after = attrs.evolve(before, rtmps=rtmps, auth=AuthSettings(publish="token"))
    async with running_server(before, lambda: after) as server:
        signal.raise_signal(signal.SIGHUP)
        await server.wait_until(
            lambda: any("reload refused" in line for line in log_lines())
        )
        await (await server.rtmp()).publish("a")


async def test_a_reload_does_not_open_an_api_that_its_password_guards(
    running_server: Any,
    settings_of: Any,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[[], list[str]],
) -> None:
    # Tests listen on the loopback alone: let it count as an address of others.
    monkeypatch.setattr("penstock.app.is_loopback", lambda host: False)
    srs = SrsApiSettings(listen="127.0.0.1:0", username="a", password="b")
    before = settings_of(api=ApiSettings(srs=srs))
    # Such a file is right at a start, which would take up its new address too.
    after = attrs.evolve(
        before, api=ApiSettings(srs=SrsApiSettings(listen="127.0.0.1:1"))
    )
    async with running_server(before, lambda: after) as server:
        signal.raise_signal(signal.SIGHUP)
        await server.wait_until(
            lambda: any("reload refused" in line for line in log_lines())
        )
        url = f"http://127.0.0.1:{server.ports['api.srs']}/api/v1/versions"
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 401
    (line,) = [line for line in log_lines() if "reload refused" in line]
    assert "api.srs.username" in line


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_tells_clients_and_ends_with_0(
    running_server: Any, media: Any, number: int, log_lines: Callable[[], list[str]]
) -> None:
    async with running_server() as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        idle, half = await server.http(), await server.http("rtmp")
        await half.send_all(b"\x03")
        stream_id = await publisher.publish("a")
        await play(viewer)
        await publisher.send(stream_id, media.headers() + media.group(0))
        await viewer.receive_media(12)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publisher.end)
            nursery.start_soon(viewer.end)
            nursery.start_soon(idle.receive_some)
            with trio.fail_after(60):
                assert await server.stop(number) == 0
            nursery.cancel_scope.cancel()
        assert server.engine.registry.sessions == {}
    reasons = [line for line in log_lines() if "session ended" in line]
    assert len(reasons) == 3
    assert all('reason="server stops"' in line for line in reasons)


@pytest.mark.slow
async def test_a_stop_ends_in_time_when_peers_do_nothing(
    running_server: Any, settings_of: Any, media: Any
) -> None:
    http = HttpSettings(listen="127.0.0.1:0")
    async with running_server(settings_of(http=http)) as server:
        publisher, viewer = await server.rtmp(), await server.rtmp()
        stream_id = await publisher.publish("a")
        await play(viewer)
        await publisher.send(
            stream_id,
            [*media.headers(), media.picture(0, key=True, size=4_000_000)],
        )
        await server.wait_until(lambda: frames(server) == 1)
        with trio.fail_after(60):
            assert await server.stop(signal.SIGINT) == 0


async def test_a_session_that_named_no_stream_logs_none(
    running_server: Any, log_lines: Callable[[], list[str]]
) -> None:
    async with running_server() as server:
        peer = await server.rtmp()
        peer.machine.play("", now=trio.current_time())
        await peer.end()
    (line,) = [line for line in log_lines() if "session ended" in line]
    assert 'stream=""' in line


@pytest.mark.parametrize(
    ("machine_id", "stays"),
    [("0123456789abcdef" * 2 + "\n", True), ("", False), ("uninitialized\n", False)],
)
async def test_a_server_keeps_its_identity_where_the_machine_has_one(
    running_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine_id: str,
    stays: bool,
) -> None:
    path = tmp_path / "machine-id"
    path.write_text(machine_id)
    monkeypatch.setattr("penstock.startup._MACHINE_ID", path)
    seen = set()
    for _ in range(2):
        async with running_server() as server, httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{server.ports['api.srs']}/api/v1/versions"
            seen.add((await client.get(url)).json()["server"])
    assert (len(seen) == 1) is stays
