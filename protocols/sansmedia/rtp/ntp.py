"""NTP timestamps, 32 bits of seconds since 1900 and 32 of their fraction.

Source: RFC 3550 §4.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ntp_from_unix", "ntp_middle", "unix_from_ntp"]

_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""
_ERA: Final = 1 << 32


def ntp_from_unix(seconds: float) -> int:
    """Return the NTP timestamp of a Unix time; it wraps in 2036."""
    whole = int(seconds // 1)
    fraction = int((seconds - whole) * _ERA)
    return (whole + _EPOCH << 32) + fraction & 0xFFFFFFFFFFFFFFFF


def unix_from_ntp(timestamp: int) -> float:
    """Return the Unix time of an NTP timestamp, between 1968 and 2104."""
    seconds = timestamp >> 32
    if seconds < 1 << 31:
        seconds += _ERA
    return seconds - _EPOCH + (timestamp & 0xFFFFFFFF) / _ERA


def ntp_middle(timestamp: int) -> int:
    """Return the middle 32 bits: units of 1/65,536 s, wrapping in 18 hours."""
    return timestamp >> 16 & 0xFFFFFFFF
