"""Video tag bodies: legacy FLV and Enhanced RTMP in one model.

The same octets stand in an FLV video tag and in an RTMP video message.

Measured on one x86-64 core with Python 3.11, 10 KB of payload: decoding a legacy H.264
or a plain enhanced frame takes 1.0 µs of which the copy of the payload is 0.16 µs, a
multitrack one 6 µs; encoding takes 0.9 µs (legacy) and 3.2 µs (enhanced).
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .enhanced import (
    AvMultitrackType,
    ModEx,
    Track,
    decode_mod_ex,
    decode_multitrack_type,
    decode_tracks,
    encode_mod_ex,
    encode_tracks,
    nanosecond_offset,
)
from .fourcc import LEGACY_VIDEO, VideoCodecId

__all__ = [
    "VideoBody",
    "VideoCommand",
    "VideoFrameType",
    "VideoPacket",
    "VideoPacketType",
    "decode_video_body",
    "encode_video_body",
]

_SOURCE: Final = "E-RTMP v2 Enhanced Video"
_LEGACY_SOURCE: Final = "FLV 10.1 §E.4.3.1"


class VideoFrameType(enum.IntEnum):
    """What kind of frame a message carries. Source: E-RTMP v2 "Enhanced Video"."""

    UNSPECIFIED = 0
    """Reserved; OBS sends it with metadata, where the frame type means nothing."""
    KEY = 1
    INTER = 2
    DISPOSABLE_INTER = 3
    GENERATED_KEY = 4
    COMMAND = 5
    RESERVED_6 = 6
    RESERVED_7 = 7


class VideoPacketType(enum.IntEnum):
    """VideoPacketType; legacy AVCPacketType maps to the first three."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    CODED_FRAMES_X = 3
    """Coded frames whose composition time is 0 and not on the wire."""
    METADATA = 4
    """The payload is AMF: name, value, name, value; see `metadata.ColorInfo`."""
    MPEG2TS_SEQUENCE_START = 5
    """The payload is a descriptor as in MPEG-2 transport streams."""


class VideoCommand(enum.IntEnum):
    """The one octet of a command frame."""

    START_SEEK = 0
    END_SEEK = 1


@attrs.define
class VideoPacket:
    """What one message carries of one track."""

    codec: int
    """A `VideoCodecId`, or the number on the wire if nobody here knows it."""
    packet_type: VideoPacketType
    payload: bytes
    """As ISO files carry it: a configuration record, or length-prefixed NAL units, a
    temporal unit of OBUs, a VP8 or VP9 frame."""
    composition_time_ms: int = 0
    """Presentation minus decoding time, signed 24 bits; only H.264, H.265, H.266."""
    track_id: int = 0


@attrs.define
class VideoBody:
    """One video message or tag."""

    frame_type: VideoFrameType
    packets: list[VideoPacket]
    """One; several with `multitrack`; none in a command frame."""
    enhanced: bool = False
    """Whether the enhanced header stood, or is to stand, before it."""
    multitrack: AvMultitrackType | None = None
    mod_ex: tuple[ModEx, ...] = ()
    """Modifiers as they stand on the wire, those of unknown type too."""
    command: int | None = None
    """A `VideoCommand` (or a reserved number) in a command frame, else None."""

    @property
    def is_key(self) -> bool:
        """True if decoding can begin here."""
        return self.frame_type in _KEY

    @property
    def nanosecond_offset(self) -> int:
        """Nanoseconds (0 to 999,999) to add to the timestamp for presentation."""
        return nanosecond_offset(self.mod_ex)


_MOD_EX: Final = 7
_MULTITRACK: Final = 6
_KEY: Final = (VideoFrameType.KEY, VideoFrameType.GENERATED_KEY)
_FRAME_TYPES: Final = tuple(VideoFrameType)
_PACKET_TYPES: Final = tuple(VideoPacketType)
# The legacy codecs with an AVCPacketType and a composition time.
_LEGACY_AVC: Final = 7
_LEGACY_HEVC: Final = 12
_LEGACY_NUMBER: Final[dict[int, int]] = {
    VideoCodecId.AVC: _LEGACY_AVC,
    VideoCodecId.HEVC: _LEGACY_HEVC,
}
_FOURCC: Final = {
    codec.to_bytes(4, "big"): codec for codec in VideoCodecId if codec > 0xFF
}
_CODECS: Final = {int(codec): codec for codec in VideoCodecId}
_COMPOSED: Final = frozenset((VideoCodecId.AVC, VideoCodecId.HEVC, VideoCodecId.VVC))


def decode_video_body(body: bytes) -> VideoBody:
    """Decode the body of an FLV video tag or RTMP video message.

    Legacy H.264 (codec 7, and H.265 as codec 12) comes out like its enhanced form; the
    frames of the other legacy codecs are CODED_FRAMES with the rest of the body.

    Raises:
        ProtocolError: ``truncated`` (an empty body too), ``unsupported`` for a reserved
            packet or multitrack type, ``limit``.

    Source: FLV 10.1 §E.4.3, E-RTMP v2 "Enhanced Video".
    """
    # Two early branches for what nearly all messages are: 1.0 µs, else 2.6 and 4.0.
    if len(body) > 7:
        first = body[0]
        kind = first & 0x8F
        if kind == _LEGACY_AVC and body[1] <= 2 and first != 0x57:
            composition = body[2] << 16 | body[3] << 8 | body[4]
            if composition & 0x800000:
                composition -= 0x1000000
            packet = VideoPacket(
                VideoCodecId.AVC, _PACKET_TYPES[body[1]], body[5:], composition
            )
            return VideoBody(_FRAME_TYPES[first >> 4], [packet])
        if (kind == 0x81 or kind == 0x83) and first & 0x70 != 0x50:
            codec = _FOURCC.get(body[1:5])
            if codec is not None:
                composition = 0
                start = 5
                if kind == 0x81 and codec in _COMPOSED:
                    composition = body[5] << 16 | body[6] << 8 | body[7]
                    if composition & 0x800000:
                        composition -= 0x1000000
                    start = 8
                packet = VideoPacket(
                    codec, _PACKET_TYPES[first & 15], body[start:], composition
                )
                return VideoBody(_FRAME_TYPES[first >> 4 & 7], [packet], True)
    reader = Reader(body, source=_LEGACY_SOURCE)
    if reader.peek_u8() & 0x80:
        return _decode_enhanced(Reader(body, source=_SOURCE))
    return _decode_legacy(reader)


def _decode_legacy(reader: Reader) -> VideoBody:
    first = reader.u8()
    frame_type = _FRAME_TYPES[first >> 4]
    number = first & 15
    codec = LEGACY_VIDEO[number]
    codec = _CODECS.get(codec, codec)
    if frame_type is VideoFrameType.COMMAND:
        # FLV 10.1 puts the octet behind the AVC header, E-RTMP v2 in its place.
        if number == _LEGACY_AVC and reader.remaining >= 5:
            reader.skip(4)
        return VideoBody(frame_type, [], command=reader.u8())
    if number not in (_LEGACY_AVC, _LEGACY_HEVC):
        packet = VideoPacket(codec, VideoPacketType.CODED_FRAMES, reader.rest())
        return VideoBody(frame_type, [packet])
    packet_type = reader.u8()
    if packet_type > VideoPacketType.SEQUENCE_END:
        raise ProtocolError(
            f"AVC packet type {packet_type}", code="unsupported", source=_LEGACY_SOURCE
        )
    if packet_type == VideoPacketType.SEQUENCE_END and reader.remaining < 3:
        # Encoders leave the composition time away where it means nothing.
        packet = VideoPacket(codec, VideoPacketType.SEQUENCE_END, b"")
    else:
        composition = reader.i24()
        packet = VideoPacket(
            codec, _PACKET_TYPES[packet_type], reader.rest(), composition
        )
    return VideoBody(frame_type, [packet])


def _decode_enhanced(reader: Reader) -> VideoBody:
    first = reader.u8()
    frame_type = _FRAME_TYPES[first >> 4 & 7]
    packet_type = first & 15
    mod_ex: tuple[ModEx, ...] = ()
    if packet_type == _MOD_EX:
        mod_ex, packet_type = decode_mod_ex(reader, _MOD_EX)
    if frame_type is VideoFrameType.COMMAND and packet_type != VideoPacketType.METADATA:
        return VideoBody(frame_type, [], True, None, mod_ex, reader.u8())
    multitrack = None
    if packet_type == _MULTITRACK:
        octet = reader.u8()
        multitrack = decode_multitrack_type(octet, _SOURCE)
        packet_type = octet & 15
    if packet_type >= len(_PACKET_TYPES):
        raise ProtocolError(
            f"video packet type {packet_type}", code="unsupported", source=_SOURCE
        )
    kind = _PACKET_TYPES[packet_type]
    packets = [_packet(track, kind) for track in decode_tracks(reader, multitrack)]
    return VideoBody(frame_type, packets, True, multitrack, mod_ex)


def _packet(track: Track, packet_type: VideoPacketType) -> VideoPacket:
    codec = _CODECS.get(track.codec, track.codec)
    if packet_type is not VideoPacketType.CODED_FRAMES or codec not in _COMPOSED:
        return VideoPacket(codec, packet_type, track.data, 0, track.track_id)
    reader = Reader(track.data, source=_SOURCE)
    composition = reader.i24()
    return VideoPacket(codec, packet_type, reader.rest(), composition, track.track_id)


def encode_video_body(body: VideoBody) -> bytes:
    """Encode the body of an FLV video tag or RTMP video message.

    Raises:
        UsageError: The body has no such form: a codec or packet type that the legacy
            header cannot bear, several tracks without ``multitrack``, packet types that
            differ between the tracks, a composition time beyond 24 bits, a packet in a
            command frame.

    Source: FLV 10.1 §E.4.3, E-RTMP v2 "Enhanced Video".
    """
    if not body.enhanced:
        return _encode_legacy(body)
    writer = Writer()
    if not body.packets:
        if body.command is None:
            raise UsageError("a video body without packet or command")
        marker = _MOD_EX if body.mod_ex else 0
        writer.u8(0x80 | VideoFrameType.COMMAND << 4 | marker)
        encode_mod_ex(writer, body.mod_ex, _MOD_EX, 0)
        return writer.u8(body.command).getvalue()
    packet_type = body.packets[0].packet_type
    multitrack = body.multitrack
    outer = packet_type if multitrack is None else _MULTITRACK
    if body.frame_type is VideoFrameType.COMMAND and outer != VideoPacketType.METADATA:
        # A reader takes the first octet behind the header for the command.
        raise UsageError("a command frame bears no packet but metadata")
    tracks = []
    for packet in body.packets:
        if packet.packet_type is not packet_type:
            raise UsageError("several packet types in one message")
        head = b""
        if packet_type is VideoPacketType.CODED_FRAMES and packet.codec in _COMPOSED:
            head = _composition(packet)
        tracks.append(Track(packet.track_id, packet.codec, head + packet.payload))
    marker = _MOD_EX if body.mod_ex else outer
    writer.u8(0x80 | body.frame_type << 4 | marker)
    encode_mod_ex(writer, body.mod_ex, _MOD_EX, outer)
    if multitrack is not None:
        writer.u8(multitrack << 4 | packet_type)
    encode_tracks(writer, tracks, multitrack)
    return writer.getvalue()


def _encode_legacy(body: VideoBody) -> bytes:
    if body.multitrack is not None or body.mod_ex:
        raise UsageError("multitrack and ModEx need the enhanced header")
    if body.command is not None:
        return bytes((VideoFrameType.COMMAND << 4 | _LEGACY_AVC, body.command))
    if len(body.packets) != 1 or body.packets[0].track_id:
        raise UsageError("the legacy header bears one packet of track 0")
    if body.frame_type is VideoFrameType.COMMAND:
        raise UsageError("a command frame bears no packet")
    packet = body.packets[0]
    packet_type = packet.packet_type
    number = _LEGACY_NUMBER.get(packet.codec, packet.codec)
    if number > 15:
        raise UsageError(f"codec {packet.codec} needs the enhanced header")
    first = body.frame_type << 4 | number
    if number not in (_LEGACY_AVC, _LEGACY_HEVC):
        if packet_type is not VideoPacketType.CODED_FRAMES:
            raise UsageError(f"{packet_type.name} needs the enhanced header")
        return bytes((first,)) + packet.payload
    if packet_type is VideoPacketType.CODED_FRAMES_X:
        packet_type = VideoPacketType.CODED_FRAMES
    elif packet_type > VideoPacketType.SEQUENCE_END:
        raise UsageError(f"{packet_type.name} needs the enhanced header")
    return b"".join((bytes((first, packet_type)), _composition(packet), packet.payload))


def _composition(packet: VideoPacket) -> bytes:
    composition = packet.composition_time_ms
    if not -0x800000 <= composition < 0x800000:
        raise UsageError(f"composition time of {composition} ms")
    return (composition & 0xFFFFFF).to_bytes(3, "big")
