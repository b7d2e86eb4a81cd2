"""The vhost blocks of srs.conf: access rules, hooks, playing, publishing, relays."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from .conf import ConfError, Directive
from .names import DEFAULT_VHOST
from .switches import enabled, is_on, number

__all__ = ["Target", "has_webrtc", "translate_vhosts"]

_EVERYBODY = ["0.0.0.0/0", "::/0"]
_HOOKS = frozenset(
    ["on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"]
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
# What penstock does anyway, or what only tunes how SRS does it.
_SILENT = frozenset(
    [
        "enabled",
        "tcp_nodelay",
        "min_latency",
        "security",
        "http_hooks",
        "play",
        "publish",
        "http_remux",
        "http_static",
        "ingest",
        "rtc",
        "nack",
        "twcc",
        "srt",
        "chunk_size",
        "in_ack_size",
        "out_ack_size",
    ]
)
_SILENT_PLAY = frozenset(
    [
        "gop_cache",
        "queue_length",
        "mw_latency",
        "mw_msgs",
        "time_jitter",
        "mix_correct",
        "atc",
        "atc_auto",
        "send_min_interval",
        "reduce_sequence_header",
        "gop_cache_max_frames",
    ]
)
_ENABLED_BLOCKS = frozenset(
    [
        "hls",
        "hds",
        "dvr",
        "dash",
        "transcode",
        "exec",
        "bandcheck",
        "http_static",
    ]
)
_KEEP_OUT = frozenset({"refer"})


class Target(Protocol):
    """What vhosts are translated into."""

    values: dict[str, object]

    def put(self, key: str, value: object, directive: Directive) -> None:
        """Set one of our keys."""
        ...

    def note(self, directive: Directive, text: str) -> None:
        """Say what becomes of a directive."""
        ...


def translate_vhosts(result: Target, vhosts: Sequence[Directive]) -> None:
    """Translate all vhost blocks; the default one's settings count for all.

    Raises:
        ConfError: If access rules or hooks differ between them.
    """
    live = []
    for vhost in vhosts:
        if is_on(vhost, "enabled", default=True):
            live.append(vhost)
        else:
            result.note(
                vhost, f"{vhost.argument} is not enabled: its streams are default's"
            )
    # The default first: where only one setting can count, the first one does.
    live.sort(key=lambda one: one.argument != DEFAULT_VHOST)
    _names(result, live)
    _same_for_all(live, "security")
    _same_for_all(live, "http_hooks")
    for vhost in live:
        _hooks(result, vhost)
        _security(result, vhost)
        for name in ("security", "http_hooks"):
            block = _block(vhost, name)
            if block is not None and not all(_block(one, name) for one in live):
                result.note(block, "counts for the other vhosts too")
    for vhost in live:
        _play_and_publish(result, vhost, first=vhost is live[0])
        _rtc(result, vhost, live)
        _relays(result, vhost)
        _not_served(result, vhost)


def _names(result: Target, vhosts: Iterable[Directive]) -> None:
    names: list[str] = []
    for vhost in vhosts:
        name = vhost.argument
        if name == DEFAULT_VHOST or name in names:
            continue
        if not _NAME.fullmatch(name) or _is_address(name):
            result.note(vhost, f"{name!r} is no host name; its streams are default's")
            continue
        names.append(name)
    if names:
        result.values["vhosts"] = names


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _block(vhost: Directive, name: str) -> Directive | None:
    found = vhost.find(name)
    return found if found is not None and enabled(found) else None


def _same_for_all(vhosts: Sequence[Directive], name: str) -> None:
    found = [block for vhost in vhosts if (block := _block(vhost, name)) is not None]
    texts = [sorted((c.name, *c.arguments) for c in block.children) for block in found]
    for block, text in zip(found, texts, strict=True):
        if text != texts[0]:
            raise ConfError(
                f"{block.where}: {name}: differs from {found[0].where}, but one "
                "setting counts for all vhosts"
            )


def _rules(block: Directive, verb: str, action: str) -> list[str]:
    """Return the networks that ``allow|deny publish|play ...`` lines name."""
    found: list[str] = []
    for rule in block.children:
        if rule.name != verb or rule.argument != action:
            continue
        for text in rule.arguments[1:]:
            if text == "all":
                found += _EVERYBODY
                continue
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ConfError(
                    f"{rule.where}: {verb} {action}: expected all, an address or a "
                    f"network, not {text!r}"
                ) from None
            found.append(text)
    return found


def _security(result: Target, vhost: Directive) -> None:
    # As SRS judges: deny is stronger; without any rule nobody may; and as soon as one
    # allow rule of either kind stands there, only what is allowed may.
    block = _block(vhost, "security")
    if block is None:
        return
    rules = [one for one in block.children if one.name != "enabled"]
    for rule in rules:
        if rule.name not in ("allow", "deny"):
            # It may have been meant to keep somebody out.
            raise ConfError(f"{rule.where}: security: no such rule: {rule.name}")
        if rule.argument not in ("publish", "play"):
            result.note(rule, "keeps nobody out: expected publish or play")
    only_allowed = not rules or any(rule.name == "allow" for rule in rules)
    for action in ("publish", "play"):
        allow = _rules(block, "allow", action)
        deny = _rules(block, "deny", action)
        if only_allowed and not allow:
            deny = _EVERYBODY
        result.put(f"auth.{action}_allow", allow, block)
        result.put(f"auth.{action}_deny", deny, block)


def _urls(block: Directive, name: str) -> list[str]:
    return [
        url for child in block.children if child.name == name for url in child.arguments
    ]


def _hooks(result: Target, vhost: Directive) -> None:
    block = _block(vhost, "http_hooks")
    if block is None:
        return
    for name in sorted(_HOOKS):
        urls = _urls(block, name)
        if urls:
            result.put(f"hooks.{name}", urls, block)
    for child in block.children:
        if child.name not in _HOOKS | {"enabled"}:
            result.note(child, "not served")


def _play_and_publish(result: Target, vhost: Directive, *, first: bool) -> None:
    """Translate what tunes one vhost in SRS and all streams here."""
    found: list[tuple[str, object, Directive]] = []
    play, publish = vhost.find("play"), vhost.find("publish")
    for child in play.children if play is not None else []:
        if child.name == "gop_cache":
            found.append(("stream.gop_cache", child.argument != "off", child))
        elif child.name == "queue_length":
            found.append(("stream.ring_seconds", float(number(child)), child))
        elif child.name == "mw_latency":
            found.append(("rtmp.merge_ms", number(child), child))
        elif child.name not in _SILENT_PLAY:
            result.note(child, "not served")
    for child in publish.children if publish is not None else []:
        if child.name == "normal_timeout":
            found.append(("stream.publish_idle_s", number(child) / 1000, child))
        elif child.name not in ("mr", "mr_latency", "parse_sps", "try_annexb_first"):
            result.note(child, "not served")
    chunk = vhost.find("chunk_size")
    if chunk is not None:
        found.append(("rtmp.publish_chunk_size", number(chunk), chunk))
    if is_on(vhost, "min_latency", default=False):
        found = [item for item in found if item[0] != "rtmp.merge_ms"]
    for key, value, child in found:
        if first or key not in result.values:
            result.put(key, value, child)
        elif result.values[key] != value:
            result.note(child, "the first vhost's value counts for all")


# What WebRTC does always, or only one way: the value that asks for something else, and
# what there is to say then. Other words tune how SRS does it.
_RTC_ONE_WAY = {
    "nack": ("off", "missing packets are always asked for"),
    "twcc": ("off", "transport-wide feedback is always given"),
    "rtmp_to_rtc": ("off", "streams of RTMP play by WebRTC all the same"),
    "rtc_to_rtmp": ("off", "streams of WebRTC play by RTMP all the same"),
    "dtls_role": ("active", "the client begins where it leaves that to the server"),
    "dtls_version": ("dtls1.0", "DTLS 1.2 is the oldest that is spoken"),
}
_RTC_SILENT = frozenset(
    [
        "enabled",
        "nack_no_copy",
        "stun_timeout",
        "stun_strict_check",
        "keep_bframe",
        "keep_avc_nalu_sei",
        "opus_bitrate",
        "aac_bitrate",
        "pli_for_rtmp",
    ]
)


def has_webrtc(vhosts: Iterable[Directive]) -> bool:
    """Say whether any virtual host that is enabled has WebRTC."""
    return any(
        is_on(vhost, "enabled", default=True) and _block(vhost, "rtc") is not None
        for vhost in vhosts
    )


def _rtc(result: Target, vhost: Directive, vhosts: Sequence[Directive]) -> None:
    block = _block(vhost, "rtc")
    if block is None:
        return
    if not all(_block(one, "rtc") for one in vhosts):
        result.note(block, "counts for the other vhosts too")
    for child in block.children:
        if child.name in _RTC_ONE_WAY:
            other, text = _RTC_ONE_WAY[child.name]
            if child.argument == other:
                result.note(child, text)
        elif child.name == "drop_for_pt":
            if child.argument != "0":
                result.note(child, "no packet is dropped for its payload type")
        elif child.name not in _RTC_SILENT:
            result.note(child, "not served")
    timeout = block.find("stun_timeout")
    if timeout is not None:
        key, seconds = "webrtc.connect_timeout_s", float(number(timeout))
        if key not in result.values:
            result.put(key, seconds, timeout)
        elif result.values[key] != seconds:
            result.note(timeout, "the first vhost's value counts for all")


def _relays(result: Target, vhost: Directive) -> None:
    """Translate ingests that only pull; say what other relays there are."""
    for ingest in (one for one in vhost.children if one.name == "ingest"):
        if not enabled(ingest):
            continue
        relay = _pull(ingest, vhost.argument)
        if relay is None:
            result.note(
                ingest, "not served: only an RTMP stream copied to app/name is pulled"
            )
            continue
        tables = result.values.get("relay", [])
        assert isinstance(tables, list)
        result.put("relay", [*tables, relay], ingest)
    forward = vhost.find("forward")
    # Older files name the destinations behind the directive itself.
    if forward is not None and (enabled(forward) or forward.arguments):
        result.note(
            forward,
            "not served: a relay here pushes one named stream; write [[relay]] tables",
        )
    cluster = vhost.find("cluster")
    if cluster is not None:
        mode = cluster.find("mode")
        if mode is not None and mode.argument == "remote":
            result.note(
                cluster,
                "not served: an edge here pulls named streams; write [[relay]] tables "
                "with on_demand",
            )


def _pull(ingest: Directive, vhost: str) -> dict[str, object] | None:
    source, engine = ingest.find("input"), ingest.find("engine")
    kind = source.find("type") if source is not None else None
    url = source.find("url") if source is not None else None
    output = engine.find("output") if engine is not None else None
    if kind is None or kind.argument != "stream" or url is None or output is None:
        return None
    if not url.argument.startswith(("rtmp://", "rtmps://")):
        return None
    # An engine that is enabled with codecs re-encodes; "copy" ones do not.
    assert engine is not None
    codecs = [engine.find("vcodec"), engine.find("acodec")]
    if enabled(engine) and any(c and c.argument != "copy" for c in codecs):
        return None
    target = re.fullmatch(
        r"rtmp://(?:127\.0\.0\.1|localhost)(?::[^/]+)?/([^/?]+)/([^/?]+)"
        r"(?:\?vhost=(?:\[vhost\]|__defaultVhost__))?",
        output.argument,
    )
    if target is None or "[" in target[1] + target[2]:
        return None
    if vhost != DEFAULT_VHOST and "[vhost]" in output.argument:
        return None
    return {"source": url.argument, "destination": f"{target[1]}/{target[2]}"}


def _not_served(result: Target, vhost: Directive) -> None:
    for child in vhost.children:
        if child.name in _KEEP_OUT and (enabled(child) or child.arguments):
            result.note(child, "not served: it keeps nobody out")
        elif child.name in _ENABLED_BLOCKS and enabled(child):
            result.note(child, "not served")
        elif child.name == "http_remux":
            _remux(result, child)
        elif child.name == "srt":
            _srt(result, child)
        elif child.name not in _SILENT | _ENABLED_BLOCKS | _KEEP_OUT | {
            "forward",
            "cluster",
        }:
            result.note(child, "not served")


def _srt(result: Target, block: Directive) -> None:
    if enabled(block) and not is_on(block, "srt_to_rtmp", default=True):
        result.note(
            block.child("srt_to_rtmp", block.where), "streams go to every protocol"
        )


def _remux(result: Target, block: Directive) -> None:
    mount = block.find("mount")
    if not enabled(block):
        result.note(block, "live streams are served over HTTP whatever it says")
    elif mount is not None and mount.argument != "[vhost]/[app]/[stream].flv":
        result.note(mount, "streams are at /[app]/[stream].flv and .mp4")
