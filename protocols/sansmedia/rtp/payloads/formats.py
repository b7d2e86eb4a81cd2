"""The formats by their encoding names, as ``a=rtpmap`` has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from sansmedia.codecs import Codec
from sansmedia.codecs import aac as aac_codec
from sansmedia.sansio import ProtocolError

from . import audio, av1, h264, h265, vp8, vp9
from .aac import AacDepacketiser, AacPacketiser
from .audio import (
    G711Depacketiser,
    G711Packetiser,
    OpusDepacketiser,
    OpusPacketiser,
)
from .fmtp import (
    AacFmtp,
    Fmtp,
    decode_aac_fmtp,
    decode_av1_fmtp,
    decode_no_fmtp,
    decode_opus_fmtp,
    decode_vp8_fmtp,
    decode_vp9_fmtp,
)
from .fmtp_h264 import H264Fmtp, decode_h264_fmtp
from .fmtp_h265 import H265Fmtp, decode_h265_fmtp
from .frame import Depacketiser, Layer, Limits, Packetiser
from .mpa import MpaDepacketiser, MpaPacketiser

__all__ = ["FORMATS", "PayloadFormat", "payload_format", "static_format"]


_Factory: TypeAlias = Callable[[Fmtp | None, int, Limits | None], Depacketiser]


@attrs.frozen(kw_only=True)
class PayloadFormat:
    """One payload format, and everything that speaks it."""

    encoding_name: str
    """As its registration writes it."""
    codec: Codec
    clock_rate: int | None
    """Ticks a second; None: the sampling rate, whatever it is."""
    channels: int | None
    """What ``a=rtpmap`` says; None for video, and for sound where it varies."""
    decode_fmtp: Callable[[str], Fmtp]
    make_packetiser: Callable[[], Packetiser]
    """A packetiser without configuration; parameter sets are an attribute of those
    of H.264 and H.265."""
    depacketiser_factory: _Factory
    """What `make_depacketiser` calls."""
    is_frame_start: Callable[[bytes], bool]
    is_key_frame_start: Callable[[bytes], bool]
    layer: Callable[[bytes], Layer]
    static_payload_type: int | None = None
    """What the payload type is without any ``a=rtpmap`` (RFC 3551 §6)."""

    @property
    def is_video(self) -> bool:
        """True for pictures, False for sound."""
        return self.codec.is_video

    def make_depacketiser(
        self,
        fmtp: Fmtp | None = None,
        *,
        channels: int = 1,
        limits: Limits | None = None,
    ) -> Depacketiser:
        """Return a depacketiser for one stream.

        Args:
            fmtp: What the sender said, for its parameter sets and frame sizes.
            channels: Of the rtpmap, for formats that cannot tell (G.711).
            limits: What a frame may cost.
        """
        return self.depacketiser_factory(fmtp, channels, limits)


def _h264(fmtp: Fmtp | None, channels: int, limits: Limits | None) -> Depacketiser:
    sets = fmtp.sprop_parameter_sets if isinstance(fmtp, H264Fmtp) else ()
    return h264.H264Depacketiser(limits, parameter_sets=sets)


def _h265(fmtp: Fmtp | None, channels: int, limits: Limits | None) -> Depacketiser:
    sets = fmtp.parameter_sets if isinstance(fmtp, H265Fmtp) else ()
    return h265.H265Depacketiser(limits, parameter_sets=sets)


def _aac(fmtp: Fmtp | None, channels: int, limits: Limits | None) -> Depacketiser:
    samples = None
    if isinstance(fmtp, AacFmtp) and fmtp.config:
        try:
            samples = aac_codec.parameters(fmtp.config).frame_samples
        except ProtocolError:
            samples = None
    return AacDepacketiser(limits, frame_samples=samples or 1024)


def _g711(fmtp: Fmtp | None, channels: int, limits: Limits | None) -> Depacketiser:
    return G711Depacketiser(limits, channels=channels)


def _simply(
    depacketiser: Callable[[Limits | None], Depacketiser],
) -> _Factory:
    return lambda fmtp, channels, limits: depacketiser(limits)


def _sound(
    encoding_name: str,
    codec: Codec,
    clock_rate: int | None,
    packetiser: Callable[[], Packetiser],
    depacketiser: _Factory,
    *,
    decode_fmtp: Callable[[str], Fmtp] = decode_no_fmtp,
    channels: int | None = None,
    payload_type: int | None = None,
) -> PayloadFormat:
    return PayloadFormat(
        encoding_name=encoding_name,
        codec=codec,
        clock_rate=clock_rate,
        channels=channels,
        decode_fmtp=decode_fmtp,
        make_packetiser=packetiser,
        depacketiser_factory=depacketiser,
        is_frame_start=audio.is_start,
        is_key_frame_start=audio.is_start,
        layer=audio.layer,
        static_payload_type=payload_type,
    )


FORMATS: Final = (
    PayloadFormat(
        encoding_name="H264",
        codec=Codec.H264,
        clock_rate=90_000,
        channels=None,
        decode_fmtp=decode_h264_fmtp,
        make_packetiser=h264.H264Packetiser,
        depacketiser_factory=_h264,
        is_frame_start=h264.is_frame_start,
        is_key_frame_start=h264.is_key_frame_start,
        layer=h264.layer,
    ),
    PayloadFormat(
        encoding_name="H265",
        codec=Codec.H265,
        clock_rate=90_000,
        channels=None,
        decode_fmtp=decode_h265_fmtp,
        make_packetiser=h265.H265Packetiser,
        depacketiser_factory=_h265,
        is_frame_start=h265.is_frame_start,
        is_key_frame_start=h265.is_key_frame_start,
        layer=h265.layer,
    ),
    PayloadFormat(
        encoding_name="AV1",
        codec=Codec.AV1,
        clock_rate=90_000,
        channels=None,
        decode_fmtp=decode_av1_fmtp,
        make_packetiser=av1.Av1Packetiser,
        depacketiser_factory=_simply(av1.Av1Depacketiser),
        is_frame_start=av1.is_frame_start,
        is_key_frame_start=av1.is_key_frame_start,
        layer=av1.layer,
    ),
    PayloadFormat(
        encoding_name="VP8",
        codec=Codec.VP8,
        clock_rate=90_000,
        channels=None,
        decode_fmtp=decode_vp8_fmtp,
        make_packetiser=vp8.Vp8Packetiser,
        depacketiser_factory=_simply(vp8.Vp8Depacketiser),
        is_frame_start=vp8.is_frame_start,
        is_key_frame_start=vp8.is_key_frame_start,
        layer=vp8.layer,
    ),
    PayloadFormat(
        encoding_name="VP9",
        codec=Codec.VP9,
        clock_rate=90_000,
        channels=None,
        decode_fmtp=decode_vp9_fmtp,
        make_packetiser=vp9.Vp9Packetiser,
        depacketiser_factory=_simply(vp9.Vp9Depacketiser),
        is_frame_start=vp9.is_frame_start,
        is_key_frame_start=vp9.is_key_frame_start,
        layer=vp9.layer,
    ),
    _sound(
        "opus",
        Codec.OPUS,
        48_000,
        OpusPacketiser,
        _simply(OpusDepacketiser),
        decode_fmtp=decode_opus_fmtp,
        # Always 2, whatever is inside (RFC 7587 §7).
        channels=2,
    ),
    _sound("PCMU", Codec.PCM_MULAW, 8_000, G711Packetiser, _g711, payload_type=0),
    _sound("PCMA", Codec.PCM_ALAW, 8_000, G711Packetiser, _g711, payload_type=8),
    # The clock is half the sampling rate (RFC 3551 §4.5.2).
    _sound("G722", Codec.G722, 8_000, G711Packetiser, _g711, payload_type=9),
    _sound(
        "MPEG4-GENERIC",
        Codec.AAC,
        None,
        AacPacketiser,
        _aac,
        decode_fmtp=decode_aac_fmtp,
    ),
    _sound(
        "MPA",
        Codec.MP3,
        90_000,
        MpaPacketiser,
        _simply(MpaDepacketiser),
        payload_type=14,
    ),
)
"""Every format that is spoken."""

_BY_NAME: Final = {entry.encoding_name.lower(): entry for entry in FORMATS}
_BY_TYPE: Final = {
    entry.static_payload_type: entry
    for entry in FORMATS
    if entry.static_payload_type is not None
}


def payload_format(encoding_name: str) -> PayloadFormat | None:
    """Return the format of an encoding name in any case; None if it is not spoken.

    Source: RFC 4855 §3.
    """
    return _BY_NAME.get(encoding_name.lower())


def static_format(payload_type: int) -> PayloadFormat | None:
    """Return the format of a payload type without rtpmap, or None.

    Source: RFC 3551 §6.
    """
    return _BY_TYPE.get(payload_type)
