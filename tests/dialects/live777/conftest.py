"""The API over a fake engine, spoken to without sockets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import httpx
import pytest

from penstock.control import (
    RatesView,
    ServerView,
    SessionView,
    StreamView,
    TrackView,
)
from penstock.dialects.live777 import Live777Api
from penstock.settings import (
    ApiSettings,
    HttpSettings,
    Live777ApiSettings,
    Live777Strategy,
    Settings,
    WebRtcSettings,
)

NOW = 1_795_201_763.25
PUBLISHER = "04" + "0" * 30
VIEWER = "16" + "0" * 30

SERVER = ServerView(
    id="a" * 32,
    service_id="b" * 32,
    version="0.1.0",
    pid=16731,
    started_at=NOW,
    uptime_s=38.0,
    listeners=(),
    sessions=0,
    sessions_total=0,
    session_errors_total=0,
    streams=0,
    bytes_received=0,
    bytes_sent=0,
    loop_stall_s=0.0,
)


def stream_view(name: str = "x", **changes: Any) -> StreamView:
    """One live stream; ``changes`` replace fields."""
    view = StreamView(
        id="1a" + name.encode().hex().rjust(30, "0")[-30:],
        vhost="default",
        app="live",
        name=name,
        state="live",
        created_at=NOW,
        live_since=NOW,
        publisher_id=PUBLISHER,
        publisher_active=True,
        tracks=(),
        viewers=0,
        video_frames=0,
        bytes_received=0,
        bytes_sent=0,
        rates=RatesView(),
        bitrate_bps=0,
        tc_url="",
        cache_bytes=0,
        dropped_frames=0,
        viewers_left_at=NOW,
    )
    return attrs.evolve(view, **changes)


def session_view(
    session_id: str = PUBLISHER, role: str = "publish", name: str = "x", **changes: Any
) -> SessionView:
    """One session of a stream; ``changes`` replace fields."""
    view = SessionView(
        id=session_id,
        protocol="whip" if role == "publish" else "whep",
        role=role,
        stream_id=stream_view(name).id,
        vhost="default",
        app="live",
        name=name,
        extension="",
        address="192.0.2.1",
        port=0,
        tc_url="",
        page_url="",
        swf_url="",
        user_agent="",
        parameters="",
        started_at=NOW,
        age_s=1.0,
        bytes_received=0,
        bytes_sent=0,
        rates=RatesView(),
        behind_bytes=0,
        dropped_frames=0,
    )
    return attrs.evolve(view, **changes)


def track_view(kind: str, codec: str, **changes: Any) -> TrackView:
    return attrs.evolve(TrackView(id=0, kind=kind, codec=codec), **changes)


@attrs.define
class Api:
    """An API, its settings, and clients of both ports."""

    control: Any
    settings: Settings
    app: Live777Api
    client: httpx.AsyncClient
    public: httpx.AsyncClient


def make_api(
    control: Any,
    *,
    strategy: dict[str, Any] | None = None,
    ice: dict[str, Any] | None = None,
    origins: list[str] | None = None,
    now: float = NOW,
    **section: Any,
) -> Api:
    """Build an API; keyword arguments are those of its section of the settings."""
    settings = Settings(
        http=HttpSettings(cors_origins=origins if origins is not None else ["*"]),
        webrtc=WebRtcSettings(**(ice or {})),
        api=ApiSettings(
            live777=Live777ApiSettings(
                strategy=Live777Strategy(**(strategy or {})), **section
            )
        ),
    )
    app = Live777Api(control, lambda: settings, wall=lambda: now)

    def client(asgi: Callable[..., Any]) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(asgi, client=("192.0.2.7", 5))
        return httpx.AsyncClient(transport=transport, base_url="http://penstock.test")

    return Api(control, settings, app, client(app), client(app.serve_public))


@pytest.fixture
def fake(fake_control: Any) -> Callable[..., Any]:
    """Make a control; arguments: streams, sessions."""
    return lambda streams=(), sessions=(): fake_control(
        SERVER, [], list(streams), list(sessions)
    )


@pytest.fixture
def api(fake: Callable[..., Any]) -> Callable[..., Api]:
    """Make an API: a control (or None for an empty one), then settings."""
    return lambda control=None, **settings: make_api(
        fake() if control is None else control, **settings
    )


@pytest.fixture
def make_stream() -> Callable[..., StreamView]:
    return stream_view


@pytest.fixture
def make_session() -> Callable[..., SessionView]:
    return session_view


@pytest.fixture
def make_track() -> Callable[..., TrackView]:
    return track_view


@pytest.fixture
def make_player() -> Callable[..., SessionView]:
    return partial(session_view, VIEWER, "play")


def make_offer(direction: str = "sendonly", pictures: int = 1, sounds: int = 1) -> str:
    """A small description with so many sections of each kind."""
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    kinds = ["video"] * pictures + ["audio"] * sounds
    for number, kind in enumerate(kinds):
        codec = "96 VP8/90000" if kind == "video" else "111 opus/48000/2"
        lines += [
            f"m={kind} 9 UDP/TLS/RTP/SAVPF {codec.partition(' ')[0]}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{number}",
            f"a={direction}",
            f"a=rtpmap:{codec}",
        ]
    return "\r\n".join(lines) + "\r\n"


@pytest.fixture
def offer() -> Callable[..., str]:
    return make_offer
