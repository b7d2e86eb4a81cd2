"""What header extensions say, by the URIs that SDP gives them.

Those without an RFC are described at webrtc.org under "experiments/rtp-hdrext".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .extensions import decode_extensions, encode_extensions
from .packet import RtpPacket

__all__ = [
    "ABS_CAPTURE_TIME_URI",
    "ABS_SEND_TIME_URI",
    "AUDIO_LEVEL_URI",
    "MID_URI",
    "PLAYOUT_DELAY_URI",
    "REPAIRED_RID_URI",
    "RID_URI",
    "TOFFSET_URI",
    "TRANSPORT_CC_02_URI",
    "TRANSPORT_CC_URI",
    "VIDEO_ORIENTATION_URI",
    "AbsCaptureTime",
    "AudioLevel",
    "ExtensionMap",
    "Extensions",
    "PlayoutDelay",
    "VideoOrientation",
]

MID_URI: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID_URI: Final = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_URI: Final = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL_URI: Final = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TOFFSET_URI: Final = "urn:ietf:params:rtp-hdrext:toffset"
VIDEO_ORIENTATION_URI: Final = "urn:3gpp:video-orientation"
ABS_SEND_TIME_URI: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME_URI: Final = (
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
)
PLAYOUT_DELAY_URI: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
TRANSPORT_CC_URI: Final = (
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)
TRANSPORT_CC_02_URI: Final = (
    "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02"
)


@attrs.frozen
class AudioLevel:
    """How loud the packet is. Source: RFC 6464 §3."""

    level: int
    """-dBov: 0 is the loudest, 127 is silence."""
    voice: bool = False
    """Whether the sender took it for speech."""


@attrs.frozen
class VideoOrientation:
    """How to turn the picture. Source: 3GPP TS 26.114, coordination of orientation."""

    rotation: int = 0
    """Degrees that the receiver turns it clockwise: 0, 90, 180 or 270."""
    flip: bool = False
    """Whether it is mirrored from left to right."""
    back_camera: bool = False


@attrs.frozen
class PlayoutDelay:
    """Bounds on what the receiver may add between capture and display."""

    minimum_ms: int
    """A multiple of 10, up to 40,950."""
    maximum_ms: int
    """A multiple of 10, up to 40,950."""


@attrs.frozen
class AbsCaptureTime:
    """When the first frame of the packet was captured."""

    timestamp: int
    """NTP, 64 bits, by the clock of the capturing system."""
    clock_offset: int | None = None
    """That clock minus the sender's, in units of 2**-32 s."""


@attrs.define
class Extensions:
    """The extensions of one packet that are known here; None is absent."""

    mid: str | None = None
    """Which m-section. Source: RFC 9143 §15."""
    rid: str | None = None
    """Which encoding. Source: RFC 8852 §3.1."""
    repaired_rid: str | None = None
    """Which encoding a retransmission belongs to. Source: RFC 8852 §3.2."""
    transport_sequence: int | None = None
    """16 bits, wraps; counts the packets of a whole transport."""
    abs_send_time: float | None = None
    """Seconds modulo 64, in steps of 2**-18 s."""
    audio_level: AudioLevel | None = None
    video_orientation: VideoOrientation | None = None
    playout_delay: PlayoutDelay | None = None
    toffset: int | None = None
    """Ticks from the timestamp to the time of sending. Source: RFC 5450 §2."""
    abs_capture_time: AbsCaptureTime | None = None


def _wrong(name: str, value: bytes) -> ProtocolError:
    return ProtocolError(f"{name} of {len(value)} octets")


def _decode_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("text that is no UTF-8", source="RFC 7941 §4.2") from None


def _encode_text(value: str) -> bytes:
    return value.encode()


def _decode_transport_sequence(value: bytes) -> int:
    # Version 02 has a request for feedback behind it, at times.
    if len(value) not in (2, 4):
        raise _wrong("transport-wide sequence number", value)
    return value[0] << 8 | value[1]


def _encode_transport_sequence(value: int) -> bytes:
    return (value & 0xFFFF).to_bytes(2, "big")


def _decode_abs_send_time(value: bytes) -> float:
    if len(value) != 3:
        raise _wrong("abs-send-time", value)
    return int.from_bytes(value, "big") / (1 << 18)


def _encode_abs_send_time(value: float) -> bytes:
    return (round(value * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")


def _decode_audio_level(value: bytes) -> AudioLevel:
    # One octet; in the two-octet form it may be padded. RFC 6464 §3.
    if len(value) not in (1, 2):
        raise _wrong("audio level", value)
    return AudioLevel(value[0] & 0x7F, value[0] > 0x7F)


def _encode_audio_level(value: AudioLevel) -> bytes:
    return bytes((value.voice << 7 | value.level & 0x7F,))


def _decode_video_orientation(value: bytes) -> VideoOrientation:
    if len(value) != 1:
        raise _wrong("video orientation", value)
    octet = value[0]
    return VideoOrientation((octet & 3) * 90, bool(octet & 4), bool(octet & 8))


def _encode_video_orientation(value: VideoOrientation) -> bytes:
    turns = value.rotation // 90 & 3
    return bytes((value.back_camera << 3 | value.flip << 2 | turns,))


def _decode_playout_delay(value: bytes) -> PlayoutDelay:
    if len(value) != 3:
        raise _wrong("playout delay", value)
    both = int.from_bytes(value, "big")
    return PlayoutDelay((both >> 12) * 10, (both & 0xFFF) * 10)


def _encode_playout_delay(value: PlayoutDelay) -> bytes:
    minimum, maximum = value.minimum_ms // 10, value.maximum_ms // 10
    if not 0 <= minimum <= maximum <= 0xFFF:
        raise UsageError(f"{value}")
    return (minimum << 12 | maximum).to_bytes(3, "big")


def _decode_toffset(value: bytes) -> int:
    if len(value) != 3:
        raise _wrong("transmission offset", value)
    return int.from_bytes(value, "big", signed=True)


def _encode_toffset(value: int) -> bytes:
    return value.to_bytes(3, "big", signed=True)


def _decode_abs_capture_time(value: bytes) -> AbsCaptureTime:
    if len(value) not in (8, 16):
        raise _wrong("abs-capture-time", value)
    offset = int.from_bytes(value[8:], "big", signed=True) if value[8:] else None
    return AbsCaptureTime(int.from_bytes(value[:8], "big"), offset)


def _encode_abs_capture_time(value: AbsCaptureTime) -> bytes:
    octets = value.timestamp.to_bytes(8, "big")
    if value.clock_offset is not None:
        octets += value.clock_offset.to_bytes(8, "big", signed=True)
    return octets


# URI -> field of `Extensions`, decoder, encoder
_KINDS: Final[dict[str, tuple[str, Callable[[bytes], Any], Callable[[Any], bytes]]]] = {
    MID_URI: ("mid", _decode_text, _encode_text),
    RID_URI: ("rid", _decode_text, _encode_text),
    REPAIRED_RID_URI: ("repaired_rid", _decode_text, _encode_text),
    TRANSPORT_CC_URI: (
        "transport_sequence",
        _decode_transport_sequence,
        _encode_transport_sequence,
    ),
    TRANSPORT_CC_02_URI: (
        "transport_sequence",
        _decode_transport_sequence,
        _encode_transport_sequence,
    ),
    ABS_SEND_TIME_URI: ("abs_send_time", _decode_abs_send_time, _encode_abs_send_time),
    AUDIO_LEVEL_URI: ("audio_level", _decode_audio_level, _encode_audio_level),
    VIDEO_ORIENTATION_URI: (
        "video_orientation",
        _decode_video_orientation,
        _encode_video_orientation,
    ),
    PLAYOUT_DELAY_URI: ("playout_delay", _decode_playout_delay, _encode_playout_delay),
    TOFFSET_URI: ("toffset", _decode_toffset, _encode_toffset),
    ABS_CAPTURE_TIME_URI: (
        "abs_capture_time",
        _decode_abs_capture_time,
        _encode_abs_capture_time,
    ),
}


class ExtensionMap:
    """Which identifier stands for which extension, as the ``extmap`` lines agree.

    Args:
        uris: URI by identifier; those not known here are kept and do nothing.

    Raises:
        UsageError: An identifier is not within 1 to 255.

    Source: RFC 8285 §5, RFC 8285 §8.
    """

    __slots__ = ("_decoders", "_encoders", "_identifiers", "uris")

    def __init__(self, uris: Mapping[int, str]) -> None:
        if not all(1 <= identifier <= 255 for identifier in uris):
            raise UsageError(f"extension identifiers {sorted(uris)}")
        self.uris = dict(uris)
        """URI by identifier."""
        self._identifiers = {uri: identifier for identifier, uri in uris.items()}
        self._decoders = {
            identifier: _KINDS[uri][:2]
            for identifier, uri in uris.items()
            if uri in _KINDS
        }
        self._encoders = [
            (_KINDS[uri][0], identifier, _KINDS[uri][2])
            for identifier, uri in uris.items()
            if uri in _KINDS
        ]

    def identifier(self, uri: str) -> int | None:
        """Return the identifier of an extension, or None if it was not agreed on."""
        return self._identifiers.get(uri)

    def decode(self, packet: RtpPacket) -> Extensions:
        """Decode what a packet carries and the map knows.

        1.6 µs for the four of a browser's video packet. Who wants one only looks into
        `decode_extensions`.

        Raises:
            ProtocolError: An element is cut short or has the wrong length.
        """
        found = Extensions()
        if packet.extension:
            elements = decode_extensions(packet.extension_profile, packet.extension)
            decoders = self._decoders
            for identifier, value in elements.items():
                known = decoders.get(identifier)
                if known is not None:
                    setattr(found, known[0], known[1](value))
        return found

    def encode(self, extensions: Extensions) -> tuple[int | None, bytes]:
        """Return profile and body with all that is present and was agreed on.

        Raises:
            UsageError: A value does not fit.
        """
        elements = {}
        for name, identifier, encode in self._encoders:
            value = getattr(extensions, name)
            if value is not None:
                try:
                    elements[identifier] = encode(value)
                except OverflowError as error:
                    raise UsageError(f"{name}: {error}") from None
        return encode_extensions(elements)
