"""SRS's environment: ``SRS_`` and a directive's path, upper-cased, ``.`` as ``_``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .conf import Directive

__all__ = ["apply_environment", "expand"]

_ROOT = (
    "listen max_connections chunk_size server_id pid work_dir daemon "
    "srs_log_tank srs_log_level srs_log_level_v2 srs_log_file "
    "rtmp.enabled rtmp.listen rtmp.chunk_size "
    "rtmps.enabled rtmps.listen rtmps.key rtmps.cert "
    "http_api.enabled http_api.listen http_api.crossdomain "
    "http_api.raw_api.enabled http_api.raw_api.allow_reload "
    "http_api.auth.enabled http_api.auth.username http_api.auth.password "
    "http_api.https.enabled http_api.https.listen http_api.https.key "
    "http_api.https.cert http_server.enabled http_server.listen http_server.dir "
    "http_server.crossdomain http_server.https.enabled http_server.https.listen "
    "http_server.https.key http_server.https.cert "
    "exporter.enabled exporter.listen exporter.label exporter.tag "
    "rtc_server.enabled rtc_server.listen rtc_server.tcp.enabled "
    "rtc_server.tcp.listen rtc_server.protocol rtc_server.candidate "
    "rtc_server.use_auto_detect_network_ip rtc_server.ip_family "
    "rtc_server.api_as_candidates rtc_server.resolve_api_domain "
    "rtc_server.keep_api_domain rtc_server.ecdsa rtc_server.encrypt "
    "rtc_server.black_hole.enabled rtc_server.black_hole.addr "
    "heartbeat.enabled srt_server.enabled srt_server.listen srt_server.maxbw "
    "srt_server.mss srt_server.connect_timeout srt_server.peer_idle_timeout "
    "srt_server.default_app srt_server.default_streamid srt_server.peerlatency "
    "srt_server.recvlatency srt_server.latency srt_server.tsbpdmode "
    "srt_server.tlpktdrop srt_server.sendbuf srt_server.recvbuf "
    "srt_server.payloadsize srt_server.passphrase srt_server.pbkeylen "
    "tencentcloud_apm.enabled tencentcloud_cls.enabled"
)
_VHOST = (
    "chunk_size min_latency tcp_nodelay srt.enabled srt.srt_to_rtmp hls.enabled "
    "rtc.enabled rtc.nack rtc.twcc rtc.stun_timeout rtc.dtls_role rtc.dtls_version "
    "rtc.drop_for_pt rtc.rtmp_to_rtc rtc.rtc_to_rtmp "
    "dvr.enabled dash.enabled hds.enabled "
    "http_static.enabled http_remux.enabled http_remux.mount "
    "forward.enabled forward.destination "
    "play.gop_cache play.queue_length play.mw_latency publish.normal_timeout "
    "publish.firstpkt_timeout publish.kickoff_for_idle "
    "http_hooks.enabled http_hooks.on_connect http_hooks.on_close "
    "http_hooks.on_publish http_hooks.on_unpublish http_hooks.on_play "
    "http_hooks.on_stop http_hooks.on_dvr http_hooks.on_hls "
    "http_hooks.on_hls_notify"
)
_ALIASES = {
    "SRS_LOG_TANK": "srs_log_tank",
    "SRS_LOG_LEVEL": "srs_log_level",
    "SRS_LOG_LEVEL_V2": "srs_log_level_v2",
    "SRS_LOG_FILE": "srs_log_file",
}


def _variable(path: str) -> str:
    return "SRS_" + path.upper().replace(".", "_")


_PATHS: Mapping[str, str] = {
    **{_variable(path): path for path in _ROOT.split()},
    **{_variable(f"vhost.{path}"): f"vhost.{path}" for path in _VHOST.split()},
    **_ALIASES,
}


def apply_environment(root: Directive, environ: Mapping[str, str]) -> None:
    """Let variables override directives; a vhost's variable counts for all vhosts.

    Variables that name no directive, and empty ones, are ignored, as SRS ignores them.
    """
    for name in sorted(environ):
        path, value = _PATHS.get(name), environ[name]
        if path is None or not value.strip():
            continue
        parts = path.split(".")
        blocks: Iterable[Directive] = [root]
        if parts[0] == "vhost":
            parts = parts[1:]
            blocks = [one for one in root.children if one.name == "vhost"]
            if not blocks:
                default = Directive("vhost", ["__defaultVhost__"], where=name)
                root.children.append(default)
                blocks = [default]
        # A password or a path may hold blanks.
        words = value.split() if _is_list(parts[-1]) else [value]
        for block in blocks:
            _set(block, parts, words, name)


def _is_list(name: str) -> bool:
    """Say whether a directive takes several arguments, as its variable does then."""
    return name in ("listen", "destination", "candidate") or name.startswith("on_")


def _set(block: Directive, parts: list[str], arguments: list[str], name: str) -> None:
    for part in parts[:-1]:
        block = block.child(part, name)
    kept = [child for child in block.children if child.name != parts[-1]]
    block.children = [*kept, Directive(parts[-1], arguments, where=name)]


def expand(root: Directive, environ: Mapping[str, str]) -> None:
    """Replace arguments of the form ``$NAME`` by the variable's words, if it is set."""
    for directive in root.children:
        words: list[str] = []
        for argument in directive.arguments:
            value = environ.get(argument[1:]) if argument.startswith("$") else None
            words += value.split() if value is not None else [argument]
        directive.arguments = words
        expand(directive, environ)
