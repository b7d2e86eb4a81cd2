"""VP9: the uncompressed header, superframes, and vpcC (which VP8 shares)."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .bits import BitReader
from .codec import Codec
from .parameters import VideoParameters, check_size

__all__ = [
    "FrameHeader",
    "VpCodecConfigurationRecord",
    "codec_string",
    "decode_frame_header",
    "decode_vpcc",
    "encode_vpcc",
    "is_random_access",
    "level_for_size",
    "parameters",
    "parameters_from_frame_header",
    "split_superframe",
    "vpcc_from_frame_header",
]

_SYNC_CODE = 0x498342
_SOURCE = "VP9 §6.2"
_CS_RGB = 7
_COLOUR_SPACES = (
    (2, 2, 2),
    (6, 6, 6),
    (1, 1, 1),
    (6, 6, 6),
    (7, 7, 7),
    (9, 14, 9),
    (2, 2, 2),
    (1, 13, 0),
)
"""color_space 0 to 7 as primaries, transfer and matrix of ISO 23091-2."""
_CHROMA = ("4:2:0", "4:2:0", "4:2:2", "4:4:4", "4:4:0")
_LEVELS = (
    (10, 36864),
    (11, 73728),
    (20, 122880),
    (21, 245760),
    (30, 552960),
    (31, 983040),
    (40, 2228224),
    (50, 8912896),
    (60, 35651584),
)
"""Level and its largest picture (VP9 §A.2); rates tell no lower one apart."""


@attrs.define
class FrameHeader:
    """The start of uncompressed_header (VP9 §6.2)."""

    profile: int
    key_frame: bool
    show_frame: bool
    show_existing_frame: bool = False
    error_resilient_mode: bool = False
    intra_only: bool = False
    bit_depth: int = 8
    color_space: int = 0
    full_range: bool = False
    subsampling_x: bool = True
    subsampling_y: bool = True
    width: int = 0
    """0 unless an intra frame."""
    height: int = 0
    """0 unless an intra frame."""

    @property
    def chroma(self) -> str:
        """For example ``"4:2:0"``."""
        if not self.subsampling_x:
            return "4:4:0" if self.subsampling_y else "4:4:4"
        return "4:2:0" if self.subsampling_y else "4:2:2"


@attrs.frozen
class VpCodecConfigurationRecord:
    """VPCodecConfigurationRecord (VP codec ISO BMFF binding, version 1)."""

    profile: int
    level: int
    """Ten times the level; 0: unknown."""
    bit_depth: int
    chroma_subsampling: int
    """0, 1: 4:2:0 (vertical, colocated); 2: 4:2:2; 3: 4:4:4; 4: 4:4:0."""
    full_range: bool = False
    colour_primaries: int = 2
    transfer_characteristics: int = 2
    matrix_coefficients: int = 2
    initialization_data: bytes = b""
    """Empty for VP8 and VP9."""


def _read_color_config(bits: BitReader, header: FrameHeader) -> None:
    """Read color_config (VP9 §6.2.2)."""
    odd = bool(header.profile & 1)
    if header.profile >= 2:
        header.bit_depth = 12 if bits.flag() else 10
    header.color_space = bits.u(3)
    if header.color_space == _CS_RGB:
        if not odd:
            raise bits.error(f"RGB in profile {header.profile}")
        header.full_range = True
        header.subsampling_x = header.subsampling_y = False
        bits.skip(1)
        return
    header.full_range = bits.flag()
    if odd:
        header.subsampling_x, header.subsampling_y = bits.flag(), bits.flag()
        bits.skip(1)


def decode_frame_header(data: bytes) -> FrameHeader:
    """Decode the uncompressed header of a frame up to its size.

    Source: VP9 §6.2.

    Args:
        data: A frame (see `split_superframe`); its first 20 octets are enough.

    Raises:
        ProtocolError: Cut short, a wrong marker or sync code, a reserved profile, or a
            picture beyond `MAX_DIMENSION`.
    """
    bits = BitReader(data[:20], source=_SOURCE)
    if bits.u(2) != 2:
        raise bits.error("frame_marker is not 2")
    profile = bits.u(1) | bits.u(1) << 1
    if profile == 3 and bits.flag():
        raise bits.error("reserved profile")
    if bits.flag():
        return FrameHeader(profile, False, True, show_existing_frame=True)
    header = FrameHeader(profile, not bits.flag(), bits.flag())
    header.error_resilient_mode = bits.flag()
    if not header.key_frame:
        header.intra_only = not header.show_frame and bits.flag()
        if not header.error_resilient_mode:
            bits.skip(2)
        if not header.intra_only:
            return header
    if bits.u(24) != _SYNC_CODE:
        raise bits.error("no frame_sync_code")
    if header.key_frame or profile > 0:
        _read_color_config(bits, header)
    if header.intra_only:
        bits.skip(8)
    header.width, header.height = bits.u(16) + 1, bits.u(16) + 1
    check_size(header.width, header.height, source=_SOURCE)
    return header


def split_superframe(data: bytes) -> list[bytes]:
    """Return the frames of a superframe; a single frame comes back alone.

    Source: VP9 Annex B.

    Raises:
        ProtocolError: The frames of the index do not fit the data.
    """
    if not data:
        return []
    marker = data[-1]
    if marker & 0xE0 != 0xC0:
        return [data]
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = len(data) - 2 - count * width
    if index < 0 or data[index] != marker:
        return [data]
    frames: list[bytes] = []
    position = 0
    for number in range(count):
        start = index + 1 + number * width
        size = int.from_bytes(data[start : start + width], "little")
        if position + size > index:
            raise ProtocolError(
                "superframe index passes the end", code="truncated", source="VP9 §B"
            )
        if size:
            frames.append(data[position : position + size])
        position += size
    return frames


def is_random_access(data: bytes) -> bool:
    """Tell whether a frame or superframe begins with a key frame.

    Malformed data is no place to begin.

    Source: VP9 §6.2.
    """
    try:
        return decode_frame_header(data).key_frame
    except ProtocolError:
        return False


def level_for_size(width: int, height: int) -> int:
    """Return ten times the lowest level that allows the picture size.

    Source: VP9 §A.2. The stream itself declares no level.
    """
    area = width * height
    return next((level for level, largest in _LEVELS if area <= largest), 62)


def _level_name(level: int) -> str:
    whole, tenth = divmod(level, 10)
    if not level:
        return ""
    return f"{whole}.{tenth}" if tenth else str(whole)


def codec_string(
    record: VpCodecConfigurationRecord, *, sample_entry: str = "vp09"
) -> str:
    """Return for example ``vp09.00.10.08``; the long form where its rest matters.

    Source: VP codec ISO BMFF binding, codecs parameter string.
    """
    level = record.level or 10
    short = f"{sample_entry}.{record.profile:02}.{level:02}.{record.bit_depth:02}"
    colour = (
        record.colour_primaries,
        record.transfer_characteristics,
        record.matrix_coefficients,
    )
    if (
        record.chroma_subsampling <= 1
        and not record.full_range
        and all(value in (1, 2) for value in colour)
    ):
        return short
    return (
        f"{short}.{record.chroma_subsampling:02}.{colour[0]:02}.{colour[1]:02}"
        f".{colour[2]:02}.{record.full_range:02d}"
    )


def _parameters(
    record: VpCodecConfigurationRecord, width: int, height: int, codec: Codec
) -> VideoParameters:
    entry = "vp08" if codec is Codec.VP8 else "vp09"
    return VideoParameters(
        codec,
        width,
        height,
        f"Profile {record.profile}",
        _level_name(record.level),
        None,
        record.bit_depth,
        _CHROMA[record.chroma_subsampling],
        codec_string(record, sample_entry=entry),
    )


def parameters(vpcc: bytes, codec: Codec = Codec.VP9) -> VideoParameters:
    """Return the track parameters of a configuration record, width and height 0.

    Only a key frame tells the size: see `parameters_from_frame_header`.

    Raises:
        ProtocolError: The record is malformed.
    """
    return _parameters(decode_vpcc(vpcc), 0, 0, codec)


def _record(header: FrameHeader) -> VpCodecConfigurationRecord:
    chroma = {"4:2:0": 1, "4:2:2": 2, "4:4:4": 3, "4:4:0": 4}[header.chroma]
    return VpCodecConfigurationRecord(
        header.profile,
        level_for_size(header.width, header.height),
        header.bit_depth,
        chroma,
        header.full_range,
        *_COLOUR_SPACES[header.color_space],
    )


def parameters_from_frame_header(header: FrameHeader) -> VideoParameters:
    """Return the track parameters that a key frame gives; the level is the lowest."""
    return _parameters(_record(header), header.width, header.height, Codec.VP9)


def decode_vpcc(data: bytes) -> VpCodecConfigurationRecord:
    """Decode the body of the ``vpcC`` box, or the record alone.

    Writers of E-RTMP differ in whether the FullBox header comes first; a record that
    began with its four octets would have a bit depth of 0.

    Source: VP codec ISO BMFF binding, VP Codec Configuration Box.

    Raises:
        ProtocolError: Cut short, another version, or a field out of range.
    """
    source = "VP codec ISO BMFF binding"
    reader = Reader(data, source=source)
    if data[:4] == b"\1\0\0\0":
        reader.skip(4)
    profile, level, packed = reader.u8(), reader.u8(), reader.u8()
    depth, chroma = packed >> 4, packed >> 1 & 7
    if profile > 3 or depth not in (8, 10, 12) or chroma >= len(_CHROMA):
        raise ProtocolError("vpcC field out of range", source=source)
    colour = reader.u8(), reader.u8(), reader.u8()
    return VpCodecConfigurationRecord(
        profile,
        level,
        depth,
        chroma,
        bool(packed & 1),
        *colour,
        reader.take(reader.u16()),
    )


def encode_vpcc(record: VpCodecConfigurationRecord, *, full_box: bool = True) -> bytes:
    """Encode the body of the ``vpcC`` box, FullBox header first unless told otherwise.

    Source: VP codec ISO BMFF binding, VP Codec Configuration Box.

    Raises:
        UsageError: A field does not fit its width.
    """
    if record.bit_depth > 15 or not 0 <= record.chroma_subsampling < len(_CHROMA):
        raise UsageError("bit depth or chroma does not fit vpcC")
    writer = Writer()
    if full_box:
        writer.u32(1 << 24)
    writer.u8(record.profile).u8(record.level)
    writer.u8(
        record.bit_depth << 4 | record.chroma_subsampling << 1 | record.full_range
    )
    writer.u8(record.colour_primaries).u8(record.transfer_characteristics)
    writer.u8(record.matrix_coefficients).u16(len(record.initialization_data))
    return writer.put(record.initialization_data).getvalue()


def vpcc_from_frame_header(header: FrameHeader) -> bytes:
    """Build a vpcC body from a key frame; the level is the lowest for its size."""
    return encode_vpcc(_record(header))
