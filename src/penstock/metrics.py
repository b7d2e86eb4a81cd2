"""Prometheus metrics, computed from control's views when they are asked for."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock.control import (
    Control,
    LinkView,
    ServerView,
    SessionView,
    StreamView,
    TrackView,
)
from penstock.slices import in_slices

__all__ = ["CONTENT_TYPE", "MAX_STREAMS", "create_app", "exposition_of", "render"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

MAX_STREAMS = 1_000
"""Streams with series of their own, the most watched first. Each makes about 14
series; a publisher that invents names must not fill the time series database."""

MAX_LINKS = 200
"""SRT sessions with series of their own, the oldest first: seven series each."""

# Rendered at once; the rest of a slice is cut by the clock.
_CHUNK = 4
_LABELS = ("vhost", "app", "stream")


class _One(Collector):
    """Hands one family to prometheus_client's renderer."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


async def render(control: Control) -> bytes:
    """Return the exposition text of the server, its sessions and its streams."""
    server = await control.server()
    sessions = await control.sessions()
    streams = await control.streams()
    parts = [exposition_of(family) for family in _server_families(server)]
    parts += [exposition_of(family) for family in await _session_families(sessions)]
    shown = sorted(streams, key=lambda s: (s.state != "live", -s.viewers, s.id))
    shown = shown[:MAX_STREAMS]
    omitted = GaugeMetricFamily(
        "penstock_streams_omitted",
        "Streams without series of their own, over the limit of this exposition",
        value=len(streams) - len(shown),
    )
    parts.append(exposition_of(omitted))
    for family_of in _STREAM_FAMILIES:
        parts += await _stream_family(shown, family_of)
    return b"".join(parts)


def _server_families(server: ServerView) -> list[Metric]:
    build = GaugeMetricFamily(
        "penstock_build_info",
        "Constant 1 with the version in labels",
        labels=["version", "python"],
    )
    build.add_metric([server.version, platform.python_version()], 1)
    errors = server.session_errors_total
    refusals = CounterMetricFamily(
        "penstock_refusals", "Sessions refused, by reason", labels=["reason"]
    )
    for reason, count in server.refusals:
        refusals.add_metric([reason], count)
    counter, gauge = CounterMetricFamily, GaugeMetricFamily
    return [
        build,
        gauge(
            "penstock_start_time_seconds", "Unix time of the start", server.started_at
        ),
        gauge("penstock_uptime_seconds", "Seconds since the start", server.uptime_s),
        counter("penstock_sessions", "Sessions since the start", server.sessions_total),
        counter("penstock_session_errors", "Sessions ended by an error", errors),
        refusals,
        gauge("penstock_streams", "Stream entries, live or not", server.streams),
        gauge("penstock_tasks", "Tasks on the event loop", server.tasks),
        counter(
            "penstock_received_bytes", "Octets from clients", server.bytes_received
        ),
        counter("penstock_sent_bytes", "Octets to clients", server.bytes_sent),
        counter(
            "penstock_datagrams_received",
            "Datagrams at the ports of WebRTC and SRT",
            server.datagrams_received,
        ),
        counter("penstock_datagrams_sent", "Datagrams to peers", server.datagrams_sent),
        counter(
            "penstock_datagrams_dropped",
            "Datagrams that the kernel had no room for",
            server.datagrams_dropped,
        ),
        counter(
            "penstock_datagrams_unreachable",
            "Datagrams without a way to their peer",
            server.datagrams_unreachable,
        ),
        counter(
            "penstock_datagrams_strange",
            "Datagrams of nobody that belongs to a session",
            server.datagrams_strange,
        ),
        gauge(
            "penstock_loop_stall_max_seconds",
            "Longest stall of the event loop in the last minute",
            server.loop_stall_s,
        ),
    ]


async def _session_families(sessions: Sequence[SessionView]) -> list[Metric]:
    counts: Counter[tuple[str, str]] = Counter(
        await in_slices(sessions, lambda session: (session.protocol, session.role))
    )
    family = GaugeMetricFamily(
        "penstock_sessions_active",
        "Sessions now, by protocol and role",
        labels=["protocol", "role"],
    )
    for (protocol, role), count in sorted(counts.items()):
        family.add_metric([protocol, role], count)
    return [family, *await _link_families(sessions)]


_LINK_FIGURES: tuple[tuple[str, str, bool, Callable[[LinkView], float], float], ...] = (
    ("rtt_seconds", "Round trip", False, lambda link: link.rtt_ms, 1e-3),
    ("buffer_seconds", "Time span of what waits", False, lambda x: x.buffer_ms, 1e-3),
    ("packets", "Packets of media", True, lambda link: link.packets, 1),
    ("lost_packets", "Packets missed at first", True, lambda link: link.lost, 1),
    (
        "retransmitted_packets",
        "Packets sent again",
        True,
        lambda link: link.retransmitted,
        1,
    ),
    (
        "dropped_packets",
        "Packets given up as too late",
        True,
        lambda link: link.dropped,
        1,
    ),
    (
        "undecrypted_packets",
        "Packets that no key fitted",
        True,
        lambda link: link.undecrypted,
        1,
    ),
)


async def _link_families(sessions: Sequence[SessionView]) -> list[Metric]:
    """Return how the network treats SRT sessions, `MAX_LINKS` of them."""
    linked = [session for session in sessions if session.link is not None]
    labels = [*_LABELS, "role", "session"]
    families: list[Metric] = []
    for name, text, counts, value, scale in _LINK_FIGURES:
        kind = CounterMetricFamily if counts else GaugeMetricFamily
        family = kind(f"penstock_srt_{name}", f"{text}, by SRT session", labels=labels)
        for session in linked[:MAX_LINKS]:
            assert session.link is not None
            key = [session.vhost, session.app, session.name, session.role, session.id]
            family.add_metric(key, value(session.link) * scale)
        families.append(family)
    omitted = GaugeMetricFamily(
        "penstock_srt_sessions_omitted",
        "SRT sessions without series of their own",
        value=max(0, len(linked) - MAX_LINKS),
    )
    return [*families, omitted]


Rows = list[tuple[tuple[str, ...], float]]
"""Label values beyond vhost, app and stream, with the sample's value."""


class _StreamFamily:
    def __init__(
        self,
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        help_text: str,
        rows: Callable[[StreamView], Rows],
        labels: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.name = name
        self.help_text = help_text
        self.rows = rows
        self.labels = labels

    def family(self, streams: Sequence[StreamView]) -> Metric:
        family = self.kind(self.name, self.help_text, labels=[*_LABELS, *self.labels])
        for stream in streams:
            key = (stream.vhost, stream.app, stream.name)
            for labels, value in self.rows(stream):
                family.add_metric([*key, *labels], value)
        return family


def _one(value: Callable[[StreamView], float]) -> Callable[[StreamView], Rows]:
    return lambda stream: [((), value(stream))]


def _by_track(
    value: Callable[[TrackView], float], *, video: bool = False
) -> Callable[[StreamView], Rows]:
    def rows(stream: StreamView) -> Rows:
        return [
            ((str(track.id), track.kind, track.codec), value(track))
            for track in stream.tracks
            if track.kind == "video" or not video
        ]

    return rows


_TRACK_LABELS = ("track", "kind", "codec")
_STREAM_FAMILIES = (
    _StreamFamily(
        GaugeMetricFamily,
        "penstock_stream_live",
        "1 while the stream has a publisher that sends",
        _one(lambda stream: float(stream.state == "live")),
    ),
    _StreamFamily(
        GaugeMetricFamily,
        "penstock_stream_viewers",
        "Viewers, waiting ones included",
        _one(lambda stream: stream.viewers),
    ),
    _StreamFamily(
        CounterMetricFamily,
        "penstock_stream_received_bytes",
        "Octets from publishers",
        _one(lambda stream: stream.bytes_received),
    ),
    _StreamFamily(
        CounterMetricFamily,
        "penstock_stream_sent_bytes",
        "Octets to viewers",
        _one(lambda stream: stream.bytes_sent),
    ),
    _StreamFamily(
        GaugeMetricFamily,
        "penstock_stream_ingest_bits_per_second",
        "Measured bit rate of the publication",
        _one(lambda stream: stream.bitrate_bps),
    ),
    _StreamFamily(
        CounterMetricFamily,
        "penstock_stream_dropped_frames",
        "Frames skipped for slow viewers",
        _one(lambda stream: stream.dropped_frames),
    ),
    _StreamFamily(
        CounterMetricFamily,
        "penstock_stream_damaged_messages",
        "Messages of publishers that could not be read",
        _one(lambda stream: stream.damaged_messages),
    ),
    _StreamFamily(
        GaugeMetricFamily,
        "penstock_stream_cache_bytes",
        "Size of the cached group of pictures",
        _one(lambda stream: stream.cache_bytes),
    ),
    _StreamFamily(
        GaugeMetricFamily,
        "penstock_stream_track_bits_per_second",
        "Measured bit rate of a track",
        _by_track(lambda track: track.bitrate_bps),
        _TRACK_LABELS,
    ),
    _StreamFamily(
        GaugeMetricFamily,
        "penstock_stream_frames_per_second",
        "Measured frame rate of a video track",
        _by_track(lambda track: track.frame_rate, video=True),
        _TRACK_LABELS,
    ),
    _StreamFamily(
        GaugeMetricFamily,
        "penstock_stream_key_frame_distance_seconds",
        "Seconds between the last two random access points of a video track",
        _by_track(lambda track: track.key_distance_s, video=True),
        _TRACK_LABELS,
    ),
)


async def _stream_family(
    streams: Sequence[StreamView], family_of: _StreamFamily
) -> list[bytes]:
    """Render one family a few streams at a time; the heading comes once."""
    chunks = [streams[at : at + _CHUNK] for at in range(0, len(streams), _CHUNK)]
    texts = await in_slices(
        chunks, lambda chunk: exposition_of(family_of.family(chunk))
    )
    return texts[:1] + [_without_heading(text) for text in texts[1:]]


def exposition_of(family: Metric) -> bytes:
    """Return the exposition text of one family."""
    return generate_latest(_One(family))


def _without_heading(text: bytes) -> bytes:
    # A sample starts with its name; "# HELP" and "# TYPE" lines come before.
    while text.startswith(b"# "):
        text = text[text.index(b"\n") + 1 :]
    return text


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def create_app(
    control: Control, *others: Callable[[], Awaitable[bytes]]
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI app of `metrics.listen`: ``/metrics`` and ``/healthz``.

    Args:
        control: The engine's door.
        others: Give more exposition text, of names that are not ours.
    """

    async def exposition() -> bytes:
        return b"".join([await render(control), *[await more() for more in others]])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            status, content_type, body = await _answer(exposition, scope)
            headers = [
                (b"content-type", content_type.encode()),
                (b"content-length", str(len(body)).encode()),
            ]
            if scope["method"] == "HEAD":
                body = b""
            await send(
                {"type": "http.response.start", "status": status, "headers": headers}
            )
            await send({"type": "http.response.body", "body": body})
        else:
            await send({"type": "websocket.close", "code": 1000})

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(
    exposition: Callable[[], Awaitable[bytes]], scope: Scope
) -> tuple[int, str, bytes]:
    text = "text/plain; charset=utf-8"
    if scope["method"] not in ("GET", "HEAD"):
        return 405, text, b"method not allowed\n"
    if scope["path"] == "/metrics":
        return 200, CONTENT_TYPE, await exposition()
    if scope["path"] == "/healthz":
        return 200, text, b"ok\n"
    return 404, text, b"not found\n"
