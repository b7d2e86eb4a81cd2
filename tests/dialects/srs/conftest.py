"""A server with a fake engine behind it, spoken to over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import hypercorn.trio
import pytest
import trio
import trustme
from hypercorn.config import Config

from penstock.control import (
    ListenerView,
    RatesView,
    ServerView,
    SessionView,
    StreamView,
    TrackView,
    VhostView,
)
from penstock.control.system import SystemFigures
from penstock.dialects.srs import Names, SrsApi, create_app
from penstock.settings import Settings, SrsApiSettings

VHOST_ID = "f1" + "0" * 30
STREAM_ID = "1a" + "0" * 30
PUBLISHER_ID = "04" + "0" * 30
FLV_ID = "16" + "0" * 30
PLAYER_ID = "2c" + "0" * 30

VIDEO = TrackView(
    id=0,
    kind="video",
    codec="h264",
    profile="Constrained Baseline",
    level="3.1",
    width=1280,
    height=720,
    frames=1064,
)
AUDIO = TrackView(
    id=0, kind="audio", codec="aac", profile="LC", sample_rate=44100, channels=2
)


def stream_view(stream_id: str = STREAM_ID, name: str = "livestream") -> StreamView:
    return StreamView(
        id=stream_id,
        vhost="default",
        app="live",
        name=name,
        state="live",
        created_at=1795201763.0,
        live_since=1795201763.0,
        publisher_id=PUBLISHER_ID,
        publisher_active=True,
        tracks=(VIDEO, AUDIO),
        viewers=2,
        video_frames=1064,
        bytes_received=11393399,
        bytes_sent=21229724,
        rates=RatesView(receive_30s_kbps=2650, send_30s_kbps=5099),
        bitrate_bps=2650000,
        tc_url="rtmp://10.77.0.1:22935/live",
        cache_bytes=0,
        dropped_frames=0,
    )


def session_view(
    session_id: str = PUBLISHER_ID,
    role: str = "publish",
    protocol: str = "rtmp",
    extension: str = "",
) -> SessionView:
    scheme = "rtmp://10.77.0.1:22935" if protocol == "rtmp" else "http://10.77.0.1"
    return SessionView(
        id=session_id,
        protocol=protocol,
        role=role,
        stream_id=STREAM_ID,
        vhost="default",
        app="live",
        name="livestream",
        extension=extension,
        address="10.77.0.1",
        port=40000,
        tc_url=f"{scheme}/live",
        page_url="",
        swf_url="",
        user_agent="Lavf",
        parameters="",
        started_at=1795201763.0,
        age_s=35.714,
        bytes_received=11389717,
        bytes_sent=4384,
        rates=RatesView(receive_30s_kbps=2649, send_30s_kbps=0),
        behind_bytes=0,
        dropped_frames=0,
    )


SERVER = ServerView(
    id="a" * 32,
    service_id="b" * 32,
    version="0.1.0",
    pid=16731,
    started_at=1795200731.0,
    uptime_s=38.0,
    listeners=(ListenerView("rtmp", "0.0.0.0", 1935, False),),
    sessions=3,
    sessions_total=5,
    session_errors_total=1,
    streams=1,
    bytes_received=11393399,
    bytes_sent=21229724,
    loop_stall_s=0.0,
)


@attrs.define
class Site:
    """A served API."""

    url: str
    control: Any
    names: Names
    api: SrsApi


Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[Site]]


def _config(tls: tuple[Path, Path] | None) -> Config:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    if tls is not None:
        config.certfile, config.keyfile = (str(path) for path in tls)
        config.alpn_protocols = ["http/1.1"]
    return config


@asynccontextmanager
async def _serve(
    busy: Callable[[], Any],
    control: Any = None,
    settings: SrsApiSettings | None = None,
    tls: tuple[Path, Path] | None = None,
    everything: Settings | None = None,
    public: bool = False,
) -> AsyncIterator[Site]:
    control = control if control is not None else busy()
    settings = settings if settings is not None else SrsApiSettings()
    names = Names(settings.server_id)
    whole = Settings() if everything is None else everything

    def address(peer: str, headers: Mapping[str, str]) -> str:
        # As behind a proxy that is trusted.
        return headers.get("x-forwarded-for", peer)

    api = create_app(
        control,
        SystemFigures(),
        settings,
        names,
        everything=lambda: whole,
        client_address=address,
    )
    stop = trio.Event()
    serve = partial(
        hypercorn.trio.serve,
        api.serve_public if public else api,  # type: ignore[arg-type]  # hypercorn types scopes as TypedDicts
        _config(tls),
        shutdown_trigger=stop.wait,
    )
    async with trio.open_nursery() as nursery:
        binds = await nursery.start(serve)
        yield Site(binds[0], control, names, api)
        stop.set()


@pytest.fixture
def fake(fake_control: Any) -> Callable[..., Any]:
    """Make a control of this server; arguments: vhosts, streams, sessions."""
    return partial(fake_control, SERVER)


@pytest.fixture
def busy(fake: Callable[..., Any]) -> Callable[[], Any]:
    """Make a control of one stream with a publisher, an RTMP and an HTTP-FLV player."""
    rates = RatesView(receive_30s_kbps=2650, send_30s_kbps=5099)
    vhost = VhostView(VHOST_ID, "default", 3, 1, 11393399, 21229724, rates)
    players = [
        session_view(FLV_ID, "play", "http-flv", ".flv"),
        session_view(PLAYER_ID, "play"),
    ]
    return lambda: fake([vhost], [stream_view()], [session_view(), *players])


@pytest.fixture
def serve(busy: Callable[[], Any]) -> Serve:
    """Serve the API; arguments: control, settings, tls, everything, public."""
    return partial(_serve, busy)


@pytest.fixture
def make_stream() -> Callable[..., StreamView]:
    return stream_view


@pytest.fixture
def make_session() -> Callable[..., SessionView]:
    return session_view


@pytest.fixture
def server_view() -> ServerView:
    return SERVER


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = folder / "server.crt", folder / "server.key"
    issued.private_key_pem.write_to_path(str(key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    return chain, key


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


Exchange: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]


async def _exchange(url: str, request: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(request)
        with trio.fail_after(60):
            return b"".join([part async for part in stream])


@pytest.fixture
def exchange() -> Exchange:
    """Send raw octets; return all that comes until the server closes."""
    return _exchange
