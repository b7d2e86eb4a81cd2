"""Looking at a live stream as a viewer would: ``penstock probe URL``.

Frames are counted on the stream's own clock: a server that starts a viewer with cached
pictures sends the first seconds faster than real time.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import attrs
import av
import trio

from penstock.log import mask_url

__all__ = ["ProbeError", "ProbeReport", "TrackReport", "as_json", "as_text", "probe"]

SCHEMES = ("rtmp://", "rtmps://", "http://", "https://")

_OPEN_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 15.0
_NOTHING = "nothing came within {:g} s; does anybody publish it?"
# FFmpeg looks at 5 s of a stream before it hands out any, which would hide the delay;
# a track that shows itself later is still counted.
_ANALYSE_US = "200000"


class ProbeError(Exception):
    """The stream cannot be read; the text is one line for a person."""


@attrs.frozen
class TrackReport:
    """What one track was seen to be."""

    kind: str
    codec: str
    profile: str
    width: int
    height: int
    sample_rate: int
    channels: int
    frames: int
    frame_rate: float
    """Frames a second of the stream's clock; 0 with fewer than two."""
    bitrate_bps: int
    key_frames: int
    key_distance_s: float
    """Mean seconds between key frames; 0 with fewer than two."""
    b_frames: bool
    """Whether pictures come in another order than they are shown."""


@attrs.frozen
class ProbeReport:
    """What one look at a stream found."""

    url: str
    """With secrets masked."""
    container: str
    start_delay_s: float
    """From the call to the first key frame, or first packet without video."""
    watched_s: float
    """Wall time spent reading."""
    media_s: float
    """How much of the stream's clock went by."""
    bitrate_bps: int
    tracks: tuple[TrackReport, ...]


@attrs.define
class _Tally:
    stream: Any
    packets: int = 0
    octets: int = 0
    keys: list[float] = attrs.field(factory=list)
    first: float | None = None
    last: float = 0.0
    reordered: bool = False


async def probe(url: str, seconds: float = 5.0) -> ProbeReport:
    """Read ``url`` for ``seconds`` and report what came.

    The reading runs in a worker thread, which ends by its own time-outs when this is
    cancelled.

    Raises:
        ProbeError: If the address is of another kind, or nothing can be read.
    """
    if not url.startswith(SCHEMES):
        raise ProbeError(f"expected {', '.join(SCHEMES)}, not {mask_url(url)}")
    return await trio.to_thread.run_sync(_read, url, seconds, abandon_on_cancel=True)


def _check_address(url: str) -> None:
    """Refuse what FFmpeg would refuse with a word that helps nobody."""
    scheme = url.partition(":")[0]
    wanted = "app/name" if scheme.startswith("rtmp") else "path"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    # The name may stand behind the app's query: rtmp://host/app?vhost=x/name.
    path = f"{parts.path}{parts.query}" if host else ""
    if not host or path.strip("/").count("/") < wanted.count("/") or path in ("", "/"):
        raise ProbeError(f"{mask_url(url)}: expected {scheme}://host[:port]/{wanted}")
    try:
        socket.getaddrinfo(host, port)
    except (OSError, UnicodeError):
        raise ProbeError(f"{mask_url(url)}: no host of the name {host}") from None


def _read(url: str, seconds: float) -> ProbeReport:
    _check_address(url)
    begun = time.monotonic()
    shown = mask_url(url)
    # Not "nobuffer": the packets that FFmpeg looked at would be lost, and with them
    # the key frame that the stream starts with.
    options = {"analyzeduration": _ANALYSE_US}
    if url.startswith("rtmp"):
        options["rtmp_live"] = "live"
    try:
        container = av.open(
            url, options=options, timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S)
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = _reason(error)
        if time.monotonic() - begun >= _OPEN_TIMEOUT_S:
            reason = _NOTHING.format(_OPEN_TIMEOUT_S)
        raise ProbeError(f"{shown}: {reason}") from None
    with contextlib.closing(container):
        # FFmpeg makes a "subtitle" of FLV's metadata, at times of its own.
        tallies = {
            stream.index: _Tally(stream)
            for stream in container.streams
            if stream.type in ("video", "audio")
        }
        try:
            delay = _count(container, tallies, begun, seconds)
        except (av.FFmpegError, OSError) as error:
            if not any(tally.packets for tally in tallies.values()):
                raise ProbeError(f"{shown}: {_reason(error)}") from None
            delay = _first_delay(begun)
        if not any(tally.packets for tally in tallies.values()):
            raise ProbeError(f"{shown}: it ended before the first frame")
        firsts = [t.first for t in tallies.values() if t.first is not None]
        media = max((t.last for t in tallies.values()), default=0.0)
        media -= min(firsts, default=media)
        octets = sum(t.octets for t in tallies.values())
        return ProbeReport(
            url=shown,
            container=container.format.name,
            start_delay_s=round(delay, 3),
            watched_s=round(time.monotonic() - begun, 3),
            media_s=round(media, 3),
            bitrate_bps=int(octets * 8 / media) if media > 0 else 0,
            tracks=tuple(_track(tally) for tally in tallies.values()),
        )


def _first_delay(begun: float) -> float:
    return time.monotonic() - begun


def _count(
    container: Any,  # noqa: ANN401
    tallies: dict[int, _Tally],
    begun: float,
    seconds: float,
) -> float:
    """Read packets for ``seconds`` after the first; return the start delay."""
    has_video = any(tally.stream.type == "video" for tally in tallies.values())
    delay: float | None = None
    until = None
    for packet in container.demux():
        now = time.monotonic()
        if until is None:
            until = now + seconds
        is_media = packet.stream.type in ("video", "audio") and packet.size > 0
        if is_media and packet.dts is not None and packet.time_base is not None:
            tally = tallies.setdefault(packet.stream_index, _Tally(packet.stream))
            at = float(packet.dts * packet.time_base)
            tally.packets += 1
            tally.octets += packet.size
            tally.first = at if tally.first is None else min(tally.first, at)
            tally.last = max(tally.last, at)
            tally.reordered |= packet.pts is not None and packet.pts != packet.dts
            is_video = tally.stream.type == "video"
            if packet.is_keyframe and is_video:
                tally.keys.append(at)
            if delay is None and (not has_video or (is_video and packet.is_keyframe)):
                delay = now - begun
        if now >= until:
            break
    return delay if delay is not None else time.monotonic() - begun


def _track(tally: _Tally) -> TrackReport:
    stream = tally.stream
    context = stream.codec_context
    video = stream.type == "video"
    audio = stream.type == "audio"
    media = tally.last - (tally.first or 0.0)
    keys = tally.keys
    spread = (keys[-1] - keys[0]) / (len(keys) - 1) if len(keys) > 1 else 0.0
    # n frames stand n - 1 intervals apart.
    share = (tally.packets - 1) / tally.packets if tally.packets > 1 else 0.0
    return TrackReport(
        kind=stream.type,
        # A decoder has a name of its own, as "libdav1d".
        codec=context.codec.canonical_name if context is not None else "",
        profile=str(getattr(context, "profile", None) or ""),
        width=context.width if video else 0,
        height=context.height if video else 0,
        sample_rate=context.sample_rate if audio else 0,
        channels=context.layout.nb_channels if audio else 0,
        frames=tally.packets,
        frame_rate=round((tally.packets - 1) / media, 2) if media > 0 else 0.0,
        bitrate_bps=int(tally.octets * 8 * share / media) if media > 0 else 0,
        key_frames=len(keys),
        key_distance_s=round(spread, 3),
        b_frames=video and tally.reordered,
    )


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    known = {
        "Immediate exit requested": _NOTHING.format(_READ_TIMEOUT_S),
        "Input/output error": "the server refused or closed the connection",
        "End of file": "it ended before the first frame",
        "Invalid data found when processing input": "no media could be made out",
    }
    return known.get(text, text[:1].lower() + text[1:])


def as_json(report: ProbeReport) -> str:
    """Return the report as one JSON object, indented."""
    return json.dumps(attrs.asdict(report), indent=2)


def as_text(report: ProbeReport) -> str:
    """Return the report for a person, one line a track."""
    lines = [
        f"{report.url} ({report.container})",
        f"  starts after {report.start_delay_s:.2f} s, "
        f"{report.bitrate_bps / 1000:.0f} kbit/s over {report.media_s:.1f} s",
    ]
    for track in report.tracks:
        parts = [f"{track.kind}: {track.codec}"]
        if track.profile:
            parts[0] += f" ({track.profile})"
        if track.width:
            parts.append(f"{track.width}x{track.height}")
            parts.append(f"{track.frame_rate:.2f} frames/s")
        if track.sample_rate:
            parts.append(f"{track.sample_rate} Hz, {track.channels} channels")
        parts.append(f"{track.bitrate_bps / 1000:.0f} kbit/s")
        if track.key_frames > 1:
            parts.append(f"key frame every {track.key_distance_s:.2f} s")
        elif track.kind == "video":
            parts.append("1 key frame" if track.key_frames else "no key frame")
        if track.b_frames:
            parts.append("B-frames")
        lines.append("  " + ", ".join(parts))
    return "\n".join(lines)
