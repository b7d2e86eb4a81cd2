"""Views to the objects of Live777's answers: pure, keys in its order, JSON compact."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from penstock.control import SessionView, StreamView, TrackView
from penstock.settings import Live777Strategy

from .names import stream_id

__all__ = [
    "Json",
    "codecs",
    "dumps",
    "layers",
    "metrics",
    "publish_leave_ms",
    "strategy",
    "stream",
    "subscribe_leave_ms",
]

Json: TypeAlias = "bool | int | str | dict[str, Json] | list[Json] | None"

_MS = 1_000
_FMTP = {"opus": "minptime=10;useinbandfec=1"}


def dumps(value: Json) -> bytes:
    """Return JSON as Live777 writes it: no blanks, UTF-8."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _ms(at: float) -> int:
    return int(at * _MS)


def publish_leave_ms(view: StreamView) -> int:
    """Return when the publisher left, in ms; 0 before any did or while there is one."""
    return 0 if view.publisher_left_at is None else _ms(view.publisher_left_at)


def subscribe_leave_ms(view: StreamView) -> int:
    """Return since when nobody plays a stream, in ms; 0 while somebody does."""
    return 0 if view.viewers_left_at is None else _ms(view.viewers_left_at)


def stream(view: StreamView, sessions: Iterable[SessionView]) -> dict[str, Json]:
    """Return one stream.

    Args:
        view: The stream.
        sessions: Its sessions, in any order.
    """
    alive = [one for one in sessions if one.connection != "closed"]
    publishers = [one for one in alive if one.role == "publish"]
    viewers = [one for one in alive if one.role == "play"]
    return {
        "id": stream_id(view),
        "createdAt": _ms(view.created_at),
        "publish": {
            "leaveAt": publish_leave_ms(view),
            "sessions": _sessions(publishers if view.publisher_active else []),
        },
        "subscribe": {
            "leaveAt": subscribe_leave_ms(view),
            "sessions": _sessions(viewers),
        },
        "codecs": codecs(view),
    }


def _sessions(views: Sequence[SessionView]) -> list[Json]:
    oldest_first = sorted(views, key=lambda one: (one.started_at, one.id))
    return [_session(one) for one in oldest_first]


def _session(view: SessionView) -> dict[str, Json]:
    shape: dict[str, Json] = {
        "id": view.id,
        "createdAt": _ms(view.started_at),
        "state": view.connection,
    }
    cascade: dict[str, Json] = {
        name: url
        for name, url in (
            ("sourceUrl", view.source_url),
            ("targetUrl", view.target_url),
            ("sessionUrl", view.remote_session_url),
        )
        if url
    }
    if cascade:
        shape["cascade"] = cascade
    # Data channels are not negotiated here.
    shape["hasDataChannel"] = False
    return shape


def codecs(view: StreamView) -> list[Json]:
    """Return what the publisher sends: one entry a codec, layers are not told apart."""
    shapes: dict[tuple[str, str], Json] = {}
    for track in view.tracks if view.publisher_active else ():
        if track.kind in ("video", "audio") and track.codec:
            shape: Json = {
                "kind": track.kind,
                "codec": track.codec,
                "fmtp": _fmtp(track),
            }
            shapes.setdefault((track.kind, track.codec), shape)
    return list(shapes.values())


def _fmtp(track: TrackView) -> str:
    if track.codec == "h264":
        profile = track.rfc6381.rpartition(".")[2].lower()
        level = f";profile-level-id={profile}" if len(profile) == 6 else ""
        return f"level-asymmetry-allowed=1;packetization-mode=1{level}"
    return _FMTP.get(track.codec, "")


def layers(view: StreamView) -> list[str]:
    """Return the restriction identifiers of the publisher's layers, sorted."""
    return sorted(
        track.name
        for track in view.tracks
        if track.kind == "video" and track.group == "simulcast" and track.name
    )


def strategy(settings: Live777Strategy) -> dict[str, Json]:
    """Return the strategy; its keys are the settings', as nothing else's are."""
    return {
        "each_stream_max_sub": settings.each_stream_max_sub,
        "cascade_push_close_sub": settings.cascade_push_close_sub,
        "auto_create_whip": settings.auto_create_whip,
        "auto_create_whep": settings.auto_create_whep,
        "auto_delete_whip": settings.auto_delete_whip,
        "auto_delete_whep": settings.auto_delete_whep,
    }


def metrics(views: Sequence[StreamView], sessions: Sequence[SessionView]) -> bytes:
    """Return the gauges, in Prometheus' text format."""
    alive = [one for one in sessions if one.connection != "closed" and one.stream_id]
    gauges = [
        ("stream", "Streams", len(views)),
        ("publish", "Publishers", sum(one.role == "publish" for one in alive)),
        ("subscribe", "Subscribers", sum(one.role == "play" for one in alive)),
        (
            "reforward",
            "Sessions that bring a stream to another server",
            sum(bool(one.target_url) for one in alive),
        ),
    ]
    lines = []
    for name, help, value in gauges:
        lines += [
            f"# HELP live777_{name} {help}",
            f"# TYPE live777_{name} gauge",
            f"live777_{name} {value}",
        ]
    return ("\n".join(lines) + "\n").encode()
