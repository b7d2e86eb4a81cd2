"""Tracks as the muxer takes them: what the PMT says, and how frames are packed."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from sansmedia.codecs import Codec, aac, h264, h265, latm, opus
from sansmedia.codecs.nal import join_annexb, split_annexb, split_length_prefixed
from sansmedia.sansio import ProtocolError, UsageError

from .av1 import join_ts_obus
from .descriptors import (
    Descriptor,
    DescriptorTag,
    metadata_descriptor,
    registration,
)
from .psi import ElementaryStream
from .streams import DataFormat, StreamType

__all__ = ["MuxTrack", "Packer", "elementary_stream", "make_packer", "stream_id"]

_H264_DELIMITER = b"\x09\xf0"
"""Any type of slice may follow (H.264 §7.3.2.4)."""
_H265_DELIMITER = b"\x46\x01\x50"
"""Any type of slice may follow (H.265 §7.3.2.5)."""


@attrs.frozen
class MuxTrack:
    """One track to be written.

    ``configuration`` by codec, as `Configuration` gives it and FLV and MP4 have it:

    - H.264, H.265: the body of ``avcC``, ``hvcC``: lengths and parameter sets;
    - AV1: the body of ``av1C``; AAC: AudioSpecificConfig; Opus: OpusHead;
    - MP3, AC-3, E-AC-3, data: empty.
    """

    pid: int
    """0x20 to 0x1FFE."""
    codec: Codec | DataFormat
    """What the frames are."""
    configuration: bytes = b""
    """Decoder configuration, in the form above."""
    program_number: int = 1
    """Which program it belongs to."""
    language: str = ""
    """Three letters of ISO 639-2; empty: none is told."""
    annexb: bool = False
    """H.264, H.265: frames have start codes, not lengths in front of units."""
    latm: bool = False
    """AAC in LATM instead of ADTS."""
    dvb: bool = False
    """AC-3 and E-AC-3 by descriptor as in DVB, not by stream_type as in ATSC."""
    descriptors: tuple[Descriptor, ...] = ()
    """Further ones for the PMT."""

    @property
    def is_video(self) -> bool:
        """True for pictures."""
        return isinstance(self.codec, Codec) and self.codec.is_video


def stream_id(track: MuxTrack, number: int) -> int:
    """Return the stream_id of a track's PES packets (ISO 13818-1 §2.4.3.7).

    Args:
        track: The track.
        number: Which one of its kind.
    """
    if track.codec in (Codec.H264, Codec.H265):
        return 0xE0 | number & 15
    if track.codec in (Codec.AAC, Codec.MP3):
        return 0xC0 | number & 31
    return 0xFC if track.codec is DataFormat.KLV_SYNCHRONOUS else 0xBD


_ID3 = b"ID3 "
_GENERAL_METADATA = b"\x01\x00"


def program_descriptors(tracks: list[MuxTrack], number: int) -> tuple[Descriptor, ...]:
    """Return what a PMT says of its program: where ID3 is.

    Source: ISO 13818-1 §2.6.58.
    """
    if not any(track.codec is DataFormat.ID3 for track in tracks):
        return ()
    body = b"\xff\xff" + _ID3 + b"\xff" + _ID3 + b"\x00\x1f" + number.to_bytes(2, "big")
    return (Descriptor(DescriptorTag.METADATA_POINTER, body),)


def _opus_code(configuration: bytes) -> int:
    """Return channel_config_code of an OpusHead."""
    if not configuration:
        return 2
    head = opus.decode_opus_head(b"OpusHead" + configuration.removeprefix(b"OpusHead"))
    if head.mapping_family > 1 or head.channels > 8:
        raise UsageError("MPEG-TS has no descriptor for this mapping of channels")
    return head.channels


def _form(track: MuxTrack) -> tuple[int, tuple[Descriptor, ...]]:
    """Return stream_type and the descriptors that go with it."""
    private = StreamType.PRIVATE_PES
    match track.codec:
        case Codec.H264:
            return StreamType.H264, ()
        case Codec.H265:
            return StreamType.H265, (registration(b"HEVC"),)
        case Codec.AV1:
            if len(track.configuration) < 4:
                return private, (registration(b"AV01"),)
            # Two reserved bits of av1C are hdr_wcg_idc here; 3: nothing is said.
            head = bytearray(track.configuration[:4])
            head[3] = 0xC0 | head[3] & 0x1F
            video = Descriptor(DescriptorTag.AV1_VIDEO, bytes(head))
            return private, (registration(b"AV01"), video)
        case Codec.AAC:
            return (StreamType.LATM if track.latm else StreamType.ADTS), ()
        case Codec.MP3:
            return StreamType.MPEG1_AUDIO, ()
        case Codec.AC3 if track.dvb:
            return private, (Descriptor(DescriptorTag.DVB_AC3, b"\0"),)
        case Codec.EAC3 if track.dvb:
            return private, (Descriptor(DescriptorTag.DVB_ENHANCED_AC3, b"\0"),)
        case Codec.AC3:
            return StreamType.ATSC_AC3, (registration(b"AC-3"),)
        case Codec.EAC3:
            return StreamType.ATSC_EAC3, (registration(b"EAC3"),)
        case Codec.OPUS:
            code = bytes((0x80, _opus_code(track.configuration)))
            extension = Descriptor(DescriptorTag.DVB_EXTENSION, code)
            return private, (registration(b"Opus"), extension)
        case DataFormat.KLV:
            return private, (registration(b"KLVA"),)
        case DataFormat.KLV_SYNCHRONOUS:
            # Rates and size of the decoder's buffer: nothing is promised.
            std = Descriptor(DescriptorTag.METADATA_STD, b"\xc0\0\0" * 3)
            metadata = metadata_descriptor(_GENERAL_METADATA, b"KLVA")
            return StreamType.METADATA_PES, (metadata, std)
        case DataFormat.ID3:
            metadata = metadata_descriptor(b"\xff\xff" + _ID3, _ID3)
            return StreamType.METADATA_PES, (metadata,)
        case _:
            raise UsageError(f"MPEG-TS carries no {track.codec.value}")


def elementary_stream(track: MuxTrack) -> ElementaryStream:
    """Return a track's entry in the PMT. Source: ISO 13818-1 §2.4.4.8."""
    stream_type, descriptors = _form(track)
    if track.language:
        code = track.language.encode("ascii", "replace")
        if len(code) != 3:
            raise UsageError(f"{track.language!r} is no language of three letters")
        language = Descriptor(DescriptorTag.ISO_639_LANGUAGE, code + b"\0")
        descriptors = (*descriptors, language)
    return ElementaryStream(stream_type, track.pid, (*descriptors, *track.descriptors))


Packer = Callable[[bytes, bool], bytes]
"""Frame and whether decoding can begin there in, the piece of a PES packet out."""


class _NalPacker:
    """Access units with start codes, delimiter and parameter sets."""

    def __init__(self, track: MuxTrack) -> None:
        self._annexb = track.annexb
        self._length_size = 4
        self._sets: list[bytes] = []
        if track.codec is Codec.H264:
            self._delimiter, self._is_set = _H264_DELIMITER, h264.is_parameter_set
            self._delimiter_head = 9
            self._mask, self._shift = 0x1F, 0
        else:
            self._delimiter, self._is_set = _H265_DELIMITER, h265.is_parameter_set
            self._delimiter_head = 35
            self._mask, self._shift = 0x3F, 1
        if track.configuration:
            self._read(track)

    def _read(self, track: MuxTrack) -> None:
        if track.codec is Codec.H264:
            avcc = h264.decode_avcc(track.configuration)
            self._length_size = avcc.length_size
            self._sets = [*avcc.sps, *avcc.sps_ext, *avcc.pps]
        else:
            hvcc = h265.decode_hvcc(track.configuration)
            self._length_size = hvcc.length_size
            kinds = (h265.UnitType.VPS, h265.UnitType.SPS, h265.UnitType.PPS)
            self._sets = [unit for kind in kinds for unit in hvcc.units(kind)]

    def __call__(self, frame: bytes, random_access: bool) -> bytes:
        if self._annexb:
            units = split_annexb(frame)
        else:
            units = split_length_prefixed(frame, self._length_size)
        has_delimiter = bool(units) and (
            units[0][0] >> self._shift & self._mask == self._delimiter_head
        )
        needs_sets = random_access and self._sets and not any(map(self._is_set, units))
        if self._annexb and has_delimiter and not needs_sets:
            return frame
        front = [units.pop(0)] if has_delimiter else [self._delimiter]
        if needs_sets:
            front += self._sets
        return join_annexb(front + units)


def _adts_packer(track: MuxTrack) -> Packer:
    config = aac.decode_asc(track.configuration)
    if config.object_type > 4 or config.program_config is not None:
        raise UsageError("ADTS cannot say what this AudioSpecificConfig says")
    header = aac.AdtsHeader(
        config.object_type, config.sampling_frequency, config.channel_configuration, 7
    )
    base = int.from_bytes(aac.encode_adts_header(header), "big") - (7 << 13)

    def pack(frame: bytes, _: bool) -> bytes:
        size = len(frame) + 7
        if size > 0x1FFF:
            raise UsageError(f"ADTS has no frames of {size} octets")
        return (base | size << 13).to_bytes(7, "big") + frame

    return pack


def _latm_packer(track: MuxTrack) -> Packer:
    configuration = track.configuration

    def pack(frame: bytes, _: bool) -> bytes:
        return latm.encode_loas(configuration, frame)

    pack(b"", False)
    return pack


class _OpusPacker:
    """Opus packets behind control headers; the first ones trim the pre-skip."""

    def __init__(self, track: MuxTrack) -> None:
        self._trim = 0
        if track.configuration:
            magic = b"OpusHead"
            data = magic + track.configuration.removeprefix(magic)
            self._trim = opus.decode_opus_head(data).pre_skip

    def __call__(self, frame: bytes, _: bool) -> bytes:
        size, rest = divmod(len(frame), 255)
        octets = b"\xff" * size + bytes((rest,))
        trim = min(self._trim, opus.packet_duration(frame) if self._trim else 0)
        if not trim:
            return b"\x7f\xe0" + octets + frame
        self._trim -= trim
        return b"\x7f\xf0" + octets + trim.to_bytes(2, "big") + frame


class _MetadataPacker:
    """Metadata access units in cells of up to 65,535 octets."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, frame: bytes, random_access: bool) -> bytes:
        pieces = [frame[at : at + 0xFFFF] for at in range(0, len(frame), 0xFFFF)]
        parts: list[bytes] = []
        for index, piece in enumerate(pieces or [b""]):
            first, last = index == 0, index >= len(pieces) - 1
            flags = first << 7 | last << 6 | random_access << 4 | 0xF
            parts.append(bytes((0, self._number, flags)))
            parts += (len(piece).to_bytes(2, "big"), piece)
            self._number = self._number + 1 & 0xFF
        return b"".join(parts)


def make_packer(track: MuxTrack) -> Packer:
    """Return what turns a track's frames into pieces of PES packets.

    Raises:
        UsageError: The configuration is malformed, or there is no form for it.
    """
    try:
        match track.codec:
            case Codec.H264 | Codec.H265:
                return _NalPacker(track)
            case Codec.AAC if track.latm:
                return _latm_packer(track)
            case Codec.AAC:
                return _adts_packer(track)
            case Codec.OPUS:
                return _OpusPacker(track)
            case Codec.AV1:
                return lambda frame, _: join_ts_obus(frame)
            case DataFormat.KLV_SYNCHRONOUS:
                return _MetadataPacker()
            case _:
                return lambda frame, _: frame
    except ProtocolError as error:
        raise UsageError(f"configuration of PID {track.pid}: {error}") from error
