"""A session: one media connection as the registry, the logs and the APIs know it."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from penstock.control import LinkView

from .rates import RateWindow

if TYPE_CHECKING:
    from .packet_viewer import PacketViewer
    from .stream import Stream
    from .viewer import Viewer

__all__ = ["Role", "Session", "StreamKey", "Traffic"]

_MAX_TEXT = 1_024
_MAX_ADDRESS = 8_192
"""Characters that are kept of what a client says about itself; tokens may be long."""


def _text(text: str) -> str:
    return text[:_MAX_TEXT]


def _address(text: str) -> str:
    return text[:_MAX_ADDRESS]


class Role(enum.Enum):
    """What a session does."""

    CONNECT = "connect"
    PUBLISH = "publish"
    PLAY = "play"


@attrs.frozen
class StreamKey:
    """Which stream: the same for every protocol and every API."""

    vhost: str
    app: str
    name: str

    def __str__(self) -> str:
        path = f"{self.app}/{self.name}"
        return path if self.vhost == "default" else f"{self.vhost}/{path}"


class Traffic(Protocol):
    """Counts the octets of a connection; a `Wire` is one."""

    bytes_received: int
    bytes_sent: int


@attrs.define(eq=False, kw_only=True)
class Session:
    """One media connection. The session's own task writes it; others read."""

    protocol: str
    """See `SessionView.protocol`."""
    address: str
    port: int
    wire: Traffic | None
    started_at: float
    """Unix seconds."""
    started: float
    """Seconds on the loop's clock."""
    role: Role = Role.CONNECT
    former_role: Role = Role.CONNECT
    """What it did last, when it does nothing any more."""
    key: StreamKey | None = None
    stream: Stream | None = None
    viewer: Viewer | PacketViewer | None = None
    tc_url: str = attrs.field(default="", converter=_address)
    page_url: str = attrs.field(default="", converter=_text)
    swf_url: str = attrs.field(default="", converter=_text)
    user_agent: str = attrs.field(default="", converter=_text)
    extension: str = ""
    parameters: str = attrs.field(default="", converter=_address)
    """The client's query without "?", as it came."""
    token: str = attrs.field(default="", repr=False)
    """Of ``Authorization: Bearer``, for protocols that have it."""
    relay_id: str | None = None
    authorized: bool = False
    """An API has judged it by its own rules; see `WebRtcOffer`."""
    stays: bool = False
    """A viewer that outlives publishers; see `WebRtcOffer`."""
    connection: str = "connected"
    """In the words of RTCPeerConnection's state."""
    source_url: str = ""
    """Where a relay's leg takes its stream from."""
    target_url: str = ""
    """Where it publishes its stream."""
    remote_session_url: str = ""
    """Of WHIP or WHEP, as the other server has named it."""
    link: Callable[[], LinkView] | None = None
    """Tells how the network treats it, for protocols that know."""
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    end_reason: str = ""
    """Why it was kicked; "" if it ended by itself."""
    rates: RateWindow = attrs.field(factory=RateWindow)

    @property
    def bytes_received(self) -> int:
        """Octets from the client."""
        return 0 if self.wire is None else self.wire.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Octets to the client."""
        sent = 0 if self.wire is None else self.wire.bytes_sent
        return sent if self.viewer is None else sent + self.viewer.head_bytes

    def kick(self, reason: str) -> None:
        """End the session from outside; its own task cleans up."""
        if not self.end_reason:
            self.end_reason = reason
        self.scope.cancel()
