"""Error numbers of the SRS API; they travel in HTTP 200 bodies, but for WHIP's."""

from __future__ import annotations

import enum

from penstock.control import ControlError, NotFound

__all__ = ["Code", "code_of"]


class Code(enum.IntEnum):
    """The values of ``code`` that this dialect answers."""

    SUCCESS = 0
    TEST = 100
    BAD_REQUEST = 400
    CONFIG_INVALID = 1023
    CONFIG_RAW = 1060
    CONFIG_RAW_DISABLED = 1061
    CONNECTIONS_EXCEED = 1074
    EXPORTER_DISABLED = 1090
    NOT_AUTHORIZED = 1102
    NO_VHOST = 2014
    STREAM_NOT_FOUND = 2048
    CLIENT_NOT_FOUND = 2049
    RTC_SDP_DECODE = 5012
    RTC_SDP_NEGOTIATE = 5018
    RTC_BODY = 5019
    RTC_STREAM_BUSY = 5020
    RTC_DISABLED = 5021
    RTC_INVALID_SESSION = 5036
    RTC_INVALID_ICE = 5037
    RTC_INVALID_SDP = 5043


def code_of(error: ControlError, missing: Code) -> Code:
    """Return the number for a refusal of control.

    Args:
        error: What control raised.
        missing: The number if the object that was asked for does not exist.
    """
    return missing if isinstance(error, NotFound) else Code.BAD_REQUEST
