"""What must hold between keys, and what only the system can tell."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import ssl
from collections.abc import Callable

from penstock.settings import Settings

from .address import is_loopback, parse_address
from .errors import ConfigError

__all__ = ["check"]

Origin = Callable[[str], str]
"""Key -> where its value came from."""

_VHOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")


def check(settings: Settings, origin: Origin) -> None:
    """Refuse a configuration whose keys contradict each other.

    Raises:
        ConfigError: Naming the key to change and where it stands.
    """
    _check_certificates(settings, origin)
    _check_listeners(settings, origin)
    _check_apis(settings, origin)
    _check_auth(settings, origin)
    _check_vhosts(settings, origin)


def _check_certificates(settings: Settings, origin: Origin) -> None:
    http = settings.http
    pairs = [
        ("http", http.cert, http.key),
        ("rtmps", settings.rtmps.cert, settings.rtmps.key),
        ("api.srs", settings.api.srs.cert, settings.api.srs.key),
        ("api.live777", settings.api.live777.cert, settings.api.live777.key),
        ("api.datarhei", settings.api.datarhei.cert, settings.api.datarhei.key),
    ]
    for section, cert, key in pairs:
        if bool(cert) != bool(key):
            have, lack = ("cert", "key") if cert else ("key", "cert")
            raise ConfigError(
                origin(f"{section}.{have}"),
                f"{section}.{have}",
                f"expected {section}.{lack} beside it",
            )
        if cert:
            _check_pair(origin(f"{section}.cert"), f"{section}.cert", cert, key)
    secure = [
        ("rtmps.listen", settings.rtmps.listen, settings.rtmps.cert),
        ("api.srs.https_listen", settings.api.srs.https_listen, settings.api.srs.cert),
        (
            "api.live777.https_listen",
            settings.api.live777.https_listen,
            settings.api.live777.cert,
        ),
        (
            "api.datarhei.https_listen",
            settings.api.datarhei.https_listen,
            settings.api.datarhei.cert,
        ),
    ]
    for name, listen, cert in secure:
        if listen and not (cert or http.cert):
            section = name.rpartition(".")[0]
            raise ConfigError(
                origin(name), name, f"expected {section}.cert and .key, or http.cert"
            )


def _check_pair(file: str, name: str, cert: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # The empty password keeps OpenSSL from asking the terminal for one.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigError(
            file,
            name,
            f"expected a PEM chain and its unencrypted key in {cert!r} and {key!r}: "
            f"{_pair_fault(cert, key, error)}",
        ) from None


def _pair_fault(cert: str, key: str, error: Exception) -> str:
    """Say what is wrong with a pair; OpenSSL's words are "PEM lib" at times."""
    if b"BEGIN CERTIFICATE" not in _head(cert):
        return f"no certificate in {cert!r}"
    private = _head(key)
    if b"PRIVATE KEY" not in private:
        return f"no private key in {key!r}"
    if b"ENCRYPTED" in private:
        return f"{key!r} is encrypted"
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's"
    return str(reason or error)


def _head(path: str) -> bytes:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(1 << 20)
    return b""


def _check_listeners(settings: Settings, origin: Origin) -> None:
    listeners = [
        ("http.listen", settings.http.listen),
        ("rtmp.listen", settings.rtmp.listen),
        ("rtmps.listen", settings.rtmps.listen),
        ("api.srs.listen", settings.api.srs.listen),
        ("api.srs.https_listen", settings.api.srs.https_listen),
        ("api.live777.listen", settings.api.live777.listen),
        ("api.live777.https_listen", settings.api.live777.https_listen),
        ("api.datarhei.listen", settings.api.datarhei.listen),
        ("api.datarhei.https_listen", settings.api.datarhei.https_listen),
        ("metrics.listen", settings.metrics.listen),
    ]
    _check_distinct(listeners, origin)
    datagrams = [
        ("webrtc.listen", settings.webrtc.listen),
        ("srt.listen", settings.srt.listen),
    ]
    _check_distinct(datagrams, origin)


def _check_distinct(listeners: list[tuple[str, str]], origin: Origin) -> None:
    taken: dict[tuple[str, int], str] = {}
    for name, text in listeners:
        address = parse_address(text) if text else None
        if address is None or address.port == 0:
            continue
        other = taken.setdefault((address.host, address.port), name)
        if other != name:
            if origin(name) == "defaults":
                # What a person has written is what a person can change.
                name, other = other, name
            raise ConfigError(
                origin(name), name, f"expected another address than {other}: {text}"
            )


def _check_apis(settings: Settings, origin: Origin) -> None:
    srs, datarhei = settings.api.srs, settings.api.datarhei
    for prefix, api in (("api.srs", srs), ("api.datarhei", datarhei)):
        if bool(api.username) != bool(api.password):
            have, lack = (
                ("username", "password") if api.username else ("password", "username")
            )
            name = f"{prefix}.{have}"
            raise ConfigError(origin(name), name, f"expected {prefix}.{lack} beside it")
    live777 = settings.api.live777
    if settings.api.allow_open:
        return
    srs_guard = bool(srs.username), "api.srs.username and password"
    live777_guard = (
        bool(live777.tokens or live777.secret),
        "api.live777.tokens or secret",
    )
    for (is_guarded, guard), listeners in (
        (
            srs_guard,
            [
                ("api.srs.listen", srs.listen),
                ("api.srs.https_listen", srs.https_listen),
            ],
        ),
        (
            live777_guard,
            [
                ("api.live777.listen", live777.listen),
                ("api.live777.https_listen", live777.https_listen),
            ],
        ),
        (
            (bool(datarhei.username), "api.datarhei.username and password"),
            [
                ("api.datarhei.listen", datarhei.listen),
                ("api.datarhei.https_listen", datarhei.https_listen),
            ],
        ),
    ):
        for name, text in listeners:
            if text and not is_guarded and not is_loopback(parse_address(text).host):
                raise ConfigError(
                    origin(name),
                    name,
                    f"{text} is open to others: expected {guard}, a loopback address, "
                    "or api.allow_open = true",
                )


def _check_auth(settings: Settings, origin: Origin) -> None:
    auth, hooks = settings.auth, settings.hooks
    modes = [
        ("publish", auth.publish, auth.publish_tokens, hooks.on_publish),
        ("play", auth.play, auth.play_tokens, hooks.on_play),
    ]
    for action, mode, tokens, urls in modes:
        if mode == "token" and not tokens and not urls:
            name = f"auth.{action}"
            raise ConfigError(
                origin(name),
                name,
                f"token lets nobody {action}: expected auth.{action}_tokens or "
                f"hooks.on_{action}",
            )


def _check_vhosts(settings: Settings, origin: Origin) -> None:
    seen: set[str] = set()
    for vhost in settings.vhosts:
        if not _VHOST.fullmatch(vhost) or _is_address(vhost):
            raise ConfigError(
                origin("vhosts"), "vhosts", f"expected host names, not {vhost!r}"
            )
        if vhost in seen or vhost == "default":
            raise ConfigError(origin("vhosts"), "vhosts", f"{vhost!r} exists already")
        seen.add(vhost)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
