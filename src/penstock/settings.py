"""The configuration as data: sections, keys, defaults and what each is for.

The classes are the schema: `penstock.config` reads TOML, the environment and ``--set``
against them, and the reference page of the docs is generated from them. Sizes are in
bytes, times in seconds, rates in bits a second unless the name says otherwise.
"""

from __future__ import annotations

from typing import Any

import attrs

__all__ = [
    "AdminSettings",
    "ApiSettings",
    "AuthSettings",
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
    "StreamSettings",
    "WebRtcSettings",
    "setting",
]


def setting(
    default: Any,  # noqa: ANN401
    help: str,
    *,
    secret: bool = False,
    form: str = "text",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    restart: bool = False,
) -> Any:  # noqa: ANN401
    """Declare one key.

    Args:
        default: Its value when nothing sets it.
        help: What it is for, in one sentence.
        secret: Whether logs and `penstock check` mask it.
        form: What a text, or each item of a list, must be: "text", "address"
            (``host:port``, or empty), "file" (readable, or empty), "network"
            (address or CIDR), "ip" (address), "hook" (``http(s)://`` URL), "ice"
            (``stun:`` or ``turn:`` URL), "origin" or "token".
        choices: The only texts allowed, if any.
        minimum: Smallest number allowed.
        maximum: Largest number allowed.
        restart: Whether a change waits for the next start instead of a reload.
    """
    metadata = {
        "help": help,
        "secret": secret,
        "form": form,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "restart": restart,
    }
    if isinstance(default, list):
        return attrs.field(factory=lambda: list(default), metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def section(kind: type[Any], help: str) -> Any:  # noqa: ANN401
    """Declare a sub-table."""
    return attrs.field(factory=kind, metadata={"help": help})


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
class SrsApiSettings:
    """The HTTP API of SRS."""

    listen: str = setting(
        "127.0.0.1:1985",
        'Address and port; "" switches it off.',
        form="address",
        restart=True,
    )
    https_listen: str = setting(
        "", 'Address and port for HTTPS; "" is off.', form="address", restart=True
    )
    cert: str = setting(
        "", "PEM certificate chain; falls back to `http.cert`.", form="file"
    )
    key: str = setting("", "PEM private key; falls back to `http.key`.", form="file")
    username: str = setting("", "Basic authentication; empty asks for none.")
    password: str = setting("", "Password of `username`.", secret=True)
    crossdomain: bool = setting(True, "Answer requests of other origins (CORS).")
    raw_api: bool = setting(False, "Serve `/api/v1/raw`.")
    allow_reload: bool = setting(False, "Let `raw` reload the configuration.")
    metrics: bool = setting(
        False, "Serve SRS's `/metrics` on this port and within `metrics.listen`'s."
    )
    disks: list[str] = setting(
        [], "Disks whose busy time `summaries` shows, as in `sda`.", restart=True
    )
    server_id: str = setting(
        "", "The `server` field of answers; empty makes one.", restart=True
    )


@attrs.frozen
class Live777Strategy:
    """When streams that Live777's API makes begin and end."""

    each_stream_max_sub: int = setting(
        65_535,
        "Subscribers a stream; told to cluster managers, which keep to it.",
        minimum=0,
        maximum=65_535,
    )
    cascade_push_close_sub: bool = setting(
        False, "A cascade to another server ends the stream's subscribers here."
    )
    auto_create_whip: bool = setting(
        True, "A publisher may make a stream; if not, a command must have made it."
    )
    auto_create_whep: bool = setting(True, "The same for subscribers.")
    auto_delete_whip: int = setting(
        -1,
        "ms after its publisher left that a stream is deleted; -1 never does.",
        minimum=-1,
    )
    auto_delete_whep: int = setting(
        -1,
        "The same after the last subscriber left, or the stream was made.",
        minimum=-1,
    )


@attrs.frozen
class Live777ApiSettings:
    """The HTTP API of Live777."""

    listen: str = setting(
        "127.0.0.1:7777",
        'Address and port; "" switches it off, the paths on the public port too.',
        form="address",
        restart=True,
    )
    https_listen: str = setting(
        "", 'Address and port for HTTPS; "" is off.', form="address", restart=True
    )
    cert: str = setting(
        "", "PEM certificate chain; falls back to `http.cert`.", form="file"
    )
    key: str = setting("", "PEM private key; falls back to `http.key`.", form="file")
    cors: bool = setting(False, "Answer requests of other origins (CORS).")
    tokens: list[str] = setting(
        [],
        "Bearer tokens that may do everything; with none and no `secret` the API "
        "asks for none.",
        secret=True,
        form="token",
    )
    secret: str = setting(
        "",
        "Key of JSON Web Tokens (HS256) for one stream; empty takes none.",
        secret=True,
    )
    strategy: Live777Strategy = section(
        Live777Strategy, "When streams that this API makes begin and end."
    )


@attrs.frozen
class ApiSettings:
    """The control APIs."""

    allow_open: bool = setting(
        False, "Allow an API without authentication on a non-loopback address."
    )
    srs: SrsApiSettings = section(SrsApiSettings, "The HTTP API of SRS.")
    live777: Live777ApiSettings = section(
        Live777ApiSettings, "The HTTP API of Live777."
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


@attrs.frozen
class RelaySettings:
    """One relay between this server and another."""

    source: str = setting(
        "",
        "`rtmp(s)://` or `whep(s)://[token@]` URL to pull, or `app/name` to push.",
    )
    destination: str = setting(
        "",
        "`app/name` to pull to, or `rtmp(s)://` or `whip(s)://[token@]` URL to push.",
    )
    on_demand: bool = setting(False, "Pull only while somebody watches.")


@attrs.frozen
class Settings:
    """The whole configuration."""

    http: HttpSettings = section(HttpSettings, "The public HTTP port.")
    webrtc: WebRtcSettings = section(WebRtcSettings, "WebRTC.")
    rtmp: RtmpSettings = section(RtmpSettings, "RTMP.")
    rtmps: RtmpsSettings = section(RtmpsSettings, "RTMP over TLS.")
    api: ApiSettings = section(ApiSettings, "The control APIs.")
    metrics: MetricsSettings = section(MetricsSettings, "Prometheus metrics.")
    auth: AuthSettings = section(AuthSettings, "Who may publish and play.")
    admin: AdminSettings = section(AdminSettings, "The page's privileged part.")
    hooks: HooksSettings = section(HooksSettings, "HTTP callbacks.")
    stream: StreamSettings = section(StreamSettings, "How streams behave.")
    limits: LimitsSettings = section(LimitsSettings, "What clients may cost.")
    log: LogSettings = section(LogSettings, "Log lines.")
    ffmpeg: FfmpegSettings = section(FfmpegSettings, "FFmpeg.")
    vhosts: list[str] = setting([], "Virtual hosts besides `default`.")
    relay: list[RelaySettings] = setting([], "Relays, one `[[relay]]` table each.")
