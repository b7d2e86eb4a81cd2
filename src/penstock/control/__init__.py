"""Commands, queries, views and errors: what every API speaks through."""

from .errors import (
    Conflict,
    ControlError,
    Forbidden,
    Invalid,
    NotFound,
    Unacceptable,
    Unavailable,
)
from .hooks import HookAction, HookEvent, HookFormat, HookRequest
from .service import Control
from .views import (
    LinkView,
    ListenerView,
    RatesView,
    RelayView,
    ServerView,
    SessionView,
    StreamView,
    TrackView,
    VhostView,
)
from .webrtc import WebRtcAnswer, WebRtcOffer

__all__ = [
    "Conflict",
    "Control",
    "ControlError",
    "Forbidden",
    "HookAction",
    "HookEvent",
    "HookFormat",
    "HookRequest",
    "Invalid",
    "LinkView",
    "ListenerView",
    "NotFound",
    "RatesView",
    "RelayView",
    "ServerView",
    "SessionView",
    "StreamView",
    "TrackView",
    "Unacceptable",
    "Unavailable",
    "VhostView",
    "WebRtcAnswer",
    "WebRtcOffer",
]
