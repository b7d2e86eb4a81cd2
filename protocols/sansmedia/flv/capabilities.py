"""What both sides of an Enhanced RTMP connection say they can do.

The flags of ``connect``'s ``capsEx``, ``videoFourCcInfoMap``, ``audioFourCcInfoMap``
and ``videoFunction``. Source: E-RTMP v2 "Enhancing NetConnection connect Command".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = [
    "ANY_FOURCC",
    "CapsExMask",
    "FourCcInfoMask",
    "VideoFunction",
    "fourcc_info",
]

ANY_FOURCC: Final = "*"
"""Stands for every codec, in ``fourCcList`` and as a key of the maps."""


class FourCcInfoMask(enum.IntFlag):
    """What can be done with a codec."""

    CAN_DECODE = 0x01
    CAN_ENCODE = 0x02
    CAN_FORWARD = 0x04


class CapsExMask(enum.IntFlag):
    """The extensions of ``capsEx``."""

    RECONNECT = 0x01
    MULTITRACK = 0x02
    MOD_EX = 0x04
    TIMESTAMP_NANO_OFFSET = 0x08


class VideoFunction(enum.IntFlag):
    """The flags of ``videoFunction``. Source: E-RTMP v2 "Metadata Frame"."""

    CLIENT_SEEK = 0x0001
    CLIENT_HDR = 0x0002
    CLIENT_VIDEO_PACKET_TYPE_METADATA = 0x0004
    CLIENT_LARGE_SCALE_TILE = 0x0008


def fourcc_info(info_map: Mapping[str, int], fourcc: str) -> FourCcInfoMask:
    """Return what a peer can do with a codec, by its info map.

    The wildcard's flags hold for every codec, whatever stands under its own name.

    Args:
        info_map: Flags by FourCC; bits without a name are passed over.
        fourcc: Four characters, such as "hvc1".
    """
    flags = info_map.get(ANY_FOURCC, 0) | info_map.get(fourcc, 0)
    return FourCcInfoMask(flags & 0x07)
