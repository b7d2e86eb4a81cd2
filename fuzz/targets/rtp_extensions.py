"""Header extensions of any octets, and every value that is known."""

from __future__ import annotations

from sansmedia.rtp import (
    ABS_CAPTURE_TIME_URI,
    ABS_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    MID_URI,
    PLAYOUT_DELAY_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TOFFSET_URI,
    TRANSPORT_CC_02_URI,
    VIDEO_ORIENTATION_URI,
    ExtensionMap,
    RtpPacket,
    decode_extensions,
    encode_extensions,
)
from sansmedia.sansio import ProtocolError, UsageError

_URIS = (
    *(MID_URI, RID_URI, REPAIRED_RID_URI, TRANSPORT_CC_02_URI, ABS_SEND_TIME_URI),
    *(AUDIO_LEVEL_URI, VIDEO_ORIENTATION_URI, PLAYOUT_DELAY_URI, TOFFSET_URI),
    ABS_CAPTURE_TIME_URI,
)
_MAP = ExtensionMap(dict(enumerate(_URIS, 1)))


def one_input(data: bytes) -> None:
    # Elements and values are refused by ProtocolError, or come back from the writer.
    profile, body = int.from_bytes(data[:2], "big"), data[2:]
    try:
        elements = decode_extensions(profile, body)
    except ProtocolError:
        return
    assert decode_extensions(*encode_extensions(elements)) == elements
    assert decode_extensions(*encode_extensions(elements, two_byte=True)) == elements
    packet = RtpPacket(0, 0, 0, 0, extension_profile=profile, extension=body)
    try:
        values = _MAP.decode(packet)
    except ProtocolError:
        return
    try:
        packet.extension_profile, packet.extension = _MAP.encode(values)
    except UsageError:
        # A peer may say a playout delay upside down; we may not.
        delay = values.playout_delay
        assert delay is not None
        assert delay.minimum_ms > delay.maximum_ms
        return
    assert _MAP.decode(packet) == values
