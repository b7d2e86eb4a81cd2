"""MPEG-1, MPEG-2 and MPEG-2.5 audio: the frame header of layers I to III."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError

from .codec import Codec
from .parameters import AudioParameters

__all__ = [
    "FrameHeader",
    "decode_frame_header",
    "parameters_from_frame_header",
]

_SOURCE = "ISO 11172-3 §2.4.1.3"
_VERSIONS = {3: "1", 2: "2", 0: "2.5"}
_RATES = {"1": (44100, 48000, 32000), "2": (22050, 24000, 16000)}
_RATES["2.5"] = (11025, 12000, 8000)
_KBPS_1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
"""Bit rates of MPEG-1 by layer, index 1 to 14 (ISO 11172-3 §2.4.2.3)."""
_KBPS_2 = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of MPEG-2 and 2.5 (ISO 13818-3 §2.4.2.3)."""


@attrs.define
class FrameHeader:
    """The 4 octets in front of every frame."""

    version: str
    """``"1"``, ``"2"`` or ``"2.5"``."""
    layer: int
    bit_rate: int
    """Bits a second; 0: free format."""
    sample_rate: int
    channels: int
    channel_mode: int
    """0 stereo, 1 joint stereo, 2 dual channel, 3 mono."""
    padding: bool
    crc: bool
    """A checksum of 2 octets follows."""

    @property
    def samples(self) -> int:
        """Samples a frame decodes to, per channel."""
        if self.layer == 1:
            return 384
        return 576 if self.layer == 3 and self.version != "1" else 1152

    @property
    def frame_size(self) -> int:
        """Octets of the frame, header included; 0 for free format."""
        if not self.bit_rate:
            return 0
        if self.layer == 1:
            return (12 * self.bit_rate // self.sample_rate + self.padding) * 4
        return self.samples // 8 * self.bit_rate // self.sample_rate + self.padding


def decode_frame_header(data: bytes) -> FrameHeader:
    """Decode the header at the front of ``data``.

    Source: ISO 11172-3 §2.4.1.3, ISO 13818-3 §2.4.1.3.

    Raises:
        ProtocolError: Cut short, no syncword, or a reserved value.
    """
    if len(data) < 4:
        raise ProtocolError("header cut short", code="truncated", source=_SOURCE)
    word = int.from_bytes(data[:4], "big")
    if word >> 21 != 0x7FF:
        raise ProtocolError("no syncword", source=_SOURCE)
    version = _VERSIONS.get(word >> 19 & 3)
    layer = 4 - (word >> 17 & 3)
    rate_index, bit_rate_index = word >> 10 & 3, word >> 12 & 15
    if version is None or layer == 4 or rate_index == 3 or bit_rate_index == 15:
        raise ProtocolError("reserved value in the header", source=_SOURCE)
    table = _KBPS_1 if version == "1" else _KBPS_2
    mode = word >> 6 & 3
    return FrameHeader(
        version,
        layer,
        1000 * table[layer][bit_rate_index - 1] if bit_rate_index else 0,
        _RATES[version][rate_index],
        1 if mode == 3 else 2,
        mode,
        bool(word >> 9 & 1),
        not word >> 16 & 1,
    )


def parameters_from_frame_header(header: FrameHeader) -> AudioParameters:
    """Return the track parameters that a frame gives. Source: RFC 6381 §3.3."""
    return AudioParameters(
        Codec.MP3,
        header.sample_rate,
        header.channels,
        f"MPEG-{header.version} Layer {'I' * header.layer}",
        header.samples,
        "mp4a.6B" if header.version == "1" else "mp4a.69",
    )
