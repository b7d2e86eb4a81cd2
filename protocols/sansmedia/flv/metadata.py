"""onMetaData and colorInfo: names for what script data says about a stream.

These functions work on AMF values that are decoded already, because AMF and FLV are
libraries of one layer; ``sansmedia.amf`` goes on either side::

    metadata = decode_metadata(amf0.decode_values(tag.body))
    body = amf0.encode_values(ON_META_DATA, EcmaArray(metadata.properties()))

Metadata comes from encoders of every age. A property of an unexpected type is kept as
it came under `Metadata.other`, so that nothing is lost and nothing fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import attrs

from sansmedia.sansio import ProtocolError

from .fourcc import LEGACY_AUDIO, LEGACY_VIDEO, fourcc

__all__ = [
    "COLOR_INFO",
    "ON_META_DATA",
    "SET_DATA_FRAME",
    "AudioTrackInfo",
    "ColorConfig",
    "ColorInfo",
    "HdrCll",
    "HdrMdcv",
    "Metadata",
    "VideoTrackInfo",
    "decode_color_info",
    "decode_metadata",
]

SET_DATA_FRAME: Final = "@setDataFrame"
"""Stands before `ON_META_DATA` where a publisher wants it stored and relayed."""
ON_META_DATA: Final = "onMetaData"
COLOR_INFO: Final = "colorInfo"

_SOURCE: Final = "E-RTMP v2 Enhancing onMetaData"
_TRACK_IDS: Final = {str(track_id): track_id for track_id in range(256)}
T = TypeVar("T", bound=attrs.AttrsInstance)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _codec(value: object) -> float | str | None:
    return value if isinstance(value, str) else _number(value)


def _key(name: str, read: Callable[[object], object]) -> dict[str, object]:
    """Return what a field needs to know: its property's name and how to read it."""
    return {"name": name, "read": read}


def _other() -> dict[str, object]:
    return {}


def _read(record: type[T], properties: Mapping[str, object]) -> T:
    """Build ``record`` from ``properties``; what does not fit goes to ``other``."""
    other = dict(properties)
    known: dict[str, object] = {}
    for field in attrs.fields(record):
        name = field.metadata.get("name")
        if name in other:
            value = field.metadata["read"](other[name])
            if value is not None:
                known[field.name] = value
                del other[name]
    build: Callable[..., T] = record
    return build(**known, other=other)


def _write(record: attrs.AttrsInstance) -> dict[str, object]:
    properties: dict[str, object] = {}
    for field in attrs.fields(type(record)):
        name = field.metadata.get("name")
        value = getattr(record, field.name)
        if name is not None and value is not None:
            properties[name] = field.metadata.get("write", _same)(value)
        elif field.name == "other":
            properties |= value
    return properties


def _same(value: object) -> object:
    return value


def _legacy_or_fourcc(value: float | str | None, legacy: Sequence[int]) -> int | None:
    """Bring a codec id as encoders write it to the scale of `fourcc`."""
    if isinstance(value, str):
        # Flash Media Live Encoder and its heirs write "avc1" and "mp4a" as strings.
        return fourcc(value) if len(value) == 4 and value.isascii() else None
    if value is None or not 0 <= value < 1 << 32:
        return None
    number = int(value)
    return legacy[number] if number < len(legacy) else number


@attrs.frozen
class VideoTrackInfo:
    """One video track beside track 0; None is what was not said."""

    width: float | None = attrs.field(default=None, metadata=_key("width", _number))
    height: float | None = attrs.field(default=None, metadata=_key("height", _number))
    frame_rate: float | None = attrs.field(
        default=None, metadata=_key("framerate", _number)
    )
    bit_rate_kbps: float | None = attrs.field(
        default=None, metadata=_key("videodatarate", _number)
    )
    codec_number: float | str | None = attrs.field(
        default=None, metadata=_key("videocodecid", _codec)
    )
    """As written: a legacy number, a FourCC's number, or a string."""
    other: dict[str, object] = attrs.field(factory=_other)
    """Everything else, as it came."""

    @property
    def codec(self) -> int | None:
        """The codec id on the scale of `fourcc`, or None."""
        return _legacy_or_fourcc(self.codec_number, LEGACY_VIDEO)


@attrs.frozen
class AudioTrackInfo:
    """One audio track beside track 0; None is what was not said."""

    channel_count: float | None = attrs.field(
        default=None, metadata=_key("channels", _number)
    )
    sample_rate: float | None = attrs.field(
        default=None, metadata=_key("samplerate", _number)
    )
    bit_rate_kbps: float | None = attrs.field(
        default=None, metadata=_key("audiodatarate", _number)
    )
    codec_number: float | str | None = attrs.field(
        default=None, metadata=_key("audiocodecid", _codec)
    )
    """As written: a legacy number, a FourCC's number, or a string."""
    other: dict[str, object] = attrs.field(factory=_other)
    """Everything else, as it came."""

    @property
    def codec(self) -> int | None:
        """The codec id on the scale of `fourcc`, or None."""
        return _legacy_or_fourcc(self.codec_number, LEGACY_AUDIO)


def _track_id(key: object) -> int | None:
    """Read a track id as a key of a map: decimal digits, 0 to 255."""
    return _TRACK_IDS.get(key) if isinstance(key, str) else None


def _tracks(record: type[T]) -> Callable[[object], dict[int, T] | None]:
    """Return a reader of a track map: keys are decimal numbers as strings."""

    def read(value: object) -> dict[int, T] | None:
        if not isinstance(value, Mapping) or len(value) > len(_TRACK_IDS):
            return None
        tracks: dict[int, T] = {}
        for key, properties in value.items():
            track_id = _track_id(key)
            if track_id is None or not isinstance(properties, Mapping):
                return None
            tracks[track_id] = _read(record, properties)
        return tracks

    return read


def _write_tracks(tracks: Mapping[int, attrs.AttrsInstance]) -> dict[str, object]:
    return {str(track_id): _write(info) for track_id, info in tracks.items()}


def _track_key(name: str, record: type[T]) -> dict[str, object]:
    return {"name": name, "read": _tracks(record), "write": _write_tracks}


@attrs.frozen
class Metadata:
    """The argument of onMetaData; None is what was not said.

    Source: FLV 10.1 §E.5, E-RTMP v2 "Enhancing onMetaData".
    """

    width: float | None = attrs.field(default=None, metadata=_key("width", _number))
    height: float | None = attrs.field(default=None, metadata=_key("height", _number))
    frame_rate: float | None = attrs.field(
        default=None, metadata=_key("framerate", _number)
    )
    video_bit_rate_kbps: float | None = attrs.field(
        default=None, metadata=_key("videodatarate", _number)
    )
    video_codec_number: float | str | None = attrs.field(
        default=None, metadata=_key("videocodecid", _codec)
    )
    """As written: a legacy number, a FourCC's number, or a string."""
    audio_sample_rate: float | None = attrs.field(
        default=None, metadata=_key("audiosamplerate", _number)
    )
    audio_sample_bits: float | None = attrs.field(
        default=None, metadata=_key("audiosamplesize", _number)
    )
    audio_bit_rate_kbps: float | None = attrs.field(
        default=None, metadata=_key("audiodatarate", _number)
    )
    audio_codec_number: float | str | None = attrs.field(
        default=None, metadata=_key("audiocodecid", _codec)
    )
    """As written: a legacy number, a FourCC's number, or a string."""
    audio_delay: float | None = attrs.field(
        default=None, metadata=_key("audiodelay", _number)
    )
    """Seconds that the codec adds."""
    stereo: bool | None = attrs.field(default=None, metadata=_key("stereo", _flag))
    duration: float | None = attrs.field(
        default=None, metadata=_key("duration", _number)
    )
    """Seconds; 0 for a live stream."""
    file_size: float | None = attrs.field(
        default=None, metadata=_key("filesize", _number)
    )
    can_seek_to_end: bool | None = attrs.field(
        default=None, metadata=_key("canSeekToEnd", _flag)
    )
    creation_date: str | None = attrs.field(
        default=None, metadata=_key("creationdate", _text)
    )
    encoder: str | None = attrs.field(default=None, metadata=_key("encoder", _text))
    """Which program wrote the stream."""
    video_tracks: dict[int, VideoTrackInfo] | None = attrs.field(
        default=None, metadata=_track_key("videoTrackIdInfoMap", VideoTrackInfo)
    )
    """By track id, from 1: what differs from track 0, or all of it."""
    audio_tracks: dict[int, AudioTrackInfo] | None = attrs.field(
        default=None, metadata=_track_key("audioTrackIdInfoMap", AudioTrackInfo)
    )
    other: dict[str, object] = attrs.field(factory=_other)
    """Everything else, as it came."""

    @property
    def video_codec(self) -> int | None:
        """The codec id of video track 0 on the scale of `fourcc`, or None."""
        return _legacy_or_fourcc(self.video_codec_number, LEGACY_VIDEO)

    @property
    def audio_codec(self) -> int | None:
        """The codec id of audio track 0 on the scale of `fourcc`, or None."""
        return _legacy_or_fourcc(self.audio_codec_number, LEGACY_AUDIO)

    def properties(self) -> dict[str, object]:
        """Return the pairs to write; send them as an ECMA array."""
        return _write(self)


def decode_metadata(values: Sequence[object]) -> Metadata:
    """Read a script tag's or data message's values as onMetaData.

    Args:
        values: ``["onMetaData", {...}]``, with or without "@setDataFrame" before it.

    Raises:
        ProtocolError: The values are another call, or the argument is no mapping.

    Source: E-RTMP v2 "Enhancing onMetaData".
    """
    if values and values[0] == SET_DATA_FRAME:
        values = values[1:]
    if len(values) < 2 or values[0] != ON_META_DATA:
        raise ProtocolError("script data is not onMetaData", source=_SOURCE)
    properties = values[1]
    if not isinstance(properties, Mapping):
        raise ProtocolError("onMetaData has no properties", source=_SOURCE)
    return _read(Metadata, properties)


@attrs.frozen
class ColorConfig:
    """Colour as ITU-T H.273 numbers it; None is what was not said."""

    bit_depth: float | None = attrs.field(
        default=None, metadata=_key("bitDepth", _number)
    )
    color_primaries: float | None = attrs.field(
        default=None, metadata=_key("colorPrimaries", _number)
    )
    transfer_characteristics: float | None = attrs.field(
        default=None, metadata=_key("transferCharacteristics", _number)
    )
    matrix_coefficients: float | None = attrs.field(
        default=None, metadata=_key("matrixCoefficients", _number)
    )
    other: dict[str, object] = attrs.field(factory=_other)


@attrs.frozen
class HdrCll:
    """Content light level over the whole playback, cd/m2."""

    max_fall: float | None = attrs.field(
        default=None, metadata=_key("maxFall", _number)
    )
    """Brightest average of a frame."""
    max_cll: float | None = attrs.field(default=None, metadata=_key("maxCLL", _number))
    """Brightest pixel."""
    other: dict[str, object] = attrs.field(factory=_other)


@attrs.frozen
class HdrMdcv:
    """Mastering display: CIE 1931 coordinates and luminance in cd/m2 (ST 2086)."""

    red_x: float | None = attrs.field(default=None, metadata=_key("redX", _number))
    red_y: float | None = attrs.field(default=None, metadata=_key("redY", _number))
    green_x: float | None = attrs.field(default=None, metadata=_key("greenX", _number))
    green_y: float | None = attrs.field(default=None, metadata=_key("greenY", _number))
    blue_x: float | None = attrs.field(default=None, metadata=_key("blueX", _number))
    blue_y: float | None = attrs.field(default=None, metadata=_key("blueY", _number))
    white_point_x: float | None = attrs.field(
        default=None, metadata=_key("whitePointX", _number)
    )
    white_point_y: float | None = attrs.field(
        default=None, metadata=_key("whitePointY", _number)
    )
    max_luminance: float | None = attrs.field(
        default=None, metadata=_key("maxLuminance", _number)
    )
    min_luminance: float | None = attrs.field(
        default=None, metadata=_key("minLuminance", _number)
    )
    other: dict[str, object] = attrs.field(factory=_other)


def _group_key(name: str, record: type[T]) -> dict[str, object]:
    def read(value: object) -> T | None:
        return _read(record, value) if isinstance(value, Mapping) else None

    return {"name": name, "read": read, "write": _write}


@attrs.frozen
class ColorInfo:
    """The colours from the next frame on; without any group, back to the stream's own.

    Source: E-RTMP v2 "Metadata Frame".
    """

    color_config: ColorConfig | None = attrs.field(
        default=None, metadata=_group_key("colorConfig", ColorConfig)
    )
    hdr_cll: HdrCll | None = attrs.field(
        default=None, metadata=_group_key("hdrCll", HdrCll)
    )
    hdr_mdcv: HdrMdcv | None = attrs.field(
        default=None, metadata=_group_key("hdrMdcv", HdrMdcv)
    )
    other: dict[str, object] = attrs.field(factory=_other)

    def properties(self) -> dict[str, object]:
        """Return the pairs to write behind the name "colorInfo"."""
        return _write(self)


def decode_color_info(values: Sequence[object]) -> ColorInfo | None:
    """Find colorInfo in the values of a video METADATA packet.

    Args:
        values: The decoded payload: name, value, name, value, ...

    Returns:
        The colours; an empty record if the value is undefined, null or an empty object
        (a reset); None if the packet speaks of something else.

    Source: E-RTMP v2 "Metadata Frame".
    """
    for name, value in zip(values[::2], values[1::2], strict=False):
        if name == COLOR_INFO:
            return _read(ColorInfo, value if isinstance(value, Mapping) else {})
    return None
