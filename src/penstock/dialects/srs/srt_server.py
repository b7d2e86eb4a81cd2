"""The directives of ``srt_server`` in our terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .conf import Directive
from .switches import enabled, is_on, number

__all__ = ["SRT_WORDS", "has_srt", "translate_srt"]

SRT_WORDS = (
    "enabled listen maxbw mss latency recvlatency peerlatency tsbpdmode tlpktdrop "
    "connect_timeout peer_idle_timeout sendbuf recvbuf payloadsize default_app "
    "default_streamid passphrase pbkeylen mix_correct h264_ps_dup"
)
"""What stands in the block."""
_ALWAYS_ON = ("tsbpdmode", "tlpktdrop")
_LATENCIES = ("latency", "recvlatency", "peerlatency")


class Target(Protocol):
    """Where values and notes go."""

    values: dict[str, object]

    def put(self, key: str, value: object, directive: Directive) -> None:
        """Set one of our keys."""
        ...

    def note(self, directive: Directive, text: str) -> None:
        """Say what becomes of a directive."""
        ...


def has_srt(vhosts: Iterable[Directive]) -> bool:
    """Say whether any virtual host that is enabled has SRT."""
    return any(
        is_on(vhost, "enabled", default=True) and enabled(vhost.find("srt"))
        for vhost in vhosts
    )


def translate_srt(
    result: Target, block: Directive | None, listen: tuple[str, Directive] | None
) -> None:
    """Take the block ``srt_server``.

    Args:
        result: Where it goes.
        block: The block; None if there is none.
        listen: Its address and the directive to name; None switches SRT off.
    """
    result.values["srt.listen"] = ""
    if block is None or listen is None:
        return
    result.put("srt.listen", *listen)
    latencies = [found for name in _LATENCIES if (found := block.find(name))]
    if latencies:
        longest = max(latencies, key=number)
        result.put("srt.latency_ms", number(longest), longest)
    passphrase = block.find("passphrase")
    if passphrase is not None and passphrase.argument:
        for role in ("publish", "play"):
            key = f"srt.{role}_passphrase"
            result.put(key, passphrase.argument, passphrase)
    app = block.find("default_app")
    if app is not None and app.argument:
        result.put("srt.default_app", app.argument, app)
    rate = block.find("maxbw")
    if rate is not None and number(rate) > 0:
        result.put("srt.max_bandwidth_bps", 8 * number(rate), rate)
    idle = block.find("peer_idle_timeout")
    if idle is not None:
        result.put("srt.idle_timeout_s", number(idle) / 1000, idle)
    for name in _ALWAYS_ON:
        if not is_on(block, name, default=True):
            result.note(block.child(name, block.where), "is always on")
    default = block.find("default_streamid")
    if default is not None and default.argument:
        result.note(default, "not served: callers say what they want")
