"""Frozen snapshots of the engine: what control answers, and all that dialects see.

Views hold plain serialisable values, no engine object, so that the views of several
workers can be merged and a dialect cannot reach into the engine.
"""

from __future__ import annotations

import attrs

__all__ = [
    "ListenerView",
    "RatesView",
    "RelayView",
    "ServerView",
    "SessionView",
    "StreamView",
    "TrackView",
    "VhostView",
]


@attrs.frozen
class RatesView:
    """Bit rates in kbit/s over the last full 30 s window; 0 before the first."""

    receive_30s_kbps: int = 0
    send_30s_kbps: int = 0


@attrs.frozen
class TrackView:
    """One track of a live stream."""

    id: int
    kind: str
    """"video", "audio" or "data"."""
    codec: str
    """`sansmedia.codecs.Codec` value, "" for data."""
    profile: str = ""
    level: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    """Measured frames a second over the last seconds; 0 if unknown."""
    sample_rate: int = 0
    channels: int = 0
    bitrate_bps: int = 0
    """Measured over the last seconds."""
    frames: int = 0
    """Frames since the publication began."""
    key_distance_s: float = 0.0
    """Seconds between the last two random access points (video)."""
    language: str = ""
    name: str = ""
    rfc6381: str = ""
    group: str = ""
    """Alternates of one source share it: "simulcast", whose layers are `name`."""


@attrs.frozen
class StreamView:
    """One stream: it exists while it is used, and until told if it is reserved."""

    id: str
    """128-bit id, 32 hex digits, new each time the entry is made."""
    vhost: str
    app: str
    name: str
    state: str
    """"idle", "claimed" or "live"."""
    created_at: float
    """Unix seconds."""
    live_since: float | None
    """Unix seconds of the current publication's first frame; None if not live."""
    publisher_id: str | None
    """Session id of the current publisher, or of the last one; None before any."""
    publisher_active: bool
    tracks: tuple[TrackView, ...]
    """Tracks of the current publication, main ones first; empty if not live."""
    viewers: int
    """Playing sessions, waiting ones included."""
    video_frames: int
    """Video frames received from publishers since the entry was made."""
    bytes_received: int
    bytes_sent: int
    rates: RatesView
    bitrate_bps: int
    """Measured ingest bit rate over the last seconds."""
    tc_url: str
    """Of whoever made the entry: RTMP tcUrl, or ``http://host/app``; secrets masked."""
    cache_bytes: int
    """Size of the cached group of pictures."""
    dropped_frames: int
    """Frames skipped for slow viewers, in all."""
    damaged_messages: int = 0
    """What publishers sent and nobody could read, in all."""
    reserved: bool = False
    """A command keeps the entry while nobody publishes or plays."""
    publisher_left_at: float | None = None
    """Unix seconds; None before any publisher left and while there is one."""
    viewers_left_at: float | None = None
    """Unix seconds when the last viewer left, or the entry was made; None while there
    is one."""


@attrs.frozen(kw_only=True)
class LinkView:
    """How the network treats one SRT session; totals since it began."""

    rtt_ms: float
    """Round trip, smoothed."""
    latency_ms: float
    """Agreed time from sending to delivery."""
    buffer_ms: float
    """Time span of what waits: for delivery at a publisher's, to be acknowledged at a
    viewer's."""
    packets: int
    """Packets that carried media for the first time."""
    lost: int
    """Packets that the receiver missed at first."""
    retransmitted: int
    """Packets that were sent again."""
    dropped: int
    """Packets that came too late, or never, and were given up."""
    undecrypted: int = 0
    """Packets that no key fitted."""
    bandwidth_bps: int = 0
    """The receiver's estimate of what the path could carry."""
    encryption: str = ""
    """"AES-CTR-128", "AES-GCM-256", ...; "" for none."""
    links: int = 1
    """Links that stand: more than one if the session comes over a bonding group."""


@attrs.frozen
class SessionView:
    """One media session: a publisher, a viewer, or a relay's leg."""

    id: str
    """128-bit id, 32 hex digits."""
    protocol: str
    """"rtmp", "rtmps", "srt", "ts-udp", "http-flv", "ws-flv", "http-fmp4", "ws-fmp4",
    "http-ts", "ws-ts", "whip" or "whep"."""
    role: str
    """"publish", "play", or "connect" until the client says what it wants."""
    stream_id: str | None
    vhost: str
    app: str
    name: str
    """Stream name without extension or query."""
    extension: str
    """".flv", ".mp4" or ".ts" for HTTP viewers, else ""."""
    address: str
    """Client's IP address (behind trusted proxies, the forwarded one)."""
    port: int
    tc_url: str
    """The address of the connection, secrets masked; so in the two below."""
    page_url: str
    swf_url: str
    user_agent: str
    """HTTP User-Agent or RTMP flashVer."""
    parameters: str
    """The query the client gave, without "?", secrets masked."""
    started_at: float
    """Unix seconds."""
    age_s: float
    bytes_received: int
    bytes_sent: int
    rates: RatesView
    behind_bytes: int
    """Octets of the ring that a viewer has still to take."""
    dropped_frames: int
    relay_id: str | None = None
    connection: str = "connected"
    """"new", "connecting", "connected", "disconnected", "failed" or "closed"."""
    source_url: str = ""
    """Where a relay's leg takes its stream from, secrets masked; "" for others."""
    target_url: str = ""
    """Where it publishes its stream, secrets masked; "" for others."""
    remote_session_url: str = ""
    """The session of WHIP or WHEP at the other server, once it is there."""
    link: LinkView | None = None
    """Of SRT sessions, once they are connected."""


@attrs.frozen
class VhostView:
    """One virtual host that has seen a session since the start; never removed."""

    id: str
    name: str
    """"default" or a configured name."""
    sessions: int
    streams: int
    """Streams with an active publisher."""
    bytes_received: int
    bytes_sent: int
    rates: RatesView


@attrs.frozen
class ListenerView:
    """One bound address."""

    name: str
    """Configuration key without ".listen": "http", "rtmp", "api.srs", ..."""
    address: str
    port: int
    secure: bool


@attrs.frozen
class RelayView:
    """One push or pull relay."""

    id: str
    source: str
    """URL with secrets masked, or ``app/name`` of a local stream."""
    destination: str
    state: str
    """"connecting", "running", "waiting"."""
    attempts: int
    last_error: str
    session_id: str | None


@attrs.frozen
class ServerView:
    """The server as a whole."""

    id: str
    """Stable identity of this installation, opaque."""
    service_id: str
    """New at each process start, opaque."""
    version: str
    pid: int
    started_at: float
    """Unix seconds."""
    uptime_s: float
    listeners: tuple[ListenerView, ...]
    sessions: int
    sessions_total: int
    """Sessions since the start."""
    session_errors_total: int
    """Sessions that ended by an error (theirs or ours)."""
    streams: int
    """Stream entries, live or not."""
    bytes_received: int
    bytes_sent: int
    loop_stall_s: float
    """Longest stall of the event loop in the last minute."""
    tasks: int = 0
    """Tasks that live on the event loop."""
    refusals: tuple[tuple[str, int], ...] = ()
    """Sessions refused since the start, by reason (one constant word each)."""
    datagrams_received: int = 0
    """At the ports of WebRTC and SRT, since the start."""
    datagrams_sent: int = 0
    datagrams_dropped: int = 0
    """Not sent, because the kernel had no room for them."""
    datagrams_unreachable: int = 0
    """Not sent, because there was no way to their peer."""
    datagrams_strange: int = 0
    """Received from nobody that belongs to a session."""
