"""Which loudspeaker each channel feeds: the MultichannelConfig of Enhanced RTMP."""

from __future__ import annotations

import enum
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

__all__ = [
    "AudioChannel",
    "AudioChannelMask",
    "AudioChannelOrder",
    "MultichannelConfig",
    "decode_multichannel_config",
    "encode_multichannel_config",
]

_SOURCE: Final = "E-RTMP v2 Enhanced Audio"


class AudioChannelOrder(enum.IntEnum):
    """How the order of the channels is told."""

    UNSPECIFIED = 0
    NATIVE = 1
    """In the order of `AudioChannel`; the flags say which are there."""
    CUSTOM = 2
    """By an explicit list."""


class AudioChannel(enum.IntEnum):
    """A place around the listener (22.2 channels, SMPTE ST 2036-2)."""

    FRONT_LEFT = 0
    FRONT_RIGHT = 1
    FRONT_CENTER = 2
    LOW_FREQUENCY_1 = 3
    BACK_LEFT = 4
    BACK_RIGHT = 5
    FRONT_LEFT_CENTER = 6
    FRONT_RIGHT_CENTER = 7
    BACK_CENTER = 8
    SIDE_LEFT = 9
    SIDE_RIGHT = 10
    TOP_CENTER = 11
    TOP_FRONT_LEFT = 12
    TOP_FRONT_CENTER = 13
    TOP_FRONT_RIGHT = 14
    TOP_BACK_LEFT = 15
    TOP_BACK_CENTER = 16
    TOP_BACK_RIGHT = 17
    LOW_FREQUENCY_2 = 18
    TOP_SIDE_LEFT = 19
    TOP_SIDE_RIGHT = 20
    BOTTOM_FRONT_CENTER = 21
    BOTTOM_FRONT_LEFT = 22
    BOTTOM_FRONT_RIGHT = 23
    UNUSED = 0xFE
    """The channel is empty."""
    UNKNOWN = 0xFF
    """The channel sounds, but nobody says where."""


class AudioChannelMask(enum.IntFlag):
    """The channels that are there; bit n stands for `AudioChannel` n."""

    FRONT_LEFT = 0x000001
    FRONT_RIGHT = 0x000002
    FRONT_CENTER = 0x000004
    LOW_FREQUENCY_1 = 0x000008
    BACK_LEFT = 0x000010
    BACK_RIGHT = 0x000020
    FRONT_LEFT_CENTER = 0x000040
    FRONT_RIGHT_CENTER = 0x000080
    BACK_CENTER = 0x000100
    SIDE_LEFT = 0x000200
    SIDE_RIGHT = 0x000400
    TOP_CENTER = 0x000800
    TOP_FRONT_LEFT = 0x001000
    TOP_FRONT_CENTER = 0x002000
    TOP_FRONT_RIGHT = 0x004000
    TOP_BACK_LEFT = 0x008000
    TOP_BACK_CENTER = 0x010000
    TOP_BACK_RIGHT = 0x020000
    LOW_FREQUENCY_2 = 0x040000
    TOP_SIDE_LEFT = 0x080000
    TOP_SIDE_RIGHT = 0x100000
    BOTTOM_FRONT_CENTER = 0x200000
    BOTTOM_FRONT_LEFT = 0x400000
    BOTTOM_FRONT_RIGHT = 0x800000


_NO_CHANNEL: Final = AudioChannelMask(0)


@attrs.frozen
class MultichannelConfig:
    """The payload of an `AudioPacketType.MULTICHANNEL_CONFIG` packet."""

    order: AudioChannelOrder
    channel_count: int
    """0 to 255."""
    mapping: tuple[int, ...] = ()
    """One `AudioChannel` (or reserved number) a channel; only for a custom order."""
    flags: AudioChannelMask = _NO_CHANNEL
    """Which channels are there; only for the native order."""


def decode_multichannel_config(payload: bytes) -> MultichannelConfig:
    """Decode the payload of a multichannel configuration; what follows is passed over.

    Raises:
        ProtocolError: ``truncated``, or ``unsupported`` for a reserved channel order.

    Source: E-RTMP v2 "Enhanced Audio", ExAudioTagBody.
    """
    reader = Reader(payload, source=_SOURCE)
    order = reader.u8()
    count = reader.u8()
    if order > AudioChannelOrder.CUSTOM:
        raise ProtocolError(
            f"audio channel order {order}", code="unsupported", source=_SOURCE
        )
    if order == AudioChannelOrder.CUSTOM:
        mapping = tuple(reader.take(count))
        return MultichannelConfig(AudioChannelOrder.CUSTOM, count, mapping)
    if order == AudioChannelOrder.NATIVE:
        flags = AudioChannelMask(reader.u32())
        return MultichannelConfig(AudioChannelOrder.NATIVE, count, flags=flags)
    return MultichannelConfig(AudioChannelOrder.UNSPECIFIED, count)


def encode_multichannel_config(config: MultichannelConfig) -> bytes:
    """Encode the payload of a multichannel configuration.

    Raises:
        UsageError: A custom order whose mapping does not name each channel.

    Source: E-RTMP v2 "Enhanced Audio", ExAudioTagBody.
    """
    writer = Writer().u8(config.order).u8(config.channel_count)
    if config.order is AudioChannelOrder.CUSTOM:
        if len(config.mapping) != config.channel_count:
            raise UsageError("the mapping does not name each channel")
        writer.put(bytes(config.mapping))
    elif config.order is AudioChannelOrder.NATIVE:
        writer.u32(config.flags)
    return writer.getvalue()
