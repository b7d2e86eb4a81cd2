"""What the page's API answers: views as JSON, one object at a time."""

from __future__ import annotations

import json
from urllib.parse import quote

import attrs

from penstock.control import ServerView, SessionView, StreamView, TrackView
from penstock.settings import Settings

__all__ = ["server_json", "session_json", "stream_json"]


def stream_json(stream: StreamView, now: float) -> bytes:
    """Shape one stream for everybody: no address, no session id.

    Args:
        stream: The view.
        now: Unix seconds.
    """
    path = f"/{_quoted(stream.app)}/{_quoted(stream.name)}"
    query = "" if stream.vhost == "default" else f"?vhost={quote(stream.vhost)}"
    live_since = stream.live_since
    return _dumps(
        {
            "id": stream.id,
            "vhost": stream.vhost,
            "app": stream.app,
            "name": stream.name,
            "path": path,
            "query": query,
            "state": stream.state,
            "uptime_s": None if live_since is None else max(0.0, now - live_since),
            "viewers": stream.viewers,
            "bitrate_bps": stream.bitrate_bps,
            "bytes_received": stream.bytes_received,
            "bytes_sent": stream.bytes_sent,
            "dropped_frames": stream.dropped_frames,
            "tracks": [_track(track) for track in stream.tracks],
        }
    )


def server_json(
    server: ServerView,
    settings: Settings,
    *,
    now: float,
    admin: bool,
    signed_in: bool,
    has_jobs: bool,
) -> bytes:
    """Shape the server's figures and what the page must know about its rules."""
    return _dumps(
        {
            "version": server.version,
            "now": now,
            "uptime_s": server.uptime_s,
            "sessions": server.sessions,
            "sessions_total": server.sessions_total,
            "streams": server.streams,
            "bytes_received": server.bytes_received,
            "bytes_sent": server.bytes_sent,
            "loop_stall_s": server.loop_stall_s,
            # Addresses stay inside: ports are all that a player's URL needs.
            "listeners": [
                {"name": item.name, "port": item.port, "secure": item.secure}
                for item in server.listeners
                if item.name in ("http", "rtmp", "rtmps", "srt", "webrtc")
            ],
            "publish": settings.auth.publish,
            "play": settings.auth.play,
            "admin": admin,
            "signed_in": signed_in,
            "has_jobs": has_jobs,
            "can_sign_in": bool(settings.admin.password),
        }
    )


def session_json(session: SessionView) -> bytes:
    """Shape one session for an administrator."""
    return _dumps(attrs.asdict(session))


def _track(track: TrackView) -> dict[str, object]:
    return {
        "id": track.id,
        "kind": track.kind,
        "codec": track.codec,
        "profile": track.profile,
        "level": track.level,
        "width": track.width,
        "height": track.height,
        "frame_rate": round(track.frame_rate, 2),
        "sample_rate": track.sample_rate,
        "channels": track.channels,
        "bitrate_bps": track.bitrate_bps,
        "key_distance_s": round(track.key_distance_s, 2),
        "language": track.language,
        "name": track.name,
        "rfc6381": track.rfc6381,
    }


def _dumps(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _quoted(part: str) -> str:
    # An application may have several segments; a name as a publisher sent it may
    # hold bytes that are no text.
    return quote(part, safe="/", errors="surrogatepass")
