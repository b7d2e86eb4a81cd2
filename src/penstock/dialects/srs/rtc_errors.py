"""How WebRTC signalling refuses: a status, a number and its short name.

SRS 7.0.18 drops the connection; these are the answers that later versions give.
"""

from __future__ import annotations

import attrs

from penstock.control import (
    Conflict,
    ControlError,
    Forbidden,
    Invalid,
    Unacceptable,
    Unavailable,
)

from .errors import Code

__all__ = ["RtcRefusal", "refusal_of"]

_SHORT_NAMES = {
    Code.CONNECTIONS_EXCEED: "ConnectionsExceed",
    Code.NOT_AUTHORIZED: "SystemAuth",
    Code.STREAM_NOT_FOUND: "StreamNotFound",
    Code.RTC_SDP_DECODE: "RtcSdpDecode",
    Code.RTC_SDP_NEGOTIATE: "RtcSdpNegotiate",
    Code.RTC_BODY: "RtcApiJson",
    Code.RTC_STREAM_BUSY: "RtcStreamBusy",
    Code.RTC_DISABLED: "RtcDisabled",
    Code.RTC_INVALID_SESSION: "RtcInvalidSession",
    Code.RTC_INVALID_ICE: "RtcInvalidIce",
    Code.RTC_INVALID_SDP: "RtcInvalidSdp",
}


@attrs.frozen
class RtcRefusal(Exception):
    """A request that gets no session."""

    status: int
    code: Code
    reason: str = ""
    """Said only where SRS would not have refused, so that nobody has to guess."""

    @property
    def line(self) -> str:
        """``5012: RtcSdpDecode``."""
        line = f"{int(self.code)}: {_SHORT_NAMES[self.code]}"
        return f"{line}: {self.reason}" if self.reason else line


def refusal_of(error: ControlError, *, is_on: bool) -> RtcRefusal:
    """Return the answer to a refusal of control.

    Args:
        error: What control raised for a description that could be read.
        is_on: Whether the server has a port for WebRTC's media.
    """
    match error:
        case Forbidden():
            return RtcRefusal(401, Code.NOT_AUTHORIZED)
        case Conflict():
            return RtcRefusal(409, Code.RTC_STREAM_BUSY)
        case Unacceptable():
            return RtcRefusal(400, Code.RTC_SDP_NEGOTIATE)
        case Invalid():
            return RtcRefusal(400, Code.RTC_SDP_NEGOTIATE, str(error))
        case Unavailable():
            code = Code.CONNECTIONS_EXCEED if is_on else Code.RTC_DISABLED
            return RtcRefusal(500, code)
    # A viewer that may not wait for a publisher.
    return RtcRefusal(500, Code.STREAM_NOT_FOUND)
