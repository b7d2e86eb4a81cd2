"""AAC: AudioSpecificConfig and the ADTS header.

Rates, channels and frame lengths of `AudioParameters` are those that come out of the
decoder. With spectral band replication a frame of 1024 core samples at 24 kHz comes out
as 2048 samples at 48 kHz: its duration, ``frame_samples / sample_rate``, is the same
either way, so a time line may count in either. Replication that a stream uses without
saying so (implicit signalling) can only be found by decoding, and is not reported.
"""

from __future__ import annotations

import enum

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .bits import BitReader, BitWriter
from .codec import Codec
from .parameters import AudioParameters

__all__ = [
    "SAMPLING_FREQUENCIES",
    "AdtsHeader",
    "AudioSpecificConfig",
    "ProgramConfig",
    "SbrSignalling",
    "asc_from_adts",
    "decode_adts_header",
    "decode_asc",
    "encode_adts_header",
    "encode_asc",
    "parameters",
    "read_asc",
    "split_adts",
]

SAMPLING_FREQUENCIES = (
    96000,
    88200,
    64000,
    48000,
    44100,
    32000,
    24000,
    22050,
    16000,
    12000,
    11025,
    8000,
    7350,
)
"""samplingFrequencyIndex 0 to 12 (ISO 14496-3 Table 1.18)."""
MAX_ADTS_FRAMES = 1024
"""Frames accepted in one piece of ADTS."""

_CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}
_SBR, _PS = 5, 29
_GENERAL_AUDIO = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
_ERROR_RESILIENT = frozenset({17, 19, 20, 21, 22, 23})
_PROFILES = {
    1: "Main",
    2: "LC",
    3: "SSR",
    4: "LTP",
    6: "Scalable",
    17: "ER LC",
    19: "ER LTP",
    20: "ER Scalable",
    23: "LD",
    39: "ELD",
    42: "xHE",
}
_SOURCE = "ISO 14496-3 §1.6.2.1"


class SbrSignalling(enum.Enum):
    """How a configuration speaks of spectral band replication (ISO 14496-3 §1.6.5)."""

    NONE = "none"
    """Not at all; the stream may still use it."""
    HIERARCHICAL = "hierarchical"
    """By object type 5 or 29 in front; old decoders refuse it."""
    BACKWARD_COMPATIBLE = "backward compatible"
    """By an extension at the end; old decoders see plain AAC."""


@attrs.frozen
class ProgramConfig:
    """program_config_element (ISO 14496-3 §4.4.1.1)."""

    element_instance_tag: int
    object_type: int
    sampling_frequency_index: int
    front: tuple[tuple[bool, int], ...]
    """Per element: whether it is a channel pair, and its tag."""
    side: tuple[tuple[bool, int], ...]
    back: tuple[tuple[bool, int], ...]
    lfe: tuple[int, ...]
    associated_data: tuple[int, ...]
    coupling: tuple[tuple[bool, int], ...]
    """Per element: whether it is independently switched, and its tag."""
    mono_mixdown: int | None
    stereo_mixdown: int | None
    matrix_mixdown: int | None
    """Index (2 bits) and pseudo surround flag."""
    comment: bytes

    @property
    def channels(self) -> int:
        """Channels that come out."""
        elements = (*self.front, *self.side, *self.back)
        return sum(1 + is_pair for is_pair, _ in elements) + len(self.lfe)


@attrs.frozen
class AudioSpecificConfig:
    """AudioSpecificConfig of an AAC object type (ISO 14496-3 §1.6.2.1)."""

    object_type: int
    """The core's audioObjectType: 2 is AAC LC."""
    sampling_frequency: int
    """The core's rate."""
    channel_configuration: int
    """0: see ``program_config``."""
    signalling: SbrSignalling = SbrSignalling.NONE
    sbr: bool = False
    ps: bool | None = None
    """Parametric stereo; None if nothing is said."""
    extension_sampling_frequency: int | None = None
    """Rate after replication; set if and only if ``sbr``."""
    short_frames: bool = False
    """frameLengthFlag: frames of 960 (512: 480) samples."""
    core_coder_delay: int | None = None
    """None unless the stream depends on a core coder."""
    program_config: ProgramConfig | None = None
    extension_bits: int | None = None
    """Flags after extensionFlag, as `decode_asc` found them; None if it is 0."""

    @property
    def channels(self) -> int:
        """Channels that come out of the decoder; 0 for a reserved configuration."""
        if self.program_config is not None:
            return self.program_config.channels
        if self.ps and self.channel_configuration == 1:
            return 2
        return _CHANNELS.get(self.channel_configuration, 0)


def _read_object_type(bits: BitReader) -> int:
    value = bits.u(5)
    return 32 + bits.u(6) if value == 31 else value


def _write_object_type(bits: BitWriter, value: int) -> None:
    if value < 31:
        bits.u(5, value)
    else:
        bits.u(5, 31).u(6, value - 32)


def _read_frequency(bits: BitReader) -> int:
    index = bits.u(4)
    if index == 15:
        frequency = bits.u(24)
        if not frequency:
            raise bits.error("sampling frequency 0")
        return frequency
    if index >= len(SAMPLING_FREQUENCIES):
        raise bits.error(f"reserved sampling frequency index {index}")
    return SAMPLING_FREQUENCIES[index]


def _write_frequency(bits: BitWriter, frequency: int) -> None:
    if frequency in SAMPLING_FREQUENCIES:
        bits.u(4, SAMPLING_FREQUENCIES.index(frequency))
    else:
        bits.u(4, 15).u(24, frequency)


def _read_elements(bits: BitReader, count: int) -> tuple[tuple[bool, int], ...]:
    return tuple((bits.flag(), bits.u(4)) for _ in range(count))


def _read_program_config(bits: BitReader) -> ProgramConfig:
    head = (bits.u(4), bits.u(2), bits.u(4))
    front, side, back, lfe = bits.u(4), bits.u(4), bits.u(4), bits.u(2)
    data, coupling = bits.u(3), bits.u(4)
    mono = bits.u(4) if bits.flag() else None
    stereo = bits.u(4) if bits.flag() else None
    matrix = bits.u(3) if bits.flag() else None
    fronts, sides, backs = (_read_elements(bits, n) for n in (front, side, back))
    lfe_tags = tuple(bits.u(4) for _ in range(lfe))
    data_tags = tuple(bits.u(4) for _ in range(data))
    coupling_tags = _read_elements(bits, coupling)
    bits.align()
    comment = bytes(bits.u(8) for _ in range(bits.u(8)))
    return ProgramConfig(
        *head,
        fronts,
        sides,
        backs,
        lfe_tags,
        data_tags,
        coupling_tags,
        mono,
        stereo,
        matrix,
        comment,
    )


def _write_program_config(bits: BitWriter, config: ProgramConfig) -> None:
    bits.u(4, config.element_instance_tag).u(2, config.object_type)
    bits.u(4, config.sampling_frequency_index)
    bits.u(4, len(config.front)).u(4, len(config.side)).u(4, len(config.back))
    bits.u(2, len(config.lfe)).u(3, len(config.associated_data))
    bits.u(4, len(config.coupling))
    for value, width in (
        (config.mono_mixdown, 4),
        (config.stereo_mixdown, 4),
        (config.matrix_mixdown, 3),
    ):
        bits.flag(value is not None)
        if value is not None:
            bits.u(width, value)
    for is_pair, tag in (*config.front, *config.side, *config.back):
        bits.flag(is_pair).u(4, tag)
    for tag in (*config.lfe, *config.associated_data):
        bits.u(4, tag)
    for switched, tag in config.coupling:
        bits.flag(switched).u(4, tag)
    bits.align().u(8, len(config.comment)).put(config.comment)


def _extension_width(object_type: int) -> int:
    """Return how many bits follow extensionFlag = 1, extensionFlag3 included."""
    if object_type == 22:
        return 17
    return 4 if object_type in (17, 19, 20, 23) else 1


def _read_specific(bits: BitReader, config: AudioSpecificConfig) -> AudioSpecificConfig:
    """Read GASpecificConfig (ISO 14496-3 §4.4.1)."""
    short_frames = bits.flag()
    delay = bits.u(14) if bits.flag() else None
    extension = bits.flag()
    program = None
    if config.channel_configuration == 0:
        program = _read_program_config(bits)
    if config.object_type in (6, 20):
        bits.skip(3)
    flags = bits.u(_extension_width(config.object_type)) if extension else None
    if config.object_type in _ERROR_RESILIENT and bits.u(2) > 1:
        raise bits.error("error protection is not carried", code="unsupported")
    return attrs.evolve(
        config,
        short_frames=short_frames,
        core_coder_delay=delay,
        program_config=program,
        extension_bits=flags,
    )


def _read_backward_compatible(
    bits: BitReader, config: AudioSpecificConfig
) -> AudioSpecificConfig:
    if bits.remaining < 16 or bits.u(11) != 0x2B7 or _read_object_type(bits) != _SBR:
        return config
    sbr = bits.flag()
    frequency = _read_frequency(bits) if sbr else None
    ps: bool | None = None
    if sbr and bits.remaining >= 12 and bits.u(11) == 0x548:
        ps = bits.flag()
    return attrs.evolve(
        config,
        signalling=SbrSignalling.BACKWARD_COMPATIBLE,
        sbr=sbr,
        ps=ps,
        extension_sampling_frequency=frequency,
    )


def decode_asc(data: bytes) -> AudioSpecificConfig:
    """Decode an AudioSpecificConfig.

    Object types beyond general audio (ELD, xHE-AAC) are read up to their specific
    configuration.

    Source: ISO 14496-3 §1.6.2.1.

    Raises:
        ProtocolError: Cut short, a reserved rate, or error protection.
    """
    return read_asc(BitReader(data, source=_SOURCE))


def read_asc(bits: BitReader, *, to_the_end: bool = True) -> AudioSpecificConfig:
    """Read an AudioSpecificConfig where a larger structure holds one.

    Source: ISO 14496-3 §1.6.2.1.

    Args:
        bits: Stands behind the configuration afterwards.
        to_the_end: The configuration ends with ``bits``, so that an extension behind
            it can be told from what follows.

    Raises:
        ProtocolError: Cut short, a reserved rate, or error protection.
    """
    object_type = _read_object_type(bits)
    frequency = _read_frequency(bits)
    channels = bits.u(4)
    config = AudioSpecificConfig(object_type, frequency, channels)
    if object_type in (_SBR, _PS):
        replicated = _read_frequency(bits)
        config = AudioSpecificConfig(
            _read_object_type(bits),
            frequency,
            channels,
            SbrSignalling.HIERARCHICAL,
            True,
            True if object_type == _PS else None,
            replicated,
        )
        if config.object_type == 22:
            bits.skip(4)
    if config.object_type in _GENERAL_AUDIO:
        config = _read_specific(bits, config)
        if to_the_end and config.signalling is SbrSignalling.NONE:
            config = _read_backward_compatible(bits, config)
    extension = config.extension_sampling_frequency
    if extension is not None and extension not in (frequency, 2 * frequency):
        raise bits.error(f"replication from {frequency} to {extension} Hz")
    return config


def encode_asc(config: AudioSpecificConfig) -> bytes:
    """Encode an AudioSpecificConfig of object type 1 to 4, 17, 19 or 23.

    Source: ISO 14496-3 §1.6.2.1.

    Raises:
        UsageError: Another object type, or fields that contradict each other.
    """
    if config.object_type not in (1, 2, 3, 4, 17, 19, 23):
        raise UsageError(f"cannot encode audio object type {config.object_type}")
    if (config.channel_configuration == 0) != (config.program_config is not None):
        raise UsageError("channel configuration 0 and a program config go together")
    if config.sbr != (config.extension_sampling_frequency is not None):
        raise UsageError("replication and its rate go together")
    bits = BitWriter()
    extension = config.extension_sampling_frequency
    if config.signalling is SbrSignalling.HIERARCHICAL and extension is not None:
        _write_object_type(bits, _PS if config.ps else _SBR)
        _write_frequency(bits, config.sampling_frequency)
        bits.u(4, config.channel_configuration)
        _write_frequency(bits, extension)
        _write_object_type(bits, config.object_type)
    else:
        _write_object_type(bits, config.object_type)
        _write_frequency(bits, config.sampling_frequency)
        bits.u(4, config.channel_configuration)
    bits.flag(config.short_frames).flag(config.core_coder_delay is not None)
    if config.core_coder_delay is not None:
        bits.u(14, config.core_coder_delay)
    bits.flag(config.extension_bits is not None)
    if config.program_config is not None:
        _write_program_config(bits, config.program_config)
    if config.extension_bits is not None:
        bits.u(_extension_width(config.object_type), config.extension_bits)
    if config.object_type in _ERROR_RESILIENT:
        bits.u(2, 0)
    if config.signalling is SbrSignalling.BACKWARD_COMPATIBLE:
        bits.u(11, 0x2B7).u(5, _SBR).flag(config.sbr)
        if extension is not None:
            _write_frequency(bits, extension)
            if config.ps is not None:
                bits.u(11, 0x548).flag(config.ps)
    return bits.getvalue()


def _frame_samples(config: AudioSpecificConfig) -> int | None:
    if config.object_type not in _GENERAL_AUDIO:
        return None
    long_frame = 512 if config.object_type == 23 else 1024
    samples = long_frame * 15 // 16 if config.short_frames else long_frame
    if config.extension_sampling_frequency is None:
        return samples
    return samples * config.extension_sampling_frequency // config.sampling_frequency


def parameters(asc: bytes) -> AudioParameters:
    """Return the track parameters of an AudioSpecificConfig, as they come out.

    Source: ISO 14496-3 §1.6.5, RFC 6381 §3.3.

    Raises:
        ProtocolError: Malformed configuration, or one without channels.
    """
    config = decode_asc(asc)
    if not config.channels and config.object_type in _GENERAL_AUDIO:
        raise ProtocolError("reserved channel configuration", source=_SOURCE)
    rate = config.sampling_frequency
    shown, profile = config.object_type, _PROFILES.get(config.object_type, "")
    if config.sbr:
        shown, profile = (_PS, "HEv2") if config.ps else (_SBR, "HE")
        rate = config.extension_sampling_frequency or rate
    return AudioParameters(
        Codec.AAC,
        rate,
        config.channels,
        profile or f"Object type {config.object_type}",
        _frame_samples(config),
        f"mp4a.40.{shown}",
    )


@attrs.define
class AdtsHeader:
    """adts_fixed_header and adts_variable_header (ISO 14496-3 §1.A.2.2)."""

    object_type: int
    """audioObjectType 1 to 4."""
    sampling_frequency: int
    channel_configuration: int
    frame_length: int
    """Octets of the frame, header included."""
    raw_data_blocks: int = 1
    """Raw data blocks in the frame, 1 to 4; each has 1024 samples."""
    buffer_fullness: int = 0x7FF
    """0x7FF: variable rate."""
    mpeg2: bool = False
    crc: int | None = None

    @property
    def header_size(self) -> int:
        """Octets of the header: 7, or 9 with a checksum."""
        return 7 if self.crc is None else 9


def decode_adts_header(data: bytes) -> AdtsHeader:
    """Decode the ADTS header at the front of ``data``.

    Source: ISO 14496-3 §1.A.2.2.1, §1.A.2.2.2.

    Raises:
        ProtocolError: No syncword, cut short, or a frame shorter than its header.
    """
    bits = BitReader(data[:9], source="ISO 14496-3 §1.A.2")
    if bits.u(12) != 0xFFF:
        raise bits.error("no ADTS syncword")
    mpeg2 = bits.flag()
    if bits.u(2):
        raise bits.error("layer is not 0")
    no_crc = bits.flag()
    object_type, index = bits.u(2) + 1, bits.u(4)
    if index >= len(SAMPLING_FREQUENCIES):
        raise bits.error(f"reserved sampling frequency index {index}")
    bits.skip(1)
    channels = bits.u(3)
    bits.skip(4)
    length, fullness, blocks = bits.u(13), bits.u(11), bits.u(2) + 1
    crc = None if no_crc else bits.u(16)
    header = AdtsHeader(
        object_type,
        SAMPLING_FREQUENCIES[index],
        channels,
        length,
        blocks,
        fullness,
        mpeg2,
        crc,
    )
    if length < header.header_size:
        raise bits.error(f"frame of {length} octets is shorter than its header")
    return header


def encode_adts_header(header: AdtsHeader) -> bytes:
    """Encode an ADTS header of 7 or 9 octets.

    Source: ISO 14496-3 §1.A.2.2.1, §1.A.2.2.2.

    Raises:
        UsageError: ADTS cannot express a field (rate, channels, length).
    """
    if header.sampling_frequency not in SAMPLING_FREQUENCIES:
        raise UsageError(f"ADTS has no rate of {header.sampling_frequency} Hz")
    bits = BitWriter().u(12, 0xFFF).flag(header.mpeg2).u(2, 0)
    bits.flag(header.crc is None).u(2, header.object_type - 1)
    bits.u(4, SAMPLING_FREQUENCIES.index(header.sampling_frequency)).u(1, 0)
    bits.u(3, header.channel_configuration).u(4, 0).u(13, header.frame_length)
    bits.u(11, header.buffer_fullness).u(2, header.raw_data_blocks - 1)
    if header.crc is not None:
        bits.u(16, header.crc)
    return bits.getvalue()


def split_adts(data: bytes) -> list[tuple[AdtsHeader, bytes]]:
    """Return header and raw data of each whole ADTS frame in ``data``.

    Source: ISO 14496-3 §1.A.2.2.

    Raises:
        ProtocolError: A frame does not begin with a header, passes the end, or there
            are more than `MAX_ADTS_FRAMES`.
    """
    frames: list[tuple[AdtsHeader, bytes]] = []
    position = 0
    source = "ISO 14496-3 §1.A.2"
    while position < len(data):
        header = decode_adts_header(data[position : position + 9])
        end = position + header.frame_length
        if end > len(data):
            raise ProtocolError("ADTS frame cut short", code="truncated", source=source)
        if len(frames) >= MAX_ADTS_FRAMES:
            raise ProtocolError("too many ADTS frames", code="limit", source=source)
        frames.append((header, data[position + header.header_size : end]))
        position = end
    return frames


def asc_from_adts(header: AdtsHeader) -> bytes:
    """Return the AudioSpecificConfig that describes an ADTS stream.

    Source: ISO 14496-3 §1.6.2.1, §1.A.2.2.

    Raises:
        ProtocolError: Channel configuration 0: the raw data itself would tell.
    """
    if not header.channel_configuration:
        raise ProtocolError("ADTS without channel configuration", source=_SOURCE)
    return encode_asc(
        AudioSpecificConfig(
            header.object_type, header.sampling_frequency, header.channel_configuration
        )
    )
