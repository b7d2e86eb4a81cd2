"""Views to the objects of SRS's answers: pure, keys in SRS's order, typos included."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.control import (
    RatesView,
    ServerView,
    SessionView,
    StreamView,
    TrackView,
    VhostView,
)

from .encoding import Json
from .names import Names, vhost_shown

__all__ = [
    "AUTHORS",
    "SIGNATURE",
    "VERSION",
    "VERSIONS",
    "WEBRTC_PROTOCOLS",
    "client",
    "features",
    "is_client",
    "request_echo",
    "stream",
    "stream_url",
    "vhost",
]

WEBRTC_PROTOCOLS = ("whip", "whep")
"""Of sessions, whichever API they came by."""

# Clients judge the dialect by its version, so it is the one that the answers follow.
VERSION = "7.0.18"
SIGNATURE = f"SRS/{VERSION}(Hang)"
VERSIONS: Mapping[str, Json] = {
    "major": 7,
    "minor": 0,
    "revision": 18,
    "version": VERSION,
}

_SRS_AUTHORS = "https://github.com/ossrs/srs/blob/develop/trunk/AUTHORS.md#contributors"
# `license` and `contributors` are today's keys, the others those of the document.
AUTHORS: Mapping[str, Json] = {
    "license": "MIT",
    "contributors": _SRS_AUTHORS,
    "primary_authors": "the penstock maintainers",
    "contributors_link": _SRS_AUTHORS,
}

# What SRS calls its features, and which of them this server has.
_FEATURES: Mapping[str, Json] = {
    "ssl": True,
    "hls": False,
    "hds": False,
    "callback": True,
    "api": True,
    "httpd": True,
    "dvr": False,
    "transcode": False,
    "ingest": True,
    "stat": True,
    "caster": False,
    "complex_send": True,
    "tcp_nodelay": True,
    "so_sendbuf": False,
    "mr": False,
}

_VIDEO_CODECS = {"h264": "H264", "h265": "HEVC", "av1": "AV1"}
_AUDIO_CODECS = {"aac": "AAC", "mp3": "MP3", "opus": "Opus"}

# SRS tells profiles by profile_idc alone, so what FFmpeg's `-profile baseline` makes
# (constrained, by a flag beside it) is plain Baseline there.
_H264_PROFILES = {
    "Baseline": "Baseline",
    "Constrained Baseline": "Baseline",
    "Main": "Main",
    "Extended": "Extended",
    "High": "High",
    "High 10": "High(10)",
    "High 10 Intra": "High(10+Intra)",
    "High 4:2:2": "High(422)",
    "High 4:2:2 Intra": "High(422+Intra)",
    "High 4:4:4 Predictive": "High(444+Predictive)",
    "High 4:4:4 Intra": "High(444+Intra)",
}
_H264_LEVELS = frozenset("1 1.1 1.2 1.3 2 2.1 2.2 3 3.1 3.2 4 4.1 5 5.1".split())  # noqa: SIM905
_H265_PROFILES = {
    "Main": "Main",
    "Main 10": "Main10",
    "Main Still Picture": "Main Still Picture",
    "RExt": "Rext",
}
_AAC_PROFILES = frozenset({"Main", "LC", "SSR", "HE", "HEv2"})


def features(server: ServerView, local_time: Callable[[float], str]) -> dict[str, Json]:
    """Return what the server can do.

    Args:
        server: The running server; nothing is built, so its start is the build time.
        local_time: Unix seconds -> ``2026-11-20 18:15:40``.
    """
    return {
        "options": f"penstock {server.version}",
        "options2": f"penstock {server.version}",
        "build": local_time(server.started_at),
        "build2": str(int(server.started_at)),
        "features": _FEATURES,
    }


def request_echo(host: str, path: str, method: str, now: float) -> dict[str, Json]:
    """Return what `tests/requests` says; ``headers`` is the server's own record."""
    record: dict[str, Json] = {
        "sigature": "SRS",
        "version": VERSION,
        "link": "https://github.com/ossrs/srs",
        "time": int(now * 1000),
    }
    return {
        "uri": f"http://{host}{path}",
        "path": path,
        "METHOD": method,
        "headers": record,
    }


def _kbps(rates: RatesView) -> dict[str, Json]:
    return {"recv_30s": rates.receive_30s_kbps, "send_30s": rates.send_30s_kbps}


def vhost(view: VhostView, names: Names) -> dict[str, Json]:
    """Return one entry of ``vhosts``."""
    return {
        "id": names.vhosts.name_of(view.id),
        "name": vhost_shown(view.name),
        # A vhost that is switched off is not configured here at all.
        "enabled": True,
        "clients": view.sessions,
        "streams": view.streams,
        "send_bytes": view.bytes_sent,
        "recv_bytes": view.bytes_received,
        "kbps": _kbps(view.rates),
        "hls": {"enabled": False},
    }


def stream_url(vhost: str, app: str, name: str) -> str:
    """Return a stream's identity: URL without scheme, host by name unless default."""
    return f"{'' if vhost == 'default' else vhost}/{app}/{name}"


def stream(
    view: StreamView, vhost_id: str, names: Names, now: float
) -> dict[str, Json]:
    """Return one entry of ``streams``.

    Args:
        view: The stream.
        vhost_id: SRS's id of its virtual host.
        names: The tables of ids.
        now: Unix seconds.
    """
    publish: dict[str, Json] = {"active": view.publisher_active}
    if view.publisher_id is not None:
        publish["cid"] = names.clients.name_of(view.publisher_id)
    return {
        "id": names.streams.name_of(view.id),
        "name": view.name,
        "vhost": vhost_id,
        "app": view.app,
        "tcUrl": view.tc_url,
        "url": stream_url(view.vhost, view.app, view.name),
        "live_ms": int(now * 1000),
        "clients": view.viewers + view.publisher_active,
        "frames": view.video_frames,
        "send_bytes": view.bytes_sent,
        "recv_bytes": view.bytes_received,
        "kbps": _kbps(view.rates),
        "publish": publish,
        "video": _first(view, "video", _video),
        "audio": _first(view, "audio", _audio),
    }


def _first(
    view: StreamView, kind: str, shape: Callable[[TrackView], dict[str, Json]]
) -> Json:
    if not view.publisher_active:
        return None
    for track in view.tracks:
        if track.kind == kind:
            return shape(track)
    return None


def _video(track: TrackView) -> dict[str, Json]:
    profile = level = "Other"
    if track.codec == "h264":
        profile = _H264_PROFILES.get(track.profile, "Other")
        level = track.level if track.level in _H264_LEVELS else "Other"
    elif track.codec == "h265":
        profile = _H265_PROFILES.get(track.profile, "Other")
        level = track.level or "Other"
    return {
        "codec": _VIDEO_CODECS.get(track.codec, "Other"),
        "profile": profile,
        "level": level,
        "width": track.width,
        "height": track.height,
    }


def _audio(track: TrackView) -> dict[str, Json]:
    return {
        "codec": _AUDIO_CODECS.get(track.codec, "Other"),
        "sample_rate": track.sample_rate,
        "channel": track.channels,
        "profile": track.profile if track.profile in _AAC_PROFILES else "Other",
    }


def is_client(view: SessionView) -> bool:
    """Say whether SRS lists a session: those who publish or play a stream."""
    return view.role in ("publish", "play")


def client(view: SessionView, vhost_id: str, names: Names) -> dict[str, Json]:
    """Return one entry of ``clients``.

    Args:
        view: The session.
        vhost_id: SRS's id of its virtual host.
        names: The tables of ids.
    """
    stream_id = view.stream_id
    return {
        "id": names.clients.name_of(view.id),
        "vhost": vhost_id,
        "stream": names.streams.name_of(stream_id) if stream_id is not None else "",
        "ip": view.address,
        "pageUrl": view.page_url,
        "swfUrl": view.swf_url,
        "tcUrl": view.tc_url,
        "url": stream_url(view.vhost, view.app, view.name),
        "name": view.name + view.extension,
        "type": _client_type(view),
        "publish": view.role == "publish",
        "alive": float(view.age_s),
        "send_bytes": view.bytes_sent,
        "recv_bytes": view.bytes_received,
        "kbps": _kbps(view.rates),
    }


def _client_type(view: SessionView) -> str:
    is_webrtc = view.protocol in WEBRTC_PROTOCOLS
    if view.protocol == "srt" and view.role in ("publish", "play"):
        return f"srt-{view.role}"
    if view.role == "publish":
        return "rtc-publish" if is_webrtc else "fmle-publish"
    if view.role != "play":
        return "Unknown"
    if is_webrtc:
        return "rtc-play"
    # SRS calls every endless HTTP response flv-play, whatever container it carries.
    return "rtmp-play" if view.protocol in ("rtmp", "rtmps") else "flv-play"
