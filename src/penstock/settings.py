"""The configuration as data: sections, keys, defaults and what each is for.

The classes are the schema: `penstock.config` reads TOML, the environment and ``--set``
against them, and the reference page of the docs is generated from them. Sizes are in
bytes, times in seconds, rates in bits a second unless the name says otherwise.
"""

from __future__ import annotations

import attrs

from .api_settings import (
    ApiSettings,
    DatarheiApiSettings,
    Live777ApiSettings,
    Live777Strategy,
    SrsApiSettings,
)
from .declarations import section, setting

__all__ = [
    "AdminSettings",
    "ApiSettings",
    "AuthSettings",
    "DatarheiApiSettings",
    "FfmpegSettings",
    "HooksSettings",
    "HttpSettings",
    "LimitsSettings",
    "Live777ApiSettings",
    "Live777Strategy",
    "LogSettings",
    "MetricsSettings",
    "RelaySettings",
    "RtmpSettings",
    "RtmpsSettings",
    "Settings",
    "SrsApiSettings",
    "SrtSettings",
    "SrtStreamSettings",
    "StorageSettings",
    "StreamSettings",
    "WebRtcSettings",
]


@attrs.frozen
class HttpSettings:
    """The public HTTP port: the page, live streams, their own API."""

    listen: str = setting(
        "0.0.0.0:8000",
        'Address and port; "" switches it off.',
        form="address",
        restart=True,
    )
    cert: str = setting(
        "", "PEM certificate chain; with `key` the port speaks TLS too.", form="file"
    )
    key: str = setting("", "PEM private key of `cert`.", form="file")
    cors_origins: list[str] = setting(
        ["*"],
        "Origins that pages may play from; `*` is any, empty is none.",
        form="origin",
    )
    trusted_proxies: list[str] = setting(
        [], "Addresses or networks whose X-Forwarded-For is believed.", form="network"
    )


@attrs.frozen
class RtmpSettings:
    """RTMP, for publishers and viewers."""

    listen: str = setting(
        "0.0.0.0:1935",
        'Address and port; "" switches it off.',
        form="address",
        restart=True,
    )
    merge_ms: int = setting(
        0,
        "Gather this many ms of messages into one write to viewers; 0 = none.",
        minimum=0,
        maximum=5_000,
    )
    publish_chunk_size: int = setting(
        60_000,
        "Chunk size announced to publishers (some copy it); 0 announces none.",
        minimum=0,
        maximum=16_777_215,
    )
    handshake_timeout_s: float = setting(
        10.0, "A handshake must be over by then.", minimum=0.1
    )
    idle_timeout_s: float = setting(
        60.0,
        "A client that neither publishes nor plays nor answers is ended.",
        minimum=1,
    )
    ping_interval_s: float = setting(
        30.0, "How often clients are pinged; 0 = never.", minimum=0
    )
    max_message_bytes: int = setting(
        16 << 20,
        "Largest message a client may declare.",
        minimum=65_536,
        maximum=1 << 30,
    )


@attrs.frozen
class RtmpsSettings:
    """RTMP over TLS."""

    listen: str = setting(
        "",
        'Address and port, as "0.0.0.0:443"; "" is off.',
        form="address",
        restart=True,
    )
    cert: str = setting(
        "", "PEM certificate chain; falls back to `http.cert`.", form="file"
    )
    key: str = setting("", "PEM private key; falls back to `http.key`.", form="file")


@attrs.frozen
class WebRtcSettings:
    """WebRTC: WHIP in, WHEP out."""

    listen: str = setting(
        "0.0.0.0:8000",
        'UDP address and port of all media; "" switches WebRTC off.',
        form="address",
        restart=True,
    )
    tcp: bool = setting(
        True,
        "Offer ICE over TCP too, on the port of `http.listen`.",
    )
    public_addresses: list[str] = setting(
        [],
        "Addresses that clients reach this machine by, if a router translates them; "
        "they are offered beside those of the interfaces.",
        form="ip",
    )
    ice_lite: bool = setting(
        False, "Answer checks only, for machines that everybody reaches directly."
    )
    ice_servers: list[str] = setting(
        [], "`stun:` and `turn:` URLs that clients are told to use.", form="ice"
    )
    ice_username: str = setting("", "User name for the `turn:` servers.")
    ice_credential: str = setting("", "Password of `ice_username`.", secret=True)
    connect_timeout_s: float = setting(
        30.0, "A session that is not connected by then is ended.", minimum=1
    )
    key_frame_interval_s: float = setting(
        1.0, "A publisher is asked for key frames at most so often.", minimum=0.1
    )


@attrs.frozen
class SrtSettings:
    """SRT, for publishers and viewers: one UDP port, MPEG-TS inside."""

    listen: str = setting(
        "0.0.0.0:10080",
        'UDP address and port; "" switches it off.',
        form="address",
        restart=True,
    )
    latency_ms: int = setting(
        120,
        "Time from sending to delivery; a client may ask for more.",
        minimum=0,
        maximum=30_000,
    )
    publish_passphrase: str = setting(
        "",
        "Publishers must encrypt with it; `[[srt_stream]]` tables go before it.",
        secret=True,
        form="passphrase",
    )
    play_passphrase: str = setting(
        "", "The same for viewers.", secret=True, form="passphrase"
    )
    default_app: str = setting("live", "App of a stream id that names none.")
    default_stream: str = setting(
        "",
        "`app/name` that a caller without stream id publishes; empty refuses it.",
    )
    max_bandwidth_bps: int = setting(
        0,
        "What one viewer is sent at most, retransmissions included; 0 = no limit.",
        minimum=0,
    )
    groups: bool = setting(True, "Take callers that come over several links (bonding).")
    connect_timeout_s: float = setting(
        3.0, "A call of ours that is not answered by then has failed.", minimum=0.1
    )
    idle_timeout_s: float = setting(
        5.0, "A client that nothing is heard of for this long is ended.", minimum=0.5
    )


@attrs.frozen
class SrtStreamSettings:
    """What is different for one stream over SRT."""

    stream: str = setting("", "`app/name`.")
    publish_passphrase: str = setting(
        "",
        "Instead of `srt.publish_passphrase`; empty asks for none.",
        secret=True,
        form="passphrase",
    )
    play_passphrase: str = setting(
        "",
        "Instead of `srt.play_passphrase`; empty asks for none.",
        secret=True,
        form="passphrase",
    )


@attrs.frozen
class MetricsSettings:
    """Prometheus metrics."""

    listen: str = setting(
        "127.0.0.1:9972",
        'Address and port; "" switches it off.',
        form="address",
        restart=True,
    )


@attrs.frozen
class AuthSettings:
    """Who may publish and play."""

    publish: str = setting(
        "private",
        "`private`: loopback and private addresses (RFC 1918, 4193, link-local); "
        "`token`: whoever has one; `open`: anybody.",
        choices=("private", "token", "open"),
    )
    play: str = setting("open", "As `publish`.", choices=("private", "token", "open"))
    publish_tokens: list[str] = setting(
        [], "Accepted values of the query parameter `token`.", secret=True, form="token"
    )
    play_tokens: list[str] = setting(
        [], "As `publish_tokens`.", secret=True, form="token"
    )
    publish_allow: list[str] = setting(
        [], "Addresses or networks; empty is all.", form="network"
    )
    publish_deny: list[str] = setting(
        [], "Addresses or networks, stronger than allow.", form="network"
    )
    play_allow: list[str] = setting(
        [], "Addresses or networks; empty is all.", form="network"
    )
    play_deny: list[str] = setting(
        [], "Addresses or networks, stronger than allow.", form="network"
    )


@attrs.frozen
class AdminSettings:
    """The page's privileged part."""

    password: str = setting(
        "",
        "Asked from clients that are not on loopback; empty shuts them out.",
        secret=True,
    )


@attrs.frozen
class HooksSettings:
    """HTTP callbacks in SRS's form."""

    on_connect: list[str] = setting(
        [],
        "URLs that may refuse an RTMP client, before `on_publish` or `on_play`.",
        form="hook",
    )
    on_close: list[str] = setting([], "URLs told when a connection ends.", form="hook")
    on_publish: list[str] = setting(
        [], "URLs that may refuse a publisher.", form="hook"
    )
    on_unpublish: list[str] = setting(
        [], "URLs told when a publication ends.", form="hook"
    )
    on_play: list[str] = setting([], "URLs that may refuse a viewer.", form="hook")
    on_stop: list[str] = setting([], "URLs told when a viewer leaves.", form="hook")
    timeout_s: float = setting(
        30.0, "A hook that has not answered by then refuses.", minimum=0.1
    )


@attrs.frozen
class StreamSettings:
    """How streams behave."""

    gop_cache: bool = setting(
        True, "New viewers start with the pictures since the last key frame."
    )
    cache_max_bytes: int = setting(
        32 << 20, "Largest group of pictures kept, a stream.", minimum=0
    )
    ring_seconds: float = setting(
        10.0, "How far a viewer may fall behind by time.", minimum=0.1
    )
    ring_max_bytes: int = setting(
        32 << 20,
        "How far a viewer may fall behind by size, a wire form.",
        minimum=65_536,
    )
    slow_viewer_s: float = setting(
        30.0, "A viewer that never catches up for this long is closed.", minimum=0.1
    )
    second_publisher: str = setting(
        "refuse",
        "`refuse` it, or let it `replace` the first.",
        choices=("refuse", "replace"),
    )
    wait_for_publisher_s: float = setting(
        60.0,
        "How long a viewer may wait for a stream nobody publishes; 0 refuses.",
        minimum=0,
    )
    republish_wait_s: float = setting(
        10.0, "How long viewers are kept after the publisher left.", minimum=0
    )
    publish_idle_s: float = setting(
        30.0, "A publisher that sends nothing is ended.", minimum=0.1
    )


@attrs.frozen
class LimitsSettings:
    """What all clients together, or one address, may cost. 0 is no limit."""

    sessions: int = setting(10_000, "Connections in all.", minimum=0)
    sessions_per_address: int = setting(0, "Connections of one IP address.", minimum=0)
    api_connections: int = setting(
        500, "Connections of the API and metrics ports together.", minimum=0
    )
    streams: int = setting(
        2_000,
        "Stream entries with a publisher, and as many that wait for one.",
        minimum=0,
    )
    bandwidth_bps: int = setting(
        0, "Sent to all viewers; a new viewer over it is refused.", minimum=0
    )
    bandwidth_per_address_bps: int = setting(
        0, "The same for one IP address.", minimum=0
    )
    publish_bitrate_bps: int = setting(
        0, "A publisher above this for 10 s is ended.", minimum=0
    )


@attrs.frozen
class LogSettings:
    """Log lines on standard error."""

    level: str = setting(
        "info",
        "`debug`, `info`, `warning` or `error`.",
        choices=("debug", "info", "warning", "error"),
    )
    format: str = setting(
        "text", "`text` (key=value) or `json`.", choices=("text", "json")
    )


@attrs.frozen
class FfmpegSettings:
    """FFmpeg for jobs and the demo."""

    path: str = setting(
        "", "The program; empty takes the one of imageio-ffmpeg.", form="file"
    )
    jobs: bool = setting(
        True, "Run jobs; without them nothing is kept on the disk.", restart=True
    )
    input_allow: list[str] = setting(
        [],
        "Regular expressions: jobs read these addresses only; empty is all.",
        form="regex",
    )
    input_block: list[str] = setting(
        [],
        "Addresses that jobs may not read, stronger than allow.",
        form="regex",
    )
    output_allow: list[str] = setting(
        [],
        "As `input_allow`, for what jobs write; files are `file:` and their path.",
        form="regex",
    )
    output_block: list[str] = setting(
        [],
        "Addresses that jobs may not write, stronger than allow.",
        form="regex",
    )
    max_jobs: int = setting(10_000, "Jobs that are kept.", minimum=1)
    max_running: int = setting(
        0, "Jobs that may be ordered to run at a time; 0 = any number.", minimum=0
    )
    log_lines: int = setting(
        50, "Lines kept of what a job's run prints.", minimum=0, maximum=10_000
    )
    log_runs: int = setting(
        3, "Earlier runs kept of each job.", minimum=0, maximum=1_000
    )


@attrs.frozen
class StorageSettings:
    """What is kept: jobs, and files that jobs write."""

    dir: str = setting(
        "",
        "Folder of all that must survive; empty takes `$STATE_DIRECTORY`, or "
        "`$XDG_STATE_HOME/penstock`.",
        restart=True,
    )
    disk_dir: str = setting(
        "",
        "Folder of the `disk` file system; empty is `data` within `dir`.",
        restart=True,
    )
    disk_max_bytes: int = setting(
        0, "Octets that `disk` may hold; 0 = what the device has.", minimum=0
    )
    memory_max_bytes: int = setting(
        512 << 20, "Octets that the `mem` file system may hold; 0 = any.", minimum=0
    )
    memory_purge: bool = setting(
        False, "When `mem` is full, drop its oldest files instead of refusing new ones."
    )
    memory_username: str = setting(
        "admin", "Who may write into `mem` over HTTP; empty lets everybody."
    )
    memory_password: str = setting(
        "", "Password of it; empty makes one at each start.", secret=True
    )
    s3: list[str] = setting(
        [],
        "Buckets, each `https://KEY:SECRET@REGION.ENDPOINT/BUCKET?name=N&mount=/PATH`, "
        "with `&username=U&password=P` for writes; needs the extra `s3`.",
        secret=True,
        restart=True,
    )


@attrs.frozen
class RelaySettings:
    """One relay between this server and another."""

    source: str = setting(
        "",
        "`rtmp(s)://`, `srt://`, `udp://` or `whep(s)://[token@]` URL to pull, or "
        "`app/name` to push.",
    )
    destination: str = setting(
        "",
        "`app/name` to pull to, or `rtmp(s)://`, `srt://`, `udp://` or "
        "`whip(s)://[token@]` URL to push.",
    )
    on_demand: bool = setting(False, "Pull only while somebody watches.")


@attrs.frozen
class Settings:
    """The whole configuration."""

    http: HttpSettings = section(HttpSettings, "The public HTTP port.")
    webrtc: WebRtcSettings = section(WebRtcSettings, "WebRTC.")
    rtmp: RtmpSettings = section(RtmpSettings, "RTMP.")
    rtmps: RtmpsSettings = section(RtmpsSettings, "RTMP over TLS.")
    srt: SrtSettings = section(SrtSettings, "SRT.")
    api: ApiSettings = section(ApiSettings, "The control APIs.")
    metrics: MetricsSettings = section(MetricsSettings, "Prometheus metrics.")
    auth: AuthSettings = section(AuthSettings, "Who may publish and play.")
    admin: AdminSettings = section(AdminSettings, "The page's privileged part.")
    hooks: HooksSettings = section(HooksSettings, "HTTP callbacks.")
    stream: StreamSettings = section(StreamSettings, "How streams behave.")
    limits: LimitsSettings = section(LimitsSettings, "What clients may cost.")
    log: LogSettings = section(LogSettings, "Log lines.")
    ffmpeg: FfmpegSettings = section(FfmpegSettings, "FFmpeg.")
    storage: StorageSettings = section(StorageSettings, "What is kept.")
    vhosts: list[str] = setting([], "Virtual hosts besides `default`.")
    relay: list[RelaySettings] = setting([], "Relays, one `[[relay]]` table each.")
    srt_stream: list[SrtStreamSettings] = setting(
        [], "Passphrases of single streams, one `[[srt_stream]]` table each."
    )
