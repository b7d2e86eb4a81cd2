from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.control import (
    Control,
    RatesView,
    ServerView,
    SessionView,
    StreamView,
    TrackView,
)
from penstock.job_metrics import render_jobs
from penstock.job_service import JobService
from penstock.metrics import MAX_STREAMS, create_app, render
from penstock.settings import Settings, StorageSettings

ControlOf: TypeAlias = Callable[[list[StreamView]], Control]

SERVER = ServerView(
    id="i",
    service_id="s",
    version="0.1",
    pid=4,
    started_at=100.0,
    uptime_s=1000.0,
    listeners=(),
    sessions=3,
    sessions_total=9,
    session_errors_total=1,
    streams=1,
    bytes_received=10,
    bytes_sent=20,
    loop_stall_s=0.0015,
    datagrams_strange=5,
    refusals=(("token", 4), ("limit", 2)),
)
STREAM = StreamView(
    id="5" * 32,
    vhost="default",
    app="live",
    name="demo",
    state="live",
    created_at=0.0,
    live_since=0.0,
    publisher_id="p",
    publisher_active=True,
    tracks=(
        TrackView(0, "video", "h264", frame_rate=30.0, key_distance_s=2.0),
        TrackView(1, "audio", "aac", bitrate_bps=128_000),
    ),
    viewers=3,
    video_frames=0,
    bytes_received=1000,
    bytes_sent=3000,
    rates=RatesView(),
    bitrate_bps=2_600_000,
    tc_url="",
    cache_bytes=5,
    dropped_frames=7,
    damaged_messages=3,
)
SESSION = SessionView(
    id="b",
    protocol="rtmp",
    role="play",
    stream_id=None,
    vhost="default",
    app="live",
    name="demo",
    extension="",
    address="10.1.2.3",
    port=5,
    tc_url="",
    page_url="",
    swf_url="",
    user_agent="",
    parameters="",
    started_at=0.0,
    age_s=0.0,
    bytes_received=0,
    bytes_sent=0,
    rates=RatesView(),
    behind_bytes=0,
    dropped_frames=0,
)


@pytest.fixture
def control_of(fake_control: Any) -> ControlOf:
    """Return a control with the given streams and three sessions."""
    sessions = [SESSION, SESSION, attrs.evolve(SESSION, role="publish")]
    return lambda streams: fake_control(SERVER, [], streams, sessions)


async def samples(control: Control) -> dict[tuple[str, str], float]:
    """Return value by (name, label values joined) as Prometheus reads them."""
    text = (await render(control)).decode()
    return {
        (sample.name, "/".join(value for _, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_server_and_its_sessions_are_measured(control_of: ControlOf) -> None:
    got = await samples(control_of([]))
    assert got["penstock_uptime_seconds", ""] == 1000.0
    assert got["penstock_sessions_total", ""] == 9
    assert got["penstock_session_errors_total", ""] == 1
    assert got["penstock_sessions_active", "rtmp/play"] == 2
    assert got["penstock_sessions_active", "rtmp/publish"] == 1
    assert got["penstock_refusals_total", "token"] == 4
    assert got["penstock_sent_bytes_total", ""] == 20
    assert got["penstock_loop_stall_max_seconds", ""] == 0.0015
    assert got["penstock_datagrams_strange_total", ""] == 5
    assert any(name == "penstock_build_info" for name, _ in got)


async def test_each_stream_is_measured(control_of: ControlOf) -> None:
    got = await samples(control_of([STREAM]))
    key = "live/demo/default"
    assert got["penstock_stream_viewers", key] == 3
    assert got["penstock_stream_received_bytes_total", key] == 1000
    assert got["penstock_stream_dropped_frames_total", key] == 7
    assert got["penstock_stream_damaged_messages_total", key] == 3
    assert got["penstock_stream_ingest_bits_per_second", key] == 2_600_000
    video = "live/h264/video/demo/0/default"
    assert got["penstock_stream_frames_per_second", video] == 30
    assert got["penstock_stream_key_frame_distance_seconds", video] == 2
    audio = "live/aac/audio/demo/1/default"
    assert got["penstock_stream_track_bits_per_second", audio] == 128_000
    assert ("penstock_stream_frames_per_second", audio) not in got


async def test_headings_come_once_however_many_streams(control_of: ControlOf) -> None:
    streams = [attrs.evolve(STREAM, id=str(n), name=f"s{n}") for n in range(35)]
    text = (await render(control_of(streams))).decode()
    assert text.count("# TYPE penstock_stream_viewers gauge\n") == 1
    assert text.count("\npenstock_stream_viewers{") == 35


async def test_the_monitoring_page_names_every_metric(control_of: ControlOf) -> None:
    page = Path(__file__).parents[2] / "docs" / "operate" / "monitoring.md"
    named = set(re.findall(r"`(penstock_\w+)`", page.read_text()))
    assert {name for name, _ in await samples(control_of([STREAM]))} <= named


async def test_names_of_streams_cannot_break_the_format(control_of: ControlOf) -> None:
    evil = 'x",app="y"} 1\npenstock_uptime_seconds 0\n\\'
    got = await samples(control_of([attrs.evolve(STREAM, name=evil)]))
    assert got["penstock_uptime_seconds", ""] == 1000.0
    assert got["penstock_stream_viewers", f"live/{evil}/default"] == 3


@pytest.mark.slow
async def test_streams_over_the_limit_are_left_out_least_watched_first(
    control_of: ControlOf,
) -> None:
    streams = [
        attrs.evolve(STREAM, id=str(n), name=f"s{n}", viewers=n)
        for n in range(MAX_STREAMS + 2)
    ]
    got = await samples(control_of(streams))
    assert got["penstock_streams_omitted", ""] == 2
    assert ("penstock_stream_viewers", "live/s1/default") not in got
    assert ("penstock_stream_viewers", "live/s2/default") in got


async def test_metrics_of_other_names_stand_behind_ours(control_of: ControlOf) -> None:
    async def more() -> bytes:
        return b"# TYPE srs_streams gauge\nsrs_streams 4\n"

    body = (await ask(control_of([STREAM]), "/metrics", more=[more]))[2]
    families = {one.name for one in text_string_to_metric_families(body.decode())}
    assert families >= {"penstock_streams", "srs_streams"}


async def ask(
    control: Control,
    path: str,
    method: str = "GET",
    more: Sequence[Callable[[], Awaitable[bytes]]] = (),
) -> tuple[int, bytes, bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    app = create_app(control, *more)
    await app({"type": "http", "path": path, "method": method}, receive, send)
    headers = dict(sent[0]["headers"])
    return sent[0]["status"], headers[b"content-type"], sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/metrics", "GET", 200),
        ("/metrics", "HEAD", 200),
        ("/healthz", "GET", 200),
        ("/", "GET", 404),
        ("/metrics", "POST", 405),
    ],
)
async def test_the_metrics_port_answers(
    control_of: ControlOf, path: str, method: str, status: int
) -> None:
    got, content_type, body = await ask(control_of([STREAM]), path, method)
    assert got == status
    assert content_type.startswith(b"text/plain")
    assert (body == b"") is (method == "HEAD")


async def test_jobs_and_files_have_figures(tmp_path: Path) -> None:
    chosen = attrs.evolve(Settings(), storage=StorageSettings(dir=str(tmp_path)))
    async with JobService.opened(chosen) as service:
        text = (await render_jobs(service)).decode()
    page = Path(__file__).parents[2] / "docs" / "operate" / "monitoring.md"
    names = set(re.findall(r"^(penstock_\w+)", text, re.M))
    assert names == {
        "penstock_jobs",
        "penstock_job_runs_total",
        "penstock_storage_bytes",
        "penstock_storage_files",
        "penstock_storage_limit_bytes",
    }
    assert [name for name in names if f"`{name}`" not in page.read_text()] == []
    assert 'penstock_jobs{state="running"} 0.0' in text
    assert 'penstock_storage_files{storage="disk"} 0.0' in text
