"""Sample entries: how ``stsd`` names a codec and carries its configuration.

Source: ISO 14496-12 §8.5.2, §12.1.3, §12.2.3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import attrs

from sansmedia.codecs import Codec, flac
from sansmedia.sansio import ProtocolError, Reader, UsageError

from . import configurations as forms
from .boxes import decode_boxes, encode_box, encode_full_box
from .descriptors import (
    AAC_OBJECT_TYPES,
    MP3_OBJECT_TYPES,
    decode_elementary_stream,
    encode_elementary_stream,
)
from .limits import Limits
from .tracks import BitRate, Colour, Mp4Track

__all__ = [
    "SampleEntry",
    "decode_sample_entry",
    "encode_sample_entry",
    "mp3_object_type",
]

_SOURCE = "ISO 14496-12 §8.5.2"
_FOUR_CC: Mapping[Codec, tuple[str, ...]] = {
    Codec.H264: ("avc1", "avc3"),
    Codec.H265: ("hvc1", "hev1"),
    Codec.AV1: ("av01",),
    Codec.VP9: ("vp09",),
    Codec.VP8: ("vp08",),
    Codec.AAC: ("mp4a",),
    Codec.MP3: ("mp4a", ".mp3"),
    Codec.OPUS: ("Opus",),
    Codec.FLAC: ("fLaC",),
    Codec.AC3: ("ac-3",),
    Codec.EAC3: ("ec-3",),
}
"""The codes of each codec, the usual one first."""
_CODECS = {
    code.encode(): codec
    for codec, codes in _FOUR_CC.items()
    for code in codes
    if code != "mp4a"
}
_LOWEST_MPEG1_RATE = 32_000


def encode_sample_entry(track: Mp4Track) -> bytes:
    """Return the sample entry of a track, its configuration box inside.

    Source: ISO 14496-12 §12.1.3, §12.2.3; ISO 14496-15 §5.4.2, §8.4.1; AV1 in ISO BMFF
        §2.2; VP in ISO BMFF §2; ISO 14496-14 §5.6; Opus in ISO BMFF §4.3.1; FLAC in
        ISO BMFF §3.3.1; ETSI TS 102 366 §F.2, §F.5.
    Raises: UsageError if MP4 has no entry of that name for the codec; ProtocolError if
        a configuration that must be read to be written is damaged.
    """
    codes = _FOUR_CC.get(track.codec, ())
    code = track.sample_entry or (codes[0] if codes else "")
    if code not in codes:
        raise UsageError(f"no sample entry {code!r} for {track.codec.name}")
    if track.codec.is_video:
        return _encode_visual(track, code.encode())
    return _encode_audio(track, code.encode())


def _encode_visual(track: Mp4Track, code: bytes) -> bytes:
    configuration = track.configuration
    if track.codec is Codec.H264:
        inner = encode_box(b"avcC", configuration)
    elif track.codec is Codec.H265:
        inner = encode_box(b"hvcC", configuration)
    elif track.codec is Codec.AV1:
        inner = encode_box(b"av1C", configuration)
    else:
        inner = encode_box(b"vpcC", forms.encode_vpcc(configuration))
    # 72 dots an inch, one frame a sample, no compressor name, 24 bits of depth.
    fields = struct.pack(
        ">6xH16xHHIIIH32xHh",
        1,
        track.width,
        track.height,
        0x00480000,
        0x00480000,
        0,
        1,
        0x0018,
        -1,
    )
    return encode_box(code, fields, inner, _encode_visual_extras(track))


def _encode_visual_extras(track: Mp4Track) -> bytes:
    extras = b""
    if track.colour is not None:
        colour = track.colour
        extras += encode_box(
            b"colr",
            b"nclx",
            struct.pack(
                ">HHHB",
                colour.primaries,
                colour.transfer,
                colour.matrix,
                colour.full_range << 7,
            ),
        )
    if track.pixel_aspect is not None:
        extras += encode_box(b"pasp", struct.pack(">II", *track.pixel_aspect))
    return extras + _encode_bit_rate(track)


def _encode_bit_rate(track: Mp4Track) -> bytes:
    rate = track.bit_rate
    if rate is None:
        return b""
    return encode_box(
        b"btrt",
        struct.pack(">III", rate.buffer_size, rate.maximum_bps, rate.average_bps),
    )


def _encode_audio(track: Mp4Track, code: bytes) -> bytes:
    sample_rate = track.sample_rate
    configuration = track.configuration
    sample_size = 16
    if code == b".mp3":
        inner = b""
    elif track.codec in (Codec.AAC, Codec.MP3):
        inner = encode_full_box(b"esds", 0, 0, _encode_descriptor(track))
    elif track.codec is Codec.OPUS:
        sample_rate = 48_000
        inner = encode_box(
            b"dOps",
            forms.encode_dops(
                configuration, track.channels or 2, track.sample_rate or 48_000
            ),
        )
    elif track.codec is Codec.FLAC:
        stream_info = flac.decode_streaminfo(flac.streaminfo_of(configuration))
        sample_size = stream_info.bits_per_sample
        inner = encode_box(b"dfLa", forms.encode_dfla(configuration))
    elif track.codec is Codec.AC3:
        inner = encode_box(b"dac3", forms.encode_dac3(configuration))
    else:
        inner = encode_box(b"dec3", forms.encode_dec3(configuration))
    # A rate of 65,536 Hz or more does not fit 16.16 and is left to the configuration.
    fixed_rate = sample_rate << 16 if sample_rate < 1 << 16 else 0
    fields = struct.pack(">6xH8xHH4xI", 1, track.channels or 2, sample_size, fixed_rate)
    return encode_box(code, fields, inner, _encode_bit_rate(track))


def mp3_object_type(sample_rate: int) -> int:
    """Return objectTypeIndication of MP3: 0x69 for MPEG-2 rates, else 0x6B.

    Source: ISO 14496-1 §7.2.6.6.
    """
    return 0x69 if 0 < sample_rate < _LOWEST_MPEG1_RATE else 0x6B


def _encode_descriptor(track: Mp4Track) -> bytes:
    rate = track.bit_rate or BitRate(0, 0)
    is_aac = track.codec is Codec.AAC
    return encode_elementary_stream(
        0x40 if is_aac else mp3_object_type(track.sample_rate),
        track.configuration if is_aac else b"",
        buffer_size=rate.buffer_size,
        maximum_bps=rate.maximum_bps,
        average_bps=rate.average_bps,
    )


@attrs.frozen
class SampleEntry:
    """What a sample entry says; `Mp4Track` has the meaning of the fields."""

    codec: Codec
    code: str
    configuration: bytes
    width: int = 0
    height: int = 0
    sample_rate: int = 0
    channels: int = 0
    colour: Colour | None = None
    pixel_aspect: tuple[int, int] | None = None
    bit_rate: BitRate | None = None


def decode_sample_entry(
    kind: bytes, body: bytes, limits: Limits | None = None, *, stsd_version: int = 0
) -> SampleEntry | None:
    """Decode one child of ``stsd``; None if it is of a codec not known here.

    Source: ISO 14496-12 §12.1.3, §12.2.3.

    Args:
        kind: Four-character code.
        body: Octets after the header.
        limits: Number of boxes is judged; the default is `Limits()`.
        stsd_version: Version of the box around it, which alone tells an
            AudioSampleEntryV1 (in version 1) from QuickTime's version 1.
    Raises: ProtocolError ``truncated``, ``malformed``, ``unsupported`` or ``limit``.
    """
    bounds = limits or Limits()
    if kind == b"mp4a":
        return _decode_audio(None, "mp4a", body, bounds, stsd_version)
    codec = _CODECS.get(kind)
    if codec is None:
        return None
    code = kind.decode("ascii")
    if codec.is_video:
        return _decode_visual(codec, code, body, bounds)
    return _decode_audio(codec, code, body, bounds, stsd_version)


def _decode_visual(codec: Codec, code: str, body: bytes, limits: Limits) -> SampleEntry:
    reader = Reader(body, source=_SOURCE)
    reader.skip(24)
    width, height = reader.u16(), reader.u16()
    reader.skip(50)
    boxes = _decode_inner(reader.rest(), limits)
    name, decode = _VISUAL_CONFIGURATIONS[codec]
    configuration = boxes.get(name)
    if configuration is None:
        raise ProtocolError(f"{code} without {name.decode()}", source=_SOURCE)
    return SampleEntry(
        codec,
        code,
        decode(configuration),
        width=width,
        height=height,
        colour=_decode_colour(boxes.get(b"colr", b"")),
        pixel_aspect=_decode_pair(boxes.get(b"pasp", b"")),
        bit_rate=_decode_bit_rate(boxes.get(b"btrt", b"")),
    )


_VISUAL_CONFIGURATIONS: Mapping[Codec, tuple[bytes, Callable[[bytes], bytes]]] = {
    Codec.H264: (b"avcC", bytes),
    Codec.H265: (b"hvcC", bytes),
    Codec.AV1: (b"av1C", bytes),
    Codec.VP9: (b"vpcC", forms.decode_vpcc),
    Codec.VP8: (b"vpcC", forms.decode_vpcc),
}


def _decode_audio(
    codec: Codec | None, code: str, body: bytes, limits: Limits, stsd_version: int
) -> SampleEntry | None:
    reader = Reader(body, source=_SOURCE)
    reader.skip(8)
    version = reader.u16()
    reader.skip(6)
    channels = reader.u16()
    reader.skip(6)
    sample_rate = reader.u32() >> 16
    # QuickTime's longer forms of the same entry, in a version 0 of stsd only.
    if version == 1 and stsd_version == 0:
        reader.skip(16)
    elif version == 2 and stsd_version == 0:
        sample_rate, channels = _decode_quicktime_v2(reader)
    boxes = _decode_inner(reader.rest(), limits)
    if len(boxes.get(b"srat", b"")) >= 8:
        # The true rate, where 16 bits are too few for it.
        sample_rate = int.from_bytes(boxes[b"srat"][4:8], "big")
    configuration = b""
    if code == "mp4a":
        codec, configuration = _decode_descriptor(boxes)
    elif codec in _AUDIO_CONFIGURATIONS:
        name, decode = _AUDIO_CONFIGURATIONS[codec]
        if name not in boxes:
            raise ProtocolError(f"{code} without {name.decode()}", source=_SOURCE)
        configuration = decode(boxes[name])
    if codec is None:
        return None
    return SampleEntry(
        codec,
        code,
        configuration,
        sample_rate=sample_rate,
        channels=channels,
        bit_rate=_decode_bit_rate(boxes.get(b"btrt", b"")),
    )


def _decode_quicktime_v2(reader: Reader) -> tuple[int, int]:
    """Read rate and channels; those in the fields of version 0 are constants."""
    reader.skip(4)
    rate = reader.f64()
    channels = reader.u32()
    reader.skip(20)
    # 0 means what the configuration says; a rate may be NaN here.
    return (
        int(rate) if 0 <= rate < 1 << 32 else 0,
        channels if channels < 1 << 16 else 0,
    )


_AUDIO_CONFIGURATIONS: Mapping[Codec | None, tuple[bytes, Callable[[bytes], bytes]]] = {
    Codec.OPUS: (b"dOps", forms.decode_dops),
    Codec.FLAC: (b"dfLa", forms.decode_dfla),
    Codec.AC3: (b"dac3", bytes),
    Codec.EAC3: (b"dec3", bytes),
}


def _decode_descriptor(boxes: Mapping[bytes, bytes]) -> tuple[Codec | None, bytes]:
    if b"esds" not in boxes:
        raise ProtocolError("mp4a without esds", source="ISO 14496-14 §5.6")
    reader = Reader(boxes[b"esds"], source="ISO 14496-14 §5.6")
    reader.skip(4)
    object_type, specific_info = decode_elementary_stream(reader.rest())
    if object_type in AAC_OBJECT_TYPES:
        return Codec.AAC, specific_info
    return (Codec.MP3 if object_type in MP3_OBJECT_TYPES else None), b""


def _decode_inner(data: bytes, limits: Limits) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for box in decode_boxes(data, limits, containers=()):
        # There may be several colr: of ICC profiles, and the one with numbers.
        if box.kind != b"colr" or box.payload.startswith(b"nclx"):
            found.setdefault(box.kind, box.payload)
    return found


def _decode_colour(body: bytes) -> Colour | None:
    if len(body) < 11:
        return None
    reader = Reader(body, source="ISO 14496-12 §12.1.5")
    reader.skip(4)
    return Colour(reader.u16(), reader.u16(), reader.u16(), bool(reader.u8() & 0x80))


def _decode_pair(body: bytes) -> tuple[int, int] | None:
    if len(body) < 8:
        return None
    reader = Reader(body, source="ISO 14496-12 §12.1.4")
    return reader.u32(), reader.u32()


def _decode_bit_rate(body: bytes) -> BitRate | None:
    if len(body) < 12:
        return None
    reader = Reader(body, source="ISO 14496-12 §8.5.2")
    buffer_size, maximum_bps, average_bps = reader.u32(), reader.u32(), reader.u32()
    return BitRate(maximum_bps, average_bps, buffer_size)
