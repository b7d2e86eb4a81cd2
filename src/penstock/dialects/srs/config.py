"""srs.conf and SRS_* to penstock's own keys; pure.

What penstock has is translated, what it does another way or not at all is said in one
line each. penstock has one setting for all virtual hosts where SRS has one for each:
the default virtual host's counts then, but access rules and hooks that differ between
virtual hosts are refused, since one of them would let in whom the other keeps out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

import attrs

from .conf import ConfError, Directive, parse
from .environment import apply_environment, expand
from .srt_server import SRT_WORDS, has_srt, translate_srt
from .switches import enabled, is_on, number
from .vhosts import has_webrtc, translate_vhosts

__all__ = ["Translation", "translate"]

_LOG_LEVELS = {
    "verbose": "debug",
    "debug": "debug",
    "info": "debug",
    "trace": "info",
    "warn": "warning",
    "error": "error",
}
# Directives that ask for what penstock always does, or that only say how SRS itself
# is built and run: nothing to say about them.
_SILENT = frozenset(
    [
        "http_api",
        "http_server",
        "exporter",
        "rtmp",
        "rtmps",
        "vhost",
        "rtc_server",
        "srt_server",
        "listen",
        "max_connections",
        "chunk_size",
        "server_id",
        "pid",
        "work_dir",
        "srs_log_level",
        "srs_log_level_v2",
        "asprocess",
        "utc_time",
        "pithy_print_ms",
        "inotify_auto_reload",
        "auto_reload_for_docker",
        "disable_daemon_for_docker",
        "force_grace_quit",
        "grace_start_wait",
        "grace_final_wait",
        "tcmalloc_release_rate",
        "threads",
        "circuit_breaker",
        "query_latest_version",
        "first_wait_for_qlv",
        "empty_ip_ok",
        "in_docker",
        "ff_log_dir",
        "ff_log_level",
        "max_streams_per_second",
    ]
)
_ENABLED_BLOCKS = frozenset(
    [
        "heartbeat",
        "stream_caster",
        "rtsp_server",
        "tencentcloud_apm",
        "tencentcloud_cls",
    ]
)


_HTTPS = "enabled listen key cert"
# What stands in the blocks that are served. SRS refuses other words at its start.
_WORDS = {
    "http_api": "enabled listen crossdomain raw_api auth https",
    "http_api.raw_api": "enabled allow_reload allow_query allow_update",
    "http_api.auth": "enabled username password",
    "http_api.https": _HTTPS,
    "http_server": "enabled listen dir crossdomain https",
    "http_server.https": _HTTPS,
    "rtmp": "enabled listen chunk_size",
    "rtmps": _HTTPS,
    "exporter": "enabled listen label tag",
    "rtc_server": (
        "enabled listen tcp protocol candidate use_auto_detect_network_ip ip_family "
        "api_as_candidates resolve_api_domain keep_api_domain ecdsa encrypt "
        "reuseport merge_nalus black_hole"
    ),
    "rtc_server.tcp": "enabled listen",
    "srt_server": SRT_WORDS,
    "stats": "enabled network disk",
}


@attrs.define
class Translation:
    """A foreign configuration in our terms."""

    values: dict[str, object] = attrs.field(factory=dict)
    """Dotted key of `penstock.settings` -> value; relays are tables."""
    origins: dict[str, str] = attrs.field(factory=dict)
    """Dotted key -> where the value stands."""
    notes: list[str] = attrs.field(factory=list)
    """What is not served or done another way; one line each."""
    work_dir: str = ""
    pid_file: str = ""

    def put(self, key: str, value: object, directive: Directive) -> None:
        """Set one of our keys."""
        self.values[key] = value
        self.origins[key] = f"{directive.where}: {directive.name}"

    def note(self, directive: Directive, text: str) -> None:
        """Say what becomes of a directive."""
        self.notes.append(f"{directive.where}: {directive.name}: {text}")


def translate(
    path: str | None, read: Callable[[str], str], environ: Mapping[str, str]
) -> Translation:
    """Return what a file and the environment ask for, in our terms.

    Args:
        path: The srs.conf, or None for the environment alone.
        read: Returns the text of a file; raises ConfError if it cannot.
        environ: Variables; they win over the file.

    Raises:
        ConfError: For a file that is not of the grammar, or a value that cannot be
            translated without letting in whom it keeps out.
    """
    root = parse(path, read) if path is not None else Directive("root")
    expand(root, environ)
    apply_environment(root, environ)
    result = Translation()
    # As in SRS, and said at the start: whoever reaches the port may publish.
    result.values |= {"auth.publish": "open", "auth.play": "open"}
    _process(result, root)
    _rtmp(result, root)
    _http_server(result, root)
    _http_api(result, root)
    _exporter(result, root)
    vhosts = [one for one in root.children if one.name == "vhost"]
    translate_vhosts(result, vhosts)
    _rtc_server(result, root, is_wanted=has_webrtc(vhosts))
    _srt_server(result, root, is_wanted=has_srt(vhosts))
    for directive in root.children:
        _not_served(result, directive)
    return result


def _address(text: str) -> str:
    """Return ``[ip:]port`` with the address that SRS takes for none."""
    return f"0.0.0.0:{text}" if text.isascii() and text.isdigit() else text


def _listener(
    result: Translation, block: Directive, default: str
) -> tuple[str, Directive]:
    """Return the address that a block's listener has, and the directive to name."""
    found = block.find("listen")
    if found is None:
        return _address(default), block
    if not found.argument:
        raise ConfError(f"{found.where}: listen: expected [ip:]port")
    first, *others = (_address(argument) for argument in found.arguments)
    # Here one socket on [::] takes IPv4 as well.
    both = f"[::]:{_port(first)}"
    if {first, *others} == {both, _address(_port(first))}:
        return both, found
    if others:
        result.note(found, f"only {found.argument} is bound")
    return first, found


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host in ("::1", "localhost") or host.startswith("127.")


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _process(result: Translation, root: Directive) -> None:
    for directive in root.children:
        if directive.name == "work_dir":
            result.work_dir = directive.argument
        elif directive.name == "pid":
            result.pid_file = directive.argument
        elif directive.name == "server_id":
            result.put("api.srs.server_id", directive.argument, directive)
        elif directive.name == "max_connections":
            result.put("limits.sessions", number(directive), directive)
        elif directive.name in ("srs_log_level", "srs_log_level_v2"):
            level = _LOG_LEVELS.get(directive.argument, "info")
            result.put("log.level", level, directive)
        elif directive.name == "srs_log_tank" and directive.argument != "console":
            result.note(directive, "log lines go to standard error")
        elif directive.name == "stats" and (disk := directive.find("disk")):
            result.put("api.srs.disks", disk.arguments, disk)
        elif directive.name == "daemon" and directive.argument == "on":
            result.note(directive, "the server stays in the foreground")


def _rtmp(result: Translation, root: Directive) -> None:
    block = root.find("rtmp")
    at = block if block is not None and block.find("listen") else root
    if block is not None and not enabled(block, default=True):
        result.put("rtmp.listen", "", block)
    elif at.find("listen"):
        result.put("rtmp.listen", *_listener(result, at, "1935"))
    chunk = (block.find("chunk_size") if block is not None else None) or root.find(
        "chunk_size"
    )
    if chunk is not None:
        result.put("rtmp.publish_chunk_size", number(chunk), chunk)
    secure = root.find("rtmps")
    if secure is not None and enabled(secure):
        result.put("rtmps.listen", *_listener(result, secure, "1443"))
        _certificate(result, secure, "rtmps")


def _certificate(result: Translation, block: Directive, section: str) -> None:
    for name in ("cert", "key"):
        found = block.find(name)
        default = f"./conf/server.{'crt' if name == 'cert' else 'key'}"
        text = found.argument if found is not None else default
        result.put(f"{section}.{name}", text, found or block)


def _http_server(result: Translation, root: Directive) -> None:
    block = root.find("http_server")
    if block is None or not enabled(block):
        result.values["http.listen"] = ""
        return
    address, listen = _listener(result, block, "8080")
    result.put("http.listen", address, listen)
    if not is_on(block, "crossdomain", default=True):
        result.put("http.cors_origins", [], block)
    folder = block.find("dir")
    if folder is not None:
        result.note(folder, "files are not served, only live streams and the page")
    https = block.find("https")
    if https is not None and enabled(https):
        _certificate(result, https, "http")
        at = https.find("listen")
        result.note(
            at or https,
            f"HTTPS is served on port {_port(address)} beside HTTP, no other port",
        )


def _http_api(result: Translation, root: Directive) -> None:
    block = root.find("http_api")
    if block is None or not enabled(block):
        result.values["api.srs.listen"] = ""
        return
    locked = _api_auth(result, block)
    address, listen = _listener(result, block, "1985")
    media_port = _port(str(result.values["http.listen"]))
    if _port(address) == media_port != "0":
        if media_port == "1985":
            result.note(listen, "two ports are needed; the API is off")
            result.values["api.srs.listen"] = ""
            return
        address = _address("1985")
        result.note(
            listen, "the API does not share http_server's port; it has port 1985"
        )
    open_ports = [_put_api(result, "listen", address, listen, locked)]
    https = block.find("https")
    if https is not None and enabled(https):
        address, listen = _listener(result, https, "1990")
        open_ports.append(_put_api(result, "https_listen", address, listen, locked))
        _certificate(result, https, "api.srs")
    narrowed = [port for port in open_ports if port]
    if narrowed:
        result.note(
            block,
            f"without auth the API is for this machine only: port {', '.join(narrowed)}"
            " listens on 127.0.0.1",
        )
    if not is_on(block, "crossdomain", default=True):
        result.put("api.srs.crossdomain", False, block)
    raw = block.find("raw_api")
    result.values["api.srs.raw_api"] = enabled(raw)
    result.values["api.srs.allow_reload"] = is_on(raw, "allow_reload", default=False)


def _put_api(
    result: Translation, key: str, address: str, directive: Directive, locked: bool
) -> str:
    """Set a listener of the API; return its port if it had to be narrowed."""
    narrow = not locked and not _is_loopback(address)
    kept = f"127.0.0.1:{_port(address)}" if narrow else address
    result.put(f"api.srs.{key}", kept, directive)
    return _port(address) if narrow else ""


def _api_auth(result: Translation, block: Directive) -> bool:
    auth = block.find("auth")
    if auth is None or not enabled(auth):
        return False
    for name in ("username", "password"):
        found = auth.find(name)
        if found is None or not found.argument:
            raise ConfError(f"{auth.where}: auth: expected a {name}")
        result.put(f"api.srs.{name}", found.argument, found)
    return True


def _exporter(result: Translation, root: Directive) -> None:
    # The file's owner knows of one API.
    result.values["api.live777.listen"] = ""
    result.values["api.datarhei.listen"] = ""
    result.values["ffmpeg.jobs"] = False
    block = root.find("exporter")
    if block is None or not enabled(block):
        result.values["metrics.listen"] = ""
        return
    result.put("metrics.listen", *_listener(result, block, "9972"))
    result.values["api.srs.metrics"] = True
    for name in ("label", "tag"):
        found = block.find(name)
        if found is not None and found.arguments:
            result.note(found, "metrics carry no such label")


# Switches of rtc_server that only the one side of is served: name, default, and what
# there is to say if the other side is asked for.
_ONE_SIDED = (
    ("encrypt", True, "media is always encrypted"),
    ("ecdsa", True, "the certificate is an ECDSA one"),
    (
        "use_auto_detect_network_ip",
        True,
        "the addresses of the interfaces are offered all the same",
    ),
    ("api_as_candidates", True, "the address that the API is asked by is offered"),
    ("keep_api_domain", False, "host names are not offered"),
)


def _rtc_server(result: Translation, root: Directive, *, is_wanted: bool) -> None:
    block = root.find("rtc_server")
    result.values["webrtc.listen"] = ""
    if block is None or not enabled(block):
        return
    if not is_wanted:
        result.note(block, "WebRTC is off, since no vhost has it (rtc)")
        return
    result.put("webrtc.listen", *_listener(result, block, "8000"))
    tcp = block.find("tcp")
    result.values["webrtc.tcp"] = enabled(tcp)
    if tcp is not None and enabled(tcp):
        result.note(tcp, "TCP is served on http_server's port, no other one")
    protocol = block.find("protocol")
    if protocol is not None and protocol.argument == "tcp":
        result.note(protocol, "UDP is offered too")
    for name, default, text in _ONE_SIDED:
        if is_on(block, name, default=default) is not default:
            result.note(block.child(name, block.where), text)
    hole = block.find("black_hole")
    if hole is not None and enabled(hole):
        result.note(hole, "not served")
    found = block.find("candidate")
    if found is not None:
        _candidates(result, found)


def _srt_server(result: Translation, root: Directive, *, is_wanted: bool) -> None:
    block = root.find("srt_server")
    is_on = block is not None and enabled(block)
    if block is not None and is_on and not is_wanted:
        result.note(block, "SRT is off, since no vhost has it (srt)")
        is_on = False
    listen = _listener(result, block, "10080") if block and is_on else None
    translate_srt(result, block, listen)


def _candidates(result: Translation, directive: Directive) -> None:
    """Take the addresses that clients reach the machine by."""
    addresses = []
    for argument in directive.arguments:
        # A variable that is not set stands for all interfaces, as do the first two.
        if argument in ("*", "0.0.0.0", "::") or argument.startswith("$"):
            continue
        try:
            addresses.append(str(ipaddress.ip_address(argument)))
        except ValueError:
            result.note(directive, f"{argument} is not offered, only IP addresses are")
    if addresses:
        result.put("webrtc.public_addresses", addresses, directive)


def _say_unknown(result: Translation, block: Directive, path: str) -> None:
    """Say which words of a served block mean nothing, in blocks within it too."""
    words = _WORDS.get(path, "").split()
    for child in block.children if words else []:
        if child.name in words:
            _say_unknown(result, child, f"{path}.{child.name}")
        else:
            result.note(child, "not served")


def _not_served(result: Translation, directive: Directive) -> None:
    _say_unknown(result, directive, directive.name)
    if directive.name in _ENABLED_BLOCKS:
        if enabled(directive):
            result.note(directive, "not served")
    elif directive.name not in _SILENT and directive.name not in (
        "srs_log_tank",
        "srs_log_file",
        "daemon",
        "stats",
    ):
        result.note(directive, "not served")
