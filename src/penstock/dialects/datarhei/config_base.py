"""The operator's configuration in datarhei's words.

Members that mean nothing here have datarhei's defaults. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from penstock.settings import Settings

from .about import Identity

__all__ = ["ConfigFacts", "FfmpegSection", "StorageSection", "base_document"]


class StorageSection(Protocol):
    """What the configuration says of the files that are kept."""

    @property
    def disk_dir(self) -> str:
        """Folder of the file system ``disk``."""
        ...

    @property
    def disk_max_bytes(self) -> int:
        """What it may hold; 0 for all."""
        ...

    @property
    def memory_max_bytes(self) -> int:
        """What the file system ``mem`` may hold; 0 for all."""
        ...

    @property
    def memory_purge(self) -> bool:
        """Whether it drops its oldest files when it is full."""
        ...

    @property
    def memory_username(self) -> str:
        """Who may write into it over HTTP; "" for everybody."""
        ...

    @property
    def memory_password(self) -> str:
        """Theirs."""
        ...


class FfmpegSection(Protocol):
    """What the configuration says of jobs."""

    @property
    def path(self) -> str:
        """The program."""
        ...

    @property
    def input_allow(self) -> Sequence[str]:
        """Regular expressions of addresses that jobs may read."""
        ...

    @property
    def input_block(self) -> Sequence[str]:
        """Of those that they may not."""
        ...

    @property
    def output_allow(self) -> Sequence[str]:
        """Of addresses that jobs may write."""
        ...

    @property
    def output_block(self) -> Sequence[str]:
        """Of those that they may not."""
        ...

    @property
    def max_running(self) -> int:
        """How many may run at a time; 0 for any number."""
        ...

    @property
    def log_lines(self) -> int:
        """Lines kept of a run."""
        ...

    @property
    def log_runs(self) -> int:
        """Earlier runs kept of a job."""
        ...


@attrs.frozen(kw_only=True)
class ConfigFacts:
    """What the base is made of."""

    settings: Settings
    """The operator's, without what clients have stored."""
    identity: Identity
    created_at: str
    """When the installation began, as `about.moment` writes it."""
    address: str
    """Where this API listens; so below."""
    tls_address: str = ""
    username: str = ""
    """Of the login; "" for none."""
    password: str = ""
    jwt_secret: str = ""
    disable_localhost: bool = False
    read_only: bool = False
    state_dir: str = ""
    """Where jobs are kept."""
    rtmp_app: str = "/"
    """What names of streams over RTMP begin with."""
    storage: StorageSection
    ffmpeg: FfmpegSection
    host_names: Sequence[str] = ()
    """By which clients reach the server."""
    metrics_range: int = 300
    """Seconds that figures are kept."""
    metrics_interval: int = 2
    """Seconds between two of them."""
    prometheus: bool = False
    """Whether there is ``/metrics``."""


def base_document(facts: ConfigFacts) -> dict[str, Any]:
    """Return the whole document as the operator's configuration has it."""
    settings = facts.settings
    api = settings.api.datarhei
    return {
        "created_at": facts.created_at,
        "version": 3,
        "id": facts.identity.id,
        "name": facts.identity.name,
        "address": _port_of(facts.address),
        "update_check": False,
        "log": {
            "level": _log_level(settings.log.level),
            "topics": [],
            "max_lines": 1000,
        },
        "db": {"dir": facts.state_dir},
        "host": {"name": list(facts.host_names), "auto": False},
        "api": _api(facts),
        "tls": _tls(facts),
        "storage": _storage(facts),
        "rtmp": _rtmp(facts),
        "srt": _srt(settings),
        "ffmpeg": _ffmpeg(facts.ffmpeg),
        "playout": {"enable": False, "min_port": 0, "max_port": 0},
        "debug": {"profiling": False, "force_gc": 0, "memory_limit_mbytes": 0},
        "metrics": {
            "enable": True,
            "enable_prometheus": facts.prometheus,
            "range_sec": facts.metrics_range,
            "interval_sec": facts.metrics_interval,
        },
        "sessions": {
            "enable": True,
            "ip_ignorelist": list(api.ignored_networks),
            "session_timeout_sec": api.viewer_timeout_s,
            "persist": False,
            "persist_interval_sec": 300,
            "max_bitrate_mbit": api.max_viewers_bps >> 20,
            "max_sessions": api.max_viewers,
        },
        "service": {
            "enable": False,
            "token": "",
            "url": "https://service.datarhei.com",
        },
        "router": {"blocked_prefixes": ["/api"], "routes": {}, "ui_path": ""},
    }


def _port_of(listen: str) -> str:
    """Return where something listens as datarhei's clients write it: without a host.

    restreamer-ui's settings take all colons out of it for the port, and put one before
    what they give back. No client can change where we listen.
    """
    return f":{listen.rpartition(':')[2]}"


def _log_level(level: str) -> str:
    return "warn" if level == "warning" else level


def _api(facts: ConfigFacts) -> dict[str, Any]:
    api = facts.settings.api.datarhei
    return {
        "read_only": facts.read_only,
        "access": {
            "http": {"allow": list(api.http_allow), "block": list(api.http_block)},
            "https": {"allow": list(api.https_allow), "block": list(api.https_block)},
        },
        "auth": {
            "enable": bool(facts.username),
            "disable_localhost": facts.disable_localhost,
            "username": facts.username,
            "password": facts.password,
            "jwt": {"secret": facts.jwt_secret},
            "auth0": {"enable": False, "tenants": []},
        },
    }


def _tls(facts: ConfigFacts) -> dict[str, Any]:
    http, api = facts.settings.http, facts.settings.api.datarhei
    return {
        "address": _port_of(facts.tls_address or ":8181"),
        "enable": bool(facts.tls_address),
        "auto": False,
        "email": "cert@datarhei.com",
        "cert_file": api.cert or http.cert,
        "key_file": api.key or http.key,
    }


def _storage(facts: ConfigFacts) -> dict[str, Any]:
    storage = facts.storage
    return {
        "disk": {
            "dir": storage.disk_dir,
            "max_size_mbytes": storage.disk_max_bytes >> 20,
            "cache": {
                "enable": False,
                "max_size_mbytes": 0,
                "ttl_seconds": 300,
                "max_file_size_mbytes": 1,
                "types": {"allow": [], "block": [".m3u8", ".mpd"]},
            },
        },
        "memory": {
            "auth": {
                "enable": bool(storage.memory_username),
                "username": storage.memory_username,
                "password": storage.memory_password,
            },
            "max_size_mbytes": storage.memory_max_bytes >> 20,
            "purge": storage.memory_purge,
        },
        "s3": [],
        "cors": {"origins": list(facts.settings.http.cors_origins)},
        "mimetypes_file": "",
    }


def _rtmp(facts: ConfigFacts) -> dict[str, Any]:
    settings = facts.settings
    return {
        "enable": bool(settings.rtmp.listen),
        "enable_tls": bool(settings.rtmps.listen),
        "address": _port_of(settings.rtmp.listen or ":1935"),
        "address_tls": _port_of(settings.rtmps.listen or ":1936"),
        "app": facts.rtmp_app,
        "token": _token(settings),
    }


def _srt(settings: Settings) -> dict[str, Any]:
    return {
        "enable": bool(settings.srt.listen),
        "address": _port_of(settings.srt.listen or ":6000"),
        "passphrase": settings.srt.publish_passphrase,
        "token": _token(settings),
        "log": {"enable": False, "topics": []},
    }


def _token(settings: Settings) -> str:
    tokens = settings.auth.publish_tokens
    return tokens[0] if settings.auth.publish == "token" and tokens else ""


def _ffmpeg(section: FfmpegSection) -> dict[str, Any]:
    return {
        "binary": section.path or "ffmpeg",
        "max_processes": section.max_running,
        "access": {
            "input": {
                "allow": list(section.input_allow),
                "block": list(section.input_block),
            },
            "output": {
                "allow": list(section.output_allow),
                "block": list(section.output_block),
            },
        },
        "log": {"max_lines": section.log_lines, "max_history": section.log_runs},
    }
