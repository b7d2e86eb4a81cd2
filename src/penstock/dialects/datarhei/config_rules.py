"""What a configuration document must be, and what of ours it changes. All pure."""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from .config_document import difference, value_at

__all__ = ["OURS", "overlay", "shape_problem", "validate"]

_LEVELS: Final = {
    "silent": "error",
    "error": "error",
    "warn": "warning",
    "info": "info",
    "debug": "debug",
}


def shape_problem(
    document: object, base: Mapping[str, Any], _at: tuple[str, ...] = ()
) -> str | None:
    """Say which member has another type than in the base; None if none has.

    Members that the base does not know are nobody's business.
    """
    where = ".".join(_at) or "the document"
    if not isinstance(document, dict):
        return f"{where} must be an object"
    for name, value in document.items():
        at = (*_at, name)
        if value is None or name not in base:
            continue
        if at == ("router", "routes"):
            if not _is_map_of_texts(value):
                return f"{'.'.join(at)} must be an object of strings"
        elif isinstance(base[name], dict):
            if problem := shape_problem(value, base[name], at):
                return problem
        elif problem := _type_problem(value, base[name], at):
            return problem
    return None


def _type_problem(value: object, model: object, at: tuple[str, ...]) -> str | None:
    name = ".".join(at)
    if isinstance(model, bool):
        return None if isinstance(value, bool) else f"{name} must be a bool"
    if isinstance(model, int):
        if isinstance(value, int) and not isinstance(value, bool) and value < 1 << 63:
            return None
        return f"{name} must be an integer"
    if isinstance(model, str):
        return None if isinstance(value, str) else f"{name} must be a string"
    kind: type = dict if at[-1] in ("s3", "tenants") else str
    if isinstance(value, list) and all(isinstance(item, kind) for item in value):
        return None
    return f"{name} must be a list of {'objects' if kind is dict else 'strings'}"


def _is_map_of_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


# -- values ---------------------------------------------------------------------------


def validate(
    document: Mapping[str, Any],
    is_directory: Callable[[str], bool] = lambda path: False,
) -> dict[str, list[str]]:
    """Return what is wrong with the values of a whole document, by dotted name.

    Args:
        document: Of the right shape.
        is_directory: Tells whether there is such a folder.
    """
    found: dict[str, list[str]] = {}

    def note(name: str, problem: str | None) -> None:
        if problem is not None:
            found.setdefault(name, []).append(problem)

    for name in _ADDRESSES:
        note(name, _address_problem(_get(document, name)))
    for name in _NETWORKS:
        for value in _get(document, name):
            note(name, _network_problem(value))
    for name in _EXPRESSIONS:
        for value in _get(document, name):
            note(name, _expression_problem(value))
    for name, (least, most) in _BOUNDS.items():
        note(name, _bounds_problem(_get(document, name), least, most))
    note("api.auth.enable", _login_problem(document))
    note("tls.enable", _tls_problem(document))
    for origin in _get(document, "storage.cors.origins"):
        note("storage.cors.origins", _origin_problem(origin))
    app = _get(document, "rtmp.app")
    note("rtmp.app", None if app[:1] == "/" else f"{app} is not an absolute path")
    if _get(document, "rtmp.enable_tls") and not _get(document, "tls.enable"):
        note("rtmp.enable_tls", "RTMPS server can only be enabled if TLS is enabled")
    note("srt.passphrase", _passphrase_problem(_get(document, "srt.passphrase")))
    note("service.url", _url_problem(_get(document, "service.url")))
    folder = _get(document, "router.ui_path")
    if folder and not is_directory(folder):
        note("router.ui_path", f"{folder} does not exist")
    return found


_ADDRESSES: Final = (
    "address",
    "tls.address",
    "rtmp.address",
    "rtmp.address_tls",
    "srt.address",
)
_NETWORKS: Final = (
    "api.access.http.allow",
    "api.access.http.block",
    "api.access.https.allow",
    "api.access.https.block",
    "sessions.ip_ignorelist",
)
_EXPRESSIONS: Final = (
    "ffmpeg.access.input.allow",
    "ffmpeg.access.input.block",
    "ffmpeg.access.output.allow",
    "ffmpeg.access.output.block",
)
_MEBI: Final = 1 << 40
"""More megabytes than there are anywhere."""
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "storage.disk.max_size_mbytes": (0, _MEBI),
    "storage.memory.max_size_mbytes": (0, _MEBI),
    "ffmpeg.max_processes": (0, 1 << 31),
    # As the operator's own: a job keeps all of them in memory.
    "ffmpeg.log.max_lines": (0, 10_000),
    "ffmpeg.log.max_history": (0, 1_000),
    "log.max_lines": (0, 1 << 31),
    "sessions.session_timeout_sec": (1, 1 << 31),
    "sessions.max_sessions": (0, 1 << 31),
    "sessions.max_bitrate_mbit": (0, 1 << 31),
}


def _get(document: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    return value_at(document, name.split("."))


def _address_problem(address: str) -> str | None:
    if address.isascii() and address.isdigit():
        return None  # taken as a port
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        return f"address {address}: missing port in address"
    if ":" in host and not (host[:1] == "[" and host[-1:] == "]"):
        return f"address {address}: too many colons in address"
    if port and not (port.isascii() and port.isdigit() and int(port[:6]) < 65_536):
        return f"address {address}: invalid port"
    return None


def _network_problem(network: str) -> str | None:
    try:
        ipaddress.ip_network(network, strict=False)
    except ValueError:
        return f"invalid CIDR address: {network}"
    return None if "/" in network else f"invalid CIDR address: {network}"


def _bounds_problem(value: int, least: int, most: int) -> str | None:
    if value < least:
        return f"must be at least {least}" if least else "must not be negative"
    return f"must be at most {most}" if value > most else None


def _expression_problem(expression: str) -> str | None:
    try:
        with warnings.catch_warnings():
            # What a later Python will read in another way is read as it is today.
            warnings.simplefilter("ignore")
            re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        return f"error parsing regexp: {error}: `{expression}`"
    return None


def _login_problem(document: Mapping[str, Any]) -> str | None:
    auth = value_at(document, ("api", "auth"))
    if auth["enable"] and not (auth["username"] and auth["password"]):
        return "api.auth.username and api.auth.password must be set"
    return None


def _tls_problem(document: Mapping[str, Any]) -> str | None:
    tls = document["tls"]
    if tls["enable"] and not tls["auto"] and not (tls["cert_file"] and tls["key_file"]):
        return "tls.certfile and tls.keyfile must be set"
    return None


def _origin_problem(origin: str) -> str | None:
    if origin == "*" or origin.startswith(("http://", "https://")):
        # Origins are compared whole here: one with a star would be nobody's.
        return None if "*" not in origin[1:] else "bad origin: '*' stands alone"
    return "bad origin: origins must contain '*' or include http://, or https://"


def _passphrase_problem(passphrase: str) -> str | None:
    # SRT draft-01 §6.1.5: the key exchange has no room for others.
    if not passphrase or 10 <= len(passphrase.encode("utf-8", "replace")) <= 79:
        return None
    return "a passphrase must have 10 to 79 characters"


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return f"{url} is not a valid URL"
    if url and not (parts.scheme and parts.netloc):
        return f"{url} is not a valid URL"
    return None


# -- ours -----------------------------------------------------------------------------


def overlay(document: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of our settings a document changes: dotted name -> value.

    Args:
        document: The base with what clients have stored over it; valid.
        base: What the operator's configuration says.
    """
    changed = difference(document, base)
    found: dict[str, Any] = {}
    for theirs, (ours, turn) in OURS.items():
        if _get(changed, theirs) is not None:
            found[ours] = turn(_get(document, theirs))
    if value_at(changed, ("api", "auth")) is not None:
        found.update(_login(document["api"]["auth"]))
    memory = document["storage"]["memory"]["auth"]
    if value_at(changed, ("storage", "memory", "auth")) is not None:
        found["storage.memory_username"] = (
            memory["username"] if memory["enable"] else ""
        )
        found["storage.memory_password"] = memory["password"]
    if (
        _get(changed, "rtmp.token") is not None
        or _get(changed, "srt.token") is not None
    ):
        found.update(_tokens(document["rtmp"]["token"], document["srt"]["token"]))
    if _get(changed, "srt.passphrase") is not None:
        passphrase = document["srt"]["passphrase"]
        found["srt.publish_passphrase"] = found["srt.play_passphrase"] = passphrase
    return found


def _same(value: Any) -> Any:  # noqa: ANN401
    return value


def _times_mebi(number: int) -> int:
    return number << 20


def _level(word: str) -> str:
    return _LEVELS.get(word, "info")


OURS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "name": ("api.datarhei.name", _same),
    "api.access.http.allow": ("api.datarhei.http_allow", _same),
    "api.access.http.block": ("api.datarhei.http_block", _same),
    "api.access.https.allow": ("api.datarhei.https_allow", _same),
    "api.access.https.block": ("api.datarhei.https_block", _same),
    "storage.cors.origins": ("http.cors_origins", _same),
    "metrics.enable_prometheus": ("api.datarhei.prometheus", _same),
    "sessions.ip_ignorelist": ("api.datarhei.ignored_networks", _same),
    "sessions.session_timeout_sec": ("api.datarhei.viewer_timeout_s", _same),
    "sessions.max_sessions": ("api.datarhei.max_viewers", _same),
    "sessions.max_bitrate_mbit": ("api.datarhei.max_viewers_bps", _times_mebi),
    "log.level": ("log.level", _level),
    "api.read_only": ("api.datarhei.read_only", _same),
    "storage.disk.max_size_mbytes": ("storage.disk_max_bytes", _times_mebi),
    "storage.memory.max_size_mbytes": ("storage.memory_max_bytes", _times_mebi),
    "storage.memory.purge": ("storage.memory_purge", _same),
    "rtmp.app": ("api.datarhei.rtmp_app", _same),
    "ffmpeg.max_processes": ("ffmpeg.max_running", _same),
    "ffmpeg.access.input.allow": ("ffmpeg.input_allow", _same),
    "ffmpeg.access.input.block": ("ffmpeg.input_block", _same),
    "ffmpeg.access.output.allow": ("ffmpeg.output_allow", _same),
    "ffmpeg.access.output.block": ("ffmpeg.output_block", _same),
    "ffmpeg.log.max_lines": ("ffmpeg.log_lines", _same),
    "ffmpeg.log.max_history": ("ffmpeg.log_runs", _same),
}
"""Dotted name of theirs -> ours, and what makes our value of theirs."""


def _login(auth: Mapping[str, Any]) -> dict[str, Any]:
    # With us a login is on when it has a name.
    return {
        "api.datarhei.username": auth["username"] if auth["enable"] else "",
        "api.datarhei.password": auth["password"] if auth["enable"] else "",
        "api.datarhei.jwt_secret": auth["jwt"]["secret"],
        "api.datarhei.disable_localhost": auth["disable_localhost"],
    }


def _tokens(rtmp: str, srt: str) -> dict[str, Any]:
    """Return who may publish and play.

    Ours do not know protocols apart: a token of one is good for both, and if one of
    them asks for a token, both do.
    """
    tokens = sorted({token for token in (rtmp, srt) if token})
    word = "token" if tokens else "open"
    return {
        "auth.publish": word,
        "auth.play": word,
        "auth.publish_tokens": tokens,
        "auth.play_tokens": tokens,
    }
