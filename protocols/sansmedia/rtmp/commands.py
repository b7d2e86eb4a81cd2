"""Bodies of the commands that both sessions speak, and what stands in them.

Source: RTMP 1.0 §7.2; E-RTMP v2 §Enhancing NetConnection connect Command.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from sansmedia.amf import Value

from .config import ClientConfig, Enhancements, ServerConfig
from .events import Capabilities, ConnectRequested, PublishKind
from .messages import Command

__all__ = [
    "connect_object",
    "connect_properties",
    "connect_request",
    "enhancement_members",
    "integer",
    "mapping",
    "play_times",
    "publish_kind",
    "read_capabilities",
    "status",
    "text",
]

_MAX_FOUR_CC = 64
"""FourCCs that are kept of one announcement; there are some dozen in the world."""


def text(value: Value) -> str:
    """Return ``value`` if it is a string, else ``""``."""
    return value if isinstance(value, str) else ""


def mapping(value: Value) -> Mapping[str, Value]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def number(value: Value, default: float) -> float:
    """Return a finite number, or ``default``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return float(value) if math.isfinite(value) else default


def integer(value: Value, default: int = 0) -> int:
    """Return an integer in 0..2**32-1, or ``default``."""
    found = int(number(value, float(default)))
    return found if 0 <= found <= 0xFFFFFFFF else default


def status(level: str, code: str, description: str) -> dict[str, Value]:
    """Return an information object. Source: RTMP 1.0 §7.2.2."""
    return {"level": level, "code": code, "description": description}


def _flags(value: Value) -> dict[str, int]:
    pairs = list(mapping(value).items())[:_MAX_FOUR_CC]
    return {name: integer(flags) for name, flags in pairs}


def read_capabilities(properties: Mapping[str, Value]) -> Capabilities:
    """Return what a connect, or its answer, says of Enhanced RTMP."""
    four_ccs = properties.get("fourCcList")
    # The list comes as a strict array, or as an ECMA array with numbers for names.
    listed = list(four_ccs.values()) if isinstance(four_ccs, dict) else four_ccs
    names = listed[:_MAX_FOUR_CC] if isinstance(listed, list) else []
    return Capabilities(
        four_cc_list=tuple(name for name in names if isinstance(name, str)),
        video_four_cc_info=_flags(properties.get("videoFourCcInfoMap")),
        audio_four_cc_info=_flags(properties.get("audioFourCcInfoMap")),
        caps_ex=integer(properties.get("capsEx")),
    )


def enhancement_members(enhancements: Enhancements | None) -> dict[str, Value]:
    """Return the members that announce Enhanced RTMP; none for a legacy peer."""
    if enhancements is None:
        return {}
    return {
        "fourCcList": list(enhancements.four_cc_list),
        "videoFourCcInfoMap": dict(enhancements.video_four_cc_info),
        "audioFourCcInfoMap": dict(enhancements.audio_four_cc_info),
        "capsEx": float(enhancements.caps_ex),
    }


def connect_request(request_id: int, command: Command) -> ConnectRequested:
    """Read a connect command. Source: RTMP 1.0 §7.2.1.1."""
    properties = mapping(command.command_object)
    return ConnectRequested(
        request_id=request_id,
        app=text(properties.get("app")),
        tc_url=text(properties.get("tcUrl")),
        page_url=text(properties.get("pageUrl")),
        swf_url=text(properties.get("swfUrl")),
        flash_version=text(properties.get("flashVer")),
        object_encoding=3 if integer(properties.get("objectEncoding")) == 3 else 0,
        parameters=properties,
        capabilities=read_capabilities(properties),
    )


def connect_properties(config: ServerConfig) -> dict[str, Value]:
    """Return the first object of the answer to connect."""
    return {
        "fmsVer": config.server_version,
        "capabilities": 31.0,
        "mode": 1.0,
        **enhancement_members(config.enhancements),
    }


def connect_object(config: ClientConfig) -> dict[str, Value]:
    """Return the command object of connect. Source: RTMP 1.0 §7.2.1.1."""
    members: dict[str, Value] = {
        "app": config.app,
        "type": "nonprivate",
        "flashVer": config.flash_version,
        "swfUrl": config.swf_url or config.tc_url,
        "tcUrl": config.tc_url,
        "fpad": False,
        "capabilities": 239.0,
        # Every codec of the legacy lists, H.264 and AAC among them.
        "audioCodecs": 4071.0,
        "videoCodecs": 252.0,
        "videoFunction": 1.0,
        "objectEncoding": float(config.object_encoding),
    }
    if config.page_url:
        members["pageUrl"] = config.page_url
    members |= enhancement_members(config.enhancements)
    members |= config.parameters
    return members


def publish_kind(value: Value) -> PublishKind:
    """Read the publishing type; what is unknown is live. RTMP 1.0 §7.2.2.6."""
    kind = text(value).lower()
    if kind == "record":
        return "record"
    # Flash also knows "appendWithGap".
    return "append" if kind.startswith("append") else "live"


def play_times(command: Command) -> tuple[float, float, bool]:
    """Read start and duration, in seconds, and reset of a play command.

    DEVIATION(field): RTMP 1.0 §7.2.2.1 has seconds, but FFmpeg, librtmp and Flash send
    milliseconds (-2000 for live or recorded, -1000 for live).
    """
    start = number(command.argument(1), -2.0)
    duration = number(command.argument(2), -1.0)
    reset = command.argument(3)
    if start < 0:
        start = -1.0 if start in (-1.0, -1000.0) else -2.0
    else:
        start /= 1000
    return (
        start,
        duration / 1000 if duration >= 0 else -1.0,
        reset is None or bool(reset),
    )
