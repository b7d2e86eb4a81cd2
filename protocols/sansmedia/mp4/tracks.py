"""What an initialisation segment says about one track."""

from __future__ import annotations

import attrs

from sansmedia.codecs import Codec
from sansmedia.sansio import UsageError

__all__ = ["BitRate", "Colour", "Mp4Track", "pack_language", "unpack_language"]


def _check(bits: int, *values: int) -> None:
    for value in values:
        if value >> bits:
            raise UsageError(f"{value} does not fit {bits} bits")


@attrs.frozen
class Colour:
    """Colour of a video track by the numbers of ITU-T H.273 (``colr``, ``nclx``)."""

    primaries: int
    """ColourPrimaries, 16 bits."""
    transfer: int
    """TransferCharacteristics, 16 bits."""
    matrix: int
    """MatrixCoefficients, 16 bits."""
    full_range: bool = False
    """VideoFullRangeFlag."""

    def __attrs_post_init__(self) -> None:
        _check(16, self.primaries, self.transfer, self.matrix)


@attrs.frozen
class BitRate:
    """Bit rates of a track (``btrt``)."""

    maximum_bps: int
    """Highest rate over any second, bits a second."""
    average_bps: int
    """Average rate, bits a second."""
    buffer_size: int = 0
    """Decoding buffer, octets; 0 = not known."""

    def __attrs_post_init__(self) -> None:
        _check(32, self.maximum_bps, self.average_bps, self.buffer_size)


@attrs.frozen
class Mp4Track:
    """One track of an initialisation segment.

    ``configuration`` by codec:

    - H.264, H.265, AV1: the body of ``avcC``, ``hvcC``, ``av1C``;
    - VP9, VP8: VPCodecConfigurationRecord, with or without the version and flags of
      ``vpcC``; may be empty for VP8;
    - AAC: AudioSpecificConfig;
    - Opus: OpusHead, with or without its magic; empty = no pre-skip;
    - FLAC: STREAMINFO, or metadata blocks, with or without ``fLaC`` before them;
    - AC-3, E-AC-3: the body of ``dac3``/``dec3``, or the first packet;
    - MP3: empty.

    The reader gives the first form of each, Opus with its magic.
    """

    track_id: int
    """1 to 2**32 - 1."""
    codec: Codec
    """What the samples are."""
    timescale: int
    """Ticks a second of all times of the track."""
    configuration: bytes = b""
    """Decoder configuration, in the form above."""
    width: int = 0
    """Pixels; 0 = what the configuration says."""
    height: int = 0
    """Pixels; 0 = what the configuration says."""
    sample_rate: int = 0
    """Hertz; 0 = what the configuration says."""
    channels: int = 0
    """Audio channels; 0 = what the configuration says."""
    language: str = "und"
    """Three lower-case letters of ISO 639-2."""
    sample_entry: str = ""
    """Four-character code where a codec has several (``avc3``, ``hev1``, ``.mp3``);
    empty = the usual one."""
    colour: Colour | None = None
    """Colour, if known."""
    pixel_aspect: tuple[int, int] | None = None
    """Horizontal and vertical spacing of a pixel, if known."""
    bit_rate: BitRate | None = None
    """Bit rates, if known."""

    def __attrs_post_init__(self) -> None:
        if not self.track_id or not self.timescale:
            raise UsageError("a track needs an id and a timescale")
        _check(32, self.track_id, self.timescale, self.sample_rate)
        _check(16, self.width, self.height, self.channels)
        _check(32, *(self.pixel_aspect or ()))
        pack_language(self.language)


def pack_language(language: str) -> int:
    """Return the 15-bit form of a language: three letters of five bits.

    Source: ISO 14496-12 §8.4.2.3.
    Raises: UsageError if it is not three letters from a to z.
    """
    if len(language) != 3 or not all("a" <= letter <= "z" for letter in language):
        raise UsageError(f"not a language of ISO 639-2: {language!r}")
    first, second, third = (ord(letter) - 0x60 for letter in language)
    return first << 10 | second << 5 | third


def unpack_language(packed: int) -> str:
    """Return the three letters of a packed language, ``und`` if they are none.

    Source: ISO 14496-12 §8.4.2.3.
    """
    letters = [(packed >> shift & 0x1F) + 0x60 for shift in (10, 5, 0)]
    if all(0x61 <= letter <= 0x7A for letter in letters):
        return bytes(letters).decode("ascii")
    return "und"
