"""The state tables of both sessions: (state, input) -> state.

An input without a row is not an error by itself: the session ignores it, or answers it
as the specification says, and stays where it is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = [
    "CLIENT_SESSION",
    "CLIENT_STREAM",
    "SERVER_SESSION",
    "SERVER_STREAM",
    "SessionInput",
    "SessionState",
    "StreamInput",
    "StreamState",
]


class SessionState(enum.Enum):
    """Where a connection stands."""

    HANDSHAKE = "handshake"
    UNCONNECTED = "unconnected"
    """Handshake done, no connect yet."""
    CONNECTING = "connecting"
    """Connect sent or received, not answered."""
    CONNECTED = "connected"
    TERMINATED = "terminated"


class SessionInput(enum.Enum):
    """What moves a connection."""

    HANDSHAKE_DONE = "handshake done"
    CONNECT = "connect"
    ACCEPT = "accept"
    REJECT = "reject"
    END = "end"
    """Close, end of the transport, time-out or violation."""


class StreamState(enum.Enum):
    """Where a message stream stands."""

    IDLE = "idle"
    PUBLISH_REQUESTED = "publish requested"
    PUBLISHING = "publishing"
    PLAY_REQUESTED = "play requested"
    PLAYING = "playing"
    PAUSED = "paused"


class StreamInput(enum.Enum):
    """What moves a message stream."""

    PUBLISH = "publish"
    PLAY = "play"
    ACCEPT = "accept"
    REJECT = "reject"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    CLOSE = "close"
    """deleteStream, closeStream, FCUnpublish, or the end of what is played."""


_I, _S = SessionInput, SessionState

SERVER_SESSION: Final[Mapping[tuple[SessionState, SessionInput], SessionState]] = {
    (_S.HANDSHAKE, _I.HANDSHAKE_DONE): _S.UNCONNECTED,
    (_S.HANDSHAKE, _I.END): _S.TERMINATED,
    (_S.UNCONNECTED, _I.CONNECT): _S.CONNECTING,
    (_S.UNCONNECTED, _I.END): _S.TERMINATED,
    (_S.CONNECTING, _I.ACCEPT): _S.CONNECTED,
    (_S.CONNECTING, _I.REJECT): _S.TERMINATED,
    (_S.CONNECTING, _I.END): _S.TERMINATED,
    (_S.CONNECTED, _I.END): _S.TERMINATED,
}
"""`RtmpServer`'s connection."""

CLIENT_SESSION: Final[Mapping[tuple[SessionState, SessionInput], SessionState]] = {
    # A client connects in the same step: it never stands unconnected.
    (_S.HANDSHAKE, _I.HANDSHAKE_DONE): _S.CONNECTING,
    (_S.HANDSHAKE, _I.END): _S.TERMINATED,
    (_S.CONNECTING, _I.ACCEPT): _S.CONNECTED,
    (_S.CONNECTING, _I.REJECT): _S.TERMINATED,
    (_S.CONNECTING, _I.END): _S.TERMINATED,
    (_S.CONNECTED, _I.END): _S.TERMINATED,
}
"""`RtmpClient`'s connection."""

_J, _T = StreamInput, StreamState

SERVER_STREAM: Final[Mapping[tuple[StreamState, StreamInput], StreamState]] = {
    (_T.IDLE, _J.PUBLISH): _T.PUBLISH_REQUESTED,
    (_T.IDLE, _J.PLAY): _T.PLAY_REQUESTED,
    (_T.PUBLISH_REQUESTED, _J.ACCEPT): _T.PUBLISHING,
    (_T.PUBLISH_REQUESTED, _J.REJECT): _T.IDLE,
    (_T.PUBLISH_REQUESTED, _J.CLOSE): _T.IDLE,
    (_T.PUBLISHING, _J.CLOSE): _T.IDLE,
    (_T.PLAY_REQUESTED, _J.ACCEPT): _T.PLAYING,
    (_T.PLAY_REQUESTED, _J.REJECT): _T.IDLE,
    (_T.PLAY_REQUESTED, _J.CLOSE): _T.IDLE,
    (_T.PLAYING, _J.PAUSE): _T.PAUSED,
    (_T.PLAYING, _J.CLOSE): _T.IDLE,
    (_T.PAUSED, _J.UNPAUSE): _T.PLAYING,
    (_T.PAUSED, _J.CLOSE): _T.IDLE,
}
"""A message stream of `RtmpServer`."""

CLIENT_STREAM: Final[Mapping[tuple[StreamState, StreamInput], StreamState]] = {
    (_T.IDLE, _J.PUBLISH): _T.PUBLISH_REQUESTED,
    (_T.IDLE, _J.PLAY): _T.PLAY_REQUESTED,
    (_T.PUBLISH_REQUESTED, _J.ACCEPT): _T.PUBLISHING,
    (_T.PUBLISH_REQUESTED, _J.REJECT): _T.IDLE,
    # The server ended it; nothing begins it again.
    (_T.PUBLISHING, _J.CLOSE): _T.IDLE,
    (_T.PLAY_REQUESTED, _J.ACCEPT): _T.PLAYING,
    (_T.PLAY_REQUESTED, _J.REJECT): _T.IDLE,
    (_T.PLAYING, _J.PAUSE): _T.PAUSED,
    # The server may end the play, and begin it again when a publisher comes back.
    (_T.PLAYING, _J.CLOSE): _T.PLAY_REQUESTED,
    (_T.PAUSED, _J.UNPAUSE): _T.PLAYING,
    (_T.PAUSED, _J.CLOSE): _T.PLAY_REQUESTED,
}
"""A message stream of `RtmpClient`; `stop` removes it."""
