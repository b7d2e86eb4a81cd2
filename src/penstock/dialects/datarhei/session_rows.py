"""One session of the server as a row of datarhei's collectors. All pure."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final

import attrs

from penstock.control import SessionView

__all__ = ["COLLECTORS", "Row", "anonymised", "path_of", "resource_of", "row_of"]

COLLECTORS: Final = ("ffmpeg", "hls", "hlsingress", "http", "https", "rtmp", "srt")
"""Those that there are figures of; only some of them ever have a session here."""
_COLLECTOR_OF: Final = {
    "rtmp": "rtmp",
    "rtmps": "rtmp",
    "srt": "srt",
    "hls": "hls",
    "http-flv": "http",
    "ws-flv": "http",
    "http-fmp4": "http",
    "ws-fmp4": "http",
    "http-ts": "http",
    "ws-ts": "http",
    "whip": "webrtc",
    "whep": "webrtc",
}
_DEFAULT_APP: Final = "live"


@attrs.frozen(kw_only=True)
class Row:
    """One session."""

    key: str
    """Tells it from every other."""
    collector: str
    id: str
    reference: str
    created_at: float
    """Unix seconds."""
    local: str
    remote: str
    peer: str
    """What its sums are kept by."""
    extra: str = ""
    bytes_rx: int = 0
    bytes_tx: int = 0


def anonymised(address: str) -> str:
    """Return a client's network: what sessions of viewers tell of an address."""
    try:
        host = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network((host, 24 if host.version == 4 else 48), strict=False)[0])


def path_of(app: str, name: str, extension: str = "") -> str:
    """Return a stream's path over RTMP."""
    return f"/{app}/{name}{extension}" if app else f"/{name}{extension}"


def resource_of(app: str, name: str) -> str:
    """Return a stream's name over SRT: without the app that all have there."""
    return name if app in ("", _DEFAULT_APP) else f"{app}/{name}"


def row_of(view: SessionView, rtmp_app: str) -> Row:
    """Return a session's row.

    Args:
        view: A publisher or a viewer.
        rtmp_app: What is no part of a reference over RTMP.
    """
    collector = _COLLECTOR_OF.get(view.protocol, view.protocol)
    is_publisher = view.role == "publish"
    place = _at(view.address, view.port)
    reference, local, remote, extra = "", "any", "any", ""
    id_ = place
    if collector == "srt":
        reference = resource_of(view.app, view.name)
        local = f"{view.role}:{reference}"
        remote, id_ = place, reference if is_publisher else place
    elif collector in ("rtmp", "webrtc"):
        path = path_of(view.app, view.name)
        reference = _reference(path, rtmp_app)
        local = f"{view.role}:{path}"
        remote, id_ = place, path if is_publisher else place
    else:
        local = path_of(view.app, view.name, view.extension)
        reference, extra = view.name, view.user_agent
        remote, id_ = place, view.id
    return Row(
        key=view.id,
        collector=collector,
        id=id_,
        reference=reference,
        created_at=view.started_at,
        local=local,
        remote=remote,
        peer=view.address,
        extra=extra,
        bytes_rx=view.bytes_received,
        bytes_tx=view.bytes_sent,
    )


def _reference(path: str, app: str) -> str:
    folder, slash, last = path.rpartition("/")
    stem, dot, _ = last.rpartition(".")
    path = folder + slash + (stem if dot else last)
    return path.removeprefix(f"{app.rstrip('/')}/")


def _at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
