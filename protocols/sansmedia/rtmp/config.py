"""What a program decides about a connection before it begins."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sansmedia.amf import Value
from sansmedia.flv.capabilities import ANY_FOURCC, CapsExMask, FourCcInfoMask

from .constants import SHARED_CHUNK_SIZE
from .handshake import HandshakeScheme

__all__ = ["ClientConfig", "Enhancements", "ServerConfig"]


def _forward_any() -> dict[str, int]:
    return {ANY_FOURCC: FourCcInfoMask.CAN_FORWARD}


@attrs.frozen(kw_only=True)
class Enhancements:
    """What we announce of Enhanced RTMP.

    Source: E-RTMP v2 §Enhancing NetConnection connect Command.
    """

    four_cc_list: tuple[str, ...] = (ANY_FOURCC,)
    video_four_cc_info: Mapping[str, int] = attrs.field(factory=_forward_any)
    audio_four_cc_info: Mapping[str, int] = attrs.field(factory=_forward_any)
    caps_ex: int = (
        CapsExMask.RECONNECT
        | CapsExMask.MULTITRACK
        | CapsExMask.MOD_EX
        | CapsExMask.TIMESTAMP_NANO_OFFSET
    )


@attrs.frozen(kw_only=True)
class ServerConfig:
    """Behaviour of one `RtmpServer`."""

    server_version: str = "FMS/3,0,1,123"
    """``fmsVer``; players parse it, so the default is a Flash server's."""
    chunk_size: int | None = None
    """Announced after connect; None announces none (a publisher copies it: FFmpeg)."""
    play_chunk_size: int | None = SHARED_CHUNK_SIZE
    """Announced when a play is accepted; 60,000 lets viewers share bytes."""
    window_size: int = 2_500_000
    """Octets after which the peer shall acknowledge; also our own default."""
    enhancements: Enhancements | None = attrs.field(factory=Enhancements)
    """None answers as a legacy server does."""
    ping_interval: float | None = 30.0
    """Seconds between pings, more than 0; None for none."""
    ping_timeout: float = 60.0
    """Seconds without any octet after a ping."""
    idle_timeout: float | None = None
    """Seconds without any message, None for no bound."""


@attrs.frozen(kw_only=True)
class ClientConfig:
    """Behaviour of one `RtmpClient`."""

    tc_url: str
    """``rtmp://host[:port]/app``, as `StreamAddress.tc_url` gives it."""
    app: str
    flash_version: str = "FMLE/3.0 (compatible; sansmedia)"
    """``flashVer``; servers tell publishers and players apart by it."""
    page_url: str = ""
    swf_url: str = ""
    parameters: Mapping[str, Value] = attrs.field(factory=dict)
    """Further members of the connect object; they win over our own."""
    object_encoding: int = 0
    """3 announces AMF3 and sends commands as type 17."""
    handshake: HandshakeScheme = HandshakeScheme.DIGEST_FIRST
    chunk_size: int = SHARED_CHUNK_SIZE
    """Announced once connected."""
    window_size: int = 2_500_000
    """Octets after which the peer shall acknowledge."""
    buffer_ms: int = 1_000
    """Announced with each play."""
    enhancements: Enhancements | None = attrs.field(factory=Enhancements)
    connect_timeout: float = 10.0
    """Seconds from the handshake's end to the answer of connect."""
    ping_interval: float | None = None
    """Seconds between pings, more than 0; None for none: servers expect none."""
    ping_timeout: float = 60.0
    """Seconds without any octet after a ping."""
    idle_timeout: float | None = None
    """Seconds without any message, None for no bound."""
