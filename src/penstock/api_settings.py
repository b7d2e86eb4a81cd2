"""The configuration of the control APIs; see `penstock.settings`."""

from __future__ import annotations

import attrs

from .declarations import section, setting

__all__ = [
    "ApiSettings",
    "DatarheiApiSettings",
    "Live777ApiSettings",
    "Live777Strategy",
    "SrsApiSettings",
]


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
class DatarheiApiSettings:
    """The HTTP API of datarhei Core."""

    listen: str = setting(
        "127.0.0.1:8080",
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
    username: str = setting(
        "", "Who may log in; empty asks for no login, and is for loopback only."
    )
    password: str = setting("", "Password of `username`.", secret=True)
    jwt_secret: str = setting(
        "",
        "Part of the key of tokens; tokens of an empty one end with the server.",
        secret=True,
    )
    disable_localhost: bool = setting(
        False, "Ask clients on loopback for no login, whatever the others are asked."
    )
    read_only: bool = setting(False, "Answer 404 to whatever would change something.")
    origins: list[str] = setting(
        [],
        "Origins whose pages may use the API while it asks for no login; with a login "
        "every page may try.",
        form="origin",
    )
    forget_changes: bool = setting(
        False,
        "Forget at the start what clients have changed of the configuration: for "
        "once, after a lost password.",
        restart=True,
    )
    name: str = setting("", "What clients show of this server; empty makes one.")
    rtmp_app: str = setting(
        "/live", "App of `{rtmp}` in jobs, with its slash; `/` for none."
    )
    prometheus: bool = setting(False, "Serve datarhei's own `/metrics`.")
    http_allow: list[str] = setting(
        [], "Networks that may use the API over HTTP; empty is all.", form="network"
    )
    http_block: list[str] = setting(
        [], "Networks that may not, stronger than allow.", form="network"
    )
    https_allow: list[str] = setting([], "As `http_allow`, over HTTPS.", form="network")
    https_block: list[str] = setting([], "As `http_block`, over HTTPS.", form="network")
    ignored_networks: list[str] = setting(
        ["127.0.0.1/32", "::1/128"],
        "Clients that are no sessions, and whose HLS playlists stay as they are.",
        form="network",
    )
    viewer_timeout_s: int = setting(
        30, "A viewer of HLS files who fetches nothing for so long is gone.", minimum=1
    )
    max_viewers: int = setting(0, "Viewers of HLS files; 0 = any number.", minimum=0)
    max_viewers_bps: int = setting(
        0, "Bit/s that all of them may take; 0 = any number.", minimum=0
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
    datarhei: DatarheiApiSettings = section(
        DatarheiApiSettings, "The HTTP API of datarhei Core."
    )
